"""Pictures of scans: slices with contours, feature maps, histograms, co-occurrence matrices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from radgen._core.files import atomic_path
from radgen._core.naming import require_choice
from radgen.errors import GeometryError, InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "contact_sheet",
    "feature_map",
    "glcm_heatmap",
    "intensity_histogram",
    "montage",
    "write_overlay",
]

Plane = Literal["axial", "coronal", "sagittal"]

COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#009E73", "#F0E442", "#D55E00", "#0072B2")
"""Okabe and Ito's palette, told apart by colour-blind readers too."""

_AXIS = {"axial": 0, "coronal": 1, "sagittal": 2}
_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


class _Grid(Protocol):
    @property
    def spacing_mm(self) -> tuple[float, float, float]: ...
    @property
    def direction(self) -> NDArray[np.float64]: ...


class _Gridded(Protocol):
    @property
    def array(self) -> NDArray[Any]: ...
    @property
    def geometry(self) -> _Grid: ...


def montage(
    image: _Gridded,
    masks: Mapping[str, _Gridded] | Sequence[_Gridded] = (),
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
        require_choice(plane, _AXIS, what="plane")
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
        for column, at in enumerate(_chosen(union, box, _AXIS[plane], n_slices)):
            ax = axes[row, column] if n_slices > 1 else axes[0, row]
            _panel(ax, image, regions, plane=plane, at=at, box=box, window=(low, high))
    _key(figure, axes[0, 0], list(regions))
    if title:
        figure.suptitle(title, fontsize=10)
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
    image: _Gridded,
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
    require_choice(plane, _AXIS, what="plane")
    if values.shape != image.array.shape:
        raise GeometryError(
            f"The map has shape {values.shape}, the scan {image.array.shape}.",
            left=values.shape,
            right=image.array.shape,
        )
    known = np.isfinite(values)
    if not known.any():
        raise InputError("The map holds no finite value.")
    axes = _axes(ax, (4.2, 3.6))
    box = _shown(known, image.geometry.spacing_mm, margin_mm)
    grey = window if window is not None else _window(image.array[box])
    where = at if at is not None else _telling(values, known, box, _AXIS[plane])
    _panel(axes, image, {}, plane=plane, at=where, box=box, window=grey)
    low, high = limits if limits is not None else np.percentile(values[known], (1, 99))
    picture, extent = _slice(values, plane, where, box, image.geometry.spacing_mm)
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
    bar.set_label(label, fontsize=8)
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
    image: _Gridded,
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


def intensity_histogram(
    values: NDArray[Any],
    *,
    edges: NDArray[np.float64] | None = None,
    n_bins: int = 64,
    label: str = "Intensity",
    ax: Axes | None = None,
) -> Axes:
    """Return a histogram of a region's intensities with the bins of its grey levels.

    Parameters
    ----------
    values : ndarray (…)
        Intensities; NaN is left out.
    edges : ndarray of float (n_levels + 1,) or None
        Edges of the grey levels (``Discretised.edges``); None makes `n_bins` equal bins.
    n_bins : int
        Number of bins where no edges are given.
    label : str
        Name and unit of the intensities.
    ax : matplotlib.axes.Axes or None
        Where to draw; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on; dashed lines are the 10th, 50th and 90th percentile.

    Raises
    ------
    InputError
        If there is no finite value.
    """
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        raise InputError("There is no finite value to draw a histogram of.")
    axes = _axes(ax, (4.2, 2.8))
    bins = np.asarray(edges) if edges is not None else np.linspace(*_range(finite), n_bins + 1)
    counts, _ = np.histogram(finite, bins)
    axes.stairs(counts, bins, fill=True, color=COLOURS[1], alpha=0.85)
    if len(bins) <= 129:
        axes.vlines(bins, 0, np.append(counts, 0), color="white", linewidth=0.4)
    top = max(int(counts.max()), 1)
    # The median's label stands above the others: in a skewed region they lie close together.
    for share, side, height in ((10, "right", 1.02), (50, "center", 1.1), (90, "left", 1.02)):
        at = float(np.percentile(finite, share))
        axes.vlines(at, 0, top * height, color="#333333", linewidth=0.8, linestyle="--")
        axes.annotate(
            f"P{share}", (at, top * height), ha=side, va="bottom", fontsize=7, color="#333333"
        )
    axes.set_ylim(0, top * 1.2)
    axes.set_xlabel(label, fontsize=8)
    axes.set_ylabel("Voxels", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def glcm_heatmap(
    matrix: NDArray[Any],
    *,
    log: bool = True,
    title: str = "",
    cmap: str = "magma",
    ax: Axes | None = None,
) -> Axes:
    """Return a picture of a grey level co-occurrence matrix.

    Parameters
    ----------
    matrix : ndarray (n_levels, n_levels)
        Counts or probabilities, not negative.
    log : bool
        Whether colours follow the logarithm; cells never seen stay blank.
    title : str
        Above the picture.
    cmap : str
        Name of a matplotlib colour map.
    ax : matplotlib.axes.Axes or None
        Where to draw; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on; level 1 is at the lower left.

    Raises
    ------
    InputError
        If the matrix is not square, or holds negative values or none above zero.
    """
    from matplotlib.colors import LogNorm, Normalize

    cells = np.asarray(matrix, dtype=np.float64)
    if cells.ndim != 2 or cells.shape[0] != cells.shape[1]:
        raise InputError(f"A co-occurrence matrix is square, not {cells.shape}.")
    if not (cells >= 0).all() or not (cells > 0).any():
        raise InputError("A co-occurrence matrix holds counts, none negative and some above zero.")
    axes = _axes(ax, (4.2, 3.6))
    size = len(cells)
    seen = np.ma.masked_equal(cells, 0.0)
    low, high = float(seen.min()), float(seen.max())
    norm = LogNorm(low, high) if log and high > low else Normalize(0.0, high)
    drawn = axes.imshow(
        seen, origin="lower", norm=norm, cmap=cmap, extent=(0.5, size + 0.5, 0.5, size + 0.5)
    )
    axes.set_facecolor("#f2f2f2")
    axes.set_xlabel("Grey level of the neighbour", fontsize=8)
    axes.set_ylabel("Grey level of the voxel", fontsize=8)
    axes.tick_params(labelsize=7)
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("Probability" if cells.sum() < 1.5 else "Count", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if title:
        axes.set_title(title, fontsize=9)
    return axes


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure as NewFigure

    return NewFigure(figsize=size, layout="constrained").subplots()


def _regions(
    image: _Gridded, masks: Mapping[str, _Gridded] | Sequence[_Gridded]
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


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
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
    image: _Gridded, box: tuple[slice, slice, slice], planes: Sequence[Plane], n_slices: int
) -> list[float]:
    sides = [
        (part.stop - part.start) * step
        for part, step in zip(box, image.geometry.spacing_mm, strict=True)
    ]
    shape = {"axial": (1, 2), "coronal": (0, 2), "sagittal": (0, 1)}
    ratios = [float(np.clip(sides[c] / sides[r], 0.4, 2.5)) for r, c in (shape[p] for p in planes)]
    return [max(ratios)] * n_slices if n_slices > 1 else ratios


def _slice(
    array: NDArray[Any],
    plane: Plane,
    at: int,
    box: tuple[slice, slice, slice],
    spacing: tuple[float, float, float],
) -> tuple[NDArray[Any], tuple[float, float, float, float]]:
    """Return a slice, top row first, and its extent in millimetres."""
    axis = _AXIS[plane]
    rows, columns = (other for other in range(3) if other != axis)
    index: list[Any] = list(box)
    index[axis] = at
    picture = array[tuple(index)]
    if plane != "axial":
        picture = picture[::-1]
    height, width = picture.shape[0] * spacing[rows], picture.shape[1] * spacing[columns]
    return picture, (0.0, width, height, 0.0)


def _panel(
    ax: Axes,
    image: _Gridded,
    regions: Mapping[str, NDArray[np.bool_]],
    *,
    plane: Plane,
    at: int,
    box: tuple[slice, slice, slice],
    window: tuple[float, float],
) -> None:
    spacing = image.geometry.spacing_mm
    picture, extent = _slice(image.array, plane, at, box, spacing)
    ax.imshow(
        picture, cmap="gray", vmin=window[0], vmax=window[1], extent=extent, interpolation="nearest"
    )
    ax.set_facecolor("black")
    width, height = extent[1], extent[2]
    for number, mask in enumerate(regions.values()):
        inside, _ = _slice(mask, plane, at, box, spacing)
        if inside.any():
            _outline(ax, inside, (width, height), COLOURS[number % len(COLOURS)])
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(f"{plane} {at + 1}/{image.array.shape[_AXIS[plane]]}", fontsize=8, pad=3)
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
    rows, columns = (other for other in range(3) if other != _AXIS[plane])
    left, right = along[columns]
    top, bottom = along[rows] if plane == "axial" else along[rows][::-1]
    style: dict[str, Any] = {
        "transform": ax.transAxes, "fontsize": 7, "color": "#ffffff", "alpha": 0.9,
    }  # fmt: skip
    ax.text(0.02, 0.5, left, ha="left", va="center", **style)
    ax.text(0.98, 0.5, right, ha="right", va="center", **style)
    ax.text(0.5, 0.98, top, ha="center", va="top", **style)
    ax.text(0.5, 0.02, bottom, ha="center", va="bottom", **style)


def _key(figure: Figure, ax: Axes, names: Sequence[str]) -> None:
    """Write the names of the regions below the panels."""
    if not names:
        return
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLOURS[number % len(COLOURS)], linewidth=1.5)
        for number in range(len(names))
    ]
    figure.legend(
        handles, names, loc="outside lower center", ncols=min(4, len(names)), fontsize=8,
        frameon=False,
    )  # fmt: skip
