"""Null rejections of every test at n = 40 with 8 covariates; the long run is in verification/."""

from __future__ import annotations

import numpy as np
import pytest

import null_calibration as null

DRAWS = 600
FEW = 150
"""Of tests whose fit takes milliseconds; verification/null_calibration.py draws 10,000 of each."""
SLOW = ("negbinom", "mixed, patient", "mixed, lesion", "cox", "logistic, modifier")


@pytest.mark.parametrize("name", null.NAMES)
def test_null_rejections_lie_in_the_binomial_band(name: str) -> None:
    draws = FEW if name in SLOW else DRAWS
    p = null.collect(name, draws, 40, 7)
    for level in null.LEVELS:
        count = int(np.sum(p <= level))
        fine, low, high = null.verdict(name, count, draws, level)
        assert fine, f"{name}: {count} of {draws} at {level}, band {low}-{high}"


def test_names_of_slow_tests_are_known() -> None:
    assert set(SLOW) <= set(null.NAMES)


def test_power_of_the_linear_test_is_the_theoretical_one() -> None:
    from scipy import stats

    from radgen.stats.linear import regress

    rng = np.random.default_rng(1)
    n, effect, draws = 60, 0.4, 2000
    z = rng.normal(size=(n, 8))
    x = rng.normal(size=(n, 1))
    y = effect * x + rng.normal(size=(n, draws))
    power = np.mean(regress(y, x, z).log10p <= np.log10(0.05))
    basis = np.column_stack([np.ones(n), z])
    left = x - basis @ np.linalg.lstsq(basis, x, rcond=None)[0]
    df = n - 10
    shift = effect * np.sqrt(float((left**2).sum()))
    limit = stats.t.isf(0.025, df)
    want = stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift)
    assert abs(power - want) < 4 * np.sqrt(want * (1 - want) / draws)
