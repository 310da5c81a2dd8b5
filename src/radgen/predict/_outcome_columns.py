"""The outcome of an evaluation, read from a column of a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from radgen.errors import InputError, shown
from radgen.io.events import event_states
from radgen.predict._spellings import PARTED, state_of, take_sides, two_states
from radgen.types import Outcome

__all__ = ["outcome_of"]


def outcome_of(
    frame: pl.DataFrame,
    target: str,
    event: str | None,
    sides: tuple[str | None, str | None],
    unit: str,
) -> tuple[Outcome, tuple[str, ...]]:
    """Return the outcome in columns of a table, and what was taken together or left out.

    Parameters
    ----------
    frame : polars.DataFrame
        ``sample`` and other columns, as `radgen.io.read_plain` returns them.
    target, event : str
        Columns of the value or time, and of the event (None = not a time).
    sides : tuple of str or None
        The value that counts as positive, and the one that counts as negative.
    unit : str
        Of a time or a continuous outcome.

    Raises
    ------
    InputError
        If the kind of the outcome cannot be told, or a cell is no event.
    """
    samples = tuple(frame["sample"].to_list())
    column = frame[target]
    if event is not None:
        return _censored(frame, target, event, unit), ()
    positive, negative = sides
    if positive is not None and negative is not None:
        raise InputError("Say which value is positive or which is negative, not both.")
    if positive is not None:
        return _against_rest(samples, column, positive)
    if negative is not None:
        found, notes = _against_rest(samples, column, negative)
        return replace(found, values=1 - found.values, levels=found.levels[::-1]), notes
    if column.dtype == pl.Float64:
        values = column.to_numpy().astype(np.float64)
        known = np.unique(values[np.isfinite(values)])
        kind: Any = "binary" if set(known) <= {0.0, 1.0} and len(known) == 2 else "continuous"
        if len(known) == 2 and kind != "binary":
            raise InputError(
                f"{target!r} has the two values {shown(known)}. Say which one is positive."
            )
        if len(known) < 2:
            raise InputError(f"{target!r} has the same value in all samples, or none.")
        return Outcome(target, kind, samples, values, unit=unit if kind != "binary" else ""), ()
    raise InputError(_say_which(column))


def _against_rest(
    samples: tuple[str, ...], column: pl.Series, named: str
) -> tuple[Outcome, tuple[str, ...]]:
    if column.dtype == pl.Float64:
        text = pl.Series([None if v is None else f"{v:g}" for v in column.to_list()])
    else:
        text = column.cast(pl.String)
    counts = Counter(item for item in text.to_list() if item is not None)
    sides = take_sides(sorted(counts), counts, named, column.name)
    if not sides.other:
        raise InputError(
            f"{column.name!r}: all known values are {named!r} ({shown(sorted(sides.named), 10)}). "
            "There is nothing to tell apart."
        )
    values = np.array(
        [
            np.nan if item is None or item in sides.missing else float(item in sides.named)
            for item in text.to_list()
        ]
    )
    rest = sorted(sides.other)
    label = named.rstrip(PARTED)
    other = rest[0] if len(rest) == 1 else f"not {label}"
    return Outcome(column.name, "binary", samples, values, levels=(other, label)), sides.notes


def _say_which(column: pl.Series) -> str:
    """Return the question which value is positive, with an answer where one is likely."""
    counts = Counter(item for item in column.to_list() if item is not None)
    states = two_states(sorted(counts), column.name)
    text = f"{column.name!r} is text with the values {shown(sorted(counts), 10)}. Say which one is"
    if set(states.values()) == {0.0, 1.0}:
        sums = [sum(counts[k] for k, v in states.items() if v == side) for side in (1.0, 0.0)]
        words = [k for k, v in states.items() if v == 1.0 and not state_of(k, column.name)[1]]
        best = min(words, key=lambda k: (-counts[k], k), default="mutant")
        return (
            f"{text} positive: {best!r} takes all {sums[0]} that read as altered, in any spelling, "
            f"against {sums[1]} that read as normal."
        )
    return (
        f"{text} positive, or which is negative; the others are then the other class. "
        f"'{column.name}=*' takes each value against the rest."
    )


def _censored(frame: pl.DataFrame, target: str, event: str, unit: str) -> Outcome:
    time = frame[target]
    if time.dtype != pl.Float64:
        raise InputError(f"{target!r} is the time and must be a number.")
    happened, unknown = event_states(frame[event].to_list())
    if unknown:
        raise InputError(
            f"{event!r} says whether the event happened, as 1/0, yes/no, dead/alive or "
            f"1:DECEASED/0:LIVING; found is {shown(unknown)}. Write 1 where it happened and 0 "
            "where the patient was censored."
        )
    values = time.to_numpy().astype(np.float64)
    values[np.array([state is None for state in happened])] = np.nan
    samples = tuple(frame["sample"].to_list())
    events = np.array([state is True for state in happened])
    return Outcome(target, "censored", samples, values, events, unit=unit)
