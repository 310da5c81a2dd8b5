"""Survival statistics against R's survival and pROC (values computed once, R 4.x, below).

The data are formulas of the row number, so that both programs make them alike::

    i <- 1:60
    d <- data.frame(a=sin(i*1.7), b=cos(i*i*0.3), c=as.numeric(i%%3==0),
                    t=ceiling(20*abs(sin(i*0.9))+i%%7), e=as.numeric(i%%4!=0), g=i%%3, s=i%%2,
                    w=1+i%%4, cl=i%%25)

Tolerance 1e-7: both converge to about 1e-9.
"""

import numpy as np
import pytest

from radgen.errors import FitError, InputError
from radgen.stats.calibration import calibration_error, calibration_line
from radgen.stats.cox import fit_cox, proportional_hazards_test
from radgen.stats.discrimination import auc_difference, auc_interval
from radgen.stats.survival import aalen_johansen, kaplan_meier, logrank, restricted_mean
from radgen.stats.survival_metrics import harrell_c, uno_c

I = np.arange(1, 61)
A, B, C = np.sin(I * 1.7), np.cos(I * I * 0.3), (I % 3 == 0).astype(float)
T = np.ceil(20 * np.abs(np.sin(I * 0.9)) + I % 7)
E = I % 4 != 0
X = np.column_stack((A, B, C))
Y = np.sin(I * 1.7) + 0.8 * np.cos(I * 2.1) > 0.2
CLOSE = {"rtol": 1e-7, "atol": 1e-9}


def test_cox_efron():
    fit = fit_cox(X, T, E)
    np.testing.assert_allclose(
        fit.beta, [-0.1181576940044256, -0.0586578471639111, -0.0922161016034776], **CLOSE
    )
    np.testing.assert_allclose(
        fit.std_error, [0.242039718691101, 0.286446807016900, 0.348567938827573], **CLOSE
    )
    found = (
        fit.null_log_likelihood, fit.log_likelihood, fit.score_test.statistic,
        fit.wald_test.statistic,
    )  # fmt: skip
    expected = (-144.155521349550980, -143.822532710769423, 0.670598909691346, 0.668632828001596)
    np.testing.assert_allclose(found, expected, **CLOSE)


def test_cox_strata_weights_clusters():
    fit = fit_cox(X, T, E, strata=I % 2, weights=1.0 + I % 4, cluster=I % 25)
    np.testing.assert_allclose(
        fit.beta, [-0.1285650672297912, -0.0125263467151711, -0.0594927427445443], **CLOSE
    )
    np.testing.assert_allclose(
        fit.std_error, [0.177509923373428, 0.272004308085374, 0.251526623394469], **CLOSE
    )
    assert fit.log_likelihood == pytest.approx(-468.425500959567, rel=1e-10)


def test_cox_breslow_robust():
    fit = fit_cox(X, T, E, ties="breslow", robust=True)
    np.testing.assert_allclose(
        fit.beta, [-0.1084039681272055, -0.0838268274418003, -0.0834987529184587], **CLOSE
    )
    np.testing.assert_allclose(
        fit.std_error, [0.230950320121277, 0.269036180827334, 0.306290074644680], **CLOSE
    )


def test_cox_left_truncation():
    fit = fit_cox(X[:, :2], T, E, entry=np.maximum(0, T - 6 - I % 5))
    np.testing.assert_allclose(fit.beta, [-0.156430013044612, -0.046556481287073], **CLOSE)
    np.testing.assert_allclose(fit.std_error, [0.233764383656876, 0.248358354298942], **CLOSE)


def test_baseline_hazard():
    times, hazard = fit_cox(X[:, :2], T, E).baseline[0]
    np.testing.assert_allclose(
        hazard[np.isin(times, (10, 15))], [0.163866065329447, 0.403600954706546], **CLOSE
    )


