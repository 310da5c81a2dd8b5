"""Pictures of one sample against a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from radgen.errors import InputError
from radgen.plot import style

__all__ = ["percentile_strip", "sample_map"]


def percentile_strip(names: Sequence[str], percentiles: ArrayLike, *, ax: Any = None) -> Any:
    """Draw the percentiles of one sample's features in a cohort and return the Axes.

    Parameters
    ----------
    names : sequence of str (p,)
        Features, the first on top.
    percentiles : float64 (p,)
        0 to 100.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on; the band holds the middle 90 % of the cohort.

    Raises
    ------
    InputError
        If there is no feature, or the lengths differ.
    """
    values = np.asarray(percentiles, dtype=np.float64)
    if not len(values) or len(values) != len(names):
        raise InputError(f"{len(names)} names and {len(values)} percentiles: nothing to draw.")
    ax = ax or style.axes(7.2, 0.9 + 0.24 * len(values))
    rows = np.arange(len(values))[::-1]
    ax.axvspan(5, 95, color=style.MUTED, alpha=0.12, linewidth=0)
    ax.axvline(50, color=style.MUTED, linewidth=0.8, linestyle="--")
    odd = (values < 5) | (values > 95)
    ax.hlines(rows, 50, values, color=style.MUTED, linewidth=0.8)
    ax.scatter(values[~odd], rows[~odd], s=24, color=style.colour(0), zorder=3)
    ax.scatter(values[odd], rows[odd], s=30, color=style.colour(1), marker="D", zorder=3)
    ax.set_yticks(rows)
    ax.set_yticklabels([style.safe(name, 60) for name in names], fontsize=7, parse_math=False)
    ax.set_xlim(-2, 102)
    return style.dress(ax, xlabel="Percentile in the cohort", grid="x")


def sample_map(
    points: ArrayLike, marks: Sequence[str], *, names: Sequence[str] = (), ax: Any = None
) -> Any:
    """Draw a cohort on two components with one sample and its neighbours and return the Axes.

    Parameters
    ----------
    points : float64 (n, 2)
        Places.
    marks : sequence of {"sample", "neighbour", "other"} (n,)
        What each is.
    names : sequence of str (n,)
        Written beside the sample and its neighbours; none is allowed.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If points and marks do not match.
    """
    places = np.asarray(points, dtype=np.float64)
    kinds = np.asarray(marks, dtype=object)
    if places.ndim != 2 or places.shape[1] != 2 or len(places) != len(kinds):
        raise InputError(f"Points have shape {places.shape}, and there are {len(kinds)} marks.")
    ax = ax or style.axes(4.6, 3.8)
    for kind, text, size, ink in (
        ("other", "cohort", 14, style.MUTED),
        ("neighbour", "most similar", 34, style.colour(0)),
        ("sample", "this sample", 80, style.colour(1)),
    ):
        rows = kinds == kind
        ax.scatter(*places[rows].T, s=size, color=ink, marker="D" if kind == "sample" else "o",
                   alpha=0.5 if kind == "other" else 1.0, linewidths=0, label=text)  # fmt: skip
    for (x, y), kind, name in zip(places, kinds, names, strict=False):
        if kind != "other":
            ax.annotate(style.safe(name, 16), (x, y), xytext=(4, 3), textcoords="offset points",
                        fontsize=7, parse_math=False)  # fmt: skip
    style.dress(ax, xlabel="First component", ylabel="Second component")
    handles, labels = ax.get_legend_handles_labels()
    style.legend(ax, handles, labels, loc="upper right")
    return ax
