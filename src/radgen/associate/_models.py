"""Pairs with a model of their own: logistic, Firth, proportional odds, negative binomial.

Effects and intervals come from the model of the pair. P-values come from the score test of the
null model with its t reference, because Wald and likelihood-ratio tests do not keep their level
with few events and several covariates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen.associate import _pairs
from radgen.associate._pairs import PairBlock, blank_block
from radgen.stats import linear
from radgen.stats.firth import firth_test
from radgen.stats.glm import logistic, logistic_residuals, score_scan
from radgen.stats.moderated import squeeze_variances
from radgen.stats.negbinom import negbinom, negbinom_residuals
from radgen.stats.ordinal import ordinal_logit, ordinal_residuals
from radgen.stats.tail import t_log10p, t_quantile

__all__ = [
    "Estimate",
    "class_block",
    "firth_block",
    "logistic_block",
    "moderated_block",
    "negbinom_block",
    "ordinal_block",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Effect of one predictor; `code` is an index into `_pairs.REASONS`."""

    effect: float = np.nan
    se: float = np.nan
    low: float = np.nan
    high: float = np.nan
    code: int = 0


_NO_COUNT = 1e-8
"""Expected counts below it belong to groups of zeros alone, whose log mean is minus infinity."""
_FAILED = Estimate(code=_pairs.NOT_CONVERGED)
Residuals = Callable[[Array, "Array | None"], Array]
Fit = Callable[[Array, Array, Array, float], Estimate]


def logistic_block(
    traits: Array, predictors: Array, z: Array | None, confidence: float
) -> PairBlock:
    """Maximum likelihood with Wald limits; Firth's estimate under separation."""
    return class_block(traits, predictors, z, confidence, residuals=logistic_residuals, fit=_plain)


def firth_block(traits: Array, predictors: Array, z: Array | None, confidence: float) -> PairBlock:
    """Firth's estimate with profile penalised-likelihood limits."""
    return class_block(traits, predictors, z, confidence, residuals=logistic_residuals, fit=_firth)


def ordinal_block(
    traits: Array, predictors: Array, z: Array | None, confidence: float
) -> PairBlock:
    """Proportional odds with Wald limits."""
    return class_block(traits, predictors, z, confidence, residuals=ordinal_residuals, fit=_ordinal)


def negbinom_block(
    traits: Array,
    predictors: Array,
    z: Array | None,
    confidence: float,
    *,
    offset: Array | None = None,
) -> PairBlock:
    """Negative-binomial model of counts with Wald limits; effect = log ratio of means.

    `offset` holds the log size factors of the samples, (n_samples,).
    """
    out = blank_block(predictors, traits)
    groups = linear.patterns(predictors)
    shift = np.zeros(len(traits)) if offset is None else offset
    for column in range(traits.shape[1]):
        known = np.isfinite(traits[:, column])
        for x_rows, x_cols in groups:
            rows = known & x_rows
            y = traits[rows, column]
            if not y.any():
                out.code[x_cols, column] = linear.CONSTANT_TRAIT
                continue
            sub_z = None if z is None else z[rows]
            residual = negbinom_residuals(y, sub_z, offset=shift[rows])
            if np.isnan(residual).any():
                out.code[x_cols, column] = _pairs.NOT_CONVERGED
                continue
            part = predictors[np.ix_(rows, x_cols)]
            score = score_scan(residual[:, None], part, sub_z)
            basis = linear.covariate_basis(sub_z, len(y))[:, 1:] * np.sqrt(len(y))
            _fill(out, column, x_cols, score)
            for place, target in enumerate(x_cols):
                if score.status[place, 0] != linear.OK:
                    continue
                design, spread = _design(part[:, place], basis)
                fit = negbinom(y, design, offset=shift[rows])
                found = _wald(fit.coef[-1] / spread, fit.se[-1] / spread, confidence)
                if fit.mean.min() < _NO_COUNT:
                    found = Estimate(code=_pairs.INFINITE)
                _write(out, target, column, found if fit.converged else _FAILED)
    return out


