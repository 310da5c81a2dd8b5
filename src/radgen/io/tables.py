"""Read tables as people keep them: CSV, TSV, Parquet, Excel, with their dirt listed."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from pathlib import Path

import polars as pl

from radgen.errors import FormatError, InputError, shown

__all__ = ["BLANKS", "DirtyCell", "numeric_columns", "read_table", "to_numbers"]

BLANKS = frozenset(
    {"", "na", "n/a", "nan", "null", "none", "#n/a", ".", "-", "not available", "[not available]"}
)
"""Cells that mean "missing", compared in lower case without surrounding spaces."""

MAX_BYTES = 4 << 30
_TEXT = (".csv", ".tsv", ".txt", ".tab", ".maf", ".gct")
_DECIMAL_COMMA = re.compile(r"^-?\d+,\d+$")

DirtyCell = tuple[int, str, str]
"""Row (1 = first data row), column name, the cell's text."""


def read_table(path: str | Path, *, sheet: str | None = None, comment: str = "") -> pl.DataFrame:
    """Return a table with every cell as text, exactly as it stands in the file.

    Parameters
    ----------
    path : str or Path
        .csv, .tsv, .txt (also .gz), .parquet or .xlsx. The delimiter (comma, tab, semicolon) and
        the encoding (UTF-8, UTF-16, else Latin-1) are recognised. Parquet keeps its types.
    sheet : str or None
        Sheet of an Excel file; None = the first.
    comment : str, default ""
        Lines of a text table that begin so are passed over; "" = none.

    Returns
    -------
    polars.DataFrame
        Text columns (ids keep their leading zeros); blank cells are null. Turn columns into
        numbers with `to_numbers`, which lists what is no number.

    Raises
    ------
    FormatError
        If the file is missing, empty, damaged, has two columns of one name, or a row of
        another length than the header.
    """
    place = Path(path)
    if not place.is_file():
        raise FormatError("There is no such file.", path=place)
    name = place.name.lower()
    if name.endswith(".parquet"):
        try:
            return pl.read_parquet(place)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise FormatError("Not a readable Parquet file.", path=place) from error
    if name.endswith((".xlsx", ".xlsm", ".xls", ".ods")):
        return _read_excel(place, sheet)
    return _read_text(place, comment)


def _read_excel(path: Path, sheet: str | None) -> pl.DataFrame:
    import fastexcel

    try:
        book = fastexcel.read_excel(str(path))
    except fastexcel.FastExcelError as error:
        raise FormatError("Not a readable Excel file.", path=path) from error
    names = book.sheet_names
    if sheet is not None and sheet not in names:
        raise InputError(f"{path}: no sheet {sheet!r}. Sheets: {shown(names, 20)}.")
    table = book.load_sheet(sheet or names[0], header_row=None, dtypes="string").to_polars()
    rows = [["" if cell is None else str(cell) for cell in row] for row in table.iter_rows()]
    return _frame(rows, path)


def _read_text(path: Path, comment: str) -> pl.DataFrame:
    text = _decode(_bytes(path), path)
    if comment:
        lines = text.splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith(comment))
    if not text.strip():
        raise FormatError("The file is empty.", path=path)
    delimiter = _delimiter(text, path)
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row
        ]
    except csv.Error as error:
        raise FormatError(f"Not a readable table: {error}.", path=path) from error
    return _frame(rows, path)


def _bytes(path: Path) -> bytes:
    if path.name.lower().endswith(".gz"):
        try:
            with gzip.open(path) as stream:
                data = stream.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError("The gzip file is damaged or truncated.", path=path) from error
    else:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise FormatError("The table is larger than 4 GiB; convert it to Parquet.", path=path)
    return data


def _decode(data: bytes, path: Path) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise FormatError("The file is damaged UTF-16 text.", path=path) from error
    if b"\0" in data[:65536]:
        raise FormatError("This is a binary file, not a text table.", path=path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _delimiter(text: str, path: Path) -> str:
    stem = path.name.lower().removesuffix(".gz")
    header = text.split("\n", 1)[0]
    counts = {mark: header.count(mark) for mark in ("\t", ",", ";")}
    if stem.endswith((".tsv", ".tab", ".maf")) and counts["\t"]:
        return "\t"
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ","


def _frame(rows: list[list[str]], path: Path) -> pl.DataFrame:
    if not rows:
        raise FormatError("The table is empty.", path=path)
    header = [cell.strip() for cell in rows[0]]
    while (
        header
        and not header[-1]
        and all(len(r) < len(header) or not r[len(header) - 1].strip() for r in rows[1:])
    ):
        header = header[:-1]
        rows = [row[: len(header)] if len(row) > len(header) else row for row in rows]
    if not header:
        raise FormatError("The header names no column.", path=path, line=1)
    header = [name or f"column_{k + 1}" for k, name in enumerate(header)]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FormatError(
            f"Columns of the same name: {shown(twice)}. Rename one of each.", path=path, line=1
        )
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise FormatError(
                f"The row has {len(row)} cells, the header {len(header)} "
                "(a delimiter inside a cell without quotes?).",
                path=path,
                line=line,
            )
    columns = {
        name: [cell if (cell := row[k].strip()) else None for row in rows[1:]]
        for k, name in enumerate(header)
    }
    return pl.DataFrame(columns, schema=dict.fromkeys(header, pl.String))


def to_numbers(column: pl.Series) -> tuple[pl.Series, list[DirtyCell]]:
    """Return a text column as float64, and the cells that are no number.

    Parameters
    ----------
    column : polars.Series
        Text; numeric columns are only cast.

    Returns
    -------
    numbers : polars.Series of float64
        Blank cells (`BLANKS`) and cells that are no number are null.
    dirty : list of (row, column, text)
        Cells such as ``#NAME?`` that are neither blank nor a number.

    Notes
    -----
    Decimal commas are read as such where *every* number of the column is written so.
    """
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return column.cast(pl.Float64), []
    if column.dtype == pl.Null:
        return column.cast(pl.Float64), []
    texts = [None if cell is None else str(cell).strip() for cell in column.to_list()]
    known = [cell for cell in texts if cell is not None and cell.lower() not in BLANKS]
    comma = (
        bool(known)
        and any("," in cell for cell in known)
        and all(_DECIMAL_COMMA.match(cell) or cell.lstrip("-").isdigit() for cell in known)
    )
    numbers: list[float | None] = []
    dirty: list[DirtyCell] = []
    for row, cell in enumerate(texts, 1):
        if cell is None or cell.lower() in BLANKS:
            numbers.append(None)
            continue
        try:
            value = float(cell.replace(",", ".") if comma else cell)
        except ValueError:
            dirty.append((row, column.name, cell))
            numbers.append(None)
        else:
            numbers.append(value if abs(value) != float("inf") else None)
    return pl.Series(column.name, numbers, dtype=pl.Float64), dirty


def numeric_columns(frame: pl.DataFrame, names: list[str]) -> tuple[pl.DataFrame, list[DirtyCell]]:
    """Return the named columns as float64, and all cells among them that are no number."""
    columns, dirty = [], []
    for name in names:
        numbers, bad = to_numbers(frame[name])
        columns.append(numbers)
        dirty.extend(bad)
    return pl.DataFrame(columns), dirty
