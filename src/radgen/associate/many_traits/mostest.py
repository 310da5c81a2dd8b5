"""Many traits at once, calibrated by one shuffle of the genotypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen._core.rng import spawn
from radgen.associate.genomewide._design import TraitGroup, group_traits
from radgen.associate.genomewide._input import prepare
from radgen.associate.genomewide._many import described, joint_traits
from radgen.associate.genomewide._run import cut
from radgen.associate.genomewide.result import GENOME_WIDE
from radgen.errors import InputError
from radgen.genome._blocks import read_source
from radgen.stats import omnibus as joint
from radgen.stats.tail import from_log10p, normal_log10p
from radgen.types import Covariates, FrameLike, GenotypeMatrix, PhenotypeTable, Result

__all__ = ["MostestResult", "mostest"]

Array = NDArray[np.float64]
_TOGETHER = 64
_LEVELS = (0.05, 0.01, 0.001)


@dataclass(frozen=True, eq=False)
class MostestResult(Result):
    """Tests of variants against all traits together, calibrated on shuffled genotypes.

    Attributes
    ----------
    frame : polars.DataFrame
        chrom, pos, id, ref, alt, n, alt_freq, mahalanobis, log10p, p (Mahalanobis norm of the
        z-scores), min_trait, min_log10p, minp_log10p (smallest p over the traits, which trait,
        and its p corrected for all traits). NaN where a variant is too rare or does not vary.
    null : polars.DataFrame
        test, level, expected, observed: how many shuffled variants fell below a level, which
        says whether the fitted distributions hold.
    """

    kind: ClassVar[str] = "gwas_mostest"
    plots: ClassVar[tuple[str, ...]] = ("manhattan", "qq")

    null: pl.DataFrame = field(default_factory=pl.DataFrame)

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

        return plot.draw(kind, self.frame, ax=ax, options=options)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        limit = np.log10(GENOME_WIDE)
        joint_hits = self.frame.filter(pl.col("log10p") <= limit)
        single = self.frame.filter(pl.col("minp_log10p") <= limit)
        words = [
            f"{self.params['n_tested']:,} variants were tested against "
            f"{len(self.params['traits'])} traits together in {self.n_used:,} people; "
            f"{joint_hits.height} reached p < 5e-8 by the joint statistic, {single.height} by the "
            "smallest p corrected for the traits."
        ]
        words += [
            f"{row['id']} (chr{row['chrom']}:{row['pos']}): log10 p = {row['log10p']:.1f}, "
            f"strongest for {row['min_trait']}."
            for row in joint_hits.sort("log10p").head(3).iter_rows(named=True)
        ]
        words.append(
            f"The smallest of {len(self.params['traits'])} p-values behaves like that of "
            f"{self.params['effective_traits']:.1f} independent traits."
        )
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        return (
            f"The z-scores of each variant with {len(p['traits'])} traits, adjusted for "
            f"{len(p['covariates'])} covariates, were joined by their Mahalanobis norm under the "
            f"correlation of the residual traits ({p['n_eigenvalues']} eigenvalues kept, smaller "
            "ones raised to the last) and by the smallest p. A gamma and a beta distribution "
            "were fitted to the same statistics of genotypes whose people were shuffled once "
            f"(seed {p['seed']}). Variants with a minor allele frequency below {p['min_maf']:g} "
            "were left out; missing calls were taken at the mean, missing traits trait by trait."
        )


def mostest(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | FrameLike,
    covariates: Covariates | FrameLike | None = None,
    *,
    seed: int,
    traits: Sequence[str] | None = None,
    share: float = 0.999,
    min_maf: float = 0.005,
    block_size: int | None = None,
) -> MostestResult:
    """Return the joint test of each variant with all traits, as MOSTest does it.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Read once, block by block.
    phenotypes : PhenotypeTable or data frame
        One row a sample, one column a trait; NaN = missing, left out trait by trait.
    covariates : Covariates, data frame or None
        As for `gwas`.
    seed : int
        Of the shuffle.
    traits : sequence of str or None
        Which traits; None = all.
    share : float, default 0.999
        Eigenvalues of the traits' correlation that hold this share of their sum are kept; the
        smaller ones are raised to the last of them.
    min_maf : float, default 0.005
        Rarer variants are not tested: their scores are not normal.
    block_size : int or None
        Variants read at a time; changes nothing but memory.

    Returns
    -------
    MostestResult

    Raises
    ------
    InputError
        If no trait varies, an option is out of range, or fewer than 100 variants are tested:
        the null distributions are fitted to them.
    AlignmentError
        If too few samples are common.
    FitError
        If a null distribution cannot be fitted.

    Notes
    -----
    z of a variant and a trait is the normal deviate of their partial correlation. The joint
    statistic is z'C⁻¹z; C is the correlation of the residual traits, which is the correlation
    of z over shuffles. The people of the genotypes are shuffled once, with a stream of its own
    for each 64 variants in the order of the file, so that the result depends neither on
    `block_size` nor on linkage over long stretches. With all eigenvalues kept and normal traits
    the joint test is that of `omnibus` for large samples; it needs the shuffle where traits are
    many or far from normal.

    References
    ----------
    van der Meer et al. (2020), doi:10.1038/s41467-020-17368-1.
    """
    if not 0 <= min_maf < 0.5:
        raise InputError(f"min_maf is {min_maf}; needed is a frequency in [0, 0.5).")
    data = prepare(genotypes, phenotypes, covariates, traits)
    view, groups = data.genotypes, group_traits(data.values, data.covariates)
    fixed = joint_traits(groups, data.covariates, len(data.names))
    used = np.isfinite(fixed.df)
    names = np.array(data.names)[used]
    white, n_kept = joint.whitener(fixed.y[:, used].T @ fixed.y[:, used], share=share)
    found = []
    with progress("Testing all traits together", view.n_variants) as tick:
        for start, stop in cut(view, block_size):
            block = read_source(view, start, stop).centred(np.float64)
            shuffled = _shuffled(block.g, start, seed)
            maf = np.minimum(block.mean, 2.0 - block.mean) / 2.0
            parts: list[Any] = [block.n_known, block.mean / 2.0]
            for g in (block.g, shuffled):
                z = _z_scores(g, groups, len(data.names))[:, used]
                z[maf < min_maf] = np.nan
                size = np.abs(z)
                at = np.where(np.isnan(size).any(axis=1), 0, np.nan_to_num(size).argmax(axis=1))
                least = normal_log10p(size[np.arange(len(at)), at])
                parts += [np.square(z @ white).sum(axis=1), least, at]
            found.append(parts)
            tick(stop - start)
    n, freq, size, least, at, null_size, null_least, _ = (
        np.concatenate(items) for items in zip(*found, strict=True)
    )
    tested = np.isfinite(size)
    if tested.sum() < 100:
        raise InputError(
            f"{int(tested.sum())} variants vary with a minor allele frequency of {min_maf:g} or "
            "more; the null distributions need at least 100. Use `omnibus` for a few variants."
        )
    gamma = joint.fit_gamma(null_size)
    beta = joint.fit_beta(from_log10p(null_least[tested]))
    log10p = joint.gamma_upper_log10(size, *gamma)
    minp = joint.beta_lower_log10(least, *beta)
    null = _calibration(
        joint.gamma_upper_log10(null_size[tested], *gamma),
        joint.beta_lower_log10(null_least[tested], *beta),
    )
    strongest = (
        pl.Series(names[at])
        .to_frame("t")
        .with_columns(pl.when(pl.Series(tested)).then(pl.col("t")))["t"]
    )
    frame = described(
        view, n=n.astype(np.int64), alt_freq=freq, mahalanobis=size, log10p=log10p,
        p=from_log10p(log10p), min_trait=strongest, min_log10p=least, minp_log10p=minp,
    )  # fmt: skip
    params = {
        "traits": tuple(names.tolist()),
        "covariates": data.covariate_names,
        "seed": seed,
        "share": share,
        "n_eigenvalues": n_kept,
        "min_maf": min_maf,
        "n_tested": int(tested.sum()),
        "gamma": gamma,
        "beta": beta,
        "effective_traits": _effective(*beta),
    }
    notes = list(data.notes)
    if not used.all():
        notes.append(f"{int((~used).sum())} traits do not vary beside the covariates.")
    return MostestResult(frame, params, view.n_samples, data.dropped, tuple(notes), null=null)


def _shuffled(g: Array, start: int, seed: int) -> Array:
    """Return dosages with the people in another order, the same for 64 neighbouring variants."""
    out = np.empty_like(g)
    at = start
    while at < start + len(g):
        batch = at // _TOGETHER
        stop = min((batch + 1) * _TOGETHER, start + len(g))
        order = spawn(seed, "mostest", batch).permutation(g.shape[1])
        out[at - start : stop - start] = g[at - start : stop - start, order]
        at = stop
    return out


def _z_scores(g: Array, groups: Sequence[TraitGroup], n_traits: int) -> Array:
    """Return normal deviates (n_variants, n_traits); NaN where a variant does not vary."""
    z = np.full((len(g), n_traits), np.nan)
    total = np.einsum("mn,mn->m", g, g)
    for group in groups:
        own = total
        if len(group.off):
            away = g[:, group.off]
            n = float(group.n_samples)
            own = total - np.einsum("mn,mn->m", away, away) - np.square(away.sum(axis=1)) / n
        b = g @ group.q
        left = total - np.einsum("mn,mn->m", b, b)
        if len(group.off):
            left -= np.einsum("mn,mn->m", away, away)
        varies = (own > 1e-9) & (left > 1e-9 * own)
        r = (g @ group.y) / np.sqrt(np.where(varies, left, np.nan))[:, None]
        df = max(group.n_samples - group.rank - 1.0, 1e-9)
        z[:, group.traits] = joint.normal_scores(r, df)
    return z


def _calibration(size: Array, least: Array) -> pl.DataFrame:
    rows = [
        (name, level, level * len(values), int((values <= np.log10(level)).sum()))
        for name, values in (("mahalanobis", size), ("minp", least))
        for level in _LEVELS
    ]
    schema = {
        "test": pl.String, "level": pl.Float64, "expected": pl.Float64, "observed": pl.Int64
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _effective(a: float, b: float) -> float:
    """Return how many independent traits have the fitted median of the smallest p."""
    from scipy.special import betaincinv

    return float(np.log(0.5) / np.log1p(-betaincinv(a, b, 0.5)))
