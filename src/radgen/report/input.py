"""What a report is made of: frozen inputs, no file access and no analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from radgen.errors import InputError, shown
from radgen.report.blocks import Block
from radgen.types import PhenotypeTable, Result

__all__ = ["FLOW_COLUMNS", "ReportInput", "Scan", "Section"]

FLOW_COLUMNS = ("step", "n", "dropped", "reason")
"""Columns of `ReportInput.flow`: what was done, how many remain, how many left and why."""


@dataclass(frozen=True, eq=False, slots=True)
class Scan:
    """One scan as the quality-control gallery shows it.

    Attributes
    ----------
    sample : str
        Study id of the sample; never a name or an identifier of the hospital.
    thumbnail : bytes
        A PNG image of three planes with mask outlines (`radgen.report.thumbnail`); empty
        where the scan could not be read.
    status : str
        "ok", "undefined" or "failed".
    reason : str
        Why it is not ok.
    caption : str
        A short line under the picture: modality, spacing, volume of the region.
    map : str
        Name of the voxel map that the picture shows over the scan; "" = the scan itself.
    """

    sample: str
    thumbnail: bytes = b""
    status: str = "ok"
    reason: str = ""
    caption: str = ""
    map: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Section:
    """One chapter of the report.

    Attributes
    ----------
    title : str
        Heading, unique within the report.
    items : tuple of Result or Block
        A result is drawn by the renderer registered for its `kind`; a block as it stands.
    text : str
        A lead paragraph in plain words.
    """

    title: str
    items: tuple[Result | Block, ...] = ()
    text: str = ""

    @property
    def results(self) -> tuple[Result, ...]:
        """The results among the items."""
        return tuple(item for item in self.items if isinstance(item, Result))


@dataclass(frozen=True, eq=False)
class ReportInput:
    """Everything that one report shows.

    Attributes
    ----------
    study : str
        Name of the study.
    question : str
        The question that the study asks, one sentence.
    sections : tuple of Section
        Chapters with results, in reading order.
    flow : polars.DataFrame or None
        Columns ``step`` (text), ``n`` (samples that remain), ``dropped`` (samples lost at
        this step), ``reason`` (why, as text; several reasons on lines of their own).
    scans : tuple of Scan
        Pictures for quality control.
    phenotypes : PhenotypeTable or None
        The phenotype matrix that the analyses used.
    before : PhenotypeTable or None
        The matrix before site harmonisation, to show what harmonisation did.
    samples : polars.DataFrame or None
        A row a sample: ``sample`` and columns to annotate figures with (site, IDH, grade);
        a column ``site`` is used to compare sites.
    facts : mapping of str to str
        What the run knows and the results do not say, by the keys of
        `radgen.catalog.FACTS` ("preprocessing", "segmentation", …): fills the checklists.
    declarations : mapping of str to str
        What only a person can say, by checklist and item: ``{"clear.8": "IRB 12/345"}``.
        A METRICS item is answered by a text that starts with "yes", "no" or "not applicable".
    limitations : tuple of str
        Limits that the run found, as sentences.
    provenance : mapping
        Input digests, parameters, versions, seeds, timings, machine; nested mappings allowed.
    purpose : {"study", "patient"}
        A page of a patient has no methods, checklists and provenance: those are the study's.
    """

    study: str
    question: str = ""
    sections: tuple[Section, ...] = ()
    flow: pl.DataFrame | None = None
    scans: tuple[Scan, ...] = ()
    phenotypes: PhenotypeTable | None = None
    before: PhenotypeTable | None = None
    samples: pl.DataFrame | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    declarations: Mapping[str, str] = field(default_factory=dict)
    limitations: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    purpose: Literal["study", "patient"] = "study"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sections", tuple(self.sections))
        object.__setattr__(self, "scans", tuple(self.scans))
        object.__setattr__(self, "limitations", tuple(self.limitations))
        titles = [section.title for section in self.sections]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise InputError(f"Sections of the same title: {shown(twice)}. Name each once.")
        for what, frame, needed in (
            ("flow", self.flow, FLOW_COLUMNS),
            ("samples", self.samples, ("sample",)),
        ):
            lacking = [] if frame is None else [c for c in needed if c not in frame.columns]
            if lacking:
                raise InputError(
                    f"The {what} table of a report lacks the columns {shown(lacking)}."
                )

    @property
    def results(self) -> tuple[Result, ...]:
        """All results, in reading order."""
        return tuple(result for section in self.sections for result in section.results)
