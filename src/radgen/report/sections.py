"""From a result to blocks: a registry of renderers by `Result.kind`, with a general one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from radgen._core.registry import Registry
from radgen.report.blocks import Block, Figure, Notes, Row, Table
from radgen.report.captions import caption_of
from radgen.types import Result

__all__ = ["RENDERERS", "Renderer", "figures", "render", "render_result"]

Renderer = Callable[[Result], tuple[Block, ...]]
"""A function that turns one result into blocks."""

RENDERERS: Registry[Renderer] = Registry("section renderer", entry_point_group="radgen.renderers")

_WIDE_IN = 6.0


def render(result: Result) -> tuple[Block, ...]:
    """Return the blocks of one result: findings, warnings, figures, tables.

    Parameters
    ----------
    result : Result
        Drawn by the renderer registered for its `kind`, else by `render_result`.

    Returns
    -------
    tuple of Block
        In reading order.
    """
    renderer = RENDERERS.get(result.kind) if result.kind in RENDERERS else render_result
    return renderer(result)


def render_result(result: Result) -> tuple[Block, ...]:
    """Return the blocks of any result: statements, warnings, all plots, the main table."""
    blocks: list[Block] = [*opening(result), *side_by_side(figures(result))]
    blocks += closing(result)
    return tuple(blocks)


def opening(result: Result) -> list[Block]:
    """Return the findings and the warnings of a result."""
    blocks: list[Block] = []
    if findings := result.findings():
        blocks.append(Notes(findings, tone="finding", title="Findings"))
    if result.warnings:
        blocks.append(Notes(tuple(result.warnings), tone="warning", title="Read with care"))
    return blocks


def closing(result: Result, caption: str = "All results") -> list[Block]:
    """Return the main table and the table of dropped samples of a result."""
    blocks: list[Block] = []
    if result.frame.height:
        blocks.append(Table(f"{caption} ({result.n_used:,} samples used)", result.table))
    if result.dropped.height:
        blocks.append(Table("Samples that this analysis left out, and why", result.dropped))
    return blocks


def figures(result: Result, kinds: Sequence[str] | None = None) -> list[Figure]:
    """Return a figure for each plot that a result can draw, or for some `kinds` of them."""
    found = []
    data = result.table
    for kind in result.plots if kinds is None else kinds:
        title, alt, size = caption_of(kind)
        found.append(Figure(title, alt, _drawer(result, kind), data=data, size=size))
    return found


def side_by_side(pictures: list[Figure]) -> list[Block]:
    """Return narrow figures in rows and wide ones alone, order kept."""
    blocks: list[Block] = []
    narrow: list[Figure] = []
    for picture in pictures:
        if picture.size[0] <= _WIDE_IN:
            narrow.append(picture)
            continue
        if narrow:
            blocks.append(Row(tuple(narrow)))
            narrow = []
        blocks.append(picture)
    if narrow:
        blocks.append(Row(tuple(narrow)))
    return blocks


def _drawer(result: Result, kind: str) -> Callable[[object], object]:
    return lambda ax: result.plot(kind, ax=ax)
