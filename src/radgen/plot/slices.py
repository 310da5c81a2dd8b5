"""One slice of a scan in a panel: grey values, outlines, directions and a scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AXIS", "COLOURS", "Gridded", "Plane", "draw_slice", "slice_of", "white_axes"]

Plane = Literal["axial", "coronal", "sagittal"]

COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#009E73", "#F0E442", "#D55E00", "#0072B2")
"""Okabe and Ito's palette, told apart by colour-blind readers too."""

AXIS = {"axial": 0, "coronal": 1, "sagittal": 2}
"""Which axis of an array (z, y, x) runs across a plane."""

_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


class Grid(Protocol):
    """Where voxels lie."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]: ...
    @property
    def direction(self) -> NDArray[np.float64]: ...


class Gridded(Protocol):
    """An array (z, y, x) on a grid."""

    @property
    def array(self) -> NDArray[Any]:
        """Values (z, y, x)."""
        ...

    @property
    def geometry(self) -> Grid:
        """Its grid."""
        ...


def white_axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the Axes given, or new ones of a size in inches on white."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").subplots()


def slice_of(
    array: NDArray[Any],
    plane: Plane,
    at: int,
    box: tuple[slice, slice, slice],
    spacing: tuple[float, float, float],
) -> tuple[NDArray[Any], tuple[float, float, float, float]]:
    """Return a slice, top row first, and its extent in millimetres."""
    axis = AXIS[plane]
    rows, columns = (other for other in range(3) if other != axis)
    index: list[Any] = list(box)
    index[axis] = at
    picture = array[tuple(index)]
    if plane != "axial":
        picture = picture[::-1]
    height, width = picture.shape[0] * spacing[rows], picture.shape[1] * spacing[columns]
    return picture, (0.0, width, height, 0.0)


def draw_slice(
    ax: Axes,
    image: Gridded,
    regions: Mapping[str, NDArray[np.bool_]],
    *,
    plane: Plane,
    at: int,
    box: tuple[slice, slice, slice],
    window: tuple[float, float],
) -> None:
    """Draw one slice of a scan with the outlines of its regions, directions and a bar of 20 mm."""
    spacing = image.geometry.spacing_mm
    picture, extent = slice_of(image.array, plane, at, box, spacing)
    ax.imshow(
        picture, cmap="gray", vmin=window[0], vmax=window[1], extent=extent, interpolation="nearest"
    )
    ax.set_facecolor("black")
    width, height = extent[1], extent[2]
    for number, mask in enumerate(regions.values()):
        inside, _ = slice_of(mask, plane, at, box, spacing)
        if inside.any():
            _outline(ax, inside, (width, height), COLOURS[number % len(COLOURS)])
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(f"{plane} {at + 1}/{image.array.shape[AXIS[plane]]}", fontsize=8, pad=3)
    _directions(ax, image.geometry, plane)
    if width > 45:
        ax.plot([5, 25], [height - 5, height - 5], color="white", linewidth=2, clip_on=True)
        ax.text(15, height - 7, "20 mm", color="white", fontsize=6, ha="center", va="bottom")


def _outline(ax: Axes, inside: NDArray[np.bool_], size: tuple[float, float], colour: str) -> None:
    """Draw the border between voxels inside and outside: exactly what the mask says."""
    from matplotlib.collections import LineCollection

    wide = np.pad(inside, 1)
    high, across = size[1] / inside.shape[0], size[0] / inside.shape[1]
    level = np.argwhere(wide[1:, 1:-1] != wide[:-1, 1:-1])
    upright = np.argwhere(wide[1:-1, 1:] != wide[1:-1, :-1])
    lines = [[(c * across, r * high), ((c + 1) * across, r * high)] for r, c in level]
    lines += [[(c * across, r * high), (c * across, (r + 1) * high)] for r, c in upright]
    ax.add_collection(LineCollection(lines, colors=colour, linewidths=1.1, capstyle="projecting"))


def _directions(ax: Axes, geometry: Any, plane: Plane) -> None:
    """Write at the borders which way the patient lies."""
    # voxel axes x, y, z -> the anatomical axis each follows most
    direction = np.asarray(geometry.direction)
    along = {}
    for voxel in range(3):
        world = int(np.abs(direction[:, voxel]).argmax())
        pair = _LETTERS[world]
        along[2 - voxel] = pair if direction[world, voxel] > 0 else pair[::-1]
    rows, columns = (other for other in range(3) if other != AXIS[plane])
    left, right = along[columns]
    top, bottom = along[rows] if plane == "axial" else along[rows][::-1]
    style: dict[str, Any] = {
        "transform": ax.transAxes, "fontsize": 7, "color": "#ffffff", "alpha": 0.9,
    }  # fmt: skip
    ax.text(0.02, 0.5, left, ha="left", va="center", **style)
    ax.text(0.98, 0.5, right, ha="right", va="center", **style)
    ax.text(0.5, 0.98, top, ha="center", va="top", **style)
    ax.text(0.5, 0.02, bottom, ha="center", va="bottom", **style)
