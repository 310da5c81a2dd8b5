"""Intensity-based statistics (18 features, IBSI UHIW)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class _Sample:
    """What the statistics are made of: values, or whole values and how often each occurs."""

    values: NDArray[np.float64]  # in ascending order
    counts: NDArray[np.int64] | None
    n: int
    mean: float

    def at(self, percent: float) -> float:
        if self.counts is None:
            return percentile(lambda k: float(self.values[k]), self.n, percent)
        running = np.cumsum(self.counts)
        return percentile(
            lambda k: float(self.values[np.searchsorted(running, k, "right")]), self.n, percent
        )

    def robust(self, low: float, high: float) -> float:
        """Return the mean absolute deviation of what lies from `low` to `high`."""
        first, last = np.searchsorted(self.values, low), np.searchsorted(self.values, high, "right")
        inner = self.values[first:last]
        if self.counts is None:
            return float(np.abs(inner - inner.mean()).mean()) if inner.size else float("nan")
        weight = self.counts[first:last].astype(np.float64)
        total = float(weight.sum())
        if not total:
            return float("nan")
        return float(weight @ np.abs(inner - float(weight @ inner) / total)) / total


def _sample(view: View) -> _Sample:
    whole = view.whole_counts
    if whole is None:
        ordered = view.sorted_values
        return _Sample(ordered, None, ordered.size, float(view.values.sum()) / ordered.size)
    low, counts = whole
    values, n = low + np.arange(counts.size), int(counts.sum())
    return _Sample(values, counts, n, float(counts @ values) / n)


def _power_sums(view: View, sample: _Sample, median: float) -> NDArray[np.float64]:
    """Return means of |x - mean|, of its powers 2 to 4, of |x - median| and of x squared."""
    if sample.counts is None:
        sums = np.empty(6)
        _image.power_sums(view.values, sample.mean, median, sums)
        return sums / sample.n
    x = sample.values
    gap = x - sample.mean
    terms = [np.abs(gap), gap**2, gap**3, gap**4, np.abs(x - median), x**2]
    return np.array([float(sample.counts @ term) for term in terms]) / sample.n


def centre_and_spread(view: View) -> tuple[float, float]:
    """Return the mean of the intensities and the sum of their squared deviations."""
    whole = view.whole_counts
    if whole is None:
        mean = float(view.values.mean())
        gap = view.values - mean
        return mean, dot(gap, gap)
    values = whole[0] + np.arange(whole[1].size)
    mean = float(whole[1] @ values) / float(whole[1].sum())
    return mean, float(whole[1] @ (values - mean) ** 2)


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
    sample = _sample(view)
    n, mean = sample.n, sample.mean
    p10, p25, median, p75, p90 = (sample.at(q) for q in (10, 25, 50, 75, 90))
    means = _power_sums(view, sample, median)
    absolute, variance, third, fourth, from_median, energy = means.tolist()
    skewness, kurtosis = _shape(mean, variance, third, fourth)
    low, high = float(sample.values[0]), float(sample.values[-1])
    robust = sample.robust(p10, p90)
    found = (
        mean,
        variance,
        skewness,
        kurtosis,
        median,
        low,
        p10,
        p90,
        high,
        p75 - p25,
        high - low,
        absolute,
        robust,
        from_median,
        np.sqrt(variance) / mean if mean else float("nan"),
        (p75 - p25) / (p75 + p25) if p75 + p25 else float("nan"),
        energy * n,
        float(np.sqrt(energy)),
    )
    return {"": dict(zip((spec.name for spec in SPECS), found, strict=True))}
