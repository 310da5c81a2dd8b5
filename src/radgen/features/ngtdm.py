"""Neighbourhood grey tone difference matrix (5 features, IBSI IPET)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features._cells import mean_defined
from radgen.features._merge import undefined
from radgen.features._registry import BY_DIMENSION, FeatureSpec, Measured, add
from radgen.features._view import View

__all__ = ["ngtdm", "ngtdm_features"]

_LONE = "no voxel of the region has a neighbour in it"

SPECS = (
    FeatureSpec("Coarseness", "QCDE", "", _LONE),
    FeatureSpec("Contrast", "65HE", "", _LONE),
    FeatureSpec("Busyness", "NQ30", "", _LONE),
    FeatureSpec("Complexity", "HDEZ", "", _LONE),
    FeatureSpec("Strength", "1X9X", "", _LONE),
)
NAMES = tuple(spec.name for spec in SPECS)
_COARSEST = 1e6
_BLOCK = 2048


def ngtdm_features(
    level: NDArray[np.float64], count: NDArray[np.float64], gap: NDArray[np.float64]
) -> dict[str, float]:
    """Return the five features of one matrix.

    Parameters
    ----------
    level : ndarray of float64 (n_levels,)
        Grey levels.
    count : ndarray of float64 (n_levels,)
        Voxels of each level that have a neighbour.
    gap : ndarray of float64 (n_levels,)
        Sum of |level - mean of the neighbours| over them.

    Returns
    -------
    dict of str to float
        NaN where no voxel has a neighbour.
    """
    filled = count > 0
    i, s = level[filled], gap[filled]
    total = count.sum()
    if not total:
        return undefined(NAMES)
    p = count[filled] / total
    weighted, ip = float(p @ s), i * p
    busy = complexity = strength = 0.0
    for first in range(0, i.size, _BLOCK):
        part = slice(first, first + _BLOCK)
        far = np.abs(i[part, None] - i)
        both = p[part, None] + p
        busy += float(np.abs(ip[part, None] - ip).sum())
        complexity += float((far * ((p * s)[part, None] + p * s) / both).sum())
        strength += float((both * far**2).sum())
    spread = 2.0 * (float(p @ i**2) - float(p @ i) ** 2)
    n = i.size
    found = (
        min(1.0 / weighted, _COARSEST) if weighted > 0 else _COARSEST,
        spread / (n * (n - 1)) * float(s.sum()) / total if n > 1 else 0.0,
        weighted / busy if n > 1 and busy > 0 else 0.0,
        complexity / total,
        strength / float(s.sum()) if s.sum() > 0 else 0.0,
    )
    return dict(zip(NAMES, found, strict=True))


def _matrices(view: View, in_plane: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return counts and gaps (slices or 1, n_levels)."""
    reach, n_levels, levels = view.settings.distance, view.grey.n_levels, view.padded
    n_near = (2 * reach + 1) ** (2 if in_plane else 3)
    shape = (levels.shape[0] if in_plane else 1, n_levels + 1, n_near)
    count, gap = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    _image.ngtdm(levels, reach, n_levels, int(in_plane), count, gap)
    return (
        count[:, 1:, 1:].sum(axis=2).astype(np.float64),
        gap[:, 1:, 1:] @ (1.0 / np.arange(1, n_near)),
    )


@add("ngtdm", version=1, specs=SPECS, ibsi_code="IPET", aggregations=BY_DIMENSION)
def ngtdm(view: View) -> Measured:
    """Return the features of neighbourhood grey tone difference matrices.

    Parameters
    ----------
    view : View
        Image and region.

    Returns
    -------
    mapping
        Values by aggregation code.

    Notes
    -----
    Neighbours lie within the Chebyshev distance of the settings. Where the standard states a
    value for flat regions it is returned: coarseness 10^6, contrast, busyness and strength 0.

    References
    ----------
    IBSI reference manual, section 3.10 (IPET).
    """
    out: dict[str, dict[str, float]] = {}
    level = np.arange(1.0, view.grey.n_levels + 1)
    if view.wants("8QNN") or view.wants("62GR"):
        count, gap = _matrices(view, True)
        if view.wants("8QNN"):
            slices = [
                ngtdm_features(level, n, s) for n, s in zip(count, gap, strict=True) if n.any()
            ]
            out["8QNN"] = {
                name: mean_defined(np.array([item[name] for item in slices])) for name in NAMES
            }
        if view.wants("62GR"):
            out["62GR"] = ngtdm_features(level, count.sum(axis=0), gap.sum(axis=0))
    if view.wants("KOBO"):
        count, gap = _matrices(view, False)
        out["KOBO"] = ngtdm_features(level, count[0], gap[0])
    return out
