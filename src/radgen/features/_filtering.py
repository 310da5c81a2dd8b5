"""Filter responses of an image within a box, by the name that the table shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.image.filters import (
    FilterSettings,
    SeparableWavelet,
    apply_filter,
    filter_from_mapping,
    wavelet_bands,
)
from radgen.types import ImageVolume

__all__ = ["Box", "filter_jobs", "measured_everywhere"]

Box = tuple[slice, slice, slice]
Job = Callable[[ImageVolume, Box], dict[str, NDArray[Any]]]


def filter_jobs(given: Mapping[str, Any]) -> Job:
    """Return a function of (image, box) that computes the responses of one entry of `filters`.

    An entry is a mapping as `filter_from_mapping` reads it; a wavelet with ``band = "all"``
    stands for all bands of its level. ``name`` replaces the name in the table (the band is
    put behind it).
    """
    plain = dict(given)
    title = plain.pop("name", None)
    if plain.get("filter") == "wavelet" and plain.get("band") == "all":
        size = int(plain.get("dimensions", 3))
        wavelet = filter_from_mapping(plain | {"band": "L" * size})
        assert isinstance(wavelet, SeparableWavelet)
        return lambda image, box: _bands(image, wavelet, title, box)
    settings = filter_from_mapping(plain)
    return lambda image, box: {
        title or settings.label: apply_filter(image, settings, box=box).array
    }


def _bands(
    image: ImageVolume, wavelet: SeparableWavelet, title: str | None, box: Box
) -> dict[str, NDArray[Any]]:
    keep = tuple((part.start, part.stop) for part in box)
    bands = wavelet_bands(image.array, wavelet, keep=(keep[0], keep[1], keep[2]))
    return {_name(replace(wavelet, band=band), title): array for band, array in bands.items()}


def _name(settings: FilterSettings, title: str | None) -> str:
    return f"{title}-{settings.band}" if title else settings.label  # type: ignore[attr-defined]


def measured_everywhere(image: ImageVolume) -> ImageVolume:
    """Return the image with NaN replaced by the nearest measured voxel, for filters."""
    missing = np.isnan(image.array)
    if not missing.any() or missing.all():
        return image
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return image.with_array(image.array[tuple(nearest)])
