"""Read tables as people keep them: CSV, TSV, Parquet, Excel, with their dirt listed."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl

from radgen._core.require import require
from radgen.errors import FormatError, InputError, shown
from radgen.io._delimited import decode, sniff
from radgen.io._guard import check_zip, inflate

__all__ = [
    "BLANKS",
    "DirtyCell",
    "numeric_columns",
    "read_table",
    "table_problems",
    "text_of",
    "to_numbers",
]

BLANKS = frozenset(
    {"", "na", "n/a", "nan", "null", "none", "#n/a", ".", "-", "not available", "[not available]"}
)
"""Cells that mean "missing", compared in lower case without surrounding spaces."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+(,\d+)?([eE][+-]?\d+)?|[+-]?\d{1,3}(\.\d{3})+,\d+")
_EITHER = re.compile(r"[+-]?([1-9]\d{0,2}(,\d{3})+|\d+)")
_ERROR_TEXTS = {
    "Div0": "#DIV/0!",
    "NA": "#N/A",
    "Name": "#NAME?",
    "Null": "#NULL!",
    "Num": "#NUM!",
    "Ref": "#REF!",
    "Value": "#VALUE!",
}

DirtyCell = tuple[int, str, str]
"""Row (1 = first data row), column name, the cell's text."""


def read_table(path: str | Path, *, sheet: str | None = None, comment: str = "") -> pl.DataFrame:
    """Return a table with every cell as text, exactly as it stands in the file.

    Parameters
    ----------
    path : str or Path
        .csv, .tsv, .txt (also .gz), .parquet or .xlsx. The delimiter (comma, tab, semicolon; spaces
        where the header begins with FID or IID, as PLINK writes it) and the encoding (UTF-8,
        UTF-16, else Latin-1) are recognised. Parquet keeps its types.
    sheet : str or None
        Sheet of an Excel file; None = the only one that holds a table.
    comment : str, default ""
        Lines of a text table that begin so are passed over; "" = none.

    Returns
    -------
    polars.DataFrame
        Text columns (ids keep their leading zeros); blank cells are null. Titles above the header
        (rows with a single cell) and blank rows are passed over. Turn columns into numbers with
        `to_numbers`, which lists what is no number.

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

    if not zipfile.is_zipfile(path):
        raise FormatError("Not a readable Excel file. Save it as .xlsx or .csv.", path=path)
    check_zip(path, what="workbook")
    try:
        book = fastexcel.read_excel(str(path))
    except fastexcel.FastExcelError as error:
        raise FormatError("Not a readable Excel file.", path=path) from error
    names = book.sheet_names
    if sheet is not None and sheet not in names:
        raise InputError(f"{path}: no sheet {sheet!r}. Sheets: {shown(names, 20)}.")
    errors = _has_error_cells(path)
    try:
        found = {
            name: _sheet_rows(book.load_sheet(name, header_row=None, dtypes="string"), errors)
            for name in ([sheet] if sheet is not None else names)
        }
    except fastexcel.FastExcelError as error:
        raise FormatError("The sheet cannot be read. Save it again.", path=path) from error
    tables = [name for name, rows in found.items() if _title_rows(rows) + 2 <= len(rows)]
    if sheet is None and len(names) > 1 and len(tables) != 1:
        raise InputError(
            f"{path} has several sheets with tables; name one (sheet = … of a study file) or save "
            f"it as a file of its own. Sheets: {shown(tables or names, 20)}."
        )
    return _frame(found[tables[0] if len(names) > 1 and tables else next(iter(found))], path)


def _sheet_rows(sheet: Any, errors: bool) -> list[list[str]]:
    table = _error_cells(sheet) if errors else sheet.to_polars()
    return [["" if cell is None else str(cell) for cell in row] for row in table.iter_rows()]


def _title_rows(rows: Sequence[Sequence[str]]) -> int:
    """Return how many titles and blank rows stand above the header; all if there is none.

    A title is a cell beside which nothing stands. In a table of two columns that may be a header
    whose second column has no name, and is one unless a blank row follows.
    """
    for k, row in enumerate(rows):
        filled = [bool(cell.strip()) for cell in row]
        alone = any(filled) and filled[0] and sum(filled) == 1
        apart = k + 1 < len(rows) and not any(cell.strip() for cell in rows[k + 1])
        if any(filled) and not (alone and (len(row) != 2 or apart)):
            return k
    return len(rows)


def _has_error_cells(path: Path) -> bool:
    """Return whether a cell of the workbook is marked as an error."""
    with zipfile.ZipFile(path) as archive:
        return any(
            b't="e"' in archive.read(name)
            for name in archive.namelist()
            if name.startswith("xl/worksheets/") and name.endswith(".xml")
        )


def _error_cells(sheet: Any) -> pl.DataFrame:
    """Return the cells of a sheet with the errors as text, which are null otherwise."""
    require("pyarrow", extra="pandas")
    batch, errors = sheet.to_arrow_with_errors()
    cells = cast(pl.DataFrame, pl.from_arrow(batch))
    columns = {name: cells[name].to_list() for name in cells.columns}
    for error in errors.errors if errors is not None else ():
        row, column = error.offset_position
        kind = re.search(r"Error\((\w+)\)", error.detail)
        text = _ERROR_TEXTS.get(kind[1] if kind else "", "#VALUE!")
        columns[cells.columns[column]][row] = text
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _read_text(path: Path, comment: str) -> pl.DataFrame:
    text = decode(inflate(path, what="table"), path)
    if comment:
        lines = text.splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith(comment))
    if not text.strip():
        raise FormatError("The file is empty.", path=path)
    if _is_plink(text):
        return _frame(
            [line.split() for line in text.lstrip("#").splitlines() if line.split()], path
        )
    delimiter = _delimiter(text, path)
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            if row
        ]
    except csv.Error as error:
        raise FormatError(
            f"Not a readable table: {error} (a quote that is not closed?).", path=path
        ) from error
    return _frame(rows, path)


def _is_plink(text: str) -> bool:
    """Return whether fields are parted by spaces, as PLINK writes phenotypes and covariates."""
    header = text.split("\n", 1)[0]
    names = header.split()
    return (
        len(names) > 1 and names[0].lstrip("#") in ("FID", "IID") and not set(header) & set("\t,;|")
    )


def _delimiter(text: str, path: Path) -> str:
    stem = path.name.lower().removesuffix(".gz")
    header = text.split("\n", 1)[0]
    if stem.endswith((".tsv", ".tab", ".maf", ".gct")) and "\t" in header:
        return "\t"
    return sniff(text)


def _frame(rows: list[list[str]], path: Path) -> pl.DataFrame:
    above = _title_rows(rows)
    above = above if above < len(rows) else 0
    rows = rows[above:]
    rows = [*rows[:1], *(row for row in rows[1:] if any(cell.strip() for cell in row))]
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
            f"Columns of the same name: {shown(twice)}. Rename one of each.", path=path,
            line=above + 1,
        )  # fmt: skip
    for line, row in enumerate(rows[1:], above + 2):
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
    Decimal commas are read as such where *every* number of the column is written so. A column in
    which each comma could as well part thousands (1,234) is not guessed: its cells are dirty.
    """
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return column.cast(pl.Float64), []
    if column.dtype == pl.Null:
        return column.cast(pl.Float64), []
    if column.dtype == pl.String:
        quick = column.str.strip_chars().cast(pl.Float64, strict=False)
        if quick.null_count() == column.null_count() and quick.is_finite().all():
            return quick, []
    texts = [None if cell is None else str(cell).strip() for cell in column.to_list()]
    known = [cell for cell in texts if cell is not None and cell.lower() not in BLANKS]
    comma = any("," in cell for cell in known) and not all(map(_EITHER.fullmatch, known))
    comma = comma and all(map(_COMMA.fullmatch, known))
    numbers: list[float | None] = []
    dirty: list[DirtyCell] = []
    for row, cell in enumerate(texts, 1):
        if cell is None or cell.lower() in BLANKS:
            numbers.append(None)
            continue
        if not (_COMMA if comma else _NUMBER).fullmatch(cell):
            dirty.append((row, column.name, cell))
            numbers.append(None)
            continue
        value = float(cell.replace(".", "").replace(",", ".") if comma else cell)
        numbers.append(value if abs(value) != float("inf") else None)
    return pl.Series(column.name, numbers, dtype=pl.Float64), dirty


