"""Statistics against lifelines, scikit-survival, scikit-learn and published tables."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from radgen.errors import InputError
from radgen.stats import calibration, decision, discrimination, reliability, sample_size
from radgen.stats.cox import fit_cox
from radgen.stats.survival import kaplan_meier, nelson_aalen
from radgen.stats.survival_metrics import (
    brier_contributions,
    dynamic_auc,
    gonen_heller,
    integrated_brier,
    uno_c,
)

RNG = np.random.default_rng(11)
N = 90
X = RNG.normal(size=(N, 3))
T = RNG.exponential(np.exp(-X @ [0.6, -0.4, 0.2]))
E = RNG.random(N) < 0.7
P = RNG.random(N)
Y = P + RNG.normal(size=N) * 0.4 > 0.5


def test_kaplan_meier_and_nelson_aalen_equal_lifelines():
    import lifelines

    ours = kaplan_meier(T, E).estimate
    theirs = lifelines.KaplanMeierFitter().fit(T, E).survival_function_.to_numpy()[1:, 0]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    ours = nelson_aalen(T, E).estimate
    theirs = lifelines.NelsonAalenFitter(nelson_aalen_smoothing=False).fit(T, E)
    np.testing.assert_allclose(ours, theirs.cumulative_hazard_.to_numpy()[1:, 0], atol=1e-12)


def test_cox_equals_scikit_survival_with_ridge():
    import sksurv.linear_model as linear
    from sksurv import util

    target = util.Surv.from_arrays(E, np.ceil(T * 10))
    theirs = linear.CoxPHSurvivalAnalysis(alpha=3.0, ties="efron", tol=1e-12).fit(X, target)
    ours = fit_cox(X, np.ceil(T * 10), E, ridge=3.0)
    np.testing.assert_allclose(ours.beta, theirs.coef_, atol=1e-7)


def test_survival_metrics_equal_scikit_survival():
    from sksurv import metrics, util

    target = util.Surv.from_arrays(E, T)
    score = X[:, 0]
    tau = float(np.quantile(T, 0.8))
    expected = metrics.concordance_index_ipcw(target, target, score, tau=tau)[0]
    assert uno_c(T, E, score, tau=tau).estimate == pytest.approx(expected, abs=1e-12)
    times = np.quantile(T, [0.2, 0.4, 0.6])
    values, mean = metrics.cumulative_dynamic_auc(target, target, score, times)
    found = dynamic_auc(T, E, score, times)
    np.testing.assert_allclose(found.auc, values, atol=1e-12)
    assert found.mean == pytest.approx(mean, abs=1e-12)
    surv = RNG.random((N, 3))
    _, expected = metrics.brier_score(target, target, surv, times)
    found = brier_contributions(T, E, surv, times).mean(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    expected = metrics.integrated_brier_score(target, target, surv, times)
    assert integrated_brier(times, found) == pytest.approx(expected, abs=1e-12)


def test_gonen_heller_naive():
    eta = X[:, 0]
    gaps = [abs(eta[i] - eta[j]) for i in range(N) for j in range(i)]
    assert gonen_heller(eta) == pytest.approx(np.mean(1 / (1 + np.exp(-np.array(gaps)))))


def test_auc_and_precision_equal_scikit_learn():
    from sklearn import metrics

    score = np.round(P, 1)
    assert discrimination.auc(Y, score) == pytest.approx(metrics.roc_auc_score(Y, score))
    expected = metrics.average_precision_score(Y, score)
    assert discrimination.average_precision(Y, score) == pytest.approx(expected)
    alarms, hits, _ = discrimination.roc_curve(Y, score)
    assert np.trapezoid(hits, alarms) == pytest.approx(discrimination.auc(Y, score))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=4, max_size=40))
@settings(max_examples=60, deadline=None)
def test_auc_interval_stays_inside_and_mirrors(rows):
    y = np.array([item[0] for item in rows])
    s = np.array([item[1] for item in rows], dtype=float)
    if y.all() or not y.any():
        with pytest.raises(InputError, match="Both classes"):
            discrimination.auc(y, s)
        return
    found, mirror = discrimination.auc_interval(y, s), discrimination.auc_interval(y, -s)
    assert 0 <= found.ci_low <= found.auc <= found.ci_high <= 1
    assert found.auc == pytest.approx(1 - mirror.auc)
    naive = np.mean([(a > b) + 0.5 * (a == b) for a in s[y] for b in s[~y]])
    assert found.auc == pytest.approx(naive)


def test_perfect_separation_has_a_lower_limit_below_one():
    found = discrimination.auc_interval([0] * 10 + [1] * 10, range(20))
    assert found.auc == 1.0
    assert 0.6 < found.ci_low < 0.75


def test_clustered_auc_of_copies_equals_that_of_the_originals():
    once = discrimination.auc_interval(Y, P, cluster=np.arange(N))
    twice = discrimination.auc_interval(
        np.tile(Y, 2), np.tile(P, 2), cluster=np.tile(np.arange(N), 2)
    )
    assert twice.std_error == pytest.approx(once.std_error)


def test_brier_parts_add_up():
    found = calibration.brier_parts(Y, P)
    total = found.reliability - found.resolution + found.uncertainty + found.within_bin
    assert total == pytest.approx(found.brier)
    assert found.brier == pytest.approx(np.mean((Y - P) ** 2))


def test_decision_curve_by_hand():
    curve = decision.decision_curve(Y, P, [0.3])
    treated = P >= 0.3
    expected = (treated & Y).sum() / N - (treated & ~Y).sum() / N * 0.3 / 0.7
    assert curve.net_benefit[0] == pytest.approx(expected)
    assert curve.treat_all[0] == pytest.approx(Y.mean() - (1 - Y.mean()) * 0.3 / 0.7)
    assert curve.standardised[0] == pytest.approx(expected / Y.mean())


def test_survival_decision_curve_without_censoring_is_the_binary_one():
    binary = decision.decision_curve(T <= 0.5, P, [0.2, 0.5])
    found = decision.survival_decision_curve(T, np.ones(N, bool), P, 0.5, [0.2, 0.5])
    np.testing.assert_allclose(found.net_benefit, binary.net_benefit)


def test_reclassification_of_the_same_model_is_zero():
    found = decision.reclassification(Y, P, P)
    assert (found.nri, found.idi) == (0, 0)
    assert "useless marker" in found.warning


SHROUT_FLEISS = [
    [9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7],
]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "value", "low", "high"),
    [
        ("1,1", 0.1657, -0.1329, 0.7226),
        ("2,1", 0.2898, 0.0188, 0.7611),
        ("3,1", 0.7148, 0.3425, 0.9459),
        ("1,k", 0.4428, -0.8844, 0.9124),
        ("2,k", 0.6201, 0.0711, 0.9272),
        ("3,k", 0.9093, 0.6757, 0.9859),
    ],
)
def test_icc_of_shrout_and_fleiss(form, value, low, high):
    found = reliability.icc(SHROUT_FLEISS, form)
    assert (found.estimate, found.ci_low, found.ci_high) == pytest.approx(
        (value, low, high), abs=6e-5
    )


def test_agreement_by_hand():
    first, second = np.array([1.0, 2, 3, 4, 5]), np.array([1.1, 2.3, 2.9, 4.4, 5.2])
    s = np.cov(first, second, bias=True)
    expected = 2 * s[0, 1] / (s[0, 0] + s[1, 1] + (first.mean() - second.mean()) ** 2)
    found = reliability.concordance_correlation(first, second)
    assert found.estimate == pytest.approx(expected)
    assert found.ci_low < expected < found.ci_high
    ba = reliability.bland_altman(first, second)
    assert ba.bias == pytest.approx((second - first).mean())
    assert ba.upper_limit - ba.lower_limit == pytest.approx(2 * 1.96 * (second - first).std(ddof=1))
    ws = reliability.within_subject(np.column_stack((first, second)))
    assert ws.sd == pytest.approx(np.sqrt(((second - first) ** 2).mean() / 2))


def test_weighted_kappa_equals_scikit_learn():
    from sklearn.metrics import cohen_kappa_score

    a, b = RNG.integers(0, 4, 80), RNG.integers(0, 4, 80)
    b[:50] = a[:50]
    for weights in ("none", "linear", "quadratic"):
        expected = cohen_kappa_score(a, b, weights=None if weights == "none" else weights)
        assert reliability.weighted_kappa(a, b, weights=weights).estimate == pytest.approx(expected)


def test_riley_published_examples():
    found = sample_size.riley_binary(24, 0.288, 0.174)
    assert [n for _, n in found.criteria] == [623, 662, 221]
    found = sample_size.riley_survival(30, 0.051, event_rate=0.065, mean_follow_up=2.07, horizon=2)
    assert found.n == 5143
    found = sample_size.riley_continuous(25, 0.2, mean=1.9, sd=0.6)
    assert found.n == 918


def test_detectable_auc():
    assert discrimination.minimum_detectable_auc(302, 114) == pytest.approx(0.588, abs=5e-4)
    assert np.isnan(discrimination.minimum_detectable_auc(1, 2))


def test_reclassification_equals_hmisc():
    folder = Path(__file__).parent / "golden" / "decision"
    y, old, new = np.genfromtxt(
        folder / "reclassification_input.csv", delimiter=",", skip_header=1
    ).T
    rows = np.genfromtxt(
        folder / "reclassification.csv", delimiter=",", skip_header=1, dtype=None, encoding="utf-8"
    )
    expected = {str(name): float(value) for name, value in rows}
    found = decision.reclassification(y, old, new)
    names = {
        "nri": "nri", "nri_error": "nri_std_error", "nri_events": "nri_events",
        "nri_nonevents": "nri_nonevents", "idi": "idi", "idi_error": "idi_std_error",
    }  # fmt: skip
    for name, own in names.items():
        assert getattr(found, own) == pytest.approx(expected[name], rel=1e-12), name


def test_detectable_auc_has_eighty_percent_power_by_hanley_and_mcneil():
    for positive, negative in ((30, 30), (302, 114), (12, 200)):
        value = discrimination.minimum_detectable_auc(positive, negative)
        q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
        spread = value * (1 - value) + (positive - 1) * (q1 - value**2)
        spread = (spread + (negative - 1) * (q2 - value**2)) / (positive * negative)
        null = (positive + negative + 1) / (12 * positive * negative)
        power = norm.cdf((value - 0.5 - norm.ppf(0.975) * np.sqrt(null)) / np.sqrt(spread))
        assert power == pytest.approx(0.8, abs=1e-3)
