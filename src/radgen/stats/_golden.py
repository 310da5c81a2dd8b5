"""One-dimensional minima of many functions at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["minimise_columns"]

FloatArray = NDArray[np.float64]
_GOLDEN = (np.sqrt(5) - 1) / 2


def minimise_columns(
    function: Callable[[FloatArray], FloatArray],
    n: int,
    low: float,
    high: float,
    *,
    n_grid: int = 29,
    tolerance: float = 1e-9,
) -> tuple[FloatArray, FloatArray]:
    """Return where each of `n` functions is least on [low, high], and its value there.

    Parameters
    ----------
    function : callable
        Takes one argument per function, (n,), and returns their values, (n,).
    n : int
        Number of functions.
    low, high : float
        The interval.
    n_grid : int
        Points of the grid that brackets the least value.
    tolerance : float
        Width at which golden-section search stops.

    Returns
    -------
    where, value : float64 (n,)
        The least point found; golden section within the grid cell of the least grid value.
    """
    grid = np.linspace(low, high, n_grid)
    step = grid[1] - grid[0]
    values = np.stack([function(np.full(n, point)) for point in grid])
    centre = grid[np.argmin(values, axis=0)]
    left, right = np.maximum(centre - step, low), np.minimum(centre + step, high)
    inner, outer = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
    at_inner, at_outer = function(inner), function(outer)
    for _ in range(int(np.ceil(np.log(tolerance / (2 * step)) / np.log(_GOLDEN)))):
        go_left = at_inner < at_outer
        right = np.where(go_left, outer, right)
        left = np.where(go_left, left, inner)
        new_inner = np.where(go_left, right - _GOLDEN * (right - left), outer)
        new_outer = np.where(go_left, inner, left + _GOLDEN * (right - left))
        probe = function(np.where(go_left, new_inner, new_outer))
        at_inner, at_outer = np.where(go_left, probe, at_outer), np.where(go_left, at_inner, probe)
        inner, outer = new_inner, new_outer
    middle = (left + right) / 2
    value = function(middle)
    edge = np.argmin(values, axis=0)
    better = values[edge, np.arange(n)] < value
    return np.where(better, grid[edge], middle), np.where(better, values[edge, np.arange(n)], value)
