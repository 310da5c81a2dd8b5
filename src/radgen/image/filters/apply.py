"""Apply a filter to an image."""

from __future__ import annotations

import numpy as np

from radgen.errors import InputError
from radgen.image.filters._engine import Keep, full
from radgen.image.filters.settings import FilterSettings
from radgen.image.grid import Box, crop_geometry
from radgen.types import ImageVolume

__all__ = ["apply_filter"]


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
    if image.array.ndim != 3:
        raise InputError(
            "A filter needs a single volume (z, y, x); filter a series frame by frame."
        )
    if not np.isfinite(image.array).all():
        raise InputError(
            "The image holds NaN or infinite values, which a filter would spread. "
            "Replace them first (the value of air, say)."
        )
    shape = image.geometry.shape
    keep = full(shape)
    geometry = image.geometry
    if box is not None:
        keep = _range(box, shape)
        geometry = crop_geometry(geometry, box)
    response = settings.respond(image.array, image.geometry.spacing_mm, keep)
    return image.with_array(
        response.astype(image.array.dtype, copy=False),
        geometry=geometry,
        quantity=settings.label,
        unit="a.u.",
    )


def _range(box: Box, shape: tuple[int, int, int]) -> Keep:
    keep = [(int(part.start), int(part.stop)) for part in box]
    if any(not 0 <= a < b <= size for (a, b), size in zip(keep, shape, strict=True)):
        raise InputError(f"The box {keep} is empty or reaches beyond the image {shape}.")
    return keep[0], keep[1], keep[2]
