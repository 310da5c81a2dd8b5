"""Rank and table tests against SciPy, enumeration and hand values."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from radgen.errors import InputError
from radgen.stats.contingency import chi2_test, fisher_exact, log_odds_ratio, trend_test
from radgen.stats.rank import (
    jonckheere,
    kruskal,
    mann_whitney,
    partial_spearman,
    ranks,
    spearman,
)


@pytest.mark.parametrize("sizes", [(3, 4), (8, 30), (20, 20), (1, 5), (60, 70)])
@pytest.mark.parametrize("tied", [False, True])
def test_mann_whitney_equals_scipy(sizes: tuple[int, int], tied: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.4, 1, sizes[0]), rng.normal(size=sizes[1])
    if tied:
        a, b = a.round(), b.round()
    got = mann_whitney(a, b)
    method = "exact" if got.exact else "asymptotic"
    want = stats.mannwhitneyu(a, b, method=method)
    assert got.statistic == want.statistic
    if not (tied and np.unique(np.concatenate([a, b])).size == 1):
        assert 10**got.log10p == pytest.approx(want.pvalue, rel=1e-9)


def test_kruskal_and_spearman_equal_scipy() -> None:
    rng = np.random.default_rng(1)
    value = rng.normal(size=50).round(1)
    group = rng.integers(0, 4, 50).astype(float)
    want = stats.kruskal(*(value[group == g] for g in range(4)))
    got = kruskal(value, group)
    assert got.statistic == pytest.approx(want.statistic, rel=1e-10)
    assert 10**got.log10p == pytest.approx(want.pvalue, rel=1e-9)
    rho = stats.spearmanr(value, group)
    got = spearman(value, group)
    assert got.effect == pytest.approx(rho.statistic, rel=1e-12)
    assert 10**got.log10p == pytest.approx(rho.pvalue, rel=1e-9)


def test_kruskal_by_f_is_the_one_way_analysis_of_ranks() -> None:
    rng = np.random.default_rng(2)
    value, group = rng.normal(size=30), np.repeat([0.0, 1, 2], 10)
    rank = ranks(value)
    want = stats.f_oneway(*(rank[group == g] for g in range(3)))
    assert 10 ** kruskal(value, group, reference="f").log10p == pytest.approx(want.pvalue, rel=1e-9)


def test_small_spearman_is_enumerated() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=6), rng.normal(size=6)
    found = abs(stats.spearmanr(a, b).statistic)
    all_rho = [abs(stats.spearmanr(a, np.array(p)).statistic) for p in permutations(b)]
    got = spearman(a, b)
    assert got.exact
    assert 10**got.log10p == pytest.approx(np.mean(np.array(all_rho) >= found - 1e-12))


def test_partial_spearman_is_the_partial_correlation_of_ranks() -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(size=(40, 2))
    a, b = rng.normal(size=40) + z[:, 0], rng.normal(size=40) + z[:, 0]
    columns = np.column_stack([stats.rankdata(v) for v in (a, b, *z.T)])
    inverse = np.linalg.inv(np.corrcoef(columns.T))
    want = -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])
    got = partial_spearman(a, b, z)
    assert got.effect == pytest.approx(want, rel=1e-10)
    assert got.df == 36


def test_jonckheere_moments_equal_enumeration() -> None:
    value = np.array([1.0, 2, 2, 3, 5, 5, 8])
    group = np.array([0.0, 0, 1, 1, 1, 2, 2])

    def count(order: np.ndarray) -> float:
        return sum(
            (order[j] > order[i]) + 0.5 * (order[j] == order[i])
            for i in range(7)
            for j in range(7)
            if group[j] > group[i]
        )

    found = np.array([count(np.array(p)) for p in permutations(value)])
    got = jonckheere(value, group)
    assert got.statistic == pytest.approx((count(value) - found.mean()) / found.std(), rel=1e-10)


def test_two_groups_of_jonckheere_are_mann_whitney() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=30).round(1), rng.normal(0.5, 1, 35).round(1)
    got = jonckheere(np.r_[a, b], np.r_[np.zeros(30), np.ones(35)])
    want = stats.mannwhitneyu(b, a, method="asymptotic", use_continuity=False)
    assert 10**got.log10p == pytest.approx(want.pvalue, rel=1e-9)


@pytest.mark.parametrize(
    "table", [[[3, 1], [1, 3]], [[0, 9], [7, 2]], [[120, 30], [80, 40]], [[5, 0], [6, 0]]]
)
def test_fisher_equals_scipy(table: list[list[int]]) -> None:
    assert 10 ** fisher_exact(table).log10p == pytest.approx(
        stats.fisher_exact(table).pvalue, rel=1e-9
    )


def test_fisher_does_not_underflow() -> None:
    assert fisher_exact([[2000, 0], [0, 2000]]).log10p < -1000


@pytest.mark.parametrize("correct", [False, True])
def test_chi2_equals_scipy(correct: bool) -> None:
    table = np.array([[12, 5], [7, 30]])
    want = stats.chi2_contingency(table, correction=correct)
    got = chi2_test(table, correct=correct)
    assert got.statistic == pytest.approx(want.statistic, rel=1e-12)
    assert 10**got.log10p == pytest.approx(want.pvalue, rel=1e-9)
    wide = np.array([[1, 2, 0, 3], [4, 1, 0, 9]])
    want = stats.chi2_contingency(wide[:, [0, 1, 3]], correction=False)
    assert chi2_test(wide).statistic == pytest.approx(want.statistic, rel=1e-12)


def test_trend_is_the_correlation_of_score_and_outcome() -> None:
    table = np.array([[20, 15, 9], [5, 12, 14]])
    outcome = np.repeat([0, 0, 0, 1, 1, 1], table.ravel())
    score = np.repeat([0, 1, 2, 0, 1, 2], table.ravel())
    n = table.sum()
    want = np.corrcoef(outcome, score)[0, 1] * np.sqrt(n)
    assert trend_test(table).statistic == pytest.approx(want, rel=1e-12)


def test_degenerate_input() -> None:
    assert np.isnan(mann_whitney([], [1.0]).log10p)
    assert np.isnan(mann_whitney(np.ones(50), np.ones(60)).log10p)
    assert np.isnan(kruskal(np.ones(9), np.repeat([0.0, 1, 2], 3)).log10p)
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)).log10p)
    assert np.isnan(chi2_test([[3, 4], [0, 0]]).log10p)
    assert np.isnan(trend_test([[3, 4], [0, 0]]).log10p)
    assert fisher_exact([[3, 4], [0, 0]]).log10p == 0
    assert log_odds_ratio([[3, 0], [1, 4]])[0] == pytest.approx(np.log(3.5 * 4.5 / (0.5 * 1.5)))
    with pytest.raises(InputError, match="2 x 2"):
        fisher_exact([[1, 2, 3], [1, 2, 3]])
    with pytest.raises(InputError, match="counts"):
        chi2_test([[1.5, 2], [3, 4]])
