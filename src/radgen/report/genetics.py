"""Sections of genetics: scans, sets of variants, maps over the brain, causes."""

from __future__ import annotations

import polars as pl

from radgen.report.blocks import Block, Table
from radgen.report.sections import RENDERERS, figures, opening, side_by_side
from radgen.types import Result

__all__ = ["render_causes", "render_map", "render_scan", "render_sets", "render_tree"]

_LISTED = 2_000


def render_scan(result: Result) -> tuple[Block, ...]:
    """Return findings, the plots that fit the number of traits, and the strongest tests."""
    frame = result.frame
    several = "phenotype" in frame.columns and frame["phenotype"].n_unique() > 1
    kinds = [kind for kind in ("manhattan", "qq") if kind in result.plots]
    if several and "heatmap" in result.plots:
        kinds.append("heatmap")
    elif "forest" in result.plots:
        kinds.append("forest")
    drawn = frame.height > 0 and _known(frame)
    blocks: list[Block] = opening(result)
    blocks += side_by_side(figures(result, kinds)) if drawn else []
    for name, caption in (("summary", "Traits"), ("null", "Calibration on shuffled genotypes")):
        table = getattr(result, name, None)
        if isinstance(table, pl.DataFrame) and table.height:
            blocks.append(Table(caption, table))
    order = "log10p" if "log10p" in frame.columns else "p"
    strong = frame.sort(order, nulls_last=True).head(_LISTED)
    blocks.append(Table(_counted("Tests, the smallest p first", frame.height), strong))
    return (*blocks, *_dropped(result))


def _known(frame: pl.DataFrame) -> bool:
    name = "log10p" if "log10p" in frame.columns else "p"
    return bool(frame[name].is_finite().any())


def render_sets(result: Result) -> tuple[Block, ...]:
    """Return findings, plots and all sets, the smallest p first."""
    frame = result.frame.sort("p_acato", nulls_last=True)
    drawn = frame["p_acato"].drop_nulls().len() > 0
    blocks: list[Block] = opening(result)
    blocks += side_by_side(figures(result)) if drawn else []
    blocks.append(Table("Sets of variants, the smallest p first", frame))
    return (*blocks, *_dropped(result))


def render_tree(result: Result) -> tuple[Block, ...]:
    """Return findings, the variants, regions and tests that were selected."""
    blocks: list[Block] = opening(result)
    for name, caption in (("variants", "Variants"), ("regions", "Regions of selected variants")):
        table = getattr(result, name, pl.DataFrame())
        if table.height:
            blocks.append(Table(caption, table.head(_LISTED)))
    if result.frame.height:
        blocks.append(Table("Selected tests", result.frame.head(_LISTED)))
    return (*blocks, *_dropped(result))


def render_map(result: Result) -> tuple[Block, ...]:
    """Return findings, the map where it lies on a grid, clusters and peaks."""
    blocks: list[Block] = opening(result)
    on_grid = getattr(result, "space", {}).get("kind") == "grid"
    kinds = [kind for kind in result.plots if on_grid or kind != "map"]
    if "predictors" in getattr(result, "__dict__", {}) and "chrom" not in result.predictors.columns:
        kinds = [kind for kind in kinds if kind != "manhattan"]
    blocks += side_by_side(figures(result, kinds))
    tables = (("clusters", "Clusters"), ("predictors", "Predictors"), ("peaks", "Peaks"))
    for name, caption in tables:
        table = getattr(result, name, pl.DataFrame())
        if table.height:
            blocks.append(Table(_counted(caption, table.height), table.head(_LISTED)))
    return (*blocks, *_dropped(result))


def render_causes(result: Result) -> tuple[Block, ...]:
    """Return findings, the pictures of the strongest pair, estimates, pairs and variants."""
    blocks: list[Block] = opening(result)
    blocks += side_by_side(figures(result))
    blocks.append(Table(_counted("Estimates", result.frame.height), result.frame.head(_LISTED)))
    for name, caption in (("pairs", "Pairs"), ("variants", "Variants"), ("loci", "Loci")):
        table = getattr(result, name, pl.DataFrame())
        if table.height:
            blocks.append(Table(_counted(caption, table.height), table.head(_LISTED)))
    return (*blocks, *_dropped(result))


def _counted(caption: str, height: int) -> str:
    return caption if height <= _LISTED else f"{caption} ({_LISTED:,} of {height:,})"


def _dropped(result: Result) -> list[Block]:
    if not result.dropped.height:
        return []
    return [Table("Samples that this analysis left out, and why", result.dropped)]


for _kind in (
    "gwas_pooled",
    "gwas_meta",
    "gwas_mostest",
    "gwas_omnibus",
    "gwas_aspu",
    "gwas_max_t",
):
    RENDERERS.add(_kind, render_scan)
RENDERERS.add("burden", render_sets)
RENDERERS.add("gwas_hierarchy", render_tree)
for _kind in ("mendelian", "colocalisation", "mediation"):
    RENDERERS.add(_kind, render_causes)
for _kind in ("voxelwise", "voxel_test", "lesion_map", "lesion_atlas"):
    RENDERERS.add(_kind, render_map)
