"""Intensity-volume histogram (7 values of 5 features, IBSI P88C)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import View

__all__ = ["intensity_volume_histogram"]

_FLAT = "the intensity range has no width"

SPECS = (
    FeatureSpec("volume fraction at 10% intensity", "BC2M", "", _FLAT),
    FeatureSpec("volume fraction at 90% intensity", "BC2M", "", _FLAT),
    FeatureSpec("intensity at 10% volume", "GBPN", "{u}"),
    FeatureSpec("intensity at 90% volume", "GBPN", "{u}"),
    FeatureSpec("volume fraction difference between 10% and 90% intensity", "DDTU", "", _FLAT),
    FeatureSpec("intensity difference between 10% and 90% volume", "CNV2", "{u}"),
    FeatureSpec("area under the IVH curve", "9CMM", "", _FLAT),
)


def _steps(view: View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the intensities of the curve's steps and how many voxels each holds."""
    how = view.settings.ivh_discretisation
    span = view.settings.resegment_range or (None, None)
    if how.method == "none":
        values = view.values
        whole = np.array_equal(values, np.rint(values)) and np.ptp(values) < 1e7
        if not whole:
            level, count = np.unique(values, return_counts=True)
            return level, count.astype(np.float64)
        low = values.min() if span[0] is None else np.floor(span[0])
        high = values.max() if span[1] is None else np.ceil(span[1])
        count = np.bincount((values - low).astype(np.intp), minlength=int(high - low) + 1)
        return low + np.arange(count.size), count.astype(np.float64)
    grey = view.discretised(how)
    n_levels = grey.n_levels
    if how.method == "width" and span[1] is not None:
        n_levels = max(n_levels, int(np.ceil((span[1] - grey.minimum) / grey.bin_width)))
    count = np.bincount(grey.levels, minlength=n_levels + 1)[1:].astype(np.float64)
    level = np.arange(1.0, n_levels + 1)
    if how.method == "width":
        level = grey.minimum + (level - 0.5) * grey.bin_width
    return level, count


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
    level, count = _steps(view)
    total = count.sum()
    volume = 1.0 - (np.cumsum(count) - count) / total
    width = level[-1] - level[0]

    def intensity_at(fraction: float) -> float:
        below = np.flatnonzero(volume <= fraction + 1e-12)
        return float(level[below[0]] if below.size else level[-1])

    i10, i90 = intensity_at(0.1), intensity_at(0.9)
    v10 = v90 = area = float("nan")
    if width > 0:
        share = (level - level[0]) / width
        v10 = float(volume[share >= 0.1 - 1e-12][0])
        v90 = float(volume[share >= 0.9 - 1e-12][0])
        area = float(np.sum((volume[1:] + volume[:-1]) * np.diff(share)) / 2.0)
    found = (v10, v90, i10, i90, v10 - v90, i10 - i90, area)
    return {"": dict(zip((spec.name for spec in SPECS), found, strict=True))}
