"""Colocalisation of two scans, region by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.associate.causal._effects import effect_table, matched, of_trait, traits_of
from radgen.associate.genomewide.plot import lead_rows
from radgen.errors import InputError
from radgen.stats import colocalise as abf
from radgen.types import FrameLike, Result, to_polars
from radgen.types._seal import set_field

__all__ = ["ColocalisationResult", "colocalise"]

_KINDS = ("quantitative", "case_control")
_NAMES = ("pp_h0", "pp_h1", "pp_h2", "pp_h3", "pp_h4")
_FEWEST = 10
_SURE = 0.8


@dataclass(frozen=True, eq=False)
class ColocalisationResult(Result):
    """Posterior of shared and distinct causal variants.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a pair of traits and region: first, second, region, chrom, start, end, n_variants,
        lead_first, log10p_first, lead_second, log10p_second, pp_h0 (no signal), pp_h1 (first
        only), pp_h2 (second only), pp_h3 (two variants), pp_h4 (one shared variant), best (the
        likeliest shared variant), best_pp, n_credible (variants that hold 95 % of it given H4),
        p12_least (smallest prior p12 at which pp_h4 is 0.5; null where none), log_bf_first,
        log_bf_second, log_bf_both (evidence free of priors), conclusion ("shared", "distinct",
        "first only", "second only", "neither", "unclear"), reason (why there is no posterior).
    variants : polars.DataFrame
        first, second, region, chrom, pos, id, log10p_first, log10p_second, pp_first, pp_second,
        pp_shared, credible (in the 95 % set of the shared variant); all variants of the regions
        with the largest pp_h4, credible ones of the others.
    """

    kind: ClassVar[str] = "colocalisation"
    plots: ClassVar[tuple[str, ...]] = ("coloc_region", "coloc_compare", "coloc_prior")

    variants: pl.DataFrame = field(default_factory=pl.DataFrame)

    def __post_init__(self) -> None:
        if not (self.frame["reason"] == "").any():
            set_field(self, "plots", ())  # no region has a posterior to draw

    def plot(
        self,
        kind: str,
        *,
        ax: Any = None,
        first: str | None = None,
        second: str | None = None,
        region: str | None = None,
    ) -> Any:
        """Draw one of `plots` for a pair and region and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "coloc_region" (both scans mirrored, the credible set marked), "coloc_compare" (the
            evidence of both scans against each other) or "coloc_prior" (posterior by the prior
            of sharing).
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        first, second, region : str or None
            Which; None = that with the largest pp_h4.

        Raises
        ------
        InputError
            If this result has no such plot or row, or its variants were not kept.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.associate.causal import _pictures

        row = self._row(first, second, region)
        return _pictures.colocalisation(self, row, kind, ax=ax)

    def _row(self, first: str | None, second: str | None, region: str | None) -> dict[str, Any]:
        some = self.frame.filter(pl.col("reason") == "")
        for name, value in (("first", first), ("second", second), ("region", region)):
            some = some if value is None else some.filter(pl.col(name) == value)
        if not some.height:
            raise InputError("No region with a posterior has these names.")
        return some.sort("pp_h4", descending=True).row(0, named=True)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        known = self.frame.filter(pl.col("reason") == "")
        count = dict(known["conclusion"].value_counts().iter_rows())
        words = [
            f"{known.height} regions were compared: {count.get('shared', 0)} with a shared causal "
            f"variant (posterior at least {_SURE:g}), {count.get('distinct', 0)} with two distinct "
            f"ones, {count.get('unclear', 0)} unclear."
        ]
        for row in known.sort("pp_h4", descending=True).head(5).iter_rows(named=True):
            if row["conclusion"] == "shared":
                words.append(
                    f"{row['first']} and {row['second']} share a variant in {row['region']} "
                    f"(posterior {row['pp_h4']:.3f}), likeliest {row['best']} "
                    f"({row['best_pp']:.2f}, {row['n_credible']} in the credible set); more likely "
                    f"than not for any p12 of at least {row['p12_least']:.1g}."
                )
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        p = self.params
        kinds = {"quantitative": "quantitative", "case_control": "case-control"}
        sds = " and ".join(
            f"{value:g} ({kinds[kind]}{', in trait standard deviations' if at_sd else ''})"
            for value, kind, at_sd in (
                (p["prior_sd"][i], p["kinds"][i], p["kinds"][i] == "quantitative") for i in (0, 1)
            )
        )
        return (
            "Colocalisation by approximate Bayes factors (Wakefield; Giambartolomei et al. 2014), "
            f"at most one causal variant a trait and region. Prior probabilities p1 = {p['p1']:g}, "
            f"p2 = {p['p2']:g}, p12 = {p['p12']:g}; prior standard deviations of effects {sds}. "
            f"A conclusion needs a posterior of {_SURE:g}; p12_least says how small the prior of "
            "sharing may be."
        )


