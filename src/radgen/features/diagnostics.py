"""What image and masks look like after each step of processing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.features._region import Region
from radgen.features.extraction import Processed, prepared_regions
from radgen.features.settings import ExtractionSettings
from radgen.types import ImageVolume, Mask

__all__ = ["DIAGNOSTIC_SCHEMA", "diagnose"]

DIAGNOSTIC_SCHEMA = {
    "sample": pl.String,
    "region": pl.String,
    "step": pl.String,
    "object": pl.String,
    "quantity": pl.String,
    "value": pl.Float64,
    "unit": pl.String,
    "tag": pl.String,
}
"""Columns of the diagnostics. step is "initial", "resampled" or "resegmented"; tag is the
name of the value in the IBSI compliance sheet."""

_STEPS = {"initial": "init", "resampled": "interp", "resegmented": "reseg"}
_AXES = ("x", "y", "z")


def _image_rows(image: ImageVolume, step: str) -> list[tuple[str, float, str, str]]:
    end = f"{_STEPS[step]}_img"
    values = image.array
    rows = [
        (f"size {axis}", float(size), "voxel", f"img_dim_{axis}_{end}")
        for axis, size in zip(_AXES, values.shape[::-1], strict=True)
    ]
    rows += [
        (f"spacing {axis}", float(size), "mm", f"vox_dim_{axis}_{end}")
        for axis, size in zip(_AXES, image.geometry.spacing_mm[::-1], strict=True)
    ]
    return rows + _intensity_rows(values[~np.isnan(values)], image.unit, "{}_int_" + end)


def _intensity_rows(
    values: NDArray[np.floating], unit: str, tag: str
) -> list[tuple[str, float, str, str]]:
    numbers = values.astype(np.float64)
    found = (numbers.mean(), numbers.min(), numbers.max()) if numbers.size else (float("nan"),) * 3
    return [
        (f"{name} intensity", float(value), unit, tag.format(name))
        for name, value in zip(("mean", "min", "max"), found, strict=True)
    ]


def _mask_rows(mask: Mask, kind: str, end: str, *, size: bool) -> list[tuple[str, float, str, str]]:
    rows = []
    if size:
        rows += [
            (f"size {axis}", float(n), "voxel", f"{kind}_dim_{axis}_{end}")
            for axis, n in zip(_AXES, mask.array.shape[::-1], strict=True)
        ]
    box = Region(mask, mask).shape if mask.n_voxels else (0, 0, 0)
    rows += [
        (f"bounding box {axis}", float(n), "voxel", f"{kind}_bb_dim_{axis}_{end}")
        for axis, n in zip(_AXES, box[::-1], strict=True)
    ]
    return [*rows, ("voxel count", float(mask.n_voxels), "voxel", f"{kind}_vox_count_{end}")]


def _region_rows(done: Processed) -> list[tuple[str, str, str, float, str, str]]:
    rows = []
    for step, image, morphology, intensity in (
        ("initial", done.image, done.mask, done.mask),
        ("resampled", done.resampled, done.morphology, done.morphology),
        ("resegmented", done.resampled, done.morphology, done.intensity),
    ):
        end = f"{_STEPS[step]}_roi"
        inside = image.array[intensity.array]
        found = _mask_rows(intensity, "int_mask", end, size=True)
        found += _intensity_rows(inside[~np.isnan(inside)], image.unit, "int_mask_{}_int_" + end)
        rows += [(step, "intensity mask", *row) for row in found]
        found = _mask_rows(morphology, "morph_mask", end, size=False)
        rows += [(step, "morphological mask", *row) for row in found]
    return rows


def diagnose(
    image: ImageVolume,
    masks: Mask | Mapping[str, Mask] | Iterable[Mask],
    *,
    settings: ExtractionSettings,
    sample: str = "",
) -> pl.DataFrame:
    """Return sizes, voxel counts and intensities of image and masks after each step.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    masks : Mask, mapping of str to Mask, or iterable of Mask
        The regions.
    settings : ExtractionSettings
        How `extract` would process them.
    sample : str
        Id of the sample, for the first column.

    Returns
    -------
    polars.DataFrame
        Columns `DIAGNOSTIC_SCHEMA`; intensities of an empty region are NaN.

    Raises
    ------
    GeometryError
        If a mask does not lie on the image's grid.
    InputError
        If there is no mask, two regions have one name, or the image is a series.

    References
    ----------
    IBSI reference manual, section 4 (reporting) and compliance sheet.
    """
    rows: list[tuple[str, str, str, str, str, float, str, str]] = []
    for name, done in prepared_regions(image, masks, settings):
        if not rows:
            for step, stage in (("initial", done.image), ("resampled", done.resampled)):
                rows += [(sample, "", step, "image", *row) for row in _image_rows(stage, step)]
        rows += [(sample, name, *row) for row in _region_rows(done)]
    columns = list(zip(*rows, strict=True))
    return pl.DataFrame(
        {key: list(column) for key, column in zip(DIAGNOSTIC_SCHEMA, columns, strict=True)},
        schema=DIAGNOSTIC_SCHEMA,
    )
