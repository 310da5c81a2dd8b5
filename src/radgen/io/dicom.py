"""Read a DICOM series as one volume, through pydicom."""

from __future__ import annotations

import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FormatError, InputError, shown
from radgen.types import Geometry, ImageVolume

__all__ = ["read_dicom", "read_header"]

_QUANTITY = {"CT": ("HU", "HU"), "PT": ("activity", "Bq/mL"), "MR": ("signal", "a.u.")}
_FACTS = {
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "kernel": "ConvolutionKernel",
    "slice_thickness_mm": "SliceThickness",
    "kvp": "KVP",
    "field_strength_t": "MagneticFieldStrength",
    "echo_time_ms": "EchoTime",
    "repetition_time_ms": "RepetitionTime",
    "series_description": "SeriesDescription",
}
"""Acquisition facts that are kept; nothing that identifies a person is read from the header."""

_GAP = 0.02
"""Slice distances may differ by this fraction of the smallest."""


def read_header(path: Path) -> Any:
    """Return the header of a DICOM file without its pixels.

    Raises
    ------
    FormatError
        If it is no DICOM file.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise FormatError(
            "Neither a NIfTI, NRRD or MetaImage name (.nii, .nii.gz, .nrrd, .mha) "
            "nor a readable DICOM file.",
            path=path,
        ) from error


def read_dicom(place: Path, *, modality: str = "", series: int | None = None) -> ImageVolume:
    """Return one DICOM series, its slices sorted by their position along the normal.

    Parameters
    ----------
    place : Path
        A folder with one series (other files in it are passed over), or a single file.
    modality : str
        Overrides the header where given.
    series : int or None
        Which of several series, counted from 1.

    Returns
    -------
    ImageVolume
        Rescaled values; `meta` holds acquisition facts that identify nobody.

    Raises
    ------
    FormatError
        If there is no image, slices are missing, doubled or differ in size or orientation, or
        the pixels are compressed in a way that cannot be read.
    InputError
        If there are several series and none is chosen.
    """
    headers = _choose(_headers(place), place, series)
    first = headers[0][1]
    if len(headers) == 1 and int(getattr(first, "NumberOfFrames", 1) or 1) > 1:
        array, geometry = _enhanced(headers[0][0])
    else:
        array, geometry = _stack(headers, place)
    kind = modality or str(getattr(first, "Modality", "") or "")
    quantity, unit = _QUANTITY.get(kind, ("signal", "a.u."))
    return ImageVolume(
        array, geometry, modality=kind, quantity=quantity, unit=unit, meta=_facts(first)
    )


def _headers(place: Path) -> list[tuple[Path, Any]]:
    if place.is_file():
        return [(place, read_header(place))]
    found = []
    for path in sorted(item for item in place.rglob("*") if item.is_file()):
        try:
            header = read_header(path)
        except FormatError:
            continue
        if hasattr(header, "Rows") and getattr(header, "Modality", "") not in ("SEG", "RTSTRUCT"):
            found.append((path, header))
    if not found:
        raise FormatError("The folder holds no DICOM image.", path=place)
    return found


def _choose(
    headers: list[tuple[Path, Any]], place: Path, series: int | None
) -> list[tuple[Path, Any]]:
    groups: dict[str, list[tuple[Path, Any]]] = defaultdict(list)
    for item in headers:
        groups[str(getattr(item[1], "SeriesInstanceUID", ""))].append(item)
    ordered = sorted(groups.values(), key=lambda items: (_number(items[0][1]), str(items[0][0])))
    if len(ordered) == 1 and series in (None, 1):
        return ordered[0]
    lines = [
        f"  {k}: {getattr(items[0][1], 'Modality', '?')}, "
        f"{getattr(items[0][1], 'SeriesDescription', 'no description')!s:.60}, {len(items)} files"
        for k, items in enumerate(ordered, 1)
    ]
    if series is None or not 1 <= series <= len(ordered):
        raise InputError(
            f"{place}: {len(ordered)} series stand in this folder; say which one "
            "(series = number), or give each a folder of its own:\n" + "\n".join(lines)
        )
    return ordered[series - 1]


def _number(header: Any) -> int:
    try:
        return int(header.SeriesNumber)
    except (AttributeError, TypeError, ValueError):
        return 0


def _stack(headers: list[tuple[Path, Any]], place: Path) -> tuple[NDArray[Any], Geometry]:
    for path, header in headers:
        lost = [
            tag
            for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
            if getattr(header, tag, None) in (None, "")
        ]
        if lost:
            raise FormatError(f"The slice has no {shown(lost)}; its place is unknown.", path=path)
    reference = headers[0][1]
    orientation = np.array(reference.ImageOrientationPatient, dtype=np.float64)
    spacing = np.array(reference.PixelSpacing, dtype=np.float64)
    for path, header in headers:
        if (
            (header.Rows, header.Columns) != (reference.Rows, reference.Columns)
            or np.abs(np.array(header.ImageOrientationPatient, dtype=float) - orientation).max()
            > 1e-3
            or np.abs(np.array(header.PixelSpacing, dtype=float) - spacing).max() > 1e-4
        ):
            raise FormatError(
                "The slice differs from the others in size, spacing or orientation "
                "(a localiser?). Move it to a folder of its own.",
                path=path,
            )
    across, down = orientation[:3], orientation[3:]
    normal = np.cross(across, down)
    place_mm = np.array(
        [np.array(h.ImagePositionPatient, dtype=float) @ normal for _, h in headers]
    )
    order = np.argsort(place_mm, kind="stable")
    headers, place_mm = [headers[k] for k in order], place_mm[order]
    gap = _even_gap(headers, place_mm, place)
    array = np.stack([_pixels(path) for path, _ in headers])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (
        across * spacing[1],
        down * spacing[0],
        normal * gap,
    )
    affine[:3, 3] = np.array(headers[0][1].ImagePositionPatient, dtype=np.float64)
    if len(headers) > 1:
        last = np.array(headers[-1][1].ImagePositionPatient, dtype=np.float64)
        affine[:3, 2] = (last - affine[:3, 3]) / (len(headers) - 1)
    return array, Geometry(affine, array.shape)


def _even_gap(headers: list[tuple[Path, Any]], place_mm: NDArray[np.float64], place: Path) -> float:
    """Return the distance of slices; raise where slices are doubled or missing."""
    if len(headers) == 1:
        header = headers[0][1]
        return float(
            getattr(header, "SpacingBetweenSlices", None)
            or getattr(header, "SliceThickness", None)
            or 1.0
        )
    gaps = np.diff(place_mm)
    doubled = [headers[k + 1][0].name for k in np.flatnonzero(gaps < 1e-3)]
    if doubled:
        raise FormatError(
            f"{len(doubled)} slices lie where another lies: {shown(doubled)}. "
            "Remove the doubles, or split the time points or echoes into folders.",
            path=place,
        )
    step = float(np.median(gaps))
    wide = np.flatnonzero(gaps > step * (1 + _GAP) + 1e-3)
    if len(wide):
        where = [f"{headers[k][0].name} and {headers[k + 1][0].name}" for k in wide]
        raise FormatError(
            f"Slices are missing or unevenly spaced (usual distance {step:.4g} mm): between "
            f"{shown(where)}. Export the series again.",
            path=place,
        )
    if (gaps < step * (1 - _GAP) - 1e-3).any():
        raise FormatError(
            f"Slices are unevenly spaced: {gaps.min():.4g} to {gaps.max():.4g} mm.", path=place
        )
    return step


def _pixels(path: Path) -> NDArray[np.float64]:
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
            raw = dataset.pixel_array
    except (
        AttributeError,
        ValueError,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        KeyError,
    ) as error:
        raise FormatError(
            "The pixels cannot be read: the file is truncated, or compressed in a way that needs "
            "a decoder (pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg).",
            path=path,
        ) from error
    if raw.ndim != 2:
        raise FormatError(
            f"A slice has shape {raw.shape}; needed is one grey value a pixel.", path=path
        )
    slope = float(getattr(dataset, "RescaleSlope", 1) or 1)
    intercept = float(getattr(dataset, "RescaleIntercept", 0) or 0)
    return np.asarray(raw * slope + intercept, dtype=np.float64)


def _enhanced(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Return a multi-frame image through highdicom."""
    import highdicom as hd

    try:
        volume = hd.imread(path).get_volume(dtype=np.float64)
    except (RuntimeError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise FormatError(
            "The frames of this multi-frame file do not form one regular volume "
            "(several time points, echoes or b-values?). Split it first.",
            path=path,
        ) from error
    affine = np.array(volume.affine)
    affine[:, :3] = affine[:, [2, 1, 0]]  # highdicom indexes (frame, row, column)
    return np.asarray(volume.array), Geometry(affine, volume.array.shape[:3])


def _facts(header: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, tag in _FACTS.items():
        value = getattr(header, tag, None)
        if value in (None, ""):
            continue
        try:
            facts[name] = float(value)
        except (TypeError, ValueError):
            facts[name] = str(value)[:80]
    return facts