def colocalise(
    first: FrameLike | Result,
    second: FrameLike | Result,
    *,
    kinds: tuple[str, str] = ("quantitative", "quantitative"),
    firsts: Sequence[str] | None = None,
    seconds: Sequence[str] | None = None,
    regions: FrameLike | str | Path | None = None,
    p: float = 5e-8,
    window_bp: int = 250_000,
    sds: tuple[float | None, float | None] = (None, None),
    p1: float = 1e-4,
    p2: float = 1e-4,
    p12: float = 1e-5,
    prior_sd: tuple[float | None, float | None] = (None, None),
    by: Literal["position", "id"] = "position",
    n_kept: int = 50,
) -> ColocalisationResult:
    """Return whether pairs of traits share a causal variant, region by region.

    Parameters
    ----------
    first, second : Result or data frame
        Scans with all tests: chrom, pos, ref, alt, beta, se; id, n, alt_freq, phenotype.
    kinds : (str, str)
        "quantitative" or "case_control" (beta = log odds ratio) of each scan.
    firsts, seconds : sequence of str or None
        Which traits; None = all.
    regions : data frame, path or None
        chrom, start, end, name (genes of `read_genes`, a BED or GTF file): `window_bp` is added
        on both sides. None = windows about the leads of the first trait.
    p : float, default 5e-8
        Largest p of a lead, where no regions are given.
    window_bp : int, default 250,000
        Half width of a window about a lead, or margin of a region.
    sds : (float or None, float or None)
        Standard deviation of each quantitative trait; None = from se, alt_freq and n.
    p1, p2, p12 : float
        Prior probability that a variant is causal for the first trait alone, the second alone,
        both.
    prior_sd : (float or None, float or None)
        Prior standard deviation of effects; None = 0.15 trait SD, or 0.2 log odds.
    by : {"position", "id"}, default "position"
        How variants of both scans are matched.
    n_kept : int, default 50
        Of how many regions all variants are kept for pictures.

    Returns
    -------
    ColocalisationResult

    Raises
    ------
    InputError
        If columns or traits are missing, a variant stands twice, the SD of a trait is unknown, or
        there is no region.

    Notes
    -----
    Bayes factors do not depend on the counted allele, so that palindromic variants stay. Regions
    with fewer than 10 common variants get no posterior.

    References
    ----------
    Giambartolomei et al. (2014), doi:10.1371/journal.pgen.1004383; Wallace (2020),
    doi:10.1371/journal.pgen.1008720.
    """
    for item in kinds:
        require_choice(item, _KINDS, what="kind of trait")
    tables = effect_table(first, what="first"), effect_table(second, what="second")
    names = [
        traits_of(table, wanted, what=what)
        for table, wanted, what in zip(tables, (firsts, seconds), ("first", "second"), strict=True)
    ]
    default = [
        abf.QUANTITATIVE_PRIOR_SD if item == "quantitative" else abf.CASE_CONTROL_PRIOR_SD
        for item in kinds
    ]
    width = tuple(d if given is None else given for d, given in zip(default, prior_sd, strict=True))
    given = None if regions is None else _regions(regions, window_bp)
    parts = [
        {name: of_trait(table, name, what=what) for name in own}
        for table, own, what in zip(tables, names, ("first", "second"), strict=True)
    ]
    scale = [
        {name: _scale(parts[i][name], kinds[i], sds[i], name) for name in names[i]} for i in (0, 1)
    ]
    rows: list[dict[str, Any]] = []
    kept: list[pl.DataFrame] = []
    with progress("Colocalisation", len(names[0]) * len(names[1])) as tick:
        for x in names[0]:
            places = _windows(parts[0][x], p, window_bp) if given is None else given
            for y in names[1]:
                for place in places.iter_rows(named=True):
                    row, variants = _region(
                        {"first": x, "second": y} | place, (parts[0][x], parts[1][y]),
                        widths=(width[0] * scale[0][x], width[1] * scale[1][y]),
                        priors=(p1, p2, p12), by=by,
                    )  # fmt: skip
                    rows.append(row)
                    kept.append(variants)
                tick(1)
    if not rows:
        raise InputError(
            f"There is no region: no variant of the first scan reaches p = {p:g}. Raise p, or give "
            "regions."
        )
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return ColocalisationResult(
        frame,
        {
            "kinds": tuple(kinds), "p": p, "window_bp": window_bp, "p1": p1, "p2": p2, "p12": p12,
            "prior_sd": width, "by": by, "given": regions is not None,
            "sds": [scale[0], scale[1]],
        },
        int(np.nan_to_num(tables[0]["n"].max() or 0)),
        warnings=_cautions(frame),
        variants=_thinned(frame, kept, n_kept),
    )  # fmt: skip


