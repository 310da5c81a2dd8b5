"""Features of the surroundings of points: spheres or boxes about biopsies and voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import GeometryError, InputError, shown
from radgen.features.extraction import extract
from radgen.features.settings import Discretisation, ExtractionSettings
from radgen.image.grid import crop, crop_geometry
from radgen.image.resample import resample_to
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["LOCAL_SETTINGS", "LocalFeatures", "local_features", "local_region", "points_to_lps"]

FloatArray = NDArray[np.float64]
Box = tuple[slice, slice, slice]
Shape = Literal["sphere", "box"]

LOCAL_SETTINGS = ExtractionSettings(
    name="local",
    discretisation=Discretisation("number", 16),
    families=("intensity_statistics", "glcm"),
    aggregations=("IAZD",),
)
"""What is measured about a point unless asked otherwise: statistics, and merged GLCM."""

_LEAST_SHARE = 0.5
"""A region of which less lies on the image and in the mask has no values."""


def points_to_lps(points: FloatArray, frame: str, geometry: Geometry) -> FloatArray:
    """Return points in LPS millimetres.

    Parameters
    ----------
    points : float64 (n, 3)
        x, y, z.
    frame : {"LPS", "RAS", "index"}
        Millimetres in either frame, or voxels (i, j, k) counted from 0 along the axes of the grid.
    geometry : Geometry
        The grid that voxels are counted on.

    Returns
    -------
    float64 (n, 3)
        x, y, z in LPS millimetres.

    Raises
    ------
    InputError
        If the frame is unknown or the points are no (n, 3) array.

    Examples
    --------
    >>> grid = Geometry.from_spacing((4, 4, 4), (2.0, 2.0, 2.0))
    >>> points_to_lps(np.array([[1.0, 2.0, 3.0]]), "index", grid).tolist()
    [[2.0, 4.0, 6.0]]
    >>> points_to_lps(np.array([[1.0, 2.0, 3.0]]), "RAS", grid).tolist()
    [[-1.0, -2.0, 3.0]]
    """
    require_choice(frame, ("LPS", "RAS", "index"), what="frame")
    at = np.asarray(points, dtype=np.float64)
    if at.ndim != 2 or at.shape[1] != 3:
        raise InputError(f"Points are an array (n, 3); this one has shape {at.shape}.")
    if frame == "index":
        return geometry.to_world(at[:, ::-1])
    return at * np.array([-1.0, -1.0, 1.0]) if frame == "RAS" else at.copy()


def local_region(
    geometry: Geometry, centre_mm: FloatArray, *, radius_mm: float, shape: Shape = "sphere"
) -> tuple[Box, NDArray[np.bool_], int]:
    """Return the voxels whose centres lie in a sphere or a box about a point.

    Parameters
    ----------
    geometry : Geometry
        The grid.
    centre_mm : float64 (3,)
        x, y, z in LPS millimetres; need not be the centre of a voxel.
    radius_mm : float
        Of the sphere, or half the edge of the box, whose edges follow the axes of the grid.
    shape : {"sphere", "box"}
        Which.

    Returns
    -------
    box : tuple of slice (3,)
        Part of the grid, (z, y, x); empty where nothing lies on the grid.
    inside : bool (box shape)
        Voxels of the region.
    n_whole : int
        Voxels that the region would have on an endless grid.

    Raises
    ------
    InputError
        If the radius is not positive or the shape is unknown.
    """
    require_choice(shape, ("sphere", "box"), what="shape")
    if not radius_mm > 0:
        raise InputError(f"The radius is positive, not {radius_mm:g} mm.")
    middle = geometry.to_index(np.asarray(centre_mm, dtype=np.float64)[None])[0]
    # The widest reach of a sphere along an index axis is the norm of that row of the inverse.
    inverse = np.linalg.inv(geometry.affine[:3, :3])[::-1]
    spacing = np.array(geometry.spacing_mm)
    reach = (
        radius_mm * np.linalg.norm(inverse, axis=1) if shape == "sphere" else radius_mm / spacing
    )
    low = np.ceil(middle - reach - 1e-9).astype(int)
    high = np.floor(middle + reach + 1e-9).astype(int) + 1
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    if min(len(axis) for axis in axes) == 0:
        return (slice(0, 0),) * 3, np.zeros((0, 0, 0), dtype=bool), 0
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) - middle
    if shape == "sphere":
        inside = (np.square(grid[..., ::-1] @ geometry.affine[:3, :3].T)).sum(
            axis=-1
        ) <= radius_mm**2 + 1e-9
    else:
        inside = np.ones(grid.shape[:3], dtype=bool)
    n_whole = int(inside.sum())
    starts = np.maximum(low, 0)
    stops = np.maximum(np.minimum(high, geometry.shape), starts)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True))
    z0, y0, x0 = (slice(int(a), int(b)) for a, b in zip(starts - low, stops - low, strict=True))
    return (z, y, x), inside[z0, y0, x0], n_whole


@dataclass(frozen=True, eq=False, slots=True)
class LocalFeatures:
    """Features about points.

    Attributes
    ----------
    names : tuple of str (p,)
        ``image|filter|family|feature|aggregation``.
    values : float64 (n_points, p)
        NaN = undefined there.
    n_voxels : int64 (n_points, n_images)
        Voxels that were measured.
    reasons : tuple of str (n_points,)
        Why a point has no values at all; "" where it has.
    """

    names: tuple[str, ...]
    values: FloatArray
    n_voxels: NDArray[np.int64]
    reasons: tuple[str, ...]


def local_features(
    images: Mapping[str, ImageVolume],
    centres_mm: FloatArray,
    *,
    radius_mm: float | FloatArray = 5.0,
    shape: Shape = "sphere",
    within: Mask | None = None,
    settings: ExtractionSettings = LOCAL_SETTINGS,
) -> LocalFeatures:
    """Return features of a sphere or box about each point, on every image.

    Parameters
    ----------
    images : mapping of str to ImageVolume
        Co-registered scans: one space, grids may differ. Each is measured on its own grid.
    centres_mm : float64 (n_points, 3)
        x, y, z in LPS millimetres (`points_to_lps`).
    radius_mm : float or float64 (n_points,)
        Of the spheres, half the edge of the boxes.
    shape : {"sphere", "box"}
        Which.
    within : Mask or None
        Only voxels in this region count, and points outside it have no values.
    settings : ExtractionSettings
        What is measured. Grey levels are those of the region about the point, unless they are
        of a fixed width from a fixed minimum.

    Returns
    -------
    LocalFeatures
        A row a point.

    Raises
    ------
    InputError
        If there is no image; if the settings resample or filter, because a point's crop would be
        filtered otherwise than the scan (filter first, ``radgen maps --responses``, and give the
        response as an image); or if they ask for shape, or for what looks beyond the region.
    GeometryError
        If the mask shares no space with an image.

    Notes
    -----
    A point has no values where it lies off an image or the mask, where less than half of its
    region is left, or where no voxel's centre lies in it.
    """
    if not images:
        raise InputError("There is no image to measure.")
    if settings.spacing_mm is not None or settings.filters:
        raise InputError(
            "Local features are measured on the images as they are: settings cannot resample or "
            "filter. Write the responses first (radgen maps --responses) and give them as images."
        )
    beyond = [name for name in settings.families if name in ("morphology", "local_intensity")]
    if beyond:
        raise InputError(
            f"{shown(beyond)} of a sphere say nothing about tissue: leave them out of the families."
        )
    at = np.asarray(centres_mm, dtype=np.float64).reshape(-1, 3)
    radii = np.broadcast_to(np.asarray(radius_mm, dtype=np.float64), (len(at),))
    masks = {name: _on(within, image, name) for name, image in images.items()}
    counts = np.zeros((len(at), len(images)), dtype=np.int64)
    reasons, rows = [], []
    names: tuple[str, ...] = ()
    for k, centre in enumerate(at):
        parts: list[tuple[ImageVolume, Mask]] = []
        reason = ""
        for column, (name, image) in enumerate(images.items()):
            found = _part(image, masks[name], centre, radii[k], shape)
            if isinstance(found, str):
                reason = f"{found} of image {name!r}" if found.startswith("outside") else found
                break
            parts.append(found)
            counts[k, column] = found[1].n_voxels
        reasons.append(reason)
        if reason:
            rows.append(None)
            continue
        tables = [extract(part, mask, settings=settings, threads=1) for part, mask in parts]
        names = names or _names(images, tables)
        rows.append(np.concatenate([table["value"].to_numpy() for table in tables]))
    values = np.array([np.full(len(names), np.nan) if row is None else row for row in rows])
    return LocalFeatures(names, values.reshape(len(at), len(names)), counts, tuple(reasons))


def _on(within: Mask | None, image: ImageVolume, name: str) -> NDArray[np.bool_] | None:
    """Return the region on the image's grid."""
    if within is None:
        return None
    if within.geometry.same_as(image.geometry):
        return within.array
    found = resample_to(within, image.geometry).array
    if within.n_voxels and not found.any():
        raise GeometryError(
            f"The mask has no voxel on image {name!r}: they do not share a space.\n  mask:  "
            f"{within.geometry.describe()}\n  image: {image.geometry.describe()}\n"
            "Register them first (radgen.image.register).",
            left=within.geometry,
            right=image.geometry,
        )
    return found


