"""Pictures of matrices: heat maps, clustered heat maps, module maps and oncoprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.plot import style

__all__ = ["cluster_order", "clustermap", "heatmap", "module_trait", "oncoprint"]

_NAMED_ROWS = 45
_NAMED_COLUMNS = 60


def heatmap(
    values: ArrayLike,
    *,
    row_names: Sequence[str],
    column_names: Sequence[str],
    marks: ArrayLike | None = None,
    label: str = "",
    centre: float | None = 0.0,
    ax: Any = None,
) -> Any:
    """Draw a matrix as coloured cells and return the Axes.

    Parameters
    ----------
    values : array of float64 (n_rows, n_columns)
        NaN is left blank.
    row_names, column_names : sequence of str
        Written where they fit.
    marks : array of bool (n_rows, n_columns) or None
        Cells to mark with a dot.
    label : str
        What the colour shows.
    centre : float or None, default 0.0
        Value of the middle colour of a two-sided scale; None = a one-sided scale.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the names do not fit the matrix.
    """
    matrix = _checked(values, row_names, column_names)
    ax = ax or style.axes(9.2, 5.6)
    _cells(ax, matrix, row_names, column_names, label=label, centre=centre)
    if marks is not None:
        rows, columns = np.nonzero(np.asarray(marks, bool))
        ax.scatter(columns, rows, s=14, color=style.INK, linewidths=0.7, edgecolors=style.PAPER)
    return ax


def cluster_order(values: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the order of rows by average linkage of Euclidean distances, and the linkage.

    Parameters
    ----------
    values : array of float64 (n_rows, n_columns)
        Missing values count as 0.

    Returns
    -------
    order : ndarray of int64 (n_rows,)
        Rows from top to bottom, by optimal leaf ordering up to 400 rows.
    linkage : ndarray of float64 (n_rows - 1, 4)
        As of ``scipy.cluster.hierarchy.linkage``.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    filled = np.nan_to_num(np.asarray(values, float))
    if len(filled) < 2:
        return np.arange(len(filled)), np.empty((0, 4))
    tree = linkage(filled, "average", optimal_ordering=len(filled) <= 400)
    return leaves_list(tree).astype(np.int64), tree


def clustermap(
    values: ArrayLike,
    *,
    row_names: Sequence[str],
    column_names: Sequence[str],
    column_notes: Mapping[str, Sequence[str]] | None = None,
    label: str = "z-score",
    centre: float | None = 0.0,
    ax: Any = None,
) -> Any:
    """Draw a matrix with rows and columns in hierarchical order and return the Axes.

    Parameters
    ----------
    values : array of float64 (n_rows, n_columns)
        Standardise before; NaN is blank and clusters as 0.
    row_names, column_names : sequence of str
        Written where they fit.
    column_notes : mapping of str to sequence of str (n_columns,) or None
        Annotation bars over the columns, a bar a variable; "" = missing.
    label : str
        What the colour shows.
    centre : float or None, default 0.0
        Value of the middle colour; None = a one-sided scale.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes of the matrix; trees and bars stand at its edges.

    Raises
    ------
    InputError
        If the names do not fit the matrix.
    """
    matrix = _checked(values, row_names, column_names)
    ax = ax or style.axes(9.2, 6.2)
    rows, row_tree = cluster_order(matrix)
    columns, column_tree = cluster_order(matrix.T)
    notes = dict(column_notes or {})
    _cells(
        ax,
        matrix[np.ix_(rows, columns)],
        [row_names[i] for i in rows],
        [column_names[i] for i in columns],
        label=label,
        centre=centre,
    )
    strip = 0.035
    for place, (name, given) in enumerate(notes.items()):
        _strip(ax, name, [given[i] for i in columns], 1.008 + place * (strip + 0.006), strip)
    _tree(ax, column_tree, [0, 1.012 + len(notes) * (strip + 0.006), 1, 0.1], "top")
    _tree(ax, row_tree, [-0.085, 0, 0.08, 1], "left")
    if len(row_names) <= _NAMED_ROWS:
        ax.yaxis.tick_right()
    _strip_legend(ax, notes)
    return ax


def module_trait(
    correlation: ArrayLike,
    *,
    modules: Sequence[str],
    traits: Sequence[str],
    significant: ArrayLike | None = None,
    ax: Any = None,
) -> Any:
    """Draw the correlation of modules with image traits, the numbers in the cells.

    Parameters
    ----------
    correlation : array of float64 (n_modules, n_traits)
        In [-1, 1]; NaN = not computed.
    modules, traits : sequence of str
        Names of rows and columns.
    significant : array of bool (n_modules, n_traits) or None
        Cells printed bold.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the names do not fit the matrix.
    """
    matrix = _checked(correlation, modules, traits)
    ax = ax or style.axes(9.2, 5.0)
    _cells(ax, matrix, modules, traits, label="correlation", centre=0.0, limit=1.0)
    if matrix.size <= 400:
        passed = np.zeros(matrix.shape, bool) if significant is None else np.asarray(significant)
        size = min(7.5, 120 / max(matrix.shape[1], 1))
        for (row, column), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                ink = "#ffffff" if abs(value) > 0.6 else "#1b2734"
                weight = "bold" if passed[row, column] else "normal"
                text = f"{round(float(value), 2) + 0.0:.2f}".replace("-", "−")
                ax.text(column, row, text, ha="center", va="center", fontsize=size, color=ink,
                        fontweight=weight)  # fmt: skip
    return ax


def oncoprint(
    altered: ArrayLike,
    *,
    genes: Sequence[str],
    kinds: Sequence[str] = (),
    column_notes: Mapping[str, Sequence[str] | Sequence[float]] | None = None,
    ax: Any = None,
) -> Any:
    """Draw which genes are altered in which samples and return the Axes.

    Parameters
    ----------
    altered : array of int (n_genes, n_samples)
        0 = not altered, k = altered in the k-th way of `kinds`, -1 = not tested.
    genes : sequence of str (n_genes,)
        Gene names.
    kinds : sequence of str
        Names of the ways ("missense", "truncating"); empty = "altered".
    column_notes : mapping of str to sequence of str or of float (n_samples,) or None
        Bars over the samples: categories (subtype), or numbers (image traits) from dark to bright.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Genes by frequency, samples in the usual staircase order.

    Raises
    ------
    InputError
        If the names do not fit the matrix.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    matrix = np.asarray(altered, int)
    if matrix.ndim != 2 or len(genes) != len(matrix) or not matrix.size:
        raise InputError(f"An oncoprint of shape {matrix.shape} has {len(genes)} gene names.")
    names = list(kinds) or ["altered"]
    if matrix.max() > len(names):
        raise InputError(f"An alteration is coded {matrix.max()}; named are {len(names)} kinds.")
    tested = matrix >= 0
    share = (matrix > 0).sum(axis=1) / np.maximum(tested.sum(axis=1), 1)
    rows = np.argsort(-share, kind="stable")
    columns = np.lexsort(np.where(matrix[rows] > 0, -1, 0)[::-1])
    ax = ax or style.axes(9.2, 1.2 + 0.26 * len(genes))
    inks = [style.PAPER, "#c9d2dc", *(style.colour(i + 1) for i in range(len(names)))]
    shown = matrix[np.ix_(rows, columns)] + 1
    ax.imshow(shown, aspect="auto", cmap=ListedColormap(inks), vmin=-0.5,
              vmax=len(inks) - 0.5, interpolation="nearest")  # fmt: skip
    labels = [f"{style.safe(genes[i], 24)}  {share[i]:.0%}" for i in rows]
    style.dress(ax, xlabel=f"{matrix.shape[1]:,} samples")
    ax.set_yticks(range(len(rows)), labels, parse_math=False)
    ax.set_xticks([])
    ax.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    ax.grid(True, axis="y", which="minor", color=style.PAPER, linewidth=2.5)
    ax.tick_params(which="both", length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    notes = dict(column_notes or {})
    for place, (name, given) in enumerate(notes.items()):
        _strip(ax, name, [given[i] for i in columns], 1.02 + 0.07 * place, 0.06)
    patches = [Patch(color=style.colour(i + 1)) for i in range(len(names))]
    texts = list(names)
    if not tested.all():
        patches.append(Patch(facecolor=style.PAPER, edgecolor=style.GRID))
        texts.append("not tested")
    style.legend(ax, patches, texts, loc="upper right", bbox_to_anchor=(1, -0.04),
                 ncols=len(texts))  # fmt: skip
    return ax


def _checked(
    values: ArrayLike, row_names: Sequence[str], column_names: Sequence[str]
) -> NDArray[np.float64]:
    matrix = np.asarray(values, float)
    if matrix.shape != (len(row_names), len(column_names)) or not matrix.size:
        raise InputError(
            f"A matrix of shape {matrix.shape} was given with {len(row_names)} row names and "
            f"{len(column_names)} column names."
        )
    return matrix


def _cells(
    ax: Any,
    matrix: NDArray[np.float64],
    row_names: Sequence[str],
    column_names: Sequence[str],
    *,
    label: str,
    centre: float | None,
    limit: float | None = None,
) -> None:
    finite = matrix[np.isfinite(matrix)]
    if centre is None:
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    else:
        reach = limit or (float(np.abs(finite - centre).max()) if finite.size else 1.0) or 1.0
        low, high = centre - reach, centre + reach
    style.dress(ax)
    picture = ax.imshow(np.ma.masked_invalid(matrix), aspect="auto", interpolation="nearest",
                        cmap=style.SEQUENTIAL if centre is None else style.DIVERGING,
                        vmin=low, vmax=high)  # fmt: skip
    for side in ax.spines.values():
        side.set_visible(False)
    _names(ax, "y", row_names, _NAMED_ROWS)
    _names(ax, "x", column_names, _NAMED_COLUMNS)
    ax.tick_params(length=0)
    bar = ax.figure.colorbar(picture, ax=ax, shrink=0.45, pad=0.02, fraction=0.04, anchor=(0, 1))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, labelcolor=style.INK, colors=style.MUTED, length=2)
    bar.set_label(style.safe(label), fontsize=8, color=style.INK, parse_math=False)


