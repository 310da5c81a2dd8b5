"""DICOM series through pydicom: slices are sorted by where they lie, and none may be missing."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FormatError, InputError, MissingDependencyError, shown
from radgen.io._acquisition import acquisition_facts
from radgen.io._guard import BROKEN, image_size, safe_name
from radgen.io._series_order import FramesAs, order_frames
from radgen.io._slices import Frame, frames_of, stack
from radgen.types import ImageVolume

__all__ = ["DicomFile", "image_series", "quiet", "read_dicom", "scan_folder"]

_NO_IMAGE = ("SEG", "RTSTRUCT", "RTPLAN", "SR", "PR", "KO", "REG", "FID", "DOC")


@dataclass(frozen=True, slots=True)
class DicomFile:
    """One DICOM file and its header without pixels."""

    path: Path
    header: Any


def read_dicom(
    path: Path,
    *,
    modality: str = "",
    series: int | str | None = None,
    suv: bool = False,
    frames_as: FramesAs | None = None,
) -> ImageVolume:
    """Return the scan of one DICOM series; see `radgen.io.read_image`.

    Parameters
    ----------
    path : Path
        A folder (searched with its subfolders) or one file.
    modality : str
        Keep series of this modality alone; "" = all.
    series : int, str or None
        Number in the list of series (from 1), or description.
    suv : bool
        Convert PET to SUV.
    frames_as : {"time", "diffusion"} or None
        What tells volumes at the same place apart; None takes temporal positions alone, and
        refuses others.

    Returns
    -------
    ImageVolume
        Rescaled values. Of a series, `meta` has ``b_values`` and ``directions``, where stated, and
        ``frame_times``: "stated" or "none".
    """
    found = image_series(scan_folder(path))
    if modality:
        found = [files for files in found if files[0].header.get("Modality") == modality]
    if not found:
        what = f"{modality} images" if modality else "images"
        raise FormatError(f"No DICOM {what} found here.", path=path)
    files = _choose(found, series, path)
    header = files[0].header
    frames = [frame for file in files for frame in frames_of(file.header, file.path)]
    ordered = None if frames_as is None else order_frames(frames, path, frames_as)
    geometry, groups, times = stack(frames, path, None if ordered is None else ordered.groups)
    facts = acquisition_facts(header)
    if ordered is not None and len(groups) > 1:
        stated = ordered.times_s is not None and not ordered.b_values
        clock = ordered.times_s
        times = np.arange(len(groups), dtype=np.float64) if clock is None else clock
        facts["frame_times"] = "stated" if stated else "none"
        facts |= {"b_values": ordered.b_values} if ordered.b_values else {}
        facts |= {"directions": ordered.directions} if ordered.directions else {}
    image_size((*geometry.shape, len(groups)), 4, path, gzipped=False)
    pixels = _Pixels()
    volumes = [np.stack([pixels.values(frame) for frame in group]) for group in groups]
    array = np.stack(volumes) if times is not None else volumes[0]
    if array.shape[-3:] != geometry.shape:
        raise FormatError("The pixels have another size than the headers say.", path=path)
    factor = 1.0
    if suv:
        from radgen.io.pet import suv_factor

        factor = suv_factor(_earliest(files))
        array = array * factor
    quantity, unit = _quantity(header, suv)
    return ImageVolume(
        _single(array),
        geometry,
        modality=str(header.get("Modality", "")),
        quantity=quantity,
        unit=unit,
        times_s=times,
        meta=facts,
    )


def scan_folder(path: Path) -> list[DicomFile]:
    """Return the DICOM files at a path, by name; other files are passed over.

    Raises
    ------
    FormatError
        If a file that is named like DICOM is none or is cut off, or none is there.
    """
    import pydicom

    candidates = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    files: list[DicomFile] = []
    broken: list[Path] = []
    with quiet():
        for file in candidates:
            if path.is_dir() and not _may_be_dicom(file):
                continue
            try:
                header = pydicom.dcmread(file, stop_before_pixels=True)
                if not str(header.get("SOPClassUID", "")):
                    raise pydicom.errors.InvalidDicomError
                for _ in header.iterall():
                    pass  # every tag is decoded here, so that none fails later
            except BROKEN:
                broken.append(file)
                continue
            if not str(header.SOPClassUID).startswith("1.2.840.10008.1.3.10"):
                files.append(DicomFile(file, header))
    if broken:
        raise FormatError(
            f"{len(broken)} files are no DICOM or are cut off: "
            f"{shown(safe_name(item) for item in broken)}. Copy them again, or move them away.",
            path=path,
        )
    if not files:
        raise FormatError("No DICOM file is here. Point to the folder of one series.", path=path)
    return files


def image_series(files: Sequence[DicomFile]) -> list[list[DicomFile]]:
    """Return the image series among files, ordered by series number, then by description."""
    groups: dict[str, list[DicomFile]] = {}
    for file in files:
        if str(file.header.get("Modality", "")) not in _NO_IMAGE:
            groups.setdefault(str(file.header.get("SeriesInstanceUID", "")), []).append(file)
    pictured = [group for group in groups.values() if any("Rows" in f.header for f in group)]
    return sorted(pictured, key=_order)


def _order(files: list[DicomFile]) -> tuple[int, str, str]:
    header = files[0].header
    try:
        number = int(header.get("SeriesNumber") or 0)
    except (TypeError, ValueError):
        number = 0
    return number, str(header.get("SeriesDescription", "")), files[0].path.name


def _choose(found: list[list[DicomFile]], series: int | str | None, path: Path) -> list[DicomFile]:
    listing = "; ".join(
        f"{index}: {files[0].header.get('Modality', '?')} "
        f"{str(files[0].header.get('SeriesDescription', '')) or 'without description'!r}, "
        f"{len(files)} files"
        for index, files in enumerate(found[:20], start=1)
    )
    if series is None:
        if len(found) == 1:
            return found[0]
        raise InputError(
            f"{path} holds {len(found)} series: {listing}. Choose one with series=<number or "
            "description>."
        )
    if isinstance(series, int):
        if 1 <= series <= len(found):
            return found[series - 1]
        raise InputError(f"{path} has no series number {series}. There are: {listing}.")
    same = [f for f in found if str(f[0].header.get("SeriesDescription", "")) == series]
    if len(same) != 1:
        problem = "several series of this" if same else "no series of the"
        raise InputError(f"{path} has {problem} description {series!r}. There are: {listing}.")
    return same[0]


class _Pixels:
    """Reads a file's pixels once and rescales frames."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._array: NDArray[Any] = np.empty(0)

    def values(self, frame: Frame) -> NDArray[np.float64]:
        if frame.path != self._path:
            self._array, self._path = _decode(frame.path), frame.path
        stored = self._array[frame.index] if self._array.ndim == 3 else self._array
        return np.asarray(stored * frame.slope + frame.intercept, dtype=np.float64)


