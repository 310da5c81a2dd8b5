"""Functional maps from files to files, with pictures of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.files import write_text
from radgen._core.naming import require_choice
from radgen._version import __version__
from radgen.errors import InputError, shown
from radgen.functional._voxels import ParameterMaps
from radgen.io.images import WRITTEN
from radgen.types import ImageVolume, Mask

__all__ = ["gradients", "one_mask", "stated_number", "write_maps"]


def one_mask(path: Path | None, series: ImageVolume, *, what: str) -> Mask | None:
    """Return the one region of a mask file, several labels of it together; None for None.

    Parameters
    ----------
    path : Path or None
        Mask file.
    series : ImageVolume
        The scan that the mask belongs to.
    what : str
        What the mask is, for its name.

    Returns
    -------
    Mask or None
        On the grid of the file.
    """
    if path is None:
        return None
    from radgen.io import read_masks

    masks = list(read_masks(path, reference=series).values())
    together = np.logical_or.reduce([mask.array for mask in masks])
    return Mask(together, masks[0].geometry, what)


def gradients(
    series: ImageVolume,
    b_values: ArrayLike | None = None,
    directions: ArrayLike | None = None,
    *,
    model: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return b-values and, for the tensor, directions: given ones, or those of the header.

    Parameters
    ----------
    series : ImageVolume
        Of `radgen.io.read_series`.
    b_values : array_like of float (n_frames,) or None
        Given, s/mm2.
    directions : array_like of float (n_frames, 3) or None
        Given.
    model : str
        Of `diffusion_maps`; only "tensor" takes directions from the header.

    Returns
    -------
    b_values : ndarray of float64 (n_frames,)
    directions : ndarray of float64 (n_frames, 3) or None

    Raises
    ------
    InputError
        If neither has what the model needs, or both have b-values that differ.
    """
    stated = series.meta.get("b_values")
    given = None if b_values is None else np.asarray(b_values, dtype=np.float64).ravel()
    if given is not None and stated is not None:
        header = np.asarray(stated, dtype=np.float64)
        if given.shape != header.shape or np.abs(given - header).max() > 1:
            found, wanted = (
                f"{shown(f'{b:g}' for b in x)} ({len(x)} frames)" for x in (header, given)
            )
            raise InputError(
                f"The header of the series states b-values {found}, given are {wanted}. Leave "
                "them out, or convert the series to NIfTI, where the given ones count."
            )
    used = given if given is not None else stated
    if used is None:
        raise InputError(
            "The series states no b-values. Give them: a .bval file, or a list, one a frame."
        )
    if model == "tensor" and directions is None:
        directions = series.meta.get("directions")
        if directions is None:
            raise InputError("The series states no gradient directions. Give them: a .bvec file.")
    axes = None if directions is None else np.asarray(directions, dtype=np.float64)
    return np.asarray(used, dtype=np.float64), axes


def stated_number(
    series: ImageVolume, given: float | None, fact: str, *, per: float = 1.0, what: str
) -> float:
    """Return a number of the acquisition: the given one, or that of the header.

    Parameters
    ----------
    series : ImageVolume
        Of `radgen.io.read_series`.
    given : float or None
        Counts where it is given.
    fact : str
        Name in `ImageVolume.meta`: "flip_angle_deg", "repetition_time_ms", "echo_time_ms".
    per : float, default 1
        The header's number is divided by this (1000 for milliseconds).
    what : str
        For the message.

    Raises
    ------
    InputError
        If neither has it.
    """
    if given is not None:
        return float(given)
    if fact not in series.meta:
        raise InputError(f"The series does not state its {what}: give it.")
    return float(series.meta[fact]) / per


def write_maps(
    found: ParameterMaps,
    out: Path,
    *,
    scan: ImageVolume,
    suffix: str = ".nii.gz",
    overlay: bool = True,
) -> list[Path]:
    """Write the maps into a folder, a picture of each, and ``maps.json`` that explains them.

    Parameters
    ----------
    found : ParameterMaps
        The maps.
    out : Path
        The folder.
    scan : ImageVolume
        What the maps were made of; its first frame lies under the pictures.
    suffix : {".nii.gz", ".nii", ".nrrd", ".mha"}
        Format.
    overlay : bool
        Whether pictures are drawn.

    Returns
    -------
    list of Path
        The files of the maps.

    Raises
    ------
    InputError
        If the format is none of these, or a picture of nothing is asked for.
    """
    from radgen.io import write_image

    require_choice(suffix, WRITTEN, what="image format")
    if found.n_failed == found.mask.n_voxels:
        raise InputError(
            "The fit failed in all voxels: check the times, flip angles or b-values, and the mask."
        )
    Path(out).mkdir(parents=True, exist_ok=True)
    paths, rows = [], []
    under = scan.with_array(_frame(scan), times_s=None)
    for name, volume in found.maps.items():
        stem = "-".join(re.findall(r"[A-Za-z0-9]+", name.replace("*", "star")))
        path = Path(out) / f"{stem}{suffix}"
        write_image(volume, path)
        rows.append(_row(name, volume, path, found.mask))
        if overlay and np.isfinite(volume.array).any():
            from radgen.plot.images import write_overlay

            label = name if volume.unit == "1" else f"{name} ({volume.unit})"
            rows[-1]["picture"] = write_overlay(under, volume.array, path, label=label).name
        paths.append(path)
    about = {
        "radgen": __version__, "settings": dict(found.settings), "notes": list(found.notes),
        "n_voxels": found.mask.n_voxels, "n_failed": found.n_failed, "maps": rows,
    }  # fmt: skip
    write_text(Path(out) / "maps.json", json.dumps(about, indent=1) + "\n")
    return paths


def _frame(scan: ImageVolume) -> NDArray[Any]:
    array: NDArray[Any] = scan.array if scan.array.ndim == 3 else scan.array[0]
    return array


def _row(name: str, volume: ImageVolume, path: Path, mask: Mask) -> dict[str, Any]:
    values = volume.array[mask.array].astype(np.float64)
    values = values[np.isfinite(values)]
    low, middle, high = (
        (float(x) for x in np.percentile(values, (5, 50, 95))) if len(values) else (None,) * 3
    )
    return {
        "map": name, "unit": volume.unit, "file": path.name, "n_values": len(values),
        "percentile_5": low, "median": middle, "percentile_95": high,
    }  # fmt: skip
