"""Masks: label maps here; DICOM SEG and RTSTRUCT by their own modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean
from radgen.errors import FormatError, InputError, shown
from radgen.io._guard import existing
from radgen.io.images import image_format
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["read_labelled_masks", "read_masks"]

_MANY = 64
_WHOLE = 1e-3

Labels = Mapping[str, int | str | Sequence[int | str]]


def read_masks(
    path: str | Path,
    *,
    labels: Labels | None = None,
    reference: ImageVolume | None = None,
    threshold: float = 0.5,
) -> dict[str, Mask]:
    """Return the regions of a label map, a DICOM SEG or an RTSTRUCT.

    Parameters
    ----------
    path : str or Path
        NIfTI, NRRD or MetaImage label map; DICOM SEG or RTSTRUCT (a file, or a folder that
        holds one); a folder with a DICOM series whose values are labels.
    labels : mapping of str to int or sequence of int, or None
        Region name -> label value, or several values that form the region together. For SEG
        and RTSTRUCT, numbers or names of segments and ROIs. None = every label; in a
        label map without names the only label is "region", several are "label_1", "label_2" …
    reference : ImageVolume or None
        The scan. RTSTRUCT needs it: the contours are drawn on its grid. A SEG that lies on
        the lattice of the scan, but stores fewer slices, is put onto the scan's grid without
        interpolation. A label map keeps its own grid; `Mask.require_on` tells whether it fits.
    threshold : float, default 0.5
        Fractional SEG: a voxel is inside at this fraction or above.

    Returns
    -------
    dict of str to Mask
        In the order of `labels`, or of the label values.

    Raises
    ------
    FormatError
        If the file is broken, or its values are no labels.
    InputError
        If a label asked for is not there; the message lists those that are.

    Notes
    -----
    Nothing is resampled here.
    """
    where = existing(path, what="mask", folder=True)
    _check_labels(labels)
    kind = image_format(where)
    if kind == "dicom":
        return _dicom(where, labels, reference, threshold)
    array, geometry, names = _label_map(where, kind)
    return from_labels(array, geometry, labels, names, where)


def read_labelled_masks(
    path: str | Path, *, reference: ImageVolume | None = None
) -> dict[str, Mask]:
    """Return all regions of a mask file by what tells them apart: segment name or label.

    Parameters
    ----------
    path, reference
        As in `read_masks`.

    Returns
    -------
    dict of str to Mask
        By the name of the segment or ROI; of a label map without names by its value ("1", "2").
        Unlike `read_masks` it names a label alike in every file, and a label map without a voxel
        holds no region.

    Raises
    ------
    FormatError
        As `read_masks`.
    """
    where = existing(path, what="mask", folder=True)
    kind = image_format(where)
    if kind == "dicom":
        return _dicom(where, None, reference, 0.5)
    array, geometry, names = _label_map(where, kind)
    whole = whole_numbers(array, where)
    found = [int(value) for value in np.unique(whole) if value != 0]
    if len(found) > _MANY:
        raise FormatError(f"{len(found)} different labels: this looks like an image.", path=where)
    return {
        names.get(value, str(value)): Mask(
            whole == value, geometry, names.get(value, str(value))
        )
        for value in found
    }  # fmt: skip


def _label_map(where: Path, kind: str) -> tuple[NDArray[Any], Geometry, dict[int, str]]:
    if kind == "nifti":
        from radgen.io.nifti import load_nifti

        array, geometry, _ = load_nifti(where)
        return array, geometry, {}
    from radgen.io.nrrd import load_itk

    array, geometry, entries = load_itk(where)
    return array, geometry, _segment_names(entries)


def from_labels(
    array: NDArray[Any],
    geometry: Geometry,
    labels: Labels | None,
    names: Mapping[int, str],
    path: Path,
) -> dict[str, Mask]:
    """Return the regions of a label array (z, y, x)."""
    whole = whole_numbers(array, path)
    found = [int(value) for value in np.unique(whole) if value != 0]
    if labels is None:
        if not found:
            raise FormatError("The mask is empty: every voxel is 0.", path=path)
        if len(found) > _MANY:
            raise FormatError(
                f"{len(found)} different labels ({shown(found)}): this looks like an image. Pass "
                "labels={name: value} if it is a mask.",
                path=path,
            )
        chosen: dict[str, list[int]] = {}
        for value in found:
            name = names.get(value, "region" if len(found) == 1 else f"label_{value}")
            chosen.setdefault(name if name not in chosen else f"{name} ({value})", []).append(value)
    else:
        chosen = {
            name: [_label_number(item, names, path) for item in _listed(wanted)]
            for name, wanted in labels.items()
        }
        for name, values in chosen.items():
            if not set(values) & set(found):
                raise InputError(
                    f"{path}: the region {name!r} asks for label {shown(values)}, which no voxel "
                    f"has. Labels found: {shown(found, 20) or 'none, the mask is empty'}."
                )
    return {name: Mask(np.isin(whole, values), geometry, name) for name, values in chosen.items()}


def whole_numbers(array: NDArray[Any], path: Path) -> NDArray[np.int64]:
    """Return label values as integers.

    Raises
    ------
    InputError
        If a value is a fraction.
    FormatError
        If a value is negative or NaN.
    """
    if array.ndim != 3:
        raise FormatError(f"A mask has three axes; this file has {array.ndim}.", path=path)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise FormatError(
                "The mask holds voxels without a value (NaN). Set the background to 0.", path=path
            )
        whole = np.round(array)
        off = np.abs(array - whole)
        if off.max() > _WHOLE:
            n = int(np.count_nonzero(off > _WHOLE))
            raise InputError(
                f"{path}: {n} voxels hold fractions, {array.min():g} to {array.max():g}; a mask "
                "holds whole labels. If it was resampled linearly, resample it again with nearest "
                "neighbour. Threshold a probability map (0.5, say) and store whole labels."
            )
        if np.abs(whole).max() > 2**53:
            raise FormatError("Labels are too large to be exact.", path=path)
        array = whole
    if array.size and array.min() < 0:
        raise FormatError(
            f"The mask holds negative values (down to {array.min():g}); labels are 0, 1, 2 …",
            path=path,
        )
    return array.astype(np.int64)


def choose_named(
    labels: Labels | None, known: Mapping[int, str], path: Path, *, what: str
) -> dict[str, list[int]]:
    """Return region name -> numbers, chosen among numbered and named segments or ROIs.

    Raises
    ------
    InputError
        If one asked for is not there.
    """
    listing = shown((f"{number}: {name}" for number, name in known.items()), 20)
    if labels is None:
        out: dict[str, list[int]] = {}
        for number, name in known.items():
            out[name if name and name not in out else f"{name or what} ({number})"] = [number]
        return out
    chosen: dict[str, list[int]] = {}
    for region, wanted in labels.items():
        numbers: list[int] = []
        for item in _listed(wanted):
            hits = [n for n, name in known.items() if item in (n, name)]
            if not hits:
                hint = did_you_mean(item, known.values()) if isinstance(item, str) else ""
                raise InputError(
                    f"{path}: no {what} {item!r}. There are: {listing or 'none'}. {hint}".strip()
                )
            numbers += hits
        chosen[region] = numbers
    return chosen


def _dicom(
    path: Path, labels: Labels | None, reference: ImageVolume | None, threshold: float
) -> dict[str, Mask]:
    from radgen.io.dicom import read_dicom, scan_folder

    files = scan_folder(path)
    objects = [f for f in files if f.header.get("Modality") in ("SEG", "RTSTRUCT")]
    if not objects:
        image = read_dicom(path)
        return from_labels(image.array, image.geometry, labels, {}, path)
    if len(objects) > 1:
        listing = "; ".join(
            f"{item.header.Modality} {str(item.header.get('SeriesDescription', ''))!r}"
            for item in objects
        )
        raise InputError(
            f"{path} holds {len(objects)} segmentations ({listing}). Pass the file of one."
        )
    one = objects[0]
    if one.header.Modality == "SEG":
        from radgen.io.dicom_seg import read_seg

        return read_seg(one.path, labels=labels, reference=reference, threshold=threshold)
    from radgen.io.rtstruct import read_rtstruct

    return read_rtstruct(one.path, labels=labels, reference=reference)


def _segment_names(entries: Mapping[str, str]) -> dict[int, str]:
    """Return label value -> segment name of a segmentation that states them in its header."""
    names: dict[int, str] = {}
    for key, value in entries.items():
        if key.startswith("Segment") and key.endswith("_LabelValue"):
            name = entries.get(key.removesuffix("_LabelValue") + "_Name", "")
            if name and value.strip().isdigit():
                names[int(value)] = name
    return names


def _label_number(item: int | str, names: Mapping[int, str], path: Path) -> int:
    if isinstance(item, str):
        hits = [number for number, name in names.items() if name == item]
        if not hits:
            known = shown(names.values(), 20) or "none; give the number of the label"
            raise InputError(f"{path}: no label is named {item!r}. Names found: {known}.")
        return hits[0]
    return int(item)


def _listed(wanted: int | str | Sequence[int | str]) -> list[int | str]:
    return (
        list(wanted) if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
    )


def _check_labels(labels: Labels | None) -> None:
    if labels is None:
        return
    if not labels:
        raise InputError("labels is empty: name at least one region, or leave it out.")
    for name, wanted in labels.items():
        for item in _listed(wanted):
            bad = isinstance(item, bool) or not isinstance(item, int | str | np.integer)
            if bad or (not isinstance(item, str) and item < 1):
                raise InputError(
                    f"Region {name!r} asks for label {item!r}; a label is 1, 2, 3 … (0 is the "
                    "background)."
                )
        if not _listed(wanted):
            raise InputError(f"Region {name!r} names no label.")
