"""Weights of alleles found among the variants of genotypes: by id, else by place and alleles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import counted
from radgen.errors import InputError, shown
from radgen.types import FrameLike, GenotypeMatrix, to_polars

__all__ = ["MatchedWeights", "match_weights"]

_TURN = {"A": "T", "T": "A", "C": "G", "G": "C"}
_COLUMNS = {
    "id": ("id", "ID", "SNP", "rsid", "rsID", "hm_rsID", "variant_id"),
    "chrom": ("chrom", "CHR", "chr_name", "chromosome"),
    "pos": ("pos", "BP", "POS", "chr_position", "base_pair_location"),
    "allele": ("allele", "A1", "effect_allele", "alt"),
    "other": ("other", "A2", "other_allele", "reference_allele", "non_effect_allele"),
    "weight": ("weight", "beta", "BETA", "effect_weight"),
}


@dataclass(frozen=True, eq=False)
class MatchedWeights:
    """Weights and the variants that they belong to.

    Attributes
    ----------
    rows : ndarray of int64 (n_found,)
        Variant of each weight, ascending.
    weight : ndarray of float64 (n_found,)
    counts_ref : ndarray of bool (n_found,)
        Whether the weight counts REF alleles.
    n_given, by_id, by_place : int
        Weights; those found by id, and by chromosome, position and alleles.
    other_alleles, palindromic : int
        Weights that were left out: alleles are not those of the genotypes, or the strand is not
        known.
    """

    rows: NDArray[np.int64]
    weight: NDArray[np.float64]
    counts_ref: NDArray[np.bool_]
    n_given: int
    by_id: int
    by_place: int
    other_alleles: int
    palindromic: int

    def statements(self) -> tuple[str, ...]:
        """Return in words what was found and what was left out."""
        found = f"{len(self.rows):,} of {counted(self.n_given, 'weight')} found in the genotypes"
        if self.by_place:
            found += f" ({self.by_id:,} by id, {self.by_place:,} by position and alleles)"
        lost = self.n_given - len(self.rows) - self.other_alleles - self.palindromic
        parts = [
            f"{count:,} {words}"
            for count, words in (
                (lost, "not there"),
                (self.other_alleles, "with other alleles"),
                (self.palindromic, "palindromic"),
            )
            if count
        ]
        return (found + (f"; left out: {', '.join(parts)}" if parts else "") + ".",)


def match_weights(
    genotypes: GenotypeMatrix, weights: FrameLike, *, flip_strand: bool = False, build: str = ""
) -> MatchedWeights:
    """Return which variants the weights of a score belong to.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Only its table of variants is read.
    weights : data frame
        Columns of ids (id, SNP, rsID …) or of chromosome and position, the allele that the weight
        counts (allele, A1, effect_allele), the weight, and the other allele where it is known: a
        variant with another one is then left out.
    flip_strand : bool, default False
        Try the complement of alleles that fit on neither side; palindromic variants (A/T, C/G)
        are then left out, because their strand is not known.
    build : str, default ""
        Genome build of the positions of the weights.

    Returns
    -------
    MatchedWeights
        Variants whose id is unknown are looked up by place.

    Raises
    ------
    InputError
        If a column is missing, a weight is no number, a variant has two weights, builds differ,
        or none is found.
    """
    table = _read(weights)
    places = genotypes.variants.select("id", "chrom", "pos", "ref", "alt").with_row_index("row")
    named = table.join(places.select("row", "id", "ref", "alt"), on="id", how="inner")
    if named["id"].is_duplicated().any():
        twice = named.filter(named["id"].is_duplicated())["id"].unique(maintain_order=True)
        raise InputError(
            f"Variants of the same id in the genotypes or weights: {shown(twice)}. Make ids unique."
        )
    unnamed = table.join(named, on="given", how="anti").drop_nulls(["chrom", "pos"])
    if build and genotypes.build and build != genotypes.build:
        if not named.height:
            raise InputError(
                f"The weights are of {build}, the genotypes of {genotypes.build}, and no id is in "
                "both: positions cannot be compared. Take the weights of the other build, or "
                "genotypes with ids."
            )
        unnamed = unnamed.clear()
    placed = unnamed.join(places.drop("id"), on=["chrom", "pos"], how="inner")
    parts = [
        frame.with_columns(side=pl.Series(_fitting(frame, flip_strand=flip_strand)))
        for frame in (named, placed.select(named.columns))
    ]
    there = sum(part["given"].n_unique() for part in parts)
    # Several variants may lie at one place: those whose alleles fit are the weight's own.
    fitting = [part.filter(pl.col("side") != 0) for part in parts]
    fitting[1] = fitting[1].unique("given", keep="none", maintain_order=True)
    palindromic = sum(int((part["side"] == 2).sum()) for part in fitting)
    by_id, by_place = (part.filter(pl.col("side") != 2) for part in fitting)
    used = pl.concat([by_id, by_place]).sort("row")
    if not used.height:
        raise InputError(
            f"None of {table.height} weighted variants is in the genotypes under its id, or at its "
            "place, with its allele."
        )
    if used["row"].is_duplicated().any():
        raise InputError("Two weights belong to one variant: keep one row of each.")
    return MatchedWeights(
        used["row"].to_numpy().astype(np.int64),
        used["weight"].to_numpy(),
        (used["side"] == -1).to_numpy(),
        table.height,
        by_id.height,
        by_place.height,
        there - used.height - palindromic,
        palindromic,
    )


def _fitting(frame: pl.DataFrame, *, flip_strand: bool) -> NDArray[np.int64]:
    """Return of each row 1 (the weight counts ALT), -1 (REF), 0 (neither) or 2 (palindromic)."""
    allele, other, ref, alt = (
        frame[name].fill_null("").to_numpy() for name in ("allele", "other", "ref", "alt")
    )
    side = _side(allele, other, ref, alt)
    if not flip_strand:
        return side
    turned = [np.array([_turned(text) for text in some], dtype=object) for some in (allele, other)]
    side = np.where(side != 0, side, _side(turned[0], turned[1], ref, alt))
    palindromic = np.array([_turned(r) == a for r, a in zip(ref, alt, strict=True)], dtype=bool)
    return np.where(palindromic & (side != 0), 2, side)


def _side(
    allele: NDArray[np.object_],
    other: NDArray[np.object_],
    ref: NDArray[np.object_],
    alt: NDArray[np.object_],
) -> NDArray[np.int64]:
    free = other == ""
    counts_alt = (allele == alt) & (free | (other == ref))
    counts_ref = (allele == ref) & (free | (other == alt))
    return np.where(counts_alt, 1, np.where(counts_ref, -1, 0)).astype(np.int64)


def _turned(text: str) -> str:
    return "".join(_TURN.get(letter, "?") for letter in reversed(text))


def _read(weights: FrameLike) -> pl.DataFrame:
    """Return given (row), id, chrom, pos, allele, other and weight."""
    table = to_polars(weights, what="weight table")
    columns = {}
    for name, known in _COLUMNS.items():
        hit = next((item for item in known if item in table.columns), None)
        if hit is not None:
            columns[name] = table[hit]
    if "id" not in columns and not {"chrom", "pos"} <= set(columns):
        raise InputError(
            f"The weight table has none of the columns {', '.join(_COLUMNS['id'])}, nor chromosome "
            "and position."
        )
    for name in ("allele", "weight"):
        if name not in columns:
            raise InputError(
                f"The weight table has none of the columns {', '.join(_COLUMNS[name])}."
            )
    kinds = {"pos": pl.Int64, "weight": pl.Float64}
    out = pl.DataFrame(
        [
            columns[name].cast(kinds.get(name, pl.String), strict=False).alias(name)
            if name in columns
            else pl.Series(name, [None] * table.height, dtype=kinds.get(name, pl.String))
            for name in _COLUMNS
        ]
    ).with_row_index("given")
    chrom = pl.col("chrom").str.replace("(?i)^chr", "")
    out = out.with_columns(chrom, pl.col("allele", "other").str.to_uppercase())
    if out["weight"].is_null().any():
        raise InputError("A weight is missing or no number.")
    return out
