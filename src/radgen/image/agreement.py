"""How well two contours of one region agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types import Mask

__all__ = ["ContourAgreement", "contour_agreement", "dice"]


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
    area, at its centre. Distances run from face centre to nearest face centre.

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


def _distances(
    first: Mask, second: Mask
) -> tuple[
    tuple[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]
]:
    from scipy.spatial import cKDTree

    points, areas = zip(*(_faces(mask) for mask in (first, second)), strict=True)
    there, _ = cKDTree(points[1]).query(points[0])
    back, _ = cKDTree(points[0]).query(points[1])
    return (there, areas[0]), (back, areas[1])


def _faces(mask: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centres (n, 3) in LPS millimetres and areas (n,) of the faces of a region."""
    wide = np.pad(mask.array, 1)
    spacing = mask.geometry.spacing_mm
    centres, areas = [], []
    for axis in range(3):
        lower = np.moveaxis(wide, axis, 0)
        at = np.argwhere(np.moveaxis(lower[1:] != lower[:-1], 0, axis)).astype(np.float64)
        at[:, [other for other in range(3) if other != axis]] -= 1.0
        at[:, axis] -= 0.5
        centres.append(mask.geometry.to_world(at))
        areas.append(np.full(len(at), float(np.prod(spacing)) / spacing[axis]))
    return np.concatenate(centres), np.concatenate(areas)


def _quantile(
    values: NDArray[np.float64], weights: NDArray[np.float64], share: float = 0.95
) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][int(np.searchsorted(reached, share - 1e-12))])
