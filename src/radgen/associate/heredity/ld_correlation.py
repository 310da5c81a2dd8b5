"""Genetic correlation from summary statistics: cross-trait LD score regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

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
from radgen.associate.heredity._scans import Cleaning, Scan, join_scores, signs
from radgen.errors import InputError
from radgen.io.ld_score_files import LdScores
from radgen.stats.ld_score_regression import (
    block_edges,
    correlation_of,
    regress_covariance,
    regress_heritability,
)
from radgen.stats.tail import from_log10p, t_log10p, t_quantile
from radgen.types import FrameLike, Result

__all__ = ["LdScoreCorrelation", "ldsc_correlation"]

_COLUMNS = (
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
            f"regression{how_regressed(self.params)}; alleles were aligned, allowing for strand."
        )


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
    tables, panel, rest = opened(scans, scores, weights, m, by)
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
            row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"trait_1": one, "trait_2": two}
            try:
                for name in (one, two):
                    if name in broken:
                        raise InputError(f"{name}: {broken[name]}")
                found, limit = _pair(
                    (ready[one], ready[two]), panel, rest, (n_variants_of(panel, m), how),
                    (intercept, covariance_intercept),
                )  # fmt: skip
                row |= found
                notes += first_step_notes(two_step, limit, f"{one}, {two}")
            except InputError as error:
                row["status"] = str(error).rstrip(".")
            rows.append(row)
            tick(1)
    params = params_of(tables, intercept, two_step, n_blocks, rule)
    params["covariance_intercept"] = covariance_intercept
    frame = pl.DataFrame(rows, schema=_COLUMNS)
    notes += unfit(frame, "pairs have no genetic correlation")
    return LdScoreCorrelation(frame, params, int(most), warnings=tuple(notes))


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
            notes += scan_notes(ready[name], key)
            most = max(most, float(ready[name].table["n"].max()))  # type: ignore[arg-type]
        except InputError as error:
            broken[name] = str(error)
    return ready, broken, most


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
    l2, wl2 = scores_and_weights(table, panel.table, rest)
    z = table["z"].to_numpy(), table["z_right"].to_numpy() * sign
    n = table["n"].to_numpy(), table["n_right"].to_numpy()
    limits = [
        first_step(options["two_step"], (np.square(a), l2, b)) for a, b in zip(z, n, strict=True)
    ]
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
