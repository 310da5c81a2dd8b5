"""Bounded least squares of many curves at once: Levenberg-Marquardt, one row a voxel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CurveFit", "fit_curves"]

Floats = NDArray[np.float64]
Model = Callable[[Floats, NDArray[np.intp]], tuple[Floats, Floats]]

_ROWS = 4096


@dataclass(frozen=True, eq=False, slots=True)
class CurveFit:
    """What a model that was fitted to every row says.

    Attributes
    ----------
    parameters : ndarray of float64 (n_rows, n_parameters)
        Estimates; NaN where the row holds a value that is not finite.
    covariance : ndarray of float64 (n_rows, n_parameters, n_parameters)
        Of the estimates, from the curvature there; NaN for a parameter at its bound, and all
        of it where the curvature is singular.
    residual : ndarray of float64 (n_rows,)
        Sum of squared residuals.
    converged : ndarray of bool (n_rows,)
        Whether the steps came to an end.
    """

    parameters: Floats
    covariance: Floats
    residual: Floats
    converged: NDArray[np.bool_]

    def or_better(self, other: CurveFit) -> CurveFit:
        """Return the rows of two fits that leave the smaller residual."""
        ahead = other.residual < self.residual
        return CurveFit(
            np.where(ahead[:, None], other.parameters, self.parameters),
            np.where(ahead[:, None, None], other.covariance, self.covariance),
            np.where(ahead, other.residual, self.residual),
            np.where(ahead, other.converged, self.converged),
        )


def fit_curves(
    model: Model,
    start: Floats,
    data: Floats,
    *,
    lower: Floats,
    upper: Floats,
    max_steps: int = 200,
    tolerance: float = 1e-9,
) -> CurveFit:
    """Return the bounded least-squares fit of a model to every row of the data.

    Parameters
    ----------
    model : callable
        ``model(parameters, rows)`` gives predictions (n, n_times) and their derivatives
        (n, n_parameters, n_times) for the rows of the data that are named.
    start : ndarray of float64 (n_rows, n_parameters)
        First values, inside the bounds.
    data : ndarray of float64 (n_rows, n_times)
        The measured curves.
    lower, upper : ndarray of float64 (n_parameters,)
        Bounds.
    max_steps : int
        After so many steps a row counts as not converged.
    tolerance : float
        A row is done once a step changes neither its parameters nor its residual by more than
        this share.

    Returns
    -------
    CurveFit
        Estimates with their errors.
    """
    n_rows, n_parameters = start.shape
    parameters = np.full((n_rows, n_parameters), np.nan)
    covariance = np.full((n_rows, n_parameters, n_parameters), np.nan)
    residual = np.full(n_rows, np.nan)
    converged = np.zeros(n_rows, dtype=bool)
    usable = np.flatnonzero(np.isfinite(data).all(axis=1) & np.isfinite(start).all(axis=1))
    for at in range(0, len(usable), _ROWS):
        rows = usable[at : at + _ROWS]
        found = _fit_block(
            model, start[rows], data[rows], rows,
            bounds=(lower, upper), patience=(max_steps, tolerance),
        )  # fmt: skip
        parameters[rows], covariance[rows], residual[rows], converged[rows] = found
    return CurveFit(parameters, covariance, residual, converged)


def _fit_block(
    model: Model,
    start: Floats,
    data: Floats,
    rows: NDArray[np.intp],
    *,
    bounds: tuple[Floats, Floats],
    patience: tuple[int, float],
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    (lower, upper), (max_steps, tolerance) = bounds, patience
    now = np.clip(start, lower, upper)
    fitted, slope = model(now, rows)
    loss = ((data - fitted) ** 2).sum(axis=1)
    damping, growth = np.full(len(rows), 1e-3), np.full(len(rows), 2.0)
    scale = (data**2).sum(axis=1) * 1e-30 + 1e-300
    live = np.arange(len(rows))
    for _ in range(max_steps):
        step, promised = _step(
            slope[live], data[live] - fitted[live], now[live], damping[live], bounds
        )
        trial = np.clip(now[live] + step, lower, upper)
        new_fitted, new_slope = model(trial, rows[live])
        new_loss = ((data[live] - new_fitted) ** 2).sum(axis=1)
        better = new_loss <= loss[live]
        moved = np.abs(trial - now[live]) <= tolerance * (np.abs(now[live]) + tolerance)
        gain = loss[live] - new_loss
        still = moved.all(axis=1) | (better & (gain <= tolerance * new_loss + scale[live]))
        took = live[better]
        now[took], fitted[took], slope[took] = trial[better], new_fitted[better], new_slope[better]
        loss[took] = new_loss[better]
        # Nielsen's rule: where a step kept less than it promised, the next is shorter, so that
        # rows whose curvature the linear model underrates do not swing about their minimum.
        kept = np.clip(gain / np.maximum(promised, 1e-300), -1.0, 1.0)
        calmer = damping[live] * np.maximum(1.0 / 3.0, 1.0 - (2.0 * kept - 1.0) ** 3)
        damping[live] = np.where(better, calmer, damping[live] * growth[live]).clip(1e-12, 1e12)
        growth[live] = np.where(better, 2.0, 2.0 * growth[live]).clip(2.0, 64.0)
        live = live[~(still | (damping[live] >= 1e12))]
        if not len(live):
            break
    done = np.ones(len(rows), dtype=bool)
    done[live] = False
    return now, _covariance(slope, loss, now, bounds), loss, done


def _held(now: Floats, gradient: Floats, bounds: tuple[Floats, Floats]) -> NDArray[np.bool_]:
    """Return which parameters lie on a bound that the descent would cross."""
    lower, upper = bounds
    return ((now <= lower) & (gradient < 0)) | ((now >= upper) & (gradient > 0))


def _step(
    slope: Floats, rest: Floats, now: Floats, damping: Floats, bounds: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Return the damped step and by how much the linear model says that it lowers the loss."""
    gradient = (slope @ rest[:, :, None])[:, :, 0]
    normal = slope @ slope.transpose(0, 2, 1)
    held = _held(now, gradient, bounds)
    size = slope.shape[1]
    diagonal = np.einsum("npp->np", normal)
    floor = 1e-14 * diagonal.max(axis=1, keepdims=True) + 1e-300
    lift = damping[:, None] * np.maximum(diagonal, floor)
    normal[:, np.arange(size), np.arange(size)] += lift
    both = held[:, :, None] | held[:, None, :]
    normal[both] = 0.0
    normal[:, np.arange(size), np.arange(size)] += held
    free = np.where(held, 0.0, gradient)
    step = np.asarray(np.linalg.solve(normal, free[:, :, None])[:, :, 0], dtype=np.float64)
    promised = (free * step + lift * step**2).sum(axis=1)
    return step, promised


def _covariance(slope: Floats, loss: Floats, now: Floats, bounds: tuple[Floats, Floats]) -> Floats:
    """Return the covariance of parameters that are inside their bounds."""
    n_rows, size, n_times = slope.shape
    normal = slope @ slope.transpose(0, 2, 1)
    inside = (now > bounds[0]) & (now < bounds[1])
    both = inside[:, :, None] & inside[:, None, :]
    normal[~both] = 0.0
    normal[:, np.arange(size), np.arange(size)] += ~inside
    scale = np.sqrt(np.einsum("npp->np", normal))
    scale[scale == 0] = 1.0
    outer = scale[:, :, None] * scale[:, None, :]
    unit = normal / outer
    spare = n_times - inside.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        sound = (np.linalg.cond(unit) < 1e12) & (spare > 0)
    found = np.full((n_rows, size, size), np.nan)
    if sound.any():
        noise = (loss[sound] / spare[sound])[:, None, None]
        found[sound] = np.linalg.inv(unit[sound]) / outer[sound] * noise
    found[~both] = np.nan
    return found
