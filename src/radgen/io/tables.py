"""Tables: CSV, TSV, Parquet and Excel, with text kept exact and odd cells listed."""

from __future__ import annotations

import logging
import re
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import polars as pl

from radgen._core.naming import did_you_mean
from radgen._core.require import require
from radgen.errors import FormatError, InputError, RadgenWarning, shown
from radgen.io._delimited import parse_delimited
from radgen.io._guard import check_zip, existing, inflate

__all__ = ["CellProblem", "TableReading", "load_table", "read_table", "table_problems"]

_LOG = logging.getLogger(__name__)

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", ".", "-", "--", "?", "nd", "n.a."})
"""Cells (case-blind, trimmed) that mean "missing" in a column of numbers."""

SPREADSHEET_ERRORS = frozenset(
    {"#NAME?", "#DIV/0!", "#REF!", "#VALUE!", "#N/A", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"}
)
"""Cells that a spreadsheet leaves where a formula failed."""

_ID_NAMES = frozenset(
    [
        "id",
        "ids",
        "subject",
        "subjectid",
        "subjectids",
        "patient",
        "patientid",
        "pid",
        "sample",
        "sampleid",
        "case",
        "caseid",
        "participant",
        "participantid",
        "barcode",
        "bcrpatientbarcode",
        "bcrsamplebarcode",
        "tumorsamplebarcode",
        "matchednormsamplebarcode",
        "iid",
        "fid",
        "eid",
        "mrn",
        "usubjid",
        "subjid",
        "key",
        "clc",
        "scan",
        "scanid",
        "session",
        "sessionid",
        "specimen",
        "specimenid",
        "gene",
        "geneid",
        "genename",
        "genesymbol",
        "symbol",
        "hugosymbol",
        "entrezgeneid",
        "ensemblgeneid",
        "probe",
        "probeid",
        "studyid",
    ]
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?|[+-]?\d{1,3}(\.\d{3})+(,\d+)?")
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+|[+-]?[1-9]\d{0,2}(\.\d{3})+")
_LEADING_ZERO = re.compile(r"[+-]?0\d+")
_MOSTLY = 2 / 3

Decimal = Literal["auto", ".", ","]


@dataclass(frozen=True, slots=True)
class CellProblem:
    """One cell that could not be read as its column asks.

    Attributes
    ----------
    line : int
        Row of data, the first below the header is 1.
    column : str
        Name of the column.
    value : str
        What stands there.
    reason : str
        Why it became missing.
    """

    line: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class TableReading:
    """A table and the list of the cells that became missing.

    Attributes
    ----------
    frame : polars.DataFrame
        The table.
    problems : tuple of CellProblem
        Cells of numeric columns that are no numbers.
    """

    frame: pl.DataFrame
    problems: tuple[CellProblem, ...]


def read_table(
    path: str | Path,
    *,
    sheet: str | None = None,
    text: Sequence[str] = (),
    decimal: Decimal = "auto",
) -> pl.DataFrame:
    """Return a table of a CSV, TSV, Parquet or Excel file.

    Parameters
    ----------
    path : str or Path
        The file, plain or gzipped. The content decides, not the suffix alone.
    sheet : str or None
        Sheet of a workbook; None = the only one.
    text : sequence of str
        Columns that stay text although they look like numbers. Columns that are named like
        ids (``id``, ``SubjectID``, ``Patient ID`` …) and columns with leading zeros always do.
    decimal : {"auto", ".", ","}
        The decimal mark; "auto" finds commas and refuses a table in which "1,234" alone could
        mean either.

    Returns
    -------
    polars.DataFrame
        Text exactly as in the file (an empty cell is null), numbers as Int64 or Float64.

    Warns
    -----
    RadgenWarning
        If cells of numeric columns are no numbers (``#NAME?`` …): they become null, and
        `table_problems` lists them.

    Raises
    ------
    FormatError
        If the file is broken: ragged rows, headers of the same name, unknown encoding.
    InputError
        If `text` or `sheet` names what is not there.
    """
    reading = load_table(path, sheet=sheet, text=text, decimal=decimal)
    warn_problems(path, reading.problems)
    return reading.frame


def table_problems(
    path: str | Path,
    *,
    sheet: str | None = None,
    text: Sequence[str] = (),
    decimal: Decimal = "auto",
) -> tuple[CellProblem, ...]:
    """Return the cells of numeric columns that are no numbers, in file order."""
    return load_table(path, sheet=sheet, text=text, decimal=decimal).problems


def load_table(
    path: str | Path,
    *,
    sheet: str | None = None,
    text: Sequence[str] = (),
    decimal: Decimal = "auto",
) -> TableReading:
    """Return a table and its problems, without a warning; see `read_table`."""
    where = existing(path, what="table")
    if decimal not in ("auto", ".", ","):
        raise InputError(f"decimal is 'auto', '.' or ',', not {decimal!r}.")
    with where.open("rb") as stream:
        magic = stream.read(8)
    if sheet is not None and magic[:4] != b"PK\x03\x04":
        raise InputError(f"{where.name} is no workbook: leave sheet out.")
    if magic[:4] == b"PAR1":
        return TableReading(_parquet(where), ())
    if magic[:4] == b"PK\x03\x04":
        raw = _excel(where, sheet)
    elif magic == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise FormatError("An old or protected workbook. Save it as .xlsx or .csv.", path=where)
    else:
        raw = parse_delimited(inflate(where, what="table"), where)
    unknown = [name for name in text if name not in raw.columns]
    if unknown:
        raise InputError(
            f"{where.name} has no column {unknown[0]!r}. {did_you_mean(unknown[0], raw.columns)}"
        )
    frame, problems = typed_columns(raw, frozenset(text), decimal, where)
    _LOG.info("%s: %d rows, %d columns", where.name, frame.height, frame.width)
    return TableReading(frame, tuple(problems))


def warn_problems(path: str | Path, problems: Sequence[CellProblem]) -> None:
    """Warn of cells that became missing, in one sentence."""
    if problems:
        columns = list(dict.fromkeys(item.column for item in problems))
        values = list(dict.fromkeys(item.value for item in problems))
        warnings.warn(
            f"{Path(path).name}: {len(problems)} cells of {len(columns)} numeric columns are no "
            f"numbers and became missing: {shown(values)}, in {shown(columns)}. "
            "table_problems(path) lists them.",
            RadgenWarning,
            stacklevel=3,
        )


def is_id_name(name: str) -> bool:
    """Return whether a column is named like an id."""
    return re.sub(r"[^a-z0-9]", "", name.lower()) in _ID_NAMES


def _parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise FormatError("The Parquet file is broken or cut off. Copy it again.", path=path) from (
            error
        )


def _excel(path: Path, sheet: str | None) -> pl.DataFrame:
    check_zip(path, what="workbook")
    import fastexcel

    try:
        book = fastexcel.read_excel(path)
        names = book.sheet_names
        if sheet is None and len(names) > 1:
            raise InputError(f"{path.name} has several sheets, name one: {shown(names, 20)}.")
        if sheet is not None and sheet not in names:
            raise InputError(f"{path.name} has no sheet {sheet!r}. {did_you_mean(sheet, names)}")
        loaded = book.load_sheet(sheet or names[0], header_row=None, dtypes="string")
        cells = _error_cells(loaded) if _has_error_cells(path) else loaded.to_polars()
    except fastexcel.FastExcelError as error:
        raise FormatError("The workbook is broken. Save it again as .xlsx.", path=path) from error
    if cells.height == 0:
        raise FormatError("The sheet is empty.", path=path)
    header = ["" if cell is None else str(cell) for cell in cells.row(0)]
    return named_columns(cells.slice(1), header, path)


_ERROR_TEXTS = {
    "Div0": "#DIV/0!",
    "NA": "#N/A",
    "Name": "#NAME?",
    "Null": "#NULL!",
    "Num": "#NUM!",
    "Ref": "#REF!",
    "Value": "#VALUE!",
}


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


def named_columns(cells: pl.DataFrame, header: list[str], path: Path) -> pl.DataFrame:
    """Return text columns under checked names.

    Raises
    ------
    FormatError
        If two columns have one name.
    """
    names = [name.strip() or f"column_{j + 1}" for j, name in enumerate(header)]
    seen: dict[str, int] = {}
    for j, name in enumerate(names):
        if name in seen:
            raise FormatError(
                f"Columns {seen[name] + 1} and {j + 1} are both named {name!r}. Rename one.",
                path=path,
                line=1,
            )
        seen[name] = j
    out = cells.rename(dict(zip(cells.columns, names, strict=True)))
    return out.with_columns(pl.all().replace("", None))


def typed_columns(
    raw: pl.DataFrame, text: frozenset[str], decimal: Decimal, path: Path
) -> tuple[pl.DataFrame, list[CellProblem]]:
    found: list[pl.Series] = []
    problems: list[CellProblem] = []
    commas = _comma_decimals(raw, text, decimal, path)
    for name in raw.columns:
        column = raw[name]
        if name in text or is_id_name(name):
            found.append(column)
            continue
        numbers, wrong = _numeric(column, commas)
        if numbers is None:
            found.append(column)
        else:
            found.append(numbers)
            problems += wrong
    problems.sort(key=lambda item: item.line)
    return pl.DataFrame(found), problems


def _comma_decimals(raw: pl.DataFrame, text: frozenset[str], decimal: Decimal, path: Path) -> bool:
    """Return whether numbers are written as 1.234,5; refuse what could be either."""
    if decimal != "auto":
        return decimal == ","
    doubtful: str | None = None
    for name in raw.columns:
        if name in text or is_id_name(name):
            continue
        cells = raw[name].drop_nulls()
        with_comma = cells.filter(cells.str.contains(",", literal=True))
        if with_comma.is_empty():
            continue
        values = [value.strip() for value in with_comma.to_list()]
        if not all(_COMMA.fullmatch(value) or _EITHER.fullmatch(value) for value in values):
            continue
        if all(_EITHER.fullmatch(value) for value in values):
            doubtful = doubtful or name
        else:
            return True
    if doubtful is not None:
        raise FormatError(
            f"Column {doubtful!r} writes numbers like 1,234, which may be one thousand or one "
            "point two. Pass decimal=',' or decimal='.'.",
            path=path,
        )
    return False


def _numeric(column: pl.Series, commas: bool) -> tuple[pl.Series | None, list[CellProblem]]:
    """Return the column as numbers and its odd cells, or None where it is text."""
    quick = _all_numbers(column)
    if quick is not None:
        return quick, []
    values: list[float | None] = []
    wrong: list[CellProblem] = []
    n_numbers = n_errors = n_other = 0
    for row, cell in enumerate(column.to_list()):
        trimmed = "" if cell is None else cell.strip()
        if trimmed.lower() in MISSING:
            values.append(None)
            continue
        number = _as_number(trimmed, commas)
        if number is not None:
            n_numbers += 1
            if _LEADING_ZERO.fullmatch(trimmed):
                return None, []
        elif trimmed.upper() in SPREADSHEET_ERRORS:
            n_errors += 1
            wrong.append(CellProblem(row + 1, column.name, trimmed, "spreadsheet error"))
        else:
            n_other += 1
            wrong.append(CellProblem(row + 1, column.name, trimmed, "not a number"))
        values.append(number)
    filled = n_numbers + n_other
    if (filled and n_numbers / filled < _MOSTLY) or not filled + n_errors:
        return None, []
    out = pl.Series(column.name, values, dtype=pl.Float64)
    whole = n_numbers and out.drop_nulls().is_finite().all() and _whole(column, values)
    return (out.cast(pl.Int64) if whole else out), wrong


def _all_numbers(column: pl.Series) -> pl.Series | None:
    """Return the numbers of a column in which every filled cell is one; the fast way."""
    cells = column.drop_nulls()
    if cells.is_empty():
        return None
    if not cells.str.contains(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$").all():
        return None
    if cells.str.contains(r"^[+-]?0\d").any():
        return None
    if cells.str.contains(r"^[+-]?\d{1,18}$").all():
        return column.str.strip_prefix("+").cast(pl.Int64)
    return column.str.strip_prefix("+").cast(pl.Float64)


def _whole(column: pl.Series, values: list[float | None]) -> bool:
    cells = column.to_list()
    return all(
        value is None or re.fullmatch(r"\s*[+-]?\d{1,15}\s*", cells[row] or "") is not None
        for row, value in enumerate(values)
    )


def _as_number(cell: str, commas: bool) -> float | None:
    if commas:
        if _COMMA.fullmatch(cell):
            return float(cell.replace(".", "").replace(",", "."))
        return float(cell) if re.fullmatch(r"[+-]?\d+([eE][+-]?\d+)?", cell) else None
    if "," in cell and _EITHER.fullmatch(cell):
        return float(cell.replace(",", ""))
    return float(cell) if _NUMBER.fullmatch(cell) else None
