"""Adaptive sums of powered scores over many traits, by permutation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen.associate.genomewide._design import group_traits
from radgen.associate.genomewide._input import prepare
from radgen.associate.genomewide._many import (
    JointTraits,
    described,
    joint_traits,
    unit_dosages,
    whole_samples,
)
from radgen.associate.genomewide._run import cut
from radgen.errors import InputError
from radgen.genome._blocks import read_source
from radgen.stats.omnibus import spu_p, spu_statistics
from radgen.stats.permutation import random_order
from radgen.types import Covariates, FrameLike, GenotypeMatrix, PhenotypeTable, Result

__all__ = ["AspuResult", "aspu"]

Array = NDArray[np.float64]
_POWERS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, float("inf"))
_ENOUGH = 20
_VALUES = 1 << 24


@dataclass(frozen=True, eq=False)
class AspuResult(Result):
    """Adaptive tests of variants over all traits.

    Attributes
    ----------
    frame : polars.DataFrame
        chrom, pos, id, ref, alt, n, alt_freq, p, n_permutations, power (the one with the
        smallest p), and p_spu1, p_spu2 …, p_spuinf, one column a power. NaN where a variant
        does not vary beside the covariates.
    """

    kind: ClassVar[str] = "gwas_aspu"
    plots: ClassVar[tuple[str, ...]] = ("manhattan", "qq")

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

        return plot.draw(
            kind, self.frame.with_columns(log10p=pl.col("p").log10()), ax=ax, options=options
        )

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        tested = self.frame.filter(pl.col("p").is_not_nan())
        limit = 0.05 / max(tested.height, 1)
        hits = tested.filter(pl.col("p") <= limit).sort("p")
        words = [
            f"{tested.height:,} variants were tested against {len(self.params['traits'])} traits "
            f"together in {self.n_used:,} people; {hits.height} reached p < {limit:.2g} "
            "(0.05 over the variants)."
        ]
        words += [
            f"{row['id']}: p = {row['p']:.2g} of {row['n_permutations']:,} permutations, best "
            f"power {row['power']:g}."
            for row in hits.head(3).iter_rows(named=True)
        ]
        least = 1.0 / (self.params["max_permutations"] + 1)
        if least > limit:
            words.append(
                f"{self.params['max_permutations']:,} permutations cannot give a p below "
                f"{least:.2g}: ask for more to reach {limit:.2g}."
            )
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        return (
            f"Sums of powered scores (powers {', '.join(f'{x:g}' for x in p['powers'])}) over "
            f"{len(p['traits'])} traits were joined adaptively (aSPU). Residual traits were "
            f"permuted together beside {len(p['covariates'])} covariates, "
            f"{p['n_permutations']:,} times and up to {p['max_permutations']:,} times for "
            f"variants with fewer than {_ENOUGH} more extreme permutations (seed {p['seed']}); "
            "samples that miss a trait were left out, missing calls taken at the mean."
        )


def aspu(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    seed: int,
    traits: Sequence[str] | None = None,
    powers: Sequence[float] = _POWERS,
    n_permutations: int = 1_000,
    max_permutations: int = 100_000,
    block_size: int | None = None,
) -> AspuResult:
    """Return the adaptive sum-of-powered-scores test of each variant over all traits.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once, block by block.
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait; only samples with all traits are used.
    covariates : Covariates, data frame or None
        As for `gwas`.
    seed : int
        Permutation i is the same for all variants and any block size.
    traits : sequence of str or None
        Which traits; None = all.
    powers : sequence of float
        1 sums the scores (one direction), 2 their squares, infinity takes the largest; high
        powers favour a few strong traits.
    n_permutations : int, default 1,000
        Of every variant.
    max_permutations : int, default 100,000
        Ten times more, and so on up to this, for variants whose p is not settled.
    block_size : int or None
        Variants read at a time.

    Returns
    -------
    AspuResult

    Raises
    ------
    InputError
        If a power or a number of permutations is out of range, or no trait varies.
    AlignmentError
        If too few samples are common.

    Notes
    -----
    Permutations are shared: one permuted table of traits serves all variants. A variant goes
    on to ten times more permutations while fewer than 20 of them are at least as extreme as
    the data.

    References
    ----------
    Kim et al. (2015), doi:10.1002/gepi.21931; Freedman & Lane (1983),
    doi:10.1080/07350015.1983.10509354.
    """
    wanted = np.asarray(list(powers), dtype=np.float64)
    if not 1 <= n_permutations <= max_permutations or not len(wanted):
        raise InputError(
            "Needed are powers and 1 <= n_permutations <= max_permutations; found "
            f"{n_permutations} and {max_permutations}."
        )
    spu_statistics(np.zeros(1), wanted)  # refuses broken powers before anything is read
    data, dropped = whole_samples(prepare(genotypes, phenotypes, covariates, traits))
    view = data.genotypes
    fixed = joint_traits(
        group_traits(data.values, data.covariates), data.covariates, len(data.names)
    )
    used = np.isfinite(fixed.df)
    fixed = JointTraits(fixed.q, fixed.y[:, used], fixed.df[used])
    parts = []
    with progress("Permuting the traits", view.n_variants) as tick:
        for start, stop in cut(view, block_size):
            block = read_source(view, start, stop).centred(np.float64)
            g, varies = unit_dosages(block.g, fixed.q)
            tests = np.full((len(g), len(wanted) + 2), np.nan)
            rows = np.flatnonzero(varies)
            m = n_permutations
            while len(rows):
                tests[rows] = _tests(g[rows], fixed, wanted, m, seed)
                if m >= max_permutations:
                    break
                rows = rows[tests[rows, 0] * (m + 1) - 1 < _ENOUGH]
                m = min(10 * m, max_permutations)
            parts.append((block.n_known, block.mean / 2.0, tests))
            tick(stop - start)
    n, freq, tests = (np.concatenate(items) for items in zip(*parts, strict=True))
    best = np.where(np.isnan(tests[:, 0]), 0, np.nan_to_num(tests[:, 2:], nan=2.0).argmin(axis=1))
    frame = described(
        view,
        n=n.astype(np.int64),
        alt_freq=freq,
        p=tests[:, 0],
        n_permutations=np.nan_to_num(tests[:, 1]).astype(np.int64),
        power=np.where(np.isnan(tests[:, 0]), np.nan, wanted[best]),
        **{f"p_spu{power:g}": tests[:, 2 + at] for at, power in enumerate(wanted)},
    )
    names = [name for name, ok in zip(data.names, used, strict=True) if ok]
    params = {
        "traits": tuple(names),
        "covariates": data.covariate_names,
        "seed": seed,
        "powers": tuple(wanted.tolist()),
        "n_permutations": n_permutations,
        "max_permutations": max_permutations,
    }
    return AspuResult(frame, params, view.n_samples, dropped, data.notes)


def _tests(g: Array, fixed: JointTraits, powers: Array, m: int, seed: int) -> Array:
    """Return adaptive p, permutations and p of each power (n_variants, 2 + n_powers)."""
    df = fixed.df
    k, label = len(df), np.zeros(len(fixed.y), dtype=np.int64)
    out = np.empty((len(g), 2 + len(powers)))
    observed = spu_statistics(_t(g @ fixed.y, df), powers)
    batch = max(1, _VALUES // (m * len(powers)))
    for low in range(0, len(g), batch):
        some = g[low : low + batch]
        null = np.empty((len(some), m, len(powers)))
        step = max(1, min(256, _VALUES // (len(some) * k)))
        for first in range(0, m, step):
            numbers = range(first, min(first + step, m))
            moved = fixed.permuted((random_order(label, seed, i) for i in numbers), np.float64)
            r = (some @ moved).reshape(len(some), len(numbers), k)
            null[:, first : first + len(numbers)] = spu_statistics(_t(r, df), powers)
        for row in range(len(some)):
            p, adaptive = spu_p(observed[low + row], null[row])
            out[low + row] = (adaptive, m, *p)
    return out


def _t(r: Array, df: Array) -> Array:
    square = np.minimum(r * r, 1 - 1e-15)
    return np.asarray(r * np.sqrt(df / (1 - square)))
