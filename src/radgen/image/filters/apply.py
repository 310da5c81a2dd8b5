"""Apply a filter to an image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.image.filters._engine import Keep, full
from radgen.image.filters.settings import FilterSettings
from radgen.image.filters.wavelet import SeparableWavelet, wavelet_bands
from radgen.image.grid import Box, crop_geometry
from radgen.image.resample import sealed
from radgen.types import ImageVolume

__all__ = ["apply_filter", "apply_filters"]


def apply_filter(
    image: ImageVolume, settings: FilterSettings, *, box: Box | None = None
) -> ImageVolume:
    """Return the response map of an image to a filter.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan, without NaN.
    settings : FilterSettings
        Which filter, and its settings.
    box : tuple of slice (3,) or None
        Only this part of the response is wanted (`bounding_box` of a mask, say): what lies
        too far away to matter is not computed.

    Returns
    -------
    ImageVolume
        Response in the image's dtype, on its grid, or on the grid of the box. The values in a
        box equal those of the whole response, but for rounding.

    Raises
    ------
    InputError
        If the image is a series or holds values that are not finite, or the box reaches beyond
        the image.

    Examples
    --------
    >>> from radgen.image.filters import MeanFilter
    >>> from radgen.types import Geometry
    >>> scan = ImageVolume(np.eye(3)[None], Geometry.from_spacing((1, 3, 3)))
    >>> apply_filter(scan, MeanFilter(size=3, dimensions=2)).array[0, 1].round(3).tolist()
    [0.333, 0.333, 0.333]
    """
    return apply_filters(image, [settings], box=box)[0]


def apply_filters(
    image: ImageVolume,
    settings: Sequence[FilterSettings],
    *,
    box: Box | None = None,
    n_threads: int = 1,
) -> list[ImageVolume]:
    """Return the response maps of an image to several filters, sharing what they share.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan, without NaN.
    settings : sequence of FilterSettings
        The filters. Bands of one stationary wavelet transform are computed together.
    box : tuple of slice (3,) or None
        See `apply_filter`.
    n_threads : int
        Filters computed side by side; the values do not depend on it.

    Returns
    -------
    list of ImageVolume
        In the order of `settings`.

    Raises
    ------
    InputError
        As `apply_filter`.
    """
    if image.array.ndim != 3:
        raise InputError("A filter needs one volume (z, y, x); filter a series frame by frame.")
    if not _all_finite(image.array):
        raise InputError(
            "The image holds NaN or infinite values, which a filter would spread. "
            "Replace them first (the value of air, say)."
        )
    keep = full(image.geometry.shape) if box is None else _range(box, image.geometry.shape)
    geometry = image.geometry if box is None else crop_geometry(image.geometry, box)
    jobs = _grouped(settings)

    def work(group: list[FilterSettings]) -> list[NDArray[Any]]:
        return _responses(group, image, keep)

    if n_threads > 1 and len(jobs) > 1:
        with ThreadPoolExecutor(n_threads) as pool:
            answers = list(pool.map(work, jobs))
    else:
        answers = [work(group) for group in jobs]
    found = {
        one: response
        for group, responses in zip(jobs, answers, strict=True)
        for one, response in zip(group, responses, strict=True)
    }
    return [
        image.with_array(
            sealed(np.ascontiguousarray(found[one], dtype=image.array.dtype)),
            geometry=geometry,
            quantity=one.label,
            unit="a.u.",
        )
        for one in settings
    ]


def _all_finite(array: NDArray[Any]) -> bool:
    """Tell by the sum, which is finite only where all values are (twice as fast)."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()
    return bool(np.isfinite(total) or np.isfinite(array).all())


def _grouped(settings: Sequence[FilterSettings]) -> list[list[FilterSettings]]:
    """Put the bands of one wavelet transform together."""
    groups: dict[Any, list[FilterSettings]] = {}
    for one in dict.fromkeys(settings):
        key: Any = one
        if type(one) is SeparableWavelet and not (one.rotation_invariant or one.decimated):
            key = ("bands", replace(one, band="L" * one.dimensions))
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _responses(group: list[FilterSettings], image: ImageVolume, keep: Keep) -> list[NDArray[Any]]:
    first = group[0]
    if len(group) > 1 and isinstance(first, SeparableWavelet):
        bands = wavelet_bands(image.array, first, keep=keep)
        return [bands[one.band.upper()] for one in group if isinstance(one, SeparableWavelet)]
    return [one.respond(image.array, image.geometry.spacing_mm, keep) for one in group]


def _range(box: Box, shape: tuple[int, int, int]) -> Keep:
    keep = [(int(part.start), int(part.stop)) for part in box]
    if any(not 0 <= a < b <= size for (a, b), size in zip(keep, shape, strict=True)):
        raise InputError(f"The box {keep} is empty or reaches beyond the image {shape}.")
    return keep[0], keep[1], keep[2]
