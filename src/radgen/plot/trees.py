"""Pictures of trees over what they explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.plot import style
from radgen.plot.naming import short_names

__all__ = ["tree_heatmap"]

_NAMED = 40


def tree_heatmap(
    nodes: Sequence[Mapping[str, Any]],
    leaf: ArrayLike,
    values: ArrayLike,
    *,
    row_names: Sequence[str],
    strips: Mapping[str, ArrayLike] | None = None,
    label: str = "z-score",
    ax: Any = None,
) -> Any:
    """Draw a tree of splits over the samples that it sorts, and return the Axes.

    Parameters
    ----------
    nodes : sequence of mapping
        A node each, the root first: ``left, right`` (places of children, -1 = none), ``trait``,
        ``threshold``, ``mean``, ``n``.
    leaf : array of int (n_samples,)
        Leaf of each sample.
    values : array of float64 (n_rows, n_samples)
        What is shown below the tree (genes of the module).
    row_names : sequence of str (n_rows,)
        Written where they fit.
    strips : mapping of str to array of float64 (n_samples,) or None
        Traits between tree and heat map, each from its smallest to its largest value.
    label : str
        What the colour shows.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes of the heat map; the tree stands over it.

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    matrix, leaves = np.asarray(values, float), np.asarray(leaf, int)
    if matrix.shape != (len(row_names), len(leaves)) or not matrix.size:
        raise InputError(
            f"A heat map of shape {matrix.shape} was given with {len(row_names)} row names and "
            f"{len(leaves)} samples."
        )
    ax = ax or style.axes(9.2, 6.4)
    order_of_leaves = _leaves(nodes, 0)
    rank = {name: place for place, name in enumerate(order_of_leaves)}
    columns = np.lexsort((matrix.mean(axis=0), [rank[int(item)] for item in leaves]))
    shown = matrix[:, columns]
    limit = float(np.nanquantile(np.abs(shown), 0.98)) or 1.0
    style.dress(ax)
    picture = ax.imshow(
        np.clip(shown, -limit, limit), aspect="auto", interpolation="nearest", cmap=style.DIVERGING,
        vmin=-limit, vmax=limit,
    )  # fmt: skip
    counts = [int((leaves == name).sum()) for name in order_of_leaves]
    edges = np.concatenate([[0], np.cumsum(counts)]) - 0.5
    for edge in edges[1:-1]:
        ax.axvline(edge, color=style.PAPER, linewidth=2.5)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_xticks([])
    ax.tick_params(length=0)
    names = [style.safe(name, 18) for name in row_names]
    if len(names) > _NAMED:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(names)} genes", color=style.INK, fontsize=9)
    else:
        size = 7.5 if len(names) <= 25 else 5.5
        ax.set_yticks(range(len(names)), names, fontsize=size, parse_math=False)
    ax.set_xlabel(f"{len(leaves):,} samples, by leaf", color=style.INK, fontsize=9)
    bar = ax.figure.colorbar(picture, ax=ax, shrink=0.6, pad=0.02, fraction=0.035)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, labelcolor=style.INK, colors=style.MUTED, length=2)
    bar.set_label(style.safe(label), fontsize=8, color=style.INK, parse_math=False)
    sorted_strips = {name: np.asarray(own, float)[columns] for name, own in (strips or {}).items()}
    bottom = _strips(ax, sorted_strips, edges)
    _draw_tree(ax, nodes, _centres(nodes, order_of_leaves, edges), bottom)
    return ax


def _leaves(nodes: Sequence[Mapping[str, Any]], at: int) -> list[int]:
    node = nodes[at]
    if node["left"] < 0:
        return [at]
    return _leaves(nodes, node["left"]) + _leaves(nodes, node["right"])


def _strips(
    ax: Any, strips: Mapping[str, NDArray[np.float64]], edges: NDArray[np.float64]
) -> float:
    height, bottom = 0.045, 1.012
    names = short_names(list(strips)) if strips else []
    for name, values in zip(reversed(names), reversed(list(strips.values())), strict=True):
        inner = ax.inset_axes([0, bottom, 1, height])
        inner.imshow(values[None, :], aspect="auto", interpolation="nearest", cmap=style.SEQUENTIAL)
        for edge in edges[1:-1]:
            inner.axvline(edge, color=style.PAPER, linewidth=2.5)
        inner.set_xticks([])
        inner.set_yticks([0], [style.safe(name, 30)], parse_math=False)
        inner.tick_params(length=0, labelsize=7.5, labelcolor=style.INK)
        for side in inner.spines.values():
            side.set_visible(False)
        bottom += height + 0.008
    return bottom


def _centres(
    nodes: Sequence[Mapping[str, Any]], leaves: Sequence[int], edges: NDArray[np.float64]
) -> dict[int, float]:
    place = {leaf: float(edges[k] + edges[k + 1]) / 2 for k, leaf in enumerate(leaves)}

    def fill(at: int) -> float:
        if at not in place:
            place[at] = (fill(nodes[at]["left"]) + fill(nodes[at]["right"])) / 2
        return place[at]

    fill(0)
    return place


def _draw_tree(
    ax: Any,
    nodes: Sequence[Mapping[str, Any]],
    centre: Mapping[int, float],
    bottom: float,
) -> None:
    levels: dict[int, int] = {0: 0}
    for at, node in enumerate(nodes):
        for child in (node["left"], node["right"]):
            if child >= 0:
                levels[child] = levels[at] + 1
    deepest = max(levels.values())
    inner = ax.inset_axes([0, bottom + 0.01, 1, 0.2 + 0.17 * deepest])
    inner.set_xlim(ax.get_xlim())
    inner.set_ylim(-deepest - 0.75, 0.35)
    inner.axis("off")
    splits = [node["trait"] for node in nodes if node["left"] >= 0]
    short = dict(zip(splits, short_names(splits), strict=True)) if splits else {}
    for at, node in enumerate(nodes):
        x, y = centre[at], -levels[at]
        if node["left"] < 0:
            inner.text(x, y - 0.12, f"mean {node['mean']:+.2f}\nn = {node['n']}".replace("-", "−"),
                       ha="center", va="top", fontsize=7.5, color=style.INK)  # fmt: skip
            continue
        for child, sign in ((node["left"], "≤"), (node["right"], ">")):
            cx = centre[child]
            inner.plot([x, cx, cx], [y, y, -levels[child] + 0.02], color=style.MUTED, linewidth=1.1)
            inner.text(cx, y - 0.3, f"{sign} {node['threshold']:.3g}".replace("-", "−"),
                       ha="center", va="center", fontsize=7.5, color=style.INK,
                       bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 1})  # fmt: skip
        inner.text(x, y + 0.06, style.safe(short[node["trait"]], 44), ha="center", va="bottom",
                   fontsize=8.5, fontweight="bold", color=style.INK, parse_math=False)  # fmt: skip
