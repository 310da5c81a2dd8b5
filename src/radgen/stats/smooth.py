"""Smooth functions of covariates by penalised splines, for many responses at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.stats._golden import minimise_columns

__all__ = ["SplineBasis", "fit_smooth", "spline_basis"]

FloatArray = NDArray[np.float64]
_LOWEST, _HIGHEST, _BLOCK, _CYCLES = -14.0, 18.0, 1024, 20


@dataclass(frozen=True, eq=False)
class SplineBasis:
    """A natural cubic regression spline that sums to zero over the rows that made it.

    Attributes
    ----------
    knots : float64 (n_knots,)
        Increasing, in the unit of the covariate.
    rotation : float64 (n_knots, n_knots - 1)
        Takes functions by their values at the knots to those that sum to zero.
    penalty : float64 (n_knots - 1, n_knots - 1)
        Integrated squared second derivative, scaled to the size of the basis.
    """

    knots: FloatArray
    rotation: FloatArray
    penalty: FloatArray

    def columns(self, x: Any) -> FloatArray:
        """Return the basis at `x`, (n, n_knots - 1); straight lines beyond the outer knots."""
        return np.asarray(_cardinal(self.knots, np.asarray(x, float)) @ self.rotation)


def _cardinal(knots: FloatArray, x: FloatArray) -> FloatArray:
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(knots, np.eye(len(knots)), bc_type="natural")
    inside = np.clip(x, knots[0], knots[-1])
    return np.asarray(spline(inside) + (x - inside)[:, None] * spline(inside, 1))


def spline_basis(x: Any, n_knots: int = 10) -> SplineBasis:
    """Return the spline basis of a covariate, knots at quantiles of its distinct values.

    Parameters
    ----------
    x : float (n_rows,)
        The covariate, complete.
    n_knots : int, default 10
        Number of knots; fewer where there are fewer distinct values.

    Returns
    -------
    SplineBasis
        See there.

    Raises
    ------
    InputError
        If there are fewer than four distinct values.

    References
    ----------
    Wood 2017, Generalized Additive Models, section 5.3.1, doi:10.1201/9781315370279.
    """
    values = np.asarray(x, dtype=np.float64)
    distinct = np.unique(values)
    if len(distinct) < 4:
        raise InputError(
            f"A smooth effect needs four distinct values; there are {len(distinct)}. Keep it as "
            "a linear covariate."
        )
    knots = np.quantile(distinct, np.linspace(0, 1, min(n_knots, len(distinct))))
    basis = _cardinal(knots, values)
    rotation = np.linalg.svd(basis.mean(axis=0)[None, :])[2][1:].T
    penalty = rotation.T @ _roughness(knots) @ rotation
    size = np.linalg.norm((basis @ rotation).T @ (basis @ rotation)) / np.linalg.norm(penalty)
    return SplineBasis(knots, rotation, penalty * size)


def _roughness(knots: FloatArray) -> FloatArray:
    from scipy.interpolate import CubicSpline

    bend = CubicSpline(knots, np.eye(len(knots)), bc_type="natural")(knots, 2)
    width = np.diff(knots)[:, None, None] / 6
    a, b = bend[:-1], bend[1:]
    product = [2 * np.einsum("ki,kj->kij", s, s) for s in (a, b)]
    cross = np.einsum("ki,kj->kij", a, b)
    return np.asarray((width * (sum(product) + cross + cross.transpose(0, 2, 1))).sum(axis=0))


def fit_smooth(
    y: Any, x: Any, bases: Sequence[FloatArray], penalties: Sequence[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return coefficients of an additive model, smoothness chosen by REML for each response.

    Parameters
    ----------
    y : float (n_rows, n_responses)
        Responses, complete.
    x : float (n_rows, n_columns)
        Columns that are not penalised; they hold the intercept.
    bases : sequence of float (n_rows, k)
        A basis for each smooth function.
    penalties : sequence of float (k, k)
        Its penalty; of any rank.

    Returns
    -------
    coefficients : float64 (n_columns + sum of k, n_responses)
        In the order of `x` and `bases`.
    degrees : float64 (n_smooths, n_responses)
        Effective degrees of freedom of each smooth function.

    Raises
    ------
    InputError
        If the columns together lack rank.

    References
    ----------
    Wood 2011, doi:10.1111/j.1467-9868.2010.00749.x.
    """
    values = np.asarray(y, dtype=np.float64)
    design = np.hstack([np.asarray(x, dtype=np.float64), *bases])
    rank = int(np.linalg.matrix_rank(design))
    if rank < design.shape[1]:
        raise InputError(
            f"The {design.shape[1]} columns of the smooth model have rank {rank}: too few rows, or "
            "a covariate that another one determines."
        )
    blocks, start = [], np.shape(x)[1]
    for penalty in penalties:
        whole = np.zeros((design.shape[1], design.shape[1]))
        whole[start : start + len(penalty), start : start + len(penalty)] = penalty
        blocks.append(whole)
        start += len(penalty)
    model = _Penalised(design.T @ design, np.stack(blocks), len(values))
    parts = [
        model.fit(
            design.T @ values[:, k : k + _BLOCK], (values[:, k : k + _BLOCK] ** 2).sum(axis=0)
        )
        for k in range(0, values.shape[1], _BLOCK)
    ]
    return np.hstack([part[0] for part in parts]), np.hstack([part[1] for part in parts])


