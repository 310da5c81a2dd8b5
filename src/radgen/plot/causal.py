"""Pictures of causal inference: effects on exposure and outcome, funnels, paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from radgen.errors import InputError
from radgen.plot import style

__all__ = ["mr_funnel", "mr_scatter"]

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
