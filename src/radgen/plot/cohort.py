"""Pictures of a cohort: flow of samples, status of features, sites before and after."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

import numpy as np
import polars as pl

from radgen.errors import InputError, shown
from radgen.plot import style

__all__ = ["components", "feature_status", "flow", "site_distribution"]

_STATUS = {"ok": style.PALETTE[2], "undefined": style.PALETTE[1], "failed": style.PALETTE[3]}


def flow(steps: pl.DataFrame, *, ax: Any = None) -> Any:
    """Draw how many samples remain at each step and why the others left; return the Axes.

    Parameters
    ----------
    steps : polars.DataFrame
        Columns ``step``, ``n`` (remain), ``dropped``, ``reason`` (lines of text), top first.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on, without frame.

    Raises
    ------
    InputError
        If a column is missing or there is no step.
    """
    _need(steps, ("step", "n", "dropped", "reason"), "flow diagram")
    ax = ax or style.axes(8.4, 0.55 + 0.85 * steps.height)
    ax.axis("off")
    ax.set_xlim(0, 10)
    ax.set_ylim(-steps.height + 0.42, 0.58)
    for row, step in enumerate(steps.iter_rows(named=True)):
        y = -row
        last = row == steps.height - 1
        _box(ax, 0.05, y, 4.5, style.PALETTE[2] if last else style.PALETTE[0])
        ax.text(0.3, y + 0.11, style.safe(step["step"], 46), fontsize=9, color=style.INK,
                va="center", fontweight="bold", parse_math=False)  # fmt: skip
        ax.text(0.3, y - 0.14, f"n = {step['n']:,}", fontsize=9, color=style.INK, va="center")
        if row:
            ax.annotate("", (2.3, y + 0.31), (2.3, y + 0.69),
                        arrowprops={"arrowstyle": "-|>", "color": style.MUTED})  # fmt: skip
        if step["dropped"] or step["reason"]:
            _lost(ax, y, int(step["dropped"]), str(step["reason"] or ""))
    return ax


def feature_status(counts: pl.DataFrame, *, ax: Any = None) -> Any:
    """Draw the share of feature values that are ok, undefined or failed; return the Axes.

    Parameters
    ----------
    counts : polars.DataFrame
        Columns ``family``, ``status``, ``values`` (how many).
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A bar a family.

    Raises
    ------
    InputError
        If a column is missing or there is no row.
    """
    from matplotlib.patches import Patch

    _need(counts, ("family", "status", "values"), "feature status bar")
    families = counts["family"].unique(maintain_order=True).to_list()
    ax = ax or style.axes(8.4, 0.9 + 0.28 * len(families))
    place = np.arange(len(families))
    totals = {
        row["family"]: row["values"]
        for row in counts.group_by("family").agg(pl.col("values").sum()).to_dicts()
    }
    start = np.zeros(len(families))
    present = [s for s in _STATUS if s in set(counts["status"].to_list())]
    for status in present:
        found = dict(counts.filter(pl.col("status") == status).select("family", "values").rows())
        width = np.array([found.get(f, 0) / max(totals[f], 1) for f in families])
        ax.barh(place, width, left=start, height=0.66, color=_STATUS[status], linewidth=0)
        start += width
    ax.set_yticks(place, [style.safe(name, 30) for name in families], parse_math=False)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    style.dress(ax, xlabel="Share of feature values")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    style.legend(ax, [Patch(color=_STATUS[s]) for s in present], present,
                 loc="lower right", bbox_to_anchor=(1, 1), ncols=3)  # fmt: skip
    return ax


def site_distribution(values: pl.DataFrame, *, xlabel: str = "", ax: Any = None) -> Any:
    """Draw one feature by site, before and after harmonisation; return the Axes.

    Parameters
    ----------
    values : polars.DataFrame
        Columns ``stage`` ("before", "after"), ``site``, ``value``.
    xlabel : str
        Name and unit of the feature.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A violin with median and quartiles for each site, the stages side by side.

    Raises
    ------
    InputError
        If a column is missing or there is no row.
    """
    from matplotlib.patches import Patch

    from radgen.plot.pairs import violins

    _need(values, ("stage", "site", "value"), "site picture")
    stages = values["stage"].unique(maintain_order=True).to_list()
    sites = sorted(values["site"].unique().to_list())
    ax = ax or style.axes(8.4, 3.4)
    width = 0.8 / len(stages)
    for index, stage in enumerate(stages):
        ink = style.PALETTE[7] if index == 0 and len(stages) > 1 else style.PALETTE[0]
        groups = [
            values.filter((pl.col("stage") == stage) & (pl.col("site") == site))["value"].to_numpy()
            for site in sites
        ]
        offset = (index - (len(stages) - 1) / 2) * width
        violins(ax, groups, np.arange(len(sites)) + offset, 0.9 * width, [ink] * len(sites))
    ax.set_xticks(range(len(sites)), [style.safe(site, 20) for site in sites], parse_math=False)
    style.dress(ax, ylabel=xlabel, grid="y")
    inks = [style.PALETTE[7], style.PALETTE[0]] if len(stages) > 1 else [style.PALETTE[0]]
    style.legend(ax, [Patch(color=ink) for ink in inks], stages[: len(inks)],
                 loc="lower right", bbox_to_anchor=(1, 1), ncols=2)  # fmt: skip
    return ax


def components(points: pl.DataFrame, *, ax: Any = None) -> Any:
    """Draw samples on two components by group, a panel a stage, and return the Axes.

    Parameters
    ----------
    points : polars.DataFrame
        Columns ``stage`` ("before", "after"), ``group``, ``first``, ``second``.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes around the panels. Panels share their limits; a cross marks the mean of each of
        the seven largest groups, the others are one.

    Raises
    ------
    InputError
        If a column is missing or there is no row.
    """
    from matplotlib.lines import Line2D

    _need(points, ("stage", "group", "first", "second"), "picture of components")
    stages = points["stage"].unique(maintain_order=True).to_list()
    counts = points.group_by("group").len().sort(["len", "group"], descending=[True, False])
    named = counts["group"].to_list()[:7]
    ax = ax or style.axes(8.4, 3.9)
    ax.axis("off")
    limits = [_limits(points[name]) for name in ("first", "second")]
    width = 1 / len(stages)
    for index, stage in enumerate(stages):
        panel = ax.inset_axes((index * width + 0.02, 0.0, width - 0.08, 0.86))
        part = points.filter(pl.col("stage") == stage)
        for place, group in enumerate([None, *named]):
            own = pl.col("group") == group if group is not None else ~pl.col("group").is_in(named)
            rows, ink = part.filter(own), style.colour(7 if group is None else place - 1)
            panel.scatter(rows["first"], rows["second"], s=14, color=ink, alpha=0.6, linewidths=0)
            if group is not None and rows.height:
                panel.plot(rows["first"].mean(), rows["second"].mean(), "X", color=ink, zorder=4,
                           markersize=9, markeredgecolor=style.PAPER)  # fmt: skip
        panel.set_xlim(*limits[0])
        panel.set_ylim(*limits[1])
        second = "Second component" if index == 0 else ""
        style.dress(panel, xlabel="First component", ylabel=second, title=stage)
    labels = [*named, *(["others"] if counts.height > len(named) else [])]
    inks = [style.colour(place) for place in range(len(named))] + [style.colour(7)]
    marks = [Line2D([], [], marker="o", linestyle="", color=ink, markersize=5) for ink in inks]
    style.legend(ax, marks[: len(labels)], [style.safe(name, 24) for name in labels],
                 loc="lower right", bbox_to_anchor=(0.99, 0.96), ncols=4)  # fmt: skip
    return ax


def _limits(values: pl.Series) -> tuple[float, float]:
    """Return limits that hold 99 % of the values and a margin: single outliers flatten nothing."""
    low, high = np.quantile(values.to_numpy(), (0.005, 0.995))
    margin = 0.12 * max(float(high - low), 1e-9)
    return float(low) - margin, float(high) + margin


def _need(frame: pl.DataFrame, columns: tuple[str, ...], what: str) -> None:
    lacking = [name for name in columns if name not in frame.columns]
    if lacking:
        raise InputError(f"The {what} lacks the columns {shown(lacking)}.")
    if not frame.height:
        raise InputError(f"The {what} needs at least one row.")


def _box(ax: Any, left: float, middle: float, width: float, ink: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    ax.add_patch(
        FancyBboxPatch(
            (left, middle - 0.3),
            width,
            0.6,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=ink + "18",
            edgecolor=ink,
            linewidth=1.2,
        )
    )


def _lost(ax: Any, y: float, dropped: int, reason: str) -> None:
    given = [style.safe(line, 160) for line in reason.splitlines() if line.strip()]
    lines = [part for line in given for part in wrap(line, 58)]
    kept = lines if len(lines) <= 3 else [*lines[:2], "… (all reasons: table)"]
    top = y + 0.5
    ax.annotate("", (5.05, top), (2.3, top),
                arrowprops={"arrowstyle": "-|>", "color": style.MUTED})  # fmt: skip
    head = [f"{dropped:,} left out"] if dropped else []
    ax.text(5.15, top, "\n".join([*head, *kept]), fontsize=8, color=style.INK,
            va="center", linespacing=1.3, parse_math=False)  # fmt: skip