class _Penalised:
    """REML of penalised least squares from cross products."""

    def __init__(self, gram: FloatArray, penalties: FloatArray, n: int) -> None:
        self.gram, self.penalties = gram, penalties
        self.ranks = np.array([np.linalg.matrix_rank(item) for item in penalties], dtype=float)
        self.free = n - len(gram) + float(self.ranks.sum())

    def criterion(self, log_weights: FloatArray, xy: FloatArray, yy: FloatArray) -> FloatArray:
        """Return minus twice the restricted log-likelihood but for constants, (p,)."""
        matrix = self.gram + np.einsum("pm,mab->pab", np.exp(log_weights), self.penalties)
        beta = np.linalg.solve(matrix, xy.T[:, :, None])[:, :, 0]
        rest = np.maximum(yy - (beta * xy.T).sum(axis=1), 1e-300)
        determinant = np.linalg.slogdet(matrix)[1] - log_weights @ self.ranks
        return np.asarray(self.free * np.log(rest) + determinant)

    def _starts(self, xy: FloatArray, yy: FloatArray) -> list[FloatArray]:
        """Return the best points of a coarse grid, all and wiggly ones, (p, m) each.

        The criterion can have two valleys, one of them where a function is a straight line.
        """
        p, m = xy.shape[1], len(self.penalties)
        if m == 1:
            return [np.zeros((p, 1))]
        levels = np.linspace(_LOWEST, _HIGHEST, {2: 9, 3: 5, 4: 3}.get(m, 1))
        points = np.stack([item.ravel() for item in np.meshgrid(*[levels] * m)], axis=1)
        values = np.stack([self.criterion(np.tile(point, (p, 1)), xy, yy) for point in points])
        wiggly = (points < _HIGHEST / 2).all(axis=1)
        return [
            points[wiggly][np.argmin(values[wiggly], axis=0)],
            points[np.argmin(values, axis=0)],
        ]

    def _descend(self, weights: FloatArray, xy: FloatArray, yy: FloatArray) -> FloatArray:
        """Return log weights after cyclic searches along each of them.

        With several smooth functions a search stays near its start, lest it leap to the other
        valley.
        """
        p, m = weights.shape
        reach = _HIGHEST - _LOWEST if m == 1 else 3.0
        for _ in range(_CYCLES if m > 1 else 1):
            before = weights.copy()
            for j in range(m):

                def along(step: FloatArray, j: int = j) -> FloatArray:
                    trial = weights.copy()
                    trial[:, j] = np.clip(trial[:, j] + step, _LOWEST, _HIGHEST)
                    return self.criterion(trial, xy, yy)

                step = minimise_columns(along, p, -reach, reach, tolerance=1e-7)[0]
                weights[:, j] = np.clip(weights[:, j] + step, _LOWEST, _HIGHEST)
            if np.abs(weights - before).max() < 1e-4:
                break
        return weights

    def fit(self, xy: FloatArray, yy: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return coefficients (q, p) and effective degrees of freedom (m, p)."""
        found = [self._descend(start.copy(), xy, yy) for start in self._starts(xy, yy)]
        values = np.stack([self.criterion(item, xy, yy) for item in found])
        weights = np.stack(found)[np.argmin(values, axis=0), np.arange(xy.shape[1])]
        matrix = self.gram + np.einsum("pm,mab->pab", np.exp(weights), self.penalties)
        influence = np.linalg.solve(matrix, np.broadcast_to(self.gram, matrix.shape))
        diagonal = np.einsum("paa->pa", influence)
        touched = np.stack([np.abs(item).sum(axis=0) > 0 for item in self.penalties])
        return np.linalg.solve(matrix, xy.T[:, :, None])[:, :, 0].T, (diagonal @ touched.T).T
