"""Linkage disequilibrium: r2, pruning and clumping."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen.errors import InputError
from radgen.genome._blocks import CentredBlock, read_centred
from radgen.types import FrameLike, GenotypeMatrix, to_polars

__all__ = ["clump", "ld_matrix", "prune"]

Array = NDArray[np.float64]


def ld_matrix(genotypes: GenotypeMatrix) -> Array:
    """Return the correlations r of the dosages of all pairs of variants.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Few variants: all are held in memory.

    Returns
    -------
    ndarray of float64 (n_variants, n_variants)
        Pearson's r over the samples called for both; NaN where one does not vary.
    """
    block = read_centred(genotypes, 0, genotypes.n_variants)
    return correlations(block, block)


def correlations(left: CentredBlock, right: CentredBlock) -> Array:
    """Return r of every variant of one block with every variant of another."""
    a, b = np.asarray(left.g, float), np.asarray(right.g, float)
    if not left.any_missing and not right.any_missing:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (a @ b.T) / np.sqrt(np.outer(_varying(left), _varying(right)))
    ka, kb = known_calls(left), known_calls(right)
    n = ka @ kb.T
    sa, sb = a @ kb.T, ka @ b.T
    va, vb = (a * a) @ kb.T - sa * sa / n, ka @ (b * b).T - sb * sb / n
    flat = (va <= 1e-9) | (vb <= 1e-9)
    r = (a @ b.T - sa * sb / n) / np.sqrt(np.where(flat, 1.0, va * vb))
    return np.asarray(np.where(flat, np.nan, r))


def _varying(block: CentredBlock) -> Array:
    return np.where(block.squares > 1e-9, block.squares, np.nan)


def known_calls(block: CentredBlock) -> Array:
    """Return 1 for a call and 0 for a missing one (n_variants, n_samples)."""
    known = np.ones(block.g.shape)
    counts = np.diff(np.concatenate([[0], block.ends]))
    known[np.repeat(np.arange(len(counts)), counts), block.missing] = 0.0
    return known


def prune(
    genotypes: GenotypeMatrix, *, r2: float = 0.2, window: int = 200, step: int = 50
) -> NDArray[np.int64]:
    """Return variants that are nearly independent, by windows along each chromosome.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        In order of position.
    r2 : float, default 0.2
        Of a pair with more, the one with the lower minor allele frequency is taken out.
    window, step : int
        Variants a window, and variants between the starts of two windows.

    Returns
    -------
    ndarray of int64
        Rows of the variants kept, ascending. Variants that do not vary are not kept.

    Raises
    ------
    InputError
        If an option is out of range.

    Notes
    -----
    r2 is that of the dosages. No pair within a window exceeds it afterwards; which variants
    are left depends on the order in which pairs are met (here from the front), so that another
    program's list differs in a part of its members.
    """
    if not 0 <= r2 < 1 or window < 2 or not 1 <= step <= window:
        raise InputError("Pruning needs 0 <= r2 < 1, window >= 2 and 1 <= step <= window.")
    chrom = genotypes.variants["chrom"]
    lengths = chrom.rle().struct.field("len").to_list()
    keep = np.ones(genotypes.n_variants, bool)
    first = 0
    with progress("Pruning", genotypes.n_variants) as tick:
        for length in lengths:
            _prune_run(genotypes, first, first + length, keep, (r2, window, step))
            first += length
            tick(length)
    return np.flatnonzero(keep)


def _prune_run(
    genotypes: GenotypeMatrix,
    first: int,
    last: int,
    keep: NDArray[np.bool_],
    rule: tuple[float, int, int],
) -> None:
    r2, window, step = rule
    start = first
    while start < last:
        stop = min(start + window, last)
        rows = start + np.flatnonzero(keep[start:stop])
        block = read_centred(genotypes.take_variants(rows), 0, len(rows))
        varies = block.squares > 1e-9
        r = np.nan_to_num(correlations(block, block))
        maf = np.minimum(block.mean, 2.0 - block.mean)
        linked = (r * r > r2) & varies & varies[:, None]
        keep[rows] = varies & _one_of_each_pair(linked, maf)
        if stop == last:
            return
        start += step


def _one_of_each_pair(linked: NDArray[np.bool_], maf: Array) -> NDArray[np.bool_]:
    """Walk pairs from the front; of a linked pair the rarer variant goes."""
    n = len(maf)
    alive = np.ones(n, bool)
    for i in range(n):
        if not alive[i]:
            continue
        for j in np.flatnonzero(linked[i, i + 1 :]) + i + 1:
            if not alive[j]:
                continue
            if maf[i] < maf[j] * (1.0 - 1e-9):
                alive[i] = False
                break
            alive[j] = False
    return alive


def clump(
    results: FrameLike,
    genotypes: GenotypeMatrix,
    *,
    p1: float = 1e-4,
    p2: float = 1e-2,
    r2: float = 0.5,
    window_kb: float = 250.0,
) -> pl.DataFrame:
    """Return independent lead variants, each with the variants that it stands for.

    Parameters
    ----------
    results : data frame
        Columns id and log10p (log10 of p) or p, of one trait.
    genotypes : GenotypeMatrix
        For r2; variants are found by id.
    p1, p2 : float
        Largest p of a lead, and of a variant that joins a clump.
    r2 : float, default 0.5
        Least r2 of a member with its lead.
    window_kb : float, default 250
        Largest distance of a member from its lead.

    Returns
    -------
    polars.DataFrame
        chrom, pos, id, p, log10p, n_members, members (list of ids, by position), the smallest
        p first.

    Raises
    ------
    InputError
        If columns are missing, a variant is named twice in the genotypes, or results hold a
        variant twice.

    Notes
    -----
    r2 is that of the dosages; PLINK 2's default estimates haplotypes first, which moves a
    variant whose r2 lies at the limit.
    """
    table = to_polars(results, what="result table")
    if "id" not in table.columns or not {"log10p", "p"} & set(table.columns):
        raise InputError("Clumping needs the columns id and log10p (or p).")
    if "log10p" not in table.columns:
        table = table.with_columns(pl.col("p").log10().alias("log10p"))
    if table["id"].is_duplicated().any():
        raise InputError("A variant stands twice in the results: clump one trait at a time.")
    place = genotypes.variants.select("chrom", "pos", "id").with_row_index("row")
    if place["id"].is_duplicated().any():
        place = place.filter(pl.col("id").is_in(table["id"].implode()))
        if place["id"].is_duplicated().any():
            raise InputError("Variants of the same id in the genotypes cannot be told apart.")
    found = (
        table.select("id", "log10p").join(place, on="id").filter(pl.col("log10p") <= np.log10(p2))
    )
    found = found.sort("log10p", "row")
    free = np.ones(found.height, bool)
    chrom, pos = found["chrom"].to_numpy(), found["pos"].to_numpy()
    row, size = found["row"].to_numpy().astype(np.int64), found["log10p"].to_numpy()
    leads, members = [], []
    for lead in range(found.height):
        if not free[lead] or size[lead] > np.log10(p1):
            continue
        free[lead] = False
        near = np.flatnonzero(
            free & (chrom == chrom[lead]) & (np.abs(pos - pos[lead]) <= 1000.0 * window_kb)
        )
        joined = near
        if len(near):
            block = read_centred(genotypes.take_variants(row[[lead, *near]]), 0, len(near) + 1)
            one = read_centred(genotypes.take_variants(row[[lead]]), 0, 1)
            r = correlations(one, block)[0, 1:]
            joined = near[np.nan_to_num(r * r) >= r2]
        free[joined] = False
        leads.append(lead)
        members.append(found["id"][sorted(joined, key=lambda i: row[i])].to_list())
    picked = found[leads].with_columns((10.0 ** pl.col("log10p")).alias("p"))
    return picked.select("chrom", "pos", "id", "p", "log10p").with_columns(
        pl.Series("n_members", [len(item) for item in members], dtype=pl.Int64),
        pl.Series("members", members, dtype=pl.List(pl.String)),
    )
