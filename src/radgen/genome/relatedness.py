"""Who is related to whom: KING-robust kinship, and the genomic relationship matrix."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.progress import progress
from radgen.errors import InputError
from radgen.genome._blocks import read_source
from radgen.genome.frequency import autosomal
from radgen.types import GenotypeMatrix, Kinship

__all__ = ["duplicates", "grm", "king", "loco_grms", "related_pairs"]

Array = NDArray[np.float64]
_BLOCK = 512
DUPLICATE = 0.354
"""Smallest kinship of duplicates and identical twins (half of 1/2 and 1/4, geometrically)."""


def grm(genotypes: GenotypeMatrix, *, method: str = "standardised") -> Kinship:
    """Return the genomic relationship matrix over the autosomes.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once; variants that do not vary are left aside.
    method : {"standardised", "centred"}
        "standardised": the mean over variants of (g_i - 2p)(g_j - 2p) / (2p(1 - p)), over the
        variants that both samples have, as PLINK 2 and GCTA have it. "centred": the mean of
        (g_i - 2p)(g_j - 2p), missing calls at the mean, as GEMMA's -gk 1 has it.

    Returns
    -------
    Kinship
        float64 (n_samples, n_samples); the diagonal is about 1 for "standardised".

    Raises
    ------
    InputError
        If the method is unknown or no variant varies.

    References
    ----------
    Yang et al. (2010), doi:10.1038/ng.608; Zhou & Stephens (2012), doi:10.1038/ng.2310.
    """
    _known_method(method)
    view = _autosomes(genotypes)
    total, common = _sums(view, method, _BLOCK)
    return _kinship(genotypes.samples, total, common)


def loco_grms(genotypes: GenotypeMatrix, *, method: str = "standardised") -> dict[str, Kinship]:
    """Return for each chromosome the relationship matrix of all other autosomes.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once; at least two autosomes.
    method : {"standardised", "centred"}
        As for `grm`.

    Returns
    -------
    dict of str to Kinship
        A key for each chromosome of the genotypes, those that are no autosomes included
        (theirs is the matrix of all autosomes). In memory: one matrix a chromosome.

    Raises
    ------
    InputError
        If the method is unknown, or a chromosome leaves no variant that varies.

    References
    ----------
    Listgarten et al. (2012), doi:10.1038/nmeth.2037.
    """
    _known_method(method)
    view = _autosomes(genotypes)
    chrom = np.array(view.variants["chrom"].to_list())
    parts = {}
    for name in dict.fromkeys(chrom.tolist()):
        parts[name] = _sums(view.take_variants(np.flatnonzero(chrom == name)), method, _BLOCK)
    whole = sum(part[0] for part in parts.values()), sum(part[1] for part in parts.values())
    out = {}
    for name in dict.fromkeys(genotypes.variants["chrom"].to_list()):
        own = parts.get(name, (0.0, 0.0))
        out[name] = _kinship(genotypes.samples, whole[0] - own[0], whole[1] - own[1])
    return out


def _known_method(method: str) -> None:
    if method not in ("standardised", "centred"):
        raise InputError(f"method is {method!r}; needed is 'standardised' or 'centred'.")


def _autosomes(genotypes: GenotypeMatrix) -> GenotypeMatrix:
    use = np.flatnonzero(autosomal(genotypes.variants))
    return genotypes.take_variants(use) if len(use) < genotypes.n_variants else genotypes


def _kinship(samples: tuple[str, ...], total: Array, common: Array) -> Kinship:
    """Return the mean of products over the variants in common, symmetric to the last digit."""
    if not np.max(common) > 0:
        raise InputError("No autosomal variant varies: there is nothing to relate samples by.")
    if np.min(common) <= 0:
        raise InputError("Two samples have no called variant in common; filter by call rate first.")
    matrix = total / common
    return Kinship(samples, 0.5 * (matrix + matrix.T))


def _sums(view: GenotypeMatrix, method: str, size: int) -> tuple[Array, Array]:
    """Return sums of products over variants, and the number of variants of each pair."""
    n = view.n_samples
    total, lost = np.zeros((n, n)), np.zeros((n, n))
    apart = np.zeros(n)
    used = 0
    with progress("Relating samples", view.n_variants) as tick:
        for start, stop in block_ranges(view.n_variants, size):
            block = read_source(view, start, stop).centred(np.float64)
            p = block.mean / 2.0
            good = block.squares > 1e-9
            used += int(good.sum())
            g = block.g[good]
            if method == "standardised":
                g = g / np.sqrt(2.0 * p * (1.0 - p))[good][:, None]
                if block.any_missing:
                    absent = np.zeros(block.g.shape)
                    counts = np.diff(np.concatenate([[0], block.ends]))
                    absent[np.repeat(np.arange(len(counts)), counts), block.missing] = 1.0
                    absent = absent[good]
                    apart += absent.sum(axis=0)
                    lost += absent.T @ absent
            total += g.T @ g
            tick(stop - start)
    return total, used - apart[:, None] - apart[None, :] + lost


def king(genotypes: GenotypeMatrix) -> Kinship:
    """Return KING-robust kinship coefficients over the autosomes.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Dosages are rounded to calls; those further than 0.1 from a whole number are missing.

    Returns
    -------
    Kinship
        1/2 for a sample with itself, its duplicate or identical twin, 1/4 first degree, 1/8
        second, near or below 0 for the unrelated.

    Raises
    ------
    InputError
        If two samples have no heterozygous call in common variants.

    Notes
    -----
    phi = 1/2 - (4 IBS0 + het-hom pairs) / (4 min(het_i, het_j)), counts over the variants that
    both samples have.

    References
    ----------
    Manichaikul et al. (2010), doi:10.1093/bioinformatics/btq559, equation 11.
    """
    use = np.flatnonzero(autosomal(genotypes.variants))
    view = genotypes.take_variants(use) if len(use) < genotypes.n_variants else genotypes
    n = genotypes.n_samples
    het_known, het_het, opposite = (np.zeros((n, n)) for _ in range(3))
    with progress("Comparing samples", view.n_variants) as tick:
        for start, stop in block_ranges(view.n_variants, 4 * _BLOCK):
            dosage = view.read(start, stop)
            call = np.rint(dosage)
            call[~(np.abs(dosage - call) <= 0.1)] = -1.0
            zero, one, two = (np.asarray(call == value, np.float32) for value in (0, 1, 2))
            known = zero + one + two
            het_known += one.T @ known
            het_het += one.T @ one
            opposite += zero.T @ two
            tick(stop - start)
    ibs0 = opposite + opposite.T
    het_hom = het_known + het_known.T - 2.0 * het_het
    least = np.minimum(het_known, het_known.T)
    if (least <= 0).any():
        raise InputError("Two samples have no heterozygous call in common; filter samples first.")
    return Kinship(genotypes.samples, 0.5 - (4.0 * ibs0 + het_hom) / (4.0 * least))


def related_pairs(kinship: Kinship, *, at_least: float = 0.0884) -> pl.DataFrame:
    """Return the pairs of samples above a kinship, the closest first.

    Parameters
    ----------
    kinship : Kinship
        From `king`.
    at_least : float, default 0.0884
        Third degree relatives lie below, second degree above.

    Returns
    -------
    polars.DataFrame
        sample_1, sample_2, kinship, relation.
    """
    row, column = np.nonzero(np.triu(kinship.values >= at_least, k=1))
    value = kinship.values[row, column]
    names = np.array(["third degree or less", "second degree", "first degree", "duplicate"])
    degree = np.searchsorted([0.0884, 0.177, DUPLICATE], value, side="right")
    return pl.DataFrame(
        {
            "sample_1": [kinship.samples[i] for i in row],
            "sample_2": [kinship.samples[i] for i in column],
            "kinship": value,
            "relation": names[degree].tolist(),
        },
        schema={
            "sample_1": pl.String,
            "sample_2": pl.String,
            "kinship": pl.Float64,
            "relation": pl.String,
        },
    ).sort("kinship", descending=True)


def duplicates(kinship: Kinship) -> pl.DataFrame:
    """Return the pairs that are one person twice, or identical twins (kinship above 0.354)."""
    return related_pairs(kinship, at_least=DUPLICATE)
