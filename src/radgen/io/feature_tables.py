"""Read feature tables that other programs made: PyRadiomics, CaPTk, MIRP, radgen, or plain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.id_names import FAMILY_NAMES, is_id_name
from radgen._core.naming import did_you_mean
from radgen.errors import AlignmentError, FormatError, InputError, shown
from radgen.io._feature_names import LONG_COLUMNS, is_diagnostic, name_spec
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import read_table, text_of, to_numbers
from radgen.types import SPEC_COLUMNS, STATUS_COLUMNS, PhenotypeTable

__all__ = ["find_id_column", "read_feature_table"]

_NUMERIC_SHARE = 0.5

Reasons = dict[tuple[int, str], str]
"""Why a cell (row, column) holds no number."""


def read_feature_table(
    path: str | Path,
    *,
    id_column: str | None = None,
    id_rule: IdRule | None = None,
    columns: Sequence[str] | None = None,
    exclude: Collection[str] = (),
    region: str | None = None,
    where: Mapping[str, object] | None = None,
) -> PhenotypeTable:
    """Return a feature table as phenotypes.

    Parameters
    ----------
    path : str or Path
        One row a sample (or a region of a sample) and one column a feature, or radgen's long
        table.
    id_column : str or None
        Column of sample ids; None = the column named like an id ("ID", "subject", …), or the
        first column where its cells are all different and no numbers.
    id_rule : IdRule or None
        Applied to the ids.
    columns : sequence of str or None
        Feature columns; None = all numeric ones but `exclude` and PyRadiomics' diagnostics.
    exclude : collection of str
        Columns that are no features (an outcome, say).
    region : str or None
        Column that names regions, where a sample has a row for each: the result has a row a
        sample, and columns ``region|feature``.
    where : mapping or None
        Rows to keep: ``{"visit": 1}``.

    Returns
    -------
    PhenotypeTable
        Cells that are no numbers (``#NAME?``) are NaN and have a status row with their text,
        "failed"; empty cells are NaN and "undefined". `specs` tells filter, family, feature and
        IBSI code where the column name does.

    Raises
    ------
    FormatError
        If there is no numeric column, or a row has no id.
    InputError
        If the id column cannot be found, or a named column does not exist.
    AlignmentError
        If ids repeat.
    """
    place = Path(path)
    frame = _rows(read_table(path), where or {}, place)
    rule = id_rule or IdRule()
    if set(LONG_COLUMNS) <= set(frame.columns):
        return _long(frame, rule, place)
    key = find_id_column(frame, id_column, place)
    taken = {key, region, *exclude, *(where or ())}
    for name in (*(columns or ()), *([region] if region else ())):
        if name not in frame.columns:
            raise InputError(f"{path}: no column {name!r}. {did_you_mean(name, frame.columns)}")
    names, values, reasons = _numbers(frame, columns, taken, place)
    ids = text_of(frame[key], path=place)
    samples = normalise_ids(ids, rule, what=str(path))
    if region is not None:
        regions = text_of(frame[region], path=place)
        return _by_region(samples, regions, names, values, reasons, place)
    if len(set(samples)) < len(samples):
        twice = list(dict.fromkeys(s for s in samples if samples.count(s) > 1))
        raise AlignmentError(
            f"{path}: samples with more than one row: {shown(twice)}. Where these are regions or "
            "visits, say so with region or where (the column, the rows to keep).",
            repeated=twice,
        )
    specs = [name_spec(name) for name in names]
    return _phenotypes(samples, specs, values, reasons)


def _rows(frame: pl.DataFrame, where: Mapping[str, object], path: Path) -> pl.DataFrame:
    for name, value in where.items():
        if name not in frame.columns:
            raise InputError(f"{path}: no column {name!r}. {did_you_mean(name, frame.columns)}")
        kept = frame.filter(pl.col(name).cast(pl.String) == str(value))
        if kept.height == 0:
            found = frame[name].cast(pl.String).unique(maintain_order=True).to_list()
            raise InputError(f"{path}: no row has {name} = {value!r}. Found: {shown(found)}.")
        frame = kept
    return frame


def _numbers(
    frame: pl.DataFrame, columns: Sequence[str] | None, taken: Collection[str | None], path: Path
) -> tuple[list[str], NDArray[np.float64], Reasons]:
    """Return names and values of the feature columns, and why a cell holds no number."""
    chosen = list(columns) if columns is not None else [n for n in frame.columns if n not in taken]
    names, values, reasons = [], [], {}
    for name in chosen:
        if columns is None and is_diagnostic(name):
            continue
        if columns is None and (is_id_name(name) or name in FAMILY_NAMES):
            continue
        numbers, dirty = to_numbers(frame[name])
        n_cells = frame.height - frame[name].null_count()
        if columns is None and n_cells and len(dirty) > (1 - _NUMERIC_SHARE) * n_cells:
            continue
        names.append(name)
        values.append(numbers.to_numpy().astype(np.float64))
        for row, _, text in dirty:
            reasons[row - 1, name] = f"the cell holds {text[:40]!r}, no number"
    if not names:
        raise FormatError("The table has no numeric column.", path=path)
    return names, np.column_stack(values), reasons


def _phenotypes(
    samples: Sequence[str],
    specs: list[dict[str, str]],
    values: NDArray[np.float64],
    reasons: Reasons,
) -> PhenotypeTable:
    rows = []
    for i, j in np.argwhere(np.isnan(values)):
        name = specs[j]["name"]
        reason = reasons.get((int(i), name))
        kind = "undefined" if reason is None else "failed"
        rows.append((samples[i], name, kind, reason or "the cell is empty"))
    return PhenotypeTable(
        tuple(samples),
        values,
        pl.DataFrame(specs, schema=dict.fromkeys(SPEC_COLUMNS, pl.String)),
        pl.DataFrame(rows, schema=dict.fromkeys(STATUS_COLUMNS, pl.String), orient="row"),
    )


def _by_region(  # noqa: PLR0917
    rows: list[str],
    regions: list[str],
    names: list[str],
    values: NDArray[np.float64],
    reasons: Reasons,
    path: Path,
) -> PhenotypeTable:
    samples, wanted = list(dict.fromkeys(rows)), list(dict.fromkeys(regions))
    at = {sample: i for i, sample in enumerate(samples)}
    block = {name: k for k, name in enumerate(wanted)}
    n = len(names)
    out = np.full((len(samples), n * len(wanted)), np.nan)
    filled: set[tuple[int, int]] = set()
    told: Reasons = {}
    for line, (sample, name) in enumerate(zip(rows, regions, strict=True)):
        i, k = at[sample], block[name]
        if (i, k) in filled:
            raise AlignmentError(
                f"{path}: sample {sample} has more than one row of region {name!r}. Keep one with "
                "where=.",
                repeated=[sample],
            )
        filled.add((i, k))
        out[i, k * n : (k + 1) * n] = values[line]
        told |= {
            (i, f"{name}|{feature}"): reasons[line, feature]
            for feature in names
            if (line, feature) in reasons
        }
    for i in range(len(samples)):
        for name, k in block.items():
            if (i, k) not in filled:
                told |= {(i, f"{name}|{feature}"): f"no region {name!r}" for feature in names}
    specs = [
        name_spec(feature) | {"name": f"{name}|{feature}", "region": name}
        for name in wanted
        for feature in names
    ]
    return _phenotypes(samples, specs, out, told)


def _long(frame: pl.DataFrame, rule: IdRule, path: Path) -> PhenotypeTable:
    """Return the phenotypes of radgen's own long table."""
    numbers, dirty = to_numbers(frame["value"])
    if dirty:
        raise FormatError(f"{len(dirty)} values are no numbers: {shown(dirty)}.", path=path)
    text = [name for name in LONG_COLUMNS if name != "value"]
    frame = frame.with_columns(numbers, pl.col(text).cast(pl.String).fill_null(""))
    spelled = list(dict.fromkeys(text_of(frame["sample"], path=path)))
    samples = normalise_ids(spelled, rule, what=str(path))
    keys = ["region", "filter", "family", "feature", "aggregation"]
    features = frame.filter(pl.col("feature") != "")
    specs = features.unique(subset=keys, keep="first", maintain_order=True)
    several = specs["region"].n_unique() > 1
    names = []
    for row in specs.select(keys).iter_rows(named=True):
        skip = not several and row["region"] in ("", "region")
        names.append("|".join(row[key] for key in keys[1 if skip else 0 :] if row[key]))
    specs = specs.with_columns(pl.Series("name", names, dtype=pl.String), pl.lit("").alias("image"))
    cells = features.join(specs.select(*keys, "name"), on=keys, how="left")
    if cells.select("sample", "name").is_duplicated().any():
        raise FormatError("A sample has two values of one feature.", path=path)
    row_of = {old: i for i, old in enumerate(spelled)}
    column_of = {name: j for j, name in enumerate(names)}
    values = np.full((len(samples), len(names)), np.nan)
    status = [
        (samples[row_of[row["sample"]]], "", row["status"], row["reason"])
        for row in frame.filter(pl.col("feature") == "").iter_rows(named=True)
    ]
    for row in cells.select("sample", "name", "value", "status", "reason").iter_rows(named=True):
        i = row_of[row["sample"]]
        if row["status"] == "ok" and row["value"] is not None:
            values[i, column_of[row["name"]]] = row["value"]
        else:
            kind = row["status"] if row["status"] not in ("", "ok") else "undefined"
            status.append((samples[i], row["name"], kind, row["reason"]))
    return PhenotypeTable(
        tuple(samples),
        values,
        specs.select(SPEC_COLUMNS),
        pl.DataFrame(status, schema=dict.fromkeys(STATUS_COLUMNS, pl.String), orient="row"),
    )


def find_id_column(frame: pl.DataFrame, id_column: str | None, path: Path) -> str:
    """Return the column of sample ids: the named one, one named like an id, or the first.

    Raises
    ------
    InputError
        If the named column does not exist, or none can be found.
    """
    if id_column is not None:
        if id_column not in frame.columns:
            raise InputError(
                f"{path}: no id column {id_column!r}; columns: {shown(frame.columns, 10)}."
            )
        return id_column
    for name in frame.columns:
        if is_id_name(name):
            return name
    first = frame.columns[0]
    cells = frame[first]
    if (
        cells.n_unique() == frame.height
        and cells.dtype == pl.String
        and len(to_numbers(cells)[1]) > 0
    ):
        return first
    raise InputError(
        f"{path}: which column holds the sample ids? Columns: {shown(frame.columns, 10)}."
    )
