"""Family-wise error over variants and traits by permutation (Westfall-Young max-T)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen.associate.genomewide._design import group_traits
from radgen.associate.genomewide._input import GwasInput, prepare
from radgen.associate.genomewide._many import JointTraits, joint_traits, unit_dosages
from radgen.associate.genomewide._run import cut
from radgen.errors import InputError
from radgen.genome._blocks import read_source
from radgen.stats.permutation import (
    adjusted,
    exact_orders,
    n_orders,
    random_order,
    stratum_codes,
)
from radgen.stats.tail import from_log10p, t_log10p
from radgen.types import Covariates, FrameLike, GenotypeMatrix, PhenotypeTable, Result

__all__ = ["MaxTResult", "max_t_scan"]

Array = NDArray[np.float64]
_BYTES = 256 << 20


@dataclass(frozen=True, eq=False)
class MaxTResult(Result):
    """A scan whose p-values are adjusted by permutation for all variants and traits.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, chrom, pos, id, ref, alt, n, alt_freq, t, log10p, p (of the single test),
        p_trait (adjusted for the variants), p_all (adjusted for variants and traits); tests
        with p at or below the threshold, and the lead of each trait.
    summary : polars.DataFrame
        A row a trait: phenotype, n, level, threshold_p (p of a single test whose family-wise
        level over the variants is `level`), effective_tests; the last row, phenotype null, is
        for all traits together.
    """

    kind: ClassVar[str] = "gwas_max_t"
    plots: ClassVar[tuple[str, ...]] = ("manhattan",)

    summary: pl.DataFrame = field(default_factory=pl.DataFrame)

    def plot(self, kind: str, *, ax: Any = None, **options: Any) -> Any:
        """Draw one of `plots` and return the matplotlib Axes; options as for `GwasResult.plot`.

        Raises
        ------
        InputError
            If this result has no such plot, or the plot no such option.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.associate.genomewide import plot

        whole = self.summary.filter(pl.col("phenotype").is_null())
        options = {"threshold": float(whole["threshold_p"][0])} | options
        return plot.draw(kind, self.frame, ax=ax, options=options)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        level = self.params["level"]
        hits = self.frame.filter(pl.col("p_all") <= level).sort("p_all", "log10p")
        whole = self.summary.filter(pl.col("phenotype").is_null()).row(0, named=True)
        words = [
            f"{self.params['n_variants']:,} variants and {len(self.params['traits'])} traits "
            f"were permuted {self.params['n_permutations']:,} times in {self.n_used:,} people; "
            f"{hits.height} tests hold at a family-wise level of {level:g} over all of them.",
            f"A single p of {whole['threshold_p']:.2g} has that level: the tests behave like "
            f"{whole['effective_tests']:,.0f} independent ones.",
        ]
        words += [
            f"{row['phenotype']} and {row['id']} (chr{row['chrom']}:{row['pos']}): adjusted "
            f"p = {row['p_all']:.2g}."
            for row in hits.head(5).iter_rows(named=True)
        ]
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        how = "all" if p["exact"] else "random"
        return (
            f"P-values were adjusted for {p['n_variants']:,} variants and {len(p['traits'])} "
            f"traits by the largest statistic (Westfall-Young) over {p['n_permutations']:,} {how} "
            "permutations of the residual traits beside "
            f"{len(p['covariates'])} covariates (Freedman-Lane; seed {p['seed']}"
            + (", within strata" if p["strata"] else "")
            + "). Missing calls and missing traits counted as their mean, in the data and in "
            "every permutation."
        )


