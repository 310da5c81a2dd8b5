"""Functional maps from files to files, with pictures of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.files import write_text
from radgen._core.naming import require_choice
from radgen._version import __version__
from radgen.errors import InputError
from radgen.functional._voxels import ParameterMaps
from radgen.io.images import WRITTEN
from radgen.types import ImageVolume, Mask

__all__ = ["one_mask", "write_maps"]


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