def _decode(path: Path) -> NDArray[Any]:
    import pydicom

    with quiet():
        try:
            dataset = pydicom.dcmread(path)
        except BROKEN as error:
            raise FormatError("The file is broken or cut off. Copy it again.", path=path) from error
        if int(dataset.get("SamplesPerPixel", 1)) != 1:
            raise FormatError("A colour image; a scan has one number a pixel.", path=path)
        if "PixelData" not in dataset and "FloatPixelData" not in dataset:
            raise FormatError("The file has no pixels. Copy it again.", path=path)
        syntax = dataset.file_meta.get("TransferSyntaxUID") if "file_meta" in dir(dataset) else None
        try:
            return np.asarray(dataset.pixel_array)
        except BROKEN as error:
            if syntax is not None and _no_decoder(syntax):
                raise MissingDependencyError(
                    f"{path}: the pixels are compressed ({syntax.name}) and no decoder is "
                    "installed. Install one with: pip install pylibjpeg pylibjpeg-libjpeg "
                    "pylibjpeg-openjpeg"
                ) from error
            raise FormatError(
                "The pixels are broken or cut off. Copy the file again.", path=path
            ) from error


def _no_decoder(syntax: Any) -> bool:
    """Return whether the pixels are compressed in a known way that nothing here decodes."""
    from pydicom.pixels import get_decoder

    if not syntax.is_transfer_syntax or not syntax.is_compressed:
        return False
    try:
        return not get_decoder(syntax).is_available
    except NotImplementedError:
        return True


def _earliest(files: Sequence[DicomFile]) -> Any:
    return min(
        (file.header for file in files), key=lambda header: str(header.get("AcquisitionTime", ""))
    )


def _quantity(header: Any, as_suv: bool) -> tuple[str, str]:
    modality = str(header.get("Modality", ""))
    if as_suv:
        return "SUV", "g/mL"
    if modality == "CT":
        return "HU", "HU"
    if modality == "RTDOSE":
        gray = str(header.get("DoseUnits", "")).upper() == "GY"
        return "dose", "Gy" if gray else "relative"
    if modality == "PT":
        unit = {"BQML": "Bq/mL", "GML": "g/mL", "CNTS": "counts"}.get(
            str(header.get("Units", "")), "a.u."
        )
        return ("SUV" if unit == "g/mL" else "activity"), unit
    return "signal", "a.u."


def _single(array: NDArray[np.float64]) -> NDArray[Any]:
    single = array.astype(np.float32)
    return single if np.array_equal(single, array, equal_nan=True) else array


def _may_be_dicom(path: Path) -> bool:
    if path.name.startswith(".") or path.name.upper() == "DICOMDIR":
        return False
    if path.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from logging and warning: its texts may quote identifying tags."""
    logger = logging.getLogger("pydicom")
    before, spread = logger.level, logger.propagate
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
        logger.propagate = spread
