"""Folds that never part a patient: stratified and repeated, or one site at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from radgen._core.rng import spawn
from radgen.errors import InputError

__all__ = ["Split", "group_folds", "outer_splits", "temporal_splits"]


@dataclass(frozen=True, eq=False)
class Split:
    """Training and test rows of one fold of one repeat."""

    repeat: int
    fold: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def group_folds(
    strata: NDArray[np.int64],
    groups: NDArray[np.int64],
    n_folds: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the fold of each row: groups whole, strata as even as groups allow.

    Parameters
    ----------
    strata : int64 (n,)
        Stratum of each row (class, event, site).
    groups : int64 (n,)
        Patient of each row; rows of a patient share a fold.
    n_folds : int
        Number of folds.
    rng : numpy.random.Generator
        Order of the groups.

    Raises
    ------
    InputError
        If there are fewer groups than folds.

    Notes
    -----
    Groups are dealt in random order, the largest first, each to the fold that holds the fewest
    rows of the group's rarest stratum, then the fewest rows.
    """
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < n_folds:
        raise InputError(f"{len(names)} patients cannot be cut into {n_folds} folds.")
    n_strata = int(strata.max()) + 1
    table = np.zeros((len(names), n_strata))
    np.add.at(table, (member, strata), 1.0)
    total = table.sum(axis=0)
    order = rng.permutation(len(names))
    present = np.where(table > 0, total, np.inf)
    rarest = present.argmin(axis=1)
    order = order[np.lexsort((total[rarest[order]], -table[order].sum(axis=1)))]
    held = np.zeros((n_folds, n_strata))
    shuffle = rng.permutation(n_folds)
    fold_of = np.empty(len(names), dtype=np.int64)
    for g in order:
        load = held.sum(axis=1)
        best = min(range(n_folds), key=lambda f: (held[f, rarest[g]], load[f], shuffle[f]))
        fold_of[g] = best
        held[best] += table[g]
    return fold_of[member]


def outer_splits(
    strata: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    folds: int,
    repeats: int,
    seed: int,
    sites: Sequence[str] | None = None,
    leave_site_out: bool = False,
) -> tuple[Split, ...]:
    """Return all outer splits.

    Raises
    ------
    InputError
        If sites are asked for and missing, or a patient was scanned at several sites.
    """
    out = []
    if leave_site_out:
        if sites is None:
            raise InputError("Leave-site-out needs the sites of the samples.")
        names, code = np.unique(np.array(sites, dtype=object), return_inverse=True)
        if len(names) < 2:
            raise InputError("Leave-site-out needs two or more sites.")
        pairs = {(int(g), int(s)) for g, s in zip(groups, code, strict=True)}
        if len(pairs) > len(np.unique(groups)):
            raise InputError(
                "Some patients were scanned at several sites (or a scan stands at two, under "
                "two ids): leaving one site out would leave the same patients in training. Keep "
                "one site a patient."
            )
        for level in range(len(names)):
            test = code == level
            out.append(Split(0, level, np.flatnonzero(~test), np.flatnonzero(test)))
        return tuple(out)
    for repeat in range(repeats):
        fold = group_folds(strata, groups, folds, spawn(seed, "outer folds", repeat))
        out += [
            Split(repeat, k, np.flatnonzero(fold != k), np.flatnonzero(fold == k))
            for k in range(folds)
        ]
    return tuple(out)


def temporal_splits(
    when: NDArray[np.float64], groups: NDArray[np.int64], *, folds: int
) -> tuple[Split, ...]:
    """Return splits that test later patients by models of all earlier ones.

    Parameters
    ----------
    when : float64 (n,)
        Time of each row; a patient counts at the earliest of its rows.
    groups : int64 (n,)
        Patient of each row.
    folds : int
        Parts into which the later half of the patients is cut.

    Raises
    ------
    InputError
        If all times are equal, or there are fewer patients than needed.

    Notes
    -----
    Patients of one time are never parted between training and test.
    """
    names, code = np.unique(groups, return_inverse=True)
    first = np.full(len(names), np.inf)
    np.minimum.at(first, code, when)
    order = np.sort(first)
    cuts = np.unique(order[np.linspace(len(names) // 2, len(names) - 1, folds + 1).astype(int)])
    cuts = cuts[cuts > order[0]]
    if len(names) < 2 * folds or not len(cuts):
        raise InputError(
            f"{len(names)} patients with {len(np.unique(order))} different times cannot be cut "
            f"into {folds} later parts. Use fewer folds."
        )
    edges = np.append(cuts[:-1] if len(cuts) > 1 else cuts, np.inf)
    row = first[code]
    return tuple(
        Split(0, k, np.flatnonzero(row < low), np.flatnonzero((row >= low) & (row < high)))
        for k, (low, high) in enumerate(pairwise(edges))
    )
