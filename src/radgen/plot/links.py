"""Pictures of links between two kinds of things: a graph with two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.plot import style

__all__ = ["link_graph"]


def link_graph(
    left: Sequence[str],
    right: Sequence[str],
    strength: ArrayLike,
    *,
    groups: Mapping[str, str] | None = None,
    titles: tuple[str, str] = ("image phenotypes", "molecular features"),
    label: str = "signed −log₁₀ p",
    ax: Any = None,
) -> Any:
    """Draw links between two columns of names and return the Axes.

    Parameters
    ----------
    left, right : sequence of str (n_links,)
        Ends of each link.
    strength : array of float64 (n_links,)
        Width of the line; its sign is the colour.
    groups : mapping of str to str or None
        Group (family) of a left name, shown as the colour of its point.
    titles : tuple of str
        Headings of the columns.
    label : str
        What the strength is.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Names are ordered so that few links cross.

    Raises
    ------
    InputError
        If there is no link, or the lengths differ.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    weight = np.asarray(strength, float)
    if not len(left) == len(right) == len(weight) or not len(weight):
        raise InputError("A graph of links needs links, and both ends and a strength of each.")
    names = [list(dict.fromkeys(left)), list(dict.fromkeys(right))]
    pairs = zip(left, right, strict=True)
    ends = np.array([[names[0].index(a), names[1].index(b)] for a, b in pairs])
    place = _places(ends, (len(names[0]), len(names[1])), np.abs(weight))
    tallest = max(len(names[0]), len(names[1]))
    ax = ax or style.axes(7.2, 1.2 + 0.23 * tallest)
    largest = float(np.nanmax(np.abs(weight))) or 1.0
    order = np.argsort(np.abs(weight), kind="stable")
    for k in order:
        a, b = place[0][ends[k, 0]], place[1][ends[k, 1]]
        share = float(abs(weight[k])) / largest
        ink = style.PALETTE[1] if weight[k] > 0 else style.PALETTE[0]
        path = Path([(0, a), (0.5, a), (0.5, b), (1, b)], [1, 4, 4, 4])
        ax.add_patch(
            PathPatch(path, fill=False, edgecolor=ink, linewidth=0.5 + 2.6 * share,
                      alpha=0.25 + 0.55 * share)
        )  # fmt: skip
    family = [dict(groups or {}).get(name, "") for name in names[0]]
    levels = sorted({item for item in family if item})
    inks = [style.colour(levels.index(f) + 2) if f in levels else style.INK for f in family]
    ax.scatter(np.zeros(len(inks)), place[0], s=26, color=inks, zorder=3)
    ax.scatter(np.ones(len(names[1])), place[1], s=26, color=style.INK, zorder=3)
    size = 8.0 if tallest <= 30 else 6.5
    for side, x, align in ((0, -0.03, "right"), (1, 1.03, "left")):
        for name, y in zip(names[side], place[side], strict=True):
            ax.text(x, y, style.safe(name, 44), ha=align, va="center", fontsize=size,
                    color=style.INK, parse_math=False)  # fmt: skip
        ax.text(x, 1.0 + 0.9 / tallest, titles[side], ha=align, va="bottom", fontsize=9,
                fontweight="bold", color=style.INK)  # fmt: skip
    ax.set_xlim(-0.75, 1.6)
    ax.set_ylim(-0.04, 1.0 + 1.6 / tallest)
    ax.axis("off")
    keys = [Line2D([], [], color=style.PALETTE[1], linewidth=2),
            Line2D([], [], color=style.PALETTE[0], linewidth=2)]  # fmt: skip
    texts = [f"{label}: positive", "negative"]
    keys += [Line2D([], [], marker="o", linestyle="", color=style.colour(k + 2))
             for k in range(len(levels))]  # fmt: skip
    style.legend(ax, keys[:8], [*texts, *levels][:8], loc="upper center",
                 bbox_to_anchor=(0.36, 0.0), ncols=min(4, len(keys)))  # fmt: skip
    return ax


def _places(
    ends: NDArray[np.int64], sizes: tuple[int, int], weight: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return heights in [0, 1] of both columns, each name near the names that it is linked to."""
    place = [np.linspace(1, 0, size) if size > 1 else np.array([0.5]) for size in sizes]
    for turn in range(24):
        side = 1 - turn % 2
        total = np.zeros(sizes[side])
        count = np.zeros(sizes[side])
        np.add.at(total, ends[:, side], weight * place[1 - side][ends[:, 1 - side]])
        np.add.at(count, ends[:, side], weight)
        order = np.argsort(-total / np.maximum(count, 1e-12), kind="stable")
        grid = np.linspace(1, 0, sizes[side]) if sizes[side] > 1 else np.array([0.5])
        place[side] = np.empty(sizes[side])
        place[side][order] = grid
    return place
