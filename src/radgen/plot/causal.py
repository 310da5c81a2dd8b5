"""Pictures of causal inference: effects on exposure and outcome, funnels, paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from radgen.errors import InputError
from radgen.plot import style

__all__ = [
    "coloc_compare",
    "coloc_prior",
    "coloc_region",
    "mediation_path",
    "mr_funnel",
    "mr_scatter",
]

_VECTOR_POINTS = 4_000
_Z95 = 1.959963984540054


def mr_scatter(
    exposure: ArrayLike,
    outcome: ArrayLike,
    *,
    exposure_se: ArrayLike,
    outcome_se: ArrayLike,
    lines: Mapping[str, tuple[float, float]],
    xlabel: str = "Effect on the exposure",
    ylabel: str = "Effect on the outcome",
    outlier: ArrayLike | None = None,
    names: Sequence[str] = (),
    ax: Any = None,
) -> Any:
    """Draw effects of variants on exposure and outcome with the fitted slopes; return the Axes.

    Parameters
    ----------
    exposure, outcome : array of float64 (k,)
        Effects of the same alleles; drawn with the effect on the exposure positive.
    exposure_se, outcome_se : array of float64 (k,)
        Their standard errors: bars are 95 % intervals.
    lines : mapping of str to (float, float)
        Intercept and slope of each method.
    xlabel, ylabel : str
        Names of the axes.
    outlier : array of bool (k,) or None
        Variants to point out, in the colour of warnings.
    names : sequence of str (k,)
        Ids; those of outliers are written.
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
    x, y, sx, sy = (np.asarray(a, float) for a in (exposure, outcome, exposure_se, outcome_se))
    if not len(x) == len(y) == len(sx) == len(sy):
        raise InputError("Effects and standard errors of a scatter have one length.")
    turn = np.where(x < 0, -1.0, 1.0)
    x, y = x * turn, y * turn
    odd = np.zeros(len(x), bool) if outlier is None else np.asarray(outlier, bool)
    ax = ax or style.axes(5.4, 4.6)
    many = len(x) > 60
    for chosen, ink in ((~odd, style.MUTED), (odd, style.ACCENT)):
        ax.errorbar(
            x[chosen], y[chosen], xerr=_Z95 * sx[chosen], yerr=_Z95 * sy[chosen], fmt="none",
            ecolor=ink, elinewidth=0.6, alpha=0.25 if many else 0.5, zorder=1,
        )  # fmt: skip
    ax.scatter(x[~odd], y[~odd], s=22, color=style.INK, edgecolors=style.PAPER, linewidths=0.6,
               zorder=3)  # fmt: skip
    ax.scatter(x[odd], y[odd], s=26, color=style.ACCENT, edgecolors=style.PAPER, linewidths=0.6,
               zorder=4)  # fmt: skip
    ax.axhline(0, color=style.GRID, linewidth=0.9, zorder=0)
    right = float((x + _Z95 * sx).max()) * 1.03
    ends = np.array([0.0, right])
    drawn = []
    dashes = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
    for number, (base, slope) in enumerate(lines.values()):
        drawn += ax.plot(ends, base + slope * ends, color=style.colour(number), linewidth=1.6,
                         linestyle=dashes[number % 5], zorder=2)  # fmt: skip
    style.dress(ax, xlabel=xlabel, ylabel=ylabel)
    ax.set_xlim(0, right)
    for i in np.flatnonzero(odd)[:8] if len(names) else ():
        ax.annotate(style.safe(names[i], 24), (x[i], y[i]), xytext=(5, 4), fontsize=7.5,
                    textcoords="offset points", color=style.INK, parse_math=False)  # fmt: skip
    style.legend(ax, drawn, list(lines), loc="lower left", bbox_to_anchor=(0, 1.0),
                 ncols=2)  # fmt: skip
    return ax


