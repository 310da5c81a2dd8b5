"""Read regions from DICOM SEG and RTSTRUCT objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FormatError, InputError, shown
from radgen.io.dicom import read_header
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["fill_contours", "read_dicom_masks"]

Labels = Mapping[str, int | Sequence[int]] | None


def read_dicom_masks(
    place: Path, *, labels: Labels, reference: ImageVolume | None
) -> dict[str, Mask]:
    """Return the regions of a DICOM SEG or RTSTRUCT file (or of a folder that holds one).

    Raises
    ------
    FormatError
        If there is no such object, or it cannot be read.
    InputError
        If a named segment does not occur, or an RTSTRUCT comes without a reference scan.
    """
    path, header = _find(place)
    kind = str(getattr(header, "Modality", ""))
    if kind == "SEG":
        return _segments(path, labels)
    if kind == "RTSTRUCT":
        if reference is None:
            raise InputError(f"{path}: an RTSTRUCT needs the scan it was drawn on (reference).")
        return _structures(path, labels, reference.geometry)
    raise FormatError(f"A DICOM object of modality {kind!r} holds no regions.", path=path)


def _find(place: Path) -> tuple[Path, Any]:
    if place.is_file():
        return place, read_header(place)
    found = []
    for path in sorted(item for item in place.rglob("*") if item.is_file()):
        try:
            header = read_header(path)
        except FormatError:
            continue
        if getattr(header, "Modality", "") in ("SEG", "RTSTRUCT"):
            found.append((path, header))
    if len(found) != 1:
        names = shown(path.name for path, _ in found) or "none"
        raise FormatError(
            f"Needed is one SEG or RTSTRUCT file; found {names}. Name the file.", path=place
        )
    return found[0]


def _segments(path: Path, labels: Labels) -> dict[str, Mask]:
    import highdicom as hd

    try:
        seg = hd.seg.segread(path)
        numbers = [int(number) for number in seg.segment_numbers]
        names = {n: str(seg.get_segment_description(n).segment_label) for n in numbers}
        masks = {}
        for name, number in _wanted(labels, names, path).items():
            volume = seg.get_volume(segment_numbers=number, combine_segments=False)
            array = np.asarray(volume.array)
            inside = array.max(axis=-1) if array.ndim == 4 else array
            threshold = 0.5 * float(getattr(seg, "MaximumFractionalValue", 1) or 1)
            if str(seg.SegmentationType) != "FRACTIONAL" or inside.dtype.kind == "f":
                threshold = 0.5
            affine = np.array(volume.affine)
            affine[:, :3] = affine[:, [2, 1, 0]]  # highdicom indexes (frame, row, column)
            masks[name] = Mask(inside >= threshold, Geometry(affine, inside.shape), name)
    except (RuntimeError, ValueError, AttributeError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise FormatError(
            "The segmentation object cannot be read as regular volumes.", path=path
        ) from error
    return masks


def _wanted(labels: Labels, names: Mapping[int, str], path: Path) -> dict[str, list[int]]:
    if labels is None:
        found: dict[str, list[int]] = {}
        for number, name in names.items():
            found.setdefault(name, []).append(number)
        return found
    wanted = {}
    for region, values in labels.items():
        numbers = [values] if isinstance(values, int) else [int(value) for value in values]
        present = [number for number in numbers if number in names]
        if not present:
            known = shown((f"{number}: {name}" for number, name in names.items()), 20)
            raise InputError(
                f"{path}: no segment {shown(numbers)} (region {region!r}). Found {known}."
            )
        wanted[region] = present
    return wanted


def _structures(path: Path, labels: Labels, geometry: Geometry) -> dict[str, Mask]:
    import warnings

    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
    names = {
        int(roi.ROINumber): str(roi.ROIName)
        for roi in getattr(dataset, "StructureSetROISequence", [])
    }
    contours: dict[int, list[NDArray[np.float64]]] = {number: [] for number in names}
    for item in getattr(dataset, "ROIContourSequence", []):
        for contour in getattr(item, "ContourSequence", []):
            if str(getattr(contour, "ContourGeometricType", "")).upper().startswith("CLOSED"):
                points = np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
                contours.setdefault(int(item.ReferencedROINumber), []).append(points)
    masks = {}
    for region, numbers in _wanted(labels, names, path).items():
        loops = [loop for number in numbers for loop in contours.get(number, [])]
        if not loops:
            raise InputError(f"{path}: structure {region!r} has no closed contour.")
        masks[region] = Mask(fill_contours(loops, geometry), geometry, region)
    return masks


def fill_contours(contours: Sequence[NDArray[np.float64]], geometry: Geometry) -> NDArray[np.bool_]:
    """Return the voxels whose centres lie inside planar contours.

    Parameters
    ----------
    contours : sequence of ndarray of float64 (n_points, 3)
        Closed polygons in LPS millimetres, each within one slice of the grid.
    geometry : Geometry
        The grid; it may be oblique.

    Returns
    -------
    ndarray of bool (n_z, n_y, n_x)
        Even-odd rule over all contours of a slice, so an inner contour is a hole.

    Raises
    ------
    InputError
        If a contour leaves its slice plane (drawn on another series), or lies off the grid.
    """
    from matplotlib.path import Path as Polygon

    inside = np.zeros(geometry.shape, dtype=np.bool_)
    for contour in contours:
        index = geometry.to_index(contour)
        plane = index[:, 0]
        z = int(np.rint(plane.mean()))
        if np.abs(plane - z).max() > 0.25:
            raise InputError(
                "A contour does not lie in a slice of the scan: it was drawn on another series, or "
                "the scan was resampled. Use the scan that the structure set refers to."
            )
        if not 0 <= z < geometry.shape[0]:
            raise InputError("A contour lies outside the scan: it belongs to another series.")
        low = np.maximum(np.floor(index[:, 1:].min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(index[:, 1:].max(axis=0)).astype(int) + 1, geometry.shape[1:])
        if (low >= high).any():
            continue
        rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
        points = np.column_stack([columns.ravel(), rows.ravel()])
        polygon = Polygon(index[:, [2, 1]])
        hit = polygon.contains_points(points).reshape(rows.shape)
        inside[z, low[0] : high[0], low[1] : high[1]] ^= hit
    return inside
