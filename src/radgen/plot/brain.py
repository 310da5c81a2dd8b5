"""Statistical maps over anatomy: slices side by side, and surfaces from two sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.plot import style
from radgen.plot.slices import Gridded

__all__ = ["stat_map", "surface_map"]

_AXES = {"axial": 0, "coronal": 1, "sagittal": 2}


def stat_map(
    values: Gridded,
    *,
    background: Gridded | None = None,
    plane: str = "axial",
    n_slices: int = 8,
    threshold: float = 0.0,
    limit: float | None = None,
    signed: bool = True,
    label: str = "",
    title: str = "",
    ax: Any = None,
) -> Any:
    """Draw slices of a map side by side, in colour over a background, and return the Axes.

    Parameters
    ----------
    values : ImageVolume (n_z, n_y, n_x)
        The map; 0 and NaN = nothing to show.
    background : ImageVolume or None
        Anatomy on the same grid; None = the outline of the map itself.
    plane : {"axial", "coronal", "sagittal"}
        Which plane.
    n_slices : int, default 8
        How many slices, evenly spread over the map.
    threshold : float, default 0
        Smaller values (in size) are left transparent.
    limit : float or None
        Value of the full colour; None = the largest.
    signed : bool, default True
        Two-sided colours; False = from 0 upwards.
    label : str
        What the colours show.
    title : str
        Title.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on. Left of the picture is the right of the patient (as radiologists
        look) where the grid runs to the left, as in LPS; a letter says so.

    Raises
    ------
    InputError
        If the plane is unknown, the map is empty or the background lies on another grid.
    """
    if plane not in _AXES or n_slices < 1:
        raise InputError(f"plane is one of {tuple(_AXES)} and n_slices at least 1.")
    array = np.nan_to_num(np.asarray(values.array, np.float64))
    shown = array != 0
    if array.ndim != 3 or not shown.any():
        raise InputError("The map holds no value that is not 0.")
    if background is not None:
        values.geometry.require_same(background.geometry, what="Map and background")
    axis = _AXES[plane]
    used = np.flatnonzero(shown.any(axis=tuple(a for a in range(3) if a != axis)))
    strong = np.abs(array) > threshold
    focus = np.flatnonzero(strong.any(axis=tuple(a for a in range(3) if a != axis)))
    span = focus if len(focus) >= n_slices else used
    at = np.unique(np.round(np.linspace(span[0], span[-1], min(n_slices, len(span)))).astype(int))
    tiles, grey = [], []
    anatomy = shown.astype(float) if background is None else np.asarray(background.array, float)
    for index in at:
        tiles.append(_oriented(np.take(array, index, axis=axis), plane))
        grey.append(_oriented(np.take(anatomy, index, axis=axis), plane))
    ax = ax or style.axes(min(1.5 * len(at) + 1.2, 12.0), 2.3)
    picture, under = np.concatenate(tiles, axis=1), np.concatenate(grey, axis=1)
    spacing = values.geometry.spacing_mm
    high, wide = (spacing[a] for a in range(3) if a != axis)
    extent = (0.0, picture.shape[1] * wide, picture.shape[0] * high, 0.0)
    _under(ax, under, extent, outline=background is None)
    top = float(np.abs(array).max()) if limit is None else limit
    drawn = ax.imshow(
        np.ma.masked_where(np.abs(picture) <= threshold, picture),
        cmap=style.DIVERGING if signed else style.SEQUENTIAL,
        vmin=-top if signed else 0.0, vmax=top, extent=extent, interpolation="nearest",
    )  # fmt: skip
    bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.02, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, colors=style.MUTED, labelcolor=style.INK, length=2)
    bar.set_label(style.safe(label), fontsize=8, color=style.INK)
    _captions(ax, values, plane, at, (picture.shape[1] * wide / len(at), extent[2]))
    if title:
        ax.set_title(style.safe(title), loc="left", fontsize=10, fontweight="bold",
                     color=style.INK, parse_math=False)  # fmt: skip
    return ax


def _oriented(picture: NDArray[np.float64], plane: str) -> NDArray[np.float64]:
    # Rows of LPS grids run to the back and to the top: the top of the head is drawn above.
    return picture if plane == "axial" else picture[::-1]


def _under(ax: Any, picture: NDArray[np.float64], extent: Any, *, outline: bool) -> None:
    if outline:
        ax.imshow(np.where(picture > 0, 0.9, 1.0), cmap="gray", vmin=0, vmax=1, extent=extent,
                  interpolation="nearest")  # fmt: skip
    else:
        inside = picture[np.isfinite(picture) & (picture != 0)]
        low, high = np.percentile(inside, (2, 98)) if len(inside) else (0.0, 1.0)
        ax.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 1e-9), extent=extent,
                  interpolation="bilinear")  # fmt: skip
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)
    ax.patch.set_alpha(0.0)


def _captions(
    ax: Any, values: Gridded, plane: str, at: NDArray[np.int64], size: tuple[float, float]
) -> None:
    """Write the position of each slice (RAS millimetres), and which side is which."""
    width, height = size
    axis = _AXES[plane]
    for number, index in enumerate(at):
        middle = np.array(values.geometry.shape, float)[None] / 2
        middle[0, axis] = index
        mm = values.geometry.to_world(middle)[0] * (-1, -1, 1)
        name = {"axial": f"z = {mm[2]:.0f}", "coronal": f"y = {mm[1]:.0f}"}.get(
            plane, f"x = {mm[0]:.0f}"
        )
        ax.text((number + 0.5) * width, height * 1.01, name, ha="center", va="top", fontsize=7,
                color=style.MUTED)  # fmt: skip
    if plane == "sagittal":
        return
    leftwards = float(values.geometry.affine[0, 0]) > 0
    ax.text(0.0, height * 0.02, "R" if leftwards else "L", ha="left", va="top", fontsize=8.5,
            color=style.MUTED, fontweight="bold")  # fmt: skip


def surface_map(
    vertices: ArrayLike,
    faces: ArrayLike,
    values: ArrayLike,
    *,
    threshold: float = 0.0,
    limit: float | None = None,
    signed: bool = True,
    views: Sequence[str] = ("left", "right"),
    label: str = "",
    title: str = "",
    ax: Any = None,
) -> Any:
    """Draw a map on a triangle mesh seen from several sides, and return the Axes.

    Parameters
    ----------
    vertices : array of float64 (n_vertices, 3)
        LPS millimetres.
    faces : array of int64 (n_faces, 3)
        Triangles.
    values : array of float64 (n_vertices,)
        The map; 0 and NaN are drawn grey.
    threshold : float, default 0
        Smaller values (in size) are drawn grey.
    limit : float or None
        Value of the full colour; None = the largest.
    signed : bool, default True
        Two-sided colours.
    views : sequence of {"left", "right", "top", "front"}
        From where the mesh is seen, side by side.
    label, title : str
        What the colours show; title.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the sizes disagree or a view is unknown.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import Normalize

    points, triangles = np.asarray(vertices, float), np.asarray(faces, np.int64)
    data = np.nan_to_num(np.asarray(values, float))
    if len(data) != len(points):
        raise InputError(f"The map has {len(data)} values for {len(points)} vertices.")
    known = {"left": (0, 1), "right": (0, -1), "top": (2, 1), "front": (1, -1)}
    if not views or set(views) - set(known):
        raise InputError(f"views are of {tuple(known)}; found {tuple(views)}.")
    top = (float(np.abs(data).max()) or 1.0) if limit is None else limit
    scale = Normalize(-top if signed else 0.0, top)
    colours = colormaps[style.DIVERGING if signed else style.SEQUENTIAL]
    face = data[triangles].mean(axis=1)
    base = colours(scale(face))[:, :3]
    base[np.abs(face) <= threshold] = 0.82
    corner = points[triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal /= np.where(length > 0, length, 1.0)
    if float((normal * (corner.mean(axis=1) - points.mean(axis=0))).sum()) < 0:
        normal = -normal  # outwards
    ax = ax or style.axes(2.7 * len(views) + 0.8, 2.5)
    start = 0.0
    for view in views:
        axis, sign = known[view]
        flat, width = _projected(points, axis, sign)
        depth = sign * points[triangles, axis].mean(axis=1)
        seen = np.flatnonzero(sign * normal[:, axis] > 0)
        seen = seen[np.argsort(depth[seen])]
        light = 0.45 + 0.55 * np.clip(sign * normal[seen, axis], 0, 1)
        polygons = flat[triangles[seen]] + (start, 0.0)
        ax.add_collection(PolyCollection(polygons, facecolors=base[seen] * light[:, None],
                                         edgecolors="face", linewidths=0.2,
                                         rasterized=True))  # fmt: skip
        ax.text(start + width / 2, float(flat[:, 1].min()), view, ha="center", va="top",
                fontsize=8, color=style.MUTED)  # fmt: skip
        start += width * 1.06
    ax.set_xlim(0, start)
    ax.set_ylim(float(points.min()) * 1.1 - 1, float(points.max()) * 1.1 + 1)
    ax.autoscale_view()
    ax.set_aspect("equal")
    ax.axis("off")
    bar = ax.figure.colorbar(ScalarMappable(scale, colours), ax=ax, fraction=0.03, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, colors=style.MUTED, labelcolor=style.INK, length=2)
    bar.set_label(style.safe(label), fontsize=8, color=style.INK)
    if title:
        ax.set_title(style.safe(title), loc="left", fontsize=10, fontweight="bold",
                     color=style.INK, parse_math=False)  # fmt: skip
    return ax


def _projected(
    points: NDArray[np.float64], axis: int, sign: int
) -> tuple[NDArray[np.float64], float]:
    """Return the mesh as seen along an axis, from 0 to the right, and its width."""
    if axis == 0:
        across, up = (-sign) * points[:, 1] * -1, points[:, 2]
    elif axis == 2:
        across, up = -points[:, 0], -points[:, 1]
    else:
        across, up = points[:, 0], points[:, 2]
    flat = np.column_stack([across - across.min(), up - up.mean()])
    return flat, float(flat[:, 0].max())