def moderated_block(
    traits: Array, predictors: Array, z: Array | None, confidence: float
) -> PairBlock:
    """Least squares with residual variances shrunk over the traits of the block."""
    out = _pairs.linear_block(traits, predictors, z, confidence)
    fit = linear.regress(traits, predictors, z)
    se, df, t = (np.full(fit.t.shape, np.nan) for _ in range(3))
    for row in range(len(fit.t)):
        fine = fit.status[row] == linear.OK
        variance = np.where(fine, fit.se[row] ** 2 * fit.predictor_ss[row], np.nan)
        squeezed = squeeze_variances(variance, fit.df[row])
        se[row] = np.sqrt(squeezed.variance / fit.predictor_ss[row])
        df[row], t[row] = squeezed.df_total, fit.effect[row] / se[row]
    half = t_quantile(0.5 + confidence / 2, df) * se
    return replace(
        out,
        se=se,
        ci_low=fit.effect - half,
        ci_high=fit.effect + half,
        statistic=t,
        df=df,
        log10p=t_log10p(t, df),
    )


def class_block(
    traits: Array,
    predictors: Array,
    z: Array | None,
    confidence: float,
    *,
    residuals: Residuals,
    fit: Fit,
) -> PairBlock:
    """Score tests from null models, and one fitted model a pair for effect and limits."""
    out = blank_block(predictors, traits)
    groups = linear.patterns(predictors)
    for column in range(traits.shape[1]):
        known = np.isfinite(traits[:, column])
        for x_rows, x_cols in groups:
            rows = known & x_rows
            y = traits[rows, column]
            if len(np.unique(y)) < 2:
                out.code[x_cols, column] = _pairs.ONE_CLASS
                continue
            sub_z = None if z is None else z[rows]
            residual = residuals(y, sub_z)
            if np.isnan(residual).any():
                out.code[x_cols, column] = _pairs.NOT_CONVERGED
                continue
            part = predictors[np.ix_(rows, x_cols)]
            score = score_scan(residual[:, None], part, sub_z)
            basis = linear.covariate_basis(sub_z, len(y))[:, 1:] * np.sqrt(len(y))
            _fill(out, column, x_cols, score)
            for place, target in enumerate(x_cols):
                if score.status[place, 0] != linear.OK:
                    continue
                _write(out, target, column, fit(y, part[:, place], basis, confidence))
    return out


def _fill(out: PairBlock, column: int, x_cols: NDArray[np.int64], score: linear.LinearFit) -> None:
    out.statistic[x_cols, column] = score.t[:, 0]
    out.df[x_cols, column] = score.df[:, 0]
    out.log10p[x_cols, column] = score.log10p[:, 0]
    out.code[x_cols, column] = score.status[:, 0]


def _write(out: PairBlock, row: int, column: int, estimate: Estimate) -> None:
    out.effect[row, column], out.se[row, column] = estimate.effect, estimate.se
    out.ci_low[row, column], out.ci_high[row, column] = estimate.low, estimate.high
    out.code[row, column] = estimate.code


def _design(x: Array, basis: Array) -> tuple[Array, float]:
    spread = float(x.std())
    return np.column_stack([np.ones(len(x)), basis, (x - x.mean()) / spread]), spread


def _plain(y: Array, x: Array, basis: Array, confidence: float) -> Estimate:
    design, spread = _design(x, basis)
    fit = logistic(y, design)
    if not fit.converged:
        found = _firth(y, x, basis, confidence)
        return Estimate(found.effect, found.se, found.low, found.high, _pairs.SEPARATED)
    return _wald(fit.coef[-1] / spread, fit.se[-1] / spread, confidence)


def _firth(y: Array, x: Array, basis: Array, confidence: float) -> Estimate:
    design, spread = _design(x, basis)
    if design.shape[1] >= len(y):
        return Estimate(code=linear.TOO_FEW)
    test = firth_test(y, design, design.shape[1] - 1, confidence=confidence)
    if not test.converged:
        return _FAILED
    return Estimate(
        test.effect / spread, test.se / spread, test.ci_low / spread, test.ci_high / spread
    )


def _ordinal(y: Array, x: Array, basis: Array, confidence: float) -> Estimate:
    design, spread = _design(x, basis)
    fit = ordinal_logit(y, design[:, 1:])
    if not fit.converged:
        return Estimate(code=_pairs.INFINITE)
    return _wald(fit.coef[-1] / spread, fit.se[-1] / spread, confidence)


def _wald(effect: float, se: float, confidence: float) -> Estimate:
    half = float(ndtri(0.5 + confidence / 2)) * se
    return Estimate(effect, se, effect - half, effect + half)
