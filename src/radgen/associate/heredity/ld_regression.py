"""Heritability and genetic correlation from summary statistics: LD score regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.associate.heredity._scans import Cleaning, Scan, join_scores, scans_of, scores_of, signs
from radgen.errors import InputError
from radgen.io.ld_score_files import LdScores
from radgen.stats.ld_score_limit import polygenic_limit
from radgen.stats.ld_score_regression import (
    LdScoreFit,
    block_edges,
    correlation_of,
    liability_factor,
    regress_covariance,
    regress_heritability,
)
from radgen.stats.tail import from_log10p, t_log10p, t_quantile
from radgen.types import FrameLike, Result

__all__ = ["LdScoreCorrelation", "LdScoreHeritability", "ldsc_correlation", "ldsc_heritability"]

Array = NDArray[np.float64]
_FEW = 200_000
_BINS = 25
_LDSC_LIMIT = 30.0
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
_PAIR_COLUMNS = (
    {"trait_1": pl.String, "trait_2": pl.String, "n_variants": pl.Int64, "n_blocks": pl.Int64}
    | dict.fromkeys(
        (
            *("rg", "se", "ci_low", "ci_high", "p", "log10p", "covariance", "covariance_se"),
            *("intercept", "intercept_se", "h2_1", "h2_1_se", "h2_2", "h2_2_se"),
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
            f"{_how(self.params)}."
        )


@dataclass(frozen=True, eq=False)
class LdScoreCorrelation(Result):
    """Genetic correlations of pairs of traits from their scans.

    Attributes
    ----------
    frame : polars.DataFrame
        trait_1, trait_2, n_variants (with both), n_blocks, rg, se, ci_low, ci_high (95 %, not cut
        to [-1, 1]), p and log10p (of no correlation, two-sided), covariance, covariance_se,
        intercept, intercept_se (about the phenotypic correlation times the share of common
        people), h2_1, h2_2 with standard errors, status ("ok", or why rg is undefined).
    """

    kind: ClassVar[str] = "ldsc_correlation"
    plots: ClassVar[tuple[str, ...]] = ("forest",)

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "forest" of correlations and return the matplotlib Axes.

        Raises
        ------
        InputError
            If this result has no such plot, or no correlation.
        """
        if kind != "forest":
            return super().plot(kind, ax=ax)
        from radgen.plot import forest

        good = self.frame.filter(status="ok")
        if not good.height:
            raise InputError("No pair has a genetic correlation: there is nothing to draw.")
        names = [f"{one} and {two}" for one, two in good.select("trait_1", "trait_2").iter_rows()]
        numbers = [good[name].to_numpy() for name in ("rg", "ci_low", "ci_high")]
        return forest(names, *numbers, xlabel="Genetic correlation (95 % interval)", ax=ax)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        return tuple(
            f"{row['trait_1']} and {row['trait_2']}: genetic correlation {row['rg']:.2f} (95 % "
            f"interval {row['ci_low']:.2f} to {row['ci_high']:.2f}, p = {row['p']:.2g}) from "
            f"{row['n_variants']:,} variants."
            if row["status"] == "ok"
            else f"{row['trait_1']} and {row['trait_2']}: {row['status']}."
            for row in self.frame.iter_rows(named=True)
        )

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        return (
            "Genetic correlations were estimated from summary statistics by cross-trait LD score "
            f"regression{_how(self.params)}; alleles were aligned, allowing for strand."
        )


