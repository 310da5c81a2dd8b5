"""Read amounts of metabolites that LCModel, TARQUIN or a table of fits holds."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import polars as pl

from radgen.errors import FormatError, shown
from radgen.io._delimited import decode
from radgen.io.feature_tables import find_id_column
from radgen.io.tables import read_table, text_of, to_numbers

__all__ = ["read_spectra"]

_SCHEMA = {"sample": pl.String, "voxel": pl.String, "metabolite": pl.String,
           "amount": pl.Float64, "crlb_percent": pl.Float64}  # fmt: skip
_BOUND = re.compile(
    r"^(?P<name>.+?)[ _]*(%\s*SD|%\s*CRLB|CRLB\s*\(?%?\)?|SD\s*%|PERCENT SD)$", re.I
)
_PLACE = ("row", "col", "slice")
_AMOUNTS, _ERRORS = "signal amplitudes", "crlbs (standard deviation)"

Rows = list[tuple[str, str, str, float | None, float | None]]


def read_spectra(path: str | Path, *, sample: str = "") -> pl.DataFrame:
    """Return amounts of metabolites with their Cramér-Rao bounds.

    Parameters
    ----------
    path : str or Path
        LCModel's ``.csv`` (columns Row, Col, NAME, NAME %SD), TARQUIN's ``.csv`` (signal
        amplitudes and CRLBs), or a table with a row a sample: a column a metabolite, and beside it
        ``NAME %SD`` or ``NAME CRLB`` in per cent.
    sample : str
        Whose file it is (LCModel, TARQUIN); "" = the name of the file.

    Returns
    -------
    polars.DataFrame
        ``sample, voxel, metabolite, amount, crlb_percent``: null = not known.

    Raises
    ------
    FormatError
        If the file is none of these, or a cell is no number; names it.
    """
    place = Path(path)
    name = sample or place.name.split(".")[0]
    if place.suffix.lower() in (".csv", ".txt") and place.is_file():
        lines = [line.strip() for line in decode(place.read_bytes(), place).splitlines()]
        if any(line.lower().startswith(_AMOUNTS) for line in lines):
            return _frame(_tarquin(lines, name, place))
    raw = read_table(place)
    names = {column.strip().casefold(): column for column in raw.columns}
    if {"row", "col"} <= set(names):
        ids = [name] * raw.height
        voxels = [f"{a}-{b}" for a, b in raw.select(names["row"], names["col"]).iter_rows()]
        used = {names[key] for key in _PLACE if key in names}
    else:
        key = find_id_column(raw, None, place)
        ids, voxels, used = text_of(raw[key], path=place), [""] * raw.height, {key}
    return _frame(_columns(raw, ids, voxels, used, place))


def _frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _columns(
    raw: pl.DataFrame, ids: list[str], voxels: list[str], used: set[str], place: Path
) -> Rows:
    """Return the metabolites that have a column of bounds beside them."""
    amounts = {column.strip(): column for column in raw.columns if column not in used}
    rows: Rows = []
    for column in raw.columns:
        found = _BOUND.match(column.strip())
        if column in used or found is None or found["name"].strip() not in amounts:
            continue
        metabolite = found["name"].strip()
        values, bounds = (
            _numbers(raw[amounts[metabolite]], place), _numbers(raw[column], place),
        )  # fmt: skip
        rows += [
            (who, voxel, metabolite, value, bound)
            for who, voxel, value, bound in zip(ids, voxels, values, bounds, strict=True)
        ]
    if not rows:
        raise FormatError(
            "No metabolite with its bound: needed are columns such as 2HG and 2HG %SD.", path=place
        )
    return rows


def _numbers(column: pl.Series, place: Path) -> list[float | None]:
    numbers, dirty = to_numbers(column)
    if dirty:
        cells = [f"row {row}: {text!r}" for row, _, text in dirty]
        raise FormatError(f"{column.name!r} holds no numbers in {shown(cells)}.", path=place)
    return numbers.to_list()


def _tarquin(lines: list[str], name: str, place: Path) -> Rows:
    """Return TARQUIN's amplitudes with their bounds in per cent of them."""
    amounts, errors = (_section(lines, title, place) for title in (_AMOUNTS, _ERRORS))
    rows: Rows = []
    for voxel, own in amounts.items():
        for metabolite, amount in own.items():
            error = errors.get(voxel, {}).get(metabolite)
            known = amount is not None and error is not None and amount > 0
            bound = 100 * error / amount if known else None  # type: ignore[operator]
            rows.append((name, voxel, metabolite, amount, bound))
    return rows


def _section(lines: list[str], title: str, place: Path) -> dict[str, dict[str, float | None]]:
    start = next((k for k, line in enumerate(lines) if line.lower().startswith(title)), None)
    if start is None:
        raise FormatError(f"TARQUIN's table lacks the section {title!r}.", path=place)
    body = []
    for line in lines[start + 1 :]:
        if not line or (body and "," not in line):
            break
        body.append(line)
    if len(body) < 2:
        raise FormatError(f"The section {title!r} is empty.", path=place)
    head, *rows = csv.reader(io.StringIO("\n".join(body)))
    names = [cell.strip() for cell in head]
    places = [k for k, cell in enumerate(names) if cell.casefold() in _PLACE]
    out: dict[str, dict[str, float | None]] = {}
    for row in rows:
        if len(row) != len(names):
            raise FormatError(
                f"A row of {title!r} has {len(row)} cells of {len(names)}.", path=place
            )
        voxel = "-".join(row[k].strip() for k in places)
        out[voxel] = {
            names[k]: _number(row[k], names[k], place) for k in range(len(names)) if k not in places
        }
    return out


def _number(text: str, name: str, place: Path) -> float | None:
    if text.strip().casefold() in ("", "nan", "inf", "-nan", "-inf"):
        return None
    try:
        return float(text)
    except ValueError:
        raise FormatError(f"{name!r} holds {text!r}, which is no number.", path=place) from None
