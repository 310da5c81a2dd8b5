"""Parametric survival, competing risks, cut-points and landmarks against R.

Values and the script that made them lie in `golden/survival`. Tolerances are where both programs'
iterations end (1e-7), unless said otherwise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import FitError, InputError
from radgen.stats.cox import fit_cox
from radgen.stats.survival import aalen_johansen, kaplan_meier
from radgen.stats.survival_adjusted import adjusted_survival, restricted_mean_difference
from radgen.stats.survival_calibration import restricted_cubic, survival_calibration
from radgen.stats.survival_competing import fit_fine_gray, gray_test
from radgen.stats.survival_cutpoint import logrank_scores, maximal_test
from radgen.stats.survival_parametric import fit_aft

GOLDEN = Path(__file__).parent / "golden" / "survival"
CLOSE = {"rtol": 1e-7, "atol": 1e-8}


def _golden(name):
    return pl.read_csv(GOLDEN / f"{name}.csv")


@pytest.fixture(scope="module")
def rows():
    frame = _golden("input")
    return {name: frame[name].to_numpy() for name in frame.columns}


@pytest.mark.parametrize("kind", ["weibull", "lognormal", "loglogistic", "exponential"])
def test_accelerated_failure_time(rows, kind):
    expected = _golden("survreg").filter(pl.col("distribution") == kind)
    x = np.column_stack((rows["a"], rows["b"]))
    fit = fit_aft(x, rows["time"], rows["cause"] > 0, distribution=kind)
    found = [*fit.beta, np.log(fit.scale)]
    np.testing.assert_allclose(found, expected["estimate"].to_numpy(), rtol=1e-6, atol=1e-8)
    errors = expected["se"].to_numpy()[: len(fit.covariance)].astype(float)
    np.testing.assert_allclose(fit.std_error, errors, rtol=1e-6)
    np.testing.assert_allclose(fit.log_likelihood, expected["loglik"][0], **CLOSE)
    np.testing.assert_allclose(fit.null_log_likelihood, expected["null"][0], **CLOSE)
    median = fit.quantile([[0.5, 1.0]])
    np.testing.assert_allclose(median, expected["median"][0], rtol=1e-6)
    np.testing.assert_allclose(fit.survival([[0.5, 1.0]], median), 0.5)


@pytest.mark.parametrize("kind", ["weibull", "lognormal", "loglogistic", "exponential"])
def test_left_truncated_likelihood_is_at_its_maximum(rows, kind):
    """The likelihood by its definition, with truncation: no step in any direction raises it."""
    from scipy import stats

    law = {
        "weibull": stats.gumbel_l, "exponential": stats.gumbel_l, "lognormal": stats.norm,
        "loglogistic": stats.logistic,
    }[kind]  # fmt: skip
    x = np.column_stack((np.ones(150), rows["a"], rows["b"]))
    event, y = rows["cause"] > 0, np.log(rows["time"])
    late = rows["entry"] > 0

    def likelihood(beta, scale):
        eta = x @ beta
        value = np.where(
            event, law.logpdf((y - eta) / scale) - np.log(scale), law.logsf((y - eta) / scale)
        )
        value[late] -= law.logsf((np.log(rows["entry"][late]) - eta[late]) / scale)
        return value.sum() - y[event].sum()

    fit = fit_aft(x[:, 1:], rows["time"], event, distribution=kind, entry=rows["entry"])
    best = likelihood(fit.beta, fit.scale)
    assert fit.log_likelihood == pytest.approx(best, abs=1e-9)
    for j in range(3):
        for step in (-1e-3, 1e-3):
            assert likelihood(fit.beta + step * (np.arange(3) == j), fit.scale) < best
    if kind != "exponential":
        assert max(likelihood(fit.beta, fit.scale * f) for f in (0.999, 1.001)) < best


def test_bad_parametric_input_is_refused(rows):
    with pytest.raises(FitError, match="rank"):
        fit_aft(np.ones((150, 1)), rows["time"], rows["cause"] > 0)
    with pytest.raises(InputError, match="above 0"):
        fit_aft(rows["a"], rows["time"] * 0, rows["cause"] > 0)
    with pytest.raises(InputError, match="Unknown distribution"):
        fit_aft(rows["a"], rows["time"], rows["cause"] > 0, distribution="gamma")


def test_gray(rows):
    for row in _golden("gray").iter_rows(named=True):
        options = {"of": row["cause"], "rho": float(row["rho"])}
        found = gray_test(rows[row["what"]], rows["cause"], rows["g"], **options)
        strata = gray_test(rows[row["what"]], rows["cause"], rows["g"], strata=rows["b"], **options)
        np.testing.assert_allclose(found.statistic, row["statistic"], **CLOSE)
        np.testing.assert_allclose(found.p_value, row["p"], **CLOSE)
        np.testing.assert_allclose(strata.statistic, row["stratified"], **CLOSE)


def test_fine_gray(rows):
    x = np.column_stack((rows["a"], rows["b"]))
    golden = _golden("crr")
    for what in ("time", "tied"):
        for cause in (1, 2):
            row = golden.filter((pl.col("what") == what) & (pl.col("cause") == cause))
            fit = fit_fine_gray(x, rows[what], rows["cause"], of=cause)
            np.testing.assert_allclose(fit.beta, row["estimate"].to_numpy(), rtol=1e-6)
            np.testing.assert_allclose(fit.std_error, row["se"].to_numpy(), rtol=1e-6)
            np.testing.assert_allclose(fit.log_likelihood, row["loglik"][0], **CLOSE)
            at = fit.incidence([[0.5, 1.0]], [1.5])[0, 0]
            np.testing.assert_allclose(at, row["at_1.5"][0], rtol=1e-6)


def test_without_competing_events_fine_gray_is_cox_and_gray_a_logrank_test(rows):
    x = np.column_stack((rows["a"], rows["b"]))
    one = (rows["cause"] > 0).astype(int)
    fit = fit_fine_gray(x, rows["time"], one)
    cox = fit_cox(x, rows["time"], one, ties="breslow", robust=True)
    np.testing.assert_allclose(fit.beta, cox.beta, rtol=1e-7)
    np.testing.assert_allclose(fit.std_error, cox.std_error, rtol=1e-7)
    score = gray_test(rows["time"], one, rows["g"]).score
    assert abs(score.sum()) < 1e-9


def test_competing_input_is_refused(rows):
    with pytest.raises(InputError, match="No event has cause 5"):
        gray_test(rows["time"], rows["cause"], rows["g"], of=5)
    with pytest.raises(InputError, match="two groups"):
        gray_test(rows["time"], rows["cause"], np.zeros(150))
    with pytest.raises(FitError, match="rank"):
        fit_fine_gray(np.ones(150), rows["time"], rows["cause"])
    assert aalen_johansen(rows["time"], rows["cause"]).estimate[-1] < 1


def test_counting_process_with_a_covariate_that_changes():
    rows, expected = _golden("counting_input"), _golden("counting")
    x = rows.select("a", "x").to_numpy()
    args = (x, rows["stop"].to_numpy(), rows["event"].to_numpy())
    plain = fit_cox(*args, entry=rows["start"].to_numpy())
    robust = fit_cox(*args, entry=rows["start"].to_numpy(), cluster=rows["id"].to_numpy())
    np.testing.assert_allclose(plain.beta, expected["estimate"].to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(plain.std_error, expected["se"].to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(robust.std_error, expected["robust"].to_numpy(), rtol=1e-6)
    np.testing.assert_allclose(plain.log_likelihood, expected["loglik"][0], **CLOSE)


def test_maximally_selected_statistic(rows):
    expected = _golden("maxstat")
    found = maximal_test(rows["a"], logrank_scores(rows["time"], rows["cause"] > 0))
    np.testing.assert_allclose(found.statistic, expected["statistic"][0], **CLOSE)
    assert found.cut == pytest.approx(expected["cut"][0])
    np.testing.assert_allclose(found.p_lau94, expected["lau94"][0], rtol=1e-6)
    np.testing.assert_allclose(found.p_lau92, expected["lau92"][0], rtol=1e-6)
    assert found.p_naive < found.p_value / 10


def test_corrected_p_of_the_best_cut_is_uniform_and_the_naive_one_is_not():
    rng = np.random.default_rng(8)
    naive, right, permuted = [], [], []
    for _ in range(300):
        x, time = rng.normal(size=60), rng.exponential(size=60)
        scores = logrank_scores(time, rng.random(60) < 0.7)
        found = maximal_test(x, scores, permutations=99, rng=rng)
        naive.append(found.p_naive < 0.05)
        permuted.append(found.p_value < 0.0501)
        right.append(min(found.p_lau92, found.p_lau94) < 0.05)
    band = 4 * np.sqrt(0.05 * 0.95 / 300)
    assert abs(np.mean(permuted) - 0.05) < band
    assert np.mean(right) < 0.05 + band
    assert np.mean(naive) > 0.25


def test_calibration_at_a_horizon(rows):
    expected = _golden("calibration")
    risk = 1 / (1 + np.exp(0.6 - 0.9 * rows["a"]))
    found = survival_calibration(rows["time"], rows["cause"] > 0, risk, 1.0)
    for name in ("ici", "e50", "e90", "emax", "observed", "expected"):
        np.testing.assert_allclose(getattr(found, name), expected[name][0], rtol=1e-6)
    error = expected["se"][0] / expected["observed"][0]
    np.testing.assert_allclose(found.ratio_high / found.ratio, np.exp(1.959964 * error), rtol=1e-6)


def test_calibration_of_a_model_that_is_right_and_of_one_that_is_not():
    rng = np.random.default_rng(4)
    eta = rng.normal(size=4000)
    time, censor = rng.exponential(np.exp(-eta)), rng.exponential(3, 4000)
    seen, event = np.minimum(time, censor), time <= censor
    risk = 1 - np.exp(-np.exp(eta) * 0.7)
    right = survival_calibration(seen, event, risk, 0.7)
    assert right.ici < 0.02
    assert right.ratio_low < 1 < right.ratio_high
    wrong = survival_calibration(seen, event, risk / 2, 0.7)
    assert wrong.ratio_low > 1.7
    assert wrong.ici == pytest.approx(risk.mean() / 2, abs=0.03)
    flat = survival_calibration(seen, event, np.full(4000, 0.5), 0.7)
    assert len(flat.predicted) == 1
    with pytest.raises(InputError, match="one probability"):
        survival_calibration(seen, event, risk * 3, 0.7)
    with pytest.raises(InputError, match="nobody is followed"):
        survival_calibration(seen, event, risk, 1e6)
    with pytest.raises(InputError, match="ascending"):
        restricted_cubic(eta, [0, 0, 1])


def test_adjusted_curves(rows):
    expected = _golden("adjusted")
    arm = (rows["g"] == 2).astype(int)
    x = np.column_stack((rows["a"], rows["b"]))
    args = (rows["time"], rows["cause"] > 0, arm, x)
    for method in ("ipw", "cox"):
        for curve in adjusted_survival(*args, method=method):
            wanted = expected.filter(pl.col("arm") == curve.group)
            found = curve.at(wanted["time"].to_numpy())
            np.testing.assert_allclose(found, wanted[method].to_numpy(), rtol=1e-6)
            assert curve.at_risk[0] == (arm == curve.group).sum()
            assert curve.effective <= (arm == curve.group).sum() + 1e-9
    with pytest.raises(FitError, match="part the groups perfectly"):
        adjusted_survival(*args[:3], arm.astype(float))
    with pytest.raises(InputError, match="needed are two"):
        adjusted_survival(*args[:2], rows["g"], x)


def test_adjustment_removes_confounding():
    rng = np.random.default_rng(21)
    x = rng.normal(size=4000)
    arm = (rng.random(4000) < 1 / (1 + np.exp(-1.5 * x))).astype(int)
    time = rng.exponential(np.exp(-x))
    raw = [kaplan_meier(time[arm == k], np.ones((arm == k).sum())).at([0.7])[0] for k in (0, 1)]
    assert raw[0] - raw[1] > 0.2
    for method in ("ipw", "cox"):
        curves = adjusted_survival(time, np.ones(4000), arm, x, method=method)
        values = [curve.at([0.7])[0] for curve in curves]
        assert abs(values[0] - values[1]) < 0.05


def test_difference_of_restricted_means(rows):
    expected = _golden("rmst")
    arm = (rows["g"] == 2).astype(int)
    found = restricted_mean_difference(rows["time"], rows["cause"] > 0, arm, tau=2.0)
    np.testing.assert_allclose([found.first, found.second], expected["rmst"].to_numpy(), rtol=1e-7)
    error = np.hypot(*expected["se"].to_numpy())
    np.testing.assert_allclose(found.std_error, error, rtol=1e-6)
    assert found.difference == pytest.approx(found.second - found.first)
    assert found.ci_low < found.difference < found.ci_high


def test_decision_curves_equal_dcurves(rows):
    from radgen.stats.decision import decision_curve, survival_decision_curve

    folder = GOLDEN.parent / "decision"
    y = (rows["cause"] > 0) & (rows["time"] < 1)
    p = 1 / (1 + np.exp(0.6 - 0.9 * rows["a"]))
    cuts = np.array([0.05, 0.2, 0.35, 0.5, 0.65])
    for name, found in (
        ("binary", decision_curve(y, p, cuts)),
        ("survival", survival_decision_curve(rows["time"], rows["cause"] > 0, p, 1.0, cuts)),
    ):
        golden = pl.read_csv(folder / f"{name}.csv")
        for model, values in (("p", found.net_benefit), ("all", found.treat_all)):
            wanted = golden.filter(pl.col("model") == model)["net_benefit"].to_numpy()
            np.testing.assert_allclose(values, wanted, rtol=1e-9, atol=1e-12)
