"""Delimited text: its encoding and its delimiter."""

from __future__ import annotations

import csv
from pathlib import Path

from radgen.errors import FormatError

__all__ = ["decode", "sniff"]

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
            "This is a binary file; needed is a CSV, TSV, Parquet or Excel table.", path=path
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


def sniff(text: str) -> str:
    """Return the delimiter that splits the first lines into the same number of cells."""
    lines = [line for line in text[: 1 << 20].split("\n")[:20] if line.strip()]
    best, best_score = ",", (-1, 0)
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        # Lines with a single cell above the others are titles.
        first = next((width for width in widths if width > 1), 0)
        if not first:
            continue
        agreed = sum(width == first for width in widths)
        score = (agreed, first)
        if score > best_score:
            best, best_score = delimiter, score
    return best
