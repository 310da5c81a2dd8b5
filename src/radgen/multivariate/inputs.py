"""Two blocks of the same people from tables or genotypes, matched by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import InputError, shown
from radgen.types import Covariates, GenotypeMatrix, PhenotypeTable, align

__all__ = ["TwoBlockData", "match_blocks"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TwoBlockData:
    """Complete, matched blocks.

    Attributes
    ----------
    samples : tuple of str
        People in every table, without missing phenotypes or covariates.
    x, y : ndarray of float64 (n_samples, n_features)
        Variants and phenotypes that vary.
    x_names, y_names : tuple of str
        Names of the columns.
    groups : tuple of str or None
        Gene of each variant.
    confounders : ndarray of float64 (n_samples, n_confounders) or None
        Covariates.
    confounder_names : tuple of str
        Their names.
    dropped : polars.DataFrame
        Columns ``sample, reason``.
    notes : tuple of str
        What was left out or filled in.
    """

    samples: tuple[str, ...]
    x: Array
    y: Array
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    groups: tuple[str, ...] | None
    confounders: Array | None
    confounder_names: tuple[str, ...]
    dropped: pl.DataFrame
    notes: tuple[str, ...]


def match_blocks(
    x: GenotypeMatrix | PhenotypeTable,
    y: PhenotypeTable,
    covariates: Covariates | None = None,
    *,
    groups: Mapping[str, str] | None = None,
    max_missing: float = 0.05,
) -> TwoBlockData:
    """Return two blocks on the people that have all of both.

    Parameters
    ----------
    x : GenotypeMatrix or PhenotypeTable
        Variants, or any table of numbers.
    y : PhenotypeTable
        Image phenotypes.
    covariates : Covariates or None
        Confounders.
    groups : mapping of str to str or None
        Gene of each column of x, by its name; a column that is not named is its own.
    max_missing : float, default 0.05
        Columns of either block with a larger share of missing values are left out. Of the others,
        missing values of x become the column's mean (for a dosage twice the allele frequency);
        people who lack a phenotype are left out.

    Returns
    -------
    TwoBlockData
        Ready for `compare` and the estimators of this package.

    Raises
    ------
    InputError
        If no column of a block is left, or no group names a column.
    AlignmentError
        If fewer than 20 samples are common, or an id is repeated.
    """
    tables = {"first block": x.samples, "phenotypes": y.samples}
    if covariates is not None:
        tables["covariates"] = covariates.samples
    found = align(tables, need=20)
    left, x_names = _numbers(x, found.rows["first block"])
    right, y_names = _numbers(y, found.rows["phenotypes"])
    z = None if covariates is None else covariates.values[found.rows["covariates"]]
    notes: list[str] = []
    left, x_names = _usable(left, x_names, max_missing, "first block", notes)
    right, y_names = _usable(right, y_names, max_missing, "phenotypes", notes)
    whole = np.isfinite(right).all(axis=1)
    complete = whole if z is None else whole & np.isfinite(z).all(axis=1)
    reasons = [(row["sample"], f"absent from {row['absent_from']}")
               for row in found.dropped.iter_rows(named=True)]  # fmt: skip
    for sample, has_all, ok in zip(found.samples, whole, complete, strict=True):
        if not ok:
            what = "a covariate" if has_all else "a phenotype"
            reasons.append((sample, f"{what} is missing"))
    left, right = left[complete], right[complete]
    z = None if z is None else z[complete]
    n_filled = int(np.isnan(left).sum())
    if n_filled:
        notes.append(f"{n_filled:,} missing values of the first block became the column's mean.")
        left = np.where(np.isnan(left), np.nanmean(left, axis=0), left)
    return TwoBlockData(
        tuple(s for s, ok in zip(found.samples, complete, strict=True) if ok),
        left,
        right,
        x_names,
        y_names,
        _labels(x_names, groups),
        z,
        () if covariates is None else covariates.names,
        pl.DataFrame(reasons, schema={"sample": pl.String, "reason": pl.String}, orient="row"),
        tuple(notes),
    )


def _numbers(
    block: GenotypeMatrix | PhenotypeTable, rows: NDArray[np.int64]
) -> tuple[Array, tuple[str, ...]]:
    if isinstance(block, PhenotypeTable):
        return np.array(block.values[rows], dtype=np.float64), block.names
    dosage = block.read(0, block.n_variants)[:, rows].T.astype(np.float64)
    return dosage, tuple(block.variants["id"].to_list())


def _usable(
    values: Array, names: tuple[str, ...], max_missing: float, what: str, notes: list[str]
) -> tuple[Array, tuple[str, ...]]:
    values = np.where(np.isinf(values), np.nan, values)
    missing = np.isnan(values).mean(axis=0)
    seen = missing <= max_missing
    lost = [name for name, ok in zip(names, seen, strict=True) if not ok]
    if lost:
        notes.append(f"{len(lost)} columns of the {what} lack too many values: {shown(lost)}.")
    flat = np.zeros(len(names), dtype=np.bool_)
    flat[seen] = np.nanmax(values[:, seen], axis=0) == np.nanmin(values[:, seen], axis=0)
    constant = [name for name, ok in zip(names, flat, strict=True) if ok]
    if constant:
        notes.append(f"{len(constant)} columns of the {what} do not vary: {shown(constant)}.")
    keep = seen & ~flat
    if not keep.any():
        raise InputError(
            f"No column of the {what} varies and is measured in "
            f"{1 - max_missing:.0%} of the {len(values)} people."
        )
    return values[:, keep], tuple(np.array(names)[keep].tolist())


def _labels(names: tuple[str, ...], groups: Mapping[str, str] | None) -> tuple[str, ...] | None:
    if groups is None:
        return None
    if not any(name in groups for name in names):
        raise InputError(
            f"The groups name none of the columns, which are such as {shown(names, 3)}; they "
            f"name such as {shown(list(groups), 3)}."
        )
    return tuple(str(groups.get(name, name)) for name in names)
