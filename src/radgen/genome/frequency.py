"""Counts of genotypes: frequency, call rate, Hardy-Weinberg, heterozygosity."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.progress import progress
from radgen.errors import InputError
from radgen.genome._blocks import CentredBlock, read_centred
from radgen.types import GenotypeMatrix

__all__ = ["AUTOSOMES", "autosomal", "hardy_weinberg", "sample_statistics", "variant_statistics"]

AUTOSOMES = tuple(str(number) for number in range(1, 23))
"""Names of the human autosomes."""
_BLOCK = 512
_CALL = 1e-3


def autosomal(variants: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which variants lie on an autosome (any chromosome but X, Y, MT, PAR and 0)."""
    other = ["X", "Y", "MT", "PAR", "PAR1", "PAR2", "XY", "0", ""]
    return np.asarray(~variants["chrom"].is_in(other).to_numpy())


def variant_statistics(genotypes: GenotypeMatrix) -> pl.DataFrame:
    """Return counts, frequency, call rate and Hardy-Weinberg p of each variant.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once, block by block.

    Returns
    -------
    polars.DataFrame
        chrom, pos, id, ref, alt, n_called, call_rate, alt_freq (of the dosages), maf,
        n_hom_ref, n_het, n_hom_alt (of the dosages within 0.1 of a whole number), hwe_p (exact;
        null off the autosomes). alt_freq is NaN where nobody is called.

    Notes
    -----
    Hardy-Weinberg is tested by the exact test of Wigginton et al., without the mid-p
    correction, as PLINK 2 does by default.
    """
    m = genotypes.n_variants
    called, mean = np.empty(m), np.empty(m)
    counts = np.empty((m, 3), np.int64)
    with progress("Counting genotypes", m) as tick:
        for start, stop in block_ranges(m, _BLOCK):
            block = read_centred(genotypes, start, stop, dtype=np.float32)
            called[start:stop], mean[start:stop] = block.n_known, block.mean
            counts[start:stop] = _counts(block)
            tick(stop - start)
    freq = np.where(called > 0, mean / 2.0, np.nan)
    p = hardy_weinberg(counts[:, 0], counts[:, 1], counts[:, 2])
    p[~autosomal(genotypes.variants)] = np.nan
    return genotypes.variants.select("chrom", "pos", "id", "ref", "alt").with_columns(
        pl.Series("n_called", called.astype(np.int64)),
        pl.Series("call_rate", called / max(genotypes.n_samples, 1)),
        pl.Series("alt_freq", freq),
        pl.Series("maf", np.minimum(freq, 1.0 - freq)),
        pl.Series("n_hom_ref", counts[:, 0]),
        pl.Series("n_het", counts[:, 1]),
        pl.Series("n_hom_alt", counts[:, 2]),
        pl.Series("hwe_p", p).fill_nan(None),
    )


def _counts(block: CentredBlock) -> NDArray[np.int64]:
    """Return hard calls 0, 1, 2 of each variant (n_variants, 3)."""
    total = block.mean * block.n_known
    squares = block.squares + total * block.mean
    two, one = 0.5 * (squares - total), 2.0 * total - squares
    whole = (np.abs(two - np.rint(two)) < _CALL) & (np.abs(one - np.rint(one)) < _CALL)
    out = np.stack([block.n_known - one - two, one, two], axis=1)
    counts = np.rint(out).astype(np.int64)
    # Dosages that are not whole numbers are counted one by one.
    for row in np.flatnonzero(~whole | (out < -_CALL).any(axis=1)):
        dosage = np.asarray(block.g[row], float) + block.mean[row]
        known = np.ones(len(dosage), bool)
        begin = block.ends[row - 1] if row else 0
        known[block.missing[begin : block.ends[row]]] = False
        near = np.rint(dosage)
        sure = known & (np.abs(dosage - near) <= 0.1)
        counts[row] = [(sure & (near == value)).sum() for value in (0, 1, 2)]
    return counts


