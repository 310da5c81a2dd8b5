"""Moment invariants of shape and of intensities (6 features, beyond IBSI)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import View

__all__ = ["invariants", "moment_invariants"]

_FLAT = "all intensities are equal"
SPECS = (
    FeatureSpec("First moment invariant of the shape"),
    FeatureSpec("Second moment invariant of the shape"),
    FeatureSpec("Third moment invariant of the shape"),
    FeatureSpec("First moment invariant of the intensities", "", "", _FLAT),
    FeatureSpec("Second moment invariant of the intensities", "", "", _FLAT),
    FeatureSpec("Third moment invariant of the intensities", "", "", _FLAT),
)


def invariants(
    positions_mm: NDArray[np.float64], mass: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return three numbers that turns, shifts and scaling of a body do not change.

    Parameters
    ----------
    positions_mm : ndarray of float64 (n, 3)
        Places of the mass.
    mass : ndarray of float64 (n,)
        Not negative; volume of the voxel times density.

    Returns
    -------
    tuple of float (3,)
        Trace, sum of the principal minors and determinant of the second central moments,
        each made free of scale by the power of the total mass; NaN where there is no mass.

    References
    ----------
    Sadjadi, F. A. & Hall, E. L. (1980), doi:10.1109/TPAMI.1980.4766990.
    """
    total = float(mass.sum())
    if not total > 0:
        return float("nan"), float("nan"), float("nan")
    centre = np.einsum("n,ni->i", mass, positions_mm) / total
    gap = positions_mm - centre
    moments = np.einsum("n,ni,nj->ij", mass, gap, gap) / total ** (5.0 / 3.0)
    a, b, c = np.linalg.eigvalsh(moments)
    return float(a + b + c), float(a * b + a * c + b * c), float(a * b * c)


@add("moment_invariants", version=1, specs=SPECS)
def moment_invariants(view: View) -> Measured:
    """Return moment invariants of the region, and of its intensities above the lowest.

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
    Intensities are scaled to run from 0 to 1, so that their unit does not matter.
    """
    region = view.region
    voxel = float(np.prod(region.spacing_mm))
    where = region.positions_mm(region.morphology)
    shape = invariants(where, np.full(len(where), voxel))
    values = view.values - view.values.min()
    top = float(values.max())
    weights = values / top * voxel if top > 0 else values
    found = (*shape, *invariants(region.positions_mm(region.intensity), weights))
    return {"": dict(zip((spec.name for spec in SPECS), found, strict=True))}
