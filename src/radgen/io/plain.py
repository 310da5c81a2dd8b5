"""Any table with a row a sample: numbers as numbers, the rest as text."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.naming import counted
from radgen.errors import FormatError, InputError, shown
from radgen.io.feature_tables import find_id_column, read_feature_table
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import BLANKS, read_table, text_of, to_numbers
from radgen.types import check_unique

__all__ = ["read_plain", "read_records"]

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


def read_records(
    path: str | Path,
    *,
    texts: Collection[str] = ("scan", "specimen", "patient", "lesion"),
    dates: Collection[str] = ("date",),
    date_format: str = "%Y-%m-%d",
    id_rule: IdRule | None = None,
) -> tuple[pl.DataFrame, list[str]]:
    """Return a table with a row a scan, specimen or patient, and notes on odd cells.

    Parameters
    ----------
    path : str or Path
        As `radgen.io.read_table` takes it.
    texts : collection of str
        Columns of names; they stay text.
    dates : collection of str
        Columns of dates; absent ones are no error.
    date_format : str, default "%Y-%m-%d"
        How they are written.
    id_rule : IdRule or None
        Applied to the column ``patient``.

    Returns
    -------
    frame : polars.DataFrame
        Names as text, dates as dates, other columns Float64 where most known cells are numbers,
        else text; blanks are null.
    notes : list of str
        Columns in which some cells are no numbers; those are null.

    Raises
    ------
    FormatError
        If the file cannot be read, a patient is blank or a date is not written as declared.
    InputError
        If the rule leaves nothing of an id, or the format of dates has no year, month or day.
    """
    place = Path(path)
    raw = read_table(place)
    columns: list[pl.Series] = []
    notes: list[str] = []
    for series in raw:
        name = series.name
        if name == "patient":
            ids = text_of(series, path=place)
            columns.append(
                pl.Series(name, normalise_ids(ids, id_rule or IdRule(), what=str(place)))
            )
        elif name in texts:
            columns.append(pl.Series(name, _cells(series), dtype=pl.String))
        elif name in dates:
            columns.append(_dated(series, date_format, place))
        else:
            typed, odd = _typed(series)
            columns.append(typed)
            notes += [f"{place.name}: {odd}"] if odd else []
    return pl.DataFrame(columns), notes


def _dated(series: pl.Series, form: str, path: Path) -> pl.Series:
    if series.dtype in (pl.Date, pl.Datetime):
        return series.cast(pl.Date)
    if not {"%Y", "%m", "%d"} <= {form[i : i + 2] for i in range(len(form))}:
        raise InputError(
            f"The format of dates is {form!r}; it needs %Y (year), %m (month) and %d (day), such "
            "as %d/%m/%Y."
        )
    cells = pl.Series(series.name, _cells(series), dtype=pl.String)
    days = cells.str.to_date(form, strict=False)
    wrong = [row for row in range(len(cells)) if days[row] is None and cells[row] is not None]
    if wrong:
        found = shown([f"{cells[row]!r} (data row {row + 1})" for row in wrong])
        raise FormatError(
            f"Column {series.name!r} holds {found}; dates are written "
            f"{form.replace('%Y', 'YYYY').replace('%m', 'MM').replace('%d', 'DD')}. Mend the "
            "cells, or declare the format in which all are written.",
            path=path,
        )
    return days


def _cells(series: pl.Series) -> list[str | None]:
    """Return trimmed text; blanks are None."""
    whole = (int(v) if isinstance(v, float) and v.is_integer() else v for v in series.to_list())
    texts = (None if cell is None else str(cell).strip() for cell in whole)
    return [None if text is None or text.lower() in BLANKS else text for text in texts]


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
    return pl.Series(series.name, _cells(series), dtype=pl.String), ""
