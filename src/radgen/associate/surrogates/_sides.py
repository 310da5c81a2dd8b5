"""The predictors of both cohorts: common, complete, on one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.associate.gene_sets._gene_side import complete_genes
from radgen.errors import InputError, shown
from radgen.omics._ranks import ranks_within
from radgen.stats.rank import normal_scores
from radgen.types import OmicsTable, PhenotypeTable

__all__ = ["WITHIN", "Predictors", "predictors_of", "quantile_reference", "standardised"]

Array = NDArray[np.float64]

WITHIN = ("none", "rank", "quantile")
"""What may be done within a sample before cohorts are compared."""


@dataclass(frozen=True, eq=False)
class Predictors:
    """Predictors that both cohorts have.

    Attributes
    ----------
    names : tuple of str (n_predictors,)
        In common, varying and measured often enough in both.
    paired : ndarray of float64 (n_paired, n_predictors)
        No NaN; the scale of genes is not changed yet.
    carried : ndarray of float64 (n_carried, n_predictors) or None
        The same of the second cohort.
    only_paired, only_carried : int
        Predictors that one cohort alone has.
    notes : tuple of str
        What was left out or filled in.
    """

    names: tuple[str, ...]
    paired: Array
    carried: Array | None
    only_paired: int
    only_carried: int
    notes: tuple[str, ...]


def predictors_of(
    paired: OmicsTable | PhenotypeTable,
    carried: OmicsTable | PhenotypeTable | None,
    *,
    within: str,
    max_missing: float,
) -> Predictors:
    """Return the common predictors of both cohorts, harmonised within samples.

    Parameters
    ----------
    paired, carried : OmicsTable or PhenotypeTable
        Predictors of the paired cohort, and of the one without the trait.
    within : {"none", "rank", "quantile"}
        "rank": normal scores of the ranks of the common predictors within each sample.
        "quantile": the values of a sample of the second cohort, ranked, become the mean order
        statistics of the paired cohort's samples.
    max_missing : float
        Largest share of missing values of a predictor in either cohort.

    Raises
    ------
    InputError
        If fewer than 3 predictors are common, or a layer holds raw counts.
    """
    require_choice(within, WITHIN, what="harmonisation within samples")
    tables = [paired] if carried is None else [paired, carried]
    for table in tables:
        if isinstance(table, OmicsTable) and table.scale == "counts":
            raise InputError("The layer holds raw counts. Normalise it first (`omics.normalise`).")
    names = _names(paired)
    if carried is None:
        found = complete_genes(np.asarray(paired.values), max_missing=max_missing)
        kept = tuple(names[j] for j in found.columns)
        values = _within(found.values, None, within)
        notes = _notes("paired", found.n_dropped, found.n_imputed)
        return Predictors(kept, values, None, 0, 0, notes)
    others = _names(carried)
    place = {name: j for j, name in enumerate(others)}
    common = [name for name in names if name in place]
    if len(common) < 3:
        raise InputError(
            f"The cohorts have {len(common)} predictors in common; needed are 3. Paired: "
            f"{shown(list(names))}; other: {shown(list(others))}. Are the identifiers the same?"
        )
    home = {name: j for j, name in enumerate(names)}
    one = complete_genes(paired.values[:, [home[n] for n in common]], max_missing=max_missing)
    two = complete_genes(carried.values[:, [place[n] for n in common]], max_missing=max_missing)
    columns = np.intersect1d(one.columns, two.columns)
    if len(columns) < 3:
        raise InputError(
            f"Only {len(columns)} of {len(common)} common predictors are measured and vary in "
            "both cohorts; needed are 3. Raise max_missing."
        )
    first = one.values[:, np.searchsorted(one.columns, columns)]
    second = two.values[:, np.searchsorted(two.columns, columns)]
    return Predictors(
        tuple(common[j] for j in columns),
        _within(first, None, within),
        _within(second, first, within),
        len(names) - len(common),
        len(others) - len(common),
        (
            *_notes("paired", len(common) - len(one.columns), one.n_imputed),
            *_notes("second", len(common) - len(two.columns), two.n_imputed),
        ),
    )


def quantile_reference(values: Array) -> Array:
    """Return the mean order statistics of samples (n_samples, n_predictors)."""
    return np.asarray(np.sort(values, axis=1).mean(axis=0))


def _within(values: Array, reference: Array | None, within: str) -> Array:
    if within == "none":
        return values
    if within == "rank":
        return np.asarray(normal_scores(values.T).T)
    target = quantile_reference(values if reference is None else reference)
    ranks = ranks_within(values, "average") - 1.0
    return np.interp(ranks, np.arange(len(target)), target)


def standardised(values: Array, by: Array) -> Array:
    """Return values less the mean of `by`, divided by its deviation; 0 where that is 0."""
    mean, spread = by.mean(axis=0), by.std(axis=0)
    flat = spread <= 1e-13 * np.maximum(np.abs(mean), np.finfo(float).tiny)
    return np.where(flat, 0.0, (values - mean) / np.where(flat, 1.0, spread))


def _names(table: OmicsTable | PhenotypeTable) -> tuple[str, ...]:
    return table.features if isinstance(table, OmicsTable) else table.names


def _notes(which: str, n_dropped: int, n_imputed: int) -> tuple[str, ...]:
    notes = []
    if n_dropped:
        notes.append(
            f"{n_dropped} predictors of the {which} cohort do not vary or are missing too often."
        )
    if n_imputed:
        notes.append(f"{n_imputed} missing values of the {which} cohort count as its means.")
    return tuple(notes)
