"""Intensity histogram (23 features, IBSI ZVCW)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features._cells import entropy
from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import Levels, View
from radgen.features.statistics import moments, percentile

__all__ = ["intensity_histogram"]

_FLAT = "there is one grey level"
_EMPTY = "no level lies between the 10th and the 90th percentile"
_ONE_BIN = "the histogram has one bin, so no gradient"

SPECS = (
    FeatureSpec("Mean discretised intensity", "X6K6"),
    FeatureSpec("Discretised intensity variance", "CH89"),
    FeatureSpec("Discretised intensity skewness", "88K1", "", _FLAT),
    FeatureSpec("(Excess) discretised intensity kurtosis", "C3I7", "", _FLAT),
    FeatureSpec("Median discretised intensity", "WIFQ"),
    FeatureSpec("Minimum discretised intensity", "1PR8"),
    FeatureSpec("10th discretised intensity percentile", "GPMT"),
    FeatureSpec("90th discretised intensity percentile", "OZ0C"),
    FeatureSpec("Maximum discretised intensity", "3NCY"),
    FeatureSpec("Intensity histogram mode", "AMMC"),
    FeatureSpec("Discretised intensity interquartile range", "WR0O"),
    FeatureSpec("Discretised intensity range", "5Z3W"),
    FeatureSpec("Intensity histogram mean absolute deviation", "D2ZX"),
    FeatureSpec("Intensity histogram robust mean absolute deviation", "WRZB", "", _EMPTY),
    FeatureSpec("Intensity histogram median absolute deviation", "4RNL"),
    FeatureSpec("Intensity histogram coefficient of variation", "CWYJ"),
    FeatureSpec("Intensity histogram quartile coefficient of dispersion", "SLWD"),
    FeatureSpec("Discretised intensity entropy", "TLU2", "bit"),
    FeatureSpec("Discretised intensity uniformity", "BJ5W"),
    FeatureSpec("Maximum histogram gradient", "12CE", "", _ONE_BIN),
    FeatureSpec("Maximum histogram gradient intensity", "8E6O", "", _ONE_BIN),
    FeatureSpec("Minimum histogram gradient", "VQB3", "", _ONE_BIN),
    FeatureSpec("Minimum histogram gradient intensity", "RHQZ", "", _ONE_BIN),
)


def _counts(grey: Levels) -> NDArray[np.float64]:
    """Return how many voxels have each level, from 1."""
    if grey.levels.dtype.itemsize > 2 or grey.n_levels > 65535:
        return np.bincount(grey.levels, minlength=grey.n_levels + 1)[1:].astype(np.float64)
    out = np.zeros(grey.n_levels + 1, np.int64)
    _image.level_counts(np.ascontiguousarray(grey.levels), out)
    return out[1:].astype(np.float64)


@add("intensity_histogram", version=1, specs=SPECS, ibsi_code="ZVCW")
def intensity_histogram(view: View) -> Measured:
    """Return the 23 features of the histogram of grey levels.

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
    Of several modes the one nearest to the mean counts. Gradients are central differences,
    one-sided at the ends.

    References
    ----------
    IBSI reference manual, section 3.4 (ZVCW).
    """
    grey = view.grey
    counts = _counts(grey)
    level = np.arange(1.0, counts.size + 1)
    n = int(counts.sum())
    running = np.cumsum(counts)

    def at(percent: float) -> float:
        return percentile(lambda k: float(np.searchsorted(running, k, "right") + 1), n, percent)

    def spread(centre: float, weights: np.ndarray) -> float:
        return float(weights @ np.abs(level - centre) / weights.sum())

    mean, variance, skewness, kurtosis = moments(level, counts)
    p10, p25, median, p75, p90 = (at(q) for q in (10, 25, 50, 75, 90))
    inner = np.where((level >= p10) & (level <= p90), counts, 0.0)
    modes = level[counts == counts.max()]
    p = counts / n
    filled = level[counts > 0]
    steepest = [float("nan")] * 4
    if counts.size > 1:
        slope = np.gradient(counts)
        up, down = int(slope.argmax()), int(slope.argmin())
        steepest = [float(slope[up]), up + 1.0, float(slope[down]), down + 1.0]
    found = (
        mean,
        variance,
        skewness,
        kurtosis,
        median,
        float(filled[0]),
        p10,
        p90,
        float(filled[-1]),
        float(modes[np.abs(modes - mean).argmin()]),
        p75 - p25,
        float(filled[-1] - filled[0]),
        spread(mean, counts),
        spread(float(inner @ level / inner.sum()), inner) if inner.any() else float("nan"),
        spread(median, counts),
        float(np.sqrt(variance) / mean),
        (p75 - p25) / (p75 + p25),
        float(entropy(p).sum()),
        float(p @ p),
        *steepest,
    )
    return {"": dict(zip((spec.name for spec in SPECS), found, strict=True))}
