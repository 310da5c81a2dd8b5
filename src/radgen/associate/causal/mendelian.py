"""Mendelian randomisation: does the exposure change the outcome, judged by its variants?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen._core.rng import spawn
from radgen.associate.causal._effects import effect_table, matched, of_trait, traits_of
from radgen.associate.genomewide.plot import lead_rows
from radgen.errors import InputError
from radgen.stats import mendelian as mr
from radgen.stats.multiplicity import bh
from radgen.stats.tail import chi2_log10p, from_log10p
from radgen.types import FrameLike, GenotypeMatrix, Result

__all__ = ["METHODS", "MendelianResult", "mendelian"]

METHODS = ("ivw", "ivw_fixed", "egger", "weighted_median", "weighted_mode")
"""The estimators; one variant gives its Wald ratio instead."""

_WORDS = {
    "ivw": "inverse variance with random effects",
    "ivw_fixed": "inverse variance with a fixed effect",
    "egger": "MR-Egger",
    "weighted_median": "weighted median",
    "weighted_mode": "weighted mode",
}
_WEAK_F = 10.0
_DILUTED = 0.9


@dataclass(frozen=True, eq=False)
class MendelianResult(Result):
    """Causal effects of exposures on outcomes.

    Attributes
    ----------
    frame : polars.DataFrame
        exposure, outcome, method, n_variants, effect, se, ci_low, ci_high, log10p, p, p_bh (over
        the pairs, of the method), q, q_df, q_p, i2; effect in outcome units (log odds for a
        logistic scan) per unit of the exposure.
    pairs : polars.DataFrame
        A row a pair: exposure, outcome, n_instruments, n_used, f_mean, f_min, i2_gx,
        egger_intercept, egger_intercept_se, egger_intercept_p, r2_exposure, r2_outcome,
        forward (the instruments explain more of the exposure), steiger_p, reason (why there is
        no estimate).
    variants : polars.DataFrame
        A row a pair and instrument: exposure, outcome, chrom, pos, id, effect_allele,
        other_allele, beta_exposure, se_exposure, beta_outcome, se_outcome, f, ratio, ratio_se,
        q (share of Cochran's Q) and outlier_p (Bonferroni), without_effect and without_se
        (estimate without this variant), reason (why it was not used; its outcome is null then).
    """

    kind: ClassVar[str] = "mendelian"
    plots: ClassVar[tuple[str, ...]] = ("mr_scatter", "mr_forest", "mr_funnel", "leave_one_out")

    pairs: pl.DataFrame = field(default_factory=pl.DataFrame)
    variants: pl.DataFrame = field(default_factory=pl.DataFrame)

    def plot(
        self,
        kind: str,
        *,
        ax: Any = None,
        exposure: str | None = None,
        outcome: str | None = None,
    ) -> Any:
        """Draw one of `plots` for a pair and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "mr_scatter" (effects on both with the slopes), "mr_forest" (ratios and estimates),
            "mr_funnel" (ratios against their precision) or "leave_one_out".
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        exposure, outcome : str or None
            The pair; None = the first that fits and has an estimate.

        Raises
        ------
        InputError
            If this result has no such plot or no such pair.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.associate.causal import _pictures

        return _pictures.mendelian(self, kind, ax=ax, exposure=exposure, outcome=outcome)

    def of(self, exposure: str | None, outcome: str | None) -> tuple[str, str]:
        """Return the first pair with an estimate that fits the given names.

        Raises
        ------
        InputError
            If there is none.
        """
        some = self.frame
        for name, value in (("exposure", exposure), ("outcome", outcome)):
            some = some if value is None else some.filter(pl.col(name) == value)
        if not some.height:
            raise InputError(
                f"No estimate for exposure {exposure or 'any'} and outcome {outcome or 'any'}."
            )
        first = some.sort("log10p", maintain_order=True).row(0, named=True)
        return first["exposure"], first["outcome"]

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        words = []
        main = self.frame.filter(pl.col("method").is_in(["ivw", "wald_ratio", "ivw_fixed"]))
        main = main.unique(["exposure", "outcome"], keep="first", maintain_order=True)
        q = self.params["level"]
        found = main.filter(pl.col("p_bh") <= q)
        words.append(
            f"{main.height} pairs of exposure and outcome had instruments; for {found.height} "
            f"the effect held at a false discovery rate of {q:g}."
        )
        for row in main.sort("log10p").head(5).iter_rows(named=True):
            words.append(_sentence(row, self.frame, self.pairs))
        lost = self.pairs.filter(pl.col("reason") != "")
        if lost.height:
            words.append(f"{lost.height} pairs have no estimate: {lost['reason'][0]}.")
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        chosen = "the variants that were given"
        if not p["given"]:
            apart = (
                f"r² at most {p['r2']:g} within {p['apart_bp'] / 1e6:g} Mb"
                if p["clumped"]
                else f"at least {p['apart_bp'] / 1e6:g} Mb apart"
            )
            chosen = f"the lead variants of the exposure with p ≤ {p['p']:g}, {apart}"
        used = ", ".join(_WORDS[name] for name in p["methods"])
        strands = {
            "frequency": "resolved by allele frequency where that is clear of 0.5, else left out",
            "drop": "left out",
            "keep": "taken to be on the same strand",
        }[p["palindromic"]]
        return (
            f"Two-sample Mendelian randomisation. Instruments were {chosen}. Effects were brought "
            f"onto the same alleles; palindromic variants were {strands}. Estimators: {used}; "
            "random effects are multiplicative (Student's t), medians and modes have bootstrap "
            f"standard errors (seed {p['seed']}). Heterogeneity is Cochran's Q (Rücker's for "
            "Egger), direction Steiger's test. p over pairs are Benjamini-Hochberg adjusted, "
            "method by method. The samples of exposure and outcome must not share people, or weak "
            "instruments pull the estimates towards the confounded association."
        )


def mendelian(
    exposure: FrameLike | Result,
    outcome: FrameLike | Result,
    *,
    seed: int,
    exposures: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
    instruments: Sequence[str] | None = None,
    p: float = 5e-8,
    genotypes: GenotypeMatrix | None = None,
    r2: float = 0.001,
    apart_bp: int = 1_000_000,
    by: Literal["position", "id"] = "position",
    palindromic: Literal["frequency", "drop", "keep"] = "frequency",
    methods: Sequence[str] = METHODS,
    n_bootstrap: int = 2000,
    level: float = 0.05,
) -> MendelianResult:
    """Return the effect of each exposure on each outcome by its genetic instruments.

    Parameters
    ----------
    exposure, outcome : Result or data frame
        Scans: chrom, pos, ref, alt, beta, se; id, n, alt_freq, log10p where known, phenotype
        where there are several traits. The outcome needs all tests, not its hits alone.
    seed : int
        Of the bootstrap; each pair has its own stream.
    exposures, outcomes : sequence of str or None
        Which traits; None = all.
    instruments : sequence of str or None
        Ids of independent variants; None = the leads of the exposure.
    p : float, default 5e-8
        Largest p of a lead.
    genotypes : GenotypeMatrix or None
        People for the linkage of candidates: clumped at `r2` within `apart_bp`. None = leads
        stand at least `apart_bp` apart.
    r2 : float, default 0.001
        Largest squared correlation of two instruments, with `genotypes`.
    apart_bp : int, default 1,000,000
        Window of clumping, or distance of leads.
    by : {"position", "id"}, default "position"
        How variants of both scans are matched.
    palindromic : {"frequency", "drop", "keep"}, default "frequency"
        What to do with A/T and C/G variants; see `radgen.genome.match_variants`.
    methods : sequence of str
        Of `METHODS`; medians, modes and Egger where there are three variants or more.
    n_bootstrap : int, default 2000
        Draws for the standard errors of median and mode.
    level : float, default 0.05
        False discovery rate of the findings in words.

    Returns
    -------
    MendelianResult

    Raises
    ------
    InputError
        If columns or traits are missing, a variant stands twice, an option is unknown, or no
        pair has an instrument.

    Notes
    -----
    One variant gives its Wald ratio, two the inverse-variance mean. No variant is replaced by a
    proxy: one that the outcome lacks is left out and listed.

    References
    ----------
    Burgess et al. (2023), doi:10.12688/wellcomeopenres.15555.3; Hemani et al. (2018),
    doi:10.7554/eLife.34408.
    """
    for name in methods:
        require_choice(name, METHODS, what="method")
    left = effect_table(exposure, what="exposure")
    right = effect_table(outcome, what="outcome")
    names = [
        traits_of(left, exposures, what="exposure"),
        traits_of(right, outcomes, what="outcome"),
    ]
    clumping = (p, genotypes, r2, apart_bp)
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    variants: list[pl.DataFrame] = []
    with progress("Mendelian randomisation", len(names[0]) * len(names[1])) as tick:
        for x in names[0]:
            some = _instruments(of_trait(left, x, what="exposure"), instruments, clumping)
            for y in names[1]:
                own = of_trait(_near(right, some, by), y, what="outcome")
                pair = {"exposure": x, "outcome": y}
                found = _pair(
                    pair, some, own, how=(by, palindromic), methods=methods,
                    drawing=(seed, n_bootstrap),
                )  # fmt: skip
                rows += found[0]
                pairs.append(found[1])
                variants.append(found[2])
                tick(1)
    if not rows:
        raise InputError(
            f"No pair has an instrument: {pairs[0]['reason'] if pairs else 'no pair'}. Raise p, "
            "or give instruments."
        )
    frame = _adjusted(pl.DataFrame(rows, infer_schema_length=None))
    table = pl.DataFrame(pairs, infer_schema_length=None)
    return MendelianResult(
        frame,
        {
            "p": p, "r2": r2, "apart_bp": apart_bp, "clumped": genotypes is not None,
            "given": instruments is not None, "by": by, "palindromic": palindromic,
            "methods": tuple(methods), "seed": seed, "n_bootstrap": n_bootstrap, "level": level,
        },
        int(np.nan_to_num(left["n"].cast(pl.Float64).max() or 0)),
        warnings=_cautions(table),
        pairs=table,
        variants=pl.concat(variants),
    )  # fmt: skip


def _instruments(
    table: pl.DataFrame, given: Sequence[str] | None, how: tuple[Any, ...]
) -> pl.DataFrame:
    """Return the instruments of one exposure, and why they are what they are."""
    p, genotypes, r2, apart_bp = how
    if given is not None:
        return table.filter(pl.col("id").is_in(list(given)))
    strong = table.filter(pl.col("log10p") <= np.log10(p))
    if genotypes is None or not strong.height:
        return strong[lead_rows(strong, p, apart_bp, None)]
    from radgen.genome import clump

    leads = clump(strong, genotypes, p1=p, p2=p, r2=r2, window_kb=apart_bp / 1000)
    return strong.filter(pl.col("id").is_in(leads["id"].implode())).sort("log10p")


def _near(right: pl.DataFrame, some: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return outcome rows at the places or of the ids of the instruments (for both checks)."""
    place = pl.struct("chrom", "pos").is_in(
        some.select(pl.struct("chrom", "pos")).to_series().implode()
    )
    name = pl.col("id").is_in(some["id"].implode())
    return right.filter(name if by == "id" else place | name)


def _pair(
    pair: dict[str, Any],
    some: pl.DataFrame,
    own: pl.DataFrame,
    *,
    how: tuple[str, str],
    methods: Sequence[str],
    drawing: tuple[int, int],
) -> tuple[list[dict[str, Any]], dict[str, Any], pl.DataFrame]:
    """Return the estimates, the diagnostics and the instruments of one pair."""
    both, match = matched(some, own, palindromic=how[1], by=how[0])
    facts = pair | {"n_instruments": some.height, "n_used": both.height}
    empty = dict.fromkeys(
        ("f_mean", "f_min", "i2_gx", "egger_intercept", "egger_intercept_se",
         "egger_intercept_p", "r2_exposure", "r2_outcome", "forward", "steiger_p")
    )  # fmt: skip
    lost = _lost(pair, some, match.dropped)
    if not both.height:
        why = "no variant of the exposure reaches p" if not some.height else (
            f"none of its {some.height} instruments can be used: {match.dropped['reason'][0]}"
        )  # fmt: skip
        return [], facts | empty | {"reason": why}, lost
    data = mr.VariantEffects(
        *(both[name].to_numpy() for name in ("beta_x", "se_x", "beta_y", "se_y"))
    )
    estimates, intercept = _estimates(data, methods, pair, drawing)
    diagnosed = facts | empty | _diagnosed(data, both, intercept) | {"reason": ""}
    return estimates, diagnosed, pl.concat([_used(pair, both, data), lost])


def _estimates(
    data: mr.VariantEffects,
    methods: Sequence[str],
    pair: dict[str, Any],
    drawing: tuple[int, int],
) -> tuple[list[dict[str, Any]], mr.CausalEffect | None]:
    seed, m = drawing
    found: dict[str, mr.CausalEffect] = {}
    intercept = None
    stream = (seed, "mendelian", pair["exposure"], pair["outcome"])
    if data.k == 1:
        found["wald_ratio"] = mr.inverse_variance(data)
    else:
        if "ivw" in methods:
            found["ivw"] = mr.inverse_variance(data)
        if "ivw_fixed" in methods:
            found["ivw_fixed"] = mr.inverse_variance(data, random=False)
    if data.k >= 3:
        if "egger" in methods:
            both = mr.egger(data)
            found["egger"], intercept = both.slope, both.intercept
        if "weighted_median" in methods:
            found["weighted_median"] = mr.weighted_median(
                data, rng=spawn(*stream, "median"), n_bootstrap=m
            )
        if "weighted_mode" in methods:
            found["weighted_mode"] = mr.weighted_mode(
                data, rng=spawn(*stream, "mode"), n_bootstrap=min(m, 1000)
            )
    rows = []
    for name, fit in found.items():
        row = pair | {"method": name, "n_variants": data.k}
        row |= {item: getattr(fit, item) for item in ("effect", "se", "ci_low", "ci_high")}
        row |= {"log10p": fit.log10p, "p": float(from_log10p(fit.log10p))}
        row |= {"q": fit.q, "q_df": fit.q_df, "q_p": float(from_log10p(fit.q_log10p))}
        rows.append(row | {"i2": fit.i2})
    return rows, intercept


def _diagnosed(
    data: mr.VariantEffects, both: pl.DataFrame, intercept: mr.CausalEffect | None
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "f_mean": float(data.f.mean()), "f_min": float(data.f.min()), "i2_gx": mr.i2_gx(data),
    }  # fmt: skip
    if intercept is not None:
        facts |= {
            "egger_intercept": intercept.effect, "egger_intercept_se": intercept.se,
            "egger_intercept_p": float(from_log10p(intercept.log10p)),
        }  # fmt: skip
    n = both["n_x"].to_numpy(), both["n_y"].to_numpy()
    if all(np.isfinite(item.astype(float)).all() and item.min() > 3 for item in n):
        shares = (
            mr.explained_variance(data.bx, data.sx, n[0]),
            mr.explained_variance(data.by, data.sy, n[1]),
        )
        way = mr.steiger(shares[0], float(n[0].mean()), shares[1], float(n[1].mean()))
        facts |= {
            "r2_exposure": way.r2_exposure, "r2_outcome": way.r2_outcome, "forward": way.forward,
            "steiger_p": float(from_log10p(way.log10p)),
        }  # fmt: skip
    return facts


def _used(pair: dict[str, Any], both: pl.DataFrame, data: mr.VariantEffects) -> pl.DataFrame:
    """Return the instruments with their share in the estimate."""
    fit = mr.inverse_variance(data)
    part = np.square((data.by - fit.effect * data.bx) / data.sy)
    outlier = np.minimum(from_log10p(chi2_log10p(part, 1.0)) * data.k, 1.0)
    without = mr.leave_one_out(data)
    single = data.k == 1
    return _listed(pair, both).with_columns(
        beta_outcome=both["beta_y"], se_outcome=both["se_y"],
        f=pl.Series(data.f), ratio=pl.Series(data.ratio), ratio_se=pl.Series(data.ratio_se),
        q=pl.Series(np.full(1, np.nan) if single else part),
        outlier_p=pl.Series(np.full(1, np.nan) if single else outlier),
        without_effect=pl.Series(without[0]), without_se=pl.Series(without[1]),
        reason=pl.lit(""),
    )  # fmt: skip


def _listed(pair: dict[str, Any], table: pl.DataFrame) -> pl.DataFrame:
    own = "beta_x" if "beta_x" in table.columns else "beta"
    return table.select(
        pl.lit(pair["exposure"]).alias("exposure"), pl.lit(pair["outcome"]).alias("outcome"),
        "chrom", "pos", "id", pl.col("alt").alias("effect_allele"),
        pl.col("ref").alias("other_allele"), pl.col(own).alias("beta_exposure"),
        pl.col(own.replace("beta", "se")).alias("se_exposure"),
    )  # fmt: skip


def _lost(pair: dict[str, Any], some: pl.DataFrame, dropped: pl.DataFrame) -> pl.DataFrame:
    rows = some[dropped["left"]]
    empty = [
        pl.lit(None, pl.Float64).alias(name)
        for name in ("beta_outcome", "se_outcome", "f", "ratio", "ratio_se", "q", "outlier_p",
                     "without_effect", "without_se")
    ]  # fmt: skip
    return _listed(pair, rows).with_columns(*empty, dropped["reason"].alias("reason"))


def _adjusted(frame: pl.DataFrame) -> pl.DataFrame:
    """Add p adjusted over the pairs, method by method; a Wald ratio stands for each."""
    out = np.full(frame.height, np.nan)
    single = (frame["method"] == "wald_ratio").to_numpy()
    p = frame["p"].to_numpy()
    for name in frame["method"].unique(maintain_order=True):
        rows = np.flatnonzero((frame["method"] == name).to_numpy() | single)
        adjusted = bh(p[rows])
        mine = (frame["method"] == name).to_numpy()[rows]
        out[rows[mine]] = adjusted[mine]
    if single.any() and not single.all():
        both = np.flatnonzero(single | (frame["method"] == "ivw").to_numpy())
        out[both] = bh(p[both])
    at = frame.columns.index("p") + 1
    return frame.insert_column(at, pl.Series("p_bh", out))


def _cautions(pairs: pl.DataFrame) -> tuple[str, ...]:
    """Return what a reader must know of the instruments."""
    words = []
    tests = (
        (pl.col("f_mean") < _WEAK_F, "have weak instruments (mean F below 10)"),
        (pl.col("egger_intercept_p") < 0.05, "show directional pleiotropy (Egger intercept)"),
        (~pl.col("forward").cast(pl.Boolean),
         "have instruments that explain more of the outcome than of the exposure"),
    )  # fmt: skip
    for test, what in tests:
        some = pairs.filter(test.fill_null(False))
        if some.height:
            row = some.row(0, named=True)
            words.append(
                f"{some.height} of {pairs.height} pairs {what}, first "
                f"{row['exposure']} on {row['outcome']}."
            )
    return tuple(words)


def _sentence(row: dict[str, Any], frame: pl.DataFrame, pairs: pl.DataFrame) -> str:
    here = (pl.col("exposure") == row["exposure"]) & (pl.col("outcome") == row["outcome"])
    own = pairs.filter(here).row(0, named=True)
    text = (
        f"{row['exposure']} on {row['outcome']}: {row['effect']:.3g} ({row['ci_low']:.3g} to "
        f"{row['ci_high']:.3g}) by {row['n_variants']} variants, p = {row['p']:.2g}"
    )
    others = frame.filter(here & ~pl.col("method").is_in(["ivw", "ivw_fixed", "wald_ratio"]))
    if others.height:
        agree = int((others["effect"].sign() == np.sign(row["effect"])).sum())
        text += f"; {agree} of {others.height} robust estimates have the same sign"
    if own["i2_gx"] is not None and own["i2_gx"] < _DILUTED and row["n_variants"] >= 3:
        text += f"; the Egger slope is diluted (I²GX {own['i2_gx']:.2f})"
    return text + "."
