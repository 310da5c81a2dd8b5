"""From several rows a patient to one, and how those kept differ from those lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.types import FrameLike, PhenotypeTable, to_polars

__all__ = ["AGGREGATES", "aggregate", "standardised_differences"]

Aggregate = Literal["largest", "mean", "worst"]

AGGREGATES = ("largest", "mean", "worst")
"""How the rows of a patient become one."""

_MANY_LEVELS = 10


def standardised_differences(frame: FrameLike, kept: Iterable[str]) -> pl.DataFrame:
    """Return how the patients kept differ from those lost, in standard deviations.

    Parameters
    ----------
    frame : data frame
        First column: ids; the others are compared. Text is compared level by level (at most
        10 levels); dates are left aside.
    kept : iterable of str
        Ids that remain.

    Returns
    -------
    polars.DataFrame
        ``variable, kept, lost, difference``: means (or shares) of both groups and (kept -
        lost) over the root of the mean of both variances; above 0.2 in size is worth a thought.
        Columns with fewer than two known values in either group are left out.

    References
    ----------
    Austin (2009), Stat. Med. 28, 3083-3107.
    """
    table = to_polars(frame, what="table of patients")
    inside = table[table.columns[0]].cast(pl.String).is_in([str(item) for item in set(kept)])
    rows: list[tuple[str, float, float, float]] = []
    for name, values in _compared(table):
        left = values.filter(inside).drop_nulls().to_numpy()
        right = values.filter(~inside).drop_nulls().to_numpy()
        if min(len(left), len(right)) < 2:
            continue
        a, b = float(left.mean()), float(right.mean())
        spread = float(np.sqrt((left.var(ddof=1) + right.var(ddof=1)) / 2))
        rows.append((name, a, b, (a - b) / spread if spread > 0 else 0.0))
    schema = {"variable": pl.String, "kept": pl.Float64, "lost": pl.Float64,
              "difference": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _compared(table: pl.DataFrame) -> Iterable[tuple[str, pl.Series]]:
    for name in table.columns[1:]:
        column = table[name]
        if column.dtype in (pl.Date, pl.Datetime):
            continue
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            yield name, column.cast(pl.Float64).fill_nan(None)
            continue
        levels = sorted(column.drop_nulls().cast(pl.String).unique().to_list())
        if len(levels) <= _MANY_LEVELS:
            for level in levels:
                yield f"{name}={level}", (column.cast(pl.String) == level).cast(pl.Float64)


def aggregate(
    phenotypes: PhenotypeTable,
    patients: Mapping[str, str],
    *,
    how: Aggregate,
    by: str | None = None,
    worst: Literal["highest", "lowest"] = "highest",
) -> tuple[PhenotypeTable, dict[str, str]]:
    """Return one row a patient, of the rows of their lesions or scans.

    Parameters
    ----------
    phenotypes : PhenotypeTable
        A row a lesion or scan.
    patients : mapping of str to str
        Patient of each row.
    how : {"largest", "mean", "worst"}
        The row with the largest value of `by` (the volume), the mean of all rows (a missing
        value is left out of it), or the row with the worst value of `by`.
    by : str or None
        The phenotype that decides; needed but for "mean".
    worst : {"highest", "lowest"}
        Which end is bad.

    Returns
    -------
    table : PhenotypeTable
        A row a patient, in order of first appearance; the status of the row that counts, or of
        all for "mean" where no value is known.
    lost : dict of str to str
        Rows that do not count, and why.

    Raises
    ------
    InputError
        If a row has no patient, or the deciding phenotype is not named or unknown.

    Examples
    --------
    >>> table = PhenotypeTable.from_frame(
    ...     {"sample": ["a1", "a2", "b1"], "volume": [1.0, 5.0, 2.0], "f": [7.0, 8.0, 9.0]})
    >>> found, _ = aggregate(table, {"a1": "a", "a2": "a", "b1": "b"}, how="largest", by="volume")
    >>> found.values.tolist()
    [[5.0, 8.0], [2.0, 9.0]]
    """
    require_choice(how, AGGREGATES, what="aggregation")
    require_choice(worst, ("highest", "lowest"), what="worst")
    lacking = [item for item in phenotypes.samples if item not in patients]
    if lacking:
        raise InputError(f"No patient is named for {len(lacking)} rows: {shown(lacking)}.")
    rows: dict[str, list[int]] = {}
    for row, sample in enumerate(phenotypes.samples):
        rows.setdefault(str(patients[sample]), []).append(row)
    if how == "mean":
        return _means(phenotypes, rows)
    if by is None:
        raise InputError(f"{how!r} needs by=, the phenotype that decides (the volume, say).")
    require_choice(by, phenotypes.names, what="phenotype")
    sign = -1.0 if how == "worst" and worst == "lowest" else 1.0
    decides = sign * phenotypes.values[:, phenotypes.names.index(by)]
    chosen, lost = [], {}
    for own in rows.values():
        ranked = sorted(own, key=lambda row: (-_or_least(decides[row]), row))
        chosen.append(ranked[0])
        lost |= {phenotypes.samples[row]: f"another row of the patient counts ({how})"
                 for row in ranked[1:]}  # fmt: skip
    kept = phenotypes.take(rows=chosen)
    names = {phenotypes.samples[row]: patient for patient, row in zip(rows, chosen, strict=True)}
    return _renamed(kept, names), lost


def _or_least(value: float) -> float:
    return float(value) if np.isfinite(value) else -np.inf


def _means(
    phenotypes: PhenotypeTable, rows: Mapping[str, list[int]]
) -> tuple[PhenotypeTable, dict[str, str]]:
    values = np.full((len(rows), phenotypes.n_phenotypes), np.nan)
    for place, own in enumerate(rows.values()):
        part = phenotypes.values[own]
        known = np.isfinite(part)
        count = known.sum(axis=0)
        total = np.where(known, part, 0.0).sum(axis=0)
        values[place] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    names = {phenotypes.samples[row]: patient for patient, own in rows.items() for row in own}
    status = phenotypes.status.with_columns(pl.col("sample").replace(names))
    alive: NDArray[np.bool_] = np.isfinite(values)
    column = {name: place for place, name in enumerate(phenotypes.names)}
    row = {patient: place for place, patient in enumerate(rows)}
    keep = [
        not alive[row[sample]].any() if not name else not alive[row[sample], column[name]]
        for sample, name in status.select("sample", "phenotype").iter_rows()
    ]
    status = status.filter(pl.Series(keep, dtype=pl.Boolean)).unique(
        ["sample", "phenotype"], keep="first", maintain_order=True
    )
    return PhenotypeTable(tuple(rows), values, phenotypes.specs, status), {}


def _renamed(table: PhenotypeTable, names: Mapping[str, str]) -> PhenotypeTable:
    return PhenotypeTable(
        tuple(names[item] for item in table.samples),
        table.values,
        table.specs,
        table.status.with_columns(pl.col("sample").replace(dict(names))),
    )
