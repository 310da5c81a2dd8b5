"""The house style: inks, palettes, and Axes that never touch global state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = [
    "ACCENT",
    "DIVERGING",
    "GRID",
    "INK",
    "MUTED",
    "PALETTE",
    "PAPER",
    "RESPONSES",
    "SEQUENTIAL",
    "axes",
    "colour",
    "dress",
    "legend",
    "linkage_colours",
    "rising_colours",
    "safe",
]

INK = "#1b2733"
"""Text and main lines."""
MUTED = "#5b6b7b"
"""Secondary text, reference lines."""
GRID = "#dbe2ea"
"""Grid lines and quiet borders."""
PAPER = "#fefefe"
"""Background; edges of markers."""
ACCENT = "#c8501b"
"""What the eye shall find first: thresholds passed, the named points."""
PALETTE = ("#0b6fb8", "#d9730d", "#1a9370", "#b4508f", "#7a68c4", "#8a6d1d", "#3aa0c9", "#7d8894")
"""Eight colours that stay apart with the common forms of colour blindness, on light and dark."""
RESPONSES = {
    "CR": PALETTE[2], "PR": PALETTE[0], "MR": PALETTE[3], "SD": PALETTE[7],
    "Non-CR/Non-PD": PALETTE[6], "PD": PALETTE[1], "NE": PALETTE[5],
}  # fmt: skip
"""Responses of a tumour, best first, and their colours in every picture."""
DIVERGING = "RdBu_r"
"""Colour map of signed values, white = 0."""
SEQUENTIAL = "viridis"
"""Colour map of magnitudes."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def axes(width_in: float = 4.6, height_in: float = 3.7) -> Any:
    """Return new matplotlib Axes on a figure of their own, outside any global state.

    Parameters
    ----------
    width_in, height_in : float
        Size of the figure in inches.

    Returns
    -------
    matplotlib.axes.Axes
        ``ax.figure.savefig(path)`` writes the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    figure.patch.set_alpha(0.0)
    return figure.add_subplot()


def dress(ax: Any, *, xlabel: str = "", ylabel: str = "", title: str = "", grid: str = "") -> Any:
    """Give Axes the house style and return them.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes to style.
    xlabel, ylabel, title : str
        Shown as typed: ``$`` starts no formula.
    grid : {"", "x", "y", "both"}
        Which grid lines to draw.

    Returns
    -------
    matplotlib.axes.Axes
        The same Axes.
    """
    ax.patch.set_alpha(0.0)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(MUTED)
        ax.spines[side].set_linewidth(0.8)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, width=0.8, length=3)
    text: dict[str, Any] = {"color": INK, "fontsize": 9, "parse_math": False}
    if xlabel:
        ax.set_xlabel(safe(xlabel), **text)
    if ylabel:
        ax.set_ylabel(safe(ylabel), **text)
    if title:
        ax.set_title(safe(title), loc="left", **{**text, "fontsize": 10, "fontweight": "bold"})
    if grid:
        ax.grid(True, axis=grid, color=GRID, linewidth=0.7)
        ax.set_axisbelow(True)
    return ax


def legend(ax: Any, handles: Sequence[Any], labels: Sequence[str], **where: Any) -> Any:
    """Add a frameless legend whose labels are shown as typed, and return it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where it stands.
    handles : sequence of matplotlib artists
        What is explained.
    labels : sequence of str
        One label a handle.
    **where : object
        Placement, passed on to ``Axes.legend``.

    Returns
    -------
    matplotlib.legend.Legend or None
        None where there is nothing to explain.
    """
    if not handles:
        return None
    texts = [f" {safe(text)}" if str(text).startswith("_") else safe(text) for text in labels]
    box = ax.legend(
        list(handles), texts, frameon=False, fontsize=8, labelcolor=INK, handlelength=1.4, **where
    )
    for item in box.get_texts():
        item.set_parse_math(False)
    return box


def linkage_colours() -> tuple[Any, Any]:
    """Return the colour map and the norm of r² in five steps, grey-blue (none) to red (full)."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    inks = ["#8fa3b8", "#3aa0c9", "#1a9370", "#e0a021", "#c8301b"]
    return ListedColormap(inks), BoundaryNorm([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 5)


def rising_colours() -> Any:
    """Return a colour map of shares: quiet grey at 0, the accent at 1."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("rising", ["#b9c6d3", "#e0a021", "#c8301b"])


def safe(text: object, longest: int = 80) -> str:
    """Return a label without control characters, cut in the middle where it is too long."""
    plain = _CONTROL.sub("\ufffd", str(text))
    if len(plain) <= longest:
        return plain
    half = (longest - 1) // 2
    return f"{plain[:half]}…{plain[-half:]}"


def colour(index: int) -> str:
    """Return the colour of the group with this index; they repeat after eight."""
    return PALETTE[index % len(PALETTE)]
