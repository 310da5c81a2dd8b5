"""Local features of files: units that a worker process computes."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges, map_units
from radgen.errors import InputError
from radgen.features.local import LocalFeatures, Shape, local_features
from radgen.features.settings import ExtractionSettings
from radgen.image.normalise import normalise
from radgen.image.resample import resample_to
from radgen.types import ImageVolume, Mask

__all__ = ["PointUnit", "measure_points", "open_images", "points_of_unit"]

_CHUNK = 400


@dataclass(frozen=True, eq=False, slots=True)
class PointUnit:
    """Points of one sample, and how they are measured.

    Attributes
    ----------
    images : tuple of (str, str)
        Name and path of each image.
    mask : str
        Path of the region; "" = none.
    centres_mm : float64 (n, 3)
        LPS millimetres.
    radius_mm : float64 (n,)
        Of each region.
    shape : {"sphere", "box"}
        Of the regions.
    inside : bool
        Whether only voxels of the mask count.
    zscore : bool
        Whether each image is brought to mean 0 and SD 1 within its mask first.
    settings : mapping
        Of `ExtractionSettings`, plain.
    """

    images: tuple[tuple[str, str], ...]
    mask: str
    centres_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    shape: Shape
    inside: bool
    zscore: bool
    settings: Mapping[str, Any]


def open_images(
    images: tuple[tuple[str, str], ...], mask: str, *, zscore: bool = False
) -> tuple[dict[str, ImageVolume], Mask | None]:
    """Return co-registered images by name and the region (all labels of the mask together).

    Raises
    ------
    FormatError
        If a file cannot be read.
    InputError
        If intensities are to be standardised and there is no mask.
    """
    from radgen.io import read_image, read_masks

    found = {name: read_image(path) for name, path in images}
    region = None
    if mask:
        parts = list(read_masks(mask, reference=next(iter(found.values()))).values())
        union = np.logical_or.reduce([part.array for part in parts])
        region = Mask(union, parts[0].geometry, "tumour")
    if zscore:
        if region is None:
            raise InputError("Intensities are standardised within the mask, and there is none.")
        found = {name: _standard(image, region) for name, image in found.items()}
    return found, region


def _standard(image: ImageVolume, region: Mask) -> ImageVolume:
    own = region
    if not region.geometry.same_as(image.geometry):
        own = resample_to(region, image.geometry)
    return normalise(image, own, method="zscore")


def points_of_unit(unit: PointUnit) -> LocalFeatures:
    """Return the local features of a unit; a module-level function, for worker processes."""
    images, region = open_images(unit.images, unit.mask, zscore=unit.zscore)
    return local_features(
        images,
        unit.centres_mm,
        radius_mm=unit.radius_mm,
        shape=unit.shape,
        within=region if unit.inside else None,
        settings=ExtractionSettings.from_mapping(dict(unit.settings)),
    )


def measure_points(
    units: list[PointUnit], *, executor: Executor | None = None, what: str = "Measuring points"
) -> list[LocalFeatures]:
    """Return the local features of each unit; long units are cut so that all workers have work.

    Parameters
    ----------
    units : list of PointUnit
        Each of one sample.
    executor : concurrent.futures.Executor or None
        Where chunks of points are measured; None = this process.
    what : str
        Title of the progress bar.

    Returns
    -------
    list of LocalFeatures
        In the order of the units.

    Raises
    ------
    RadgenError
        What reading and measuring raise.
    """
    pieces = [
        (k, _slice(unit, start, stop))
        for k, unit in enumerate(units)
        for start, stop in block_ranges(len(unit.centres_mm), _CHUNK)
    ]
    done = map_units(points_of_unit, [piece for _, piece in pieces], executor=executor, what=what)
    out = []
    for k in range(len(units)):
        own = [found for (owner, _), found in zip(pieces, done, strict=True) if owner == k]
        names = next((found.names for found in own if found.names), ())
        values = [
            found.values if found.names else np.full((len(found.reasons), len(names)), np.nan)
            for found in own
        ]
        out.append(
            LocalFeatures(
                names,
                np.concatenate(values),
                np.concatenate([found.n_voxels for found in own]),
                tuple(reason for found in own for reason in found.reasons),
            )
        )
    return out


def _slice(unit: PointUnit, start: int, stop: int) -> PointUnit:
    return replace(
        unit, centres_mm=unit.centres_mm[start:stop], radius_mm=unit.radius_mm[start:stop]
    )
