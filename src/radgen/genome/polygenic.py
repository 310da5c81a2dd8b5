"""Polygenic scores: weighted sums of alleles."""

from __future__ import annotations

import numpy as np
import polars as pl

from radgen._core.blocks import block_ranges
from radgen.errors import InputError
from radgen.types import FrameLike, GenotypeMatrix, to_polars

__all__ = ["polygenic_score"]

_BLOCK = 512
_TURN = {"A": "T", "T": "A", "C": "G", "G": "C"}


def polygenic_score(
    genotypes: GenotypeMatrix, weights: FrameLike, *, flip_strand: bool = False
) -> pl.DataFrame:
    """Return the weighted sum of alleles of each sample.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once; only the variants with a weight.
    weights : data frame
        Columns id, allele (the one the weight counts; also "A1" or "effect_allele") and weight
        (also "beta", "BETA").
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
        If a column is missing, an id is repeated, or no variant is found.

    Notes
    -----
    A missing call counts with its mean dosage over the samples at hand, as PLINK's --score
    does; ``n_alleles`` counts called ones only.
    """
    table = _weights(weights)
    place = genotypes.variants.select("id", "ref", "alt").with_row_index("row")
    found = table.join(place, on="id", how="inner")
    if found["id"].is_duplicated().any():
        raise InputError("Variants of the same id in the genotypes or weights: make ids unique.")
    allele, ref, alt = (found[name].to_numpy() for name in ("allele", "ref", "alt"))
    if flip_strand:
        turned = np.array(["".join(_TURN.get(c, "?") for c in text) for text in allele])
        known = (allele == ref) | (allele == alt)
        allele = np.where(known, allele, turned)
        palindromic = np.array([_TURN.get(r) == a for r, a in zip(ref, alt, strict=True)])
        allele = np.where(palindromic, "", allele)
    use = (allele == alt) | (allele == ref)
    if not use.any():
        raise InputError(
            f"None of {table.height} weighted variants is in the genotypes under its id and allele."
        )
    row = found["row"].to_numpy().astype(np.int64)[use]
    weight, counts_ref = found["weight"].to_numpy()[use], (allele == ref)[use]
    order = np.argsort(row, kind="stable")
    row, weight, counts_ref = row[order], weight[order], counts_ref[order]
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


def _weights(weights: FrameLike) -> pl.DataFrame:
    table = to_polars(weights, what="weight table")
    names = {
        "id": ("id", "ID", "SNP", "rsid"),
        "allele": ("allele", "A1", "effect_allele", "alt"),
        "weight": ("weight", "beta", "BETA", "effect_weight"),
    }
    columns = {}
    for name, known in names.items():
        hit = next((item for item in known if item in table.columns), None)
        if hit is None:
            raise InputError(f"The weight table has none of the columns {', '.join(known)}.")
        columns[name] = table[hit]
    out = pl.DataFrame(columns).with_columns(pl.col("weight").cast(pl.Float64, strict=False))
    if out["weight"].is_null().any():
        raise InputError("A weight is missing or no number.")
    return out
