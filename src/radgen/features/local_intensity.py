"""Local and global intensity peak (2 features, IBSI 9ST6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features._registry import FeatureSpec, Measured, add
from radgen.features._view import View

__all__ = ["local_intensity"]

RADIUS_MM = float(np.cbrt(3.0 / (4.0 * np.pi)) * 10.0)
"""Radius of a ball of one cubic centimetre."""

SPECS = (
    FeatureSpec("Local intensity peak", "VJGA", "{u}"),
    FeatureSpec("Global intensity peak", "0F91", "{u}"),
)


def _ball_rows(spacing_mm: tuple[float, float, float]) -> NDArray[np.int32]:
    """Return rows (dz, dy, half width) of the voxels whose centres lie in the ball."""
    dz, dy, dx = spacing_mm
    # A voxel centre on the sphere counts, also where the square root rounds.
    square = RADIUS_MM**2 * (1.0 + 1e-12)
    reach_z, reach_y = int(np.sqrt(square) / dz), int(np.sqrt(square) / dy)
    rows = [
        (z, y, int(np.sqrt(square - (z * dz) ** 2 - (y * dy) ** 2) / dx))
        for z in range(-reach_z, reach_z + 1)
        for y in range(-reach_y, reach_y + 1)
        if (z * dz) ** 2 + (y * dy) ** 2 <= square
    ]
    return np.array(rows, dtype=np.int32)


def _sums(
    box: NDArray[np.float64],
    place: tuple[slice, slice, slice],
    rows: NDArray[np.int32],
    mask: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """Return sums over the ball around each voxel of the mask.

    `box` lies at `place` in a grid of the mask's shape; elsewhere there is nothing. The mask
    has one column more than the grid, since sums run up to the end of a voxel.
    """
    running = np.zeros(mask.shape)
    z, y, x = place
    running[z, y, x.start + 1 : x.stop + 1] = box
    np.cumsum(running, axis=2, out=running)
    out = np.zeros(mask.shape)
    _image.ball_sums(running, rows, mask, out)
    return out[mask.view(bool)]


@add("local_intensity", version=1, specs=SPECS, ibsi_code="9ST6", images="original")
def local_intensity(view: View) -> Measured:
    """Return the mean intensity in a ball of 1 cm^3 around the peak, and its largest value.

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
    The ball takes in voxels outside the region; voxels outside the image and voxels without a
    measurement do not count. Of several voxels with the highest intensity, the one with the
    highest mean around it counts.

    References
    ----------
    IBSI reference manual, section 3.2 (9ST6).
    """
    region = view.region
    rows = _ball_rows(region.spacing_mm)
    reach = np.abs(rows).max(axis=0) + np.array([0, 0, 1])
    box = tuple(
        slice(max(0, at.start - int(r)), min(size, at.stop + int(r)))
        for at, r, size in zip(region.box, reach, view.image.shape, strict=True)
    )
    before = [
        int(r) - (at.start - b.start) for at, b, r in zip(region.box, box, reach, strict=True)
    ]
    place = tuple(
        slice(first, first + b.stop - b.start) for first, b in zip(before, box, strict=True)
    )
    inner = tuple(slice(int(r), int(r) + n) for n, r in zip(region.shape, reach, strict=True))
    nz, ny, nx = (part.stop + int(r) for part, r in zip(inner, reach, strict=True))
    mask = np.zeros((nz, ny, nx + 1), np.uint8)
    mask[inner] = region.intensity
    values = np.array(view.image[box], dtype=np.float64)
    complete = values.shape == (nz, ny, nx) and bool(np.isfinite(values.sum()))
    count: NDArray[np.float64] | float = float((2 * rows[:, 2] + 1).sum())
    if not complete:
        measured = ~np.isnan(values)
        values[~measured] = 0.0
        count = _sums(measured.astype(np.float64), place, rows, mask)
    sums = _sums(values, place, rows, mask)
    means = sums / count
    peak = view.values == view.values.max()
    return {
        "": {
            "Local intensity peak": float(means[peak].max()),
            "Global intensity peak": float(means.max()),
        }
    }
