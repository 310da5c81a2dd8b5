"""The course of patients: images, molecules and treatments on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from radgen.errors import AlignmentError, InputError, shown
from radgen.io.course_tables import CourseTable
from radgen.types import Result, align

__all__ = ["TimelineResult", "timeline"]

_COLUMNS = ("sample", "day", "end_day", "kind", "what", "value", "relative", "source")


@dataclass(frozen=True, eq=False)
class TimelineResult(Result):
    """What happened to each patient, by days from baseline.

    Attributes
    ----------
    frame : polars.DataFrame
        ``sample, day, end_day, kind, what, value, relative, source``: `kind` is "measurement",
        "treatment" or "event"; `relative` is the change from the last measurement at or before
        day 0 (the first one where there is none), as a share; null where that is 0.
    """

    kind: ClassVar[str] = "timeline"
    plots: ClassVar[tuple[str, ...]] = ("swimmer",)

    def statements(self) -> tuple[str, ...]:
        """Return what the table holds."""
        out = []
        counts = dict(self.frame.group_by("kind").len().iter_rows())
        span = self.frame.group_by("sample").agg(
            pl.max_horizontal("day", pl.col("end_day").fill_null(pl.col("day"))).max().alias("last")
        )
        out.append(
            f"{counts.get('measurement', 0)} measurements, {counts.get('treatment', 0)} treatments "
            f"and {counts.get('event', 0)} events of {self.n_used} patients; followed to day "
            f"{span['last'].median():.0f} in the median."
        )
        measured = self.frame.filter(pl.col("kind") == "measurement")
        for what, part in measured.group_by("what", maintain_order=True):
            last = part.sort("sample", "day").group_by("sample", maintain_order=True).last()
            known = last["relative"].drop_nulls()
            if known.len():
                fell = int((known < 0).sum())
                out.append(
                    f"{what[0]}: lower at the last measurement than at baseline in {fell} of "
                    f"{known.len()} patients (median change {100 * known.median():+.0f} %)."  # type: ignore[operator]
                )
        return tuple(out[:12])

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            "Tables were joined by the patient's id; times are days from baseline ("
            f"{self.params['origin']}). Changes are relative to the last measurement at or before "
            "day 0, or the first one where there is none. Nothing was interpolated."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw all patients and return the Axes.

        Parameters
        ----------
        kind : {"swimmer"}
            A bar a patient, with treatments and events.
        ax : matplotlib.axes.Axes or None
            Where to draw; None = a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes drawn on.

        Raises
        ------
        InputError
            If there is no such picture.
        """
        if kind != "swimmer":
            return super().plot(kind, ax=ax)
        from radgen.plot.courses import swimmer

        return swimmer(self.frame, ax=ax)

    def plot_patient(self, sample: str, *, ax: Any = None) -> Any:
        """Draw the course of one patient and return the Axes.

        Parameters
        ----------
        sample : str
            Its id.
        ax : matplotlib.axes.Axes or None
            Where to draw; None = a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes around the panels, one a source of measurements.

        Raises
        ------
        InputError
            If there is no such patient.
        """
        from radgen.plot.courses import patient_course, treatment_names

        own = self.frame.filter(pl.col("sample") == sample)
        if not own.height:
            known = self.frame["sample"].unique(maintain_order=True).to_list()
            raise InputError(f"There is no patient {sample!r}. Known: {shown(known)}.")
        return patient_course(own, treatments=treatment_names(self.frame), ax=ax)


