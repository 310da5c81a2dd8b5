"""Pictures of patients over time: one course in panels, and a bar a patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from radgen.errors import InputError
from radgen.plot import style
from radgen.plot.naming import short_names

__all__ = ["patient_course", "swimmer"]

_MOST_LINES = 8
_MOST_PATIENTS = 60
_MARKS = "o^sDvPX*"


def patient_course(frame: pl.DataFrame, *, treatments: Sequence[str] = (), ax: Any = None) -> Any:
    """Draw the course of one patient, a panel a source of measurements, and return the Axes.

    Parameters
    ----------
    frame : polars.DataFrame
        ``day, end_day, kind, what, value, source`` of one patient.
    treatments : sequence of str
        Those of the whole cohort, in the order of their colours (`treatment_names`); empty = this
        patient's alone.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes around the panels. Treatments are bars on top, events dashed lines through all,
        responses in their colours.

    Raises
    ------
    InputError
        If there is no row.
    """
    if not frame.height:
        raise InputError("Nothing to draw of this patient.")
    measured = frame.filter(pl.col("kind") == "measurement")
    treated = frame.filter(pl.col("kind") == "treatment")
    events = frame.filter(pl.col("kind") == "event")
    sources = measured["source"].unique(maintain_order=True).sort().to_list()
    n_drugs = treated["what"].n_unique()
    heights = ([0.35 + 0.22 * n_drugs] if n_drugs else []) + [1.5] * len(sources)
    heights = heights or [0.6]
    ax = ax or style.axes(8.4, 0.6 + sum(heights))
    ax.axis("off")
    span = _span(frame)
    top, total, panels = 1.0, sum(heights) + 0.25 * len(heights), []
    for height in heights:
        share = height / total
        panels.append(ax.inset_axes((0.0, top - share, 0.8, share)))
        top -= share + 0.25 / total
    rest = list(panels)
    if n_drugs:
        _drugs(rest.pop(0), treated, span, [*treatments] or treatment_names(frame))
    for panel, source in zip(rest, sources, strict=False):
        part = measured.filter(pl.col("source") == source)
        names = part["what"].unique(maintain_order=True).sort().to_list()
        for k, name in enumerate(names[:_MOST_LINES]):
            own = part.filter(pl.col("what") == name).sort("day")
            panel.plot(own["day"], own["value"], marker=_MARKS[k % len(_MARKS)], markersize=4,
                       linewidth=1.2, color=style.colour(k),
                       label=style.safe(name, 22))  # fmt: skip
        handles, labels = panel.get_legend_handles_labels()
        if len(names) > _MOST_LINES:
            labels[-1] += f" (+{len(names) - _MOST_LINES} not drawn)"
        style.legend(panel, handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5))
        style.dress(panel, ylabel=style.safe(source, 18), grid="y")
    inks = _inks(events)
    for k, panel in enumerate(panels):
        panel.set_xlim(*span)
        for day, ink in inks.items():
            panel.axvline(day, color=ink or style.MUTED, linewidth=0.8, linestyle="--")
        if k < len(panels) - 1:
            panel.tick_params(labelbottom=False)
    for day, part in events.sort("day", "what").group_by("day", maintain_order=True):
        text = ", ".join(part["what"].unique(maintain_order=True))
        panels[0].annotate(style.safe(text, 14), (day[0], 1.0),
                           xycoords=panels[0].get_xaxis_transform(), fontsize=7, rotation=40,
                           color=inks[day[0]] or style.INK, ha="left", va="bottom",
                           parse_math=False)  # fmt: skip
    style.dress(panels[-1], xlabel="Days from baseline",
                ylabel=panels[-1].get_ylabel(), grid="y")  # fmt: skip
    return ax


def treatment_names(frame: pl.DataFrame) -> list[str]:
    """Return the treatments of a cohort in the order of their colours.

    Parameters
    ----------
    frame : polars.DataFrame
        ``kind, what`` of all patients.
    """
    names: list[str] = frame.filter(pl.col("kind") == "treatment")["what"].unique().sort().to_list()
    return names


def _inks(events: pl.DataFrame) -> dict[float, str]:
    """Return the colour of each day with events, "" where none of them is a response."""
    return {
        row["day"]: next((style.RESPONSES[w] for w in row["what"] if w in style.RESPONSES), "")
        for row in events.group_by("day", maintain_order=True).agg("what").iter_rows(named=True)
    }


def _drugs(
    panel: Any, treated: pl.DataFrame, span: tuple[float, float], order: Sequence[str]
) -> None:
    names = treated["what"].unique(maintain_order=True).to_list()
    for row in treated.iter_rows(named=True):
        place = names.index(row["what"])
        stop = span[1] if row["end_day"] is None else row["end_day"]
        panel.barh(place, max(stop - row["day"], 0.004 * (span[1] - span[0])), left=row["day"],
                   height=0.62, color=style.colour(order.index(row["what"])),
                   hatch="//" if row["end_day"] is None else None,
                   edgecolor=style.PAPER, linewidth=0)  # fmt: skip
    panel.set_yticks(range(len(names)))
    panel.set_yticklabels([style.safe(name, 18) for name in names], parse_math=False)
    panel.set_ylim(len(names) - 0.5, -0.5)
    style.dress(panel)


def _span(frame: pl.DataFrame) -> tuple[float, float]:
    low = float(frame["day"].min())  # type: ignore[arg-type]
    ends = [frame["day"].max(), frame["end_day"].max()]
    high = max(float(value) for value in ends if value is not None)  # type: ignore[arg-type]
    room = 0.03 * max(high - low, 1.0)
    return min(low, 0.0) - room, high + room


def swimmer(frame: pl.DataFrame, *, ax: Any = None) -> Any:
    """Draw a bar a patient with treatments and events and return the Axes.

    Parameters
    ----------
    frame : polars.DataFrame
        ``sample, day, end_day, kind, what``.
    ax : matplotlib.axes.Axes or None
        Where to draw; None = a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on; the longest followed are on top, at most 60 of them. An arrow ends a
        treatment that goes on. Responses are marked in their colours.

    Raises
    ------
    InputError
        If there is no row.
    """
    if not frame.height:
        raise InputError("There is no patient to draw.")
    last = (
        frame.with_columns(last=pl.max_horizontal("day", "end_day"))
        .group_by("sample").agg(pl.col("last").max(), pl.col("day").min().alias("first"))
        .sort("last", "sample", descending=[True, False])
    )  # fmt: skip
    shown = last.head(_MOST_PATIENTS)
    place = {sample: k for k, sample in enumerate(shown["sample"])}
    ax = ax or style.axes(8.4, 1.1 + 0.24 * len(place))
    for row in shown.iter_rows(named=True):
        start = min(row["first"], 0.0)
        ax.barh(place[row["sample"]], row["last"] - start, left=start, height=0.7,
                color=style.MUTED, alpha=0.18, linewidth=0)  # fmt: skip
    part = frame.filter(pl.col("sample").is_in(list(place)))
    drugs = part.filter(pl.col("kind") == "treatment")
    names = treatment_names(frame)
    end_of = dict(shown.select("sample", "last").iter_rows())
    for row in drugs.iter_rows(named=True):
        stop = end_of[row["sample"]] if row["end_day"] is None else row["end_day"]
        ink = style.colour(names.index(row["what"]))
        ax.barh(place[row["sample"]], stop - row["day"], left=row["day"], height=0.42, color=ink,
                linewidth=0)  # fmt: skip
        if row["end_day"] is None:
            ax.plot(stop, place[row["sample"]], ">", color=ink, markersize=8, clip_on=False)
    events = part.filter(pl.col("kind") == "event")
    kinds = events["what"].unique().sort().to_list()
    for k, kind in enumerate(kinds[: len(_MARKS)]):
        own = events.filter(pl.col("what") == kind)
        plain = style.INK if k % 2 == 0 else style.PAPER
        ink = style.RESPONSES.get(kind)
        ax.scatter(own["day"].to_list(), [place[s] for s in own["sample"]], zorder=4,
                   s=40 if ink else 26, marker=_MARKS[k], color=ink or plain, linewidths=0.9,
                   edgecolors=style.PAPER if ink else style.INK,
                   label=style.safe(kind, 18))  # fmt: skip
    handles, labels = ax.get_legend_handles_labels()
    drawn = set(drugs["what"])
    for k, name in [(k, name) for k, name in enumerate(names) if name in drawn][:8]:
        handles.append(ax.barh([-9], [0], color=style.colour(k))[0])
        labels.append(style.safe(name, 18))
    ax.set_yticks(range(len(place)))
    ax.set_yticklabels(
        [style.safe(name, 14) for name in short_names(list(place))], fontsize=7, parse_math=False
    )
    ax.set_ylim(len(place) - 0.4, -0.6)
    if handles:
        style.legend(ax, handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5))
    more = last.height - len(place)
    title = f"{more} patients with shorter follow-up are not drawn" if more else ""
    return style.dress(ax, xlabel="Days from baseline", title=title)