def _how(params: Mapping[str, Any]) -> str:
    given = params["intercept"] is not None
    step = params["two_step"]
    parts = "with the intercept held fixed" if given else "with a free intercept"
    if not given and step == "auto":
        parts += (
            f" estimated from variants with chi-square below {_LDSC_LIMIT:g} (more where polygenic "
            "effects alone would exceed that)"
        )
    elif not given and step is not None:
        parts += f" estimated from variants with chi-square below {step:g}"
    return (
        f" {parts}, standard errors by a jackknife of up to {params['n_blocks']} blocks; variants "
        f"with a minor allele frequency below {params['min_maf']:g}, unclear strands or few "
        "samples were left out"
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
    tables, panel, rest = _opened(scans, scores, weights, m, by)
    rule, notes, rows, bins = Cleaning(min_maf, min_info), [], [], []
    most = 0.0
    with progress("Regressing on LD scores", len(tables)) as tick:
        for name, table in tables.items():
            row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"phenotype": name}
            try:
                scan, key = join_scores(name, table, panel.table, rule, by)
                notes += _notes(scan, key)
                x = _columns(scan.table, panel.table, rest)
                chi2, n = np.square(scan.table["z"].to_numpy()), scan.table["n"].to_numpy()
                most = max(most, float(n.max()))
                limit = _limit(two_step, (chi2, x[0], n))
                notes += _limit_notes(two_step if intercept is None else None, limit, name)
                fit = regress_heritability(
                    chi2, x[0], n, _m(panel, m), weight_scores=x[1], intercept=intercept,
                    two_step=limit, n_blocks=n_blocks,
                )  # fmt: skip
                row |= _summary(fit) | {"n": float(n.max())}
                if prevalence and name in prevalence:
                    factor = liability_factor(*prevalence[name])
                    row |= {"h2_liability": factor * fit.value, "h2_liability_se": factor * fit.se}
                bins.append(_binned(name, chi2, x[0], n / _m(panel, m), fit))
            except InputError as error:
                row["status"] = str(error).rstrip(".")
            rows.append(row)
            tick(1)
    params = _params(tables, intercept, two_step, n_blocks, rule)
    frame = pl.DataFrame(rows, schema=_COLUMNS)
    notes += _unfit(frame, "traits have no estimate")
    schema = {"phenotype": pl.String} | dict.fromkeys(("l2", "chi2", "expected"), pl.Float64)
    means = pl.concat(bins) if bins else pl.DataFrame(schema=schema)
    return LdScoreHeritability(frame, params, int(most), warnings=tuple(notes), bins=means)


def ldsc_correlation(
    scans: Mapping[str, FrameLike] | FrameLike,
    scores: LdScores | FrameLike,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    weights: LdScores | FrameLike | None = None,
    m: Literal["common", "all"] | float = "common",
    by: Literal["auto", "id", "position"] = "auto",
    intercept: float | None = None,
    covariance_intercept: float | None = None,
    two_step: float | Literal["auto"] | None = "auto",
    n_blocks: int = 200,
    min_maf: float = 0.01,
    min_info: float = 0.9,
) -> LdScoreCorrelation:
    """Return the genetic correlation of pairs of traits from the tests of their scans.

    Parameters
    ----------
    scans, scores
        As for `ldsc_heritability`; the scans may share people or not.
    pairs : sequence of (str, str) or None
        Pairs of traits; None = all pairs.
    weights, m, by
        As for `ldsc_heritability`.
    intercept : float or None
        Of both heritabilities, held fixed; None = estimated.
    covariance_intercept : float or None
        Held fixed (0: no common people); None = estimated.
    two_step, n_blocks, min_maf, min_info
        As for `ldsc_heritability`.

    Returns
    -------
    LdScoreCorrelation
        A pair that cannot be fitted has a status and does not stop the others.

    Raises
    ------
    InputError
        If an option or a table is unusable, a pair names an unknown trait, or there are fewer
        than two traits.

    Notes
    -----
    Variants are those with both tests and fitting alleles, also on the other strand. All three
    regressions have the same blocks, so that the jackknife of the ratio is exact; LDSC parts
    each trait by its own variants below the limit of the first step, which differs a little where
    some lie above it.

    References
    ----------
    Bulik-Sullivan et al. (2015), doi:10.1038/ng.3406.
    """
    tables, panel, rest = _opened(scans, scores, weights, m, by)
    wanted = list(combinations(tables, 2)) if pairs is None else [(a, b) for a, b in pairs]
    for name in (item for pair in wanted for item in pair):
        require_choice(name, tuple(tables), what="trait")
    if not wanted:
        raise InputError("A correlation needs two traits.")
    rule = Cleaning(min_maf, min_info)
    notes: list[str] = []
    ready, broken, most = _joined_all(tables, {name for pair in wanted for name in pair}, (
        panel.table, rule, by, notes
    ))  # fmt: skip
    how: dict[str, Any] = {"two_step": two_step, "n_blocks": n_blocks}
    rows = []
    with progress("Correlating traits", len(wanted)) as tick:
        for one, two in wanted:
            row: dict[str, Any] = dict.fromkeys(_PAIR_COLUMNS) | {"trait_1": one, "trait_2": two}
            try:
                for name in (one, two):
                    if name in broken:
                        raise InputError(f"{name}: {broken[name]}")
                found, limit = _pair(
                    (ready[one], ready[two]), panel, rest, (_m(panel, m), how),
                    (intercept, covariance_intercept),
                )  # fmt: skip
                row |= found
                notes += _limit_notes(two_step, limit, f"{one}, {two}")
            except InputError as error:
                row["status"] = str(error).rstrip(".")
            rows.append(row)
            tick(1)
    params = _params(tables, intercept, two_step, n_blocks, rule)
    params["covariance_intercept"] = covariance_intercept
    frame = pl.DataFrame(rows, schema=_PAIR_COLUMNS)
    notes += _unfit(frame, "pairs have no genetic correlation")
    return LdScoreCorrelation(frame, params, int(most), warnings=tuple(notes))


