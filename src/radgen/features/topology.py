"""Betti curves: components, tunnels and cavities of the brighter part (15 features)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import View

__all__ = ["betti_numbers", "topology"]

PERCENTILES = (10, 25, 50, 75, 90)
_PARTS = ("Components", "Tunnels", "Cavities")
SPECS = tuple(
    FeatureSpec(f"{part} above the {percent}th percentile")
    for part in _PARTS
    for percent in PERCENTILES
)


def _euler(mask: NDArray[np.bool_]) -> int:
    """Return corners - edges + faces - voxels of the union of closed voxels."""
    padded = np.pad(mask, 1)
    total = 0
    for open_axes in range(8):
        cells = padded
        for axis in range(3):
            if not open_axes >> axis & 1:
                n = cells.shape[axis]
                cells = np.take(cells, range(n - 1), axis) | np.take(cells, range(1, n), axis)
        sign = -1 if bin(open_axes).count("1") % 2 else 1
        total += sign * int(np.count_nonzero(cells))
    return total


def betti_numbers(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return the numbers of components, tunnels and cavities of a set of closed voxels.

    Parameters
    ----------
    mask : ndarray of bool (n_z, n_y, n_x)
        The set; voxels that touch at a corner are connected.

    Returns
    -------
    tuple of int (3,)
        Betti numbers 0, 1 and 2.

    Notes
    -----
    Components (26 neighbours) and cavities (6 neighbours outside) are counted, tunnels follow
    from the Euler characteristic.
    """
    from scipy.ndimage import label

    components = int(label(mask, np.ones((3, 3, 3)))[1])
    cavities = int(label(~np.pad(mask, 1))[1]) - 1
    return components, components + cavities - _euler(mask), cavities


@add("topology", version=1, specs=SPECS)
def topology(view: View) -> Measured:
    """Return Betti numbers of the voxels at or above percentiles of the intensities.

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
    Counts grow with the region; compare regions of like size, or divide by the volume.
    """
    region = view.region
    cuts = np.percentile(view.sorted_values, PERCENTILES)
    found = []
    for cut in cuts:
        mask = np.zeros(region.shape, dtype=bool)
        mask.ravel()[region.flat[view.values >= cut]] = True
        found.append(betti_numbers(mask))
    values = [float(numbers[part]) for part in range(3) for numbers in found]
    return {"": dict(zip((spec.name for spec in SPECS), values, strict=True))}
