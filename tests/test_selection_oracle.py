"""Selection by an outcome against definitions, scipy, scikit-learn, lifelines and peers."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_selection import f_classif, f_regression
from sklearn.metrics import mutual_info_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from radgen.errors import InputError
from radgen.predict.selection import (
    BorutaSelector,
    RelevanceSelector,
    SparseSelector,
    StabilitySelector,
    UnivariateSelector,
)
from radgen.predict.selection.stability import stability_bound
from radgen.stats.multiplicity import bh

GOLDEN = Path(__file__).parent / "golden" / "selection"
FAST_BORUTA = {"n_trees": 3, "max_rounds": 4, "random_state": 0}


@parametrize_with_checks(
    [
        UnivariateSelector(),
        RelevanceSelector(3),
        SparseSelector(folds=2, random_state=0),
        StabilitySelector(n_pairs=5, random_state=0),
        BorutaSelector(**FAST_BORUTA),
    ]
)
def test_selectors_are_scikit_learn_estimators(estimator, check):
    check(estimator)


def _features(n=90, p=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng, np.round(rng.normal(size=(n, p)), 1)


def test_univariate_p_values_equal_scipy():
    rng, x = _features()
    two, four = rng.integers(0, 2, 90), rng.integers(0, 4, 90)
    value = rng.normal(size=90) + x[:, 0]
    found = UnivariateSelector().fit(x, two)
    for j, column in enumerate(x.T):
        test = stats.mannwhitneyu(column[two == 1], column[two == 0], use_continuity=False,
                                  method="asymptotic")  # fmt: skip
        assert found.p_values_[j] == pytest.approx(test.pvalue, abs=1e-12)
        area = test.statistic / (two == 1).sum() / (two == 0).sum()
        assert found.statistic_[j] == pytest.approx(abs(area - 0.5), abs=1e-12)
    several = UnivariateSelector().fit(x, four)
    tests = [stats.kruskal(*[c[four == k] for k in range(4)]) for c in x.T]
    np.testing.assert_allclose(several.p_values_, [t.pvalue for t in tests], rtol=1e-9)
    linear = UnivariateSelector(alpha=0.05).fit(x, value)
    tests = [stats.pearsonr(c, value) for c in x.T]
    np.testing.assert_allclose(linear.p_values_, [t.pvalue for t in tests], rtol=1e-8)
    np.testing.assert_allclose(linear.adjusted_, bh(linear.p_values_))
    assert linear.get_support(indices=True).tolist() == [0]


def test_univariate_survival_is_the_log_rank_test_of_groups():
    from lifelines.statistics import multivariate_logrank_test

    rng, x = _features()
    x = (x > 0).astype(float)
    time = rng.exponential(size=90).round(2) + 0.01
    event = rng.integers(0, 2, 90)
    found = UnivariateSelector().fit(x, np.column_stack((time, event)))
    # The score test takes Breslow's variance, the log-rank test the hypergeometric one: they
    # agree where no two events share a time.
    _, count = np.unique(time[event == 1], return_counts=True)
    assert count.max() <= 2
    for j, column in enumerate(x.T):
        test = multivariate_logrank_test(time, column, event)
        assert found.p_values_[j] == pytest.approx(test.p_value, rel=0.02)


@pytest.mark.parametrize("scheme", ["MID", "MIQ", "FCD", "FCQ"])
@pytest.mark.parametrize("kind", ["classes", "value"])
def test_relevance_and_redundancy_equal_their_definition(scheme, kind):
    rng, x = _features(p=9)
    x[:, 4] = x[:, 0] + 0.3 * rng.normal(size=90)
    y = rng.integers(0, 3, 90) if kind == "classes" else rng.normal(size=90)
    y = y + (x[:, 0] > 0) if kind == "classes" else y + x[:, 0]
    if scheme[:2] == "MI":
        bins = np.stack([np.searchsorted(np.quantile(c, [0.2, 0.4, 0.6, 0.8]), c) for c in x.T])
        label = y if kind == "classes" else np.searchsorted(np.quantile(y, [0.2, 0.4, 0.6, 0.8]), y)
        relevance = np.array([mutual_info_score(b, label) for b in bins])
        redundancy = np.array([[mutual_info_score(a, b) for a in bins] for b in bins])
    else:
        relevance = (f_classif if kind == "classes" else f_regression)(x, y)[0]
        redundancy = np.abs(np.corrcoef(x.T))
    order = [int(np.argmax(relevance))]
    while len(order) < 6:
        mean = redundancy[order].mean(axis=0)
        score = relevance - mean if scheme[2] == "D" else relevance / mean
        score[order] = -np.inf
        order.append(int(np.argmax(score)))
    found = RelevanceSelector(6, scheme=scheme).fit(x, y)
    np.testing.assert_allclose(found.relevance_, relevance, rtol=1e-9)
    assert found.order_.tolist() == order


def test_peers_select_the_same_columns():
    table = np.genfromtxt(GOLDEN / "input.csv", delimiter=",", skip_header=1)
    x, y = table[:, :-1], table[:, -1]
    peers = json.loads((GOLDEN / "peers.json").read_text())
    found = RelevanceSelector(len(peers["mrmr_selection"]), scheme="FCQ").fit(x, y)
    assert found.order_.tolist() == peers["mrmr_selection"]
    boruta = BorutaSelector(random_state=0).fit(x, y)
    confirmed = np.flatnonzero(boruta.decision_ == 1).tolist()
    sure = set.intersection(*(set(run["confirmed"]) for run in peers["boruta"]))
    possible = set.union(
        *(set(run["confirmed"]) | set(run["tentative"]) for run in peers["boruta"])
    )
    assert sure <= set(confirmed) <= possible


def test_sparse_selection_is_the_lasso_at_the_chosen_penalty():
    from sklearn.linear_model import Lasso

    rng, x = _features()
    y = 2 * x[:, 0] - x[:, 3] + rng.normal(size=90)
    found = SparseSelector(rule="min", random_state=0).fit(x, y)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    largest = np.abs(z.T @ (y - y.mean())).max() / len(y)
    lasso = Lasso(alpha=found.fraction_[0] * largest, tol=1e-10).fit(z, y)
    np.testing.assert_allclose(found.coef_[0], lasso.coef_, atol=2e-4)
    assert found.get_support(indices=True).tolist() == np.flatnonzero(lasso.coef_).tolist()


def test_stability_counts_the_first_lasso_entries_of_each_half():
    from sklearn.linear_model import lasso_path

    rng, x = _features(n=60, p=8)
    y = x[:, 0] + rng.normal(size=60)
    found = StabilitySelector(n_pairs=4, q=2, random_state=5).fit(x, y)
    order_of = np.random.RandomState(5)
    count = np.zeros(8)
    for _ in range(4):
        order = order_of.permutation(60)
        for rows in (order[:30], order[30:]):
            z = (x[rows] - x[rows].mean(axis=0)) / x[rows].std(axis=0)
            residual = y[rows] - y[rows].mean()
            alphas = np.abs(z.T @ residual).max() / 30 * np.geomspace(1, 1e-2, 2000)
            _, path, _ = lasso_path(z, residual, alphas=alphas, tol=1e-8)
            when = np.argmax(path != 0, axis=1) + 9999 * (path == 0).all(axis=1)
            count[np.argsort(when, kind="stable")[:2]] += 1
    np.testing.assert_allclose(found.frequency_, count / 8)


def test_stability_bounds_are_those_of_the_papers():
    assert stability_bound(10, 200, 0.9, bound="meinshausen-buhlmann") == pytest.approx(0.625)
    theta, b = 10 / 200, 50
    assert stability_bound(10, 200, 0.7) == pytest.approx(
        theta * 10 / (2 * (2 * 0.7 - 1 - 1 / (2 * b)))
    )
    assert stability_bound(10, 200, 0.9) == pytest.approx(
        4 * (1 - 0.9 + 1 / (2 * b)) / (1 + 1 / b) * theta * 10
    )
    assert stability_bound(150, 200, 0.51) == float("inf")
    with pytest.raises(InputError, match=r"above 0\.5"):
        stability_bound(5, 10, 0.5)


@pytest.mark.parametrize("outcome", ["two", "four", "value", "censored"])
def test_every_selector_finds_what_is_planted(outcome):
    rng, x = _features(n=200, p=30, seed=3)
    signal = 1.3 * x[:, 5] - 1.3 * x[:, 11]
    y = {
        "two": (signal + rng.logistic(size=200) > 0).astype(int),
        "four": np.digitize(signal + 0.5 * rng.normal(size=200), [-1.5, 0, 1.5]),
        "value": signal + rng.normal(size=200),
        "censored": np.column_stack((rng.exponential(np.exp(-signal)), rng.random(200) < 0.7)),
    }[outcome]
    for model in (
        UnivariateSelector(2),
        UnivariateSelector(alpha=0.01, adjust="holm"),
        RelevanceSelector(2),
        SparseSelector(random_state=0),
        StabilitySelector(random_state=0),
        BorutaSelector(30, max_rounds=20, random_state=0),
    ):
        kept = set(model.fit(x, y).get_support(indices=True).tolist())
        assert {5, 11} <= kept, (outcome, model, kept)
        assert len(kept) <= 10, (outcome, model, kept)


def test_impossible_wishes_are_explained():
    rng, x = _features()
    y = rng.integers(0, 2, 90)
    with pytest.raises(InputError, match="one class only"):
        UnivariateSelector().fit(x, np.zeros(90))
    with pytest.raises(InputError, match="90 rows and y has shape"):
        UnivariateSelector().fit(x, y[:-1])
    with pytest.raises(InputError, match="censored"):
        RelevanceSelector(scheme="MID").fit(x, np.column_stack((np.arange(1, 91), y)))
    with pytest.raises(InputError, match="events"):
        SparseSelector().fit(x, np.column_stack((np.arange(1, 91), np.zeros(90))))
    with pytest.raises(InputError, match="Did you mean"):
        UnivariateSelector(adjust="bonferoni").fit(x, y)
    x[:, 3] = 2.0
    for model in (UnivariateSelector(1), RelevanceSelector(1), SparseSelector(random_state=0)):
        assert not model.fit(x, y).support_[3]


def test_nulls_are_kept_at_the_stated_rates():
    """Pure noise: family-wise error of Holm, expected errors of stability selection, Boruta."""
    rng = np.random.default_rng(1)
    wrong, errors, confirmed = 0, 0, 0
    for _ in range(300):
        x, y = rng.normal(size=(40, 25)), rng.integers(0, 2, 40)
        wrong += UnivariateSelector(adjust="holm").fit(x, y).adjusted_.min() <= 0.05
    assert wrong <= stats.binom.ppf(0.999, 300, 0.05)
    for seed in range(12):
        x, y = rng.normal(size=(80, 60)), rng.normal(size=80)
        model = StabilitySelector(1.0, n_pairs=20, random_state=seed).fit(x, y)
        errors += int(model.stable_.sum())
        assert model.error_bound_ <= 1.0
    assert errors / 12 <= 1.0
    for seed in range(2):
        x, y = rng.normal(size=(80, 12)), rng.integers(0, 2, 80)
        model = BorutaSelector(30, max_rounds=25, random_state=seed).fit(x, y)
        confirmed += int((model.decision_ == 1).sum())
    assert confirmed <= 2