def _opened(
    scans: Any, scores: Any, weights: Any, m: str | float, by: str
) -> tuple[dict[str, pl.DataFrame], LdScores, pl.DataFrame | None]:
    """Return tables, scores, and the scores of the weights."""
    require_choice(by, ("auto", "id", "position"), what="key of variants")
    if isinstance(m, str):
        require_choice(m, ("common", "all"), what="m")
    panel = scores_of(scores)
    if not _m(panel, m) > 0:
        raise InputError(
            f"How many variants the LD scores stand for ({m}) is not known: the files .l2.M and "
            ".l2.M_5_50 are missing. Give the number as m."
        )
    rest = None if weights is None else scores_of(weights).table
    return scans_of(scans), panel, rest


def _m(panel: LdScores, m: str | float) -> float:
    if isinstance(m, str):
        return panel.m_common if m == "common" else panel.m_all
    return float(m)


def _joined_all(
    tables: Mapping[str, pl.DataFrame], names: set[str], how: tuple[Any, Any, Any, list[str]]
) -> tuple[dict[str, Scan], dict[str, str], float]:
    scores, rule, by, notes = how
    ready: dict[str, Scan] = {}
    broken: dict[str, str] = {}
    most = 0.0
    for name in (item for item in tables if item in names):
        try:
            ready[name], key = join_scores(name, tables[name], scores, rule, by)
            notes += _notes(ready[name], key)
            most = max(most, float(ready[name].table["n"].max()))  # type: ignore[arg-type]
        except InputError as error:
            broken[name] = str(error)
    return ready, broken, most


def _notes(scan: Scan, key: str) -> list[str]:
    out = [f"{scan.describe()} Matched with LD scores by {key}."]
    if scan.table.height < _FEW:
        out.append(
            f"{scan.name}: with fewer than {_FEW:,} variants LD score regression is unstable."
        )
    return out


def _columns(
    rows: pl.DataFrame, scores: pl.DataFrame, weights: pl.DataFrame | None
) -> tuple[Array, Array]:
    """Return scores and weight scores of the rows; without the latter a variant is refused."""
    at = rows["row"].to_numpy().astype(np.int64)
    l2 = scores["l2"].to_numpy()[at].astype(np.float64)
    if weights is None:
        return l2, l2
    names = pl.DataFrame({"id": scores["id"].to_numpy()[at]})
    found = names.join(weights.select("id", "l2"), on="id", how="left", maintain_order="left")
    if found["l2"].null_count():
        raise InputError(
            f"{found['l2'].null_count()} variants have an LD score and no weight: give weights "
            "over the same variants"
        )
    return l2, found["l2"].to_numpy()


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


