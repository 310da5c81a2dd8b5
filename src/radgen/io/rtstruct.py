"""RTSTRUCT contours become masks on the grid of the scan that they were drawn on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FormatError, GeometryError, InputError, RadgenWarning, shown
from radgen.io._guard import BROKEN
from radgen.io.dicom import quiet
from radgen.io.masks import Labels, choose_named
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["fill_polygon", "read_rtstruct"]

_OFF_PLANE = 0.25


def read_rtstruct(
    path: Path, *, labels: Labels | None = None, reference: ImageVolume | None = None
) -> dict[str, Mask]:
    """Return the regions of interest of an RTSTRUCT as masks; see `radgen.io.read_masks`.

    Parameters
    ----------
    path : Path
        The file.
    labels : mapping or None
        Region name -> ROI number(s) or ROI name(s).
    reference : ImageVolume or None
        The scan; needed.

    Returns
    -------
    dict of str to Mask
        On the grid of `reference`. Without `labels`, ROIs without closed contours are left out.

    Raises
    ------
    InputError
        If there is no reference, or a ROI is not there or has no closed contour.
    GeometryError
        If contours do not lie in the slices of the reference, or outside of it.
    FormatError
        If the file is broken.

    Notes
    -----
    A voxel is inside where its centre is: a contour covers the voxels whose centres lie inside
    its polygon by the even-odd rule, half-open, so that two regions that share an edge share no
    voxel. Contours of one region on one slice are combined by exclusive or, which gives holes
    drawn as inner contours and, within one contour, keyholes.  A contour belongs to the nearest
    slice; it may lie off it by a quarter of the slice distance at most.
    """
    if reference is None:
        raise InputError(
            f"{path}: the contours of an RTSTRUCT need the scan they were drawn on. Pass "
            "reference=read_image(folder)."
        )
    known, contours = _load(path)
    if labels is None:
        known = {number: name for number, name in known.items() if contours.get(number)}
        if not known:
            raise FormatError("No region of interest has a closed contour.", path=path)
    chosen = choose_named(labels, known, path, what="ROI")
    masks = {}
    for region, numbers in chosen.items():
        array = np.zeros(reference.geometry.shape, dtype=np.bool_)
        for number in numbers:
            drawn = contours.get(number, [])
            if not drawn:
                raise InputError(f"{path}: the ROI {known[number]!r} has no closed contour.")
            array |= _filled(drawn, reference.geometry, known[number], path)
        masks[region] = Mask(array, reference.geometry, region)
    return masks


def fill_polygon(vertices: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixel centres lie inside a closed polygon by the even-odd rule.

    Parameters
    ----------
    vertices : ndarray of float64 (n_vertices, 2)
        Corners as (y, x) in pixel units; pixel centres are whole numbers.
    shape : tuple of int
        (n_y, n_x).

    Returns
    -------
    ndarray of bool (n_y, n_x)
        A centre on a left or top edge is inside, on a right or bottom edge it is not.
    """
    n_y, n_x = shape
    toggles = np.zeros((n_y, n_x + 1), dtype=np.int64)
    following = np.roll(vertices, -1, axis=0)
    for (y0, x0), (y1, x1) in zip(vertices, following, strict=True):
        if y0 == y1:
            continue
        if y0 > y1:
            y0, x0, y1, x1 = y1, x1, y0, x0
        rows = np.arange(max(int(np.ceil(y0)), 0), min(int(np.ceil(y1)), n_y))
        if rows.size == 0:
            continue
        crossing = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
        column = np.clip(np.ceil(crossing), 0, n_x).astype(np.int64)
        np.add.at(toggles, (rows, column), 1)
    return np.asarray(np.cumsum(toggles, axis=1)[:, :n_x] % 2 == 1)


def _load(path: Path) -> tuple[dict[int, str], dict[int, list[NDArray[np.float64]]]]:
    """Return ROI number -> name, and ROI number -> closed contours (n, 3) in LPS mm."""
    import pydicom

    try:
        with quiet():
            dataset = pydicom.dcmread(path)
            known = {
                int(item.ROINumber): str(item.get("ROIName", ""))
                for item in dataset.StructureSetROISequence
            }
            contours: dict[int, list[NDArray[np.float64]]] = {}
            for roi in dataset.get("ROIContourSequence") or []:
                number = int(roi.ReferencedROINumber)
                for contour in roi.get("ContourSequence") or []:
                    points = _points(contour, path)
                    if points is not None:
                        contours.setdefault(number, []).append(points)
    except FormatError:
        raise
    except BROKEN as error:
        raise FormatError(
            "The RTSTRUCT is broken or cut off. Export it again.", path=path
        ) from error
    return known, contours


def _points(contour: Any, path: Path) -> NDArray[np.float64] | None:
    kind = str(contour.get("ContourGeometricType", "CLOSED_PLANAR"))
    if not kind.startswith("CLOSED_PLANAR"):
        return None
    numbers = np.array([float(value) for value in contour.ContourData], dtype=np.float64)
    if len(numbers) % 3 or not np.isfinite(numbers).all():
        raise FormatError("A contour is cut off: its numbers make no points.", path=path)
    return numbers.reshape(-1, 3) if len(numbers) >= 9 else None


def _filled(
    contours: list[NDArray[np.float64]], grid: Geometry, name: str, path: Path
) -> NDArray[np.bool_]:
    array = np.zeros(grid.shape, dtype=np.bool_)
    used: set[int] = set()
    for points in contours:
        index = grid.to_index(points)
        middle = float(index[:, 0].mean())
        plane = round(middle)
        off = float(np.abs(index[:, 0] - plane).max())
        if off > _OFF_PLANE:
            raise GeometryError(
                f"{path}: a contour of {name!r} lies {off * grid.spacing_mm[0]:.3g} mm off the "
                "nearest slice of the scan. It was drawn on another scan: pass that one as the "
                "reference."
            )
        low, high = index[:, 1:].min(axis=0), index[:, 1:].max(axis=0)
        if (
            not 0 <= plane < grid.shape[0]
            or (high < -0.5).any()
            or (low > np.array(grid.shape[1:]) - 0.5).any()
        ):
            raise GeometryError(
                f"{path}: a contour of {name!r} lies outside of the scan. It was drawn on another "
                "one: pass that as the reference."
            )
        used.add(plane)
        array[plane] ^= fill_polygon(index[:, 1:], grid.shape[1:])
    gaps = sorted(set(range(min(used), max(used) + 1)) - used)
    if gaps:
        warnings.warn(
            f"{path.name}: {name!r} has no contour on {len(gaps)} slices between its first and "
            f"its last (slice {shown(gaps)}). They stay empty; nothing is filled in.",
            RadgenWarning,
            stacklevel=4,
        )
    return array
