"""Kinship from pedigrees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import InputError, shown
from radgen.types import FrameLike, Kinship, check_unique, to_polars

__all__ = ["pedigree_families", "pedigree_kinship"]

Array = NDArray[np.float64]
_NAMES = {
    "sample": ("sample", "id", "ID", "IID", "iid"),
    "father": ("father", "fatherid", "dadid", "PAT", "fa"),
    "mother": ("mother", "motherid", "momid", "MAT", "mo"),
}
_NONE = ("", "0", "NA")
_LARGEST = 30_000


def pedigree_kinship(pedigree: FrameLike) -> Kinship:
    """Return twice the kinship coefficients of everybody in a pedigree.

    Parameters
    ----------
    pedigree : data frame
        Columns sample, father, mother (also as PLINK, kinship2 or SOLAR name them); a missing
        parent is null, "0" or empty, and need not have a row of its own. Optional column
        ``twin``: the same mark on identical twins (of the same parents, known or not).

    Returns
    -------
    Kinship
        float64 (n_samples, n_samples), 1 + the inbreeding coefficient on the diagonal, 1/2 for
        parent and child and for full sibs. Rows in the order of the table.

    Raises
    ------
    InputError
        If a column is missing, somebody is their own ancestor, twins have other parents, or
        more than 30,000 people would have to be in one matrix (see `pedigree_families`).
    AlignmentError
        If an id is repeated.

    Notes
    -----
    Founders are unrelated and not inbred. From parents to children,
    k_ij = (k_fj + k_mj) / 2 and k_ii = 1 + k_fm / 2 (in units of twice the kinship); an
    unknown parent is one more founder. The X chromosome is not covered.

    Examples
    --------
    >>> family = {"sample": ["pa", "ma", "one", "two"], "father": ["", "", "pa", "pa"],
    ...           "mother": ["", "", "ma", "ma"]}
    >>> pedigree_kinship(family).values[2].tolist()
    [0.5, 0.5, 1.0, 0.5]
    """
    table = _table(pedigree)
    if table.height > _LARGEST:
        raise InputError(
            f"{table.height} people do not fit one matrix; take them family by family with "
            "pedigree_families."
        )
    names = table["sample"].to_list()
    place = {name: row for row, name in enumerate(names)}
    values = np.eye(len(names))
    for samples, matrix in _families(table):
        rows = [place[name] for name in samples]
        values[np.ix_(rows, rows)] = matrix
    return Kinship(tuple(names), values)


def pedigree_families(pedigree: FrameLike) -> Iterator[tuple[tuple[str, ...], Array]]:
    """Yield each group of relatives and twice their kinship coefficients.

    Parameters
    ----------
    pedigree : data frame
        As for `pedigree_kinship`. Families are found by parents, not by a family column.

    Yields
    ------
    tuple of str, ndarray of float64 (n_members, n_members)
        People that are joined by lines of descent; those in the table only.

    Raises
    ------
    InputError
        As for `pedigree_kinship`.
    AlignmentError
        If an id is repeated.
    """
    yield from _families(_table(pedigree))


def _table(pedigree: FrameLike) -> pl.DataFrame:
    frame = to_polars(pedigree, what="pedigree")
    columns = {}
    for name, known in _NAMES.items():
        hit = next((item for item in known if item in frame.columns), None)
        if hit is None:
            raise InputError(f"The pedigree has none of the columns {', '.join(known)}.")
        columns[name] = frame[hit].cast(pl.String).str.strip_chars()
    twin = frame["twin"].cast(pl.String) if "twin" in frame.columns else None
    columns["twin"] = pl.Series([None] * frame.height, dtype=pl.String) if twin is None else twin
    table = pl.DataFrame(columns).with_columns(
        pl.when(pl.col(name).is_in(_NONE)).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("father", "mother", "twin")
    )
    if table["sample"].is_null().any():
        raise InputError("Somebody in the pedigree has no id.")
    check_unique(table["sample"].to_list(), what="Pedigree")
    return table


def _families(table: pl.DataFrame) -> Iterator[tuple[tuple[str, ...], Array]]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = table["sample"].to_list()
    place = {name: row for row, name in enumerate(names)}
    inside = len(names)
    parents = np.full((inside, 2), -1, np.int64)
    for column, side in enumerate(("father", "mother")):
        for row, name in enumerate(table[side].to_list()):
            if name is not None:
                # A parent without a row is a founder all the same, shared by the children.
                parents[row, column] = place.setdefault(name, len(place))
    parents = np.concatenate([parents, np.full((len(place) - inside, 2), -1, np.int64)])
    twins = table["twin"].to_list() + [None] * (len(place) - inside)
    child, side = np.nonzero(parents >= 0)
    first: dict[str, int] = {}
    same = [(row, first.setdefault(mark, row)) for row, mark in enumerate(twins) if mark]
    ends = np.concatenate(
        [np.stack([child, parents[child, side]], axis=1), np.array(same, np.int64).reshape(-1, 2)]
    )
    ones = np.ones(len(ends), np.int8)
    graph = coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(len(place),) * 2)
    group = connected_components(graph, directed=False)[1]
    for rows in np.split(
        np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1].tolist()
    ):
        own = np.sort(rows)
        shown_rows = [row for row in own if row < inside]
        local = {int(row): at for at, row in enumerate(own)}
        within = np.array([[local.get(int(p), -1) for p in parents[row]] for row in own])
        marks = [twins[row] for row in own]
        people = [names[row] if row < inside else "" for row in own]
        matrix = _kinship(within.reshape(-1, 2), marks, people)
        keep = [local[int(row)] for row in shown_rows]
        if keep:
            yield tuple(names[row] for row in shown_rows), matrix[np.ix_(keep, keep)]


def _kinship(parents: NDArray[np.int64], twins: list[str | None], names: list[str]) -> Array:
    order = _generations(parents, names)
    k = np.zeros((len(parents), len(parents)))
    first: dict[str, int] = {}
    done: list[int] = []
    for row in order:
        father, mother = parents[row]
        mark = twins[row]
        if mark is not None and mark in first:
            other = first[mark]
            if (parents[other] != parents[row]).any():
                raise InputError(
                    f"Identical twins have the same parents: {names[other]}, {names[row]}."
                )
            k[row, done] = k[other, done]
            k[row, row] = k[other, other]
        else:
            if mark is not None:
                first[mark] = row
            for parent in (father, mother):
                if parent >= 0:
                    k[row, done] += 0.5 * k[parent, done]
            both = father >= 0 and mother >= 0
            k[row, row] = 1.0 + (0.5 * k[father, mother] if both else 0.0)
        k[done, row] = k[row, done]
        done.append(row)
    return k


def _generations(parents: NDArray[np.int64], names: list[str]) -> list[int]:
    """Return rows in an order where parents come before children."""
    waiting = (parents >= 0).sum(axis=1)
    children: dict[int, list[int]] = {}
    for row, pair in enumerate(parents):
        for parent in pair:
            if parent >= 0:
                children.setdefault(int(parent), []).append(row)
    ready = np.flatnonzero(waiting == 0).tolist()
    order: list[int] = []
    while ready:
        row = ready.pop()
        order.append(row)
        for child in children.get(row, ()):
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    if len(order) < len(parents):
        stuck = [names[row] for row in np.flatnonzero(waiting > 0) if names[row]]
        raise InputError(f"People are their own ancestors: {shown(stuck)}.")
    return order
