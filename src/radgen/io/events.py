"""Read from words whether an event happened."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import polars as pl

from radgen.errors import FormatError, shown
from radgen.io.tables import BLANKS

__all__ = ["code_events", "event_states"]

_HAPPENED = frozenset(
    ("1", "1.0", "true", "t", "yes", "y", "event", "dead", "deceased", "died", "death", "expired",
     "progressed", "progression", "recurred", "recurrence", "relapsed", "relapse", "metastasis",
     "recurred/progressed")
)  # fmt: skip
_CENSORED = frozenset(
    ("0", "0.0", "false", "f", "no", "n", "no event", "censored", "censor", "alive", "living",
     "disease free", "diseasefree", "disease-free", "progression free", "no recurrence",
     "no progression", "no relapse")
)  # fmt: skip
_CODED = re.compile(r"([01])\s*:.*", re.DOTALL)


def event_states(cells: Iterable[object]) -> tuple[list[bool | None], list[str]]:
    """Return whether each event happened, and the words that say neither.

    Parameters
    ----------
    cells : iterable
        Of a column: 1 or 0, true or false, "dead" or "alive", "1:DECEASED" or "0:LIVING" (the
        code before the colon rules, as in cBioPortal's tables).

    Returns
    -------
    states : list of bool or None
        None where the cell is blank or not understood.
    unknown : list of str
        Each word that is not understood, once.

    Examples
    --------
    >>> event_states(["Dead", "0:LIVING", 1.0, None, "lost"])
    ([True, False, True, None, None], ['lost'])
    """
    states: list[bool | None] = []
    unknown: dict[str, None] = {}
    for cell in cells:
        text = _word(cell)
        coded = _CODED.fullmatch(text)
        key = coded[1] if coded else text
        state = True if key in _HAPPENED else False if key in _CENSORED else None
        states.append(state)
        if state is None and text not in BLANKS:
            unknown[str(cell).strip()] = None
    return states, list(unknown)


def code_events(frame: pl.DataFrame, columns: Collection[str], *, what: str) -> pl.DataFrame:
    """Return a table in which the named columns of events in words are 1, 0 and null.

    Parameters
    ----------
    frame : polars.DataFrame
        A row a sample.
    columns : collection of str
        Columns of events; numbers, and columns that the table lacks, stay as they are.
    what : str
        The table's name in messages.

    Raises
    ------
    FormatError
        If a cell says neither that the event happened nor that it did not.
    """
    coded = []
    for name in columns:
        if name not in frame.columns or frame[name].dtype.is_numeric():
            continue
        states, unknown = event_states(frame[name].to_list())
        if unknown:
            raise FormatError(
                f"{what}: column {name!r} says whether the event happened, as 1/0, yes/no, "
                f"dead/alive or 1:DECEASED/0:LIVING; found is {shown(unknown)}. Write 1, 0 and NA."
            )
        numbers = [None if state is None else float(state) for state in states]
        coded.append(pl.Series(name, numbers, dtype=pl.Float64))
    return frame.with_columns(coded)


def _word(cell: object) -> str:
    if cell is None:
        return ""
    text = f"{cell:g}" if isinstance(cell, float) else str(cell)
    return " ".join(text.split()).casefold()
