"""Pictures of scans: slices with contours, and voxel maps over them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.files import atomic_path
from radgen._core.naming import require_choice
from radgen.errors import GeometryError, InputError
from radgen.plot import style
from radgen.plot.slices import AXIS, COLOURS, Gridded, Plane, draw_slice, slice_of, white_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "contact_sheet",
    "feature_map",
    "montage",
    "write_overlay",
]


def montage(
    image: Gridded,
    masks: Mapping[str, Gridded] | Sequence[Gridded] = (),
    *,
    planes: Sequence[Plane] = ("axial", "coronal", "sagittal"),
    n_slices: int = 1,
    window: tuple[float, float] | None = None,
    margin_mm: float | None = 20.0,
    title: str = "",
    panel_inches: float = 2.6,
) -> Figure:
    """Return a figure with slices of a scan and the outlines of its regions.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    masks : mapping of str to Mask, or sequence of Mask
        Regions on the scan's grid; none is allowed.
    planes : sequence of {"axial", "coronal", "sagittal"}
        One row of panels each.
    n_slices : int
        Slices a plane: one cuts the regions where they are largest, several are spread
        evenly over them.
    window : tuple of float (2,) or None
        Values shown black and white; None takes the 0.5th and 99.5th percentile of what is
        shown.
    margin_mm : float or None
        How far around the regions the panels reach; None shows the whole scan.
    title : str
        Above the panels.
    panel_inches : float
        Height of a panel.

    Returns
    -------
    matplotlib.figure.Figure
        In radiological order: the patient's right is on the left of axial and coronal panels.
        Letters at the border name the nearest anatomical directions; the bar is 20 mm.

    Raises
    ------
    GeometryError
        If a mask has another shape than the scan.
    InputError
        If the scan is a series, or a plane is unknown.
    """
    from matplotlib.figure import Figure as NewFigure

    regions = _regions(image, masks)
    for plane in planes:
        require_choice(plane, AXIS, what="plane")
    union = _union(image.array.shape, regions)
    box = _shown(union, image.geometry.spacing_mm, margin_mm)
    low, high = window if window is not None else _window(image.array[box])
    rows, columns = (len(planes), n_slices) if n_slices > 1 else (1, len(planes))
    widths = _widths(image, box, planes, n_slices)
    figure = NewFigure(
        figsize=(panel_inches * sum(widths), panel_inches * rows + (0.3 if title else 0.0)),
        layout="constrained",
    )
    axes = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
    for row, plane in enumerate(planes):
        for column, at in enumerate(_chosen(union, box, AXIS[plane], n_slices)):
            ax = axes[row, column] if n_slices > 1 else axes[0, row]
            draw_slice(ax, image, regions, plane=plane, at=at, box=box, window=(low, high))
    _key(figure, list(regions))
    if title:
        figure.suptitle(style.safe(title), fontsize=10, parse_math=False)
    return figure


def contact_sheet(pictures: Sequence[NDArray[Any]], *, columns: int = 2) -> Figure:
    """Return a figure with pictures side by side, row by row.

    Parameters
    ----------
    pictures : sequence of ndarray (height, width, 3 or 4)
        Colour pictures, as `matplotlib.image.imread` reads them; sizes may differ.
    columns : int
        Pictures in a row.

    Returns
    -------
    matplotlib.figure.Figure
        The sheet.

    Raises
    ------
    InputError
        If there is no picture.
    """
    from matplotlib.figure import Figure as NewFigure

    if not pictures:
        raise InputError("There is no picture for a sheet.")
    n_rows = -(-len(pictures) // columns)
    shape = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    width = 12.0 / columns
    figure = NewFigure(figsize=(12.0, max(1.0, n_rows * width * shape)), layout="constrained")
    for place, ax in enumerate(figure.subplots(n_rows, columns, squeeze=False).ravel()):
        ax.set_axis_off()
        if place < len(pictures):
            ax.imshow(pictures[place], interpolation="antialiased")
    return figure


def feature_map(
    image: Gridded,
    values: NDArray[Any],
    *,
    plane: Plane = "axial",
    at: int | None = None,
    label: str = "",
    window: tuple[float, float] | None = None,
    limits: tuple[float, float] | None = None,
    margin_mm: float | None = 20.0,
    alpha: float = 0.75,
    cmap: str = "viridis",
    ax: Axes | None = None,
) -> Axes:
    """Return a slice of a scan with a voxel map in colour over it.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    values : ndarray (n_z, n_y, n_x)
        The map on the scan's grid; NaN = nothing shown.
    plane : {"axial", "coronal", "sagittal"}
        Which plane.
    at : int or None
        Which slice; None is the one with most values, and among slices with nearly as many the one
        with most of the highest tenth.
    label : str
        Name and unit of the values, beside the colour bar.
    window : tuple of float (2,) or None
        Grey values shown black and white.
    limits : tuple of float (2,) or None
        Values at the ends of the colours; None takes the 1st and 99th percentile of the map.
    margin_mm : float or None
        How far around the map the picture reaches; None shows the whole slice.
    alpha : float
        Opacity of the map.
    cmap : str
        Name of a matplotlib colour map.
    ax : matplotlib.axes.Axes or None
        Where to draw; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    GeometryError
        If map and scan differ in shape.
    InputError
        If the map holds no finite value, or the plane is unknown.
    """
    require_choice(plane, AXIS, what="plane")
    if values.shape != image.array.shape:
        raise GeometryError(
            f"The map has shape {values.shape}, the scan {image.array.shape}.",
            left=values.shape,
            right=image.array.shape,
        )
    known = np.isfinite(values)
    if not known.any():
        raise InputError("The map holds no finite value.")
    axes = white_axes(ax, (4.2, 3.6))
    box = _shown(known, image.geometry.spacing_mm, margin_mm)
    grey = window if window is not None else _window(image.array[box])
    where = at if at is not None else _telling(values, known, box, AXIS[plane])
    draw_slice(axes, image, {}, plane=plane, at=where, box=box, window=grey)
    low, high = limits if limits is not None else np.percentile(values[known], (1, 99))
    picture, extent = slice_of(values, plane, where, box, image.geometry.spacing_mm)
    drawn = axes.imshow(
        np.ma.masked_invalid(picture),
        cmap=cmap,
        vmin=low,
        vmax=high if high > low else low + 1.0,
        alpha=alpha,
        extent=extent,
        interpolation="nearest",
    )
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label(style.safe(label), fontsize=8, parse_math=False)
    bar.ax.tick_params(labelsize=7)
    return axes


def _telling(
    values: NDArray[Any], known: NDArray[np.bool_], box: tuple[slice, ...], axis: int
) -> int:
    """Return the slice that shows most of a map: nine tenths of the most values, then its peaks."""
    others = tuple(a for a in range(3) if a != axis)
    counts = known.sum(axis=others)
    high = known & (values >= np.percentile(values[known], 90))
    peaks = np.where(counts >= 0.9 * counts.max(), high.sum(axis=others), -1)
    inside = peaks[box[axis]]
    return int(inside.argmax()) + int(box[axis].start or 0)


def write_overlay(
    image: Gridded,
    values: NDArray[Any],
    beside: Path,
    *,
    label: str = "",
    limits: tuple[float, float] | None = None,
) -> Path:
    """Draw a voxel map over its scan as a PNG beside the file of the map.

    Parameters
    ----------
    image : ImageVolume (n_z, n_y, n_x)
        The scan.
    values : ndarray (n_z, n_y, n_x)
        The map, NaN where there is nothing to show.
    beside : Path
        File of the map: the picture has its name and the suffix ``.png``.
    label : str
        Name and unit of the values.
    limits : tuple of float (2,) or None
        Values at the ends of the colours; None takes the 1st and 99th percentile of the map.

    Returns
    -------
    Path
        The picture.
    """
    stem = re.sub(r"(\.nii)?\.[^.]+$", "", beside.name)
    target = beside.with_name(stem + ".png")
    axes = feature_map(image, values, label=label, limits=limits)
    with atomic_path(target) as temporary:
        axes.figure.savefig(temporary, dpi=130)
    return target


def _regions(
    image: Gridded, masks: Mapping[str, Gridded] | Sequence[Gridded]
) -> dict[str, NDArray[np.bool_]]:
    if image.array.ndim != 3:
        raise InputError("A montage shows a single volume (z, y, x), not a series.")
    if isinstance(masks, Mapping):
        named = dict(masks)
    else:
        named = {str(getattr(mask, "region", k + 1)): mask for k, mask in enumerate(masks)}
    for name, mask in named.items():
        if mask.array.shape != image.array.shape:
            raise GeometryError(
                f"Mask {name!r} has shape {mask.array.shape}, the scan {image.array.shape}.",
                left=mask.array.shape,
                right=image.array.shape,
            )
    return {name: mask.array for name, mask in named.items()}


def _union(shape: tuple[int, ...], regions: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    out = np.zeros(shape, dtype=bool)
    for array in regions.values():
        out |= array
    return out


def _shown(
    inside: NDArray[np.bool_], spacing: tuple[float, float, float], margin_mm: float | None
) -> tuple[slice, slice, slice]:
    if margin_mm is None or not inside.any():
        sizes = inside.shape
        return slice(0, sizes[0]), slice(0, sizes[1]), slice(0, sizes[2])
    box = []
    for axis, step in enumerate(spacing):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(inside.any(axis=others))
        extra = round(margin_mm / step)
        box.append(
            slice(
                max(0, int(where[0]) - extra), min(inside.shape[axis], int(where[-1]) + 1 + extra)
            )
        )
    return box[0], box[1], box[2]


def _window(values: NDArray[Any]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(item) for item in np.percentile(finite, (0.5, 99.5)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _chosen(
    inside: NDArray[np.bool_], box: tuple[slice, slice, slice], axis: int, count: int
) -> list[int]:
    """Return which slices across an axis are shown."""
    others = tuple(other for other in range(3) if other != axis)
    area = inside.sum(axis=others)
    where = np.flatnonzero(area)
    if where.size == 0:
        where = np.arange(box[axis].start, box[axis].stop)
        return [int(item) for item in _spread(where, count)]
    if count == 1:
        return [int(area.argmax())]
    return [int(item) for item in _spread(where, count)]


def _spread(where: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    share = (np.arange(count) + 0.5) / count
    return where[np.minimum((share * len(where)).astype(int), len(where) - 1)]


def _widths(
    image: Gridded, box: tuple[slice, slice, slice], planes: Sequence[Plane], n_slices: int
) -> list[float]:
    sides = [
        (part.stop - part.start) * step
        for part, step in zip(box, image.geometry.spacing_mm, strict=True)
    ]
    shape = {"axial": (1, 2), "coronal": (0, 2), "sagittal": (0, 1)}
    ratios = [float(np.clip(sides[c] / sides[r], 0.4, 2.5)) for r, c in (shape[p] for p in planes)]
    return [max(ratios)] * n_slices if n_slices > 1 else ratios


def _key(figure: Figure, names: Sequence[str]) -> None:
    """Write the names of the regions below the panels."""
    if not names:
        return
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLOURS[number % len(COLOURS)], linewidth=1.5)
        for number in range(len(names))
    ]
    style.legend(figure, handles, names, loc="outside lower center", ncols=min(4, len(names)))
