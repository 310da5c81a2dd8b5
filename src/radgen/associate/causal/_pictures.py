"""From causal results to the plots of `radgen.plot`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from radgen.errors import InputError
from radgen.plot import causal
from radgen.plot.effects import forest
from radgen.stats.colocalise import Hypotheses

if TYPE_CHECKING:
    from radgen.associate.causal.colocalisation import ColocalisationResult
    from radgen.associate.causal.mendelian import MendelianResult

__all__ = ["WORDS", "colocalisation", "mediation", "mendelian"]

WORDS = {
    "wald_ratio": "Wald ratio",
    "ivw": "Inverse variance",
    "ivw_fixed": "Inverse variance, fixed",
    "egger": "MR-Egger",
    "weighted_median": "Weighted median",
    "weighted_mode": "Weighted mode",
}
_Z95 = 1.959963984540054
_LISTED = 40


def mendelian(
    result: MendelianResult,
    kind: str,
    *,
    ax: Any,
    exposure: str | None,
    outcome: str | None,
) -> Any:
    """Draw a pair of exposure and outcome and return the Axes."""
    x, y = result.of(exposure, outcome)
    here = (pl.col("exposure") == x) & (pl.col("outcome") == y)
    fits = result.frame.filter(here)
    used = result.variants.filter(here & (pl.col("reason") == ""))
    slope = f"Effect of {x} on {y}"
    if kind == "leave_one_out":
        return _without(used, fits, slope, ax)
    if kind == "mr_forest":
        return _ratios(used, fits, slope, ax)
    shown = fits.filter(pl.col("method") != "ivw_fixed") if fits.height > 1 else fits
    names = [WORDS[name] for name in shown["method"]]
    if kind == "mr_funnel":
        return causal.mr_funnel(
            used["ratio"].to_numpy(), used["ratio_se"].to_numpy(),
            lines=dict(zip(names, shown["effect"], strict=True)), xlabel=slope, ax=ax,
        )  # fmt: skip
    base = result.pairs.filter(here)["egger_intercept"][0]
    lines = {
        WORDS[name]: (base if name == "egger" else 0.0, effect)
        for name, effect in shown.select("method", "effect").iter_rows()
    }
    return causal.mr_scatter(
        used["beta_exposure"].to_numpy(), used["beta_outcome"].to_numpy(),
        exposure_se=used["se_exposure"].to_numpy(), outcome_se=used["se_outcome"].to_numpy(),
        lines=lines, xlabel=f"Effect on {x}", ylabel=f"Effect on {y}",
        outlier=(used["outlier_p"].fill_nan(1.0) < 0.05).to_numpy(), names=used["id"].to_list(),
        ax=ax,
    )  # fmt: skip


def _ratios(used: pl.DataFrame, fits: pl.DataFrame, label: str, ax: Any) -> Any:
    """Draw ratios of the most precise variants, then the estimates."""
    rows = used.sort("ratio_se").head(_LISTED).sort("ratio")
    middle, half = rows["ratio"].to_numpy(), _Z95 * rows["ratio_se"].to_numpy()
    names = [*rows["id"], *(WORDS[name] for name in fits["method"])]
    return forest(
        names, np.r_[middle, fits["effect"]], np.r_[middle - half, fits["ci_low"]],
        np.r_[middle + half, fits["ci_high"]], xlabel=f"{label} (95 % interval)", ax=ax,
        summary=fits.height,
    )  # fmt: skip


def _without(used: pl.DataFrame, fits: pl.DataFrame, label: str, ax: Any) -> Any:
    """Draw the estimate without each variant, those that move it most, then that of all."""
    main = fits.filter(pl.col("method").is_in(["ivw", "ivw_fixed", "wald_ratio"])).head(1)
    whole = main["effect"][0] if main.height else 0.0
    rows = (
        used.sort((pl.col("without_effect") - whole).abs(), descending=True, nulls_last=True)
        .head(_LISTED)
        .sort("without_effect")
    )
    middle, half = rows["without_effect"].to_numpy(), _Z95 * rows["without_se"].to_numpy()
    names = [*(f"without {name}" for name in rows["id"]), *(["All variants"] * main.height)]
    return forest(
        names, np.r_[middle, main["effect"]], np.r_[middle - half, main["ci_low"]],
        np.r_[middle + half, main["ci_high"]], xlabel=f"{label} (95 % interval)", ax=ax,
        summary=main.height,
    )  # fmt: skip


def colocalisation(result: ColocalisationResult, row: dict[str, Any], kind: str, *, ax: Any) -> Any:
    """Draw a region of two traits and return the Axes."""
    if kind == "coloc_prior":
        p = result.params
        grid = np.geomspace(1e-8, min(p["p1"], p["p2"]), 200)
        sums = Hypotheses(row["log_bf_first"], row["log_bf_second"], row["log_bf_both"],
                          row["n_variants"])  # fmt: skip
        posterior = np.array([sums.posterior(p["p1"], p["p2"], p12) for p12 in grid])
        return causal.coloc_prior(grid, posterior, chosen=p["p12"], ax=ax)
    own = result.variants.filter(
        pl.all_horizontal(pl.col(name) == row[name] for name in ("first", "second", "region"))
    )
    if own.height < row["n_variants"]:
        raise InputError(
            f"The variants of {row['region']} were not kept: call colocalise with this region "
            "alone, or a larger n_kept."
        )
    best = int(np.argmax(own["pp_shared"].to_numpy()))
    names = (row["first"], row["second"])
    evidence = own["log10p_first"].to_numpy(), own["log10p_second"].to_numpy()
    if kind == "coloc_compare":
        return causal.coloc_compare(
            *evidence, names=names, share=own["pp_shared"].to_numpy(), best=best,
            best_name=row["best"], ax=ax,
        )  # fmt: skip
    return causal.coloc_region(
        own["pos"].to_numpy(), *evidence, names=names, credible=own["credible"].to_numpy(),
        best=best, best_name=row["best"], chrom=row["chrom"], ax=ax,
        note=f"shared {row['pp_h4']:.3f} · distinct {row['pp_h3']:.3f} · "
        f"{row['n_credible']} in the credible set",
    )  # fmt: skip


def mediation(rows: pl.DataFrame, kind: str, params: Mapping[str, Any], *, ax: Any, n: int) -> Any:
    """Draw the path of the first row, or the indirect effects of the strongest rows."""
    what = {
        "continuous": "Indirect effect",
        "binary": "Indirect effect on the risk",
        "censored": "Indirect log hazard ratio",
    }[params["outcome_kind"]]
    rows = rows.sort("log10p", nulls_last=True)
    drawn = params["n_bootstrap"] > 0
    if kind == "mediation_forest":
        some = rows.head(n)
        lone = some["exposure"].n_unique() == 1
        names = [
            m if lone else f"{x} → {m}" for x, m in some.select("exposure", "mediator").iter_rows()
        ]
        limits = (
            some[f"indirect_{end}"].cast(pl.Float64).fill_null(np.nan).to_numpy()
            for end in ("low", "high")
        )
        text = f"{what} on {params['outcome']}" if lone is False else (
            f"{what} of {some['exposure'][0]} on {params['outcome']}"
        )  # fmt: skip
        end = f" ({params['confidence']:.0%} interval)".replace("%", " %") if drawn else ""
        return forest(names, some["indirect"].to_numpy(), *limits, xlabel=text + end, ax=ax)
    row = rows.row(0, named=True)
    low, high = row["direct_low"], row["direct_high"]
    labels = (
        f"{row['a']:.3g} ± {row['a_se']:.2g}\np = {row['a_p']:.2g}",
        f"{row['b']:.3g} ± {row['b_se']:.2g}\np = {row['b_p']:.2g}",
        f"direct {row['direct']:.3g}" + (f" ({low:.3g} to {high:.3g})" if drawn else ""),
    )
    through = f"{what} {row['indirect']:.3g}"
    if drawn:
        through += f" ({row['indirect_low']:.3g} to {row['indirect_high']:.3g})"
    if row["proportion"] is not None:
        through += f" · {row['proportion']:.0%} of the effect".replace("%", " %")
    notes = (f"{through} · n = {row['n']:,}", f"p = {row['p']:.2g}, adjusted {row['p_bh']:.2g}")
    clear = (row["a_p"] < 0.05, row["b_p"] < 0.05, bool(drawn and (low > 0 or high < 0)))
    return causal.mediation_path(
        (row["exposure"], row["mediator"], row["outcome"]), labels, clear=clear, notes=notes, ax=ax
    )
