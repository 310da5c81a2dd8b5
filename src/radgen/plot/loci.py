"""Many traits along the genome and across traits: stacked scans, PheWAS, labels of loci."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.plot import style
from radgen.plot.genome import GENOME_WIDE, manhattan

__all__ = ["manhattan_stack", "name_points", "phewas"]


def manhattan_stack(
    chrom: Sequence[str] | NDArray[Any],
    pos: ArrayLike,
    log10p: ArrayLike,
    *,
    names: Sequence[str],
    threshold: float | None = GENOME_WIDE,
) -> list[Any]:
    """Draw scans of several traits under each other, and return their Axes.

    Parameters
    ----------
    chrom : sequence of str (n_variants,)
        Chromosomes.
    pos : array of int (n_variants,)
        Positions in base pairs.
    log10p : array of float64 (n_traits, n_variants)
        log10 of p; NaN = not tested.
    names : sequence of str (n_traits,)
        The traits, top first; at most 12.
    threshold : float or None, default 5e-8
        p of the drawn lines.

    Returns
    -------
    list of matplotlib.axes.Axes
        Of one figure, top first; they share the genome and not the height.

    Raises
    ------
    InputError
        If the names do not fit, or there are more than 12.
    """
    heights = np.atleast_2d(np.asarray(log10p, float))
    if len(heights) != len(names) or not 1 <= len(names) <= 12:
        raise InputError(
            f"Stacked scans need one name a trait, of 1 to 12 traits; found {len(names)} names for "
            f"{len(heights)} traits."
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 1.0 + 1.7 * len(names)), layout="constrained")
    figure.patch.set_alpha(0.0)
    axes = list(figure.subplots(len(names), 1, squeeze=False)[:, 0])
    for ax, values, name in zip(axes, heights, names, strict=True):
        manhattan(chrom, pos, values, threshold=threshold, ax=ax)
        ax.set_title(
            style.safe(name), loc="left", fontsize=9, fontweight="bold", color=style.INK, pad=2,
            parse_math=False,
        )  # fmt: skip
        if ax is not axes[-1]:
            ax.set_xlabel("")
            ax.set_xticks([])
    return axes


def phewas(
    names: Sequence[str],
    log10p: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    effects: ArrayLike | None = None,
    threshold: float | None = None,
    n_named: int = 10,
    title: str = "",
    ax: Any = None,
) -> Any:
    """Draw the evidence of one variant over many traits, and return the Axes.

    Parameters
    ----------
    names : sequence of str (n_traits,)
        The traits.
    log10p : array of float64 (n_traits,)
        log10 of p; NaN = not tested.
    groups : sequence of str (n_traits,) or None
        Groups of traits (region, modality, feature family): side by side in their own colours.
    effects : array of float64 (n_traits,) or None
        Signs are drawn as triangles that point up or down.
    threshold : float or None
        p of the drawn line; None = 0.05 over the traits.
    n_named : int, default 10
        How many of the traits beyond the line are named.
    title : str
        The variant.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the lengths differ or no trait was tested.
    """
    height = -np.asarray(log10p, float)
    label = np.array(["" for _ in names] if groups is None else [str(g) for g in groups])
    if len(height) != len(names) or len(label) != len(names):
        raise InputError("names, log10p and groups of a PheWAS plot have one length.")
    known = np.isfinite(height)
    if not known.any():
        raise InputError("A PheWAS plot needs at least one p-value.")
    levels = list(dict.fromkeys(label))
    order = np.concatenate([np.flatnonzero(label == level) for level in levels])
    place = np.empty(len(names))
    gap = 0.02 * len(names) + 0.6
    start, middles = 0.0, []
    for level in levels:
        rows = np.flatnonzero(label == level)
        place[rows] = start + np.arange(len(rows))
        middles.append(start + (len(rows) - 1) / 2)
        start += len(rows) + gap
    ax = ax or style.axes(9.2, 3.8)
    sign = np.ones(len(names)) if effects is None else np.sign(np.asarray(effects, float))
    for number, level in enumerate(levels):
        rows = order[(label[order] == level) & known[order]]
        for direction, marker in ((1, "^"), (-1, "v")):
            some = rows[np.where(sign[rows] < 0, -1, 1) == direction]
            ax.scatter(place[some], height[some], s=26, marker="o" if effects is None else marker,
                       color=style.colour(number), linewidths=0,
                       rasterized=bool(len(some) > 4_000))  # fmt: skip
    line = -np.log10(threshold if threshold else 0.05 / max(int(known.sum()), 1))
    ax.axhline(line, color=style.ACCENT, linewidth=0.9, linestyle="--")
    style.dress(ax, ylabel="−log₁₀ p", title=title, grid="y")
    if groups is not None:
        ticks, shown = middles, levels
    else:
        ticks, shown = (list(place), list(names)) if len(names) <= 40 else ([], [])
    ax.set_xticks(ticks, [style.safe(t, 24) for t in shown], rotation=35, ha="right",
                  parse_math=False)  # fmt: skip
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-gap, start - 1 if len(names) > 1 else gap)
    ax.set_ylim(0, max(float(np.nanmax(height)), line) * 1.18)
    best = [int(i) for i in np.argsort(-np.where(known, height, -1))[:n_named] if height[i] > line]
    name_points(ax, place[best], height[best], [names[i] for i in best])
    return ax


def name_points(ax: Any, x: ArrayLike, y: ArrayLike, names: Sequence[str]) -> None:
    """Write names beside points so that they do not lie on each other.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes with their final limits.
    x, y : array of float64 (n_points,)
        Data coordinates.
    names : sequence of str (n_points,)
        Names; empty ones are left out.
    """
    at_x, at_y = np.asarray(x, float), np.asarray(y, float)
    figure = ax.figure
    width, height = (figure.get_size_inches() * figure.dpi).tolist()
    taken: list[tuple[float, float, float, float]] = []
    # Rough pixels: layouts settle at drawing, and a guess suffices to part the names.
    left, right = ax.get_xlim()
    low, high = ax.get_ylim()
    for row in np.argsort(-at_y):
        text = style.safe(names[row], 30)
        if not text:
            continue
        px = (at_x[row] - left) / max(right - left, 1e-12) * 0.9 * width
        py = (at_y[row] - low) / max(high - low, 1e-12) * 0.8 * height
        wide, tall = 5.2 * len(text) * figure.dpi / 100, 11.0 * figure.dpi / 100
        over = px + wide + 10 > 0.9 * width
        for step in (0, 1, -1, 2, -2, 3, -3, 4, -4, 5):
            box_x = px - wide - 6 if over else px + 6
            box_y = py + 5 + 1.15 * tall * step
            box = (box_x, box_y, box_x + wide, box_y + tall)
            if not any(_meet(box, other) for other in taken):
                break
        taken.append(box)
        points = 72.0 / figure.dpi
        ax.annotate(
            text, (at_x[row], at_y[row]),
            xytext=((box_x - px) * points + (wide * points if over else 0), (box_y - py) * points),
            textcoords="offset points", fontsize=7.5, color=style.INK, parse_math=False,
            ha="right" if over else "left", va="bottom",
            arrowprops=None if step == 0 else
            {"arrowstyle": "-", "color": style.MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
