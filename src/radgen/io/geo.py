"""Read series matrices of the Gene Expression Omnibus."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from radgen.errors import FormatError, InputError, shown
from radgen.io._delimited import decode
from radgen.io._guard import existing, inflate
from radgen.io.omics import Duplicates, merge_features
from radgen.types import OmicsTable

__all__ = ["SeriesMatrix", "read_series_matrix"]


@dataclass(frozen=True, eq=False)
class SeriesMatrix:
    """A series matrix.

    Attributes
    ----------
    table : OmicsTable
        Values by GSM accession; features are the probes, or genes where a map was given.
    samples : polars.DataFrame
        ``sample`` (GSM accession), ``title`` and the characteristics, a column each ("age: 61"
        becomes 61 in the column age), as text.
    series : mapping of str to str
        The ``!Series_`` lines, of several of one name joined by line breaks.
    """

    table: OmicsTable
    samples: pl.DataFrame
    series: Mapping[str, str]


def read_series_matrix(
    path: str | Path,
    *,
    layer: str = "expression",
    scale: str = "log2",
    probes: Mapping[str, str] | None = None,
    duplicates: Duplicates = "maximum",
) -> SeriesMatrix:
    """Return values and sample annotation of a GEO series matrix.

    Parameters
    ----------
    path : str or Path
        ``GSE…_series_matrix.txt``, plain or gzipped.
    layer, scale : str
        As `OmicsTable` has them; the file does not say whether values are logarithms.
    probes : mapping of str to str or None
        Gene of each probe; probes without one are left out. None keeps probes.
    duplicates : {"error", "mean", "maximum", "first"}, default "maximum"
        What is done with several probes of one gene ("maximum": the one of highest mean).

    Returns
    -------
    SeriesMatrix
        NaN = blank or "null".

    Raises
    ------
    FormatError
        If the file is no series matrix, is cut off, or a cell is no number.
    InputError
        If no probe has a gene.
    """
    place = existing(path, what="series matrix")
    lines = decode(inflate(place, what="series matrix"), place).splitlines()
    series: dict[str, str] = {}
    samples: dict[str, list[list[str]]] = {}
    start = stop = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("!series_matrix_table_begin"):
            start = number
        elif line.startswith("!series_matrix_table_end"):
            stop = number
        elif line.startswith("!Series_") and not start:
            name, *cells = _cells(line)
            text = "\t".join(cells)
            key = name.removeprefix("!Series_")
            series[key] = f"{series[key]}\n{text}" if key in series else text
        elif line.startswith("!Sample_") and not start:
            name, *cells = _cells(line)
            samples.setdefault(name.removeprefix("!Sample_"), []).append(cells)
    if not start or not stop or stop - start < 2:
        raise FormatError(
            "This is no whole series matrix: it lacks !series_matrix_table_begin or _end.",
            path=place,
        )
    header, *rows = [_cells(line) for line in lines[start : stop - 1]]
    ids = header[1:]
    values = _numbers(rows, len(header), place, start + 2)
    names = [row[0] for row in rows]
    if probes is not None:
        kept = [row for row, name in enumerate(names) if probes.get(name)]
        if not kept:
            raise InputError(f"{path}: no probe has a gene; probes look like {shown(names, 3)}.")
        names, values = [probes[names[row]] for row in kept], values[:, kept]
    names, values = merge_features(names, values, duplicates, place)
    table = OmicsTable(tuple(ids), tuple(names), values, layer, scale)
    return SeriesMatrix(table, _annotation(ids, samples, place), series)


def _cells(line: str) -> list[str]:
    return next(csv.reader([line], delimiter="\t"))


def _numbers(rows: list[list[str]], width: int, path: Path, line: int) -> np.ndarray:  # type: ignore[type-arg]
    values = np.full((width - 1, len(rows)), np.nan)
    for column, row in enumerate(rows):
        if len(row) != width:
            raise FormatError(
                f"{len(row)} cells, the header has {width}.", path=path, line=line + column
            )
        try:
            values[:, column] = np.array(row[1:], dtype=np.float64)
            continue
        except ValueError:
            pass
        for place, cell in enumerate(row[1:]):
            text = cell.strip()
            if text.lower() in ("", "null", "na", "nan"):
                continue
            try:
                values[place, column] = float(text)
            except ValueError as error:
                raise FormatError(
                    f"{cell!r} is no number.", path=path, line=line + column
                ) from error
    return values


def _annotation(ids: list[str], samples: dict[str, list[list[str]]], path: Path) -> pl.DataFrame:
    columns: dict[str, list[str | None]] = {"sample": list(ids)}
    accessions = samples.get("geo_accession", [ids])[0]
    if accessions != ids:
        raise FormatError(
            "The table and the !Sample_geo_accession line name other samples.", path=path
        )
    for name, lines in samples.items():
        for cells in lines:
            if len(cells) != len(ids) or name == "geo_accession":
                continue
            if not name.startswith("characteristics"):
                columns.setdefault(name, [cell or None for cell in cells])
                continue
            for place, cell in enumerate(cells):
                key, mark, value = cell.partition(":")
                if mark:
                    column = columns.setdefault(key.strip(), [None] * len(ids))
                    column[place] = value.strip() or None
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
