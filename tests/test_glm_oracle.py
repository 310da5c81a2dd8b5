"""Logistic, Firth and ordinal models against statsmodels, closed forms and naive maximisers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from radgen.errors import InputError
from radgen.stats.firth import firth, firth_test
from radgen.stats.glm import (
    full_rank,
    likelihood_ratio_log10p,
    logistic,
    logistic_residuals,
    score_scan,
)
from radgen.stats.ordinal import ordinal_logit, ordinal_residuals


def _draw(seed: int = 0, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 3)), rng.random(n) < 0.3])
    y = (rng.random(n) < special.expit(x @ [-0.5, 1.0, 0, 0.3, 0.8])).astype(float)
    return y, x


def test_logistic_equals_statsmodels() -> None:
    import statsmodels.api as sm

    y, x = _draw()
    fit, want = logistic(y, x), sm.Logit(y, x).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(fit.coef, want.params, rtol=1e-8)
    np.testing.assert_allclose(fit.se, want.bse, rtol=1e-8)
    np.testing.assert_allclose(10 ** fit.wald_log10p(), want.pvalues, rtol=1e-7)
    assert fit.log_likelihood == pytest.approx(want.llf, rel=1e-12)
    reduced = logistic(y, x[:, :-1])
    want_lr = 2 * (want.llf - sm.Logit(y, x[:, :-1]).fit(disp=0).llf)
    assert 10 ** likelihood_ratio_log10p(fit, reduced) == pytest.approx(
        special.chdtrc(1, want_lr), rel=1e-7
    )


def test_separation_is_seen() -> None:
    x = np.column_stack([np.ones(20), np.arange(20.0)])
    assert logistic((np.arange(20) > 9).astype(float), x).separated
    quasi = np.column_stack([np.ones(20), np.arange(20) < 3])
    y = np.tile([0.0, 1.0], 10)
    y[:3] = 1
    assert logistic(y, quasi).separated
    assert not logistic(np.tile([0.0, 1.0], 10), x).separated


def test_firth_in_a_fourfold_table_adds_one_half() -> None:
    for a, b, c, d in [(3, 1, 0, 4), (0, 5, 7, 2), (10, 3, 4, 8), (0, 6, 5, 0)]:
        y = np.repeat([1, 0, 1, 0], [a, b, c, d]).astype(float)
        x = np.column_stack([np.ones(len(y)), np.repeat([1, 1, 0, 0], [a, b, c, d])])
        want = np.log((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)))
        assert firth(y, x).coef[1] == pytest.approx(want, rel=1e-8)


def test_firth_is_the_maximum_of_its_penalised_likelihood() -> None:
    from scipy.optimize import brentq, minimize

    y, x = _draw(3, 40)

    def naive(b: np.ndarray) -> float:
        eta = x @ b
        p = special.expit(eta)
        info = x.T @ np.diag(p * (1 - p)) @ x
        return -float(np.sum(y * eta - np.log1p(np.exp(eta))) + 0.5 * np.linalg.slogdet(info)[1])

    best = minimize(naive, np.zeros(5), method="BFGS", options={"gtol": 1e-9})
    fit = firth(y, x)
    np.testing.assert_allclose(fit.coef, best.x, atol=1e-5)
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-9)
    test = firth_test(y, x, 1)

    def profile(at: float) -> float:
        rest = [0, 2, 3, 4]

        def inner(free: np.ndarray) -> float:
            b = np.empty(5)
            b[1], b[rest] = at, free
            return naive(b)

        return -minimize(inner, fit.coef[rest], method="BFGS", options={"gtol": 1e-9}).fun

    assert test.chi2 == pytest.approx(2 * (fit.log_likelihood - profile(0.0)), abs=1e-7)
    drop = special.chdtri(1, 0.05) / 2
    top = fit.log_likelihood
    high = brentq(lambda b: profile(b) - top + drop, fit.coef[1], fit.coef[1] + 5)
    low = brentq(lambda b: profile(b) - top + drop, fit.coef[1] - 5, fit.coef[1])
    assert (test.ci_low, test.ci_high) == pytest.approx((low, high), abs=1e-5)


def test_firth_is_finite_under_separation_and_refuses_lost_rank() -> None:
    x = np.column_stack([np.ones(20), np.arange(20.0)])
    test = firth_test((np.arange(20) > 9).astype(float), x, 1)
    assert 0 < test.ci_low < test.effect < np.inf
    with pytest.raises(InputError, match="rank"):
        firth(np.tile([0.0, 1.0], 10), np.column_stack([x, x[:, 1]]))


def test_ordinal_equals_statsmodels() -> None:
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    rng = np.random.default_rng(4)
    x = rng.normal(size=(150, 3))
    y = np.digitize(x @ [0.8, 0, -0.4] + rng.logistic(size=150), [-1.5, 0, 0.7]) * 2 + 1
    want = OrderedModel(y, x, distr="logit").fit(method="bfgs", disp=0, gtol=1e-7, maxiter=500)
    fit = ordinal_logit(y, x)
    assert fit.converged
    np.testing.assert_allclose(fit.coef, want.params[:3], atol=1e-6)
    np.testing.assert_allclose(fit.se, want.bse[:3], rtol=1e-4)
    assert fit.log_likelihood == pytest.approx(want.llf, abs=1e-8)


def test_ordinal_with_two_classes_is_logistic() -> None:
    y, x = _draw(5)
    fit, want = ordinal_logit(y, x[:, 1:]), logistic(y, x)
    np.testing.assert_allclose(fit.coef, want.coef[1:], rtol=1e-7)
    np.testing.assert_allclose(fit.se, want.se[1:], rtol=1e-7)
    with pytest.raises(InputError, match="two or more classes"):
        ordinal_logit(np.zeros(5))


def test_score_residuals_are_orthogonal_to_the_covariates() -> None:
    y, x = _draw(6)
    z = np.column_stack([x[:, 1:], x[:, 1] + x[:, 2]])
    for residual in (logistic_residuals(y, z), ordinal_residuals(y + (x[:, 2] > 0), z)):
        np.testing.assert_allclose(z.T @ residual, 0, atol=1e-6)
        assert abs(residual.sum()) < 1e-6


def test_score_test_approaches_the_likelihood_ratio() -> None:
    rng = np.random.default_rng(7)
    n = 20_000
    z, x = rng.normal(size=(n, 2)), rng.normal(size=(n, 1))
    y = (rng.random(n) < special.expit(0.05 * x[:, 0] + z[:, 0])).astype(float)
    score = score_scan(logistic_residuals(y, z)[:, None], x, z)
    full = logistic(y, np.column_stack([np.ones(n), z, x]))
    assert score.t[0, 0] == pytest.approx(full.coef[-1] / full.se[-1], rel=0.05)


def test_first_of_dependent_columns_stays() -> None:
    x = np.column_stack([np.ones(6), np.arange(6), 2 * np.arange(6) + 1, np.zeros(6)])
    assert full_rank(x).tolist() == [True, True, False, False]
