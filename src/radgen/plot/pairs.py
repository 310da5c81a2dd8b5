"""Pictures of two variables: scatter, violins by group, and agreement of two measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError
from radgen.plot import style

__all__ = ["bland_altman", "scatter", "violin", "violins"]


def scatter(
    x: ArrayLike,
    y: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    fit: bool = True,
    xlabel: str = "",
    ylabel: str = "",
    note: str = "",
    ax: Any = None,
) -> Any:
    """Draw two variables as points with a straight line, and return the Axes.

    Parameters
    ----------
    x, y : array of float64 (n_samples,)
        NaN pairs are left out.
    groups : sequence of str (n_samples,) or None
        Colours by group.
    fit : bool, default True
        Draw the least-squares line through all points.
    xlabel, ylabel : str
        Names and units.
    note : str
        Text within the picture.
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
    a, b = np.asarray(x, float), np.asarray(y, float)
    if a.shape != b.shape or (groups is not None and len(groups) != len(a)):
        raise InputError("x, y and groups of a scatter plot have the same length.")
    use = np.isfinite(a) & np.isfinite(b)
    ax = ax or style.axes()
    names = [""] * len(a) if groups is None else [str(group) for group in groups]
    handles = []
    levels = sorted(set(names))
    for index, level in enumerate(levels):
        rows = use & np.array([name == level for name in names], bool)
        handles.append(
            ax.scatter(a[rows], b[rows], s=18, color=style.colour(index), alpha=0.75,
                       edgecolors=style.PAPER, linewidths=0.4,
                       rasterized=bool(rows.sum() > 4_000))
        )  # fmt: skip
    if fit and use.sum() > 2 and np.ptp(a[use]) > 0:
        slope, start = np.polyfit(a[use] - a[use].mean(), b[use], 1)
        ends = np.array([a[use].min(), a[use].max()])
        ax.plot(ends, start + slope * (ends - a[use].mean()), color=style.INK, linewidth=1.2)
    style.dress(ax, xlabel=xlabel, ylabel=ylabel, grid="both")
    if groups is not None:
        style.legend(ax, handles, levels, loc="best")
    _note(ax, note)
    return ax


def violin(
    groups: Mapping[str, ArrayLike],
    *,
    ylabel: str = "",
    note: str = "",
    ax: Any = None,
) -> Any:
    """Draw the distribution of a variable in groups, and return the Axes.

    Parameters
    ----------
    groups : mapping of str to array of float64
        Values of each group; NaN is left out. The number stands under each name.
    ylabel : str
        Name and unit.
    note : str
        Text within the picture.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Violins with the median, the quartiles and all points of small groups.

    Raises
    ------
    InputError
        If there is no group.
    """
    if not groups:
        raise InputError("A violin plot needs at least one group.")
    ax = ax or style.axes()
    values = [np.asarray(item, float) for item in groups.values()]
    inks = [style.colour(i) for i in range(len(values))]
    violins(ax, values, np.arange(len(values)), 0.72, inks, points=True)
    counts = [int(np.isfinite(item).sum()) for item in values]
    labels = [f"{style.safe(n, 20)}\nn = {c:,}" for n, c in zip(groups, counts, strict=True)]
    ax.set_xticks(range(len(values)), labels, parse_math=False)
    style.dress(ax, ylabel=ylabel, grid="y")
    _note(ax, note)
    return ax


