"""How well two contours of one region agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types import Mask

__all__ = ["ContourAgreement", "contour_agreement", "dice"]

Array = NDArray[np.float64]
_MOST_PARTS = 16
_MOST_NEAR = 512
_BATCH = 4_000_000


@dataclass(frozen=True, slots=True)
class ContourAgreement:
    """Overlap and distance of two contours.

    Attributes
    ----------
    dice : float
        Twice the common volume over the sum of volumes; NaN where both are empty.
    jaccard : float
        Common volume over joint volume; NaN where both are empty.
    volume_difference : float
        (second - first) / first; NaN where the first is empty.
    hausdorff_mm : float
        Largest distance from a point of one surface to the other; inf where one is empty, NaN
        where both are.
    hausdorff_95_mm : float
        The larger of the two 95th percentiles (by area) of these distances.
    mean_distance_mm : float
        Mean distance (by area) over both surfaces.
    surface_dice : float
        Share of both surfaces (by area) that lies within the tolerance of the other.
    tolerance_mm : float
        That tolerance.
    """

    dice: float
    jaccard: float
    volume_difference: float
    hausdorff_mm: float
    hausdorff_95_mm: float
    mean_distance_mm: float
    surface_dice: float
    tolerance_mm: float


def dice(first: Mask, second: Mask) -> float:
    """Return twice the common volume over the sum of volumes; NaN where both are empty.

    Parameters
    ----------
    first, second : Mask
        The contours, on one grid.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    GeometryError
        If the grids differ.
    """
    first.geometry.require_same(second.geometry, what="Two contours of a region")
    total = first.n_voxels + second.n_voxels
    common = int(np.count_nonzero(first.array & second.array))
    return 2.0 * common / total if total else float("nan")


def contour_agreement(first: Mask, second: Mask, *, tolerance_mm: float = 1.0) -> ContourAgreement:
    """Return overlap and surface distances of two contours of one region.

    Parameters
    ----------
    first, second : Mask
        The contours, on one grid.
    tolerance_mm : float
        Tolerance of the surface Dice in millimetres.

    Returns
    -------
    ContourAgreement
        See there for empty contours.

    Raises
    ------
    GeometryError
        If the grids differ.
    InputError
        If the tolerance is negative.

    Notes
    -----
    The surface is that of the voxels: each face between inside and outside counts with its
    area. Faces of long voxels are cut into pieces about as long as the shortest side; distances
    run from the centre of each piece to the nearest point of the other surface. Steps of voxels
    reach towards the other surface, so that distances are up to half a voxel smaller than those
    of smooth surfaces. Programs that put the surface on the corners of voxels (DeepMind's
    surface-distance) call more of it equal at tolerances below half a voxel, and agree above.

    References
    ----------
    Nikolov et al. 2021, doi:10.2196/26151 (surface Dice).

    Examples
    --------
    >>> from radgen.types import Geometry
    >>> left, right = np.zeros((2, 3, 4, 6), bool)
    >>> left[1, 1:3, 1:3], right[1, 1:3, 1:4] = True, True
    >>> grid = Geometry.from_spacing((3, 4, 6))
    >>> contour_agreement(Mask(left, grid), Mask(right, grid)).dice
    0.8
    """
    overlap = dice(first, second)
    if not tolerance_mm >= 0:
        raise InputError(f"The tolerance is not negative, as is {tolerance_mm} mm.")
    common = int(np.count_nonzero(first.array & second.array))
    joint = first.n_voxels + second.n_voxels - common
    jaccard = common / joint if joint else float("nan")
    change = (second.n_voxels - first.n_voxels) / first.n_voxels if first.n_voxels else np.nan
    if not first.n_voxels or not second.n_voxels:
        far, near = (np.nan, np.nan) if not joint else (np.inf, 0.0)
        return ContourAgreement(
            overlap, jaccard, float(change), far, far, far, near, float(tolerance_mm)
        )
    (there, there_area), (back, back_area) = _distances(first, second)
    both, area = np.concatenate([there, back]), np.concatenate([there_area, back_area])
    within = both <= tolerance_mm + 1e-9
    return ContourAgreement(
        dice=overlap,
        jaccard=jaccard,
        volume_difference=float(change),
        hausdorff_mm=float(both.max()),
        hausdorff_95_mm=max(_quantile(there, there_area), _quantile(back, back_area)),
        mean_distance_mm=float((both * area).sum() / area.sum()),
        surface_dice=float(area[within].sum() / area.sum()),
        tolerance_mm=float(tolerance_mm),
    )


def _distances(first: Mask, second: Mask) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return distance to the other surface and area of each piece of both surfaces."""
    one, two = _pieces(first), _pieces(second)
    return (_to_surface(one[0], two), one[2]), (_to_surface(two[0], one), two[2])


def _pieces(mask: Mask) -> tuple[Array, Array, Array]:
    """Return centres (n, 3), half extents (n, 3) and areas (n,) of pieces of the faces in mm.

    Faces are cut until no side is much longer than the smallest voxel side. Coordinates are
    along the axes of the grid, which are orthogonal: distances are those in the world.
    """
    wide = np.pad(mask.array, 1)
    spacing = np.asarray(mask.geometry.spacing_mm)
    parts = np.minimum(np.ceil(spacing / spacing.min() - 1e-6), _MOST_PARTS).astype(np.int64)
    centres, halves = [], []
    for axis in range(3):
        lower = np.moveaxis(wide, axis, 0)
        at = np.argwhere(np.moveaxis(lower[1:] != lower[:-1], 0, axis)).astype(np.float64)
        at[:, axis] += 0.5
        cut = parts.copy()
        cut[axis] = 1
        steps = [(np.arange(n) + 0.5) / n - 0.5 for n in cut]
        offset = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
        half = spacing / cut / 2
        half[axis] = 0.0
        pieces = ((at[:, None, :] + offset) * spacing).reshape(-1, 3)
        centres.append(pieces)
        halves.append(np.broadcast_to(half, pieces.shape))
    extent = np.concatenate(halves)
    sides = np.where(extent > 0, 2 * extent, 1.0)
    return np.concatenate(centres), extent, sides.prod(axis=1)


def _to_surface(points: Array, surface: tuple[Array, Array, Array]) -> Array:
    """Return the distance of points (n, 3) to the nearest point of rectangles, (n,)."""
    from scipy.spatial import cKDTree

    centres, halves, _ = surface
    tree, reach = cKDTree(centres), float(np.sqrt((halves**2).sum(axis=1).max()))
    best = np.full(len(points), np.inf)
    open_, k = np.arange(len(points)), 8
    while open_.size:
        k = min(k, len(centres))
        for rows in np.array_split(open_, max(1, open_.size * k // _BATCH)):
            near, at = tree.query(points[rows], k=k)
            near, at = near.reshape(len(rows), k), at.reshape(len(rows), k)
            gap = np.abs(points[rows, None, :] - centres[at]) - halves[at]
            found = np.sqrt((np.maximum(gap, 0.0) ** 2).sum(axis=2)).min(axis=1)
            # No rectangle whose centre lies further than this can be nearer.
            sure = near[:, -1] >= found + reach
            best[rows] = np.where(sure | (k == len(centres)) | (k >= _MOST_NEAR), found, np.inf)
        open_, k = open_[~np.isfinite(best[open_])], k * 4
    return best


def _quantile(values: Array, weights: Array, share: float = 0.95) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][int(np.searchsorted(reached, share - 1e-12))])
