"""Delimited text: encoding, delimiter and row lengths are checked before it is parsed."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl

from radgen.errors import FormatError

__all__ = ["decode", "parse_delimited"]

_DELIMITERS = (",", "\t", ";", "|")


def decode(data: bytes, path: Path) -> str:
    """Return text of UTF-8 (with or without BOM), UTF-16 with BOM or Latin-1 bytes.

    Raises
    ------
    FormatError
        If the bytes are no text.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise FormatError("The UTF-16 text is cut off.", path=path) from error
    if b"\x00" in data[: 1 << 20] or (data and b"\x00" in data[-4096:]):
        raise FormatError(
            "Binary content; needed is a CSV, TSV, Parquet or Excel table.", path=path
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
        odd = sum(not (ch.isprintable() or ch in "\r\n\t") for ch in text[:20000])
        if odd > len(text[:20000]) * 0.02:
            raise FormatError(
                "Not text in UTF-8 or Latin-1; needed is a CSV, TSV, Parquet or Excel table.",
                path=path,
            ) from None
        return data.decode("latin-1") if "\ufffd" in text else text


def parse_delimited(data: bytes, path: Path) -> pl.DataFrame:
    """Return all cells as text under their column names.

    Raises
    ------
    FormatError
        If a row is longer or shorter than the header, or two headers are the same.
    """
    from radgen.io.tables import named_columns

    text = decode(data, path).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise FormatError("The table is empty.", path=path)
    delimiter = sniff(text)
    rows = _rows(text, delimiter, path)
    header = rows[0]
    width = len(header)
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != width:
            raise FormatError(
                f"Row {line} has {len(row)} cells, the header {width} (delimiter "
                f"{delimiter!r}). A quote or a delimiter is missing or too many there.",
                path=path,
                line=line,
            )
    columns = list(zip(*rows[1:], strict=True)) if len(rows) > 1 else [()] * width
    cells = pl.DataFrame(
        [pl.Series(f"c{j}", list(column), dtype=pl.String) for j, column in enumerate(columns)]
    )
    return named_columns(cells, header, path)


def sniff(text: str) -> str:
    """Return the delimiter that splits the first lines into the same number of cells."""
    lines = [line for line in text[: 1 << 20].split("\n")[:20] if line.strip()]
    best, best_score = ",", (-1, 0)
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        agreed = sum(width == widths[0] for width in widths)
        score = (agreed, widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _rows(text: str, delimiter: str, path: Path) -> list[list[str]]:
    if '"' not in text:
        return [line.split(delimiter) for line in text.split("\n") if line.strip(" \n")]
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        return [row for row in reader if row]
    except csv.Error as error:
        raise FormatError(
            f"Row {reader.line_num} cannot be read: {error}. A quote is not closed.",
            path=path,
            line=reader.line_num,
        ) from error
