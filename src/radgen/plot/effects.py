"""Pictures of effects: volcano and forest plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.plot import style

__all__ = ["forest", "paired_forest", "set_ranking", "volcano"]

_VECTOR_POINTS = 4_000


def volcano(
    effect: ArrayLike,
    log10p: ArrayLike,
    *,
    significant: ArrayLike | None = None,
    labels: Sequence[str] = (),
    n_labels: int = 8,
    xlabel: str = "Effect",
    ax: Any = None,
) -> Any:
    """Draw effects against the strength of their evidence and return the Axes.

    Parameters
    ----------
    effect : array of float64 (n_tests,)
        Effect sizes; NaN = not estimated.
    log10p : array of float64 (n_tests,)
        log10 of p.
    significant : array of bool (n_tests,) or None
        Which tests pass the adjusted threshold; None = none.
    labels : sequence of str (n_tests,)
        Names of the tests; the strongest significant ones are written.
    n_labels : int, default 8
        How many are written.
    xlabel : str
        What the effect is, with its unit.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the lengths differ.
    """
    x, y = np.asarray(effect, float), -np.asarray(log10p, float)
    passed = np.zeros(len(x), bool) if significant is None else np.asarray(significant, bool)
    if not len(x) == len(y) == len(passed) or (len(labels) and len(labels) != len(x)):
        raise InputError("effect, log10p, significant and labels of a volcano have one length.")
    use = np.isfinite(x) & np.isfinite(y)
    ax = ax or style.axes(4.6, 3.8)
    quiet = use & ~passed
    ax.scatter(x[quiet], y[quiet], s=8, color=style.PALETTE[7], alpha=0.65, linewidths=0,
               rasterized=bool(quiet.sum() > _VECTOR_POINTS))  # fmt: skip
    for chosen, ink in ((use & passed & (x > 0), style.PALETTE[1]),
                        (use & passed & (x <= 0), style.PALETTE[0])):  # fmt: skip
        ax.scatter(x[chosen], y[chosen], s=15, color=ink, linewidths=0,
                   rasterized=bool(chosen.sum() > _VECTOR_POINTS))  # fmt: skip
    ax.axvline(0, color=style.GRID, linewidth=0.9, zorder=0)
    style.dress(ax, xlabel=xlabel, ylabel="−log₁₀ p", grid="y")
    ax.set_ylim(bottom=0)
    ax.margins(x=0.12, y=0.1)
    if len(labels):
        found = np.flatnonzero(use & passed)
        strongest = found[np.argsort(-y[found], kind="stable")]
        _write(ax, (x, y), labels, strongest[: 8 * n_labels], n_labels)
    return ax


def forest(
    names: Sequence[str],
    estimate: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    null: float = 0.0,
    log: bool = False,
    notes: Sequence[str] = (),
    summary: int = 0,
    inks: Sequence[str] = (),
    xlabel: str = "Effect (95 % interval)",
    ax: Any = None,
) -> Any:
    """Draw estimates with intervals, a row each, and return the Axes.

    Parameters
    ----------
    names : sequence of str (n_rows,)
        What each row is, top first.
    estimate, low, high : array of float64 (n_rows,)
        Estimate and interval; NaN rows keep their line and stay empty.
    null : float, default 0.0
        Where no effect stands.
    log : bool, default False
        Draw on a log axis (odds and hazard ratios, `null` 1).
    notes : sequence of str (n_rows,)
        Text at the right; empty = estimate and interval are printed.
    summary : int, default 0
        So many of the last rows are pooled estimates: drawn as diamonds below a line.
    inks : sequence of str (n_rows,)
        Colour of each row; empty = rows whose interval leaves out `null` stand out.
    xlabel : str
        What is estimated.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the lengths differ.
    """
    middle, left, right = (np.asarray(item, float) for item in (estimate, low, high))
    if not len(names) == len(middle) == len(left) == len(right):
        raise InputError("names, estimate, low and high of a forest plot have one length.")
    ax = ax or style.axes(6.0, 0.9 + 0.28 * max(len(names), 1))
    place = np.arange(len(names))
    clear = (left > null) | (right < null)
    colours = np.array(inks or np.where(clear, style.PALETTE[0], style.MUTED), dtype=object)
    for ink in dict.fromkeys(colours.tolist()):
        chosen = colours == ink
        ax.hlines(place[chosen], left[chosen], right[chosen], color=ink, linewidth=1.8)
        for pooled, marker, size in ((False, "s", 34), (True, "D", 52)):
            rows = place[chosen & ((place >= len(names) - summary) == pooled)]
            ax.scatter(middle[rows], rows, s=size, marker=marker, color=ink, zorder=3,
                       edgecolors=style.PAPER, linewidths=0.7)  # fmt: skip
    if 0 < summary < len(names):
        ax.axhline(len(names) - summary - 0.5, color=style.GRID, linewidth=0.9)
    ax.axvline(null, color=style.INK, linewidth=0.8, linestyle="--")
    if log:
        _log_axis(ax)
    ax.set_yticks(place, [style.safe(name, 46) for name in names], parse_math=False)
    ax.set_ylim(len(names) - 0.4, -0.6)
    style.dress(ax, xlabel=xlabel, grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    for row in place:
        text = notes[row] if len(notes) else _interval(middle[row], left[row], right[row])
        ax.text(1.02, row, style.safe(text), transform=ax.get_yaxis_transform(), va="center",
                fontsize=7.5, color=style.INK, parse_math=False)  # fmt: skip
    return ax


def set_ranking(
    names: Sequence[str],
    score: ArrayLike,
    log10p: ArrayLike,
    size: ArrayLike,
    *,
    significant: ArrayLike | None = None,
    null: float = 0.0,
    xlabel: str = "Enrichment score",
    ax: Any = None,
) -> Any:
    """Draw gene sets as points, a row each, and return the Axes.

    Parameters
    ----------
    names : sequence of str (n_sets,)
        What each row is, top first.
    score : array of float64 (n_sets,)
        Place along the axis; NaN rows keep their line and stay empty.
    log10p : array of float64 (n_sets,)
        log10 of p; written at the right.
    size : array of int (n_sets,)
        Genes of each set; the area of the point.
    significant : array of bool (n_sets,) or None
        Which sets pass the adjusted threshold; None = none.
    null : float, default 0.0
        Where no enrichment stands.
    xlabel : str
        What the score is.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the lengths differ.
    """
    x, y = np.asarray(score, float), -np.asarray(log10p, float)
    genes = np.asarray(size, float)
    passed = np.zeros(len(x), bool) if significant is None else np.asarray(significant, bool)
    if not len(names) == len(x) == len(y) == len(genes) == len(passed):
        raise InputError("names, score, log10p, size and significant have one length.")
    ax = ax or style.axes(6.4, 0.9 + 0.26 * max(len(names), 1))
    place = np.arange(len(names))
    largest = max(float(np.nanmax(genes)) if len(genes) else 1.0, 1.0)
    area = 18 + 120 * genes / largest
    for chosen, ink in ((~passed, style.PALETTE[7]), (passed & (x > null), style.PALETTE[1]),
                        (passed & (x <= null), style.PALETTE[0])):  # fmt: skip
        ax.hlines(place[chosen], null, x[chosen], color=ink, linewidth=1.2)
        ax.scatter(x[chosen], place[chosen], s=area[chosen], color=ink, zorder=3,
                   edgecolors=style.PAPER, linewidths=0.6)  # fmt: skip
    ax.axvline(null, color=style.INK, linewidth=0.8, linestyle="--")
    ax.set_yticks(place, [style.safe(name, 46) for name in names], parse_math=False)
    ax.set_ylim(len(names) - 0.4, -0.6)
    style.dress(ax, xlabel=xlabel, grid="x")
    ax.margins(x=0.08)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    for row in place:
        text = f"{genes[row]:.0f} genes, −log₁₀ p {y[row]:.1f}"
        ax.text(1.02, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=7.5,
                color=style.INK, parse_math=False)  # fmt: skip
    return ax


def _interval(middle: float, low: float, high: float) -> str:
    if not np.isfinite(middle):
        return "not estimated"
    return f"{middle:.2f} ({low:.2f} to {high:.2f})".replace("-", "−")


def _write(
    ax: Any,
    at: tuple[NDArray[np.float64], NDArray[np.float64]],
    labels: Sequence[str],
    rows: NDArray[np.int64],
    n_labels: int,
) -> None:
    """Write labels beside points, the strongest first, none over another."""
    x, y = at
    middle = float(np.mean(ax.get_xlim()))
    room = 0.045 * float(np.ptp(ax.get_ylim()))
    taken: dict[bool, list[float]] = {True: [], False: []}
    for row in rows:
        left = bool(x[row] < middle)
        if any(abs(y[row] - other) < room for other in taken[left]):
            continue
        taken[left].append(float(y[row]))
        ax.annotate(
            style.safe(labels[row], 34),
            (x[row], y[row]),
            xytext=(4 if left else -4, 2),
            ha="left" if left else "right",
            textcoords="offset points",
            fontsize=6.5,
            color=style.INK,
            parse_math=False,
        )
        if len(taken[True]) + len(taken[False]) >= n_labels:
            return


def paired_forest(
    names: Sequence[str],
    intervals: Mapping[str, ArrayLike],
    *,
    null: float = 0.0,
    log: bool = False,
    xlabel: str = "Effect (95 % interval)",
    ax: Any = None,
) -> Any:
    """Draw several intervals of the same effects under each other, and return the Axes.

    Parameters
    ----------
    names : sequence of str (n_rows,)
        What each row is, top first.
    intervals : mapping of str to array of float64 (n_rows, 3)
        Estimate, low and high of each kind of interval; NaN is left out.
    null : float, default 0.0
        Where no effect stands.
    log : bool, default False
        Draw on a log axis.
    xlabel : str
        What is estimated.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the lengths differ.
    """
    tables = {key: np.asarray(value, float) for key, value in intervals.items()}
    if any(table.shape != (len(names), 3) for table in tables.values()):
        raise InputError("Each table of intervals has a row a name and three columns.")
    ax = ax or style.axes(6.6, 1.0 + 0.42 * max(len(names), 1))
    place = np.arange(len(names))
    step = 0.5 / max(len(tables), 1)
    handles = []
    for number, table in enumerate(tables.values()):
        at = place + (number - (len(tables) - 1) / 2) * step
        ink = style.MUTED if number == 0 else style.colour(number - 1)
        ax.hlines(at, table[:, 1], table[:, 2], color=ink, linewidth=1.8)
        handles.append(
            ax.scatter(table[:, 0], at, s=30, marker="s", color=ink, zorder=3,
                       edgecolors=style.PAPER, linewidths=0.7)
        )  # fmt: skip
    ax.axvline(null, color=style.INK, linewidth=0.8, linestyle="--")
    if log:
        _log_axis(ax)
    ax.set_yticks(place, [style.safe(name, 46) for name in names], parse_math=False)
    ax.set_ylim(len(names) - 0.4, -0.6)
    style.dress(ax, xlabel=xlabel, grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    style.legend(ax, handles, list(tables), loc="lower left", bbox_to_anchor=(0, 1),
                 ncols=len(tables))  # fmt: skip
    return ax


def _log_axis(ax: Any) -> None:
    from matplotlib.ticker import LogLocator

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(lambda *_: "")
