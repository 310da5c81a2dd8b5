"""Local and global intensity peak (2 features, IBSI 9ST6)."""

from __future__ import annotations

from typing import Any

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


_FEW = 2000
"""Means of up to so many voxels are computed one by one."""
_MOST_LEVEL, _MOST_SUM = 255, 65535


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


def _all_means(view: View, rows: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the means over the ball around every voxel of the region, in double precision."""
    region = view.region
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
    measured = ~np.isnan(values)
    values[~measured] = 0.0
    count = _sums(measured.astype(np.float64), place, rows, mask)
    return _sums(values, place, rows, mask) / count


def _level_sums(
    levels: NDArray[np.uint8], rows: NDArray[np.int32], mask: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """Return sums of levels over the ball around each voxel of a mask; none may exceed 65,535.

    `levels` have as much margin around the mask as the ball reaches.
    """
    kinds: dict[bytes, int] = {}
    discs, slices = [], []
    for dz in np.unique(rows[:, 0]):
        disc = rows[rows[:, 0] == dz, 1:]
        number = kinds.setdefault(disc.tobytes(), len(kinds))
        if number == len(discs):
            discs.append(np.column_stack([np.full(len(disc), number, np.int32), disc]))
        slices.append((number, dz))
    out = np.empty(np.count_nonzero(mask), np.uint16)
    ball = np.concatenate(discs), np.array(sorted(slices), np.int32)
    _image.near_ball_sums(levels, *ball, mask.view(np.uint8), out)
    return out


class _Balls:
    """Means over the ball around voxels of a region: nearly, of all, and exactly, of a few.

    Values are rounded to levels so that the sum of each row of a ball errs by no more than one
    level; sums of levels are whole numbers of 16 bits.

    Attributes
    ----------
    decides : bool
        False where the balls hold too many voxels for such sums, or the image is flat; then the
        other two are not set.
    near : ndarray of uint16 or float64 (n_voxels,)
        Sum of levels around each voxel of the region, or their mean where a number is missing.
    slack : float or ndarray of float64 (n_voxels,)
        What `near` errs by at most.
    """

    def __init__(self, view: View, rows: NDArray[np.int32]) -> None:
        self._image, self._rows = view.image, rows
        self._start = np.array([at.start for at in view.region.box])
        reach = np.abs(rows).max(axis=0).astype(np.int64)
        first, shape = self._start - reach, np.array(view.region.shape) + 2 * reach
        inside = tuple(
            slice(max(0, begin), min(size, begin + long))
            for begin, long, size in zip(first, shape, view.image.shape, strict=True)
        )
        part = view.image[inside]
        low, high = float(part.min()), float(part.max())
        missing = np.isnan(low)
        if missing:
            low, high = float(np.nanmin(part)), float(np.nanmax(part))
        self._middle = (low + high) / 2.0
        most = int((2 * rows[:, 2] + 1).sum())
        n_levels = min(_MOST_LEVEL, _MOST_SUM // most)
        scale = n_levels / (high - low) if high > low else 0.0
        self.decides = n_levels > 0 and 0.0 < scale < np.inf
        if not self.decides:
            return
        levels = np.empty(shape, np.uint8)
        _image.row_levels(np.ascontiguousarray(view.image), low, scale, first, levels)
        mask = view.region.intensity
        self.near: NDArray[Any] = _level_sums(levels, rows, mask)
        # A level for each row, and what levels lose beyond their 16 binary places.
        self.slack: NDArray[Any] | float = len(rows) + most * 2.0**-15
        if missing or part.shape != tuple(shape):
            measured = np.zeros(shape, np.uint8)
            place = tuple(
                slice(at.start - begin, at.stop - begin)
                for at, begin in zip(inside, first, strict=True)
            )
            measured[place] = ~np.isnan(part)
            count = _level_sums(measured, rows, mask).astype(np.float64)
            self.near, self.slack = self.near / count, self.slack / count

    def candidates(self) -> NDArray[np.bool_]:
        """Return the voxels (n_voxels,) whose mean can be the largest."""
        if isinstance(self.slack, float):
            least = float(self.near.max()) - 2.0 * self.slack
            return np.asarray(self.near >= max(0, int(np.ceil(least))))
        return np.asarray(self.near + self.slack >= (self.near - self.slack).max())

    def exact(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the means around voxels (n, 3) of the crop, in double precision."""
        steps = np.array(
            [(dz, dy, x) for dz, dy, half in self._rows for x in range(-half, half + 1)]
        )
        return np.concatenate(
            [self._exact(part, steps) for part in np.array_split(places, -(-len(places) // 64))]
        )

    def _exact(self, places: NDArray[np.intp], steps: NDArray[np.intp]) -> NDArray[np.float64]:
        at = (places + self._start)[:, None] + steps
        good = ((at >= 0) & (at < self._image.shape)).all(axis=2)
        at[~good] = 0
        found = self._image[at[..., 0], at[..., 1], at[..., 2]].astype(np.float64) - self._middle
        good &= ~np.isnan(found)
        return np.asarray(self._middle + np.where(good, found, 0.0).sum(axis=1) / good.sum(axis=1))


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
    rows = _ball_rows(view.region.spacing_mm)
    peak = view.values == view.values.max()
    balls = _Balls(view, rows)
    wanted = np.flatnonzero(peak | balls.candidates() if balls.decides else np.ones(peak.size))
    if wanted.size <= _FEW:
        means = balls.exact(view.region.places(wanted))
        local, best = means[peak[wanted]].max(), means.max()
    else:
        means = _all_means(view, rows)
        local, best = means[peak].max(), means.max()
    return {"": {"Local intensity peak": float(local), "Global intensity peak": float(best)}}
