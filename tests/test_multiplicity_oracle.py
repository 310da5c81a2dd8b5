"""Adjusted p-values against statsmodels, hand values and the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen.errors import InputError
from radgen.stats import multiplicity as mt

NAMES = {"bonferroni": mt.bonferroni, "holm": mt.holm, "fdr_bh": mt.bh, "fdr_by": mt.by}


@pytest.mark.parametrize("name", NAMES)
def test_equals_statsmodels(name: str) -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(0)
    p = np.concatenate([rng.random(90) ** 3, [0.0, 1.0, 0.2, 0.2, 0.2]])
    np.testing.assert_allclose(NAMES[name](p), multipletests(p, method=name)[1], rtol=1e-12)


@pytest.mark.parametrize("function", [*NAMES.values(), mt.storey])
def test_missing_p_is_not_a_test(function) -> None:  # type: ignore[no-untyped-def]
    p = np.array([[0.01, np.nan], [0.04, 0.2]])
    known = ~np.isnan(p)
    got = function(p)
    assert got.shape == p.shape
    assert np.isnan(got[0, 1])
    np.testing.assert_allclose(got[known], function(p[known]))
    assert function(np.array([])).shape == (0,)
    assert np.isnan(function(np.array([np.nan]))).all()


def test_outside_of_the_unit_interval_is_refused() -> None:
    with pytest.raises(InputError, match="lie in"):
        mt.bh([0.1, 1.2])
    with pytest.raises(InputError, match="lie in"):
        mt.bonferroni([-0.1])


def _reject(p: np.ndarray, label: np.ndarray, alpha: float) -> np.ndarray:
    """The two-level procedure as it is defined, at one level."""
    names = np.unique(label)
    simes = np.array([mt.hommel_simes(p[label == name]) for name in names])
    chosen = names[mt.bh(simes) <= alpha]
    out = np.zeros(len(p), dtype=bool)
    for name in chosen:
        rows = label == name
        out[rows] = mt.bh(p[rows]) <= alpha * len(chosen) / len(names)
    return out


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), alpha=st.floats(0.001, 0.6))
def test_hierarchical_q_is_the_level_of_rejection(seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 6, 50)
    p = rng.random(50) ** rng.choice([1, 4, 8], 50)
    got = mt.hierarchical(p, label) <= alpha
    np.testing.assert_array_equal(got, _reject(p, label, alpha))


def test_storey_share_of_nulls() -> None:
    rng = np.random.default_rng(3)
    p = np.concatenate([rng.random(8000), rng.random(2000) * 1e-4])
    assert mt.storey_pi0(p) == pytest.approx(0.8, abs=0.03)
    assert mt.storey_pi0(p, method="fixed") == pytest.approx(0.8, abs=0.03)
    np.testing.assert_allclose(mt.storey(p, pi0=1.0), mt.bh(p))
    assert mt.storey_pi0(rng.random(20)) == 1.0
    assert mt.storey_pi0(np.full(200, 1e-5)) == pytest.approx(1 / 200)
