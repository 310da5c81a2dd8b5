"""The building blocks of a report: prose, notes, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

__all__ = ["Block", "Figure", "Notes", "Prose", "Row", "Table"]


@dataclass(frozen=True, eq=False, slots=True)
class Prose:
    """Plain paragraphs.

    Attributes
    ----------
    text : str
        Plain text; an empty line starts a new paragraph. Markup is shown as it is typed.
    title : str
        An optional heading.
    """

    text: str
    title: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Notes:
    """A short list of sentences.

    Attributes
    ----------
    items : tuple of str
        One sentence each.
    tone : {"finding", "warning", "plain"}
        How the list is marked.
    title : str
        An optional heading.
    """

    items: tuple[str, ...]
    tone: Literal["finding", "warning", "plain"] = "plain"
    title: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A table that the reader can sort, search and download.

    Attributes
    ----------
    caption : str
        What the table shows.
    frame : polars.DataFrame
        Rows in the order first shown.
    labels : mapping of str to str
        Column headings that differ from the column names.
    """

    caption: str
    frame: pl.DataFrame
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class Figure:
    """A picture drawn by a function when the report is written.

    Attributes
    ----------
    title : str
        A short heading.
    alt : str
        What can be seen, for readers who cannot see it.
    draw : callable
        ``draw(ax)`` draws on matplotlib Axes.
    data : polars.DataFrame or None
        The numbers behind the picture.
    size : tuple of float
        Width and height in inches; wider than 6 in fills the full width of the page.
    caption : str
        A line below the picture.
    """

    title: str
    alt: str
    draw: Callable[[Any], Any]
    data: pl.DataFrame | None = None
    size: tuple[float, float] = (4.6, 3.7)
    caption: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """Blocks that stand side by side where the page is wide enough."""

    blocks: tuple[Figure, ...]


Block = Prose | Notes | Table | Figure | Row
