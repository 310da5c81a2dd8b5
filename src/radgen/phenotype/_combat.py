"""The arithmetic of ComBat: location and scale of batches, shrunk by empirical Bayes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError
from radgen.stats.smooth import SplineBasis, fit_smooth

__all__ = ["BatchEffect", "Standard", "estimate_effect", "standardise", "tie_share"]

FloatArray = NDArray[np.float64]
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Standard:
    """What standardises the features: fitted on the training rows.

    Attributes
    ----------
    grand_mean, scale : float64 (p,)
        Mean over batches (or of the reference batch) and pooled residual SD.
    slopes : float64 (n_covariates, p)
        Effects of the kept covariates.
    """

    grand_mean: FloatArray
    scale: FloatArray
    slopes: FloatArray

    def expected(self, covariates: FloatArray) -> FloatArray:
        """Return the part of the values that is kept, (n, p)."""
        return np.asarray(self.grand_mean + covariates @ self.slopes, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class BatchEffect:
    """Shift and variance factor of one batch on the standardised scale, (p,) each."""

    shift: FloatArray
    factor: FloatArray


def standardise(
    values: FloatArray,
    batch: NDArray[np.int64],
    covariates: FloatArray,
    n_batches: int,
    reference: int | None,
    *,
    bases: Sequence[SplineBasis] = (),
) -> Standard:
    """Return the standardisation of ComBat's first step.

    The last columns of `covariates` are the `bases` of smooth covariates, side by side.

    Raises
    ------
    FitError
        If batches and covariates are confounded.
    """
    indicator = np.zeros((len(values), n_batches))
    indicator[np.arange(len(values)), batch] = 1.0
    if reference is not None:
        indicator[:, reference] = 1.0
    design = np.hstack((indicator, covariates))
    rank = int(np.linalg.matrix_rank(design))
    if rank < design.shape[1]:
        raise FitError(
            f"Batches and kept covariates are confounded: {design.shape[1]} columns have rank "
            f"{rank}. A covariate that is constant, or that is known from the batch, cannot be "
            "kept; leave it out.",
            diagnostics={"rank": rank, "columns": design.shape[1]},
        )
    if bases:
        width = [len(basis.penalty) for basis in bases]
        cut = np.cumsum([design.shape[1] - sum(width), *width])
        parts = [design[:, a:b] for a, b in pairwise(cut)]
        penalties = [basis.penalty for basis in bases]
        coefficients = fit_smooth(values, design[:, : cut[0]], parts, penalties)[0]
    else:
        coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
    residual = values - design @ coefficients
    if reference is None:
        share = np.bincount(batch, minlength=n_batches) / len(values)
        grand = share @ coefficients[:n_batches]
        variance = (residual**2).mean(axis=0)
    else:
        grand = coefficients[reference]
        variance = (residual[batch == reference] ** 2).mean(axis=0)
    return Standard(grand, np.sqrt(variance), coefficients[n_batches:])


def tie_share(values: FloatArray) -> FloatArray:
    """Return the share of pairs of rows that are equal, for each column, (p,)."""
    ordered = np.sort(values, axis=0)
    n = len(ordered)
    first = np.ones(values.shape, dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    run = np.arange(n)[:, None]
    start = np.maximum.accumulate(np.where(first, run, 0), axis=0)
    return np.asarray((run - start).sum(axis=0) / max(n * (n - 1) / 2, 1))


def estimate_effect(
    standard_values: FloatArray,
    *,
    parametric: bool,
    eb: bool,
    mean_only: bool,
    tolerance: float,
    max_iter: int,
) -> BatchEffect:
    """Return shift and variance factor of one batch from its standardised rows (n, p)."""
    shift = standard_values.mean(axis=0)
    p = len(shift)
    factor = np.ones(p) if mean_only else standard_values.var(axis=0, ddof=1)
    if not eb or p < 2:
        return BatchEffect(shift, factor)
    if not parametric:
        return _by_integration(standard_values, shift, factor)
    prior_mean, prior_variance = float(shift.mean()), float(shift.var(ddof=1))
    if mean_only:
        return BatchEffect((prior_variance * shift + prior_mean) / (prior_variance + 1), factor)
    spread = float(factor.var(ddof=1))
    if spread <= 0 or prior_variance <= 0:
        return BatchEffect(shift, factor)
    middle = float(factor.mean())
    prior = (
        prior_mean,
        prior_variance,
        (2 * spread + middle**2) / spread,
        (middle * spread + middle**3) / spread,
    )
    return _by_iteration(standard_values, shift, factor, prior, tolerance, max_iter=max_iter)


def _by_iteration(
    values: FloatArray,
    shift_hat: FloatArray,
    factor_hat: FloatArray,
    prior: tuple[float, float, float, float],
    tolerance: float,
    *,
    max_iter: int,
) -> BatchEffect:
    mean, variance, a, b = prior
    n = len(values)
    squares, total = (values**2).sum(axis=0), values.sum(axis=0)
    shift, factor = shift_hat, factor_hat
    for _ in range(max_iter):
        new_shift = (n * variance * shift_hat + factor * mean) / (n * variance + factor)
        rest = squares - 2 * new_shift * total + n * new_shift**2
        new_factor = (0.5 * rest + b) / (n / 2 + a - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = max(
                float(np.nanmax(np.abs(new_shift - shift) / shift)),
                float(np.nanmax(np.abs(new_factor - factor) / factor)),
            )
        shift, factor = new_shift, new_factor
        if moved <= tolerance:
            return BatchEffect(shift, factor)
    raise FitError(
        f"ComBat's empirical Bayes did not converge in {max_iter} steps.",
        diagnostics={"last_change": moved},
    )


def _by_integration(values: FloatArray, shift: FloatArray, factor: FloatArray) -> BatchEffect:
    n, p = values.shape
    squares, total = (values**2).sum(axis=0), values.sum(axis=0)
    usable = factor > 0
    safe = np.where(usable, factor, 1.0)
    new_shift, new_factor = np.empty(p), np.empty(p)
    for start in range(0, p, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, p))
        rest = squares[rows, None] - 2 * total[rows, None] * shift + n * shift**2
        log_weight = -0.5 * n * np.log(2 * np.pi * safe) - rest / (2 * safe)
        log_weight[:, ~usable] = -np.inf
        log_weight[np.arange(len(rows)), rows] = -np.inf
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        new_shift[rows], new_factor[rows] = weight @ shift, weight @ factor
    return BatchEffect(new_shift, new_factor)