def _pair(
    both: tuple[Scan, Scan],
    panel: LdScores,
    rest: pl.DataFrame | None,
    how: tuple[float, dict[str, Any]],
    intercepts: tuple[float | None, float | None],
) -> tuple[dict[str, Any], float | None]:
    """Return one row of the correlations and the limit of the first step."""
    m, options = how
    table = both[0].table.join(both[1].table, on="row", maintain_order="left")
    sign = signs(table) if table.height else np.empty(0)
    table, sign = table.filter(pl.Series(sign != 0, dtype=pl.Boolean)), sign[sign != 0]
    if not table.height:
        raise InputError("no variant has both tests and fitting alleles")
    l2, wl2 = _columns(table, panel.table, rest)
    z = table["z"].to_numpy(), table["z_right"].to_numpy() * sign
    n = table["n"].to_numpy(), table["n_right"].to_numpy()
    limits = [_limit(options["two_step"], (np.square(a), l2, b)) for a, b in zip(z, n, strict=True)]
    limit = None if limits[0] is None or limits[1] is None else max(limits[0], limits[1])
    near = np.ones(len(l2), bool)
    if limit is not None:
        near = (np.square(z[0]) < limit) & (np.square(z[1]) < limit)
    edges = block_edges(near, min(options["n_blocks"], int(near.sum())))
    fixed: dict[str, Any] = {"weight_scores": wl2, "two_step": limit, "edges": edges}
    fits = tuple(
        regress_heritability(np.square(a), l2, b, m, intercept=intercepts[0], **fixed)
        for a, b in zip(z, n, strict=True)
    )
    one, two = fits
    cross = regress_covariance(z, l2, n, m, fits=(one, two), intercept=intercepts[1], **fixed)
    rg, se = correlation_of(cross, (one, two))
    out: dict[str, Any] = {
        "n_variants": len(l2), "n_blocks": cross.n_blocks, "covariance": cross.value,
        "covariance_se": cross.se, "intercept": cross.intercept,
        "intercept_se": None if np.isnan(cross.intercept_se) else cross.intercept_se,
        "h2_1": one.value, "h2_1_se": one.se, "h2_2": two.value, "h2_2_se": two.se,
    }  # fmt: skip
    if np.isnan(rg):
        status = "a heritability is not positive, so that rg is undefined"
        return out | {"status": status}, limit
    if np.isnan(se):
        why = "a heritability is not positive with some block left out: rg has no standard error"
        return out | {"rg": rg, "status": why}, limit
    df = cross.n_blocks - 1
    half = float(t_quantile(0.975, df)) * se
    log10p = float(t_log10p(rg / se, df))
    return out | {
        "rg": rg, "se": se, "ci_low": rg - half, "ci_high": rg + half, "log10p": log10p,
        "p": float(from_log10p(log10p)), "status": "ok",
    }, limit  # fmt: skip


def _limit(
    two_step: float | Literal["auto"] | None, columns: tuple[Array, Array, Array]
) -> float | None:
    """Return the largest chi-square of the first step; "auto" looks at chi2, scores and n."""
    if two_step is None:
        return None
    if two_step == "auto":
        return polygenic_limit(*columns)
    return float(two_step)


def _limit_notes(two_step: object, limit: float | None, name: str) -> list[str]:
    if two_step != "auto" or limit is None or limit <= _LDSC_LIMIT:
        return []
    return [
        f"{name}: the intercept is that of variants with a chi-square below {limit:.0f}, not "
        f"below {_LDSC_LIMIT:.0f} as in LDSC, because polygenic effects alone exceed that; "
        f"two_step={_LDSC_LIMIT:.0f} gives LDSC's."
    ]


def _params(
    tables: Mapping[str, Any],
    intercept: float | None,
    two_step: float | Literal["auto"] | None,
    n_blocks: int,
    rule: Cleaning,
) -> dict[str, Any]:
    return {
        "traits": tuple(tables),
        "intercept": intercept,
        "two_step": two_step,
        "n_blocks": n_blocks,
        "min_maf": rule.min_maf,
        "min_info": rule.min_info,
    }


def _unfit(frame: pl.DataFrame, what: str) -> list[str]:
    bad = frame.filter(pl.col("status") != "ok").height
    return [f"{bad} {what}; see their status."] if bad else []
