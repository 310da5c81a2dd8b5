"""What the columns of a clinical table look like: numbers, two states, categories, times."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from radgen.errors import FormatError
from radgen.io import to_numbers
from radgen.io.events import event_states
from radgen.io.states import code_states
from radgen.io.tables import BLANKS
from radgen.predict._spellings import two_states

__all__ = ["Clock", "Column", "clocks_of", "column_of"]

_FEW = 12
_TIME = re.compile(r"(day|month|year|time|^os$|^pfs$|^rfs$|^dfs$|survival|surv\w*d)", re.I)
_NO_TIME = re.compile(r"(age|birth|smok|quit|pack)", re.I)
_EVENT = re.compile(r"(event|died|dead|death|status|censor|progress|vital|_ind$|recurr)", re.I)
_UNITS = {"month": "months", "year": "years", "week": "weeks"}


@dataclass(frozen=True, slots=True)
class Column:
    """A clinical column as it looks.

    Attributes
    ----------
    header : str
        As the file has it.
    kind : str
        "number", "binary", "category" or "text" (too many values to be a category).
    values : tuple of str
        The values of a binary column, negative and positive where words tell, or of a category.
    spellings : mapping of str to tuple of str
        Other spellings of the values of a binary column.
    missing : tuple of str
        Its words for what is not known.
    """

    header: str
    kind: str
    values: tuple[str, ...] = ()
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """A time and its event.

    Attributes
    ----------
    name : str
        For the section of the study file.
    time, event : str
        Columns.
    happened, censored : tuple of str
        Values of the event.
    unit : str
        "days", "months" …, as the header of the time says.
    """

    name: str
    time: str
    event: str
    happened: tuple[str, ...]
    censored: tuple[str, ...]
    unit: str


def column_of(column: pl.Series) -> Column:
    """Return what a column of a clinical table looks like."""
    texts = [str(c).strip() for c in column.drop_nulls().to_list()]
    known = [text for text in texts if text.lower() not in BLANKS]
    values = tuple(sorted(set(known)))
    states = _states(column.name, known) if 2 <= len(values) <= _FEW else None
    if states is not None:
        return states
    if len(values) == 2:
        return Column(column.name, "binary", values)
    if known and not to_numbers(pl.Series(column.name, known))[1]:
        return Column(column.name, "number")
    if 0 < len(values) <= _FEW:
        return Column(column.name, "category", values)
    return Column(column.name, "text")


def _states(name: str, texts: list[str]) -> Column | None:
    """Return a column of two states in words, each by its commonest spelling; None if it is none.

    Words are those of `radgen.io.states`: mutant and wild-type, methylated, yes and no …
    """
    counts = Counter(texts).most_common()
    words = [text for text, _ in counts]
    pairs = _coded(name, words)
    both = [[word for word, state in pairs if state == wanted] for wanted in (0.0, 1.0)]
    if not all(both):
        return None
    others = {some[0]: tuple(some[1:]) for some in both if len(some) > 1}
    missing = tuple(word for word, state in pairs if state is None)
    return Column(name, "binary", (both[0][0], both[1][0]), others, missing)


def _coded(name: str, words: Sequence[str]) -> list[tuple[str, float | None]]:
    """Return each word and its state; none where they are not states."""
    try:
        coded = code_states(pl.DataFrame({name: words}), [name], what=name)[0][name]
    except FormatError:
        coded = pl.Series(dtype=pl.String)
    if coded.dtype.is_numeric():
        return list(zip(words, coded.to_list(), strict=True))
    states = two_states(words, name)
    return [(word, states.get(word)) for word in words] if states else []


def clocks_of(table: pl.DataFrame, columns: Sequence[Column]) -> list[Clock]:
    """Return pairs of columns that look like a time and whether its event happened.

    Parameters
    ----------
    table : polars.DataFrame
        The clinical table.
    columns : sequence of Column
        Its columns.

    Returns
    -------
    list of Clock
        "OS" with "OS.time", "OS_STATUS" with "OS_MONTHS"; a lone time takes the event that is
        named as one. Each event is used once.
    """
    times = [
        c.header
        for c in columns
        if c.kind == "number" and _TIME.search(c.header) and not _NO_TIME.search(c.header)
        if _is_time(table[c.header])
    ]
    events = {c.header: both for c in columns if (both := _event_values(c)) is not None}
    found: list[Clock] = []
    for time in times:
        words = _words(time)
        free = [name for name in events if name not in {clock.event for clock in found}]
        related = [name for name in free if words & _words(name)]
        if len(times) == 1:
            related += [name for name in free if _EVENT.search(name) and name not in related]
        related.sort(key=lambda name: (not words & _words(name), not _EVENT.search(name)))
        if related:
            found.append(_clock(time, related[0], events[related[0]], found))
    return found


def _clock(
    time: str, event: str, values: tuple[tuple[str, ...], tuple[str, ...]], others: list[Clock]
) -> Clock:
    shared = sorted(_words(time) & _words(event), key=lambda word: (-len(word), word))
    name = shared[0] if shared else "overall"
    if name in {clock.name for clock in others}:
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", time).strip("_") or f"time{len(others) + 1}"
    unit = next((unit for word, unit in _UNITS.items() if word in time.lower()), "days")
    return Clock(name, time, event, *values, unit)


def _is_time(column: pl.Series) -> bool:
    values = to_numbers(column.cast(pl.String))[0].drop_nulls()
    return bool(values.len()) and float(values.min()) >= 0 and values.n_unique() > _FEW / 4


def _event_values(column: Column) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the values that mean it happened, and censored; None if it is no event."""
    if column.kind not in ("binary", "category"):
        return None
    texts = [*column.values, *(w for words in column.spellings.values() for w in words)]
    states, unknown = event_states(texts)
    pairs = list(zip(texts, states, strict=True))
    happened = tuple(text for text, state in pairs if state is True)
    censored = tuple(text for text, state in pairs if state is False)
    return (happened, censored) if happened and censored and not unknown else None


def _words(header: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header)
    words = set(re.findall(r"[a-z]+", spaced.lower()))
    return words - {"time", "days", "day", "months", "month", "status", "to", "of", "the", "in",
                    "event", "ind", "years", "tx"}  # fmt: skip
