"""Hand the results of a run to the report."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from radgen.report import Block, Notes, ReportInput, Section, Table, write_report
from radgen.study.alterations import oncoprint_figure
from radgen.study.analyses import Analysed
from radgen.study.context import Context
from radgen.study.facts import facts
from radgen.study.gather import Gathered
from radgen.study.imaging import Imaging
from radgen.study.map_sections import map_section
from radgen.study.matrix import Matrix
from radgen.types import Result

__all__ = ["write_study_report"]

_WORDS = {
    "associate": "associations",
    "evidence": "evidence across layers",
    "modules": "gene modules",
    "tree": "module network",
    "enrich": "enrichment of gene sets",
    "mask": "gene masking",
    "surrogate": "surrogates of image traits",
    "signature": "published signatures",
    "genotypes": "quality control of genotypes",
    "gwas": "genome-wide scan",
    "burden": "sets of rare variants",
    "survival": "survival",
    "response": "response to treatment",
    "treatment": "effects of treatment by marker",
    "predict": "prediction",
    "reliability": "reliability of phenotypes",
    "readers": "effects corrected for the readers' error",
    "environments": "invariance over environments",
}


def write_study_report(
    found: Gathered,
    imaging: Imaging,
    matrix: Matrix,
    analyses: list[Analysed],
    context: Context,
) -> Path:
    """Write ``report.html`` into the output folder and return its path."""
    settings = found.settings
    sections = [_linkage(found, matrix)] if found.losses.lost else []
    mapped = map_section(found, imaging)
    sections += [] if mapped is None else [mapped]
    sections += [_section(item, found, matrix) for item in analyses]
    pipeline = ["measurement of scans" if imaging.long is not None else "import of features"]
    if mapped is not None:
        pipeline.insert(0, "functional maps of series")
    if settings.change is not None:
        pipeline.append("change between two visits")
    if matrix.harmonised is not None:
        pipeline.append("harmonisation")
    pipeline += list(dict.fromkeys(_WORDS[item.section] for item in analyses))
    report = ReportInput(
        study=settings.report.title or settings.study.name,
        question=settings.study.question,
        sections=tuple(sections),
        flow=found.losses.flow(),
        scans=imaging.pictures,
        phenotypes=matrix.harmonised if matrix.harmonised is not None else matrix.raw,
        before=matrix.raw if matrix.harmonised is not None else None,
        samples=_samples(found, matrix),
        facts=facts(found, pipeline=pipeline),
        declarations=dict(settings.report.declarations),
        limitations=tuple(context.limits),
        provenance=context.recorder.as_mapping(finished=True),
    )
    return write_report(report, context.out / "report.html")


def _section(item: Analysed, found: Gathered, matrix: Matrix) -> Section:
    if item.result is None:
        text = " ".join(item.reason.split())
        note = Notes((text,), tone="warning", title="This analysis could not be done")
        return Section(item.name, (note,))
    items: list[Result | Block] = [item.result]
    if item.section == "response" and found.lesions is not None:
        items.append(
            Table(
                "Lesions as they were measured in the masks: diameters in the slice where a lesion "
                "is longest, the slice, and the pieces that were added.",
                found.lesions,
            )
        )
    layer = _layer_of(item, found)
    if layer is not None:
        picture = oncoprint_figure(found, matrix, layer, item.result)
        items += [] if picture is None else [picture]
    return Section(item.name, tuple(items), item.result.methods())


def _layer_of(item: Analysed, found: Gathered) -> str | None:
    """Return the molecular layer of an [[associate]] analysis."""
    if item.section != "associate":
        return None
    return next((own.layer for own in found.settings.associate if own.name == item.name), None)


def _linkage(found: Gathered, matrix: Matrix) -> Section:
    items = [
        Table(
            "Who was lost at which step, and why.",
            found.losses.table(),
        )
    ]
    compared = found.losses.compare(found.sheet.frame, matrix.raw.samples)
    if compared.height:
        items.append(
            Table(
                "How those kept differ from those lost: means or shares, and their difference in "
                "standard deviations.",
                compared,
            )
        )
    return Section("Samples lost", tuple(items))


def _samples(found: Gathered, matrix: Matrix) -> pl.DataFrame:
    wanted = pl.DataFrame({"sample": list(matrix.raw.samples)}, schema={"sample": pl.String})
    frame = found.sheet.frame
    frame = frame.drop([name for name in frame.columns if frame[name].dtype == pl.Date])
    if found.settings.harmonise is not None and "site" not in frame.columns:
        frame = frame.with_columns(pl.col(found.settings.harmonise.batch[0]).alias("site"))
    if "site" in frame.columns:
        frame = frame.with_columns(pl.col("site").cast(pl.String).fill_null("not known"))
    return wanted.join(frame, on="sample", how="left", maintain_order="left")
