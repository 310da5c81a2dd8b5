"""From blocks of tests to the one table of all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate._pairs import REASONS, WARNED, PairBlock
from radgen.associate.association_result import COLUMNS, TEST_TEXT
from radgen.stats import multiplicity
from radgen.stats.effective import effective_columns
from radgen.stats.tail import from_log10p, t_quantile

__all__ = [
    "ALL_SAMPLES",
    "Names",
    "Piece",
    "adjusted",
    "assemble",
    "n_effective",
    "rows_of",
    "sidak",
]

Array = NDArray[np.float64]

ALL_SAMPLES = "all"
"""Name of the stratum where samples are not divided."""

_KINDS = {
    "test": tuple(TEST_TEXT),
    "model": (
        "phenotype ~ omics",
        "omics ~ phenotype",
        "phenotype ~ omics x modifier",
        "omics ~ phenotype x modifier",
        "outcome ~ phenotype",
        "outcome ~ phenotype x modifier",
    ),
}
_FLOATS = ("effect", "se", "ci_low", "ci_high", "statistic", "df")


@dataclass(frozen=True, eq=False)
class Piece:
    """One block of tested pairs and what its rows and columns are.

    `block` is (n_phenotypes, n_omics); the numbers point into the lists of names.
    """

    phenotypes: NDArray[np.int64]
    omics: NDArray[np.int64]
    test: str
    model: str
    block: PairBlock
    p_maxt: Array | None = None
    stratum: int = 0


class Names:
    """What the numbers of a piece stand for.

    Parameters
    ----------
    phenotypes, omics : sequence of str
        Names of the phenotypes, and of the features of all layers.
    layers : sequence of str
        Layer of each feature.
    families : sequence of str
        Family of each phenotype.
    strata : sequence of str
        Names of the strata.
    """

    def __init__(
        self,
        phenotypes: Sequence[str],
        omics: Sequence[str],
        layers: Sequence[str],
        families: Sequence[str],
        strata: Sequence[str] = (ALL_SAMPLES,),
    ) -> None:
        self.phenotypes, self.omics, self.strata = phenotypes, omics, strata
        self.layers, self._layer = _coded(layers)
        self.families, self._family = _coded(families)

    @property
    def family_labels(self) -> list[str]:
        """Names of the families of tests: trait family x layer, and stratum where there are."""
        labels = [f"{family} x {layer}" for family in self.families for layer in self.layers]
        if len(self.strata) == 1:
            return labels
        return [f"{label} x {stratum}" for stratum in self.strata for label in labels]

    def layer_of(self, omics: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of each feature's layer among `layers`."""
        return np.asarray(self._layer[omics])

    def family_of(
        self, phenotypes: NDArray[np.int64], omics: NDArray[np.int64], stratum: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the number of each pair's family among `family_labels`."""
        first = stratum * (len(self.families) * len(self.layers))
        inside = self._family[phenotypes] * len(self.layers) + self._layer[omics]
        return np.asarray(first + inside)


def _coded(values: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    place = {item: number for number, item in enumerate(dict.fromkeys(values))}
    return list(place), np.array([place[item] for item in values], dtype=np.int64)


def assemble(pieces: Sequence[Piece], names: Names, n_effective: float) -> pl.DataFrame:
    """Return the table of all pairs with adjusted values, by stratum, phenotype and feature.

    `n_effective` is the effective number of tests.
    """
    frame, family, maxt = rows_of(pieces, names, ordered=True)
    log10p = frame["log10p"].to_numpy()
    p = from_log10p(log10p)
    return adjusted(
        frame,
        p_bonferroni=multiplicity.bonferroni(p),
        p_effective=sidak(p, n_effective),
        q_bh=multiplicity.bh(p),
        q_by=multiplicity.by(p),
        q_storey=multiplicity.storey(p),
        q_hierarchical=multiplicity.hierarchical(p, family),
        p_maxt=maxt,
    )


def rows_of(
    pieces: Sequence[Piece], names: Names, *, ordered: bool, coded: bool = False
) -> tuple[pl.DataFrame, NDArray[np.int64], Array]:
    """Return the rows of pieces without adjusted values.

    Parameters
    ----------
    pieces : sequence of Piece
        At least one.
    names : Names
        What the numbers stand for.
    ordered : bool
        Sort by stratum, phenotype and feature.
    coded : bool, default False
        Text as categories, which are written four times as fast.

    Returns
    -------
    frame : polars.DataFrame
        The columns that need no other pair.
    family : ndarray of int64 (n_rows,)
        Number of each pair's family.
    p_maxt : ndarray of float64 (n_rows,)
        NaN where there is none.
    """
    rows = np.concatenate([np.repeat(p.phenotypes, len(p.omics)) for p in pieces])
    columns = np.concatenate([np.tile(p.omics, len(p.phenotypes)) for p in pieces])
    strata = np.concatenate([np.full(p.block.n.size, p.stratum) for p in pieces])
    order = np.lexsort((columns, rows, strata)) if ordered else slice(None)
    rows, columns, strata = rows[order], columns[order], strata[order]

    def flat(name: str) -> Array:
        return np.concatenate([getattr(p.block, name).ravel() for p in pieces])[order]

    def named(labels: Sequence[str], codes: NDArray[np.generic]) -> pl.Series:
        kind = pl.Enum(list(dict.fromkeys(labels))) if coded else pl.String
        return pl.Series(list(labels), dtype=kind).gather(codes)

    def text(name: str) -> pl.Series:
        known = _KINDS[name]
        codes = [np.full(p.block.n.size, known.index(getattr(p, name))) for p in pieces]
        return named(known, np.concatenate(codes)[order])

    log10p = flat("log10p")
    code = flat("code").astype(np.int64)
    family = names.family_of(rows, columns, strata)
    status = np.where(np.isnan(log10p), 2, np.isin(code, WARNED).astype(np.int64))
    data = {
        "phenotype": named(names.phenotypes, rows),
        "omics": named(names.omics, columns),
        "layer": named(names.layers, names.layer_of(columns)),
        "stratum": named(names.strata, strata),
        "test": text("test"),
        "model": text("model"),
        "family": named(names.family_labels, family),
        "n": pl.Series(flat("n")).cast(pl.Int64),
        "n_group1": _nullable(flat("n_group1")).cast(pl.Int64),
        **{name: _nullable(flat(name)) for name in _FLOATS},
        "detectable": _nullable(_detectable(flat("se"), flat("df"))),
        "p": _nullable(from_log10p(log10p)),
        "log10p": _nullable(log10p),
        "status": named(["ok", "warning", "not_tested"], status),
        "reason": named(REASONS, code),
    }
    maxt = np.concatenate(
        [np.full(p.block.n.size, np.nan) if p.p_maxt is None else p.p_maxt.ravel() for p in pieces]
    )
    return pl.DataFrame(data), family, maxt[order]


def _detectable(se: Array, df: Array) -> Array:
    """Size of the effect that one test at 0.05 finds with 80 % power; normal without a df."""
    known = np.where(df > 0, df, 1e12)
    return np.asarray((t_quantile(0.975, known) + t_quantile(0.8, known)) * se)


def sidak(p: Array, n_tests: float) -> Array:
    """Return 1 - (1 - p)**n_tests, which keeps the digits of a small p."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(n_tests * np.log1p(-p)))


def n_effective(phenotypes: Array, layers: Sequence[Array], n_strata: int = 1) -> float:
    """Return the effective number of tests: phenotypes x features of all layers x strata.

    Parameters
    ----------
    phenotypes : ndarray of float64 (n_samples, n_phenotypes)
        NaN = missing; they count as the mean.
    layers : sequence of ndarray of float64 (n_samples, n_features)
        The same of each layer.
    n_strata : int, default 1
        How many times each pair is tested.

    Returns
    -------
    float
        At least 1.
    """
    return max(_columns(phenotypes) * sum(map(_columns, layers)) * n_strata, 1.0)


def _columns(values: Array) -> float:
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    filled = np.where(known, values, mean)
    varies = filled.max(axis=0, initial=-np.inf) > filled.min(axis=0, initial=np.inf)
    if len(filled) < 2 or not varies.any():
        return 1.0
    return effective_columns(filled[:, varies])


def adjusted(frame: pl.DataFrame, **columns: Array) -> pl.DataFrame:
    """Return rows with their adjusted values, in the order of the table's columns."""
    added = [_nullable(values).alias(name) for name, values in columns.items()]
    return frame.with_columns(*added).select(COLUMNS)


def _nullable(values: Array) -> pl.Series:
    return pl.Series(values, nan_to_null=True)
