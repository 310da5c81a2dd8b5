"""Text tables with a row a sample, as genetics tools write them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate, pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import iter_units
from radgen._core.id_names import FAMILY_NAMES, first_id_name
from radgen._core.threads import n_threads
from radgen._native import _table
from radgen.errors import FormatError, InputError, RadgenWarning, shown
from radgen.io.tables import BLANKS, is_spreadsheet_error, read_table, to_numbers
from radgen.types.number_table import NumberTable

__all__ = ["read_sample_columns", "read_sample_table"]

_MISSING = ["NA", "NaN", "nan", ".", "#N/A"]
_PIECE = 8 << 20
_LOOK = 1 << 15
_NAME, _NUMBER, _WORDS = 0, 1, 2
"""Of a column: text that is never missing, a number, text that may be missing."""
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]*")
_NO_WORDS = frozenset({*BLANKS, "inf", "infinity"})
_TEXTS = (
    *FAMILY_NAMES,
    "chrom",
    "CHROM",
    "ref",
    "alt",
    "allele",
    "A1",
    "id",
    "ID",
    "sample",
    "IID",
)
_ELSEWHERE = (".gz", ".xlsx", ".xlsm", ".xls", ".ods")


def read_sample_columns(path: str | Path) -> NumberTable | pl.DataFrame:
    """Return a table as `read_sample_table` does; arrays where it is plain text.

    A scan of plain tables needs no data frame library, which takes long to load.

    Parameters
    ----------
    path : str or Path
        As for `read_sample_table`.

    Raises
    ------
    FormatError, InputError
        As `read_sample_table`.
    """
    file = Path(path)
    if not file.exists():
        raise FormatError("does not exist.", path=file)
    plain = None
    if file.suffix.lower() not in (".parquet", *_ELSEWHERE):
        plain = _plain(file)
    return _frame(file) if plain is None else plain


def read_sample_table(path: str | Path) -> pl.DataFrame:
    """Return a phenotype or covariate table.

    Parameters
    ----------
    path : str or Path
        Parquet, Excel, or text with a header line (also .gz): fields parted by tabs, commas,
        semicolons, or one or more spaces; ``NA``, ``NaN``, ``#N/A``, ``.`` and empty fields are
        missing. A leading "#" of the header is dropped.

    Returns
    -------
    polars.DataFrame
        Ids, chromosomes and alleles as text, other columns as numbers where all their
        values are numbers, else as text. What a spreadsheet leaves where a formula failed
        (``#NAME?``) is missing in a column of numbers, and a warning names the cells.

    Raises
    ------
    FormatError
        If the file is missing, empty, or a line has another number of fields than the header.
    InputError
        If two columns bear the same name.
    """
    found = read_sample_columns(path)
    return found.to_frame() if isinstance(found, NumberTable) else found


def _frame(file: Path) -> pl.DataFrame:
    """Return a table that is no plain text of numbers."""
    if file.suffix.lower() == ".parquet":
        try:
            return pl.read_parquet(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise FormatError(f"is no readable Parquet file: {error}", path=file) from error
    table = _text(file) if file.suffix.lower() not in _ELSEWHERE else read_table(file)
    names = [name.lstrip("#") for name in table.columns]
    if len(set(names)) < len(names):
        raise InputError(f"{file}: two columns bear the same name.")
    table.columns = names
    texts = {*_TEXTS, first_id_name(names)}
    return table.with_columns(_typed(table[name], file) for name in names if name not in texts)


def _text(file: Path) -> pl.DataFrame:
    """Return a text table; cells are text or, where all are numbers, numbers."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            head = stream.readline()
        if not head.strip():
            raise FormatError("has no header line.", path=file)
        if ";" in head and not {",", "\t"} & set(head):
            return read_table(file)
        return _parted(file.read_text("utf-8-sig"), head, file)
    except UnicodeDecodeError:
        return read_table(file)
    except OSError as error:
        raise FormatError(f"cannot be read: {error}", path=file) from error


def _plain(file: Path) -> NumberTable | None:
    """Return a text table whose columns are ids, plain numbers and words; None of any other.

    A wide table of numbers takes a third of the memory that it takes as text.
    """
    try:
        with file.open("rb") as stream:
            head = stream.readline()
            counts = [piece.count(b"\n") + (piece[-1:] != b"\n") for piece in _pieces(stream)]
            names, mark = _header(head)
            odd = b'"' in head or not all(names) or len(set(names)) < len(names)
            if odd or mark is None:
                return None
            stream.seek(len(head))
            kinds = _kinds(names, mark, stream.read(_LOOK))
            n_numbers = kinds.count(_NUMBER)
            if not n_numbers:
                return None
            stream.seek(len(head))
            values = np.empty((sum(counts), n_numbers))
            texts = _lines(stream, counts, ord(mark), kinds, values)
    except (OSError, UnicodeDecodeError):
        return None  # the reader of all tables says why
    if texts is None:
        return None
    values.setflags(write=False)
    bare = [name for name, kind in zip(names, kinds, strict=True) if kind != _NUMBER]
    return NumberTable(tuple(names), dict(zip(bare, texts, strict=True)), values)


def _lines(
    stream: BinaryIO, counts: list[int], mark: int, kinds: bytes, values: NDArray[np.float64]
) -> list[list[str | None]] | None:
    """Fill in the numbers of the lines that follow, `counts` a piece; return the other columns.

    None where a line is not plain. Large files are read in threads.
    """
    n_texts = len(kinds) - values.shape[1]
    texts: list[list[str | None]] = [[] for _ in range(n_texts)]

    def read(unit: tuple[bytes, tuple[int, int]]) -> list[list[str | None]] | None:
        piece, (low, high) = unit
        raw = piece.replace(b"\r\n", b"\n") if b"\r" in piece else piece
        spans = np.empty((high - low, n_texts, 2), np.int64)
        if _table.plain_lines(raw, mark, kinds, values[low:high], spans) != high - low:
            return None
        return [
            [raw[at:end].decode() if at >= 0 else None for at, end in places.tolist()]
            for places in spans.transpose(1, 0, 2)
        ]

    units = zip(_pieces(stream), pairwise(accumulate(counts, initial=0)), strict=True)
    with ExitStack() as stack:
        workers = min(n_threads(), len(counts))
        pool = stack.enter_context(ThreadPoolExecutor(workers)) if workers > 1 else None
        for found in iter_units(read, units, executor=pool, ahead=workers + 1):
            if found is None:
                return None
            for column, cells in zip(texts, found, strict=True):
                column += cells
    return texts


def _kinds(names: list[str], mark: str, first: bytes) -> bytes:
    """Return of each column whether it holds ids, numbers or words, by the first lines.

    One cell that is a word makes a column text, also to the reader of all tables.
    """
    lines = [line.split(mark) for line in first.decode("utf-8", "replace").splitlines()[:-1]]
    whole = [cells for cells in lines if len(cells) == len(names)]
    named = {*_TEXTS, first_id_name(names)}
    columns = zip(*whole, strict=True) if whole else ((),) * len(names)
    return bytes(
        _NAME if name in named else _WORDS if any(map(_is_word, cells)) else _NUMBER
        for name, cells in zip(names, columns, strict=True)
    )


def _is_word(cell: str) -> bool:
    """Return whether a cell is neither a number nor missing to any reader."""
    return _WORD.fullmatch(cell) is not None and cell.lower() not in _NO_WORDS


def _header(head: bytes) -> tuple[list[str], str | None]:
    """Return the names of a header line without "#", and what parts them, if it is one sign."""
    text = head.decode("utf-8-sig").rstrip("\r\n")
    mark = "\t" if "\t" in text else "," if "," in text else None if ";" in text else " "
    return [name.lstrip("#") for name in text.split(mark or ";")], mark


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines that follow, about 16 MiB at a time."""
    rest = b""
    while piece := stream.read(_PIECE):
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield rest + piece[:cut]
            rest = b""
        rest += piece[cut:]
    if rest:
        yield rest


def _parted(text: str, head: str, file: Path) -> pl.DataFrame:
    mark = "\t" if "\t" in head else "," if "," in head else " "
    simple = mark != " " or ("  " not in text and "\t" not in text and " \n" not in text)
    if simple:
        try:
            return pl.read_csv(
                text.encode(), separator=mark, infer_schema=False, null_values=["", *_MISSING]
            )
        except pl.exceptions.PolarsError as error:
            if mark != " ":
                _check_widths(text, mark, file)
                reason = str(error).partition("\n")[0]
                raise FormatError(f"is no regular table: {reason}", path=file) from error
    lines = [line.split() for line in text.splitlines() if line.strip()]
    width = len(lines[0])
    for number, line in enumerate(lines[1:], 2):
        if len(line) != width:
            raise FormatError(
                f"has {len(line)} fields; the header has {width}.", path=file, line=number
            )
    rows = [[None if item in _MISSING else item for item in line] for line in lines[1:]]
    return pl.DataFrame(rows, schema=dict.fromkeys(lines[0], pl.String), orient="row")


def _check_widths(text: str, mark: str, file: Path) -> None:
    """Refuse a table whose lines have different numbers of fields; name the line."""
    lines = text.splitlines()
    width = lines[0].count(mark) + 1
    for number, line in enumerate(lines[1:], 2):
        found = line.count(mark) + 1
        if line.strip() and '"' not in line and found > width:
            raise FormatError(
                f"has {found} fields; the header has {width}.", path=file, line=number
            )


def _typed(column: pl.Series, file: Path) -> pl.Series:
    """Return numbers where all cells are; cells of failed formulas are then missing."""
    if column.dtype != pl.String:
        return column
    values = column.cast(pl.Float64, strict=False)
    if values.null_count() == column.null_count():
        return values
    numbers, dirty = to_numbers(column)
    if not all(is_spreadsheet_error(cell) for _, _, cell in dirty) or numbers.is_null().all():
        return column
    if dirty:
        cells = shown([f"{cell} in row {row}" for row, _, cell in dirty])
        warnings.warn(
            f"{file}: column {column.name!r} counts as missing where a formula failed: {cells}.",
            RadgenWarning,
            stacklevel=3,
        )
    return numbers
