"""Read tables of biopsies that were localised on images: where each needle went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from radgen._core.naming import counted, did_you_mean
from radgen.errors import FormatError, InputError, shown
from radgen.io.tables import BLANKS, numeric_columns, read_table, text_of

__all__ = ["FRAMES", "CoregisteredImages", "read_biopsies", "read_coregistered"]

FRAMES = ("LPS", "RAS", "index")
"""Millimetres to the left, posterior, superior; right, anterior, superior; voxels from 0."""

_HEADERS = {
    "sample": ("sample", "patient", "patient id", "patient_id", "subject", "subject id", "id"),
    "biopsy": ("biopsy", "biopsy id", "biopsy_id", "core", "specimen", "specimen id", "target"),
    "x": ("x", "x_mm", "x (mm)", "i"),
    "y": ("y", "y_mm", "y (mm)", "j"),
    "z": ("z", "z_mm", "z (mm)", "k"),
    "frame": ("frame", "coordinates", "space"),
    "radius_mm": ("radius_mm", "radius (mm)", "radius"),
}
_NEED = ("sample", "x", "y", "z")


def read_biopsies(path: str | Path, *, frame: str = "") -> pl.DataFrame:
    """Return a table of biopsies, a row a biopsy.

    Parameters
    ----------
    path : str or Path
        Columns for patient, x, y and z; also biopsy (an id), frame (LPS, RAS, index) and radius
        in mm. All other columns (molecular labels) are kept as they are.
    frame : {"", "LPS", "RAS", "index"}
        What x, y and z are, where the table has no such column: millimetres in LPS (DICOM, ITK,
        3D Slicer's files) or RAS (NIfTI, Slicer's display), or voxels of the first image,
        counted from 0 along its own axes.

    Returns
    -------
    polars.DataFrame
        ``sample, biopsy, x, y, z, frame, radius_mm`` (null = the default), then the others.

    Raises
    ------
    FormatError
        If a column is missing, a cell cannot be read, or a biopsy stands twice; names rows.
    InputError
        If neither the table nor `frame` says what x, y and z are.
    """
    place = Path(path)
    raw = read_table(place)
    found = _columns(raw, place)
    numbers, dirty = numeric_columns(
        raw, [name for key in ("x", "y", "z", "radius_mm") if (name := found.get(key))]
    )
    dirty += [
        (row + 1, found[key], "blank")
        for key in ("x", "y", "z")
        for row in np.flatnonzero(numbers[found[key]].is_null().to_numpy())
        if (row + 1, found[key]) not in {cell[:2] for cell in dirty}
    ]
    if dirty:
        cells = [f"row {row}, {name}: {text!r}" for row, name, text in dirty]
        raise FormatError(
            f"{counted(len(cells), 'coordinate')} cannot be read: {shown(cells)}. Write numbers, "
            "or remove the row.",
            path=place,
        )
    samples = text_of(raw[found["sample"]], path=place)
    names = (
        text_of(raw[found["biopsy"]], path=place)
        if "biopsy" in found
        else [str(row) for row in range(1, raw.height + 1)]
    )
    radius = found.get("radius_mm")
    out = pl.DataFrame(
        {
            "sample": samples,
            "biopsy": names,
            **{key: numbers[found[key]] for key in ("x", "y", "z")},
            "frame": _frames(raw, found, frame, place),
            "radius_mm": numbers[radius] if radius else [None] * raw.height,
        },
        schema_overrides={"radius_mm": pl.Float64},
    )
    twice = out.filter(out.select("sample", "biopsy").is_duplicated())
    if twice.height:
        pairs = twice.select(pl.concat_str("sample", pl.lit(" "), "biopsy")).to_series()
        raise FormatError(
            f"Biopsies that stand twice: {shown(pairs.unique(maintain_order=True).to_list())}. "
            "Give each an id of its own.",
            path=place,
        )
    others = [name for name in raw.columns if name not in found.values()]
    clash = [name for name in others if name in out.columns]
    if clash:
        raise FormatError(f"Columns of two meanings: {shown(clash)}. Rename one.", path=place)
    return pl.concat([out, raw.select(others)], how="horizontal") if others else out


def _columns(raw: pl.DataFrame, place: Path) -> dict[str, str]:
    low = {" ".join(name.split()).casefold(): name for name in raw.columns}
    found = {
        key: low[next(n for n in names if n in low)]
        for key, names in _HEADERS.items()
        if any(n in low for n in names)
    }
    lost = [key for key in _NEED if key not in found]
    if lost:
        raise FormatError(
            f"No column for {shown(lost)}. {did_you_mean(lost[0], raw.columns)}", path=place
        )
    return found


def _frames(raw: pl.DataFrame, found: dict[str, str], frame: str, place: Path) -> list[str]:
    known = {name.casefold(): name for name in FRAMES} | {"voxel": "index", "ijk": "index"}
    if frame and frame.casefold() not in known:
        raise InputError(f"The frame is {', '.join(FRAMES)}; found {frame!r}.")
    default = known.get(frame.casefold(), "")
    texts = ["" if t is None else str(t) for t in raw[found["frame"]]] if "frame" in found else []
    texts = texts or [""] * raw.height
    out = [
        known.get(text.strip().casefold(), default if not text.strip() else "") for text in texts
    ]
    odd = [f"row {k + 1}: {text!r}" for k, text in enumerate(texts) if not out[k]]
    if odd and not default and not any(text.strip() for text in texts):
        raise InputError(
            f"{place.name} does not say what x, y and z are. Add a column frame, or give --frame: "
            "LPS (DICOM, ITK), RAS (NIfTI) or index (voxels from 0). A wrong frame mirrors places."
        )
    if odd:
        raise FormatError(f"Frames are {', '.join(FRAMES)}; not so: {shown(odd)}.", path=place)
    return out


@dataclass(frozen=True, slots=True)
class CoregisteredImages:
    """The files of one sample.

    Attributes
    ----------
    sample : str
        Its id.
    images : tuple of (str, str)
        Name ("T1C") and path of each image; all lie in one space.
    mask : str
        Path of the tumour's mask; "" = none.
    """

    sample: str
    images: tuple[tuple[str, str], ...]
    mask: str = ""


def read_coregistered(path: str | Path) -> dict[str, CoregisteredImages]:
    """Return the images of each sample from a table with a row a sample.

    Parameters
    ----------
    path : str or Path
        Columns for patient, mask (optional), and a column an image, named as its features will
        be (T1C, T2, ADC). Relative paths start at the folder of the table.

    Returns
    -------
    dict of str to CoregisteredImages
        By sample.

    Raises
    ------
    FormatError
        If there is no column of samples or images, a cell is blank, or a sample stands twice.
    """
    place = Path(path)
    raw = read_table(place)
    low = {" ".join(name.split()).casefold(): name for name in raw.columns}
    key = next((low[name] for name in _HEADERS["sample"] if name in low), None)
    if key is None:
        raise FormatError(
            f"No column of samples. {did_you_mean('sample', raw.columns)}", path=place
        )
    mask = next((low[name] for name in ("mask", "segmentation", "seg") if name in low), None)
    names = [name for name in raw.columns if name not in (key, mask)]
    if not names:
        raise FormatError("No column of images: add one a sequence (T1C, T2 …).", path=place)
    samples = text_of(raw[key], path=place)
    twice = sorted({sample for sample in samples if samples.count(sample) > 1})
    if twice:
        raise FormatError(f"Samples that stand twice: {shown(twice)}.", path=place)
    files = {name: _paths(raw[name], place, need=True) for name in names}
    masks = [""] * raw.height if mask is None else _paths(raw[mask], place, need=False)
    return {
        sample: CoregisteredImages(
            sample, tuple((name, files[name][row]) for name in names), masks[row]
        )
        for row, sample in enumerate(samples)
    }


def _paths(column: pl.Series, place: Path, *, need: bool) -> list[str]:
    texts = ["" if cell is None else str(cell).strip() for cell in column.to_list()]
    texts = ["" if text.casefold() in BLANKS else text for text in texts]
    blank = [row for row, text in enumerate(texts, 1) if not text]
    if need and blank:
        raise FormatError(
            f"No file of image {column.name!r} in data row {shown(blank)}. Every sample needs "
            "every image: leave out the row, or the column.",
            path=place,
        )
    return [str(place.parent / text) if text else "" for text in texts]
