"""Read molecular layers: matrices, GCT and GMT files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FormatError, InputError, shown
from radgen.io._delimited import decode
from radgen.io._guard import existing, inflate
from radgen.io.barcodes import is_barcode
from radgen.io.calls import code_all
from radgen.io.gene_maps import plain_symbols
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import is_spreadsheet_error, numeric_columns, read_table, text_of, to_numbers
from radgen.types import OmicsTable
from radgen.types.align import longer_barcodes, look_alikes

__all__ = ["merge_features", "read_gct", "read_gmt", "read_omics", "samples_beside"]

Duplicates = Literal["error", "mean", "maximum", "first"]

_SECOND_HEADERS = ("gene_id", "composite element ref")
_ANNOTATIONS = frozenset(
    {"entrezgeneid", "entrezid", "entrez", "description", "cytoband", "chrom", "chromosome"}
    | {"start", "end", "strand", "genelength", "length", "locusid", "geneid", "genesymbol"}
)


def read_omics(
    path: str | Path,
    *,
    layer: str,
    scale: str,
    samples_in: str = "auto",
    known_samples: Collection[str] = (),
    id_rule: IdRule | None = None,
    duplicates: Duplicates = "error",
    drop: Collection[str] = (),
) -> OmicsTable:
    """Return a molecular matrix.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, Parquet, Excel or GCT; the first column holds names.
    layer, scale : str
        As `OmicsTable` has them.
    samples_in : {"auto", "rows", "columns"}, default "auto"
        Where samples stand. "auto" decides by `known_samples`, then by TCGA barcodes, and raises
        where neither does.
    known_samples : collection of str
        Ids of the study, for "auto".
    id_rule : IdRule or None
        Applied to sample ids.
    duplicates : {"error", "mean", "maximum", "first"}, default "error"
        What is done with features of the same name; "maximum" keeps the one of highest mean.
    drop : collection of str
        Columns that are no values. Where samples stand in columns, columns of text and the usual
        annotations (Entrez id, description …) are left out anyway.

    Returns
    -------
    OmicsTable
        NaN = blank or not a number. In scales "binary" and "ordinal" words such as mutant, WT,
        R132H, 2+ or strong are read too (`radgen.io.calls`).

    Raises
    ------
    FormatError
        If more than half of the cells are no numbers, or calls are words that are not known.
    InputError
        If it cannot be told where samples stand.
    """
    rule = id_rule or IdRule()
    if Path(path).name.lower().removesuffix(".gz").endswith(".gct"):
        return read_gct(path, layer=layer, scale=scale, id_rule=rule, duplicates=duplicates)
    frame = read_table(path)
    if frame.width < 2:
        raise FormatError("The table has a single column; needed are names and values.", path=path)
    if _second_header(frame):
        frame = frame[1:]
    unknown = [name for name in drop if name not in frame.columns]
    if unknown:
        raise InputError(
            f"{path}: no column {shown(unknown)}. Columns: {shown(frame.columns, 10)}."
        )
    first = text_of(_names(frame), path=path)
    other = [name for name in frame.columns[1:] if name not in drop]
    if samples_in == "auto":
        samples_in = _orientation(first, other, known_samples, rule, Path(path))
    if samples_in not in ("rows", "columns"):
        raise InputError(f"samples_in is {samples_in!r}; it is 'auto', 'rows' or 'columns'.")
    if samples_in == "columns":
        words = scale in ("binary", "ordinal")
        other = [name for name in other if not _is_annotation(frame[name], words=words)]
    if not other:
        raise FormatError("The table has no column of values.", path=path)
    if scale in ("binary", "ordinal"):
        values = code_all(frame, other, scale, path)
        return _oriented(first, other, values, samples_in, layer, scale, rule, duplicates, path)
    numbers, dirty = numeric_columns(frame, other)
    if len(dirty) * 2 > frame.height * len(other):
        cells = [f"row {row}, {column}: {text}" for row, column, text in dirty[:5]]
        raise FormatError(f"Most cells are no numbers: {shown(cells)}.", path=path)
    values = numbers.to_numpy().astype(np.float64)
    return _oriented(first, other, values, samples_in, layer, scale, rule, duplicates, path)


def _second_header(frame: pl.DataFrame) -> bool:
    """Return whether the first row is a second header, as Firehose writes it."""
    return frame.height > 1 and str(frame[0, 0]).strip().lower() in _SECOND_HEADERS


def _names(frame: pl.DataFrame) -> pl.Series:
    """Return the first column; where it is blank, another id of the same row (Entrez, say)."""
    ids = [name for name in frame.columns[1:] if _plain(name) in _ANNOTATIONS]
    column = frame.columns[0]
    if not frame[column].null_count() or not ids:
        return frame[column]
    cells = [pl.col(name).cast(pl.String) for name in (column, *ids)]
    return frame.select(pl.coalesce(cells).alias(column))[column]


def _plain(name: str) -> str:
    return "".join(ch for ch in name.lower() if ch.isalnum())


def _oriented(  # noqa: PLR0917
    first: Sequence[str],
    other: Sequence[str],
    values: NDArray[np.float64],
    samples_in: str,
    layer: str,
    scale: str,
    rule: IdRule,
    duplicates: Duplicates,
    path: str | Path,
) -> OmicsTable:
    rows = samples_in == "rows"
    ids, features = (first, other) if rows else (other, first)
    return _table(ids, features, values if rows else values.T, layer, scale, rule, duplicates, path)


def _is_annotation(column: pl.Series, *, words: bool = False) -> bool:
    """Return whether a column beside samples describes the features; values may be `words`."""
    plain = _plain(column.name)
    if plain in _ANNOTATIONS or words:
        return plain in _ANNOTATIONS
    numbers, dirty = to_numbers(column)
    words = [cell for cell in dirty if not is_spreadsheet_error(cell[2])]
    return len(words) > numbers.len() - numbers.null_count()


def _table(  # noqa: PLR0917
    samples: Sequence[str],
    features: Sequence[str],
    values: NDArray[np.float64],
    layer: str,
    scale: str,
    rule: IdRule,
    duplicates: Duplicates,
    path: str | Path,
) -> OmicsTable:
    ids = normalise_ids(list(samples), rule, what=str(path))
    names = plain_symbols([name.strip() for name in features])
    names, values = merge_features(names, values, duplicates, path)
    return OmicsTable(tuple(ids), tuple(names), values, layer, scale)


def merge_features(
    names: list[str], values: NDArray[np.float64], duplicates: Duplicates, path: str | Path
) -> tuple[list[str], NDArray[np.float64]]:
    """Return features of one name made one.

    Parameters
    ----------
    names : list of str (n_features,)
        May repeat.
    values : ndarray of float64 (n_samples, n_features)
        NaN = missing.
    duplicates : {"error", "mean", "maximum", "first"}
        "mean" leaves missing values out; "maximum" takes the feature of highest mean.
    path : str or Path
        Named in errors.

    Returns
    -------
    names : list of str
        Each once, in order of first appearance.
    values : ndarray of float64 (n_samples, n_names)
        Their values.

    Raises
    ------
    FormatError
        If names repeat and that is an error.
    InputError
        If the rule is unknown.
    """
    if len(set(names)) == len(names):
        return names, values
    places: dict[str, list[int]] = {}
    for j, name in enumerate(names):
        places.setdefault(name, []).append(j)
    twice = [name for name, where in places.items() if len(where) > 1]
    if duplicates == "error":
        raise FormatError(
            f"{len(twice)} features stand more than once: {shown(twice)}. Choose "
            "duplicates='mean', 'maximum' (the one of highest mean) or 'first'.",
            path=path,
        )
    if duplicates not in ("mean", "maximum", "first"):
        raise InputError(f"duplicates is error, mean, maximum or first, not {duplicates!r}.")
    out = np.empty((len(values), len(places)))
    for k, where in enumerate(places.values()):
        block = values[:, where]
        known = np.isfinite(block)
        if duplicates == "mean":
            n = known.sum(axis=1)
            out[:, k] = np.where(n > 0, np.nansum(block, axis=1) / np.maximum(n, 1), np.nan)
        elif duplicates == "maximum":
            n = known.sum(axis=0)
            means = np.where(n > 0, np.nansum(block, axis=0) / np.maximum(n, 1), -np.inf)
            out[:, k] = block[:, int(np.argmax(means))]
        else:
            out[:, k] = block[:, 0]
    return list(places), out


def _orientation(
    first: Sequence[str], other: Sequence[str], known: Collection[str], rule: IdRule, path: Path
) -> str:
    wanted = set(known)
    in_rows = len(wanted & {_clean(rule, item) for item in first})
    in_columns = len(wanted & {_clean(rule, item) for item in other})
    if in_rows == in_columns:  # barcodes of aliquots are longer than the ids of patients
        in_rows, in_columns = (sum(map(is_barcode, ids)) for ids in (first, other))
    if in_rows == in_columns:
        ids = [*first, *other]
        pairs = look_alikes(ids, sorted(known))
        pairs = pairs or [(b, a) for a, b in longer_barcodes(sorted(known), ids)]
        alike = f" {pairs[0][0]} looks like {pairs[0][1]}, but is spelt otherwise." if pairs else ""
        raise InputError(
            f"{path}: it cannot be told whether samples stand in rows ({shown(first, 3)}) or in "
            f"columns ({shown(other, 3)}): as many known ids in either "
            f"(known are {shown(sorted(known), 3)}).{alike} "
            "Say samples_in = 'rows' or 'columns', and check the id rule."
        )
    return "rows" if in_rows > in_columns else "columns"


def _clean(rule: IdRule, text: str) -> str:
    try:
        return rule.clean(text)
    except InputError:
        return ""


def samples_beside(path: str | Path, features: Collection[str]) -> Literal["rows", "columns"]:
    """Return where the samples of a matrix stand, some of whose features are known.

    Parameters
    ----------
    path : str or Path
        As `read_omics` takes it.
    features : collection of str
        Names of genes, say.

    Returns
    -------
    {"rows", "columns"}
        "rows" where more of the features stand in the header than in the first column.

    Raises
    ------
    FormatError
        If the file cannot be read.
    """
    frame = read_table(path)
    known = set(features)
    in_header = len(known & {name.strip() for name in frame.columns[1:]})
    in_rows = len(known & set(plain_symbols([str(cell) for cell in frame[frame.columns[0]]])))
    return "rows" if in_header > in_rows else "columns"


def read_gct(
    path: str | Path,
    *,
    layer: str,
    scale: str,
    id_rule: IdRule | None = None,
    duplicates: Duplicates = "error",
) -> OmicsTable:
    """Return the matrix of a GCT 1.2 or 1.3 file (features in rows, samples in columns).

    Parameters
    ----------
    path : str or Path
        The file, plain or gzipped.
    layer, scale : str
        As `OmicsTable` has them.
    id_rule : IdRule or None
        Applied to sample ids.
    duplicates : {"error", "mean", "maximum", "first"}, default "error"
        What is done with features of the same name.

    Returns
    -------
    OmicsTable
        NaN = blank.

    Raises
    ------
    FormatError
        If the file breaks the format, or has another size than its second line says.
    """
    place = existing(path, what="GCT file")
    lines = decode(inflate(place, what="GCT file"), place).splitlines()
    version = lines[0].strip()[:4] if lines else ""
    if version not in ("#1.2", "#1.3") or len(lines) < 4:
        raise FormatError(
            "A GCT file begins with #1.2 or #1.3 and has at least four lines.", path=place, line=1
        )
    sizes = lines[1].split()
    if len(sizes) != (2 if version == "#1.2" else 4) or not all(x.isdigit() for x in sizes):
        raise FormatError("Line 2 of a GCT file holds the sizes.", path=place, line=2)
    n_notes, n_head = (1, 0) if version == "#1.2" else (int(sizes[2]), int(sizes[3]))
    header = lines[2].split("\t")
    if version == "#1.2" and [name.lower() for name in header[:2]] != ["name", "description"]:
        raise FormatError(
            "Line 3 of a GCT file begins with Name and Description.", path=place, line=3
        )
    names, rows = [], []
    for number, line in enumerate(lines[3:], 4):
        cells = line.split("\t")
        if not line.strip() or number < 4 + n_head:
            continue
        if len(cells) != len(header):
            raise FormatError(
                f"{len(cells)} cells, the header has {len(header)}.", path=place, line=number
            )
        rows.append(_row(cells[1 + n_notes :], place, number))
        names.append(cells[0])
    samples = header[1 + n_notes :]
    if (len(names), len(samples)) != (int(sizes[0]), int(sizes[1])):
        raise FormatError(
            f"Line 2 says {sizes[0]} rows and {sizes[1]} samples; found are {len(names)} and "
            f"{len(samples)}. The file is cut off or wrong.",
            path=place,
            line=2,
        )
    values = np.array(rows, dtype=np.float64).T
    return _table(samples, names, values, layer, scale, id_rule or IdRule(), duplicates, place)


def _row(cells: list[str], path: Path, line: int) -> list[float]:
    try:
        return [
            float(cell) if cell.strip() and cell.strip().lower() != "na" else float("nan")
            for cell in cells
        ]
    except ValueError as error:
        raise FormatError(f"A cell is no number: {error}.", path=path, line=line) from error


def read_gmt(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Return gene sets by name, each gene once.

    Raises
    ------
    FormatError
        If a line has no genes or a set stands twice.
    """
    place = existing(path, what="GMT file")
    lines = decode(inflate(place, what="GMT file"), place).splitlines()
    sets: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        genes = tuple(dict.fromkeys(cell for cell in cells[2:] if cell))
        if not genes or not cells[0]:
            raise FormatError(
                "A gene set is a name, a description and genes, split by tabs.",
                path=place,
                line=number,
            )
        if cells[0] in sets:
            raise FormatError(f"The gene set {cells[0]!r} stands twice.", path=place, line=number)
        sets[cells[0]] = genes
    if not sets:
        raise FormatError("The file holds no gene set.", path=place)
    return sets