def _part(
    image: ImageVolume,
    within: NDArray[np.bool_] | None,
    centre: FloatArray,
    radius: float,
    shape: Shape,
) -> tuple[ImageVolume, Mask] | str:
    """Return a crop about a point with its region, or why there is none."""
    index = np.floor(image.geometry.to_index(centre[None])[0] + 0.5).astype(int)
    if (index < 0).any() or (index >= image.geometry.shape).any():
        return "outside the grid"
    if within is not None and not within[tuple(index)]:
        return "outside the mask"
    box, inside, n_whole = local_region(image.geometry, centre, radius_mm=radius, shape=shape)
    if not n_whole:
        return f"no voxel centre within {radius:g} mm: give a larger radius"
    if within is not None:
        inside = inside & within[box]
    inside = inside & np.isfinite(image.array[box])
    if inside.sum() < _LEAST_SHARE * n_whole:
        return (
            f"only {100 * inside.sum() / n_whole:.0f} % of the region is measured and in the mask: "
            "move the point, or give a smaller radius"
        )
    geometry = crop_geometry(image.geometry, box)
    return crop(image, box), Mask(inside, geometry)


def _names(images: Mapping[str, ImageVolume], tables: Sequence[pl.DataFrame]) -> tuple[str, ...]:
    out = []
    for image, table in zip(images, tables, strict=True):
        for row in table.iter_rows(named=True):
            parts = (image, row["filter"], row["family"], row["feature"], row["aggregation"])
            out.append("|".join(part for part in parts if part))
    return tuple(out)