def mr_funnel(
    ratio: ArrayLike,
    ratio_se: ArrayLike,
    *,
    lines: Mapping[str, float],
    xlabel: str = "Ratio of the effects",
    ax: Any = None,
) -> Any:
    """Draw the ratio of each variant against its precision, and return the Axes.

    Parameters
    ----------
    ratio, ratio_se : array of float64 (k,)
        Effect on the outcome over that on the exposure, and its standard error.
    lines : mapping of str to float
        Estimate of each method: upright lines. A band holds 95 % of the ratios about the first
        where nothing but chance parts them.
    xlabel : str
        What the ratio is.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the lengths differ or there is no line.
    """
    x, se = np.asarray(ratio, float), np.asarray(ratio_se, float)
    if len(x) != len(se) or not lines:
        raise InputError("A funnel needs a standard error a ratio, and an estimate.")
    height = 1 / se
    ax = ax or style.axes(5.0, 4.4)
    top = float(height.max()) * 1.08
    rows = np.linspace(float(height.min()) * 0.6, top, 200)
    middle = next(iter(lines.values()))
    ax.fill_betweenx(rows, middle - _Z95 / rows, middle + _Z95 / rows, color=style.MUTED,
                     alpha=0.13, linewidth=0)  # fmt: skip
    ax.scatter(x, height, s=24, color=style.INK, edgecolors=style.PAPER, linewidths=0.6, zorder=3)
    drawn = []
    dashes = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
    for number, value in enumerate(lines.values()):
        drawn.append(ax.axvline(value, color=style.colour(number), linewidth=1.5,
                                linestyle=dashes[number % 5]))  # fmt: skip
    style.dress(ax, xlabel=xlabel, ylabel="Precision (1 / standard error)")
    low, high = np.quantile(x, [0.0, 1.0])
    reach = 1.1 * max(high - middle, middle - low, _Z95 / float(np.median(height)))
    ax.set_xlim(middle - reach, middle + reach)
    ax.set_ylim(rows[0], top)
    style.legend(ax, drawn, list(lines), loc="lower left", bbox_to_anchor=(0, 1.0),
                 ncols=2)  # fmt: skip
    return ax


def coloc_region(
    pos: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    names: tuple[str, str],
    credible: ArrayLike,
    best: int,
    best_name: str = "",
    chrom: str = "",
    note: str = "",
    ax: Any = None,
) -> Any:
    """Draw two scans of a region mirrored, the variants that may be shared marked.

    Parameters
    ----------
    pos : array of int (n_variants,)
        Positions in base pairs.
    first, second : array of float64 (n_variants,)
        log10 of p of both traits: the first upwards, the second downwards.
    names : (str, str)
        The traits.
    credible : array of bool (n_variants,)
        Members of the credible set.
    best : int
        Row of the likeliest shared variant.
    best_name : str
        Its id.
    chrom : str
        Chromosome, for the axis label.
    note : str
        Written at the top right.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the lengths differ or there is no variant.
    """
    place = np.asarray(pos, float) / 1e6
    up, down = -np.asarray(first, float), np.asarray(second, float)
    inside = np.asarray(credible, bool)
    if not len(place) == len(up) == len(down) == len(inside) or not len(place):
        raise InputError("pos, first, second and credible have one length, at least one.")
    ax = ax or style.axes(9.2, 4.8)
    for values, ink in ((up, style.PALETTE[0]), (down, style.PALETTE[1])):
        rows = np.isfinite(values)
        ax.scatter(place[rows & ~inside], values[rows & ~inside], s=13, color=ink, alpha=0.45,
                   linewidths=0, rasterized=bool(rows.sum() > _VECTOR_POINTS))  # fmt: skip
        ax.scatter(place[rows & inside], values[rows & inside], s=26, color=ink, linewidths=0.7,
                   edgecolors=style.INK, zorder=3)  # fmt: skip
    ax.plot([place[best]] * 2, [up[best], down[best]], color=style.MUTED, linewidth=0.8,
            linestyle=":", zorder=1)  # fmt: skip
    for values in (up, down):
        ax.scatter(place[best], values[best], s=52, marker="D", color=style.ACCENT, zorder=4,
                   edgecolors=style.PAPER, linewidths=0.8)  # fmt: skip
    ax.axhline(0, color=style.INK, linewidth=0.8)
    high = 1.16 * max(float(np.nanmax(up)), 1.0)
    low = 1.16 * min(float(np.nanmin(down)), -1.0)
    style.dress(ax, xlabel=f"Position on chromosome {chrom} (Mb)".replace("  ", " "),
                ylabel="−log₁₀ p", grid="y")  # fmt: skip
    ax.set_ylim(low, high)
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    ax.ticklabel_format(axis="x", style="plain", useOffset=False)
    for text, y, where in ((names[0], 0.99, "top"), (names[1], 0.01, "bottom")):
        ax.text(0.005, y, style.safe(text, 60), transform=ax.transAxes, va=where, fontsize=9,
                fontweight="bold", color=style.INK, parse_math=False)  # fmt: skip
    if note:
        ax.text(0.995, 0.99, style.safe(note, 120), transform=ax.transAxes, va="top", ha="right",
                fontsize=8.5, color=style.INK, parse_math=False)  # fmt: skip
    if best_name:
        left = place[best] > (place.min() + place.max()) / 2
        ax.annotate(style.safe(best_name, 40), (place[best], up[best]), fontsize=8,
                    xytext=(-7 if left else 7, 3), textcoords="offset points", color=style.INK,
                    ha="right" if left else "left", parse_math=False)  # fmt: skip
    return ax


