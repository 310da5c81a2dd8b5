"""Max-T against enumeration, its level, and reproducibility."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from radgen.errors import InputError
from radgen.stats.permutation import exact_orders, max_t, n_orders, random_order, stratum_codes


def test_small_n_is_enumerated_by_definition() -> None:
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))

    def largest(order: tuple[int, ...]) -> float:
        return np.max(np.abs(np.corrcoef(x[list(order)].T, y.T)[:2, 2:]))

    every = np.array([largest(order) for order in permutations(range(5))])
    observed = np.abs(np.corrcoef(x.T, y.T)[:2, 2:])
    want = np.mean(every[:, None, None] >= observed - 1e-12, axis=0)
    got = max_t(y, x, n_permutations=1000, seed=1)
    assert got.exact
    np.testing.assert_allclose(got.p, want)


def test_random_permutations_approach_the_exact_ones() -> None:
    rng = np.random.default_rng(1)
    y, x = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    exact = max_t(y, x, n_permutations=720, seed=1)
    drawn = max_t(y, x, n_permutations=600, seed=1)
    assert exact.exact
    assert not drawn.exact
    np.testing.assert_allclose(drawn.p, exact.p, atol=4 * 0.5 / np.sqrt(600))


def test_strata_are_kept() -> None:
    label = stratum_codes(["a", "b", "a", "b", "a"], 5)
    assert n_orders(label) == 12
    assert len(list(exact_orders(label))) == 11
    for number in range(20):
        order = random_order(label, 3, number)
        assert sorted(order) == list(range(5))
        np.testing.assert_array_equal(label[order], label)
    rows = np.array([0, 1, 2])
    kept = random_order(label, 3, 0, rows)
    np.testing.assert_array_equal(label[rows][kept], label[rows])


def test_statistic_is_the_partial_t_of_the_regression() -> None:
    from radgen.stats.linear import regress

    rng = np.random.default_rng(2)
    y, x, z = rng.normal(size=(30, 3)), rng.normal(size=(30, 2)), rng.normal(size=(30, 4))
    got = max_t(y, x, z, n_permutations=20, seed=1)
    np.testing.assert_allclose(got.t_squared, regress(y, x, z).t ** 2, rtol=1e-9)


def test_missing_and_constant_columns_are_left_out() -> None:
    rng = np.random.default_rng(3)
    y, x = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    x[:, 1] = 4.0
    y[rng.random(y.shape) < 0.1] = np.nan
    got = max_t(y, x, n_permutations=50, seed=1)
    assert np.isnan(got.p[1]).all()
    assert (got.p[0] >= 1 / 51).all()
    again = max_t(y, x, n_permutations=50, seed=1)
    np.testing.assert_array_equal(got.maxima, again.maxima)


def test_family_wise_error_keeps_its_level() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(200):
        z = rng.normal(size=(40, 8))
        shared = rng.normal(size=(40, 1))
        y = shared + rng.normal(size=(40, 5)) + z[:, :1]
        x = rng.normal(size=(40, 1)) + rng.normal(size=(40, 6)) + z[:, 1:2]
        hits += np.nanmin(max_t(y, x, z, n_permutations=99, seed=trial).p) <= 0.05
    # 200 draws at 0.05: the upper 99.9 % binomial limit is 21.
    assert hits <= 21


def test_wrong_requests() -> None:
    with pytest.raises(InputError, match="At least one"):
        max_t(np.zeros((3, 1)), np.zeros((3, 1)), n_permutations=0, seed=1)
    with pytest.raises(InputError, match="strata labels"):
        stratum_codes(["a"], 2)
