"""Disorder of gradient orientations, CoLlAGe (20 features, beyond IBSI)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import View, directions
from radgen.features._windows import window_pairs
from radgen.features.glcm import NAMES as GLCM_NAMES
from radgen.features.statistics import moments

__all__ = ["collage", "orientations"]

N_BINS = 64
RADIUS = 2
_OF = (
    "Joint entropy",
    "Angular second moment",
    "Contrast",
    "Inverse difference moment",
    "Correlation",
)
_STATISTICS = ("Mean", "Variance", "Skewness", "Kurtosis")
_FLAT = "the map of orientations is flat or the region has no neighbours in a slice"
SPECS = tuple(
    FeatureSpec(f"{statistic} of {name.lower()} of orientations", "", "", _FLAT)
    for name in _OF
    for statistic in _STATISTICS
)


def orientations(
    image: NDArray[np.float64], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return the dominant direction of the gradient around each voxel, within slices.

    Parameters
    ----------
    image : ndarray of float64 (n_z, n_y, n_x)
        Intensities, without NaN.
    spacing_mm : tuple of float (3,)
        Voxel size (z, y, x).

    Returns
    -------
    ndarray of float64 (n_z, n_y, n_x)
        Angles in [0, pi): the first principal axis of the gradients in a window of 5 x 5.
    """
    from scipy.ndimage import uniform_filter

    def slope(axis: int) -> NDArray[np.float64]:
        if image.shape[axis] < 2:
            return np.zeros_like(image)
        return np.asarray(np.gradient(image, spacing_mm[axis], axis=axis))

    gy, gx = slope(1), slope(2)
    size = (1, 2 * RADIUS + 1, 2 * RADIUS + 1)
    xx, yy, xy = (uniform_filter(a * b, size) for a, b in ((gx, gx), (gy, gy), (gx, gy)))
    return np.asarray(np.mod(0.5 * np.arctan2(2.0 * xy, xx - yy), np.pi))


@add("collage", version=1, specs=SPECS)
def collage(view: View) -> Measured:
    """Return statistics of local co-occurrence features of gradient orientations.

    Parameters
    ----------
    view : View
        Image and region.

    Returns
    -------
    mapping
        Values under the aggregation "".

    Notes
    -----
    Orientations fall into 64 bins; co-occurrence is counted in windows of 5 x 5 within the
    slice over all four directions together. Voxels without a measurement count as the mean.

    References
    ----------
    Prasanna, P. et al. (2016), doi:10.1038/srep37241.
    """
    region = view.region
    values = np.asarray(view.crop, dtype=np.float64)
    values = np.where(np.isnan(values), view.values.mean(), values)
    angle = orientations(values, region.spacing_mm)
    bins = np.minimum((angle / np.pi * N_BINS).astype(np.uint16), N_BINS - 1) + 1
    levels = np.zeros(region.padded_shape(RADIUS), np.uint16)
    places = region.padded_flat(RADIUS)
    levels.ravel()[places] = bins[region.intensity]
    side = 2 * RADIUS + 1
    pairs, first = window_pairs(levels.shape, (1, side, side), directions(in_plane=True))
    out = np.empty((len(GLCM_NAMES), places.size))
    _image.glcm_maps(levels.ravel(), places.astype(np.int64), pairs, first, N_BINS, 1, out)
    found: list[float] = []
    for name in _OF:
        row = out[GLCM_NAMES.index(name)]
        row = row[~np.isnan(row)]
        found += moments(row) if row.size else [float("nan")] * 4
    return {"": dict(zip((spec.name for spec in SPECS), found, strict=True))}