def _scale(table: pl.DataFrame, kind: str, given: float | None, name: str) -> float:
    """Return the standard deviation that prior effects are measured in."""
    if kind == "case_control":
        return 1.0
    if given is not None:
        if not given > 0:
            raise InputError(f"The standard deviation of {name!r} is {given}; it must be positive.")
        return float(given)
    if table["n"].is_null().all() or table["alt_freq"].is_null().all():
        raise InputError(
            f"The standard deviation of {name!r} is unknown: give sds (1 for a standardised "
            "trait), or scans with the columns n and alt_freq."
        )
    return abf.trait_sd(*(table[column].to_numpy() for column in ("se", "alt_freq", "n")))


def _regions(regions: FrameLike | str | Path, margin: int) -> pl.DataFrame:
    from radgen.io import read_genes

    frame = (
        read_genes(regions)
        if isinstance(regions, str | Path)
        else to_polars(regions, what="table of regions")
    )
    missing = [name for name in ("chrom", "start", "end") if name not in frame.columns]
    if missing:
        raise InputError(f"The table of regions lacks {missing}; needed are chrom, start, end.")
    if "name" not in frame.columns:
        frame = frame.with_columns(pl.format("{}:{}-{}", "chrom", "start", "end").alias("name"))
    return frame.select(
        pl.col("name").cast(pl.String).alias("region"),
        pl.col("chrom").cast(pl.String).str.replace("(?i)^chr", "").str.to_uppercase(),
        (pl.col("start").cast(pl.Int64) - margin).clip(0).alias("start"),
        (pl.col("end").cast(pl.Int64) + margin).alias("end"),
    )


def _windows(table: pl.DataFrame, p: float, half: int) -> pl.DataFrame:
    """Return windows about the leads of a trait; leads stand a window apart."""
    leads = table[lead_rows(table, p, half, None)]
    return leads.select(
        pl.col("id").alias("region"),
        "chrom",
        (pl.col("pos") - half).clip(0).alias("start"),
        (pl.col("pos") + half).alias("end"),
    )


