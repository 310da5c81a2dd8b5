"""Intensity-based statistics (18 features, IBSI UHIW)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import View

__all__ = ["intensity_statistics", "percentile"]

_FLAT = "all intensities are equal"
_EMPTY = "no intensity lies between the 10th and the 90th percentile"
_ZERO = "the mean intensity is zero"

SPECS = (
    FeatureSpec("Mean intensity", "Q4LE", "{u}"),
    FeatureSpec("Intensity variance", "ECT3", "({u})^2"),
    FeatureSpec("Intensity skewness", "KE2A", "", _FLAT),
    FeatureSpec("(Excess) intensity kurtosis", "IPH6", "", _FLAT),
    FeatureSpec("Median intensity", "Y12H", "{u}"),
    FeatureSpec("Minimum intensity", "1GSF", "{u}"),
    FeatureSpec("10th intensity percentile", "QG58", "{u}"),
    FeatureSpec("90th intensity percentile", "8DWT", "{u}"),
    FeatureSpec("Maximum intensity", "84IY", "{u}"),
    FeatureSpec("Intensity interquartile range", "SALO", "{u}"),
    FeatureSpec("Intensity range", "2OJQ", "{u}"),
    FeatureSpec("Intensity-based mean absolute deviation", "4FUA", "{u}"),
    FeatureSpec("Intensity-based robust mean absolute deviation", "1128", "{u}", _EMPTY),
    FeatureSpec("Intensity-based median absolute deviation", "N72L", "{u}"),
    FeatureSpec("Intensity-based coefficient of variation", "7TET", "", _ZERO),
    FeatureSpec(
        "Intensity-based quartile coefficient of dispersion", "9S40", "", "the quartiles add to 0"
    ),
    FeatureSpec("Intensity-based energy", "N8CA", "({u})^2"),
    FeatureSpec("Root mean square intensity", "5ZWQ", "{u}"),
)


def percentile(order: Callable[[int], float], n: int, percent: float) -> float:
    """Return a percentile with linear interpolation between order statistics.

    Parameters
    ----------
    order : callable
        ``order(k)`` returns the k-th smallest value, from 0.
    n : int
        Number of values.
    percent : float
        From 0 to 100.

    Returns
    -------
    float
        The percentile.
    """
    place = (n - 1) * percent / 100.0
    below = int(np.floor(place))
    low, high = order(below), order(min(below + 1, n - 1))
    return low + (high - low) * (place - below)


def dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the sum of products, in this thread: BLAS would start its own and wait for them."""
    return float(np.einsum("i,i->", a, b))


def moments(values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> list[float]:
    """Return mean, variance (divisor n), skewness and excess kurtosis; NaN where flat."""
    total = float(values.size) if weights is None else float(weights.sum())

    def average(x: NDArray[np.float64]) -> float:
        return float(x.sum() if weights is None else weights @ x) / total

    mean = average(values)
    gap = values - mean
    square = gap * gap
    variance = average(square)
    if weights is None:
        third, fourth = dot(square, gap) / total, dot(square, square) / total
    else:
        third, fourth = average(square * gap), average(square * square)
    return [mean, variance, *_shape(mean, variance, third, fourth)]


def _shape(mean: float, variance: float, third: float, fourth: float) -> tuple[float, float]:
    """Return skewness and excess kurtosis of central moments; NaN where flat."""
    # A flat region leaves rounding noise of the mean behind, not a variance.
    if variance <= (np.spacing(abs(mean)) * 4) ** 2:
        return float("nan"), float("nan")
    return third / variance**1.5, fourth / variance**2 - 3.0


@add("intensity_statistics", version=1, specs=SPECS, ibsi_code="UHIW")
def intensity_statistics(view: View) -> Measured:
    """Return the 18 statistics of the intensities of a region.

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
    Percentiles interpolate linearly between order statistics. Skewness, kurtosis and the two
    ratios are undefined (NaN) where their divisor is zero.

    References
    ----------
    IBSI reference manual, section 3.3 (UHIW).
    """
    values, ordered = view.values, view.sorted_values
    n = ordered.size

    def at(percent: float) -> float:
        return percentile(lambda k: float(ordered[k]), n, percent)

    p10, p25, median, p75, p90 = (at(q) for q in (10, 25, 50, 75, 90))
    mean, sums = float(values.sum()) / n, np.empty(6)
    _image.power_sums(values, mean, median, sums)
    absolute, variance, third, fourth, from_median, _ = (sums / n).tolist()
    skewness, kurtosis = _shape(mean, variance, third, fourth)
    low, high = np.searchsorted(ordered, p10, "left"), np.searchsorted(ordered, p90, "right")
    inner = ordered[low:high]
    robust = float(np.abs(inner - inner.mean()).mean()) if inner.size else float("nan")
    energy = float(sums[5])
    found = (
        mean,
        variance,
        skewness,
        kurtosis,
        median,
        float(ordered[0]),
        p10,
        p90,
        float(ordered[-1]),
        p75 - p25,
        float(ordered[-1] - ordered[0]),
        absolute,
        robust,
        from_median,
        np.sqrt(variance) / mean if mean else float("nan"),
        (p75 - p25) / (p75 + p25) if p75 + p25 else float("nan"),
        energy,
        float(np.sqrt(energy / n)),
    )
    return {"": dict(zip((spec.name for spec in SPECS), found, strict=True))}
