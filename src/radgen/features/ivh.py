"""Intensity-volume histogram (7 values of 5 features, IBSI P88C)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import View

__all__ = ["curve_of", "intensity_volume_histogram"]

_FLAT = "the intensity range has no width"
_SLACK = 1e-12
_MANY = 1e7
"""Whole numbers over a wider range than this are taken as values, not as steps of one."""

SPECS = (
    FeatureSpec("volume fraction at 10% intensity", "BC2M", "", _FLAT),
    FeatureSpec("volume fraction at 90% intensity", "BC2M", "", _FLAT),
    FeatureSpec("intensity at 10% volume", "GBPN", "{u}"),
    FeatureSpec("intensity at 90% volume", "GBPN", "{u}"),
    FeatureSpec("volume fraction difference between 10% and 90% intensity", "DDTU", "", _FLAT),
    FeatureSpec("intensity difference between 10% and 90% volume", "CNV2", "{u}"),
    FeatureSpec("area under the IVH curve", "9CMM", "", _FLAT),
)


_Span = tuple[float | None, float | None]


def _as_they_are(
    values: NDArray[np.float64], span: _Span, ordered: NDArray[np.float64] | None = None
) -> tuple[float, ...]:
    """Return the values of the curve of intensities as they are; `ordered` saves sorting."""
    if not (np.array_equal(values, np.rint(values)) and np.ptp(values) < _MANY):
        return _of_values(np.sort(values) if ordered is None else ordered)
    low = float(values.min())
    return _of_counts(low, np.bincount((values - low).astype(np.intp)), span)


def _of_counts(low: float, counts: NDArray[np.int64], span: _Span) -> tuple[float, ...]:
    """Return the same from how often `low` and the whole numbers above it occur."""
    first = low if span[0] is None else min(low, float(np.floor(span[0])))
    last = low if span[1] is None else float(np.ceil(span[1]))
    before = int(low - first)
    count = np.zeros(max(before + counts.size, int(last - first) + 1))
    count[before : before + counts.size] = counts
    return _of_steps(first + np.arange(count.size), count)


def curve_of(
    view: View,
) -> tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], tuple[float, ...]]]:
    """Return what the curve is made of (n_voxels,), and the 7 values of any part of that."""
    how = view.settings.ivh_discretisation
    span = view.settings.resegment_range or (None, None)
    if how.method == "none":
        return view.values, lambda part: _with_differences(_as_they_are(part, span))
    grey = view.discretised(how)
    n_levels = grey.n_levels
    if how.method == "width" and span[1] is not None:
        n_levels = max(n_levels, int(np.ceil((span[1] - grey.minimum) / grey.bin_width)))
    level = np.arange(1.0, n_levels + 1)
    if how.method == "width":
        level = grey.minimum + (level - 0.5) * grey.bin_width

    def binned(part: NDArray[np.float64]) -> tuple[float, ...]:
        count = np.bincount(part.astype(np.intp), minlength=n_levels + 1)[1:]
        return _with_differences(_of_steps(level, count.astype(np.float64)))

    return grey.levels.astype(np.float64), binned


def _with_differences(found: tuple[float, ...]) -> tuple[float, ...]:
    v10, v90, i10, i90, area = found
    return v10, v90, i10, i90, v10 - v90, i10 - i90, area


def _of_steps(level: NDArray[np.float64], count: NDArray[np.float64]) -> tuple[float, ...]:
    """Return v10, v90, i10, i90 and the area of a curve of equal steps."""
    volume = 1.0 - (np.cumsum(count) - count) / count.sum()
    width = level[-1] - level[0]
    v10 = v90 = area = float("nan")
    if width > 0:
        share = (level - level[0]) / width
        v10 = float(volume[share >= 0.1 - _SLACK][0])
        v90 = float(volume[share >= 0.9 - _SLACK][0])
        area = float(np.sum((volume[1:] + volume[:-1]) * np.diff(share)) / 2.0)
    at = [np.flatnonzero(volume <= fraction + _SLACK) for fraction in (0.1, 0.9)]
    i10, i90 = (float(level[k[0]] if k.size else level[-1]) for k in at)
    return v10, v90, i10, i90, area


def _of_values(ordered: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the same of a curve with a step at each distinct value, from sorted values."""
    n, low = ordered.size, float(ordered[0])
    width = float(ordered[-1]) - low
    v10 = v90 = area = float("nan")
    if width > 0:
        cuts = low + width * np.array([0.1 - _SLACK, 0.9 - _SLACK])
        v10, v90 = 1.0 - np.searchsorted(ordered, cuts) / n
        gap = np.diff(ordered)
        end = np.flatnonzero(gap) + 1
        # Mean of the sums with the volume right and left of each step.
        fall = float(np.diff(end, prepend=0) @ gap[end - 1]) / n
        area = (float(ordered.mean()) - low + fall / 2.0) / width
    found = []
    for fraction in (0.1, 0.9):
        k = int(np.ceil(n * (1.0 - fraction - _SLACK)))
        if 0 < k < n and ordered[k - 1] == ordered[k]:
            k = int(np.searchsorted(ordered, ordered[k], "right"))
        found.append(float(ordered[min(k, n - 1)]))
    return float(v10), float(v90), found[0], found[1], area


@add("intensity_volume_histogram", version=1, specs=SPECS, ibsi_code="P88C")
def intensity_volume_histogram(view: View) -> Measured:
    """Return how volume fraction and intensity fraction depend on each other.

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
    The settings' ``ivh_discretisation`` says how intensities are binned: "none" uses them as
    they are (whole numbers from the lower to the upper end of the resegmentation range),
    "width" bins of a fixed size whose centres are the intensities, "number" grey levels.
    Intensity fractions are relative to the first and last step of the curve.

    References
    ----------
    IBSI reference manual, section 3.5 (P88C).
    """
    if view.settings.ivh_discretisation.method == "none":
        span = view.settings.resegment_range or (None, None)
        whole = view.whole_counts
        if whole is None:
            curve = _as_they_are(view.values, span, view.sorted_values)
        else:
            curve = _of_counts(*whole, span)
        found = _with_differences(curve)
    else:
        parts, measure = curve_of(view)
        found = measure(parts)
    return {"": dict(zip((spec.name for spec in SPECS), found, strict=True))}