def hardy_weinberg(
    n_hom_ref: NDArray[np.int64],
    n_het: NDArray[np.int64],
    n_hom_alt: NDArray[np.int64],
    *,
    mid_p: bool = False,
) -> NDArray[np.float64]:
    """Return the p of the exact Hardy-Weinberg test.

    Parameters
    ----------
    n_hom_ref, n_het, n_hom_alt : ndarray of int64 (n_variants,)
        Genotype counts.
    mid_p : bool, default False
        Count the observed table half.

    Returns
    -------
    ndarray of float64 (n_variants,)
        1 where nobody is called or the variant does not vary.

    Raises
    ------
    InputError
        If a count is negative.

    References
    ----------
    Wigginton, Cutler & Abecasis (2005), doi:10.1086/429864.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([1])
    >>> float(hardy_weinberg(57 * one, 14 * one, 50 * one)[0]) < 1e-15
    True
    """
    counts = np.stack(
        [np.asarray(item, np.int64) for item in (n_hom_ref, n_het, n_hom_alt)], axis=1
    )
    if (counts < 0).any():
        raise InputError("A genotype count is negative.")
    distinct, back = np.unique(counts, axis=0, return_inverse=True)
    p = np.array([_exact(int(a), int(h), int(b), mid_p) for a, h, b in distinct])
    return p[back.ravel()]


def _exact(n_first: int, n_het: int, n_last: int, mid_p: bool) -> float:
    n = n_first + n_het + n_last
    rare = 2 * min(n_first, n_last) + n_het
    if not n or not rare:
        return 1.0
    # Odds of h and h + 2 heterozygotes, given the allele counts, summed up from the least.
    het = np.arange(rare % 2, rare, 2, dtype=float)
    homs_rare, homs_common = (rare - het) / 2.0, n - (rare + het) / 2.0
    ratio = 4.0 * homs_rare * homs_common / ((het + 2.0) * (het + 1.0))
    with np.errstate(divide="ignore"):
        log_p = np.concatenate([[0.0], np.cumsum(np.log(ratio))])
    weight = np.exp(log_p - log_p.max())
    seen = weight[(n_het - rare % 2) // 2]
    tail = weight[weight <= seen * (1.0 + 1e-9)].sum()
    if mid_p:
        tail -= 0.5 * seen
    return float(min(tail / weight.sum(), 1.0))


def sample_statistics(genotypes: GenotypeMatrix) -> pl.DataFrame:
    """Return call rate and heterozygosity of each sample.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once, block by block.

    Returns
    -------
    polars.DataFrame
        sample, call_rate (all variants), n_called, het_rate, f_het (autosomes; method of
        moments: 1 - observed / expected heterozygotes), x_f_het (chromosome X; null without
        one): near 1 in males, near 0 in females.

    Notes
    -----
    Expected heterozygotes of a variant are 2p(1-p) 2n/(2n-1) with p and n over all samples, as
    PLINK 2's ``--het small-sample`` has it.
    """
    n, m = genotypes.n_samples, genotypes.n_variants
    called = np.zeros(n)
    sums = {key: np.zeros((3, n)) for key in ("auto", "x")}
    inside = autosomal(genotypes.variants)
    on_x = (genotypes.variants["chrom"] == "X").to_numpy()
    with progress("Counting heterozygotes", m) as tick:
        for start, stop in block_ranges(m, _BLOCK):
            dosage = genotypes.read(start, stop)
            known = np.isfinite(dosage)
            called += known.sum(axis=0)
            het = known & (np.abs(dosage - 1.0) <= 0.1)
            count = known.sum(axis=1)
            freq = np.where(known, dosage, 0.0).sum(axis=1) / np.maximum(2.0 * count, 1.0)
            expected = 2.0 * freq * (1.0 - freq) * 2.0 * count / np.maximum(2.0 * count - 1.0, 1.0)
            for key, where in (("auto", inside[start:stop]), ("x", on_x[start:stop])):
                use = where & (expected > 0)
                if use.any():
                    sums[key][0] += het[use].sum(axis=0)
                    sums[key][1] += expected[use] @ known[use]
                    sums[key][2] += known[use].sum(axis=0)
            tick(stop - start)
    seen, hoped, total = sums["auto"]
    return pl.DataFrame(
        {
            "sample": list(genotypes.samples),
            "n_called": called.astype(np.int64),
            "call_rate": called / max(m, 1),
            "het_rate": seen / np.where(total > 0, total, np.nan),
            "f_het": 1.0 - seen / np.where(hoped > 0, hoped, np.nan),
            "x_f_het": 1.0 - sums["x"][0] / np.where(sums["x"][1] > 0, sums["x"][1], np.nan),
        }
    ).with_columns(pl.col("het_rate", "f_het", "x_f_het").fill_nan(None))
