"""Any table with a row a sample: numbers as numbers, the rest as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.naming import counted
from radgen.errors import shown
from radgen.io.feature_tables import find_id_column, read_feature_table
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import BLANKS, read_table, text_of, to_numbers
from radgen.types import check_unique

__all__ = ["read_plain"]

_NUMERIC_SHARE = 0.5


def read_plain(
    path: str | Path, *, id_name: str | None = None, id_rule: IdRule | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """Return a table with a row a sample, numbers as numbers, and notes on odd cells.

    Parameters
    ----------
    path : str or Path
        As `radgen.io.read_table` takes it, or radgen's long feature table.
    id_name : str or None
        Column of sample ids; None = the one named like an id, or the first where it holds
        distinct texts.
    id_rule : IdRule or None
        Applied to the ids.

    Returns
    -------
    frame : polars.DataFrame
        ``sample`` and the other columns, Float64 where most known cells are numbers, else text;
        blanks are null.
    notes : list of str
        Columns in which some cells are no numbers; those are null.

    Raises
    ------
    FormatError
        If the file cannot be read.
    InputError
        If there is no id column.
    AlignmentError
        If ids repeat.
    """
    place = Path(path)
    raw = read_table(place)
    if {"feature", "value", "sample"} <= set(raw.columns):
        return read_feature_table(place, id_rule=id_rule).to_frame(), []
    key = find_id_column(raw, id_name, place)
    ids = normalise_ids(text_of(raw[key], path=place), id_rule or IdRule(), what=str(place))
    check_unique(ids, what=str(place))
    columns: dict[str, Any] = {"sample": pl.Series(ids, dtype=pl.String)}
    notes = []
    for series in raw.drop(key):
        if series.name == "sample":
            continue
        columns[series.name], odd = _typed(series)
        if odd:
            notes.append(f"{place.name}: {odd}")
    return pl.DataFrame(columns), notes


def _typed(series: pl.Series) -> tuple[pl.Series, str]:
    numbers, dirty = to_numbers(series)
    good = numbers.len() - numbers.null_count()
    if not dirty:
        return numbers, ""
    if good and len(dirty) <= _NUMERIC_SHARE * (good + len(dirty)):
        cells = shown(dict.fromkeys(repr(text) for _, _, text in dirty), 3)
        return numbers, (
            f"{counted(len(dirty), 'cell')} of column {series.name!r} without a number ({cells}), "
            "taken as missing"
        )
    cells_ = [
        None if cell is None or str(cell).strip().lower() in BLANKS else str(cell).strip()
        for cell in series.to_list()
    ]
    return pl.Series(series.name, cells_, dtype=pl.String), ""
