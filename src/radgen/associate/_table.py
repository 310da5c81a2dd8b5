"""From blocks of tests to the one table of all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate._pairs import REASONS, WARNED, PairBlock
from radgen.associate.association_result import COLUMNS
from radgen.stats import multiplicity
from radgen.stats.tail import from_log10p

__all__ = ["Piece", "assemble"]

_FLOATS = ("effect", "se", "ci_low", "ci_high", "statistic", "df")


@dataclass(frozen=True, eq=False)
class Piece:
    """One block of tested pairs and what its rows and columns are.

    `block` is (n_phenotypes, n_omics); the indices point into the lists of names.
    """

    phenotypes: NDArray[np.int64]
    omics: NDArray[np.int64]
    test: str
    model: str
    block: PairBlock
    p_maxt: NDArray[np.float64] | None = None


def assemble(
    pieces: Sequence[Piece],
    *,
    phenotypes: Sequence[str],
    omics: Sequence[str],
    layers: Sequence[str],
    families: Sequence[str],
) -> pl.DataFrame:
    """Return the table of all pairs with adjusted p-values.

    `layers` has a value per omics column, `families` one per phenotype; the family of a pair
    is "phenotype family x layer".
    """
    rows = np.concatenate([np.repeat(p.phenotypes, len(p.omics)) for p in pieces])
    columns = np.concatenate([np.tile(p.omics, len(p.phenotypes)) for p in pieces])
    order = np.lexsort((columns, rows))
    rows, columns = rows[order], columns[order]

    def flat(name: str) -> NDArray[np.float64]:
        return np.concatenate([getattr(p.block, name).ravel() for p in pieces])[order]

    def text(name: str) -> pl.Series:
        values = [getattr(p, name) for p in pieces]
        known = list(dict.fromkeys(values))
        codes = np.concatenate(
            [
                np.full(p.block.n.size, known.index(v), dtype=np.uint32)
                for p, v in zip(pieces, values, strict=True)
            ]
        )
        return pl.Series(known, dtype=pl.String).gather(codes[order])

    log10p = flat("log10p")
    p = from_log10p(log10p)
    code = flat("code").astype(np.int64)
    layer_names = list(dict.fromkeys(layers))
    layer_code = np.array([layer_names.index(item) for item in layers], dtype=np.int64)[columns]
    family_names = list(dict.fromkeys(families))
    family_code = np.array([family_names.index(item) for item in families], dtype=np.int64)[rows]
    label = family_code * len(layer_names) + layer_code
    labels = [f"{family} x {layer}" for family in family_names for layer in layer_names]
    status = np.where(np.isnan(log10p), 2, np.isin(code, WARNED).astype(np.int64))
    data: dict[str, pl.Series] = {
        "phenotype": pl.Series(list(phenotypes), dtype=pl.String).gather(rows),
        "omics": pl.Series(list(omics), dtype=pl.String).gather(columns),
        "layer": pl.Series(layer_names, dtype=pl.String).gather(layer_code),
        "test": text("test"),
        "model": text("model"),
        "family": pl.Series(labels, dtype=pl.String).gather(label),
        "n": pl.Series(flat("n")).cast(pl.Int64),
        "n_group1": _nullable(flat("n_group1")).cast(pl.Int64),
        **{name: _nullable(flat(name)) for name in _FLOATS},
        "p": _nullable(p),
        "log10p": _nullable(log10p),
        "p_bonferroni": _nullable(multiplicity.bonferroni(p)),
        "q_bh": _nullable(multiplicity.bh(p)),
        "q_by": _nullable(multiplicity.by(p)),
        "q_storey": _nullable(multiplicity.storey(p)),
        "q_hierarchical": _nullable(multiplicity.hierarchical(p, label)),
        "p_maxt": _nullable(_maxt(pieces)[order]),
        "status": pl.Series(["ok", "warning", "not_tested"], dtype=pl.String).gather(status),
        "reason": pl.Series(list(REASONS), dtype=pl.String).gather(code),
    }
    return pl.DataFrame({name: data[name] for name in COLUMNS})


def _maxt(pieces: Sequence[Piece]) -> NDArray[np.float64]:
    return np.concatenate(
        [np.full(p.block.n.size, np.nan) if p.p_maxt is None else p.p_maxt.ravel() for p in pieces]
    )


def _nullable(values: NDArray[np.float64]) -> pl.Series:
    return pl.Series(values, nan_to_null=True)
