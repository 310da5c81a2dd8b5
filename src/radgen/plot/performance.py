"""Pictures of prediction and response: ROC, calibration, decision, survival, waterfall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from radgen.errors import InputError
from radgen.plot import style

__all__ = [
    "calibration",
    "decision_curve",
    "kaplan_meier",
    "precision_recall",
    "risk_coverage",
    "roc",
    "waterfall",
]

Curve = tuple[ArrayLike, ArrayLike]


def roc(
    curves: Mapping[str, Curve], *, notes: Mapping[str, str] | None = None, ax: Any = None
) -> Any:
    """Draw ROC curves and return the Axes.

    Parameters
    ----------
    curves : mapping of str to (false positive rate, true positive rate)
        Points of each model's curve in order, arrays of float64 in [0, 1].
    notes : mapping of str to str or None
        Text behind a model's name ("0.93 (0.90–0.95)").
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.
    """
    ax = ax or style.axes(4.6, 3.8)
    ax.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.9, linestyle="--")
    _curves(ax, curves, notes or {}, step=True, loc="lower right")
    style.dress(ax, xlabel="1 − specificity", ylabel="Sensitivity", grid="both")
    return _unit_square(ax)


def precision_recall(
    curves: Mapping[str, Curve],
    *,
    prevalence: float | None = None,
    notes: Mapping[str, str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw precision against recall and return the Axes.

    Parameters
    ----------
    curves : mapping of str to (recall, precision)
        Points of each model's curve in order, arrays of float64 in [0, 1].
    prevalence : float or None
        Share of positives: the line of no information.
    notes : mapping of str to str or None
        Text behind a model's name.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.
    """
    ax = ax or style.axes(4.6, 3.8)
    if prevalence is not None:
        ax.axhline(prevalence, color=style.MUTED, linewidth=0.9, linestyle="--")
    _curves(ax, curves, notes or {}, step=True, loc="lower left")
    style.dress(ax, xlabel="Recall (sensitivity)", ylabel="Precision", grid="both")
    return _unit_square(ax)


def calibration(
    curves: Mapping[str, Curve],
    *,
    groups: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]] | None = None,
    predicted: ArrayLike | None = None,
    notes: Mapping[str, str] | None = None,
    xlabel: str = "Predicted probability",
    ax: Any = None,
) -> Any:
    """Draw observed against predicted risk and return the Axes.

    Parameters
    ----------
    curves : mapping of str to (predicted, observed)
        Smoothed curve of each model, arrays of float64 in [0, 1].
    groups : mapping of str to (predicted, observed, low, high) or None
        Mean prediction, observed frequency and its interval in risk groups of a model.
    predicted : array of float64 (n_samples,) or None
        Predictions, shown as marks along the foot.
    notes : mapping of str to str or None
        Text behind a model's name ("slope 0.97").
    xlabel : str
        What is predicted.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.
    """
    ax = ax or style.axes(4.6, 3.8)
    ax.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.9, linestyle="--")
    _curves(ax, curves, notes or {}, step=False, loc="upper left")
    for index, (mean, seen, low, high) in enumerate((groups or {}).values()):
        ink = style.colour(index)
        ax.vlines(mean, low, high, color=ink, linewidth=1.1)
        ax.scatter(mean, seen, s=24, color=ink, edgecolors=style.PAPER, linewidths=0.7, zorder=4)
    if predicted is not None:
        values = np.asarray(predicted, float)
        counts, edges = np.histogram(values[np.isfinite(values)], bins=50, range=(0, 1))
        height = 0.08 * counts / max(counts.max(), 1)
        ax.bar(edges[:-1], height, width=0.02, align="edge", color=style.MUTED, alpha=0.45)
    style.dress(ax, xlabel=xlabel, ylabel="Observed frequency", grid="both")
    return _unit_square(ax)


def risk_coverage(models: Mapping[str, tuple[ArrayLike, ArrayLike]], *, ax: Any = None) -> Any:
    """Draw the share of wrong decisions against the share decided and return the Axes.

    Parameters
    ----------
    models : mapping of str to (decided, wrong)
        Shares in [0, 1] of each model at increasing caution, float64 (n_levels,); points where
        nobody is decided are NaN and left out.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    References
    ----------
    El-Yaniv & Wiener 2010, J Mach Learn Res 11:1605 (risk-coverage curves).
    """
    ax = ax or style.axes(4.6, 3.8)
    handles, names = [], []
    for index, (name, (decided, wrong)) in enumerate(models.items()):
        share, risk = np.asarray(decided, float), np.asarray(wrong, float)
        known = np.isfinite(risk)
        if not known.any():
            continue
        handles += ax.plot(
            share[known], risk[known], color=style.colour(index), marker="o", markersize=3.5,
            linewidth=1.6,
        )  # fmt: skip
        names.append(name)
    style.dress(ax, xlabel="Share of patients decided", ylabel="Share of decisions wrong", grid="y")
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(bottom=0)
    style.legend(ax, handles, names)
    return ax