def max_t_scan(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    seed: int,
    n_permutations: int = 1_000,
    traits: Sequence[str] | None = None,
    strata: Sequence[object] | None = None,
    threshold: float = 1e-4,
    level: float = 0.05,
    block_size: int | None = None,
) -> MaxTResult:
    """Return associations with p-values adjusted for all variants and traits by permutation.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once for the data, and once for each part of the permutations that fits 256 MiB.
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait; NaN = missing.
    covariates : Covariates, data frame or None
        As for `gwas`.
    seed : int
        Permutation i does not depend on the traits or the block size.
    n_permutations : int, default 1,000
        Where all distinct permutations are no more, they are enumerated.
    traits : sequence of str or None
        Which traits; None = all.
    strata : sequence of n_samples labels or None
        In the order of the genotypes' samples; people change places within a stratum only
        (family, site).
    threshold : float, default 1e-4
        Tests with at most this p are returned, beside the lead of each trait.
    level : float, default 0.05
        Family-wise level of the thresholds in the summary.
    block_size : int or None
        Variants read at a time.

    Returns
    -------
    MaxTResult

    Raises
    ------
    InputError
        If an option is out of range, the strata do not fit, or no trait varies.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    The statistic is the squared partial t. The residual traits are permuted as a whole, which
    keeps the correlations among traits and among variants; a permuted table of traits serves
    all variants, a decoded block of variants all permutations, and dosages are taken beside
    the covariates once. A missing call or trait counts as residual 0, so that with missing
    values t differs slightly from that of `gwas`.

    References
    ----------
    Westfall & Young (1993), Resampling-Based Multiple Testing. Winkler et al. (2014),
    doi:10.1016/j.neuroimage.2014.01.060. Phipson & Smyth (2010), doi:10.2202/1544-6115.1585.
    """
    if n_permutations < 1 or not 0 < threshold <= 1 or not 0 < level < 1:
        raise InputError(
            "Needed are n_permutations >= 1, a threshold in (0, 1] and a level in (0, 1); found "
            f"{n_permutations}, {threshold} and {level}."
        )
    data = prepare(genotypes, phenotypes, covariates, traits)
    label = stratum_codes(_strata(strata, genotypes, data), data.genotypes.n_samples)
    fixed = joint_traits(
        group_traits(data.values, data.covariates), data.covariates, len(data.names)
    )
    used = np.isfinite(fixed.df)
    fixed = JointTraits(fixed.q, fixed.y[:, used], fixed.df[used])
    names = [name for name, ok in zip(data.names, used, strict=True) if ok]
    exact = n_orders(label) - 1 <= n_permutations
    orders: Iterator[NDArray[np.int64]] = (
        exact_orders(label)
        if exact
        else (random_order(label, seed, i) for i in range(n_permutations))
    )
    view = data.genotypes
    blocks = cut(view, block_size)
    best, rows = _observed(view, blocks, fixed, threshold)
    count = n_orders(label) - 1 if exact else n_permutations
    maxima = _maxima(view, blocks, fixed, orders, (count, np.float64 if exact else np.float32))
    frame = _table(view, names, rows, maxima)
    params: dict[str, Any] = {
        "traits": tuple(names),
        "covariates": data.covariate_names,
        "n_variants": view.n_variants,
        "n_permutations": len(maxima),
        "exact": exact,
        "seed": seed,
        "strata": strata is not None,
        "threshold": threshold,
        "level": level,
    }
    n_known = np.isfinite(data.values).sum(axis=0)[used]
    summary = _summary(names, n_known, fixed.df, maxima, level)
    notes = list(data.notes)
    if not used.all():
        notes.append(f"{int((~used).sum())} traits do not vary beside the covariates.")
    if not np.isfinite(best).any():
        notes.append("No variant varies beside the covariates.")
    return MaxTResult(frame, params, view.n_samples, data.dropped, tuple(notes), summary=summary)


def _strata(
    strata: Sequence[object] | None, genotypes: GenotypeMatrix, data: GwasInput
) -> list[object] | None:
    if strata is None:
        return None
    if len(strata) != genotypes.n_samples:
        raise InputError(
            f"There are {len(strata)} strata labels for {genotypes.n_samples} samples of the "
            "genotypes."
        )
    of = dict(zip(genotypes.samples, strata, strict=True))
    return [of[name] for name in data.genotypes.samples]


def _t_squared(r: Array, df: Array) -> Array:
    square = np.square(r)
    with np.errstate(divide="ignore"):
        return np.asarray(square * df / np.maximum(1.0 - square, 0.0))


def _observed(
    view: GenotypeMatrix, blocks: list[tuple[int, int]], fixed: JointTraits, threshold: float
) -> tuple[Array, dict[str, NDArray[Any]]]:
    """Return the largest t of each trait, and the tests to report."""
    best = np.full(len(fixed.df), -np.inf)
    lead: dict[int, tuple[float, ...]] = {}
    found = []
    with progress("Scanning variants", view.n_variants) as tick:
        for start, stop in blocks:
            block = read_source(view, start, stop).centred(np.float64)
            g, varies = unit_dosages(block.g, fixed.q)
            r = np.where(varies[:, None], g @ fixed.y, np.nan)
            with np.errstate(divide="ignore"):
                t = r * np.sqrt(fixed.df / np.maximum(1.0 - r * r, 0.0))
            log10p = t_log10p(t, np.broadcast_to(fixed.df, t.shape))
            row, column = np.nonzero(log10p <= np.log10(threshold))
            size = np.nan_to_num(np.abs(t), nan=-1.0)
            top = size.argmax(axis=0)
            for k in np.flatnonzero(size.max(axis=0) > best):
                best[k] = size[top[k], k]
                at = int(top[k])
                lead[int(k)] = (
                    start + at, k, block.n_known[at], block.mean[at] / 2, t[at, k], log10p[at, k]
                )  # fmt: skip
            each = (block.n_known[row], block.mean[row] / 2, t[row, column], log10p[row, column])
            found.append(np.column_stack([row + start, column, *each]))
            tick(stop - start)
    rows = np.concatenate([*found, np.array(list(lead.values())).reshape(-1, 6)])
    _, first = np.unique(rows[:, :2], axis=0, return_index=True)
    rows = rows[first]
    names = ("variant", "trait", "n", "freq", "t", "log10p")
    return best, dict(zip(names, rows.T, strict=True))