def violins(
    ax: Any,
    values: Sequence[NDArray[np.float64]],
    places: NDArray[Any],
    width: float,
    inks: Sequence[str],
    *,
    points: bool = False,
) -> None:
    """Draw violins at places along the x axis of existing Axes.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    values : sequence of array of float64
        One array a violin; fewer than 5 values, or equal ones, are drawn as points.
    places : array of float64 (n_violins,)
        Centres.
    width : float
        Full width of a violin.
    inks : sequence of str
        Colours.
    points : bool, default False
        Draw the values too where there are at most 150.
    """
    for given, place, ink in zip(values, places, inks, strict=True):
        known = given[np.isfinite(given)]
        if len(known) >= 5 and np.ptp(known) > 0:
            _shape(ax, known, float(place), width, ink)
        if len(known) < 5 or np.ptp(known) == 0 or (points and len(known) <= 150):
            jitter = (np.arange(len(known)) * 0.618034 % 1.0 - 0.5) * 0.5 * width
            ax.scatter(place + jitter, known, s=6, color=ink, alpha=0.6, linewidths=0)
        if len(known):
            low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
            ax.vlines(place, low, high, color=style.INK, linewidth=2.6)
            ax.scatter(place, middle, s=26, color=style.PAPER, edgecolors=style.INK,
                       linewidths=1.1, zorder=4)  # fmt: skip


def bland_altman(
    first: ArrayLike,
    second: ArrayLike,
    *,
    unit: str = "",
    names: tuple[str, str] = ("first", "second"),
    ax: Any = None,
) -> Any:
    """Draw differences against means with the limits of agreement, and return the Axes.

    Parameters
    ----------
    first, second : array of float64 (n_samples,)
        Two measurements of the same samples; NaN pairs are left out.
    unit : str
        Unit of both.
    names : tuple of str
        What the two are; the difference is the first minus the second.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Bias and bias ± 1.96 SD of the differences as lines.

    Raises
    ------
    InputError
        If the lengths differ or fewer than 2 pairs are complete.

    References
    ----------
    Bland JM, Altman DG. Lancet 1986;327:307, doi:10.1016/S0140-6736(86)90837-8.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape:
        raise InputError("Both measurements of a Bland–Altman plot have the same length.")
    use = np.isfinite(a) & np.isfinite(b)
    if use.sum() < 2:
        raise InputError("A Bland–Altman plot needs at least 2 complete pairs.")
    mean, gap = (a[use] + b[use]) / 2, a[use] - b[use]
    bias, spread = float(gap.mean()), float(gap.std(ddof=1))
    ax = ax or style.axes()
    ax.scatter(mean, gap, s=18, color=style.PALETTE[0], alpha=0.75, linewidths=0)
    for level, dash, name in ((bias, "-", "bias"), (bias - 1.96 * spread, "--", "−1.96 SD"),
                              (bias + 1.96 * spread, "--", "+1.96 SD")):  # fmt: skip
        ax.axhline(level, color=style.ACCENT if dash == "--" else style.INK, linestyle=dash,
                   linewidth=1.0)  # fmt: skip
        ax.text(1.01, level, f"{name}\n{_short(level)}", va="center", fontsize=7.5,
                transform=ax.get_yaxis_transform(), color=style.INK)  # fmt: skip
    tail = f" ({unit})" if unit else ""
    return style.dress(ax, xlabel=f"Mean of both{tail}", ylabel=f"{names[0]} − {names[1]}{tail}")


def _short(value: float) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def _shape(ax: Any, known: NDArray[np.float64], place: float, width: float, ink: str) -> None:
    spread = min(known.std(ddof=1), np.subtract(*np.quantile(known, (0.75, 0.25))) / 1.349)
    band = 0.9 * (spread or known.std(ddof=1)) * len(known) ** -0.2
    grid = np.linspace(known.min(), known.max(), 120)
    taken = known if len(known) <= 4_000 else np.quantile(known, np.linspace(0, 1, 4_000))
    density = np.exp(-0.5 * ((grid[:, None] - taken) / band) ** 2).sum(axis=1)
    half = 0.5 * width * density / density.max()
    ax.fill_betweenx(grid, place - half, place + half, color=ink, alpha=0.35, linewidth=0)


def _note(ax: Any, note: str) -> None:
    if note:
        ax.text(0.03, 0.97, style.safe(note), transform=ax.transAxes, va="top", fontsize=8.5,
                color=style.INK, parse_math=False)  # fmt: skip