def decision_curve(
    threshold: ArrayLike,
    models: Mapping[str, ArrayLike],
    treat_all: ArrayLike,
    *,
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    ax: Any = None,
) -> Any:
    """Draw net benefit over threshold probabilities and return the Axes.

    Parameters
    ----------
    threshold : array of float64 (n_thresholds,)
        Threshold probabilities in (0, 1).
    models : mapping of str to array of float64 (n_thresholds,)
        Net benefit of each model.
    treat_all : array of float64 (n_thresholds,)
        Net benefit of treating all.
    bands : mapping of str to (low, high) or None
        Interval of each model.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Notes
    -----
    Net benefit = true positives / n − false positives / n × t / (1 − t).

    References
    ----------
    Vickers AJ, Elkin EB. Med Decis Making 2006;26:565, doi:10.1177/0272989X06295361.
    """
    ax = ax or style.axes(4.6, 3.8)
    at = np.asarray(threshold, float)
    every = np.asarray(treat_all, float)
    handles = [ax.plot(at, every, color=style.MUTED, linewidth=1.2)[0]]
    handles.append(ax.axhline(0, color=style.INK, linewidth=0.9))
    names = ["treat all", "treat none"]
    top = float(np.nanmax(every)) if len(every) else 0.0
    for index, (name, benefit) in enumerate(models.items()):
        ink = style.colour(index)
        if bands and name in bands:
            ax.fill_between(at, *bands[name], color=ink, alpha=0.13, linewidth=0)
        handles.append(ax.plot(at, benefit, color=ink, linewidth=1.8)[0])
        names.append(name)
        top = max(top, float(np.nanmax(np.asarray(benefit, float))))
    style.dress(ax, xlabel="Threshold probability", ylabel="Net benefit", grid="y")
    top = max(top, 0.01)
    ax.set_ylim(-0.15 * top, 1.12 * top)
    style.legend(ax, handles, names, loc="upper right")
    return ax


def kaplan_meier(
    curves: Mapping[str, Mapping[str, ArrayLike]],
    *,
    note: str = "",
    unit: str = "",
    ylabel: str = "Survival",
    ax: Any = None,
) -> Any:
    """Draw survival curves with the numbers at risk below and return the Axes.

    Parameters
    ----------
    curves : mapping of str to mapping
        For each group the arrays ``time``, ``survival`` and ``at_risk`` (n_times,) with times
        ascending, and optionally ``ci_low``, ``ci_high`` (n_times,) and ``censored`` (times of
        censoring, marked by ticks). ``at_risk`` counts those still under observation just
        before each time.
    note : str
        Text within the picture ("log-rank p = 0.01").
    unit : str
        Unit of time.
    ylabel : str
        What the curves show.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on; the table of numbers at risk is part of it.

    Raises
    ------
    InputError
        If a group lacks an array.
    """
    ax = ax or style.axes(5.6, 4.6)
    handles = []
    last = 0.0
    for index, (name, curve) in enumerate(curves.items()):
        lacking = [key for key in ("time", "survival", "at_risk") if key not in curve]
        if lacking:
            raise InputError(f"The survival curve of {name!r} lacks {', '.join(lacking)}.")
        handles.append(_survival(ax, curve, style.colour(index)))
        last = max(last, float(np.max(np.asarray(curve["time"], float), initial=0.0)))
    style.dress(ax, xlabel=f"Time ({unit})" if unit else "Time", ylabel=ylabel, grid="y")
    ax.set_xlim(0, last * 1.02 or 1)
    ax.set_ylim(0, 1.03)
    style.legend(ax, handles, list(curves), loc="upper right")
    if note:
        ax.set_title(style.safe(note), loc="left", fontsize=8.5, color=style.INK, parse_math=False)
    _risk_table(ax, curves, last)
    return ax


def _survival(ax: Any, curve: Mapping[str, ArrayLike], ink: str) -> Any:
    time = np.concatenate([[0.0], np.asarray(curve["time"], float)])
    survival = np.concatenate([[1.0], np.asarray(curve["survival"], float)])
    (line,) = ax.step(time, survival, where="post", color=ink, linewidth=1.8)
    if "ci_low" in curve and "ci_high" in curve:
        low = np.concatenate([[1.0], np.asarray(curve["ci_low"], float)])
        high = np.concatenate([[1.0], np.asarray(curve["ci_high"], float)])
        ax.fill_between(time, low, high, step="post", color=ink, alpha=0.15, linewidth=0)
    if "censored" in curve:
        at = np.asarray(curve["censored"], float)
        place = np.clip(np.searchsorted(time, at, side="right") - 1, 0, len(time) - 1)
        ax.plot(at, survival[place], linestyle="", marker="|", markersize=6, color=ink,
                markeredgewidth=1.0)  # fmt: skip
    return line


