"""LD scores: how much of its neighbourhood each variant tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.errors import InputError, shown
from radgen.genome._blocks import CentredBlock, read_centred
from radgen.genome.linkage import correlations, known_calls
from radgen.types import FrameLike, GenotypeMatrix, to_polars

__all__ = ["ld_pairs", "ld_scores"]

Array = NDArray[np.float64]
_BLOCK = 512
_WINDOWS = {"kb": 1000.0, "cm": 1.0, "variants": 1000.0}


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """A block of variants with their places on the axis of the window."""

    start: int
    block: CentredBlock
    at: Array


def ld_scores(
    genotypes: GenotypeMatrix,
    *,
    window: float | None = None,
    unit: Literal["kb", "cm", "variants"] = "kb",
    genetic_map: FrameLike | None = None,
    min_maf: float = 0.0,
) -> pl.DataFrame:
    """Return each variant's LD score: the sum of r2 with its neighbours and itself.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Reference panel of unrelated people of one ancestry, in order of position; read once.
    window : float or None
        Neighbours at most so far away count; None = 1,000 kb, 1 cM or 1,000 variants.
    unit : {"kb", "cm", "variants"}
        Of the window. "cm" needs a genetic map.
    genetic_map : data frame or None
        Columns chrom, pos and cm; variants between its points are placed by straight lines.
    min_maf : float, default 0
        Variants with a lower minor allele frequency in the panel are left out.

    Returns
    -------
    polars.DataFrame
        chrom, pos, id, ref, alt, maf, l2; only variants that vary.

    Raises
    ------
    InputError
        If an option is out of range, positions are not in order, the map lacks a chromosome,
        or fewer than 10 samples are left.

    Notes
    -----
    r2 is that of dosages over the people called for both, corrected for the sample size: r2 -
    (1 - r2) / (n - 2), so that a score can be below 1 by chance. LDSC puts a missing call at
    the mean instead, and rounds windows to chunks of 50 variants; without missing calls and
    with ``--chunk-size 1`` it gives these numbers.

    References
    ----------
    Bulik-Sullivan et al. (2015), doi:10.1038/ng.3211.
    """
    require_choice(unit, tuple(_WINDOWS), what="unit of the window")
    width = _WINDOWS[unit] if window is None else float(window)
    if not width > 0 or not 0 <= min_maf < 0.5:
        raise InputError("LD scores need a window above 0 and 0 <= min_maf < 0.5.")
    if genotypes.n_samples < 10:
        raise InputError(f"LD scores need 10 people at least; the panel has {genotypes.n_samples}.")
    variants = genotypes.variants
    at = _places(variants, unit, genetic_map)
    lengths = variants["chrom"].rle().struct.field("len").to_list()
    names = variants["chrom"].rle().struct.field("value").to_list()
    if len(set(names)) < len(names):
        raise InputError("The variants of a chromosome do not stand together: sort the panel.")
    score = np.zeros(genotypes.n_variants)
    maf = np.zeros(genotypes.n_variants)
    first = 0
    with progress("Computing LD scores", genotypes.n_variants) as tick:
        for length in lengths:
            last = first + length
            if (np.diff(at[first:last]) < 0).any():
                raise InputError(
                    f"Positions on chromosome {variants['chrom'][first]} are not in order."
                )
            earlier: list[_Part] = []
            for start in range(first, last, _BLOCK):
                stop = min(start + _BLOCK, last)
                part = _Part(start, read_centred(genotypes, start, stop), at[start:stop])
                half = part.block.mean / 2.0
                maf[start:stop] = np.where(
                    part.block.squares > 1e-9, np.minimum(half, 1.0 - half), 0.0
                )
                earlier = [old for old in earlier if part.at[0] - old.at[-1] <= width]
                for old in (*earlier, part):
                    _add(score, maf, old, part, (width, min_maf))
                earlier.append(part)
                tick(stop - start)
            first = last
    keep = (maf > 0) & (maf >= min_maf)
    return (
        variants.select("chrom", "pos", "id", "ref", "alt")
        .with_columns(pl.Series("maf", maf), pl.Series("l2", score))
        .filter(pl.Series(keep))
    )


def ld_pairs(
    genotypes: GenotypeMatrix, *, r2: float, window_kb: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of variants in linkage disequilibrium.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        In order of position; read once.
    r2 : float
        Least r2 of a pair, of dosages over the people called for both.
    window_kb : float
        Largest distance of a pair.

    Returns
    -------
    (ndarray of int64, ndarray of int64)
        Rows of both variants of each pair, the earlier one first.

    Raises
    ------
    InputError
        If positions are not in order.
    """
    at = _places(genotypes.variants, "kb", None)
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    begin = 0
    lengths = genotypes.variants["chrom"].rle().struct.field("len").to_list()
    with progress("Finding variants in linkage disequilibrium", genotypes.n_variants) as tick:
        for length in lengths:
            end = begin + length
            if (np.diff(at[begin:end]) < 0).any():
                raise InputError("Positions of the genotypes are not in order: sort them.")
            earlier: list[_Part] = []
            for start in range(begin, end, _BLOCK):
                stop = min(start + _BLOCK, end)
                part = _Part(start, read_centred(genotypes, start, stop), at[start:stop])
                earlier = [old for old in earlier if part.at[0] - old.at[-1] <= window_kb]
                for old in (*earlier, part):
                    square = np.nan_to_num(np.square(correlations(old.block, part.block)))
                    near = np.abs(old.at[:, None] - part.at) <= window_kb
                    i, j = np.nonzero(near & (square >= r2))
                    i, j = i + old.start, j + start
                    first.append(i[i < j])
                    second.append(j[i < j])
                earlier.append(part)
                tick(stop - start)
            begin = end
    return np.concatenate(first), np.concatenate(second)