def coloc_compare(
    first: ArrayLike,
    second: ArrayLike,
    *,
    names: tuple[str, str],
    share: ArrayLike,
    best: int,
    best_name: str = "",
    ax: Any = None,
) -> Any:
    """Draw the evidence of each variant for two traits against each other; return the Axes.

    Parameters
    ----------
    first, second : array of float64 (n_variants,)
        log10 of p of both traits.
    names : (str, str)
        The traits.
    share : array of float64 (n_variants,)
        Probability to be the shared variant; colours.
    best : int
        Row of the likeliest shared variant.
    best_name : str
        Its id.
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
    x, y, p = -np.asarray(first, float), -np.asarray(second, float), np.asarray(share, float)
    if not len(x) == len(y) == len(p):
        raise InputError("first, second and share have one length.")
    ax = ax or style.axes(5.2, 4.4)
    order = np.argsort(p)
    dots = ax.scatter(x[order], y[order], c=p[order], s=20, cmap=style.rising_colours(), vmin=0,
                      vmax=max(float(p.max()), 1e-9), linewidths=0,
                      rasterized=bool(len(x) > _VECTOR_POINTS))  # fmt: skip
    ax.scatter(x[best], y[best], s=52, marker="D", color=style.ACCENT, zorder=4,
               edgecolors=style.PAPER, linewidths=0.8)  # fmt: skip
    bar = ax.figure.colorbar(dots, ax=ax, shrink=0.7, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, colors=style.MUTED, labelcolor=style.INK, length=2)
    bar.set_label("Probability of being shared", fontsize=8, color=style.INK)
    style.dress(ax, xlabel=f"−log₁₀ p, {names[0]}", ylabel=f"−log₁₀ p, {names[1]}")
    ax.set_xlim(left=0, right=1.1 * max(float(np.nanmax(x)), 1.0))
    ax.set_ylim(bottom=0, top=1.1 * max(float(np.nanmax(y)), 1.0))
    if best_name:
        ax.annotate(style.safe(best_name, 40), (x[best], y[best]), xytext=(-7, 5), fontsize=8,
                    textcoords="offset points", ha="right", color=style.INK,
                    parse_math=False)  # fmt: skip
    return ax


def coloc_prior(
    p12: ArrayLike,
    posterior: ArrayLike,
    *,
    chosen: float,
    ax: Any = None,
) -> Any:
    """Draw the posterior of all hypotheses against the prior of a shared variant.

    Parameters
    ----------
    p12 : array of float64 (n,)
        Priors, ascending.
    posterior : array of float64 (n, 5)
        P(H0) … P(H4) with each of them.
    chosen : float
        The prior that was used.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    x, rows = np.asarray(p12, float), np.asarray(posterior, float)
    if rows.shape != (len(x), 5):
        raise InputError(f"The posterior has shape {rows.shape}; needed is ({len(x)}, 5).")
    ax = ax or style.axes(5.2, 4.0)
    words = ("no signal", "first only", "second only", "two variants", "one shared variant")
    inks = (style.MUTED, style.PALETTE[0], style.PALETTE[1], style.PALETTE[2], style.ACCENT)
    drawn = []
    for at, ink in enumerate(inks):
        drawn += ax.plot(x, rows[:, at], color=ink, linewidth=2.2 if at == 4 else 1.4)
    ax.axvline(chosen, color=style.INK, linewidth=0.8, linestyle="--")
    ax.text(chosen, 1.01, " used", fontsize=8, color=style.INK, va="bottom", ha="center")
    ax.set_xscale("log")
    style.dress(ax, xlabel="Prior that a variant is shared, p₁₂", ylabel="Posterior", grid="y")
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlim(x[0], x[-1])
    style.legend(ax, drawn, words, loc="lower left", bbox_to_anchor=(0, 1.06), ncols=3)
    return ax


