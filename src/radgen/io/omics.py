"""Molecular matrices: delimited, Parquet, Excel and GCT."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean
from radgen.errors import AlignmentError, FormatError, InputError, shown
from radgen.io._delimited import decode, parse_delimited
from radgen.io._guard import existing, inflate
from radgen.io.clinical import id_texts
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import Decimal, load_table, typed_columns, warn_problems
from radgen.types import OmicsTable

__all__ = ["read_gct", "read_omics"]

_LOG = logging.getLogger(__name__)

Orientation = Literal["auto", "samples_in_rows", "features_in_rows"]
Duplicates = Literal["error", "mean", "maximum", "first"]

_GENE_WORDS = frozenset(
    [
        "gene",
        "genes",
        "geneid",
        "genename",
        "genesymbol",
        "symbol",
        "hugosymbol",
        "hugo",
        "ensembl",
        "ensemblid",
        "ensg",
        "probe",
        "probeid",
        "idref",
        "feature",
        "features",
        "id_ref",
        "protein",
        "cpg",
        "composite",
        "entrezgeneid",
        "name",
    ]
)
_SAMPLE_WORDS = frozenset(
    [
        "sample",
        "samples",
        "sampleid",
        "subject",
        "subjectid",
        "patient",
        "patientid",
        "case",
        "caseid",
        "id",
        "participant",
        "barcode",
        "iid",
        "fid",
    ]
)
_ANNOTATIONS = frozenset(
    [
        "entrezgeneid",
        "entrezid",
        "description",
        "cytoband",
        "chrom",
        "chromosome",
        "start",
        "end",
        "strand",
        "genelength",
        "length",
        "locusid",
        "geneid",
    ]
)


def read_omics(
    path: str | Path,
    *,
    layer: str,
    scale: str,
    orientation: Orientation = "auto",
    samples: Iterable[str] | None = None,
    id_column: str | None = None,
    id_rule: IdRule | None = None,
    duplicates: Duplicates = "error",
    drop: Iterable[str] = (),
    sheet: str | None = None,
    decimal: Decimal = "auto",
) -> OmicsTable:
    """Return a molecular matrix of a TSV, CSV, Parquet, Excel or GCT file.

    Parameters
    ----------
    path : str or Path
        The matrix; its first column (or `id_column`) names the rows.
    layer, scale : str
        See `OmicsTable`.
    orientation : {"auto", "samples_in_rows", "features_in_rows"}
        "auto" decides by `samples` where given, else by the name of the first column
        ("gene", "subject" …), and raises where that does not tell.
    samples : iterable of str or None
        Known sample ids (of the clinical table, say), after the id rule.
    id_column : str or None
        Column that names the rows.
    id_rule : IdRule or None
        How sample ids are brought to the spelling that joins tables.
    duplicates : {"error", "mean", "maximum", "first"}
        What to do with features of the same name; "maximum" keeps the row of highest mean.
    drop : iterable of str
        Columns that are no values. Text columns and the usual annotations (Entrez id,
        description …) are dropped anyway where genes stand in rows.
    sheet : str or None
        Sheet of a workbook.
    decimal : {"auto", ".", ","}
        The decimal mark.

    Returns
    -------
    OmicsTable
        NaN = not measured (an empty cell, "NA", or a cell that is no number).

    Warns
    -----
    RadgenWarning
        If cells are no numbers.

    Raises
    ------
    InputError
        If the orientation cannot be told, or a column is not there.
    FormatError
        If the file is broken or a column of values is text.
    AlignmentError
        If a sample id is repeated.
    """
    where = existing(path, what="molecular matrix")
    name = where.name.lower().removesuffix(".gz")
    if name.endswith(".gct"):
        return read_gct(where, layer=layer, scale=scale, id_rule=id_rule, duplicates=duplicates)
    reading = load_table(where, sheet=sheet, decimal=decimal)
    frame = reading.frame
    key = id_column or frame.columns[0]
    for column in (key, *drop):
        if column not in frame.columns:
            raise InputError(
                f"{where.name} has no column {column!r}. {did_you_mean(column, frame.columns)}"
            )
    known = None if samples is None else {str(item) for item in samples}
    in_rows = _samples_in_rows(frame, key, orientation, known, id_rule, where)
    columns, ignored = _value_columns(frame, key, set(drop), in_rows, where)
    if ignored:
        _LOG.info("%s: columns that are no values: %s", where.name, shown(ignored))
    used = set(columns)
    warn_problems(where, [item for item in reading.problems if item.column in used])
    rows = id_texts(frame[key], where)
    values = frame.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    values = np.where(np.isinf(values), np.nan, values)
    if in_rows:
        return _table(rows, columns, values, layer, scale, id_rule, duplicates, where)
    return _table(columns, rows, values.T, layer, scale, id_rule, duplicates, where)


def read_gct(
    path: str | Path,
    *,
    layer: str = "expression",
    scale: str,
    id_rule: IdRule | None = None,
    duplicates: Duplicates = "error",
    names: Literal["name", "description"] = "name",
) -> OmicsTable:
    """Return the matrix of a GCT file, version 1.2 or 1.3.

    Parameters
    ----------
    path : str or Path
        The file, plain or gzipped.
    layer, scale : str
        See `OmicsTable`.
    id_rule : IdRule or None
        How sample ids are brought to the spelling that joins tables.
    duplicates : {"error", "mean", "maximum", "first"}
        What to do with features of the same name.
    names : {"name", "description"}
        Which of the two leading columns names the features (Description holds the gene symbol
        in GTEx files). Version 1.3: "description" takes the first annotation column.

    Returns
    -------
    OmicsTable
        NaN = not measured.

    Raises
    ------
    FormatError
        If the file is broken or has another size than its second line says.
    """
    where = existing(path, what="GCT file")
    text = decode(inflate(where, what="GCT file"), where).replace("\r\n", "\n")
    lines = text.split("\n", 2)
    version = lines[0].strip()
    if version not in ("#1.2", "#1.3") or len(lines) < 3:
        raise FormatError("A GCT file starts with #1.2 or #1.3.", path=where, line=1)
    try:
        sizes = [int(cell) for cell in lines[1].split()]
    except ValueError:
        sizes = []
    if len(sizes) != (2 if version == "#1.2" else 4):
        raise FormatError("The second line holds the sizes of the matrix.", path=where, line=2)
    n_notes, n_head = (1, 0) if version == "#1.2" else (sizes[2], sizes[3])
    raw = parse_delimited(lines[2].encode(), where)
    if raw.height != sizes[0] + n_head or raw.width != sizes[1] + 1 + n_notes:
        raise FormatError(
            f"The second line says {sizes[0]} rows and {sizes[1]} samples; found are "
            f"{raw.height - n_head} and {raw.width - 1 - n_notes}. The file is cut off or wrong.",
            path=where,
            line=2,
        )
    body = raw.slice(n_head)
    label = raw.columns[1 if names == "description" and n_notes else 0]
    rows = id_texts(body[label], where)
    columns = raw.columns[1 + n_notes :]
    typed, problems = typed_columns(body.select(columns), frozenset(), ".", where)
    _require_numbers(typed, columns, where)
    warn_problems(where, problems)
    values = typed.select(pl.all().cast(pl.Float64)).to_numpy()
    return _table(columns, rows, values.T, layer, scale, id_rule, duplicates, where)


def _samples_in_rows(  # noqa: PLR0917
    frame: pl.DataFrame,
    key: str,
    orientation: Orientation,
    known: set[str] | None,
    rule: IdRule | None,
    path: Path,
) -> bool:
    if orientation not in ("auto", "samples_in_rows", "features_in_rows"):
        raise InputError(
            f"orientation is 'auto', 'samples_in_rows' or 'features_in_rows', not {orientation!r}."
        )
    if orientation != "auto":
        return orientation == "samples_in_rows"
    rows = [str(item) for item in frame[key].drop_nulls().to_list()]
    columns = [name for name in frame.columns if name != key]
    if known is not None:
        in_rows, in_columns = _hits(rows, known, rule), _hits(columns, known, rule)
        if in_rows != in_columns:
            return in_rows > in_columns
        raise AlignmentError(
            f"{path.name}: {in_rows} rows and {in_columns} columns are known samples. Check the "
            f"ids (rows: {shown(rows, 3)}; columns: {shown(columns, 3)}), or give an id rule.",
            missing=sorted(known)[:5],
        )
    word = re.sub(r"[^a-z0-9_]", "", key.lower()).replace("_", "")
    if word in _GENE_WORDS:
        return False
    if word in _SAMPLE_WORDS:
        return True
    raise InputError(
        f"{path.name}: it cannot be told whether samples stand in rows ({shown(rows, 3)}) or in "
        f"columns ({shown(columns, 3)}). Pass orientation='samples_in_rows' or "
        "'features_in_rows', or the known sample ids."
    )


def _hits(names: list[str], known: set[str], rule: IdRule | None) -> int:
    chosen = rule or IdRule()
    count = 0
    for name in names:
        try:
            count += chosen.apply(name) in known
        except InputError:
            continue
    return count


def _value_columns(
    frame: pl.DataFrame, key: str, drop: set[str], in_rows: bool, path: Path
) -> tuple[list[str], list[str]]:
    columns, ignored = [], []
    for name in frame.columns:
        if name == key:
            continue
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        dtype = frame[name].dtype
        textual = not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null))
        empty = textual and frame[name].null_count() == frame.height
        if name in drop or (not in_rows and (plain in _ANNOTATIONS or (textual and not empty))):
            ignored.append(name)
        else:
            columns.append(name)
    emptied = frame.select(columns)
    if in_rows:
        _require_numbers(emptied, columns, path)
    if not columns:
        raise FormatError(
            f"No column of numbers beside {key!r}. Is the delimiter or the decimal mark odd?",
            path=path,
        )
    return columns, ignored


def _require_numbers(frame: pl.DataFrame, columns: list[str], path: Path) -> None:
    wrong = [
        name
        for name in columns
        if frame[name].dtype == pl.String and frame[name].null_count() < frame.height
    ]
    if wrong:
        raise FormatError(
            f"These columns hold text: {shown(wrong)}. Name those that are no values with drop=, "
            "or clean them.",
            path=path,
        )


def _table(  # noqa: PLR0917
    samples: list[str],
    features: list[str],
    values: NDArray[np.float64],
    layer: str,
    scale: str,
    rule: IdRule | None,
    duplicates: Duplicates,
    path: Path,
) -> OmicsTable:
    ids = normalise_ids(samples, rule)
    names = [name.strip() for name in features]
    if len(set(names)) < len(names):
        names, values = _merge(names, values, duplicates, path)
    _LOG.info("%s: %d samples, %d features", path.name, len(ids), len(names))
    return OmicsTable(ids, tuple(names), values, layer, scale)


def _merge(
    names: list[str], values: NDArray[np.float64], duplicates: Duplicates, path: Path
) -> tuple[list[str], NDArray[np.float64]]:
    places: dict[str, list[int]] = {}
    for j, name in enumerate(names):
        places.setdefault(name, []).append(j)
    twice = [name for name, where in places.items() if len(where) > 1]
    if duplicates == "error":
        raise FormatError(
            f"{len(twice)} features stand more than once: {shown(twice)}. Choose "
            "duplicates='mean', 'maximum' (row of highest mean) or 'first'.",
            path=path,
        )
    if duplicates not in ("mean", "maximum", "first"):
        raise InputError(f"duplicates is error, mean, maximum or first, not {duplicates!r}.")
    out = np.empty((len(values), len(places)))
    for k, where in enumerate(places.values()):
        block = values[:, where]
        n_known = np.isfinite(block).sum(axis=0)
        if duplicates == "mean":
            n = np.isfinite(block).sum(axis=1)
            out[:, k] = np.where(n > 0, np.nansum(block, axis=1) / np.maximum(n, 1), np.nan)
        elif duplicates == "maximum":
            means = np.where(n_known, np.nansum(block, axis=0) / np.maximum(n_known, 1), -np.inf)
            out[:, k] = block[:, int(np.argmax(means))]
        else:
            out[:, k] = block[:, 0]
    return list(places), out
