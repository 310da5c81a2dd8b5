"""Weights of variants from the tests of a scan, one column a setting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen.errors import InputError
from radgen.genome._blocks import read_centred
from radgen.genome.linkage import correlations
from radgen.genome.tagging import ld_pairs
from radgen.stats.summary_lasso import summary_lasso
from radgen.types import GenotypeMatrix

__all__ = ["ClumpRule", "LassoRule", "WeightPath", "aligned", "scores_of", "weights_of"]

Array = NDArray[np.float64]
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class ClumpRule:
    """Leads of clumps with a p below a threshold, weighted by their own effect."""

    thresholds: tuple[float, ...] = (5e-8, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.5, 1.0)
    r2: float = 0.1
    window_kb: float = 250.0

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings, in order."""
        return tuple(f"p <= {p:g}" for p in self.thresholds)


@dataclass(frozen=True, slots=True)
class LassoRule:
    """Joint effects in blocks of neighbours, by a lasso on correlations."""

    penalties: tuple[float, ...] = tuple(np.geomspace(0.1, 0.001, 12).round(6).tolist())
    shrinkages: tuple[float, ...] = (0.2, 0.5, 1.0)
    block: int = 200

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings, in order."""
        return tuple(
            f"s = {s:g}, penalty = {p:.2g}" for s in self.shrinkages for p in self.penalties
        )


@dataclass(frozen=True, eq=False, slots=True)
class WeightPath:
    """Weights per ALT allele (n_rows, n_settings), and mean dosages (n_rows,) for missing calls."""

    rows: NDArray[np.int64]
    weights: Array
    mean: Array


def aligned(tests: pl.DataFrame, genotypes: GenotypeMatrix) -> pl.DataFrame:
    """Return row, z, n and beta of the tests of variants that the genotypes hold.

    Parameters
    ----------
    tests : polars.DataFrame
        Standard columns; alleles may be swapped or on the other strand, palindromic ones are
        taken as they are where alleles agree and left out where they are swapped.
    genotypes : GenotypeMatrix
        Matched by id.

    Raises
    ------
    InputError
        If no variant is left.
    """
    place = genotypes.variants.select("id", "ref", "alt").with_row_index("row")
    place = place.filter(~pl.col("id").is_duplicated())
    known = tests.filter(pl.col("z").is_finite() & pl.col("beta").is_finite())
    both = known.filter(~pl.col("id").is_duplicated()).join(place, on="id", suffix="_right")
    turn = {"A": "T", "T": "A", "C": "G", "G": "C"}
    ref, alt, r, a = (pl.col(name) for name in ("ref", "alt", "ref_right", "alt_right"))
    paired = r.replace(turn) == a
    same = (ref == r) & (alt == a)
    swapped = (ref == a) & (alt == r) & ~paired
    other = (ref.replace(turn) == r) & (alt.replace(turn) == a) & ~paired
    both_turns = (ref.replace(turn) == a) & (alt.replace(turn) == r) & ~paired
    sign = pl.when(same | other).then(1.0).when(swapped | both_turns).then(-1.0)
    out = both.with_columns(sign.alias("sign")).filter(pl.col("sign").is_not_null())
    if not out.height:
        raise InputError("None of the tests is of a variant of the genotypes, by id and alleles.")
    return out.select(
        pl.col("row").cast(pl.Int64), pl.col("z") * pl.col("sign"), "n",
        pl.col("beta") * pl.col("sign"), "log10p",
    ).sort("row")  # fmt: skip


def weights_of(
    tests: pl.DataFrame, genotypes: GenotypeMatrix, rule: ClumpRule | LassoRule
) -> WeightPath:
    """Return weights for every setting of a rule.

    Parameters
    ----------
    tests : polars.DataFrame
        From `aligned`.
    genotypes : GenotypeMatrix
        People whose linkage disequilibrium is used.
    rule : ClumpRule or LassoRule
        What makes weights of tests.
    """
    row = tests["row"].to_numpy()
    view = genotypes.take_variants(row)
    if isinstance(rule, ClumpRule):
        return _clumped(tests, view, row, rule)
    return _penalised(tests, view, row, rule)


def _clumped(
    tests: pl.DataFrame, view: GenotypeMatrix, row: NDArray[np.int64], rule: ClumpRule
) -> WeightPath:
    log10p, beta = tests["log10p"].to_numpy(), tests["beta"].to_numpy()
    limit = np.log10(np.array(rule.thresholds))
    near = np.flatnonzero(log10p <= limit.max())
    i, j = ld_pairs(view.take_variants(near), r2=rule.r2, window_kb=rule.window_kb)
    ends = np.concatenate([i, j])
    order = np.argsort(ends, kind="stable")
    others = np.concatenate([j, i])[order]
    starts = np.searchsorted(ends[order], np.arange(len(near) + 1))
    free = np.ones(len(near), bool)
    leads = []
    for at in np.argsort(log10p[near], kind="stable"):
        if free[at]:
            leads.append(at)
            free[others[starts[at] : starts[at + 1]]] = False
    lead = near[np.sort(np.array(leads, np.int64))]
    use = log10p[lead][:, None] <= limit
    weights = np.where(use, beta[lead][:, None], 0.0)
    return WeightPath(row[lead], weights, _means(view, np.searchsorted(row, row[lead])))


def _penalised(
    tests: pl.DataFrame, view: GenotypeMatrix, row: NDArray[np.int64], rule: LassoRule
) -> WeightPath:
    z, n = tests["z"].to_numpy(), tests["n"].to_numpy()
    r = z / np.sqrt(n + z * z)
    penalties = np.array(rule.penalties)
    out = np.zeros((len(row), len(rule.settings)))
    chrom = view.variants["chrom"].rle().struct.field("len").to_list()
    begin = 0
    for length in chrom:
        for low, high in block_ranges(length, rule.block):
            start, stop = begin + low, begin + high
            block = read_centred(view, start, stop)
            some = np.flatnonzero(block.squares > 1e-9)
            if len(some):
                spread = np.sqrt(block.squares[some] / block.n_known[some])
                matrix = np.nan_to_num(correlations(block, block)[np.ix_(some, some)])
                found = [
                    summary_lasso(matrix, r[start:stop][some], penalties, shrinkage=s)
                    for s in rule.shrinkages
                ]
                out[start + some] = np.hstack(found) / spread[:, None]
        begin += length
    kept = np.flatnonzero((out != 0).any(axis=1))
    return WeightPath(row[kept], out[kept], _means(view, kept))


def _means(view: GenotypeMatrix, rows: NDArray[np.int64]) -> Array:
    some = view.take_variants(rows)
    parts = [read_centred(some, *ends).mean for ends in block_ranges(len(rows), _BLOCK)]
    return np.concatenate([np.empty(0), *parts])


def scores_of(genotypes: GenotypeMatrix, path: WeightPath) -> Array:
    """Return scores (n_samples, n_settings); a missing call counts as the mean where weights were.

    Nobody's score depends on who else is scored.
    """
    out = np.zeros((genotypes.n_samples, path.weights.shape[1]))
    view = genotypes.take_variants(path.rows)
    for start, stop in block_ranges(len(path.rows), _BLOCK):
        dosage = np.asarray(view.read(start, stop), np.float64)
        dosage = np.where(np.isfinite(dosage), dosage, path.mean[start:stop, None])
        out += dosage.T @ path.weights[start:stop]
    return out
