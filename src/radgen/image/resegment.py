"""Narrow a region to a range of intensities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from radgen.errors import InputError
from radgen.types import ImageVolume, Mask

__all__ = ["resegment"]


def resegment(
    image: ImageVolume,
    mask: Mask,
    *,
    range: tuple[float | None, float | None] | None = None,
    outlier_sigma: float | None = None,
) -> Mask:
    """Return the intensity mask: the voxels of the region whose values are kept.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    mask : Mask
        The region as drawn (the morphological mask); it is not changed.
    range : tuple of (float or None) (2,) or None
        Lowest and highest value kept, both included; None = open.
    outlier_sigma : float or None
        Keep values within this many standard deviations of the region's mean.

    Returns
    -------
    Mask
        A part of `mask`; voxels without a measurement (NaN) are never in it. Can be empty.

    Raises
    ------
    GeometryError
        If the mask is not on the image's grid.
    InputError
        If the range is upside down, or `outlier_sigma` is not positive.

    Notes
    -----
    Mean and standard deviation (divisor n) are those of the region as drawn; where both rules
    are given, a value must satisfy both.

    References
    ----------
    IBSI reference manual, section 2.5: USB3 (range), 7ACA (outliers).
    """
    mask.require_on(image)
    if image.array.ndim != 3:
        raise InputError("Resegmentation needs a single volume (z, y, x), not a series.")
    whole = not np.isnan(image.array.min(initial=np.inf))
    if whole and range is None and outlier_sigma is None:
        return mask
    inside = mask.array if whole else mask.array & ~np.isnan(image.array)
    keep = inside.copy()
    if range is not None:
        low = -np.inf if range[0] is None else float(range[0])
        high = np.inf if range[1] is None else float(range[1])
        if not low <= high:
            raise InputError(f"The range [{low:g}, {high:g}] is upside down.")
        keep &= (image.array >= low) & (image.array <= high)
    if outlier_sigma is not None:
        if not outlier_sigma > 0:
            raise InputError(f"outlier_sigma is a positive number, not {outlier_sigma}.")
        values = image.array[inside].astype(np.float64)
        if values.size:
            mean, reach = values.mean(), outlier_sigma * values.std()
            keep &= (image.array >= mean - reach) & (image.array <= mean + reach)
    return replace(mask, array=keep)
