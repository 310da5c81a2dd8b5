"""Clinical tables: one row a sample, the id first."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import FormatError, InputError, shown
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import Decimal, load_table, warn_problems

__all__ = ["read_clinical"]

_LOG = logging.getLogger(__name__)


def read_clinical(
    path: str | Path,
    *,
    id: str,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    sheet: str | None = None,
    id_rule: IdRule | None = None,
    text: Sequence[str] = (),
    decimal: Decimal = "auto",
) -> pl.DataFrame:
    """Return a clinical table with a first column ``sample`` of unique ids.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, Parquet or Excel.
    id : str
        Name of the id column.
    columns : sequence of str, mapping of str to str, or None
        Columns to keep, or new name -> name in the file; None = all.
    sheet : str or None
        Sheet of a workbook.
    id_rule : IdRule or None
        How ids are brought to the spelling that joins tables.
    text : sequence of str
        Columns that stay text although they look like numbers.
    decimal : {"auto", ".", ","}
        The decimal mark.

    Returns
    -------
    polars.DataFrame
        ``sample`` and the columns asked for; null = missing.

    Warns
    -----
    RadgenWarning
        If cells of numeric columns are no numbers.

    Raises
    ------
    InputError
        If a column is not there.
    FormatError
        If a row has no id.
    AlignmentError
        If an id is repeated.
    """
    reading = load_table(path, sheet=sheet, text=text, decimal=decimal)
    frame = reading.frame
    wanted = _wanted(columns, frame.columns, id)
    for name in (id, *wanted.values()):
        if name not in frame.columns:
            raise InputError(
                f"{Path(path).name} has no column {name!r}. {did_you_mean(name, frame.columns)}"
            )
    samples = id_texts(frame[id], path)
    ids = normalise_ids(samples, id_rule)
    kept = set(wanted.values())
    warn_problems(path, [item for item in reading.problems if item.column in kept])
    out = frame.select(pl.col(old).alias(new) for new, old in wanted.items())
    return out.insert_column(0, pl.Series("sample", ids, dtype=pl.String))


def id_texts(column: pl.Series, path: str | Path) -> list[str]:
    """Return the ids of a column as text; numbers lose no digit and gain no ``.0``.

    Raises
    ------
    FormatError
        If an id is missing.
    """
    values = column.to_list()
    texts = []
    for value in values:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        texts.append("" if value is None else str(value))
    empty = [row + 1 for row, text in enumerate(texts) if not text.strip()]
    if empty:
        raise FormatError(
            f"Column {column.name!r} has no id in data row {shown(empty)}. Fill it in, or remove "
            "the row.",
            path=path,
        )
    return texts


def _wanted(
    columns: Sequence[str] | Mapping[str, str] | None, known: Sequence[str], id_column: str
) -> dict[str, str]:
    if columns is None:
        chosen = {name: name for name in known if name != id_column}
    elif isinstance(columns, Mapping):
        chosen = dict(columns)
    else:
        chosen = {name: name for name in columns if name != id_column}
    if "sample" in chosen:
        raise InputError(
            "The result has its ids in the column 'sample'; give the other column named 'sample' "
            "a new name, with columns={new: old}, or take it as id."
        )
    return chosen