def _names(ax: Any, axis: str, names: Sequence[str], at_most: int) -> None:
    target = ax.yaxis if axis == "y" else ax.xaxis
    if len(names) > at_most:
        target.set_ticks([])
        return
    size = 8 if len(names) <= 25 else 6.5
    turn: dict[str, Any] = {"rotation": 90} if axis == "x" and len(names) > 6 else {}
    target.set_ticks(
        range(len(names)),
        [style.safe(name, 34) for name in names],
        parse_math=False,
        fontsize=size,
        **turn,
    )


def _tree(ax: Any, linkage: NDArray[np.float64], box: list[float], side: str) -> None:
    from matplotlib.collections import LineCollection
    from scipy.cluster.hierarchy import dendrogram

    if not len(linkage):
        return
    drawn = dendrogram(linkage, no_plot=True)
    along = np.array(drawn["icoord"]) / 10 - 0.5
    across = np.array(drawn["dcoord"])
    n_leaves = len(linkage) + 1
    inner = ax.inset_axes(box)
    lines = [
        list(zip(a, h, strict=True)) if side == "top" else list(zip(-h, a, strict=True))
        for a, h in zip(along, across, strict=True)
    ]
    inner.add_collection(
        LineCollection(lines, colors=style.MUTED, linewidths=0.5, rasterized=n_leaves > 250)
    )
    reach = float(across.max()) * 1.03 or 1.0
    if side == "top":
        inner.set_xlim(-0.5, n_leaves - 0.5)
        inner.set_ylim(0, reach)
    else:
        inner.set_xlim(-reach, 0)
        inner.set_ylim(n_leaves - 0.5, -0.5)
    inner.axis("off")


