"""Block regressions against statsmodels, pair by pair, with every kind of damage."""

from __future__ import annotations

import numpy as np
import pytest

from radgen.stats import linear
from radgen.stats.linear import regress


def _cohort(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = 60
    z = rng.normal(size=(n, 3))
    z = np.column_stack([z, z[:, 0] - 2 * z[:, 1], np.ones(n), rng.random(n) < 0.3])
    y = rng.normal(size=(n, 6)) + z[:, :1] + 1e3
    x = rng.normal(size=(n, 7)) + z[:, 1:2]
    x[:, 2] = rng.random(n) < 0.2
    x[:, 3] *= 1e-6
    y[rng.random(y.shape) < 0.08] = np.nan
    y[:, 0] = rng.normal(size=n)
    x[rng.random(n) < 0.1, 4] = np.nan
    x[3, 1] = 100
    y[3, 2] = np.nan
    return y, x, z


@pytest.mark.parametrize("robust", [False, True])
def test_equals_statsmodels(robust: bool) -> None:
    import statsmodels.api as sm

    y, x, z = _cohort()
    fit = regress(y, x, z, robust=robust)
    low, high = fit.interval(0.9)
    rank = np.linalg.matrix_rank(np.column_stack([np.ones(len(z)), z]))
    for i in range(x.shape[1]):
        for j in range(y.shape[1]):
            keep = np.isfinite(x[:, i]) & np.isfinite(y[:, j])
            scale = np.nanstd(x[keep, i])
            shift = np.nanmean(y[keep, j])
            design = np.column_stack(
                [x[keep, i] / scale, np.ones(keep.sum()), z[keep][:, [0, 1, 2, 5]]]
            )
            model = sm.OLS(y[keep, j] - shift, design).fit()
            if robust:
                model = model.get_robustcov_results("HC3", use_t=True)
            assert fit.n[i, j] == keep.sum()
            assert fit.df[i, j] == model.df_resid == keep.sum() - rank - 1
            np.testing.assert_allclose(
                fit.effect[i, j] * scale, model.params[0], rtol=1e-8, atol=1e-10
            )
            np.testing.assert_allclose(fit.se[i, j] * scale, model.bse[0], rtol=1e-8)
            np.testing.assert_allclose(10 ** fit.log10p[i, j], model.pvalues[0], rtol=1e-7)
            want = model.conf_int(0.1)[0]
            np.testing.assert_allclose([low[i, j] * scale, high[i, j] * scale], want, rtol=1e-6)


@pytest.mark.parametrize("robust", [False, True])
def test_a_pair_does_not_depend_on_its_company(robust: bool) -> None:
    y, x, z = _cohort(2)
    together = regress(y, x, z, robust=robust)
    for i in range(x.shape[1]):
        for j in range(y.shape[1]):
            alone = regress(y[:, [j]], x[:, [i]], z, robust=robust)
            np.testing.assert_allclose(alone.t[0, 0], together.t[i, j], rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(alone.log10p[0, 0], together.log10p[i, j], atol=1e-10)


def test_company_changes_nothing_within_1e12() -> None:
    rng = np.random.default_rng(4)
    y, x, z = rng.normal(size=(80, 9)), rng.normal(size=(80, 5)), rng.normal(size=(80, 4))
    y[rng.random(y.shape) < 0.05] = np.nan
    x[rng.random(x.shape) < 0.02] = np.nan
    together = regress(y, x, z)
    for j in range(y.shape[1]):
        alone = regress(y[:, [j]], x, z)
        np.testing.assert_allclose(alone.t[:, 0], together.t[:, j], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(alone.se[:, 0], together.se[:, j], rtol=1e-12)


def test_outlier_in_a_missing_row_costs_no_digits() -> None:
    rng = np.random.default_rng(5)
    y, x, z = rng.normal(size=(50, 2)), rng.normal(size=(50, 1)), rng.normal(size=(50, 3))
    x[7] = 1e9
    y[7, 0] = np.nan
    keep = np.arange(50) != 7
    want = regress(y[keep, :1], x[keep], z[keep])
    got = regress(y, x, z)
    np.testing.assert_allclose(got.t[0, 0], want.t[0, 0], rtol=1e-10)


def test_each_degenerate_pair_says_why() -> None:
    rng = np.random.default_rng(6)
    n = 30
    z = rng.normal(size=(n, 2))
    x = np.column_stack([rng.normal(size=n), np.full(n, 0.1), z @ [1, 2], np.full(n, np.nan)])
    y = np.column_stack([rng.normal(size=n), np.full(n, 1e8), z @ [3, 1.0], 2 * x[:, 0] + z[:, 0]])
    status = regress(y, x, z).status
    assert status[0].tolist() == [
        linear.OK,
        linear.CONSTANT_TRAIT,
        linear.EXPLAINED_TRAIT,
        linear.PERFECT_FIT,
    ]
    assert (status[1] == linear.CONSTANT_PREDICTOR).all()
    assert status[2, 0] == linear.COLLINEAR
    assert (status[3] == linear.TOO_FEW).all()
    fit = regress(y, x, z)
    assert np.isnan(fit.effect[1, 0])
    assert fit.log10p[0, 3] == -np.inf
    assert fit.effect[0, 3] == pytest.approx(2.0)


def test_a_mutation_without_carriers_left_is_constant() -> None:
    rng = np.random.default_rng(7)
    y = rng.normal(size=(40, 2))
    x = np.zeros((40, 1))
    x[:3] = 1
    y[:3, 0] = np.nan
    fit = regress(y, x, rng.normal(size=(40, 2)))
    assert fit.status[0].tolist() == [linear.CONSTANT_PREDICTOR, linear.OK]


def test_missing_covariates_drop_the_sample() -> None:
    rng = np.random.default_rng(8)
    y, x, z = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    z[4, 1] = np.nan
    keep = np.arange(30) != 4
    np.testing.assert_array_equal(regress(y, x, z).t, regress(y[keep], x[keep], z[keep]).t)


def test_robust_error_needs_more_than_one_carrier() -> None:
    rng = np.random.default_rng(9)
    y, x = rng.normal(size=(30, 1)), np.zeros((30, 1))
    x[4] = 1
    fit = regress(y, x, robust=True)
    assert fit.status[0, 0] == linear.LEVERAGE
    assert np.isnan(fit.se[0, 0])
    assert regress(y, x).status[0, 0] == linear.OK


def test_compiled_pass_equals_the_definitions() -> None:
    """Columns are alone complete and then together with a missing value: two code paths."""
    rng = np.random.default_rng(10)
    for n in (4, 12, 40, 700):
        y, x = rng.normal(size=(n, 300)) + 50, rng.normal(size=(n, 5))
        x[:, 0] = y[:, 7] * 1e-4 + 1e-9 * x[:, 0]
        x[:, 1] = y[:, 8] + 1e-3 * x[:, 1]
        x[:, 2] = 1.5
        fast = regress(y, x)
        holed = np.column_stack([y, np.where(np.arange(n) == 0, np.nan, y[:, 0])])
        slow = regress(holed, x)
        np.testing.assert_array_equal(fast.status, slow.status[:, :-1])
        for name in ("effect", "t", "se", "log10p"):
            # The residual of a nearly exact fit is a difference: its digits are few.
            got, want = getattr(fast, name)[1:], getattr(slow, name)[1:, :-1]
            np.testing.assert_allclose(got, want, rtol=2e-9, atol=1e-12)
        ordinary = np.abs(fast.t) < 1e3
        np.testing.assert_allclose(
            fast.log10p[ordinary], slow.log10p[:, :-1][ordinary], rtol=1e-11, atol=1e-12
        )


def test_blocks_and_threads_change_nothing() -> None:
    rng = np.random.default_rng(11)
    y, x, z = rng.normal(size=(60, 9)), rng.normal(size=(60, 23)), rng.normal(size=(60, 3))
    z[5, 0] = np.nan
    x[3, 17] = np.nan
    for traits in (y, np.where(rng.random(y.shape) < 0.05, np.nan, y)):
        want = regress(traits, x, z)
        for threads in (1, 2):
            blocks = linear.regress_blocks(traits, x, z, block_size=4, threads=threads)
            seen = 0
            for start, stop, fit in blocks:
                assert start == seen
                seen = stop
                for name in ("effect", "se", "t", "df", "log10p", "n", "status"):
                    want_part = getattr(want, name)[start:stop]
                    np.testing.assert_allclose(
                        getattr(fit, name), want_part, rtol=1e-11, atol=1e-13
                    )
            assert seen == 23


def test_rows_that_carry_the_covariates_may_be_missing() -> None:
    """The known rows span less of the covariates than all rows, or hardly any of them."""
    rng = np.random.default_rng(12)
    y, x, z = rng.normal(size=(40, 4)), rng.normal(size=(40, 6)), rng.normal(size=(40, 3))
    z[:, 1] = 0
    z[:3, 1] = 1, 2, 3
    z[:, 2] *= np.where(np.arange(40) < 8, 1e4, 1)
    y[:3, 0] = np.nan
    y[:8, 1] = np.nan
    y[:30, 2] = np.nan
    got = regress(y, x, z)
    for j in range(4):
        keep = np.isfinite(y[:, j])
        want = regress(y[keep, j : j + 1], x[keep], z[keep])
        np.testing.assert_allclose(got.t[:, j], want.t[:, 0], rtol=1e-9)
        np.testing.assert_array_equal(got.df[:, j], want.df[:, 0])


@pytest.mark.parametrize("side", ["traits", "predictors"])
@pytest.mark.parametrize(("n", "share"), [(60, 0.03), (60, 0.3), (40, 0.5)])
def test_gaps_of_one_side_equal_statsmodels(side: str, n: int, share: float) -> None:
    """Few and many missing values, more columns than the compiled passes take at a time."""
    import statsmodels.api as sm

    rng = np.random.default_rng(21)
    z = rng.normal(size=(n, 6))
    x, y = rng.normal(size=(n, 41)) + z[:, :1] + 30, rng.normal(size=(n, 270)) - 7
    y[:, :3] += 3 * x[:, :1]  # tails beyond those of the polynomial
    holed = y if side == "traits" else x
    holed[rng.random(holed.shape) < share] = np.nan
    holed[:, 4] = np.where(np.isfinite(holed[:, 4]), holed[:, 4], 0.5)
    fit = regress(y, x, z)
    assert (fit.status == linear.OK).all()
    pairs = [(0, 0), (0, 1), (40, 269), (32, 256), (31, 255), (4, 4), (5, 4), (4, 5)]
    for i, j in pairs + [(int(rng.integers(41)), int(rng.integers(270))) for _ in range(60)]:
        keep = np.isfinite(x[:, i]) & np.isfinite(y[:, j])
        design = np.column_stack([np.ones(n), z, x[:, i]])[keep]
        want = sm.OLS(y[keep, j], design).fit()
        assert (fit.n[i, j], fit.df[i, j]) == (keep.sum(), want.df_resid)
        scale = want.bse[-1]
        assert fit.effect[i, j] == pytest.approx(want.params[-1], rel=1e-9, abs=1e-9 * scale)
        assert fit.se[i, j] == pytest.approx(scale, rel=1e-9)
        assert fit.log10p[i, j] == pytest.approx(np.log10(want.pvalues[-1]), rel=1e-9, abs=1e-9)
        left = sm.OLS(x[keep, i], design[:, :-1]).fit().ssr
        assert fit.predictor_ss[i, j] == pytest.approx(left, rel=1e-9)


def test_blocks_that_are_held_are_not_written_again() -> None:
    rng = np.random.default_rng(22)
    y, x = rng.normal(size=(30, 11)), rng.normal(size=(30, 40))
    held = [(a, fit.t) for a, _, fit in linear.regress_blocks(y, x, block_size=4, threads=2)]
    want = regress(y, x).t
    for start, t in held:
        np.testing.assert_allclose(t, want[start : start + 4], rtol=1e-11)
