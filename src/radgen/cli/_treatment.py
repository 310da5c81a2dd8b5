"""What ``radgen treatment`` does: tables in, effects and rule out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import typer

__all__ = ["run"]


def run(given: Mapping[str, Any]) -> None:
    """Do what ``radgen treatment`` asks for, print the findings, write tables and report."""
    from radgen.cli._genetics import parted, write_table
    from radgen.cli._models import column_of
    from radgen.errors import InputError
    from radgen.predict import read_inputs, treatment_effects
    from radgen.report import ReportInput, Section, write_report

    clinical = parted(given["clinical"]) or []
    arm = column_of(given["outcomes"], given["arm"], given["id_"]) or {}
    more = {key: given[key] for key in ("positive", "event", "unit")} | {"id_name": given["id_"]}
    features, genomic = given["features"] or [], given["genomic"] or []
    if not (clinical or features or genomic):
        raise InputError("Name markers: --clinical, --features or --genomic.")
    beside = (parted(given["adjust"]) or []) + (parted(given["confounders"]) or [])
    inputs = read_inputs(
        given["outcomes"], given["target"], features=features, genomic=genomic, clinical=clinical,
        exclude=[given["arm"], *beside], **more,
    )  # fmt: skip
    arm = {sample: arm[sample] for sample in inputs.outcome.samples if arm.get(sample) is not None}
    outcome = _with_arm(inputs.outcome, arm)
    found: list[Any] = [
        treatment_effects(
            inputs.blocks, arm, outcome, control=given["control"],
            covariates=_columns(given, parted(given["adjust"]) or [], more),
        )
    ]  # fmt: skip
    if given["rule"]:
        found.append(_rule(given, inputs, outcome, arm, parted(given["confounders"]) or [], more))
    out = given["out"]
    names = ("Prognostic and predictive markers", "Whom to treat")
    sections = [Section(name, (item,), item.methods())
                for name, item in zip(names, found, strict=False)]  # fmt: skip
    for item in found:
        tables, _ = item.encode()
        for name, frame in tables.items():
            if frame.width and name != "dropped":
                stem = item.kind if name == "frame" else f"{item.kind}-{name}"
                write_table(frame, out / f"{stem}.csv")
    lost = len(inputs.outcome.samples) - len(arm)
    notes = [*inputs.notes, *([f"{lost} patients have no arm and are left out."] if lost else [])]
    title = f"Treatment and {inputs.outcome.name}"
    report = ReportInput(study=title, sections=tuple(sections), limitations=tuple(notes))
    write_report(report, out / "report.html")
    for line in (
        *notes,
        *(text for item in found for text in (*item.warnings, *item.findings())),
    ):
        typer.echo(line)
    typer.echo(f"Report: {out / 'report.html'}")


def _with_arm(outcome: Any, arm: Mapping[str, Any]) -> Any:
    from radgen.study.outcomes import some

    return some(outcome, set(arm))


def _columns(given: Mapping[str, Any], names: list[str], more: Mapping[str, Any]) -> Any:
    """Return columns of the outcomes table, or None without names."""
    from radgen.predict import read_inputs

    if not names:
        return None
    found = read_inputs(
        given["outcomes"], given["target"], clinical=names, predictors=False, **more
    )
    frame: pl.DataFrame = found.blocks["clinical"]
    return frame


def _rule(
    given: Mapping[str, Any],
    inputs: Any,
    outcome: Any,
    arm: Mapping[str, Any],
    confounders: list[str],
    more: Mapping[str, Any],
) -> Any:
    from radgen._core.executors import executor
    from radgen.predict import treatment_rule

    with executor(given["jobs"]) as pool:
        return treatment_rule(
            inputs.blocks, arm, outcome, seed=given["seed"], control=given["control"],
            better=given["better"], confounders=_columns(given, confounders, more),
            horizon=given["horizon"], folds=given["folds"], repeats=given["repeats"],
            selection="correlation", executor=pool,
        )  # fmt: skip
