"""Find arteries in a dynamic series by the shape of their curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.functional._voxels import curves_of, inside
from radgen.functional.arterial import bolus_arrival
from radgen.types import ImageVolume, Mask

__all__ = ["find_artery"]

Floats = NDArray[np.float64]

_LARGEST, _ROUGHEST, _CLUSTERS, _FEWEST = 0.05, 0.25, 5, 5


def find_artery(
    series: ImageVolume, mask: Mask | None = None, *, falls: bool = False, seed: int = 0
) -> Mask:
    """Return the voxels whose curves are those of an artery: large, early, narrow and alike.

    Parameters
    ----------
    series : ImageVolume
        Signals with times, axes (t, z, y, x).
    mask : Mask or None
        Where to look; None = all that are measured.
    falls : bool
        The signal falls with contrast (susceptibility) instead of rising.
    seed : int
        Of the clusters.

    Returns
    -------
    Mask
        "artery"; look at it before you trust it.

    Raises
    ------
    InputError
        If no contrast arrives, or too few voxels enhance.
    GeometryError
        If the mask does not lie on the grid of the series.

    Notes
    -----
    The 5 % of voxels with the largest area under their curves are kept and the roughest quarter of
    them left out; five clusters of the curves, each divided by its area, are made twice, and that
    whose curve comes first (smallest first moment) is taken. Veins come later, tissue is wider.

    References
    ----------
    Mouridsen et al. 2006, doi:10.1002/mrm.20759.
    """
    from sklearn.cluster import KMeans

    chosen = inside(series, mask)
    if series.times_s is None:
        raise InputError("Needed is a dynamic series with times.")
    times = np.asarray(series.times_s, dtype=np.float64)
    data = curves_of(series, chosen)
    whole = np.flatnonzero(np.isfinite(data).all(axis=1))
    if not len(whole):
        raise InputError("No voxel of the mask is measured in all frames.")
    arrival = bolus_arrival(data[whole].mean(axis=0))
    change = data[whole] - data[whole, :arrival].mean(axis=1, keepdims=True)
    change = -change if falls else change
    area = np.trapezoid(change[:, arrival - 1 :], times[arrival - 1 :], axis=1)
    n_large = max(round(_LARGEST * len(whole)), _CLUSTERS * _FEWEST)
    large = np.argsort(-area)[:n_large]
    large = large[area[large] > 0]
    if len(large) < _CLUSTERS * _FEWEST:
        raise InputError(
            f"Only {len(large)} voxels enhance, too few to find an artery among them. Draw one, or "
            "widen the mask."
        )
    curves = change[large] / area[large, None]
    rough = (np.diff(curves, n=2, axis=1) ** 2).sum(axis=1)
    kept = np.argsort(rough)[: max(int(len(large) * (1 - _ROUGHEST)), _CLUSTERS * _FEWEST)]
    for _ in range(2):
        if len(kept) < 2 * _CLUSTERS:
            break
        groups = KMeans(_CLUSTERS, n_init=10, random_state=seed).fit_predict(curves[kept])
        kept = kept[groups == _first(curves[kept], groups, times)]
    where = np.zeros(chosen.n_voxels, dtype=bool)
    where[whole[large[kept]]] = True
    array = np.zeros(chosen.geometry.shape, dtype=bool)
    array[chosen.array] = where
    return Mask(array, chosen.geometry, "artery")


def _first(curves: Floats, groups: NDArray[np.int32], times: Floats) -> int:
    """Return the cluster whose mean curve comes first; clusters of single voxels do not count."""
    moments = {}
    for group in np.unique(groups):
        mean = np.maximum(curves[groups == group].mean(axis=0), 0.0)
        if (groups == group).sum() > 1 and mean.sum() > 0:
            moments[int(group)] = float((mean * times).sum() / mean.sum())
    return min(moments, key=moments.__getitem__)
