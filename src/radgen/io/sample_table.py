"""Text tables with a row a sample, as genetics tools write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from radgen.errors import FormatError, InputError

__all__ = ["read_sample_table"]

_MISSING = ["NA", "NaN", "nan", ".", "#N/A"]
_PIECE = 16 << 20
_IDS = ("FID", "IID", "sample", "id", "ID", "chrom", "CHROM", "ref", "alt", "allele", "A1")


def read_sample_table(path: str | Path) -> pl.DataFrame:
    """Return a phenotype or covariate table.

    Parameters
    ----------
    path : str or Path
        Parquet, or text with a header line: fields parted by tabs, commas, or one or more
        spaces; ``NA``, ``NaN``, ``#N/A``, ``.`` and empty fields are missing. A leading "#" of the
        header is dropped.

    Returns
    -------
    polars.DataFrame
        Ids, chromosomes and alleles as text, other columns as numbers where all their
        values are numbers, else as text.

    Raises
    ------
    FormatError
        If the file is missing, empty, or a line has another number of fields than the header.
    InputError
        If two columns bear the same name.
    """
    file = Path(path)
    if not file.exists():
        raise FormatError("does not exist.", path=file)
    if file.suffix.lower() == ".parquet":
        try:
            return pl.read_parquet(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise FormatError(f"is no readable Parquet file: {error}", path=file) from error
    try:
        with file.open(encoding="utf-8-sig") as stream:
            head = stream.readline()
        if not head.strip():
            raise FormatError("has no header line.", path=file)
        table = _numeric(file, head)
        if table is None:
            table = _parted(file.read_text("utf-8-sig"), head, file)
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot be read as UTF-8 text: {error}", path=file) from error
    names = [name.lstrip("#") for name in table.columns]
    if len(set(names)) < len(names):
        raise InputError(f"{file}: two columns bear the same name.")
    table.columns = names
    return table.with_columns(_typed(table[name]) for name in names)


def _numeric(file: Path, head: str) -> pl.DataFrame | None:
    """Return a table whose columns but the ids are numbers, parsed as such; None for others.

    A wide table of numbers takes a third of the memory that it takes as text.
    """
    mark = "\t" if "\t" in head else "," if "," in head else " "
    names = head.rstrip("\r\n").split(mark)
    schema: dict[str, Any] = {
        name: pl.String if name.lstrip("#") in _IDS or not name else pl.Float64 for name in names
    }
    if "" in schema or len(schema) < len(names) or '"' in head:
        return None
    reading = {"separator": mark, "schema": schema, "null_values": ["", *_MISSING]}
    try:
        if file.stat().st_size <= _PIECE:
            return pl.read_csv(file, **reading)
        return pl.concat(
            [pl.read_csv(piece, has_header=False, **reading) for piece in _pieces(file)]
        )
    except pl.exceptions.PolarsError:
        return None


def _pieces(file: Path) -> Iterator[bytes]:
    """Yield the lines after the first, about 16 MiB at a time.

    A reader that is given a large file whole holds more than twice what the table takes.
    """
    with file.open("rb") as stream:
        stream.readline()
        rest = b""
        while piece := stream.read(_PIECE):
            cut = piece.rfind(b"\n") + 1
            if cut:
                yield rest + piece[:cut]
                rest = b""
            rest += piece[cut:]
        if rest.strip():
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


def _typed(column: pl.Series) -> pl.Series:
    if column.name in _IDS:
        return column
    values = column.cast(pl.Float64, strict=False)
    return column if values.null_count() > column.null_count() else values
