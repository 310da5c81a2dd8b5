"""Simulate genotypes with chosen allele frequencies, linkage disequilibrium and missingness."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.special import ndtri

from radgen.errors import InputError
from radgen.types import ArrayDosages, GenotypeMatrix

__all__ = ["simulate_genotypes"]

_ALLELES = np.array(["A", "C", "G", "T"])


def simulate_genotypes(
    samples: tuple[str, ...],
    *,
    n_variants: int,
    rng: np.random.Generator,
    n_chromosomes: int = 4,
    maf: tuple[float, float] = (0.05, 0.5),
    ld: float = 0.8,
    ld_block: int = 20,
    missing: float = 0.0,
    spacing_bp: int = 5_000,
    structure: float = 0.0,
    populations: np.ndarray | None = None,
) -> GenotypeMatrix:
    """Return hard-call genotypes of unrelated people.

    Each of the two haplotypes is a Gaussian process along the block, cut at the quantile of
    the allele frequency (a Gaussian copula), so that neighbouring variants are in linkage
    disequilibrium within a block and independent between blocks.

    Parameters
    ----------
    samples : tuple of str
        Sample ids.
    n_variants : int
        Number of variants, spread evenly over the chromosomes.
    rng : numpy.random.Generator
        Source of randomness.
    n_chromosomes : int, default 4
        Number of autosomes.
    maf : tuple of float, default (0.05, 0.5)
        Range of the uniform minor-allele frequency.
    ld : float, default 0.8
        Correlation of the latent process between neighbours in a block, in [0, 1).
    ld_block : int, default 20
        Number of variants a block.
    missing : float, default 0
        Fraction of calls that are missing.
    spacing_bp : int, default 5000
        Mean distance of neighbouring variants in base pairs.
    structure : float, default 0
        Fst-like spread of allele frequencies between populations (Balding-Nichols).
    populations : ndarray of int (n_samples,) or None
        Population of each sample; needed where `structure` > 0.

    Returns
    -------
    GenotypeMatrix
        In memory; ALT is the minor allele on average.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    if not 0 <= ld < 1 or not 0 <= missing < 1 or not 0 < maf[0] <= maf[1] <= 0.5:
        raise InputError("Needed are ld in [0, 1), missing in [0, 1) and maf within (0, 0.5].")
    if structure > 0 and populations is None:
        raise InputError("structure > 0 needs the population of each sample.")
    n_samples = len(samples)
    frequency = rng.uniform(maf[0], maf[1], n_variants)
    label = np.zeros(n_samples, dtype=np.int64) if populations is None else np.asarray(populations)
    dosage = np.zeros((n_variants, n_samples), dtype=np.float32)
    cut = ndtri(_population_frequencies(frequency, int(label.max()) + 1, structure, rng))
    chromosome = np.arange(n_variants) * n_chromosomes // n_variants + 1
    for _haplotype in range(2):
        latent = np.empty((n_variants, n_samples))
        for j in range(n_variants):
            fresh = rng.standard_normal(n_samples)
            starts = j == 0 or j % ld_block == 0 or chromosome[j] != chromosome[j - 1]
            latent[j] = fresh if starts else ld * latent[j - 1] + np.sqrt(1 - ld**2) * fresh
        dosage += latent < cut[:, label]
    if missing > 0:
        dosage[rng.random(dosage.shape) < missing] = np.nan
    gaps = rng.integers(1, 2 * spacing_bp, n_variants)
    pos = np.zeros(n_variants, dtype=np.int64)
    for chrom in range(1, n_chromosomes + 1):
        here = chromosome == chrom
        pos[here] = 100_000 + np.cumsum(gaps[here])
    ref = rng.integers(0, 4, n_variants)
    alt = (ref + rng.integers(1, 4, n_variants)) % 4
    variants = pl.DataFrame(
        {
            "chrom": [str(item) for item in chromosome],
            "pos": pos,
            "id": [f"rs{100_000 + j}" for j in range(n_variants)],
            "ref": _ALLELES[ref].tolist(),
            "alt": _ALLELES[alt].tolist(),
        }
    )
    return GenotypeMatrix(samples, variants, ArrayDosages(dosage), "GRCh38")


def _population_frequencies(
    frequency: np.ndarray, n_populations: int, structure: float, rng: np.random.Generator
) -> np.ndarray:
    """Return allele frequencies (n_variants, n_populations) by the Balding-Nichols model."""
    if structure <= 0:
        return np.repeat(frequency[:, None], n_populations, axis=1)
    scale = (1 - structure) / structure
    drawn = rng.beta(
        frequency[:, None] * scale,
        (1 - frequency[:, None]) * scale,
        size=(len(frequency), n_populations),
    )
    return np.clip(drawn, 0.01, 0.99)
