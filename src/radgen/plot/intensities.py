"""Pictures of a region's intensities: histogram and co-occurrence matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.plot import style
from radgen.plot.slices import COLOURS, white_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["glcm_heatmap", "intensity_histogram"]


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
    axes = white_axes(ax, (4.2, 2.8))
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
    axes.set_xlabel(style.safe(label), fontsize=8, parse_math=False)
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
    axes = white_axes(ax, (4.2, 3.6))
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
        axes.set_title(style.safe(title), fontsize=9, parse_math=False)
    return axes


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)
