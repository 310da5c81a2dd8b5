"""Precomputed feature tables become phenotypes: PyRadiomics, CaPTk, MIRP and radgen headers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean
from radgen.errors import AlignmentError, FormatError, InputError, shown
from radgen.io._feature_names import LONG_COLUMNS, is_diagnostic, name_spec
from radgen.io._guard import existing
from radgen.io.clinical import id_texts
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import CellProblem, Decimal, is_id_name, load_table, warn_problems
from radgen.types import SPEC_COLUMNS, STATUS_COLUMNS, PhenotypeTable

__all__ = ["read_feature_table"]

_LOG = logging.getLogger(__name__)


def read_feature_table(
    path: str | Path,
    *,
    id: str | None = None,
    region: str | None = None,
    drop: Iterable[str] = (),
    keep: Iterable[str] | None = None,
    id_rule: IdRule | None = None,
    where: dict[str, object] | None = None,
    sheet: str | None = None,
    decimal: Decimal = "auto",
) -> PhenotypeTable:
    """Return a phenotype table of a feature table that another program wrote.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, Parquet or Excel: wide (a row a sample or a row a region, a column a feature)
        or radgen's long table.
    id : str or None
        Id column; None = the first column where it is named like an id, else the
        only one that is.
    region : str or None
        Column that names regions: the table becomes one row a sample, and each region has
        columns of its own.
    drop : iterable of str
        Columns that are no phenotypes (a label, an age).
    keep : iterable of str or None
        The phenotype columns; None = every numeric column but diagnostics.
    id_rule : IdRule or None
        How ids are brought to the spelling that joins tables.
    where : dict or None
        Keep the rows with these values alone, ``{"visit": 1}`` say.
    sheet : str or None
        Sheet of a workbook.
    decimal : {"auto", ".", ","}
        The decimal mark.

    Returns
    -------
    PhenotypeTable
        NaN = missing; a cell that is no number stands in `status` as "failed" with the text
        found, an empty one as "undefined". `specs` holds filter, family, feature and the IBSI
        code where the name tells them.

    Warns
    -----
    RadgenWarning
        If cells are no numbers.

    Raises
    ------
    InputError
        If the id column cannot be told, or a column is not there.
    AlignmentError
        If an id is repeated (several regions or visits a sample: pass `region` or `where`).
    FormatError
        If the file is broken or has no feature.
    """
    file = existing(path, what="feature table")
    text = [name for name in (id, region) if name is not None]
    known = _columns_known(file, text, sheet, decimal)
    reading = load_table(file, sheet=sheet, text=known, decimal=decimal)
    frame, problems = _filtered(reading.frame, reading.problems, where or {}, file)
    if set(LONG_COLUMNS) <= set(frame.columns):
        return _long(frame, id_rule, file)
    key = id or _id_column(frame, file)
    for name in (key, *([region] if region else []), *drop, *(keep or ())):
        if name not in frame.columns:
            raise InputError(
                f"{file.name} has no column {name!r}. {did_you_mean(name, frame.columns)}"
            )
    columns, ignored = _phenotype_columns(frame, {key, region, *drop, *(where or ())}, keep, file)
    if ignored:
        _LOG.info("%s: columns that are no phenotypes: %s", file.name, shown(ignored, 20))
    used = [item for item in problems if item.column in set(columns)]
    warn_problems(file, used)
    ids = id_texts(frame[key], file)
    if region is None:
        return _wide(frame, ids, columns, used, id_rule, file)
    return _by_region(frame, ids, region, columns, used, id_rule, file)


def _columns_known(file: Path, text: list[str], sheet: str | None, decimal: Decimal) -> list[str]:
    if not text:
        return []
    names = load_table(file, sheet=sheet, decimal=decimal).frame.columns
    for name in text:
        if name not in names:
            raise InputError(f"{file.name} has no column {name!r}. {did_you_mean(name, names)}")
    return text


def _filtered(
    frame: pl.DataFrame,
    problems: Sequence[CellProblem],
    where: dict[str, object],
    file: Path,
) -> tuple[pl.DataFrame, list[CellProblem]]:
    frame = frame.with_row_index("__line", offset=1)
    for name, value in where.items():
        if name not in frame.columns:
            raise InputError(
                f"{file.name} has no column {name!r}. {did_you_mean(name, frame.columns[1:])}"
            )
        kept = frame.filter(pl.col(name).cast(pl.String) == str(value))
        if kept.height == 0:
            values = frame[name].cast(pl.String).unique(maintain_order=True).to_list()
            raise InputError(f"{file.name}: no row has {name} = {value!r}. Found: {shown(values)}.")
        frame = kept
    new_line = {old: row + 1 for row, old in enumerate(frame["__line"].to_list())}
    moved = [
        CellProblem(new_line[item.line], item.column, item.value, item.reason)
        for item in problems
        if item.line in new_line
    ]
    return frame.drop("__line"), moved


def _id_column(frame: pl.DataFrame, file: Path) -> str:
    candidates = [name for name in frame.columns if is_id_name(name)]
    if candidates and candidates[0] == frame.columns[0]:
        return candidates[0]
    if len(candidates) == 1:
        return candidates[0]
    raise InputError(
        f"{file.name}: the id column cannot be told "
        f"({'candidates: ' + shown(candidates) if candidates else 'none is named like an id'}; "
        f"columns: {shown(frame.columns)}). Pass id=."
    )


def _phenotype_columns(
    frame: pl.DataFrame, taken: set[str | None], keep: Iterable[str] | None, file: Path
) -> tuple[list[str], list[str]]:
    if keep is not None:
        columns = list(dict.fromkeys(keep))
        wrong = [n for n in columns if frame[n].dtype == pl.String]
        if wrong:
            raise FormatError(f"These phenotype columns hold text: {shown(wrong)}.", path=file)
        return columns, []
    columns, ignored = [], []
    for name in frame.columns:
        if name in taken:
            continue
        numeric = frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean
        if not numeric or is_diagnostic(name) or is_id_name(name):
            ignored.append(name)
        else:
            columns.append(name)
    if not columns:
        raise FormatError("The table has no numeric feature column.", path=file)
    return columns, ignored


def _numbers(frame: pl.DataFrame, columns: Sequence[str]) -> NDArray[np.float64]:
    values = frame.select(pl.col(list(columns)).cast(pl.Float64)).to_numpy()
    return np.where(np.isinf(values), np.nan, values)


def _specs(names: Sequence[str], columns: Sequence[str], regions: Sequence[str]) -> pl.DataFrame:
    rows = []
    for name, column, region in zip(names, columns, regions, strict=True):
        row = name_spec(column)
        row["name"] = name
        row["region"] = region or row["region"]
        rows.append(row)
    return pl.DataFrame(rows, schema=dict.fromkeys(SPEC_COLUMNS, pl.String))


def _status(
    samples: Sequence[str],
    names: Sequence[str],
    values: NDArray[np.float64],
    reasons: dict[tuple[int, int], str],
) -> pl.DataFrame:
    rows = []
    for i, j in np.argwhere(np.isnan(values)):
        reason = reasons.get((int(i), int(j)))
        kind = "undefined" if reason is None else "failed"
        rows.append((samples[i], names[j], kind, reason or "no value in the table"))
    return pl.DataFrame(rows, schema=dict.fromkeys(STATUS_COLUMNS, pl.String), orient="row")


def _wide(  # noqa: PLR0917
    frame: pl.DataFrame,
    ids: list[str],
    columns: list[str],
    problems: list[CellProblem],
    rule: IdRule | None,
    file: Path,
) -> PhenotypeTable:
    try:
        samples = normalise_ids(ids, rule)
    except AlignmentError as error:
        raise AlignmentError(
            f"{file.name}: {error} Where a sample has several regions or visits, pass region= or "
            "where=.",
            repeated=error.repeated,
        ) from error
    values = _numbers(frame, columns)
    place = {name: j for j, name in enumerate(columns)}
    reasons = {
        (item.line - 1, place[item.column]): f"{item.reason}: {item.value}" for item in problems
    }
    return PhenotypeTable(
        samples,
        values,
        _specs(columns, columns, [""] * len(columns)),
        _status(samples, columns, values, reasons),
    )


def _by_region(  # noqa: PLR0917
    frame: pl.DataFrame,
    ids: list[str],
    region: str,
    columns: list[str],
    problems: list[CellProblem],
    rule: IdRule | None,
    file: Path,
) -> PhenotypeTable:
    apply = (rule or IdRule()).apply
    rows = [apply(item) for item in ids]
    spelled: dict[str, set[str]] = {}
    for old, new in zip(ids, rows, strict=True):
        spelled.setdefault(new, set()).add(old)
    joined = {new for new, old in spelled.items() if len(old) > 1}
    if joined:
        raise AlignmentError(
            f"{file.name}: ids are the same after the id rule: {shown(joined)}.", repeated=joined
        )
    regions = id_texts(frame[region], file)
    samples = list(dict.fromkeys(rows))
    names_of = list(dict.fromkeys(regions))
    n = len(columns)
    values = np.full((len(samples), n * len(names_of)), np.nan)
    block, filled = _numbers(frame, columns), set()
    line_to: dict[int, tuple[int, int]] = {}
    for line, (sample, name) in enumerate(zip(rows, regions, strict=True)):
        cell = (samples.index(sample), names_of.index(name))
        if cell in filled:
            raise AlignmentError(
                f"{file.name}: sample {sample} has two rows of region {name!r}. Keep one with "
                "where=.",
                repeated=[sample],
            )
        filled.add(cell)
        line_to[line] = cell
        values[cell[0], cell[1] * n : (cell[1] + 1) * n] = block[line]
    names = [f"{name}|{column}" for name in names_of for column in columns]
    place = {name: j for j, name in enumerate(columns)}
    reasons = {}
    for item in problems:
        i, k = line_to[item.line - 1]
        reasons[i, k * n + place[item.column]] = f"{item.reason}: {item.value}"
    for i in range(len(samples)):
        for k, name in enumerate(names_of):
            if (i, k) not in filled:
                reasons |= {(i, k * n + j): f"no region {name!r}" for j in range(n)}
    specs = _specs(names, columns * len(names_of), [r for r in names_of for _ in columns])
    return PhenotypeTable(tuple(samples), values, specs, _status(samples, names, values, reasons))


def _long(frame: pl.DataFrame, rule: IdRule | None, file: Path) -> PhenotypeTable:
    """Return the phenotypes of radgen's own long table."""
    text = [name for name in LONG_COLUMNS if name != "value"]
    frame = frame.with_columns(pl.col(text).cast(pl.String).fill_null(""))
    spelled = frame["sample"].unique(maintain_order=True).to_list()
    samples = normalise_ids(spelled, rule)
    keys = ["region", "filter", "family", "feature", "aggregation"]
    features = frame.filter(pl.col("feature") != "")
    specs = features.unique(subset=keys, keep="first", maintain_order=True)
    several = specs["region"].n_unique() > 1
    names = []
    for row in specs.select(keys).iter_rows(named=True):
        skip = not several and row["region"] in ("", "region")
        parts = [row[key] for key in keys[1 if skip else 0 :]]
        names.append("|".join(part for part in parts if part))
    specs = specs.with_columns(pl.Series("name", names, dtype=pl.String), pl.lit("").alias("image"))
    rows = features.join(specs.select(*keys, "name"), on=keys, how="left")
    if rows.select("sample", "name").is_duplicated().any():
        raise FormatError("A sample has two values of one feature.", path=file)
    row_of = {old: i for i, old in enumerate(spelled)}
    new = dict(zip(spelled, samples, strict=True))
    place = {name: j for j, name in enumerate(names)}
    values = np.full((len(samples), len(names)), np.nan)
    status = [
        (new[row["sample"]], "", row["status"], row["reason"])
        for row in frame.filter(pl.col("feature") == "").iter_rows(named=True)
    ]
    for row in rows.select("sample", "name", "value", "status", "reason").iter_rows(named=True):
        fine = row["status"] == "ok" and row["value"] is not None
        if fine:
            values[row_of[row["sample"]], place[row["name"]]] = float(row["value"])
        else:
            kind = row["status"] if row["status"] not in ("", "ok") else "undefined"
            status.append((new[row["sample"]], row["name"], kind, row["reason"]))
    return PhenotypeTable(
        samples,
        values,
        specs.select(SPEC_COLUMNS),
        pl.DataFrame(status, schema=dict.fromkeys(STATUS_COLUMNS, pl.String), orient="row"),
    )
