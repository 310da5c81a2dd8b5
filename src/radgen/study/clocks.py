"""Read dates and times to events from a table of patients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import shown
from radgen.io import to_numbers
from radgen.io.tables import BLANKS
from radgen.study.problems import Problem
from radgen.study.schema.sources import SurvivalSettings

__all__ = ["cells_shown", "no_column", "parse_dates", "survival_times"]


def parse_dates(
    column: pl.Series, how: str, *, missing: Sequence[str] = ()
) -> tuple[list[date | None], list[tuple[int, str]]]:
    """Return dates, and the rows and texts of cells that are none.

    Parameters
    ----------
    column : polars.Series
        Text or dates.
    how : str
        strftime codes of the text.
    missing : sequence of str
        Texts that mean not known, besides the usual ones.
    """
    found: list[date | None] = []
    bad: list[tuple[int, str]] = []
    for row, cell in enumerate(column.to_list(), 1):
        text = "" if cell is None else str(cell).strip()
        if text in missing or text.lower() in BLANKS:
            found.append(None)
        elif isinstance(cell, date):
            found.append(cell.date() if isinstance(cell, datetime) else cell)
        else:
            try:
                found.append(datetime.strptime(text, how).date())
            except ValueError:
                found.append(None)
                bad.append((row, text))
    return found, bad


def no_column(where: str, key: str, header: str, known: Sequence[str]) -> Problem:
    """Return the problem of a column that a table lacks."""
    return Problem(
        where, 0, f"There is no column {header!r} (key {key}).", did_you_mean(header, known)
    )


def cells_shown(cells: Sequence[tuple[int, str]]) -> str:
    """Return a few cells with their lines as text."""
    return shown([f"line {row + 1}: {text!r}" for row, text in cells])


def survival_times(
    table: pl.DataFrame, clock: SurvivalSettings, name: str, where: str
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return columns ``time, event``, None where a column is missing, and the problems."""
    key = f"clinical.survival.{name}"
    headers = [h for h in (clock.time, clock.start, *clock.end, clock.event) if h is not None]
    absent = [header for header in headers if header not in table.columns]
    if absent:
        return None, [no_column(where, key, header, table.columns) for header in absent]
    times, problems = _times(table, clock, key, where)
    events, found = _events(table[clock.event], clock, key, where)
    problems += found
    negative = [(row, f"{t:g}") for row, t in enumerate(times, 1) if t is not None and t < 0]
    if negative:
        problems.append(
            Problem(
                where,
                negative[0][0] + 1,
                f"{key}: {len(negative)} times are negative ({cells_shown(negative)}).",
                "Correct the dates or times of these rows.",
            )
        )
        times = [None if t is not None and t < 0 else t for t in times]
    known = [t is not None and e is not None for t, e in zip(times, events, strict=True)]
    frame = pl.DataFrame(
        {
            "time": [t if k else None for t, k in zip(times, known, strict=True)],
            "event": [e if k else None for e, k in zip(events, known, strict=True)],
        },
        schema={"time": pl.Float64, "event": pl.Boolean},
    )
    return frame, problems


def _times(
    table: pl.DataFrame, clock: SurvivalSettings, key: str, where: str
) -> tuple[list[float | None], list[Problem]]:
    if clock.time is not None:
        numbers, dirty = to_numbers(table[clock.time])
        problems = []
        if dirty:
            cells = cells_shown([(row, text) for row, _, text in dirty])
            what = f"{key}.time: {len(dirty)} cells of {clock.time!r} are no numbers ({cells})."
            problems.append(Problem(where, dirty[0][0] + 1, what, "Correct or empty these cells."))
        return numbers.to_list(), problems
    problems = []
    dates: dict[str, list[date | None]] = {}
    for header in (str(clock.start), *clock.end):
        dates[header], bad = parse_dates(table[header], clock.format)
        if bad:
            cells = f"{len(bad)} cells of {header!r} ({cells_shown(bad)})"
            what = f"{key}: {cells} are no dates of the form {clock.format}."
            problems.append(
                Problem(where, bad[0][0] + 1, what, f"Set {key}.format, or correct them.")
            )
    times: list[float | None] = []
    for row, start in enumerate(dates[str(clock.start)]):
        end = next((d for h in clock.end if (d := dates[h][row]) is not None), None)
        times.append(None if start is None or end is None else float((end - start).days))
    return times, problems


def _events(
    column: pl.Series, clock: SurvivalSettings, key: str, where: str
) -> tuple[list[bool | None], list[Problem]]:
    happened, censored = set(clock.event_values), set(clock.censored_values)
    events: list[bool | None] = []
    unknown: list[tuple[int, str]] = []
    for row, cell in enumerate(column.to_list(), 1):
        text = "" if cell is None else str(cell).strip()
        if text in happened:
            events.append(True)
        elif text in censored:
            events.append(False)
        else:
            events.append(None)
            if text.lower() not in BLANKS:
                unknown.append((row, text))
    if not unknown:
        return events, []
    what = (
        f"{key}.event: {len(unknown)} cells of {column.name!r} mean neither event nor censored "
        f"({cells_shown(unknown)})."
    )
    remedy = f"Name them in {key}.event_values or {key}.censored_values."
    return events, [Problem(where, unknown[0][0] + 1, what, remedy)]