def test_proportional_hazards():
    each, _, overall = proportional_hazards_test(X, T, E)
    np.testing.assert_allclose(
        each, [0.164652554451895, 1.605037729322598, 0.156546967808370], **CLOSE
    )
    assert overall.statistic == pytest.approx(1.763429159181390, rel=1e-7)


def test_separation_and_collinearity_are_refused():
    with pytest.raises(FitError, match="did not converge"):
        fit_cox(
            (E & (T < 12)).astype(float)[:, None], np.where(E & (T < 12), T, 99.0), E & (T < 12)
        )
    with pytest.raises(FitError, match="rank 1"):
        fit_cox(np.column_stack((A, 2 * A)), T, E)
    fit_cox(np.column_stack((A, 2 * A)), T, E, ridge=1.0)
    with pytest.raises(InputError, match="at least one event"):
        fit_cox(X, T, np.zeros(60, bool))


def test_logrank():
    assert logrank(T, E, I % 3).statistic == pytest.approx(0.277746908791654, rel=1e-9)
    found = logrank(T, E, I % 3, strata=I % 2)
    assert found.statistic == pytest.approx(0.202923038224906, rel=1e-9)
    found = logrank(T, E, I % 3, weighting="fleming-harrington", rho=1.0)
    assert found.statistic == pytest.approx(0.282434649972149, rel=1e-9)


def test_kaplan_meier():
    curve = kaplan_meier(T, E)
    at = np.searchsorted(curve.times, [5, 10, 15, 20], side="right") - 1
    expected = {
        "estimate": [0.899393939393939, 0.847505827505827, 0.665224812224812, 0.502179515110888],
        "std_error": [
            0.0389613316414444, 0.0468355412690211, 0.0629740589959654, 0.0691236928895672,
        ],
        "ci_low": [0.789657716619439, 0.727303954525418, 0.525920064950025, 0.360939476148178],
        "ci_high": [0.953506119726847, 0.917614758373637, 0.772150459340335, 0.627773849962677],
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(curve, name)[at], values, rtol=1e-12)


def test_restricted_mean():
    found = restricted_mean(T, E, tau=15)
    assert found.estimate == pytest.approx(13.128307929724597, rel=1e-12)
    assert found.std_error == pytest.approx(0.515897428224306, rel=1e-9)


def test_cumulative_incidence():
    cause = np.where(E, 1 + I % 2, 0)
    found = aalen_johansen(T, cause).at([5, 10, 15])
    np.testing.assert_allclose(
        found, [0.0336363636363636, 0.0509324009324009, 0.1059380701602924], rtol=1e-12
    )


def test_concordance():
    found = harrell_c(T, E, A)
    assert (found.estimate, found.std_error) == pytest.approx(
        (0.4570312500000000, 0.0573107721521718), rel=1e-10
    )
    found = uno_c(T, E, A)
    assert (found.estimate, found.std_error) == pytest.approx(
        (0.4557247651754511, 0.0557533312727016), rel=1e-10
    )


def test_delong():
    found = auc_interval(Y, A)
    assert (found.auc, found.std_error) == pytest.approx(
        (0.943438914027149, 0.026873109310942), rel=1e-10
    )
    test = auc_difference(Y, A, B)
    assert (test.z, test.p_value) == pytest.approx(
        (3.98438775012259, 6.76543270494727e-05), rel=1e-9
    )


def test_calibration():
    p = 1 / (1 + np.exp(-(A * 1.3 - 0.2)))
    line = calibration_line(Y, p)
    found = (line.slope, line.slope_std_error, line.intercept, line.intercept_std_error)
    expected = (2.867885986934650, 0.665349540372657, -0.145626188725329, 0.286511193029118)
    assert found == pytest.approx(expected, rel=1e-7)
    error = calibration_error(Y, p)
    found = (error.ici, error.e50, error.e90, error.emax)
    expected = (0.164573193347046, 0.172655993051427, 0.250116549870694, 0.264529500460377)
    assert found == pytest.approx(expected, rel=1e-9)