def _strip(
    ax: Any, name: str, values: Sequence[str] | Sequence[float], bottom: float, height: float
) -> None:
    from matplotlib.colors import ListedColormap

    inner = ax.inset_axes([0, bottom, 1, height])
    if all(isinstance(value, float) for value in values):
        numbers = np.ma.masked_invalid(np.array(values, float))[None, :]
        inner.set_facecolor("#c9d2dc")  # shows where a value is missing
        inner.imshow(numbers, aspect="auto", interpolation="nearest", cmap=style.SEQUENTIAL)
        _bare(inner, name)
        return
    levels = sorted({value for value in values if value})
    codes = np.array([levels.index(value) + 1 if value else 0 for value in values])[None, :]
    inks = ["#c9d2dc", *(style.colour(i) for i in range(max(len(levels), 1)))]
    inner.imshow(codes, aspect="auto", interpolation="nearest", cmap=ListedColormap(inks),
                 vmin=-0.5, vmax=len(inks) - 0.5)  # fmt: skip
    _bare(inner, name)


def _bare(inner: Any, name: str) -> None:
    """Name a strip at its right, without frame and ticks."""
    inner.set_xticks([])
    inner.set_yticks([0], [style.safe(name, 20)], parse_math=False)
    inner.yaxis.tick_right()
    inner.tick_params(length=0, labelsize=7.5, labelcolor=style.INK)
    for side in inner.spines.values():
        side.set_visible(False)


def _strip_legend(ax: Any, notes: Mapping[str, Sequence[str]]) -> None:
    from matplotlib.patches import Patch

    patches, texts = [], []
    for name, values in notes.items():
        for index, level in enumerate(sorted({value for value in values if value})):
            patches.append(Patch(color=style.colour(index)))
            texts.append(f"{style.safe(name, 16)}: {style.safe(level, 18)}")
    if not patches:
        return
    from matplotlib.transforms import ScaledTranslation

    names = [item.get_text() for item in ax.get_xticklabels()]
    turned = bool(names) and ax.get_xticklabels()[0].get_rotation() > 0
    size = ax.get_xticklabels()[0].get_fontsize() if names else 0.0
    drop_pt = 8 + (0.64 * size * max(map(len, names)) if turned else 1.6 * size)
    below = ax.transAxes + ScaledTranslation(0, -drop_pt / 72, ax.figure.dpi_scale_trans)
    style.legend(
        ax,
        patches[:20],
        texts[:20],
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=below,
        ncols=min(5, len(patches)),
    )
