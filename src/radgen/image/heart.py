"""Volumes, mass and shortening of the heart from regions at its largest and its smallest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from radgen.errors import GeometryError, InputError
from radgen.types import Mask

__all__ = ["CHAMBERS", "heart_measures", "wall_thickness"]

CHAMBERS = ("lv", "myocardium", "rv", "la", "ra")
"""Regions of `heart_measures`: blood of the four chambers, and the wall of the left ventricle."""

Floats = NDArray[np.float64]


def heart_measures(
    diastole: Mapping[str, Mask],
    systole: Mapping[str, Mask],
    *,
    density_g_ml: float = 1.05,
) -> dict[str, float]:
    """Return what regions of a beating heart measure, with the unit in each name.

    Parameters
    ----------
    diastole, systole : mapping of str to Mask
        Regions of the end-diastolic and the end-systolic frame, names of `CHAMBERS`: ``lv``,
        ``rv``, ``la``, ``ra`` are blood pools, ``myocardium`` is the wall of the left ventricle.
        Slices lie across the long axis (short-axis stack, or a volume turned so).
    density_g_ml : float, default 1.05
        Of myocardium, g/mL.

    Returns
    -------
    dict of str to float
        ``lv_edv_ml``, ``lv_esv_ml`` (and ``rv_``), ``lv_mass_g`` (end-diastolic),
        ``lv_wall_mm`` and ``lv_wall_max_mm`` (end-diastolic), ``lv_circumferential_strain_percent``
        and ``lv_radial_strain_percent``, ``la_max_ml``, ``la_min_ml`` (and ``ra_``); those whose
        regions are given in both frames. NaN = undefined.

    Raises
    ------
    InputError
        If no chamber is given in both frames, a name is unknown, regions of a frame overlap or a
        density is not positive.
    GeometryError
        If regions lie on different grids.

    Notes
    -----
    Volumes are numbers of voxels times their size (the summation of discs, without partial slices).
    Atria are largest at the end of systole. Circumferential strain is the change of the blood
    pool's circumference, each slice taken as a circle of the same area, averaged over the slices
    that hold blood in both frames: 100 (sum of sqrt(area) at systole / at diastole - 1). It needs
    no tracking, and is that of the endocardium. Radial strain is the change of the mean wall.

    References
    ----------
    Schulz-Menger J et al. (2020), doi:10.1186/s12968-020-00610-6 (evaluation of cardiac MR).

    Examples
    --------
    >>> import numpy as np
    >>> from radgen.types import Geometry, Mask
    >>> grid = Geometry.from_spacing((1, 10, 10), (10.0, 1.0, 1.0))
    >>> def square(n):
    ...     array = np.zeros((1, 10, 10), bool)
    ...     array[0, :n, :n] = True
    ...     return {"lv": Mask(array, grid)}
    >>> found = heart_measures(square(10), square(6))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'lv_edv_ml': 1.0, 'lv_esv_ml': 0.36, 'lv_circumferential_strain_percent': -40.0}
    """
    if density_g_ml <= 0:
        raise InputError(f"density_g_ml is {density_g_ml}; needed is a density above 0, g/mL.")
    for regions, what in ((diastole, "end-diastolic"), (systole, "end-systolic")):
        _check(regions, what)
    both = [name for name in CHAMBERS if name in diastole and name in systole]
    if not set(both) - {"myocardium"}:
        raise InputError(
            "No chamber is given in both frames: needed is the blood of one (lv, rv, la or ra) at "
            "end-diastole and at end-systole."
        )
    found: dict[str, float] = {}
    for name in both:
        large, small = _volume_ml(diastole[name]), _volume_ml(systole[name])
        if name in ("lv", "rv"):
            found |= {f"{name}_edv_ml": large, f"{name}_esv_ml": small}
        elif name in ("la", "ra"):
            found |= {f"{name}_max_ml": small, f"{name}_min_ml": large}
    if "lv" in both:
        found["lv_circumferential_strain_percent"] = _circumference(diastole["lv"], systole["lv"])
    if "myocardium" in diastole:
        found["lv_mass_g"] = density_g_ml * _volume_ml(diastole["myocardium"])
    if {"lv", "myocardium"} <= set(diastole):
        wall = wall_thickness(diastole["lv"], diastole["myocardium"])
        found["lv_wall_mm"] = float(wall.mean()) if len(wall) else np.nan
        found["lv_wall_max_mm"] = float(wall.max()) if len(wall) else np.nan
        if {"lv", "myocardium"} <= set(systole):
            later = wall_thickness(systole["lv"], systole["myocardium"])
            whole = len(wall) > 0 and len(later) > 0
            found["lv_radial_strain_percent"] = (
                100.0 * (float(later.mean()) / float(wall.mean()) - 1.0) if whole else np.nan
            )
    return found


def wall_thickness(blood: Mask, wall: Mask) -> Floats:
    """Return how thick the wall is at each of its voxels that touch the blood in their slice, mm.

    Parameters
    ----------
    blood, wall : Mask
        Of the left ventricle, on one grid, slices across its long axis.

    Returns
    -------
    ndarray of float64 (n_voxels,)
        In the slice, from a wall voxel beside the blood to the nearest voxel outside of both; a
        voxel that touches the outside as well as the blood is as thick as a voxel.

    Raises
    ------
    GeometryError
        If the masks lie on different grids.

    Notes
    -----
    Slices are taken one by one, because a stack's gaps and thickness are several times a voxel.
    The distance from centre to centre of the innermost wall voxel and the nearest outer voxel is
    that from one border to the other.
    """
    from scipy.ndimage import binary_dilation, distance_transform_edt

    blood.geometry.require_same(wall.geometry, what="Blood and wall lie on different grids")
    spacing = blood.geometry.spacing_mm[1:]
    found: list[Floats] = []
    for inside, muscle in zip(blood.array, wall.array, strict=True):
        if not inside.any() or not muscle.any():
            continue
        # What lies beyond the picture is outside of the heart.
        heart = np.pad(inside | muscle, 1)
        depth = distance_transform_edt(heart, sampling=spacing)[1:-1, 1:-1]
        found.append(depth[muscle & binary_dilation(inside)])
    return np.concatenate(found) if found else np.empty(0)


def _check(regions: Mapping[str, Mask], what: str) -> None:
    """Refuse regions that are unknown, on different grids or overlap."""
    unknown = sorted(set(regions) - set(CHAMBERS))
    if unknown:
        raise InputError(f"There is no region {unknown[0]!r}; known are {', '.join(CHAMBERS)}.")
    names = list(regions)
    for at, name in enumerate(names):
        for other in names[:at]:
            left, right = regions[name], regions[other]
            left.geometry.require_same(
                right.geometry, what=f"Regions {name!r} and {other!r} of the {what} frame"
            )
            shared = int(np.count_nonzero(left.array & right.array))
            if shared:
                raise InputError(
                    f"Regions {name!r} and {other!r} of the {what} frame share {shared} voxels. A "
                    "wall is muscle without the blood: take the blood out of it."
                )


def _volume_ml(mask: Mask) -> float:
    return mask.n_voxels * mask.geometry.voxel_volume_mm3 / 1000.0


def _circumference(diastole: Mask, systole: Mask) -> float:
    """Return the change of the circumference of slices that hold blood in both frames, per cent."""
    if diastole.geometry.shape[0] != systole.geometry.shape[0]:
        raise GeometryError(
            "The frames have different numbers of slices.",
            left=diastole.geometry.shape,
            right=systole.geometry.shape,
        )
    areas = [
        mask.array.sum(axis=(1, 2)) * float(np.prod(mask.geometry.spacing_mm[1:]))
        for mask in (diastole, systole)
    ]
    both = (areas[0] > 0) & (areas[1] > 0)
    if not both.any():
        return float("nan")
    around = [float(np.sqrt(area[both]).sum()) for area in areas]
    return 100.0 * (around[1] / around[0] - 1.0)
