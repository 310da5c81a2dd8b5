"""Regressions with errors that hold where the variance differs between samples (HC3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.stats._gaps import Moments
from radgen.stats._linear_fit import LinearFit, finish
from radgen.stats._linear_parts import covariate_basis, patterns, residualise, spread

__all__ = ["regress_robust"]

Array = NDArray[np.float64]


def regress_robust(y: Array, x: Array, z: Array | None) -> LinearFit:
    shape = (x.shape[1], y.shape[1])
    effect, se = np.full(shape, np.nan), np.full(shape, np.nan)
    xx, yy, x_var, y_var, left = (np.zeros(shape) for _ in range(5))
    df, n = np.full(shape, -1.0), np.zeros(shape)
    for x_rows, x_cols in patterns(x):
        for y_rows, y_cols in patterns(y):
            rows = x_rows & y_rows
            count = int(rows.sum())
            here = np.ix_(x_cols, y_cols)
            n[here] = count
            if count < 2:
                continue
            basis = covariate_basis(None if z is None else z[rows], count)
            df[here] = count - basis.shape[1] - 1.0
            if count - basis.shape[1] < 2:
                continue
            part_x, part_y = x[np.ix_(rows, x_cols)], y[np.ix_(rows, y_cols)]
            parts = _hc3(residualise(part_x, basis), residualise(part_y, basis), basis)
            effect[here], se[here], left[here], ss_x, ss_y = parts
            xx[here], yy[here] = ss_x[:, None], ss_y
            x_var[here], y_var[here] = spread(part_x)[1][:, None], spread(part_y)[1]
    return finish(effect, se, left, Moments(left, xx, yy, x_var, y_var, df, n), df)


def _hc3(x: Array, y: Array, basis: Array) -> tuple[Array, Array, Array, Array, Array]:
    xx = np.einsum("ij,ij->j", x, x)
    yy = np.einsum("ij,ij->j", y, y)
    leverage = np.einsum("ij,ij->i", basis, basis)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = x.T @ y
        effect = cross / xx[:, None]
        free = 1.0 - leverage[:, None] - x**2 / xx
        # A sample with leverage 1 is fitted exactly: its residual is 0 and HC3 is undefined.
        weight = np.where(free > 1e-12, x**2 / free**2, np.nan)
        meat = (
            weight.T @ y**2
            - 2 * effect * ((weight * x).T @ y)
            + effect**2 * np.einsum("ij,ij,ij->j", weight, x, x)[:, None]
        )
        se = np.sqrt(np.maximum(meat, 0.0)) / xx[:, None]
    return effect, se, yy - cross * effect, xx, yy