def _risk_table(ax: Any, curves: Mapping[str, Mapping[str, ArrayLike]], last: float) -> None:
    ticks = [tick for tick in ax.get_xticks() if 0 <= tick <= last * 1.02]
    rows = len(curves)
    height = 0.075 * rows + 0.02
    below = ax.inset_axes([0, -0.2 - height, 1, height])
    below.set_xlim(ax.get_xlim())
    below.set_ylim(rows - 0.5, -0.5)
    below.patch.set_alpha(0.0)
    for side in below.spines.values():
        side.set_visible(False)
    below.set_xticks([])
    below.set_yticks(range(rows), [style.safe(name, 20) for name in curves], parse_math=False)
    below.tick_params(axis="y", length=0, pad=14, labelsize=8, labelcolor=style.INK)
    below.set_title("Number at risk", loc="left", fontsize=8, color=style.MUTED, pad=3)
    for row, curve in enumerate(curves.values()):
        time = np.asarray(curve["time"], float)
        at_risk = np.asarray(curve["at_risk"], float)
        for tick in ticks:
            place = int(np.searchsorted(time, tick, side="left"))
            count = at_risk[place] if place < len(at_risk) else 0
            below.text(tick, row, f"{count:.0f}", ha="center", va="center", fontsize=8,
                       color=style.colour(row))  # fmt: skip


def _curves(
    ax: Any, curves: Mapping[str, Curve], notes: Mapping[str, str], *, step: bool, loc: str
) -> None:
    handles: list[Any] = []
    names: list[str] = []
    dashes: Sequence[Any] = ("-", "-", "-", "-", (0, (4, 1.5)), (0, (4, 1.5)))
    for index, (name, (x, y)) in enumerate(curves.items()):
        (line,) = ax.plot(np.asarray(x, float), np.asarray(y, float), color=style.colour(index),
                          linewidth=1.8, linestyle=dashes[index % len(dashes)],
                          drawstyle="steps-post" if step else "default")  # fmt: skip
        handles.append(line)
        names.append(f"{style.safe(name, 34)} {notes[name]}" if name in notes else name)
    style.legend(ax, handles, names, loc=loc)


def _unit_square(ax: Any) -> Any:
    ax.set_xlim(-0.015, 1.015)
    ax.set_ylim(-0.015, 1.015)
    ax.set_box_aspect(0.86)
    return ax


def waterfall(
    change: ArrayLike,
    groups: Sequence[str],
    *,
    lines: Sequence[float] = (0.2, -0.3),
    ylabel: str = "Best change of the sum from baseline",
    ax: Any = None,
) -> Any:
    """Draw the change of each patient as a bar, the worst first, and return the Axes.

    Parameters
    ----------
    change : float64 (n,)
        As a share: -0.3 = a fall by 30 %.
    groups : sequence of str (n,)
        Best response of each patient; colours the bars.
    lines : sequence of float
        Thresholds to draw.
    ylabel : str
        Axis label.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If there is nothing to draw.
    """
    values = np.asarray(change, dtype=np.float64)
    if not len(values):
        raise InputError("No patient has a change to draw.")
    ax = ax or style.axes(6.4, 3.6)
    order = np.argsort(-values, kind="stable")
    names = [name for name in style.RESPONSES if name in groups]
    names += sorted(set(groups) - set(names))
    for k, name in enumerate(names):
        at = np.flatnonzero([groups[i] == name for i in order])
        colour = style.RESPONSES.get(name, style.colour(k))
        heights = 100 * np.maximum(np.abs(values[order[at]]), 0.004) * np.sign(values[order[at]])
        heights = np.where(heights == 0, 0.4, heights)
        ax.bar(at, heights, width=0.85 if len(values) < 120 else 1.0, color=colour,
               label=f"{name} ({len(at)})", linewidth=0)  # fmt: skip
    for line in lines:
        ax.axhline(100 * line, color=style.MUTED, linewidth=0.9, linestyle="--")
    ax.axhline(0, color=style.INK, linewidth=0.8)
    ax.set_xticks([])
    low, high = min(100 * values.min(), -40.0), max(100 * values.max(), 30.0)
    ax.set_ylim(low - 0.04 * (high - low), high + 0.16 * (high - low))
    ax.set_xlim(-0.7, len(values) - 0.3)
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:+.0f} %".replace("-", "−") if v else "0 %")
    style.dress(ax, xlabel=f"{len(values):,} patients", ylabel=ylabel, grid="y")
    style.legend(ax, *ax.get_legend_handles_labels(), ncols=min(len(names), 5), loc="upper right")
    return ax
