"""Log tails against 60-digit arithmetic, and against the definitions."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from radgen.stats.tail import (
    chi2_log10p,
    f_log10p,
    from_log10p,
    log10p_to_z,
    normal_log10p,
    t_log10p,
    t_quantile,
)


def _mp_t(t: float, df: float) -> float:
    with mpmath.workdps(40):
        x = mpmath.mpf(df) / (mpmath.mpf(df) + mpmath.mpf(t) ** 2)
        a, b = mpmath.mpf(df) / 2, mpmath.mpf(1) / 2
        if x > 0.99:
            return float(mpmath.log10(mpmath.betainc(a, b, 0, x, regularized=True)))
        # The positive series of the incomplete beta function (DLMF 8.17.8), term by term.
        term = total = mpmath.mpf(1)
        k = 0
        while term > total * mpmath.mpf(10) ** -38:
            term *= (a + b + k) * x / (a + 1 + k)
            total += term
            k += 1
        front = a * mpmath.log(x) + b * mpmath.log(1 - x) - mpmath.log(a)
        log_beta = mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)
        return float((front - log_beta + mpmath.log(total)) / mpmath.log(10))


@pytest.mark.parametrize("df", [1, 2, 5, 31, 499, 1e4, 1e6])
@pytest.mark.parametrize("t", [1e-8, 0.3, 2.0, 5.5, 38.0, 200.0, 1e3])
def test_t_equals_mpmath(t: float, df: float) -> None:
    want = _mp_t(t, df)
    got = float(t_log10p(t, df))
    # 1e-11 relative in p is 5e-12 in log10 p; the relative part covers log10 p of -200,000.
    assert got == pytest.approx(want, rel=2e-14, abs=5e-12)
    assert float(t_log10p(-t, df)) == got


@pytest.mark.parametrize("df1", [1, 3, 40, 2000])
@pytest.mark.parametrize("df2", [2, 30, 5e4])
@pytest.mark.parametrize("f", [0.2, 3.0, 400.0, 1e5])
def test_f_equals_mpmath(f: float, df1: float, df2: float) -> None:
    with mpmath.workdps(40):
        x = mpmath.mpf(df2) / (mpmath.mpf(df2) + mpmath.mpf(df1) * mpmath.mpf(f))
        half = mpmath.mpf(df2) / 2, mpmath.mpf(df1) / 2
        if x > half[0] / (half[0] + half[1]):  # its series is short on the side of the small tail
            p = 1 - mpmath.betainc(half[1], half[0], 0, 1 - x, regularized=True)
        else:
            p = mpmath.betainc(*half, 0, x, regularized=True)
        want = float(mpmath.log10(p))
    assert float(f_log10p(f, df1, df2)) == pytest.approx(want, rel=1e-13, abs=5e-12)


@pytest.mark.parametrize("df", [1, 2, 7, 100, 5000])
@pytest.mark.parametrize("x", [0.01, 3.84, 120.0, 2000.0, 3e5])
def test_chi2_equals_mpmath(x: float, df: float) -> None:
    with mpmath.workdps(40):
        p = mpmath.gammainc(mpmath.mpf(df) / 2, mpmath.mpf(x) / 2, mpmath.inf, regularized=True)
        want = float(mpmath.log10(p))
    assert float(chi2_log10p(x, df)) == pytest.approx(want, rel=1e-13, abs=1e-11)


@pytest.mark.parametrize("z", [0.0, 1.0, 5.0, 37.0, 39.0, 1e3])
def test_normal_equals_mpmath(z: float) -> None:
    with mpmath.workdps(40):
        want = float(mpmath.log10(mpmath.erfc(mpmath.mpf(z) / mpmath.sqrt(2))))
    assert float(normal_log10p(z)) == pytest.approx(want, rel=1e-13, abs=1e-13)


def test_one_sided_halves_sum_to_one() -> None:
    t = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    total = from_log10p(t_log10p(t, 7, two_sided=False)) + from_log10p(
        t_log10p(-t, 7, two_sided=False)
    )
    np.testing.assert_allclose(total, 1.0, rtol=1e-14)
    np.testing.assert_allclose(
        from_log10p(t_log10p(t, 7, two_sided=False)), 1 - special.stdtr(7, t), rtol=1e-13
    )
    np.testing.assert_allclose(
        from_log10p(normal_log10p(t, two_sided=False)), special.ndtr(-t), rtol=1e-13
    )


def test_degenerate_values() -> None:
    assert np.isnan(t_log10p(np.nan, 5))
    assert np.isnan(t_log10p(1.0, 0))
    assert np.isnan(f_log10p(1.0, -1, 3))
    assert np.isnan(chi2_log10p(1.0, 0))
    assert float(t_log10p(np.inf, 5)) == -np.inf
    assert float(t_log10p(0.0, 5)) == 0.0
    assert float(f_log10p(np.inf, 3, 5)) == -np.inf
    assert float(chi2_log10p(np.inf, 5)) == -np.inf
    assert float(chi2_log10p(-1.0, 5)) == 0.0


@settings(max_examples=60, deadline=None)
@given(t=st.floats(0, 1e4), df=st.floats(1, 1e6), step=st.floats(1.001, 2))
def test_t_falls_with_t(t: float, df: float, step: float) -> None:
    assert float(t_log10p(t * step, df)) <= float(t_log10p(t, df)) + 1e-12


def test_z_is_inverse_of_the_tail() -> None:
    z = np.array([0.0, 0.1, 3.0, 30.0, 40.0, 500.0])
    np.testing.assert_allclose(log10p_to_z(normal_log10p(z)), z, atol=1e-9, rtol=1e-10)
    assert np.isnan(log10p_to_z([np.nan, -1.0])[0])


def test_t_quantile_inverts_the_tail() -> None:
    df = np.array([1.0, 4.0, 31.0, 1e5])
    np.testing.assert_allclose(from_log10p(t_log10p(t_quantile(0.975, df), df)), 0.05, rtol=1e-10)


@pytest.mark.parametrize("df", [1.0, 2.0, 7.0, 31.0, 488.0, 5000.0, 1e5])
def test_many_values_give_what_few_give(df: float) -> None:
    t = np.concatenate([[0.0, np.nan, np.inf], 10 ** np.linspace(-5, 4, 25_000)])
    few = np.concatenate([t_log10p(part, df) for part in np.array_split(t, 5)])
    many = t_log10p(t, df)
    np.testing.assert_allclose(many, few, rtol=1e-12, atol=1e-12)
    mixed = t_log10p(t, np.where(np.arange(len(t)) == 5, np.nan, df))
    np.testing.assert_array_equal(np.delete(mixed, 5), np.delete(many, 5))
    assert np.isnan(mixed[5])


def test_many_values_of_many_df_give_what_one_gives() -> None:
    rng = np.random.default_rng(3)
    for df in (rng.integers(1, 30, 30_000).astype(float), rng.choice([2.5, 71.25, 9e4], 30_000)):
        t = rng.standard_t(3, 30_000) * 4
        t[:3] = 0.0, np.nan, -np.inf
        df[3] = np.nan
        few = np.concatenate(
            [t_log10p(a, b) for a, b in zip(np.split(t, 6), np.split(df, 6), strict=True)]
        )
        np.testing.assert_allclose(t_log10p(t, df), few, rtol=1e-12, atol=1e-12)