def _maxima(
    view: GenotypeMatrix,
    blocks: list[tuple[int, int]],
    fixed: JointTraits,
    orders: Iterator[NDArray[np.int64]],
    size: tuple[int, Any],
) -> Array:
    """Return the largest squared t of each permutation and trait; `size` is (count, dtype)."""
    n, k = fixed.y.shape
    n_permutations, dtype = size
    step = int(np.clip(_BYTES // (4 * n * k), 1, n_permutations))
    out = np.zeros((n_permutations, k))
    total = view.n_variants * -(-n_permutations // step)
    with progress("Permuting the traits", total) as tick:
        for first in range(0, n_permutations, step):
            count = min(step, n_permutations - first)
            moved = fixed.permuted((next(orders) for _ in range(count)), dtype)
            most = np.zeros(count * k, dtype)
            for start, stop in blocks:
                block = read_source(view, start, stop).centred(np.float64)
                g = unit_dosages(block.g, fixed.q)[0].astype(dtype)
                _raise(most, g, moved)
                tick(stop - start)
            out[first : first + count] = most.reshape(count, k)
    return _t_squared(np.minimum(out, 1.0), fixed.df)


def _raise(most: NDArray[Any], g: NDArray[Any], moved: NDArray[Any]) -> None:
    """Raise `most` (n_columns,) to the largest |g @ moved| of each column, a tile at a time."""
    width = max(1, (8 << 20) // max(len(g), 1))
    for low in range(0, len(most), width):
        r = g @ moved[:, low : low + width]
        part = most[low : low + width]
        np.maximum(part, r.max(axis=0), out=part)
        np.maximum(part, -r.min(axis=0), out=part)


def _table(
    view: GenotypeMatrix, names: list[str], rows: dict[str, NDArray[Any]], maxima: Array
) -> pl.DataFrame:
    trait = rows["trait"].astype(np.int64)
    square = np.square(rows["t"])
    # Random permutations are computed in single precision: what agrees within it counts as reached.
    within = np.empty(len(trait))
    for k in np.unique(trait):
        within[trait == k] = adjusted(square[trait == k] * (1 - 1e-6), maxima[:, k])
    overall = adjusted(square * (1 - 1e-6), maxima.max(axis=1))
    at = pl.Series(rows["variant"].astype(np.int64))
    where = view.variants.select("chrom", "pos", "id", "ref", "alt")[at]
    return pl.DataFrame(
        [pl.Series("phenotype", names, dtype=pl.String)[pl.Series(trait)], *where.get_columns()]
    ).with_columns(
        pl.Series("n", rows["n"].astype(np.int64)),
        pl.Series("alt_freq", rows["freq"]),
        pl.Series("t", rows["t"]),
        pl.Series("log10p", rows["log10p"]),
        pl.Series("p", from_log10p(rows["log10p"])),
        pl.Series("p_trait", within),
        pl.Series("p_all", overall),
    )


def _summary(
    names: list[str], n: NDArray[np.int64], df: Array, maxima: Array, level: float
) -> pl.DataFrame:
    whole = maxima.max(axis=1)
    columns = np.column_stack([maxima, whole])
    # The k-th largest maximum, k = level (m + 1): a statistic beyond it has an adjusted p below.
    rank = max(int(np.floor(level * (len(maxima) + 1))), 1)
    cut_off = np.sort(columns, axis=0)[::-1][rank - 1]
    free = np.append(df, np.median(df))
    p = from_log10p(t_log10p(np.sqrt(cut_off), free))
    return pl.DataFrame(
        {
            "phenotype": [*names, None],
            "n": [*n.tolist(), None],
            "level": level,
            "threshold_p": p,
            "effective_tests": np.log1p(-level) / np.log1p(-np.minimum(p, 1 - 1e-12)),
        }
    )