def table_problems(path: str | Path, *, sheet: str | None = None) -> list[DirtyCell]:
    """Return the cells that are no numbers in columns most of whose cells are.

    Parameters
    ----------
    path : str or Path
        As `read_table` takes it.
    sheet : str or None
        Sheet of an Excel file.

    Returns
    -------
    list of (row, column, text)
        By row; row 1 is the first row of data.
    """
    frame = read_table(path, sheet=sheet)
    found: list[DirtyCell] = []
    for name in frame.columns:
        if frame[name].cast(pl.String).str.contains(r"^0\d").any():
            continue  # ids and codes
        numbers, dirty = to_numbers(frame[name])
        wrong = [cell for cell in dirty if not is_spreadsheet_error(cell[2])]
        n_numbers = numbers.len() - numbers.null_count()
        if n_numbers * 2 > n_numbers + len(wrong) or (dirty and not wrong):
            found += dirty
    return sorted(found)


def is_spreadsheet_error(cell: str) -> bool:
    """Return whether a cell is what a spreadsheet leaves where a formula failed."""
    return cell.upper() in _ERROR_TEXTS.values()


def text_of(column: pl.Series, *, path: str | Path) -> list[str]:
    """Return ids or names as text; raise where one is missing.

    Raises
    ------
    FormatError
        If a cell is empty; the message names the data rows.
    """
    texts = []
    for value in column.to_list():
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        texts.append("" if whole is None else str(whole))
    empty = [row for row, text in enumerate(texts, 1) if not text.strip()]
    if empty:
        raise FormatError(
            f"Column {column.name!r} is empty in data row {shown(empty)}. Fill it in, or remove "
            "the row.",
            path=path,
        )
    return texts


def numeric_columns(frame: pl.DataFrame, names: list[str]) -> tuple[pl.DataFrame, list[DirtyCell]]:
    """Return the named columns as float64, and all cells among them that are no number."""
    columns, dirty = [], []
    for name in names:
        numbers, bad = to_numbers(frame[name])
        columns.append(numbers)
        dirty.extend(bad)
    return pl.DataFrame(columns), dirty