def timeline(
    tables: Sequence[CourseTable], *, baselines: pl.DataFrame | None = None
) -> TimelineResult:
    """Return tables of measurements, treatments and events on one axis of days from baseline.

    Parameters
    ----------
    tables : sequence of CourseTable
        Of `radgen.io.read_course`.
    baselines : polars.DataFrame or None
        ``sample, origin``, of `radgen.io.read_baselines`: day 0 of tables that hold dates. None =
        the earliest date of a patient in any table, where all tables hold dates.

    Returns
    -------
    TimelineResult
        Sorted by patient, day, kind and name: the order of rows and tables does not matter.

    Raises
    ------
    InputError
        If there is no table, tables of dates and of days cannot be joined without baselines, or a
        patient has two different values of one measurement on one day.
    AlignmentError
        If no patient of a table of dates has a baseline.
    """
    if not tables:
        raise InputError("There is no table for a timeline.")
    names = [table.name for table in tables]
    if len(set(names)) < len(names):
        raise InputError(f"Tables of one name: {shown(sorted(names))}. Rename a file.")
    dated = [table for table in tables if table.dated]
    if dated and len(dated) < len(tables) and baselines is None:
        days = [table.name for table in tables if not table.dated]
        raise InputError(
            f"{shown([t.name for t in dated])} hold dates and {shown(days)} days from baseline: "
            "give the date of each patient's baseline (--baseline)."
        )
    origin, lost, parts = _origins(dated, baselines), [], []
    for table in tables:
        frame = table.frame
        if table.dated:
            assert origin is not None
            own = frame["sample"].unique(maintain_order=True).to_list()
            matched = align({table.name: own, "baselines": origin["sample"].to_list()})
            lost += [
                (s, f"{table.name}: no date of baseline") for s in own if s not in matched.samples
            ]
            frame = frame.join(origin, on="sample", how="inner", maintain_order="left")
            frame = frame.with_columns(pl.col("start", "end") - pl.col("origin")).drop("origin")
        parts.append(frame.with_columns(source=pl.lit(table.name)))
    joined = _settled(pl.concat(parts)).rename({"start": "day", "end": "end_day"})
    joined = _relative(joined).select(_COLUMNS)
    joined = joined.sort(*_COLUMNS[:2], "kind", "what", "source", "value", "end_day")
    said = "the dates given" if baselines is not None else "the earliest date of each patient"
    return TimelineResult(
        frame=joined,
        params={"tables": sorted(names), "origin": said if dated else "as in the tables"},
        n_used=joined["sample"].n_unique(),
        dropped=pl.DataFrame(
            sorted(lost), schema={"sample": pl.String, "reason": pl.String}, orient="row"
        ),
        warnings=tuple(_unmatched(joined, names)),
    )


def _origins(dated: Sequence[CourseTable], baselines: pl.DataFrame | None) -> pl.DataFrame | None:
    if not dated or baselines is not None:
        return baselines
    every = pl.concat([table.frame.select("sample", "start") for table in dated])
    return every.group_by("sample", maintain_order=True).agg(pl.col("start").min().alias("origin"))


def _settled(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows once each; refuse two values of one measurement at one time."""
    keys = ["source", "sample", "kind", "what", "start", "end"]
    once = frame.unique([*keys, "value"], keep="first", maintain_order=True)
    measured = once.filter(pl.col("kind") == "measurement")
    twice = measured.filter(measured.select(keys).is_duplicated()).sort(*keys, "row")
    if twice.height:
        cells = [
            f"{r['source']} row {r['row']}: {r['what']} of {r['sample']}"
            for r in twice.iter_rows(named=True)
        ]
        raise InputError(
            f"Two values of one measurement on one day: {shown(cells)}. Keep one, or tell them "
            "apart by a column measure (or clone, variant, lesion)."
        )
    return once


def _relative(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the change from the last measurement at or before day 0, else from the first."""
    keys = ["source", "sample", "what"]
    measured = frame.filter(pl.col("kind") == "measurement").sort(*keys, "day")
    before = measured.filter(pl.col("day") <= 0).group_by(keys).agg(pl.col("value").last())
    first = measured.group_by(keys).agg(pl.col("value").first().alias("first"))
    base = first.join(before.rename({"value": "before"}), on=keys, how="left").with_columns(
        base=pl.coalesce("before", "first")
    )
    out = frame.join(base.select(*keys, "base"), on=keys, how="left", maintain_order="left")
    usable = (pl.col("kind") == "measurement") & (pl.col("base") != 0)
    return out.with_columns(
        relative=pl.when(usable).then(pl.col("value") / pl.col("base") - 1).otherwise(None)
    )


def _unmatched(frame: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """Return which patients stand in some tables and not in others."""
    everyone = frame["sample"].unique().sort().to_list()
    out = []
    for name in names:
        own = frame.filter(pl.col("source") == name)["sample"].unique().to_list()
        try:
            lost = align({"all": everyone, name: sorted(own)}).dropped["sample"].to_list()
        except AlignmentError:
            lost = everyone
        if lost:
            out.append(f"{name} has nothing of {len(lost)} patients: {shown(sorted(lost))}.")
    return out
