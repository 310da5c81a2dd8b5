"""Put images and masks on another grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.image._interpolate import REACH, Interpolator, along_axis
from radgen.image.grid import Box, bounding_box, crop_geometry
from radgen.types import Geometry, ImageVolume, Mask

__all__ = [
    "Align",
    "Interpolator",
    "resample",
    "resample_mask",
    "resample_to",
    "resampled_geometry",
    "round_intensities",
]

Align = Literal["center", "corner", "origin"]
Rounding = Literal["nearest"]
Gridded = TypeVar("Gridded", ImageVolume, Mask)

_MASK_SLACK = 1e-9
"""A partial volume this close below the threshold counts as reaching it (rounding errors)."""
_ORDER = {"nearest": 0, "linear": 1, "cubic": 3}


def resampled_geometry(
    geometry: Geometry, spacing_mm: float | Sequence[float | None], *, align: Align = "center"
) -> Geometry:
    """Return the grid of another spacing that covers the same field of view.

    Parameters
    ----------
    geometry : Geometry
        The grid as it is; may be oblique.
    spacing_mm : float or sequence of (float or None) (3,)
        New voxel size (z, y, x) in millimetres. None keeps the spacing of that axis:
        ``(None, 2, 2)`` resamples slice by slice.
    align : {"center", "corner", "origin"}
        What the two grids share: the centre of the volume (the standard's choice), the outer
        corner of the first voxel, or the centre of the first voxel.

    Returns
    -------
    Geometry
        Sizes are ``ceil(n * old spacing / new spacing)``.

    Raises
    ------
    InputError
        If a spacing is not positive and finite.

    References
    ----------
    IBSI reference manual, section 2.4 (interpolation; aligning grid centres).

    Examples
    --------
    >>> grid = Geometry.from_spacing((60, 201, 204), (3.0, 0.977, 0.977))
    >>> resampled_geometry(grid, (None, 2.0, 2.0)).shape
    (60, 99, 100)
    """
    require_choice(align, get_args(Align), what="grid alignment")
    old = geometry.spacing_mm
    new = _spacing(spacing_mm, old)
    shape, offset = [], []
    for size, before, after in zip(geometry.shape, old, new, strict=True):
        ratio = after / before
        count = max(1, int(np.ceil(round(size / ratio, 6))))
        shape.append(count)
        if align == "center":
            offset.append(0.5 * ((size - 1) - (count - 1) * ratio))
        elif align == "corner":
            offset.append(0.5 * (ratio - 1.0))
        else:
            offset.append(0.0)
    affine = np.array(geometry.affine)
    affine[:3, 3] = geometry.to_world(np.array(offset))
    affine[:3, :3] = geometry.direction * np.array(new[::-1])
    return Geometry(affine, (shape[0], shape[1], shape[2]))


def _spacing(
    spacing_mm: float | Sequence[float | None], old: tuple[float, float, float]
) -> tuple[float, float, float]:
    wanted: Sequence[float | None]
    wanted = [spacing_mm] * 3 if isinstance(spacing_mm, int | float) else list(spacing_mm)
    if len(wanted) != 3:
        raise InputError(f"spacing_mm has three sizes (z, y, x), not {len(wanted)}.")
    new = [
        before if size is None else float(size) for size, before in zip(wanted, old, strict=True)
    ]
    if not all(np.isfinite(size) and size > 0 for size in new):
        raise InputError(f"Voxel sizes are positive millimetres, not {tuple(wanted)}.")
    return new[0], new[1], new[2]


def resample(
    image: ImageVolume,
    spacing_mm: float | Sequence[float | None],
    *,
    method: Interpolator = "linear",
    align: Align = "center",
    rounding: Rounding | None = None,
    anti_alias: float | None = None,
) -> ImageVolume:
    """Return the image with another voxel size.

    Parameters
    ----------
    image : ImageVolume
        The scan; a dynamic series is resampled frame by frame.
    spacing_mm : float or sequence of (float or None) (3,)
        New voxel size (z, y, x) in millimetres; None keeps that axis as it is.
    method : {"nearest", "linear", "cubic", "cubic-convolution"}
        Interpolation: nearest neighbour, (tri)linear, (tri)cubic spline, (tri)cubic
        convolution.
    align : {"center", "corner", "origin"}
        See `resampled_geometry`.
    rounding : {"nearest"} or None
        Round the result to whole numbers (CT after interpolation).
    anti_alias : float in (0, 1) or None
        Smooth first along each axis that is made coarser, with a Gaussian whose gain at the
        Nyquist frequency of the new grid is this value.

    Returns
    -------
    ImageVolume
        Same dtype. A voxel is NaN where the source voxel nearest to it is.

    Raises
    ------
    InputError
        If an argument is not allowed, or the image holds infinities.

    Notes
    -----
    Interpolation is done in float64, axis by axis. Outside the field of view the outermost
    voxel is repeated; with ``align="center"`` the new voxel centres always lie inside it.

    References
    ----------
    IBSI reference manual, section 2.4. Keys 1981, doi:10.1109/TASSP.1981.1163711 (cubic
    convolution).

    Examples
    --------
    >>> scan = ImageVolume(np.arange(8.0).reshape(1, 1, 8), Geometry.from_spacing((1, 1, 8)))
    >>> resample(scan, (None, None, 2.0)).array.ravel().tolist()
    [0.5, 2.5, 4.5, 6.5]
    """
    geometry = resampled_geometry(image.geometry, spacing_mm, align=align)
    out = resample_to(image, geometry, method=method, fill=None, anti_alias=anti_alias)
    return round_intensities(out) if rounding is not None else out


def resample_mask(
    mask: Mask,
    spacing_mm: float | Sequence[float | None],
    *,
    method: Interpolator = "linear",
    align: Align = "center",
    threshold: float = 0.5,
) -> Mask:
    """Return the mask with another voxel size.

    Parameters
    ----------
    mask : Mask
        The region.
    spacing_mm : float or sequence of (float or None) (3,)
        New voxel size (z, y, x) in millimetres; None keeps that axis as it is.
    method : {"nearest", "linear", "cubic", "cubic-convolution"}
        Interpolation of the 0/1 values.
    align : {"center", "corner", "origin"}
        See `resampled_geometry`.
    threshold : float in (0, 1]
        A voxel is inside where the interpolated value reaches this.

    Returns
    -------
    Mask
        On the same grid as `resample` gives for an image on the mask's grid. Can be empty.

    Raises
    ------
    InputError
        If an argument is not allowed.

    References
    ----------
    IBSI reference manual, section 2.4 (interpolating masks, partial volume threshold).
    """
    geometry = resampled_geometry(mask.geometry, spacing_mm, align=align)
    return resample_to(mask, geometry, method=method, threshold=threshold)


def resample_to(
    source: Gridded,
    geometry: Geometry,
    *,
    method: Interpolator | None = None,
    threshold: float = 0.5,
    fill: float | None = float("nan"),
    anti_alias: float | None = None,
) -> Gridded:
    """Return an image or a mask on a given grid.

    Parameters
    ----------
    source : ImageVolume or Mask
        What is resampled.
    geometry : Geometry
        The grid wanted; may be rotated against the source's, or be a part of it.
    method : {"nearest", "linear", "cubic", "cubic-convolution"} or None
        Interpolation; None is linear for images and nearest for masks. "cubic-convolution"
        needs grids with parallel axes.
    threshold : float in (0, 1]
        For masks: inside where the interpolated value reaches this.
    fill : float or None
        For images: the value of voxels whose centre lies outside the source's voxels; None
        repeats the outermost voxel. Masks are False there.
    anti_alias : float in (0, 1) or None
        For images: see `resample`.

    Returns
    -------
    ImageVolume or Mask
        As the source, on `geometry`.

    Raises
    ------
    InputError
        If an argument is not allowed, or the image holds infinities.
    """
    if isinstance(source, Mask):
        if not 0 < threshold <= 1:
            raise InputError(f"A mask threshold lies in (0, 1], not {threshold}.")
        chosen = _method(method or "nearest")
        inside = _mask_values(source, geometry, chosen) >= threshold - _MASK_SLACK
        return replace(source, array=inside, geometry=geometry)
    chosen = _method(method or "linear")
    if source.geometry.same_as(geometry, 1e-9):
        return source
    box = _needed(source.geometry, geometry) if anti_alias is None else None
    part = source.array if box is None else source.array[(..., *box)]
    before = source.geometry if box is None else crop_geometry(source.geometry, box)
    array = np.asarray(part, dtype=np.float64)
    missing = _missing(array)
    if missing is not None:
        array = _filled(array, missing)
    if anti_alias is not None:
        array = _smoothed(array, before, geometry, anti_alias)
    values, outside = _values(array, before, geometry, chosen)
    if missing is not None:
        gone, _ = _values(missing.astype(np.float64), before, geometry, "nearest")
        values[gone > 0] = np.nan
    if outside is not None and fill is not None:
        values[..., outside] = fill
    return source.with_array(sealed(values.astype(source.array.dtype)), geometry=geometry)


def round_intensities(image: ImageVolume) -> ImageVolume:
    """Return the image with values rounded to the nearest whole number (halves to even).

    Parameters
    ----------
    image : ImageVolume
        The scan.

    Returns
    -------
    ImageVolume
        Same dtype and grid; NaN stays NaN.
    """
    return image.with_array(np.rint(image.array))


def sealed(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of our own making, read-only, so that a volume need not copy it."""
    array.setflags(write=False)
    return array


def _method(method: str) -> Interpolator:
    require_choice(method, get_args(Interpolator), what="interpolation method")
    return method  # type: ignore[return-value]


def _missing(array: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    if np.isfinite(array).all():
        return None
    if np.isinf(array).any():
        raise InputError(
            f"The image holds {int(np.isinf(array).sum())} infinite values. "
            "Set them to NaN (no measurement) or to a number first."
        )
    missing = np.isnan(array)
    if missing.all():
        raise InputError("Every voxel of the image is NaN.")
    return missing


def _filled(array: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the array with NaN replaced by the nearest measured voxel of the same frame."""
    from scipy import ndimage

    if array.ndim == 4:
        frames = zip(array, missing, strict=True)
        return np.stack([_filled(frame, gone) for frame, gone in frames])
    if missing.all():
        return np.zeros_like(array)
    index = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    return np.asarray(array[tuple(index)])


def _smoothed(
    array: NDArray[np.float64], old: Geometry, new: Geometry, gain: float
) -> NDArray[np.float64]:
    from scipy import ndimage

    if not 0 < gain < 1:
        raise InputError(f"anti_alias is a gain in (0, 1), not {gain}.")
    # Gaussian of sigma s has gain exp(-2 (pi f s)^2); the new Nyquist frequency is 1/(2 spacing).
    for axis, (before, after) in enumerate(zip(old.spacing_mm, new.spacing_mm, strict=True)):
        if after > before * (1 + 1e-6):
            sigma = (after / before) * np.sqrt(-2.0 * np.log(gain)) / np.pi
            array = ndimage.gaussian_filter1d(array, sigma, axis=axis - 3, mode="nearest")
    return array


def _needed(old: Geometry, new: Geometry) -> Box | None:
    """Return the part of the old grid that a part of a parallel grid is made from.

    None where all of it is, where the grids are rotated against each other, or where the new
    grid reaches beyond the old (what lies outside is told from the whole).
    """
    positions = _axis_positions(old, new)
    if positions is None:
        return None
    box = []
    for at, size in zip(positions, old.shape, strict=True):
        low, high = float(at.min()), float(at.max())
        if low < -0.5 or high > size - 0.5:
            return None
        start, stop = int(np.floor(low)) - REACH, int(np.ceil(high)) + REACH + 1
        box.append(slice(max(0, start), min(size, stop)))
    return box[0], box[1], box[2]


def _axis_positions(old: Geometry, new: Geometry) -> list[NDArray[np.float64]] | None:
    """Return for each array axis where the new voxels lie in the old; None if not parallel."""
    step = np.linalg.solve(old.affine[:3, :3], new.affine[:3, :3])[::-1, ::-1]
    reach = np.abs(step) * np.array(new.shape)
    if (reach[~np.eye(3, dtype=bool)] > 1e-6).any():
        return None
    start = old.to_index(np.array(new.origin_mm))
    return [start[axis] + step[axis, axis] * np.arange(new.shape[axis]) for axis in range(3)]


def _values(
    array: NDArray[np.float64], old: Geometry, new: Geometry, method: Interpolator
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Return values (…, z, y, x) on the new grid and which voxels lie outside the old one."""
    positions = _axis_positions(old, new)
    if positions is None:
        return _values_oblique(array, old, new, method)
    given = array
    shrink = [len(at) / size for at, size in zip(positions, old.shape, strict=True)]
    for axis in np.argsort(shrink, kind="stable"):
        array = along_axis(array, positions[axis], int(axis) - 3, method)
    out = [
        (at < -0.5 - 1e-6) | (at > size - 0.5 + 1e-6)
        for at, size in zip(positions, old.shape, strict=True)
    ]
    values = array if array is not given else np.array(array)
    if not any(axis.any() for axis in out):
        return values, None
    return values, out[0][:, None, None] | out[1][:, None] | out[2]


def _values_oblique(
    array: NDArray[np.float64], old: Geometry, new: Geometry, method: Interpolator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    from scipy import ndimage

    if method == "cubic-convolution":
        raise InputError(
            "Cubic convolution needs grids with parallel axes; these are rotated against each "
            "other. Use method='cubic' (spline)."
        )
    frames = array if array.ndim == 4 else array[None]
    if method == "cubic":
        frames = np.stack(
            [ndimage.spline_filter(np.pad(frame, 12, mode="edge"), 3) for frame in frames]
        )
    pad = 12.0 if method == "cubic" else 0.0
    values = np.empty((len(frames), *new.shape))
    outside = np.empty(new.shape, dtype=bool)
    limit = np.array(old.shape) - 1.0
    plane = np.stack(np.meshgrid(*[np.arange(n) for n in new.shape[1:]], indexing="ij"), axis=-1)
    for row in range(new.shape[0]):
        index = np.concatenate([np.full((*plane.shape[:2], 1), row), plane], axis=-1)
        at = np.round(old.to_index(new.to_world(index)), 9)
        outside[row] = ((at < -0.5 - 1e-6) | (at > limit + 0.5 + 1e-6)).any(axis=-1)
        where = np.moveaxis(np.clip(at, 0, limit) + pad, -1, 0)
        if method == "nearest":
            where = np.floor(where + 0.5)
        for frame, out in zip(frames, values, strict=True):
            out[row] = ndimage.map_coordinates(
                frame, where, order=_ORDER[method], mode="nearest", prefilter=False
            )
    return (values if array.ndim == 4 else values[0]), outside


def _mask_values(mask: Mask, geometry: Geometry, method: Interpolator) -> NDArray[Any]:
    """Return interpolated 0/1 values; only the box around the region is looked at."""
    out = np.zeros(geometry.shape)
    positions = _axis_positions(mask.geometry, geometry)
    if not mask.n_voxels:
        return out
    if positions is None:
        values, outside = _values(mask.array.astype(np.float64), mask.geometry, geometry, method)
        assert outside is not None
        return np.where(outside, 0.0, values)
    margin = 2 if method in ("nearest", "linear") else REACH
    source = bounding_box(mask, margin=margin)
    target = []
    for at, part in zip(positions, source, strict=True):
        near = (at >= part.start - 0.5 - 1e-6) & (at <= part.stop - 0.5 + 1e-6)
        where = np.flatnonzero(near)
        if where.size == 0:
            return out
        target.append(slice(int(where[0]), int(where[-1]) + 1))
    box = (target[0], target[1], target[2])
    values, outside = _values(
        mask.array[source].astype(np.float64),
        crop_geometry(mask.geometry, source),
        crop_geometry(geometry, box),
        method,
    )
    out[box] = values if outside is None else np.where(outside, 0.0, values)
    return out
