"""Polygenic scores: weighted sums of alleles."""

from __future__ import annotations

import numpy as np
import polars as pl

from radgen._core.blocks import block_ranges
from radgen.genome.score_weights import MatchedWeights, match_weights
from radgen.types import FrameLike, GenotypeMatrix

__all__ = ["polygenic_score", "summed_weights"]

_BLOCK = 512


def polygenic_score(
    genotypes: GenotypeMatrix, weights: FrameLike, *, flip_strand: bool = False
) -> pl.DataFrame:
    """Return the weighted sum of alleles of each sample.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once; only the variants with a weight.
    weights : data frame
        As `match_weights` takes it: ids or places, the allele that the weight counts, the weight,
        and the other allele where it is known.
    flip_strand : bool, default False
        Try the complement of an allele that is neither REF nor ALT; palindromic variants
        (A/T, C/G) are then left out, because their strand is not known.

    Returns
    -------
    polars.DataFrame
        sample, score (sum of weight times allele dosage), mean_score (score over alleles
        counted), n_alleles (2 for each called variant), n_variants (with a weight and found).

    Raises
    ------
    InputError
        As `match_weights`.

    Notes
    -----
    A missing call counts with its mean dosage over the samples at hand, as PLINK's --score
    does; ``n_alleles`` counts called ones only.
    """
    found = match_weights(genotypes, weights, flip_strand=flip_strand)
    return summed_weights(genotypes, found)


def summed_weights(genotypes: GenotypeMatrix, found: MatchedWeights) -> pl.DataFrame:
    """Return the scores of weights that were matched: see `polygenic_score`."""
    row, weight, counts_ref = found.rows, found.weight, found.counts_ref
    view = genotypes.take_variants(row)
    score, alleles = np.zeros(genotypes.n_samples), np.zeros(genotypes.n_samples)
    for start, stop in block_ranges(len(row), _BLOCK):
        dosage = np.asarray(view.read(start, stop), float)
        some = counts_ref[start:stop]
        dosage[some] = 2.0 - dosage[some]
        known = np.isfinite(dosage)
        count = known.sum(axis=1)
        mean = np.where(known, dosage, 0.0).sum(axis=1) / np.maximum(count, 1)
        score += weight[start:stop] @ np.where(known, dosage, mean[:, None])
        alleles += 2.0 * known.sum(axis=0)
    return pl.DataFrame(
        {
            "sample": list(genotypes.samples),
            "score": score,
            "mean_score": score / np.where(alleles > 0, alleles, np.nan),
            "n_alleles": alleles.astype(np.int64),
            "n_variants": np.full(len(score), len(row), np.int64),
        }
    )
