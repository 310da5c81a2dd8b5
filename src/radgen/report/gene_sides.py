"""Sections of gene modules, gene sets, masking, surrogates and signatures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import polars as pl

from radgen.report.blocks import Block, Figure, Table
from radgen.report.captions import caption_of
from radgen.report.sections import RENDERERS, figures, opening, side_by_side
from radgen.types import Result

__all__ = ["render_gene_side"]

_TREES = 4

_MAIN: Mapping[str, tuple[str, str]] = {
    "module_map": ("All pairs of module and phenotype, smallest p first", "log10p"),
    "module_tree": ("Nodes of all trees", ""),
    "enrichment": ("All pairs of gene set and phenotype, smallest p first", "log10p"),
    "gene_masking": ("What each gene set alone predicts, smallest p first", "p"),
    "surrogate": ("All traits: held-out prediction, and hazard where carried", "log10p"),
    "signature": ("How the score does", ""),
    "module_preservation": ("Modules in the other cohort", ""),
}
_SIDE: Mapping[str, Mapping[str, str]] = {
    "module_map": {"modules": "The modules", "genes": "Genes and the module they belong to"},
    "module_tree": {"modules": "All modules: first split, and trees judged on unseen samples"},
    "surrogate": {"predictions": "Predicted traits of the second cohort"},
    "signature": {"scores": "Score of each sample"},
}


def render_gene_side(result: Result) -> tuple[Block, ...]:
    """Return findings, figures, side tables and all rows, the smallest p first."""
    blocks: list[Block] = opening(result)
    known = result.frame.height and any(
        result.frame[name].is_not_null().any()
        for name in ("log10p", "z", "estimate", "held_out", "score")
        if name in result.frame.columns
    )
    if result.kind == "module_tree":
        blocks += _trees(result)
    elif known:
        blocks += side_by_side(figures(result, _drawable(result)))
    caption, order = _MAIN[result.kind]
    frame = result.table
    if order:
        frame = frame.sort(order, nulls_last=True, maintain_order=True)
    shown = [name for name in frame.columns if frame[name].is_not_null().any()]
    blocks.append(Table(f"{caption} ({result.n_used:,} samples)", frame.select(shown)))
    for name, words in _SIDE.get(result.kind, {}).items():
        side = getattr(result, name, None)
        if isinstance(side, pl.DataFrame) and side.height:
            blocks.append(Table(words, side))
    if result.dropped.height:
        blocks.append(Table("Samples that this analysis left out, and why", result.dropped))
    return tuple(blocks)


def _trees(result: Any) -> list[Block]:
    """Return the pictures of the best trees."""
    title, alt, size = caption_of("module_tree")
    names = [name for name in result.grown() if name in set(result.expression["module"])]
    return [
        Figure(
            f"{title}: {name}",
            alt,
            partial(_draw_tree, result, name),
            data=result.expression.filter(pl.col("module") == name),
            size=size,
        )
        for name in names[:_TREES]
    ]


def _draw_tree(result: Any, name: str, ax: Any) -> Any:
    return result.plot("module_tree", ax=ax, module=name)


def _drawable(result: Result) -> list[str]:
    """Return the plots that have something to show."""
    if result.kind != "surrogate" or result.frame["log10p"].is_not_null().any():
        return list(result.plots)
    return [kind for kind in result.plots if kind == "held_out"]


for _kind in _MAIN:
    RENDERERS.add(_kind, render_gene_side)
