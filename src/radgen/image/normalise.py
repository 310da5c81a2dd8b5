"""Put intensities of one scan on a common scale."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.types import ImageVolume, Mask

__all__ = ["NormaliseMethod", "normalise"]

NormaliseMethod = Literal["zscore", "robust", "percentile", "white-stripe", "reference"]


def normalise(
    image: ImageVolume,
    mask: Mask | None = None,
    *,
    method: NormaliseMethod = "zscore",
    scale: float = 1.0,
    clip_sigma: float | None = None,
    ddof: int = 0,
    percentiles: tuple[float, float] = (1.0, 99.0),
    peak: Literal["last", "largest"] = "last",
    stripe_width: float = 0.05,
) -> ImageVolume:
    """Return the image on a scale set by the voxels of a region.

    Parameters
    ----------
    image : ImageVolume
        The scan.
    mask : Mask or None
        The voxels whose distribution sets the scale (the brain, say); None = all measured
        voxels. The whole image is rescaled.
    method : {"zscore", "robust", "percentile", "white-stripe", "reference"}
        "zscore": mean 0, standard deviation 1. "robust": median 0, IQR / 1.349 is 1.
        "percentile": `percentiles` become 0 and 1. "white-stripe": mean and standard deviation
        of the voxels around a peak of the histogram. "reference": divided by the region's mean
        (a reference tissue).
    scale : float
        The result is multiplied by this.
    clip_sigma : float or None
        With "zscore": values are cut off at this many standard deviations.
    ddof : int
        With "zscore": the divisor of the variance is n - ddof.
    percentiles : tuple of float (2,)
        With "percentile".
    peak : {"last", "largest"}
        With "white-stripe": the last peak is white matter in T1-weighted scans, the largest
        in T2-weighted and FLAIR ones.
    stripe_width : float
        With "white-stripe": share of voxels below and above the peak.

    Returns
    -------
    ImageVolume
        Same dtype, unit "a.u."; NaN stays NaN.

    Raises
    ------
    GeometryError
        If the mask is not on the image's grid.
    InputError
        If the region holds no measured voxel or a single value, or an argument is not allowed.

    References
    ----------
    Shinohara et al. 2014, doi:10.1016/j.nicl.2014.08.008 (white stripe).

    Examples
    --------
    >>> from radgen.types import Geometry
    >>> scan = ImageVolume(np.array([[[1.0, 2.0, 3.0]]]), Geometry.from_spacing((1, 1, 3)))
    >>> normalise(scan, method="percentile", percentiles=(0, 100)).array.ravel().tolist()
    [0.0, 0.5, 1.0]
    """
    require_choice(method, get_args(NormaliseMethod), what="normalisation method")
    values = _region_values(image, mask)
    if method == "zscore":
        centre, spread = float(values.mean()), float(values.std(ddof=ddof))
    elif method == "robust":
        low, centre, high = (float(item) for item in np.percentile(values, (25, 50, 75)))
        spread = (high - low) / 1.3489795003921634
    elif method == "percentile":
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise InputError(f"Percentiles rise within [0, 100], not {percentiles}.")
        centre, high = (float(item) for item in np.percentile(values, percentiles))
        spread = high - centre
    elif method == "reference":
        centre, spread = 0.0, float(values.mean())
    else:
        stripe = _white_stripe(values, peak, stripe_width)
        centre, spread = float(stripe.mean()), float(stripe.std())
    if not (np.isfinite(spread) and spread > 0):
        raise InputError(
            f"Normalisation by {method!r} divides by {spread:g}: the region has no spread "
            "(or, for 'reference', no positive mean). Check the mask."
        )
    out = (np.asarray(image.array, dtype=np.float64) - centre) / spread
    if clip_sigma is not None:
        out = np.clip(out, -clip_sigma, clip_sigma)
    return image.with_array((out * scale).astype(image.array.dtype), unit="a.u.")


def _region_values(image: ImageVolume, mask: Mask | None) -> NDArray[np.float64]:
    array: NDArray[Any] = image.array
    if mask is not None:
        mask.require_on(image)
        array = array[..., mask.array]
    values = np.asarray(array, dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise InputError("Normalisation needs at least one measured voxel in the region.")
    return values


def _white_stripe(values: NDArray[np.float64], peak: str, width: float) -> NDArray[np.float64]:
    """Return the values within `width` of the peak, counted in ranks."""
    from scipy import ndimage

    if not 0 < width < 0.5:
        raise InputError(f"The stripe's width is a share in (0, 0.5), not {width}.")
    low, high = np.percentile(values, (0.5, 99.5))
    if not high > low:
        return values[:1]
    counts, edges = np.histogram(values, bins=256, range=(low, high))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 4.0, mode="constant")
    inner = np.flatnonzero((smooth[1:-1] >= smooth[:-2]) & (smooth[1:-1] > smooth[2:])) + 1
    if inner.size == 0:
        inner = np.array([int(smooth.argmax())])
    heights = smooth[inner]
    if peak == "largest":
        top = inner[int(heights.argmax())]
    else:
        top = inner[heights >= 0.2 * heights.max()][-1]
    mode = 0.5 * (edges[top] + edges[top + 1])
    rank = float((values < mode).mean())
    least = np.quantile(values, max(rank - width, 0.0), method="lower")
    most = np.quantile(values, min(rank + width, 1.0), method="higher")
    return np.asarray(values[(values >= least) & (values <= most)])
