"""Fractal dimensions and lacunarity (6 features, beyond IBSI)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import View

__all__ = ["blanket_dimension", "box_dimension", "fractal", "lacunarity"]

_FEW = "the region is too small for two box sizes"
_SPREAD = "the region is too small, or there is one grey level"

SPECS = (
    FeatureSpec("Box-counting dimension of the region", "", "", _FEW),
    FeatureSpec("Box-counting dimension of the surface", "", "", _FEW),
    FeatureSpec("Blanket dimension of the grey levels", "", "", _SPREAD),
    FeatureSpec("Lacunarity at 3 voxels", "", "", _FEW),
    FeatureSpec("Lacunarity at 5 voxels", "", "", _FEW),
    FeatureSpec("Lacunarity at 9 voxels", "", "", _FEW),
)
_NAN = float("nan")


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if x.size < 2:
        return _NAN
    gap = x - x.mean()
    return float(np.sum(gap * (y - y.mean())) / np.sum(gap * gap))


def box_dimension(mask: NDArray[np.bool_]) -> float:
    """Return the box-counting dimension of a set of voxels.

    Parameters
    ----------
    mask : ndarray of bool (n_z, n_y, n_x)
        The set; boxes start at its first voxel.

    Returns
    -------
    float
        Slope of log(number of boxes that hold a voxel) against log(1 / size), for sizes 1, 2,
        4, … up to half the longest axis. NaN where there are fewer than two sizes.
    """
    if not mask.any():
        return _NAN
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        mask = np.take(mask, range(used[0], used[-1] + 1), axis)
    sizes, counts, size, longest = [], [], 1, max(mask.shape)
    while 2 * size <= longest:
        sizes.append(float(size))
        counts.append(float(np.count_nonzero(mask)))
        mask = np.pad(mask, [(0, n % 2) for n in mask.shape])
        z, y, x = mask.shape
        mask = mask.reshape(z // 2, 2, y // 2, 2, x // 2, 2).any(axis=(1, 3, 5))
        size *= 2
    return _slope(-np.log(np.array(sizes)), np.log(np.array(counts)))


def lacunarity(mask: NDArray[np.bool_], size: int) -> float:
    """Return the lacunarity of a set for gliding boxes: mean of squares over squared mean.

    Parameters
    ----------
    mask : ndarray of bool (n_z, n_y, n_x)
        The set; boxes lie within this array. An axis of one voxel takes boxes of one voxel.
    size : int
        Edge of the box in voxels.

    Returns
    -------
    float
        At least 1; NaN where no box fits.
    """
    sides = [1 if n == 1 else size for n in mask.shape]
    if any(side > n for side, n in zip(sides, mask.shape, strict=True)):
        return _NAN
    mass = mask.astype(np.float64)
    for axis, side in enumerate(sides):
        running = np.cumsum(mass, axis=axis)
        running = np.insert(running, 0, 0.0, axis=axis)
        n = running.shape[axis]
        mass = np.take(running, range(side, n), axis) - np.take(running, range(n - side), axis)
    mean = float(mass.mean())
    return float((mass**2).mean()) / mean**2 if mean else _NAN


def blanket_dimension(levels: NDArray[np.integer], reach: int = 6) -> float:
    """Return the fractal dimension of grey levels by growing a blanket over them.

    Parameters
    ----------
    levels : ndarray of int (n_z, n_y, n_x)
        Grey levels, 0 = outside.
    reach : int
        Largest thickness of the blanket.

    Returns
    -------
    float
        Between 3 and 4 for a volume, 2 and 3 for a slice; NaN for one level.

    Notes
    -----
    The surfaces grow as ``u <- max(u + 1, highest u of the next neighbours)`` and downwards
    alike; the area at thickness e is the volume gained over two, and falls as e^(d - D).

    References
    ----------
    Peleg, S. et al. (1984), doi:10.1109/TPAMI.1984.4767557.
    """
    from scipy.ndimage import grey_dilation

    inside = levels > 0
    found = levels[inside]
    if found.size < 2 or found.min() == found.max():
        return _NAN
    domain = sum(n > 1 for n in levels.shape)
    cross = np.zeros((3, 3, 3), dtype=bool)
    cross[1, 1], cross[1, :, 1], cross[:, 1, 1] = True, True, True
    low = np.float64(-1e9)
    upper = np.where(inside, levels, low).astype(np.float64)
    lower = np.where(inside, -levels.astype(np.float64), low)
    volume, areas = 0.0, []
    for _ in range(reach):
        upper = np.where(inside, np.maximum(upper + 1, grey_dilation(upper, footprint=cross)), low)
        lower = np.where(inside, np.maximum(lower + 1, grey_dilation(lower, footprint=cross)), low)
        now = float((upper + lower)[inside].sum())
        areas.append((now - volume) / 2.0)
        volume = now
    thickness = np.arange(1.0, reach + 1)
    return domain - _slope(np.log(thickness), np.log(np.array(areas)))


@add("fractal", version=1, specs=SPECS)
def fractal(view: View) -> Measured:
    """Return fractal dimensions of region, surface and grey levels, and lacunarity.

    Parameters
    ----------
    view : View
        Image and region.

    Returns
    -------
    mapping
        Values under the aggregation "".

    Notes
    -----
    Sizes are in voxels: resample to cubes first.
    """
    region = view.region
    mask = region.morphology
    padded = np.pad(mask, 1)
    surface = mask.copy()
    for axis in range(3):
        for step in (-1, 1):
            surface &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
    levels = view.padded[tuple(slice(view.margin, -view.margin) for _ in range(3))]
    found = (
        box_dimension(mask),
        box_dimension(mask & ~surface),
        blanket_dimension(levels),
        *(lacunarity(mask, size) for size in (3, 5, 9)),
    )
    return {"": dict(zip((spec.name for spec in SPECS), found, strict=True))}
