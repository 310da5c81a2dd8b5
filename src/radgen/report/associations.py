"""Sections of association results: pairs of images and molecules, and genome-wide scans."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import polars as pl

from radgen import plot
from radgen.associate.top_links import top_links
from radgen.report.blocks import Block, Figure, Notes, Row, Table
from radgen.report.captions import caption_of
from radgen.report.sections import RENDERERS, closing, figures, opening, side_by_side
from radgen.types import Result

__all__ = ["render_association", "render_gwas"]

_LEVEL = 0.05
_DRAWN = ("volcano", "heatmap", "clustermap", "forest", "qq", "circos")
_VOLCANOES = 3
_MAP_ROWS, _MAP_COLUMNS = 45, 40
_TRAITS_APART = 4
_QQ_APART, _QQ_TOGETHER = 2, 30
_REGIONS, _NEIGHBOURS, _NEAR_BP = 3, 20, 500_000
_LISTED_LOG10P = -4.0
_LINKS = 60


def render_association(result: Result) -> tuple[Block, ...]:
    """Return findings, volcano plots, QQ plot, map of effects and the table of all pairs."""
    frame = result.table
    needed = {"phenotype", "omics", "effect", "log10p", "statistic"}
    if not needed <= set(frame.columns):
        return (*opening(result), *side_by_side(figures(result)), *closing(result, "All pairs"))
    adjusted = next((n for n in ("q_bh", "q", "p_bonferroni") if n in frame.columns), "p")
    frame = frame.sort("log10p", "phenotype", "omics", nulls_last=True)
    tested = frame.filter(pl.col("log10p").is_finite() & pl.col("effect").is_finite())
    blocks: list[Block] = opening(result)
    if tested.height:
        blocks += side_by_side(
            [*_volcanoes(tested, adjusted, _listed(result, tested)), _pair_qq(result, tested)]
        )
        blocks += _effect_map(tested, adjusted)
        blocks += _top_forest(tested, adjusted)
        blocks += _link_graph(tested, adjusted)
        blocks += _circle(result, adjusted)
    others = [kind for kind in result.plots if kind not in _DRAWN]
    blocks += side_by_side(figures(result, others))
    blocks.append(Table(f"All pairs ({result.n_used:,} samples), smallest p first", frame))
    if result.dropped.height:
        blocks.append(Table("Samples left out, and why", result.dropped))
    return tuple(blocks)


def render_gwas(result: Result) -> tuple[Block, ...]:
    """Return findings, Manhattan and QQ plots, the traits and the strongest variants."""
    frame = result.table
    if not {"chrom", "pos", "log10p", "phenotype"} <= set(frame.columns):
        return (*opening(result), *side_by_side(figures(result)), *closing(result, "Variants"))
    blocks: list[Block] = opening(result)
    counts = _frame_of(result, "qq")
    summary = _frame_of(result, "summary")
    traits = frame["phenotype"].unique(maintain_order=True).to_list()
    tested = frame.filter(pl.col("log10p").is_finite())
    if tested.height:
        blocks += _manhattans(result, tested, traits)
    if counts.height:
        blocks += _quantiles(result, counts, summary)
    if tested.height:
        blocks += _regions(result, tested)
    if summary.height:
        blocks.append(Table("Traits of the scan", summary))
    strong = frame.filter(pl.col("log10p") <= _LISTED_LOG10P).sort("log10p", "phenotype")
    if strong.height:
        blocks.append(Table("Variants with p ≤ 1e-4, smallest p first", strong))
    else:
        blocks.append(Notes(("No variant reached p ≤ 1e-4.",)))
    if result.dropped.height:
        blocks.append(Table("Samples left out, and why", result.dropped))
    return tuple(blocks)


def _frame_of(result: Result, name: str) -> pl.DataFrame:
    value = getattr(result, name, None)
    return value if isinstance(value, pl.DataFrame) else pl.DataFrame()


def _pair_names(frame: pl.DataFrame) -> list[str]:
    phenotypes = frame["phenotype"].to_list()
    short = dict(zip(phenotypes, plot.short_names(phenotypes), strict=True))
    return [f"{short[a]} ~ {b}" for a, b in frame.select("phenotype", "omics").iter_rows()]


def _volcanoes(tested: pl.DataFrame, adjusted: str, listed: str) -> list[Figure]:
    kinds = [""] if "test" not in tested.columns else _commonest(tested["test"])
    drawn = []
    for kind in kinds[:_VOLCANOES]:
        part = tested if not kind else tested.filter(pl.col("test") == kind)
        passed = part.filter(pl.col(adjusted) <= _LEVEL).height
        words = kind.replace("_", " ")
        drawn.append(
            Figure(
                f"Volcano plot{f': {words}' if words else ''}",
                f"Effects of {part.height:,} pairs{listed} against the strength of their evidence; "
                f"{passed:,} pass an adjusted level of {_LEVEL:g}.",
                partial(_draw_volcano, part, adjusted),
                data=part,
            )
        )
    return drawn


def _listed(result: Result, tested: pl.DataFrame) -> str:
    """Return words where the result lists a part of the pairs only."""
    total = int((getattr(result, "summary", None) or {}).get("n_tested") or 0)
    return " (those listed: the smallest p)" if total > tested.height else ""


def _draw_volcano(part: pl.DataFrame, adjusted: str, ax: Any) -> Any:
    return plot.volcano(
        part["effect"].to_numpy(),
        part["log10p"].to_numpy(),
        significant=part[adjusted].fill_null(1.0).to_numpy() <= _LEVEL,
        labels=_pair_names(part) if part.height <= 200_000 else (),
        n_labels=5,
        ax=ax,
    )


def _commonest(series: pl.Series) -> list[str]:
    counted = series.cast(pl.String).drop_nulls().value_counts().rows()
    return [name for name, _ in sorted(counted, key=lambda row: (-row[1], row[0]))]


def _pair_qq(result: Result, tested: pl.DataFrame) -> Figure:
    summary = getattr(result, "summary", None) or {}
    total = int(summary.get("n_tested") or tested.height)
    listed = total > tested.height
    drawn = f" (drawn: the {tested.height:,} smallest of {total:,})" if listed else ""
    factor = summary.get("lambda_gc") if listed else None
    return Figure(
        "QQ plot of all pairs",
        f"Observed against expected p-values of all pairs{drawn} with a 95 % band under the null; "
        "pairs are correlated, so that departures of the whole line are expected.",
        lambda ax: plot.qq(
            tested["log10p"].to_numpy(),
            n_tests=total if listed else None,
            lambda_gc=factor,
            ax=ax,
        ),
        data=tested.select("phenotype", "omics", "log10p"),
    )


def _effect_map(tested: pl.DataFrame, adjusted: str) -> list[Block]:
    best = tested.sort("log10p", "phenotype", "omics")
    rows = best["phenotype"].unique(maintain_order=True).to_list()[:_MAP_ROWS]
    columns = best["omics"].unique(maintain_order=True).to_list()[:_MAP_COLUMNS]
    if len(rows) < 3 or len(columns) < 3:
        return []
    part = best.filter(pl.col("phenotype").is_in(rows) & pl.col("omics").is_in(columns))
    part = part.unique(["phenotype", "omics"], keep="first", maintain_order=True)
    matrix = np.full((len(rows), len(columns)), np.nan)
    place = {name: i for i, name in enumerate(rows)}, {name: i for i, name in enumerate(columns)}
    for a, b, log10p, effect in part.select("phenotype", "omics", "log10p", "effect").iter_rows():
        matrix[place[0][a], place[1][b]] = -np.sign(effect) * log10p
    limit = float(np.nanquantile(np.abs(matrix), 0.99)) or 1.0
    return [
        Figure(
            "Images and molecules, clustered",
            "Sign of the effect times −log₁₀ p of each pair; rows are image phenotypes, columns "
            "molecular features, both ordered by hierarchical clustering.",
            lambda ax: plot.clustermap(
                np.clip(matrix, -limit, limit),
                row_names=plot.short_names(rows),
                column_names=plot.short_names(columns),
                label="signed −log₁₀ p",
                ax=ax,
            ),
            data=part.select("phenotype", "omics", "effect", "log10p", adjusted),
            size=(9.2, max(4.0, 2.6 + 0.14 * len(rows))),
            caption=(
                f"{len(rows)} phenotypes and {len(columns)} molecular features with the smallest "
                "p-values."
            ),
        )
    ]


def _top_forest(tested: pl.DataFrame, adjusted: str) -> list[Block]:
    if not {"ci_low", "ci_high"} <= set(tested.columns):
        return []
    hits = tested.filter((pl.col(adjusted) <= _LEVEL) & pl.col("ci_low").is_finite())
    kinds = _commonest(hits["test"]) if "test" in hits.columns else []
    if kinds:
        hits = hits.filter(pl.col("test") == kinds[0])
    hits = hits.head(15)
    if not hits.height:
        return []
    words = f" ({kinds[0].replace('_', ' ')})" if kinds else ""
    return [
        Figure(
            f"Strongest pairs{words}",
            "Effect of each of the strongest pairs with its confidence interval.",
            lambda ax: plot.forest(
                _pair_names(hits), hits["effect"], hits["ci_low"], hits["ci_high"], ax=ax
            ),
            data=hits,
            size=(8.4, 1.0 + 0.27 * hits.height),
        )
    ]


def _link_graph(tested: pl.DataFrame, adjusted: str) -> list[Block]:
    hits = tested.filter(pl.col(adjusted) <= _LEVEL).head(_LINKS)
    if hits.height < 3 or min(hits["phenotype"].n_unique(), hits["omics"].n_unique()) < 2:
        return []
    strength = -(hits["effect"].sign() * hits["log10p"]).to_numpy()
    names = hits["phenotype"].to_list()
    rows = max(hits["phenotype"].n_unique(), hits["omics"].n_unique())
    return [
        Figure(
            "Links between images and molecules",
            f"The {hits.height} strongest pairs as lines between image phenotypes and molecular "
            "features; width is the evidence, colour the sign of the effect.",
            lambda ax: plot.link_graph(
                plot.short_names(names), hits["omics"].to_list(), strength, ax=ax
            ),
            data=hits,
            size=(9.2, 1.6 + 0.2 * rows),
        )
    ]


def _circle(result: Result, adjusted: str) -> list[Block]:
    """Return the circle of links where at least three pairs pass."""
    if "circos" not in result.plots or adjusted != "q_bh":
        return []
    rows = top_links(result.table, _frame_of(result, "places"))
    if rows["passed"].sum() < 3:
        return []
    title, alt, size = caption_of("circos")
    return [Figure(title, alt, lambda ax: result.plot("circos", ax=ax), data=rows, size=size)]


def _manhattans(result: Result, tested: pl.DataFrame, traits: list[str]) -> list[Block]:
    """Return a Manhattan plot a trait, or one of many traits."""
    from radgen.associate.genomewide.levels import CANDIDATES, level_of

    together = len(traits) > _TRAITS_APART
    level = level_of(result.params.get("n_variants", CANDIDATES), 1)
    line = f"the dashed line is p = {level:.2g}".replace("e-0", "e-")
    blocks: list[Block] = []
    for trait in [None] if together else traits:
        part = tested if trait is None else tested.filter(pl.col("phenotype") == trait)
        if not part.height:
            continue
        blocks.append(
            Figure(
                f"Manhattan plot of {len(traits)} traits"
                if together
                else f"Manhattan plot: {trait}",
                f"Evidence of {part['id'].n_unique():,} variants along the genome"
                f"{', a colour a trait' if together else ''}; {line}.",
                partial(
                    _draw,
                    result,
                    "manhattan",
                    traits=None if trait is None else [trait],
                    threshold=level,
                ),
                data=part,
                size=(9.2, 4.2 if together else 3.4),
            )
        )
    return blocks


def _draw(result: Result, kind: str, ax: Any, **options: Any) -> Any:
    from radgen.associate.genomewide.plot import draw, takes

    places = _frame_of(result, "places")
    if places.height and takes(kind, "genes"):
        options = {"genes": places} | options
    counts, summary = _frame_of(result, "qq"), _frame_of(result, "summary")
    known = {"phenotype", "lambda_gc"} <= set(summary.columns)
    return draw(
        kind, result.frame, ax=ax, options=options, qq_counts=counts,
        summary=summary if known else None,
    )  # fmt: skip


def _regions(result: Result, tested: pl.DataFrame) -> list[Block]:
    """Return regional plots of the strongest leads that have neighbours, in linkage colours."""
    blocks: list[Block] = []
    linkage = _frame_of(result, "linkage")
    if not linkage.height:
        return blocks
    for lead in linkage["lead"].unique(maintain_order=True).to_list():
        row = tested.filter(pl.col("id") == lead).sort("log10p").row(0, named=True)
        near = tested.filter(
            (pl.col("phenotype") == row["phenotype"])
            & (pl.col("chrom") == row["chrom"])
            & ((pl.col("pos") - row["pos"]).abs() <= _NEAR_BP)
        )
        if near.height < _NEIGHBOURS:
            continue
        blocks.append(
            Figure(
                f"Around {lead}: {row['phenotype']}",
                f"Evidence of {near.height:,} variants around {lead}, coloured by linkage (r²).",
                partial(_draw, result, "regional", lead=lead, trait=row["phenotype"],
                        linkage=linkage),
                data=near.join(linkage.filter(pl.col("lead") == lead).drop("lead"), on="id",
                               how="left"),
                size=(9.2, 3.8),
            )
        )  # fmt: skip
        if len(blocks) == _REGIONS:
            break
    return blocks


def _quantiles(result: Result, counts: pl.DataFrame, summary: pl.DataFrame) -> list[Block]:
    """Return QQ plots of up to two traits side by side, or of all traits on one."""
    traits = counts["phenotype"].unique(maintain_order=True).to_list()
    if len(traits) <= _QQ_APART:
        return [Row(tuple(_trait_qq(counts, summary, name) for name in traits))]
    text = "Observed against expected p-values of all tests with a 95 % band under the null"
    figure = Figure(
        f"QQ plot of {min(len(traits), _QQ_TOGETHER)} traits", f"{text}, a colour a trait.",
        partial(_draw, result, "qq", traits=traits[:_QQ_TOGETHER]), data=counts, size=(6.4, 4.6),
    )  # fmt: skip
    return [figure]


def _trait_qq(counts: pl.DataFrame, summary: pl.DataFrame, trait: str) -> Figure:
    part = counts.filter(pl.col("phenotype") == trait)
    given: float | None = None
    if {"phenotype", "lambda_gc"} <= set(summary.columns):
        found = summary.filter(pl.col("phenotype") == trait)["lambda_gc"].drop_nulls().to_list()
        given = float(found[0]) if found else None
    return Figure(
        f"QQ plot: {trait}",
        "Observed against expected p-values of all tests with a 95 % band under the null.",
        lambda ax: plot.qq(
            part["log10p"].to_numpy(), counts=part["count"].to_numpy(), lambda_gc=given, ax=ax
        ),
        data=part,
    )


RENDERERS.add("association", render_association)
RENDERERS.add("gwas", render_gwas)
