"""Calls written in words: mutant and WT, 2+ and strong, R132H and NS."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FormatError, shown
from radgen.io.tables import BLANKS, is_spreadsheet_error, to_numbers

__all__ = [
    "BINARY_WORDS",
    "ORDINAL_WORDS",
    "UNKNOWN_WORDS",
    "code_all",
    "code_calls",
    "is_unknown",
]

Array = NDArray[np.float64]

BINARY_WORDS = {
    0.0: ("wild-type", "wild type", "wildtype", "wt", "negative", "neg", "no", "false", "absent",
          "unmutated", "not mutated", "not mutant", "unmethylated", "not methylated",
          "non-codeleted", "not codeleted", "intact", "not amplified", "non-amplified",
          "retained", "non-mutant", "normal"),
    1.0: ("mutant", "mutated", "mut", "mt", "positive", "pos", "yes", "true", "present",
          "mutation", "methylated", "codeleted", "co-deleted", "deleted", "amplified", "lost",
          "fusion", "rearranged", "altered", "+"),
}  # fmt: skip
"""Words for 0 and 1 in layers of scale "binary"."""

ORDINAL_WORDS = {
    0.0: ("negative", "neg", "none", "absent", "no staining", "0+"),
    1.0: ("weak", "low", "1+", "+", "mild", "faint"),
    2.0: ("moderate", "intermediate", "2+", "++", "medium"),
    3.0: ("strong", "high", "3+", "+++", "intense", "marked"),
}
"""Words for scores of staining in layers of scale "ordinal"."""

UNKNOWN_WORDS = frozenset(
    {"ns", "not sequenced", "not tested", "not profiled", "np", "unknown", "indeterminate",
     "equivocal", "nos", "inconclusive", "failed", "not done", "not evaluable", "missing", "?",
     "unavailable", "not assessed", "not collected"}
)  # fmt: skip
"""Words for "not measured", beside blank cells."""

_PLUSES = ("+", "++", "+++")
_CHANGE = re.compile(r"(p\.)?([A-Z*]\d+|[A-Z]\d+_[A-Z]\d+)\S*|(MUT|X\d+_splice)\S*")


def code_calls(column: pl.Series, scale: str) -> tuple[Array, list[str]]:
    """Return a column of calls as numbers, and the words that are not known.

    Parameters
    ----------
    column : polars.Series
        Numbers, words or both.
    scale : {"binary", "ordinal"}
        Words stand for 0 and 1 (a protein change such as R132H is 1), or for 0 to 3.

    Returns
    -------
    values : ndarray of float64
        NaN = blank, unknown, a spreadsheet's error, or a word that is not known.
    odd : list of str
        Each word that is not known once.

    Examples
    --------
    >>> code_calls(pl.Series("IDH1", ["R132H", "wt", "MUT", "NS", "1"]), "binary")
    (array([ 1.,  0.,  1., nan,  1.]), [])
    >>> code_calls(pl.Series("PD-L1", ["negative", "2+", "strong", "maybe"]), "ordinal")
    (array([ 0.,  2.,  3., nan]), ['maybe'])
    """
    words = BINARY_WORDS if scale == "binary" else ORDINAL_WORDS
    known = {_key(text): code for code, texts in words.items() for text in texts}
    numbers, dirty = to_numbers(column)
    values = numbers.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
    odd: dict[str, None] = {}
    cells = column.to_list()
    # "none" and "-" are blank cells elsewhere; here a score, and the other half of "+".
    known |= {"-": 0.0} if any(str(cell).strip() in _PLUSES for cell in cells) else {}
    blank = np.flatnonzero(np.isnan(values))
    refused = {row - 1 for row, _, _ in dirty}
    for place in blank:
        cell = "" if cells[place] is None else str(cells[place]).strip()
        key = _key(cell)
        if key in known and (place in refused or key in ("none", "-")):
            values[place] = known[key]
        elif scale == "binary" and _CHANGE.fullmatch(cell):
            values[place] = 1.0
        elif place in refused and not is_unknown(cell):
            odd[cell] = None
    return values, list(odd)


def code_all(frame: pl.DataFrame, columns: Iterable[str], scale: str, path: str | Path) -> Array:
    """Return columns of calls as numbers.

    Parameters
    ----------
    frame : polars.DataFrame
        The table.
    columns : iterable of str
        Its columns of calls.
    scale : {"binary", "ordinal"}
        As `code_calls` takes it.
    path : str or Path
        Named in the error.

    Returns
    -------
    ndarray of float64 (n_rows, n_columns)
        NaN = not measured.

    Raises
    ------
    FormatError
        If words are not known.
    """
    parts = [code_calls(frame[name], scale) for name in columns]
    odd = dict.fromkeys(word for _, words in parts for word in words)
    if odd:
        raise FormatError(
            f"These calls are not known: {shown(list(odd), 8)}. Write them as numbers, or as words "
            f"that radgen.io.calls lists for the scale {scale!r}.",
            path=path,
        )
    return np.column_stack([values for values, _ in parts])


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()


def is_unknown(cell: str) -> bool:
    """Return whether a cell says that something was not measured, or is a failed formula."""
    return _key(cell) in UNKNOWN_WORDS or _key(cell) in BLANKS or is_spreadsheet_error(cell)
