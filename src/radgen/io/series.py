"""Series of volumes: dynamic scans, b-values, flip angles, in one file or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import FormatError, InputError
from radgen.io._guard import existing
from radgen.io._series_order import FramesAs
from radgen.io.images import image_format, read_image
from radgen.types import ImageVolume

__all__ = ["read_directions", "read_numbers", "read_series"]

_MAX_NUMBERS = 100_000
_MAX_BYTES = 10_000_000


def read_series(
    source: str | Path | Sequence[str | Path],
    *,
    times_s: ArrayLike | None = None,
    timed: bool = True,
    modality: str = "MR",
) -> ImageVolume:
    """Return a series of volumes on one grid, axes (frame, z, y, x).

    Parameters
    ----------
    source : str, Path or sequence of them
        One file with four axes or a DICOM folder; or one file a frame, in order.
    times_s : array_like of float (n_frames,) or None
        Times in seconds; None takes those that the file states.
    timed : bool
        False: the frames are no points in time (b-values, flip angles), and are numbered 0, 1, 2 …
        in `times_s`. The frames of a DICOM folder then come in the order of their b-values and
        directions, where it states them.
    modality : str
        DICOM code, where the file is mute.

    Returns
    -------
    ImageVolume
        With `times_s`. Of a DICOM folder `meta` has the facts of the header, among them
        ``b_values`` (s/mm2) and ``directions`` (unit vectors along the axes that the file names,
        0 without gradient).

    Raises
    ------
    FormatError
        If a file is broken, or there is one volume only.
    GeometryError
        If the files lie on different grids.
    InputError
        If times are needed and not stated, or their number is wrong.
    """
    paths = [source] if isinstance(source, str | Path) else list(source)
    if not paths:
        raise InputError("A series needs a file.")
    if len(paths) == 1:
        where = existing(paths[0], what="series", folder=True)
        wanted: FramesAs = "diffusion" if not timed else "time" if times_s is None else "order"
        volume = _one_file(where, modality, wanted)
    else:
        volume = _many_files(paths, modality)
    count = volume.array.shape[0]
    if not timed:
        return volume.with_array(volume.array, times_s=np.arange(count, dtype=np.float64))
    if times_s is None:
        if volume.meta.get("frame_times") == "none":
            raise InputError(
                f"The times of the {count} frames are not stated in the file. Give them in "
                "seconds, one a frame, or the interval between frames."
            )
        return volume
    times = np.asarray(times_s, dtype=np.float64)
    if times.shape != (count,) or not (np.diff(times) > 0).all():
        raise InputError(f"There are {count} frames; needed are as many rising times in seconds.")
    return volume.with_array(volume.array, times_s=times)


def _one_file(path: Path, modality: str, frames_as: FramesAs) -> ImageVolume:
    facts: dict[str, Any] = {}
    kind = image_format(path)
    if kind == "nifti":
        from radgen.io.nifti import load_nifti

        array, geometry, times = load_nifti(path, untimed=True)
        stated = times is not None and len(times) > 0 and not np.isnan(times).any()
    else:
        if kind == "dicom":
            from radgen.io.dicom import read_dicom

            volume = read_dicom(path, frames_as=frames_as)
        else:
            volume = read_image(path, modality="")
        array, geometry, times = volume.array, volume.geometry, volume.times_s
        modality, stated = volume.modality or modality, times is not None
        facts = dict(volume.meta)
        stated = stated and facts.get("frame_times") != "none"
    if array.ndim != 4 or times is None:
        raise FormatError(
            "The file holds one volume, and a series has several. Name one file a frame, or a "
            "file with four axes.",
            path=path,
        )
    clock = times if stated else np.arange(array.shape[0], dtype=np.float64)
    meta = facts | {"frame_times": "stated" if stated else "none"}
    return ImageVolume(array, geometry, modality=modality, times_s=clock, meta=meta)


def _many_files(paths: Sequence[str | Path], modality: str) -> ImageVolume:
    volumes = [read_image(path, modality=modality) for path in paths]
    first = volumes[0]
    for path, volume in zip(paths, volumes, strict=True):
        if volume.array.ndim != 3:
            raise FormatError(
                "Where several files are named, each holds one volume.", path=Path(path)
            )
        first.geometry.require_same(volume.geometry, what=f"{Path(path).name} lies on another grid")
    clock = np.arange(len(volumes), dtype=np.float64)
    stacked = np.stack([volume.array for volume in volumes])
    return first.with_array(stacked, times_s=clock, meta={"frame_times": "none"})


def read_numbers(source: str | Path) -> NDArray[np.float64]:
    """Return the numbers of a text file: times, flip angles, b-values or b-vectors.

    Parameters
    ----------
    source : str or Path
        Numbers apart by white space or commas (``.bval``, ``.bvec``, one a line, one line);
        lines that begin with # are passed over.

    Returns
    -------
    ndarray of float64 (n_lines, n_columns) or (n_numbers,)
        Two axes where every line holds the same number of values, more than one, and there is more
        than one line; otherwise one axis.

    Raises
    ------
    FormatError
        If the file is no text, holds a word, or no number.
    """
    path = existing(source, what="file of numbers")
    if path.stat().st_size > _MAX_BYTES:
        raise FormatError("The file is too large for a list of numbers.", path=path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError("This is no text file of numbers.", path=path) from error
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        words = line.split("#", 1)[0].replace(",", " ").split()
        try:
            row = [float(word) for word in words]
        except ValueError as error:
            raise FormatError(f"{error}; needed are numbers.", path=path, line=number) from error
        if row:
            rows.append(row)
    count = sum(map(len, rows))
    if not 0 < count <= _MAX_NUMBERS:
        raise FormatError(f"The file holds {count} numbers.", path=path)
    width = len(rows[0])
    if width > 1 and len(rows) > 1 and all(len(row) == width for row in rows):
        return np.array(rows)
    return np.array([value for row in rows for value in row])


def read_directions(source: str | Path) -> NDArray[np.float64]:
    """Return gradient directions of a ``.bvec`` file, whichever way it lies.

    Parameters
    ----------
    source : str or Path
        Three lines, or a line a frame.

    Returns
    -------
    ndarray of float64 (n_frames, 3)

    Raises
    ------
    FormatError
        As `read_numbers`.
    """
    found = read_numbers(source)
    if found.ndim == 2 and found.shape[0] == 3 and found.shape[1] != 3:
        return found.T
    return found
