"""Linear models with a random intercept per subject, for many responses at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.stats._golden import minimise_columns

__all__ = ["RandomIntercept", "fit_random_intercept"]

FloatArray = NDArray[np.float64]
_LOWEST, _HIGHEST = -14.0, 14.0
_ZERO = 1e-6


@dataclass(frozen=True, eq=False)
class RandomIntercept:
    """REML fits of ``y = x b + u[subject] + e``, a column a response.

    Attributes
    ----------
    coefficients : float64 (n_columns, n_responses)
        Generalised least squares at the estimated variances.
    subject_variance, residual_variance : float64 (n_responses,)
        REML estimates; the first is 0 where subjects do not differ beyond chance.
    intercepts : float64 (n_subjects, n_responses)
        Predicted intercepts (BLUP), subjects in the order of `subjects`.
    subjects : tuple
        Distinct subjects, sorted.
    log_likelihood : float64 (n_responses,)
        Restricted log-likelihood.
    """

    coefficients: FloatArray
    subject_variance: FloatArray
    residual_variance: FloatArray
    intercepts: FloatArray
    subjects: tuple[Any, ...]
    log_likelihood: FloatArray

    def shrinkage(self, n_rows: NDArray[Any]) -> FloatArray:
        """Return by how much a subject's mean residual of `n_rows` rows is kept, (k, p)."""
        ratio = self.subject_variance / self.residual_variance
        n = np.asarray(n_rows, dtype=np.float64)[:, None]
        return np.asarray(n * ratio / (1 + n * ratio))


@dataclass(frozen=True, eq=False)
class _Sums:
    """Cross products, whole and of subject means, put together by rows per subject."""

    n: int
    sizes: FloatArray
    counts: FloatArray
    xx: FloatArray
    xy: FloatArray
    yy: FloatArray
    xx_by: FloatArray
    xy_by: FloatArray
    yy_by: FloatArray

    def weigh(self, ratio: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return X'WX (p, q, q), X'Wy (p, q), y'Wy and log|V| for a ratio per response."""
        w = ratio[:, None] / (1 + ratio[:, None] * self.sizes)
        xx = self.xx - np.einsum("pk,kab->pab", w, self.xx_by)
        xy = self.xy.T - np.einsum("pk,kap->pa", w, self.xy_by)
        yy = self.yy - np.einsum("pk,kp->p", w, self.yy_by)
        return xx, xy, yy, np.log1p(ratio[:, None] * self.sizes) @ self.counts


def fit_random_intercept(y: Any, x: Any, subjects: Any) -> RandomIntercept:
    """Return REML fits of a random-intercept model to each column of `y`.

    Parameters
    ----------
    y : float (n_rows, n_responses)
        Responses, complete.
    x : float (n_rows, n_columns)
        Design, of full rank; it holds the intercept.
    subjects : array-like (n_rows,)
        Who each row is of.

    Returns
    -------
    RandomIntercept
        Estimates of each response.

    Raises
    ------
    InputError
        If lengths differ, values are missing, the design lacks rank, or no subject has two
        rows (the variances can then not be told apart).

    Notes
    -----
    With V = I + r ZZ' per response, V^-1 is known in closed form from the rows per subject, so a
    fit costs little more than cross products. The restricted likelihood is profiled over r =
    subject variance / residual variance and searched on a logarithmic scale.

    References
    ----------
    Laird & Ware 1982, doi:10.2307/2529876.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> subject = np.repeat(np.arange(60), 4)
    >>> y = 2.0 * rng.normal(size=60)[subject] + rng.normal(size=240)
    >>> fit = fit_random_intercept(y[:, None], np.ones((240, 1)), subject)
    >>> fit.subject_variance.round(1).tolist(), fit.residual_variance.round(1).tolist()
    ([3.4], [1.0])
    """
    values, design = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    labels = np.asarray(subjects)
    _check(values, design, labels)
    names, code = np.unique(labels, return_inverse=True)
    size = np.bincount(code).astype(np.float64)
    if size.max() < 2:
        raise InputError(
            "No subject has two rows: the variance between subjects cannot be told from the "
            "variance within them."
        )
    sums = _sums(values, design, code, size)
    ratio = _ratio(sums, values.shape[1])
    xx, xy, yy, log_det = sums.weigh(ratio)
    beta = np.linalg.solve(xx, xy[:, :, None])[:, :, 0]
    free = sums.n - design.shape[1]
    residual = np.asarray((yy - (beta * xy).sum(axis=1)) / free, dtype=np.float64)
    totals = _by_subject(values - design @ beta.T, code, len(size))
    blup = totals * (ratio / (1 + np.outer(size, ratio)))
    log_likelihood = -0.5 * (
        free * (np.log(2 * np.pi * residual) + 1) + log_det + np.linalg.slogdet(xx)[1]
    )
    return RandomIntercept(
        np.asarray(beta.T), ratio * residual, residual, blup, tuple(names.tolist()), log_likelihood
    )


def _check(values: FloatArray, design: FloatArray, labels: NDArray[Any]) -> None:
    if values.ndim != 2 or design.ndim != 2 or not len(values) == len(design) == len(labels):
        raise InputError(
            f"Responses {values.shape}, design {design.shape} and subjects {labels.shape} must "
            "have the same number of rows."
        )
    if not np.isfinite(values).all() or not np.isfinite(design).all():
        raise InputError("Responses or design hold missing values; keep complete rows only.")
    rank = int(np.linalg.matrix_rank(design))
    if rank < design.shape[1] or design.shape[1] >= len(values):
        raise InputError(f"The design has {design.shape[1]} columns but rank {rank}.")


def _by_subject(table: FloatArray, code: NDArray[np.int64], n_subjects: int) -> FloatArray:
    out = np.zeros((n_subjects, table.shape[1]))
    np.add.at(out, code, table)
    return out


def _sums(
    values: FloatArray, design: FloatArray, code: NDArray[np.int64], size: FloatArray
) -> _Sums:
    x_total, y_total = (_by_subject(t, code, len(size)) for t in (design, values))
    sizes, place = np.unique(size, return_inverse=True)
    groups = [np.flatnonzero(place == k) for k in range(len(sizes))]
    return _Sums(
        n=len(values),
        sizes=sizes,
        counts=np.array([len(rows) for rows in groups], dtype=np.float64),
        xx=design.T @ design,
        xy=design.T @ values,
        yy=(values**2).sum(axis=0),
        xx_by=np.stack([x_total[rows].T @ x_total[rows] for rows in groups]),
        xy_by=np.stack([x_total[rows].T @ y_total[rows] for rows in groups]),
        yy_by=np.stack([(y_total[rows] ** 2).sum(axis=0) for rows in groups]),
    )


def _ratio(sums: _Sums, n_responses: int) -> FloatArray:
    free = sums.n - len(sums.xx)

    def criterion(log_ratio: FloatArray) -> FloatArray:
        xx, xy, yy, log_det = sums.weigh(np.exp(log_ratio))
        beta = np.linalg.solve(xx, xy[:, :, None])[:, :, 0]
        rest = np.maximum(yy - (beta * xy).sum(axis=1), 1e-300)
        return np.asarray(free * np.log(rest) + log_det + np.linalg.slogdet(xx)[1])

    best, value = minimise_columns(criterion, n_responses, _LOWEST, _HIGHEST)
    at_zero = criterion(np.full(n_responses, -np.inf))
    ratio = np.exp(best)
    return np.asarray(np.where((at_zero <= value + 1e-10) | (ratio < _ZERO), 0.0, ratio))