def _region(
    place: dict[str, Any],
    tables: tuple[pl.DataFrame, pl.DataFrame],
    *,
    widths: tuple[float, float],
    priors: tuple[float, float, float],
    by: str,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Return the row and the variants of one pair of traits and region."""
    inside = (pl.col("chrom") == place["chrom"]) & pl.col("pos").is_between(
        place["start"], place["end"]
    )
    left = tables[0].filter(inside)
    right = tables[1] if by == "id" else tables[1].filter(inside)
    both, _ = matched(left, right, palindromic="keep", by=by)
    row = place | {"n_variants": both.height} | dict.fromkeys(_AFTER)
    if both.height < _FEWEST:
        why = f"{both.height} variants in both scans; needed are {_FEWEST}"
        return row | {"conclusion": "unclear", "reason": why}, both.head(0)
    logs = [
        abf.log_bayes_factors(both[f"beta_{i}"].to_numpy(), both[f"se_{i}"].to_numpy(), width)
        for i, width in zip("xy", widths, strict=True)
    ]
    found = abf.shared_signal(*logs, p1=priors[0], p2=priors[1], p12=priors[2])
    best = int(np.argmax(found.shared))
    credible = abf.credible_set(found.shared)
    least = found.evidence.least_p12(priors[0], priors[1])
    leads = {
        which: both.sort(f"log10p_{i}").row(0, named=True)
        for which, i in (("first", "x"), ("second", "y"))
    }
    row |= {
        "lead_first": leads["first"]["id"], "log10p_first": leads["first"]["log10p_x"],
        "lead_second": leads["second"]["id"], "log10p_second": leads["second"]["log10p_y"],
        **dict(zip(_NAMES, found.posterior.tolist(), strict=True)),
        "best": both["id"][best], "best_pp": float(found.shared[best]),
        "n_credible": len(credible), "p12_least": None if np.isnan(least) else least,
        "log_bf_first": found.evidence.first, "log_bf_second": found.evidence.second,
        "log_bf_both": found.evidence.both,
        "conclusion": _conclusion(found.posterior), "reason": "",
    }  # fmt: skip
    chosen = np.zeros(both.height, bool)
    chosen[credible] = True
    variants = both.select(
        pl.lit(place["first"]).alias("first"), pl.lit(place["second"]).alias("second"),
        pl.lit(place["region"]).alias("region"), "chrom", "pos", "id",
        pl.col("log10p_x").alias("log10p_first"), pl.col("log10p_y").alias("log10p_second"),
        pl.Series("pp_first", found.first), pl.Series("pp_second", found.second),
        pl.Series("pp_shared", found.shared), pl.Series("credible", chosen),
    )  # fmt: skip
    return row, variants


_AFTER = (
    "lead_first", "log10p_first", "lead_second", "log10p_second", *_NAMES, "best", "best_pp",
    "n_credible", "p12_least", "log_bf_first", "log_bf_second", "log_bf_both", "conclusion",
    "reason",
)  # fmt: skip


def _conclusion(posterior: Any) -> str:
    words = ("neither", "first only", "second only", "distinct", "shared")
    at = int(np.argmax(posterior))
    return words[at] if posterior[at] >= _SURE else "unclear"


def _cautions(frame: pl.DataFrame) -> tuple[str, ...]:
    words = []
    few = frame.filter(pl.col("reason") != "")
    if few.height:
        words.append(
            f"{few.height} of {frame.height} regions have no posterior: {few['region'][0]} has "
            f"{few['reason'][0]}."
        )
    fragile = frame.filter((pl.col("conclusion") == "shared") & (pl.col("p12_least") > 1e-6))
    if fragile.height:
        words.append(
            f"{fragile.height} shared signals need a prior p12 above 1e-6, first "
            f"{fragile['first'][0]} and {fragile['second'][0]} in {fragile['region'][0]}."
        )
    return tuple(words)


def _thinned(frame: pl.DataFrame, kept: list[pl.DataFrame], n: int) -> pl.DataFrame:
    """Return all variants of the regions with the largest pp_h4, credible ones of the others."""
    order = np.argsort(-frame["pp_h4"].fill_null(-1.0).to_numpy(), kind="stable")[:n]
    whole = set(order.tolist())
    parts = [
        part if at in whole else part.filter("credible")
        for at, part in enumerate(kept)
        if part.width and "credible" in part.columns
    ]
    return pl.concat(parts) if parts else pl.DataFrame()