def _add(score: Array, maf: Array, left: _Part, right: _Part, how: tuple[float, float]) -> None:
    """Add what two blocks (or one with itself) give to the scores of both."""
    width, min_maf = how
    r2 = np.square(correlations(left.block, right.block))
    n: Array | float = float(left.block.g.shape[1])
    if left.block.any_missing or right.block.any_missing:
        n = known_calls(left.block) @ known_calls(right.block).T
    r2 -= (1.0 - r2) / (np.maximum(n, 3.0) - 2.0)
    a = slice(left.start, left.start + len(r2))
    b = slice(right.start, right.start + r2.shape[1])
    near = np.abs(left.at[:, None] - right.at) <= width
    use = near & (maf[a] >= min_maf)[:, None] & (maf[b] >= min_maf)
    r2 = np.where(use & np.isfinite(r2), r2, 0.0)
    score[a] += r2.sum(axis=1)
    if left is not right:
        score[b] += r2.sum(axis=0)


def _places(variants: pl.DataFrame, unit: str, genetic_map: FrameLike | None) -> Array:
    """Return each variant's place on the axis of the window."""
    pos = variants["pos"].to_numpy().astype(np.float64)
    if unit == "kb":
        return pos / 1000.0
    if unit == "variants":
        return np.arange(len(pos), dtype=np.float64)
    if genetic_map is None:
        raise InputError("A window in cM needs a genetic map: a table of chrom, pos and cm.")
    table = to_polars(genetic_map, what="genetic map")
    missing = [name for name in ("chrom", "pos", "cm") if name not in table.columns]
    if missing:
        raise InputError(f"The genetic map lacks the columns {shown(missing)}.")
    table = table.select(
        pl.col("chrom").cast(pl.String).str.strip_prefix("chr"),
        pl.col("pos", "cm").cast(pl.Float64),
    ).sort("chrom", "pos")
    out = np.empty(len(pos))
    chrom = variants["chrom"].to_numpy()
    lost = sorted(set(chrom) - set(table["chrom"]))
    if lost:
        raise InputError(f"The genetic map lacks the chromosomes {shown(lost)}.")
    for name in dict.fromkeys(chrom):
        own, some = table.filter(chrom=name), chrom == name
        cm = own["cm"].to_numpy()
        if (np.diff(cm) < 0).any():
            raise InputError(f"The genetic map of chromosome {name} turns back.")
        out[some] = np.interp(pos[some], own["pos"].to_numpy(), cm)
    return out