def mediation_path(
    names: tuple[str, str, str],
    labels: tuple[str, str, str],
    *,
    clear: tuple[bool, bool, bool],
    notes: Sequence[str] = (),
    ax: Any = None,
) -> Any:
    """Draw exposure, mediator and outcome with the coefficients of their paths.

    Parameters
    ----------
    names : (str, str, str)
        Exposure, mediator, outcome.
    labels : (str, str, str)
        Written on the paths: exposure to mediator, mediator to outcome, exposure to outcome.
    clear : (bool, bool, bool)
        Which paths are significant: drawn strong.
    notes : sequence of str
        Lines under the diagram.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.
    """
    ax = ax or style.axes(7.0, 3.4)
    ax.set_axis_off()
    ax.set_xlim(0, 10)
    ax.set_ylim(-1.1, 5)
    places = ((1.7, 1.0), (5.0, 4.0), (8.3, 1.0))
    inks = (style.PALETTE[0], style.PALETTE[2], style.PALETTE[1])
    for name, (x, y), ink in zip(names, places, inks, strict=True):
        ax.text(x, y, style.safe(name, 24), ha="center", va="center", fontsize=10, parse_math=False,
                fontweight="bold", color=style.INK, zorder=3,
                bbox={"boxstyle": "round,pad=0.6", "facecolor": style.PAPER, "edgecolor": ink,
                      "linewidth": 1.6})  # fmt: skip
    ends = ((0, 1), (1, 2), (0, 2))
    offsets = ((-0.25, 0.1, "right"), (0.25, 0.1, "left"), (0.0, -0.42, "center"))
    for (start, stop), text, strong, (dx, dy, where) in zip(
        ends, labels, clear, offsets, strict=True
    ):
        (x0, y0), (x1, y1) = places[start], places[stop]
        ax.annotate(
            "", (x1, y1), (x0, y0), zorder=1,
            arrowprops={"arrowstyle": "-|>", "color": style.ACCENT if strong else style.MUTED,
                        "linewidth": 2.4 if strong else 1.2, "shrinkA": 34, "shrinkB": 34,
                        "linestyle": "-" if strong else "--"},
        )  # fmt: skip
        ax.text((x0 + x1) / 2 + dx, (y0 + y1) / 2 + dy, text, ha=where, va="center", fontsize=9,
                color=style.INK, parse_math=False, linespacing=1.3)  # fmt: skip
    for at, line in enumerate(notes):
        ax.text(5.0, -0.35 - 0.55 * at, style.safe(line, 120), ha="center", va="center",
                fontsize=9, color=style.INK, parse_math=False)  # fmt: skip
    return ax
