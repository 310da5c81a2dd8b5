"""Heritability from summary statistics: LD score regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.associate.heredity._ld_scans import (
    first_step,
    first_step_notes,
    how_regressed,
    n_variants_of,
    opened,
    params_of,
    scan_notes,
    scores_and_weights,
    unfit,
)
from radgen.associate.heredity._scans import Cleaning, join_scores
from radgen.errors import InputError
from radgen.io.ld_score_files import LdScores
from radgen.stats.ld_score_regression import LdScoreFit, liability_factor, regress_heritability
from radgen.stats.tail import from_log10p, t_log10p, t_quantile
from radgen.types import FrameLike, Result

__all__ = ["LdScoreHeritability", "ldsc_heritability"]

Array = NDArray[np.float64]
_BINS = 25
_COLUMNS = (
    {"phenotype": pl.String, "n": pl.Float64, "n_variants": pl.Int64, "n_blocks": pl.Int64}
    | dict.fromkeys(
        (
            *("h2", "se", "ci_low", "ci_high", "p", "log10p", "intercept", "intercept_se"),
            *("ratio", "ratio_se", "mean_chi2", "lambda_gc", "h2_liability", "h2_liability_se"),
        ),
        pl.Float64,
    )
    | {"status": pl.String}
)


@dataclass(frozen=True, eq=False)
class LdScoreHeritability(Result):
    """Heritability of traits from their scans.

    Attributes
    ----------
    frame : polars.DataFrame
        phenotype, n (largest sample of a test), n_variants, n_blocks, h2, se, ci_low, ci_high
        (95 %, not cut to [0, 1]), p and log10p (of no heritability, one-sided), intercept,
        intercept_se, ratio, ratio_se (share of the inflation that LD does not explain), mean_chi2,
        lambda_gc, h2_liability, h2_liability_se (of 0/1 traits of known prevalence), status
        ("ok", or why there is no estimate).
    bins : polars.DataFrame
        phenotype, l2, chi2, expected: means over variants of like LD score.
    """

    kind: ClassVar[str] = "ldsc_heritability"
    plots: ClassVar[tuple[str, ...]] = ("forest", "ld_scores")

    bins: pl.DataFrame = None  # type: ignore[assignment]

    def plot(self, kind: str, *, ax: Any = None, trait: str | None = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "forest" (heritabilities), or "ld_scores": mean chi-square over LD score with the
            fitted line.
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        trait : str or None
            Of "ld_scores"; None = the first.

        Raises
        ------
        InputError
            If this result has no such plot or trait.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        good = self.frame.filter(status="ok")
        if not good.height:
            raise InputError("No trait has an estimate: there is nothing to draw.")
        if kind == "forest":
            from radgen.plot import forest

            numbers = [good[name].to_numpy() for name in ("h2", "ci_low", "ci_high")]
            label = "Heritability by LD score regression (95 % interval)"
            return forest(good["phenotype"].to_list(), *numbers, xlabel=label, ax=ax)
        from radgen.plot import scatter, style

        name = good["phenotype"][0] if trait is None else trait
        require_choice(name, tuple(good["phenotype"]), what="trait")
        row = good.row(by_predicate=pl.col("phenotype") == name, named=True)
        own = self.bins.filter(phenotype=name)
        x, y, line = (own[column].to_numpy() for column in ("l2", "chi2", "expected"))
        note = (
            f"{name}\nh² = {row['h2']:.3f} (SE {row['se']:.3f})\nintercept {row['intercept']:.3f}"
        )
        label = "LD score (mean of a bin)"
        ax = scatter(x, y, fit=False, xlabel=label, ylabel="Mean χ²", note=note, ax=ax)
        ax.plot(x, line, color=style.INK, linewidth=1.2)
        ax.axhline(1.0, color=style.MUTED, linewidth=0.9, linestyle="--")
        return ax

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        return tuple(
            f"{row['phenotype']}: heritability {row['h2']:.3f} (95 % interval {row['ci_low']:.3f} "
            f"to {row['ci_high']:.3f}, p = {row['p']:.2g}) from {row['n_variants']:,} variants in "
            f"{row['n']:,.0f} people; intercept {row['intercept']:.3f}"
            + (
                f" (standard error {row['intercept_se']:.3f})"
                if row["intercept_se"]
                else " (given)"
            )
            + f", lambda {row['lambda_gc']:.3f}."
            if row["status"] == "ok"
            else f"{row['phenotype']}: {row['status']}."
            for row in self.frame.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        return (
            "Heritability was estimated from summary statistics by LD score regression"
            f"{how_regressed(self.params)}."
        )


def ldsc_heritability(
    scans: Mapping[str, FrameLike] | FrameLike,
    scores: LdScores | FrameLike,
    *,
    weights: LdScores | FrameLike | None = None,
    m: Literal["common", "all"] | float = "common",
    by: Literal["auto", "id", "position"] = "auto",
    intercept: float | None = None,
    two_step: float | Literal["auto"] | None = "auto",
    n_blocks: int = 200,
    min_maf: float = 0.01,
    min_info: float = 0.9,
    prevalence: Mapping[str, tuple[float, float]] | None = None,
) -> LdScoreHeritability:
    """Return each trait's heritability and intercept from the tests of its scan.

    Parameters
    ----------
    scans : mapping of str to data frame, or data frame
        Tests of each trait in the columns of `gwas`, PLINK, REGENIE, GWAS-SSF or LDSC
        (`radgen.io.read_summary_statistics`); a column phenotype parts a table into traits.
    scores : LdScores or data frame
        From `radgen.genome.ld_scores` or `radgen.io.read_ld_scores`: a panel of the ancestry of
        the scan.
    weights : LdScores, data frame or None
        LD scores over the variants of the regression only, for its weights; None = `scores`.
    m : {"common", "all"} or float, default "common"
        Variants that the heritability is that of: those of the panel with a minor allele
        frequency above 5 %, all of them, or a number.
    by : {"auto", "id", "position"}, default "auto"
        How tests find their score; "auto" takes what finds more, and the warnings say which.
    intercept : float or None
        Held fixed (1: no confounding); None = estimated.
    two_step : float, "auto" or None, default "auto"
        Largest chi-square of the variants that the intercept is estimated from; None = all;
        "auto" = LDSC's 30, or more where polygenic effects alone would exceed it in over 1 in
        10,000 variants (large scans of heritable traits), which the warnings say.
    n_blocks : int, default 200
        Blocks of neighbours of the jackknife.
    min_maf, min_info : float
        Of the tests, where the table has a frequency or INFO.
    prevalence : mapping of str to (float, float) or None
        For 0/1 traits: share of cases in the scan and in the population.

    Returns
    -------
    LdScoreHeritability
        A trait that cannot be fitted has a status and does not stop the others.

    Raises
    ------
    InputError
        If an option or a table is unusable.

    Notes
    -----
    Kept are single-base variants whose strand is known, with at least the 90th percentile of
    sample sizes over 1.5. The intercept takes up confounding (population structure, relatives);
    one well above 1 calls for a mixed model or more components. Intervals and p use t with one
    degree of freedom fewer than blocks. See `radgen.stats.ld_score_regression`. With LDSC's limit
    of 30 throughout (``two_step=30``) the first step cuts polygenic effects of high LD score where
    the mean chi-square is large: at a true heritability of 0.5, 20,000 people and 20,000 variants
    the estimate is 0.47, the intercept 1.07, and the 95 % interval covers 86 %.

    References
    ----------
    Bulik-Sullivan et al. (2015), doi:10.1038/ng.3211; Lee et al. (2011),
    doi:10.1016/j.ajhg.2011.02.002 (liability).
    """
    tables, panel, rest = opened(scans, scores, weights, m, by)
    rule, notes, rows, bins = Cleaning(min_maf, min_info), [], [], []
    most = 0.0
    with progress("Regressing on LD scores", len(tables)) as tick:
        for name, table in tables.items():
            row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"phenotype": name}
            try:
                scan, key = join_scores(name, table, panel.table, rule, by)
                notes += scan_notes(scan, key)
                x = scores_and_weights(scan.table, panel.table, rest)
                chi2, n = np.square(scan.table["z"].to_numpy()), scan.table["n"].to_numpy()
                most = max(most, float(n.max()))
                limit = first_step(two_step, (chi2, x[0], n))
                notes += first_step_notes(two_step if intercept is None else None, limit, name)
                fit = regress_heritability(
                    chi2, x[0], n, n_variants_of(panel, m), weight_scores=x[1], intercept=intercept,
                    two_step=limit, n_blocks=n_blocks,
                )  # fmt: skip
                row |= _summary(fit) | {"n": float(n.max())}
                if prevalence and name in prevalence:
                    factor = liability_factor(*prevalence[name])
                    row |= {"h2_liability": factor * fit.value, "h2_liability_se": factor * fit.se}
                bins.append(_binned(name, chi2, x[0], n / n_variants_of(panel, m), fit))
            except InputError as error:
                row["status"] = str(error).rstrip(".")
            rows.append(row)
            tick(1)
    params = params_of(tables, intercept, two_step, n_blocks, rule)
    frame = pl.DataFrame(rows, schema=_COLUMNS)
    notes += unfit(frame, "traits have no estimate")
    schema = {"phenotype": pl.String} | dict.fromkeys(("l2", "chi2", "expected"), pl.Float64)
    means = pl.concat(bins) if bins else pl.DataFrame(schema=schema)
    return LdScoreHeritability(frame, params, int(most), warnings=tuple(notes), bins=means)


def _summary(fit: LdScoreFit) -> dict[str, Any]:
    df = fit.n_blocks - 1
    half = float(t_quantile(0.975, df)) * fit.se
    log10p = float(t_log10p(fit.value / fit.se, df, two_sided=False))
    out = {
        "h2": fit.value, "se": fit.se, "ci_low": fit.value - half, "ci_high": fit.value + half,
        "log10p": log10p, "p": float(from_log10p(log10p)), "intercept": fit.intercept,
        "intercept_se": fit.intercept_se, "ratio": fit.ratio, "ratio_se": fit.ratio_se,
        "mean_chi2": fit.mean, "lambda_gc": fit.lambda_gc,
    }  # fmt: skip
    known: dict[str, Any] = {name: None if np.isnan(v) else v for name, v in out.items()}
    return known | {"n_variants": fit.n_variants, "n_blocks": fit.n_blocks, "status": "ok"}


def _binned(name: str, chi2: Array, l2: Array, share: Array, fit: LdScoreFit) -> pl.DataFrame:
    order = np.argsort(l2, kind="stable")
    parts = np.array_split(order, min(_BINS, len(order)))
    expected = fit.intercept + fit.value * share * l2
    return pl.DataFrame(
        {
            "phenotype": [name] * len(parts),
            "l2": [float(l2[part].mean()) for part in parts],
            "chi2": [float(chi2[part].mean()) for part in parts],
            "expected": [float(expected[part].mean()) for part in parts],
        }
    )
