"""Associations without a study file: scan, lock and replicate, from tables to a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.digest import digest_file
from radgen._core.files import atomic_path, write_bytes
from radgen.associate import (
    AssociationResult,
    EvidenceResult,
    Hypotheses,
    ReplicationResult,
    ScanInputs,
    evidence,
    lock,
    replicate,
    scan,
)
from radgen.errors import InputError
from radgen.report import ReportInput, Section, write_report
from radgen.study.provenance import environment
from radgen.types import Result

__all__ = ["AssociationRun", "associate_inputs", "replicate_inputs", "write_result"]

_LISTED = 10_000
_TESTED = ("test", "transform", "standardise", "min_n", "min_group", "jobs")


@dataclass(frozen=True, eq=False)
class AssociationRun:
    """What a scan or a replication left behind.

    Attributes
    ----------
    result : AssociationResult or ReplicationResult
        The numbers.
    pairs : Path
        Table of all pairs, or of all hypotheses (Parquet).
    report : Path
        The report.
    hypotheses : Path or None
        What was locked for a second cohort; None for a replication.
    n_locked : int
        How many hypotheses that are.
    notes : tuple of str
        What a reader must know.
    evidence : EvidenceResult or None
        Genes over all layers, where asked for.
    """

    result: AssociationResult | ReplicationResult
    pairs: Path
    report: Path
    hypotheses: Path | None = None
    n_locked: int = 0
    notes: tuple[str, ...] = ()
    evidence: EvidenceResult | None = None


def associate_inputs(
    inputs: ScanInputs,
    out: Path,
    *,
    files: Mapping[str, Path],
    lock_by: str = "q_bh",
    level: float = 0.05,
    at_most: int | None = None,
    combine: str = "",
    genes: pl.DataFrame | None = None,
    **options: Any,
) -> AssociationRun:
    """Test all pairs, write them and a report, and lock what was found.

    Parameters
    ----------
    inputs : ScanInputs
        From `radgen.associate.read_scan_inputs`.
    out : Path
        Folder of ``pairs.parquet``, ``hypotheses.json`` and ``report.html``.
    files : mapping of str to Path
        Input files, for the provenance.
    lock_by, level, at_most
        As `radgen.associate.lock` takes them.
    combine : str, default ""
        Where not "", genes are combined over layers by this method of `radgen.associate.evidence`
        in ``evidence.parquet``.
    genes : polars.DataFrame or None
        Places of genes as from `radgen.io.read_genes`, for the circle of links.
    **options
        As `radgen.associate.scan` takes them.

    Returns
    -------
    AssociationRun
        The result, and where things lie.

    Raises
    ------
    InputError, AlignmentError
        As `radgen.associate.scan`.
    """
    if combine and (inputs.by or inputs.clusters or options.get("modifier")):
        raise InputError("Layers are combined for whole cohorts of patients, not with strata, "
                         "lesions or a modifier.")  # fmt: skip
    pairs = out / "pairs.parquet"
    streamed = not options.get("permutations")
    result = scan(
        inputs.phenotypes,
        inputs.layers,
        inputs.covariates,
        phenotype_types=inputs.types,
        by=inputs.by,
        clusters=inputs.clusters,
        out=pairs if streamed else None,
        listed=_LISTED,
        **options,
    )
    if genes is not None:
        result = replace(result, places=genes.filter(pl.col("name").is_in(result.frame["omics"])))
    if not streamed:
        with atomic_path(pairs) as path:
            result.frame.write_parquet(path)
    found = lock(result, by=lock_by, level=level, at_most=at_most)
    found.save(out / "hypotheses.json")
    notes = (*inputs.notes, *result.warnings)
    question = "Which image phenotypes go with which molecular features?"
    across = None
    if combine:
        across = evidence(
            inputs.phenotypes, inputs.layers, inputs.covariates, method=combine,
            phenotype_types=inputs.types,
            **{key: options[key] for key in _TESTED if key in options},
        )  # fmt: skip
        with atomic_path(out / "evidence.parquet") as path:
            across.frame.write_parquet(path)
    results = (result,) if across is None else (result, across)
    report = _write("Associations", question, results, out, notes, files)
    place = out / "hypotheses.json"
    return AssociationRun(result, pairs, report, place, len(found), notes, across)


def replicate_inputs(
    hypotheses: Path, inputs: ScanInputs, out: Path, *, files: Mapping[str, Path], **options: Any
) -> AssociationRun:
    """Test locked hypotheses in another cohort, and write table and report.

    Parameters
    ----------
    hypotheses : Path
        Written by `associate_inputs`.
    inputs : ScanInputs
        The second cohort.
    out : Path
        Folder of ``replication.parquet`` and ``report.html``.
    files : mapping of str to Path
        Input files, for the provenance.
    **options
        As `radgen.associate.replicate` takes them.

    Returns
    -------
    AssociationRun
        The result, and where things lie.

    Raises
    ------
    InputError, AlignmentError, FormatError
        As `radgen.associate.replicate`.
    """
    result = replicate(
        Hypotheses.load(hypotheses),
        inputs.phenotypes,
        inputs.layers,
        inputs.covariates,
        by=inputs.by,
        clusters=inputs.clusters,
        **options,
    )
    table = out / "replication.parquet"
    with atomic_path(table) as path:
        result.frame.write_parquet(path)
    notes = (*inputs.notes, *result.warnings)
    question = "Do the locked findings hold in another cohort?"
    report = _write("Replication", question, (result,), out, notes, files)
    return AssociationRun(result, table, report, notes=notes)


def write_result(  # noqa: PLR0917
    name: str,
    question: str,
    result: Result,
    out: Path,
    notes: tuple[str, ...],
    files: Mapping[str, Path],
) -> Path:
    """Write all tables of a result and its report into a folder.

    Parameters
    ----------
    name, question : str
        Heading of the report, and what was asked.
    result : Result
        What came out.
    out : Path
        The folder.
    notes : tuple of str
        What a reader must know.
    files : mapping of str to Path
        Input files, for the provenance.

    Returns
    -------
    Path
        The report.
    """
    for key, frame in result.encode()[0].items():
        if frame.width:
            stem = result.kind if key == "frame" else f"{result.kind}-{key}"
            write_bytes(out / f"{stem}.csv", frame.write_csv().encode())
    return _write(name, question, (result,), out, notes, files)


def _write(  # noqa: PLR0917
    name: str,
    question: str,
    results: tuple[Result, ...],
    out: Path,
    notes: tuple[str, ...],
    files: Mapping[str, Path],
) -> Path:
    report = ReportInput(
        study=name,
        question=question,
        sections=(Section(name, results, " ".join(item.methods() for item in results)),),
        limitations=notes,
        provenance={
            "inputs": {key: digest_file(path) for key, path in files.items()},
            "settings": dict(results[0].params),
            "environment": environment(),
        },
    )
    return write_report(report, out / "report.html")
