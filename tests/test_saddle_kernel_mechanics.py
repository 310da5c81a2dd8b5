"""Logarithms of products over the weights of a chi-square mixture, against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from radgen._native import _saddle


@pytest.mark.parametrize("seed", range(30))
def test_log_of_a_product_is_the_sum_of_logs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, m = int(rng.integers(1, 70)), int(rng.integers(1, 300))
    w = 10 ** rng.uniform(-8, 3, m) * (rng.random(m) > 0.1)
    s = rng.normal(size=k) * 10 ** rng.uniform(-3, 3) + 1j * 10 ** rng.uniform(-9, 4, k)
    out = np.empty(k, np.complex128)
    _saddle.log_product(s, w, out)
    want = np.log(1.0 - 2.0 * np.multiply.outer(s, w)).sum(axis=1)
    assert np.abs(out - want).max() <= 1e-14 * max(1.0, np.abs(want).max())


def test_without_weights_the_log_is_zero() -> None:
    out = np.ones(3, np.complex128)
    _saddle.log_product(np.full(3, 0.1 + 1j), np.empty(0), out)
    assert (out == 0).all()


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        _saddle.log_product(np.full(3, 1j), np.ones(2), np.empty(2, np.complex128))
