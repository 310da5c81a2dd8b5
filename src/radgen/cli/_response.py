"""What the commands about response to treatment do: files in, words out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

__all__ = ["assess", "change"]


def assess(given: Mapping[str, Any]) -> None:
    """Do what ``radgen response`` asks for, print the findings and write tables and report."""
    from radgen.cli._genetics import write_table
    from radgen.errors import InputError
    from radgen.io.lesion_tables import read_lesion_visits
    from radgen.phenotype.response import assess_by
    from radgen.report import ReportInput, Section, write_report

    sources = [name for name in ("lesions", "masks", "sdtm_tr") if given[name] is not None]
    if len(sources) != 1:
        raise InputError("Give a table of lesions, or --masks, or --sdtm-tr.")
    table = _lesions(given, sources[0])
    visits = given["visits"]
    found = assess_by(
        given["criteria"], table, None if visits is None else read_lesion_visits(visits),
        confirm=False if given["unconfirmed"] else None, stable_days=given["stable_days"],
        volumes=given["volumes"], unsure_days=given["unsure_days"],
        radiotherapy_day=given["radiotherapy_day"], confirmation=given["confirmation"],
    )  # fmt: skip
    out = given["out"]
    write_table(found.table, out / "patients.csv")
    write_table(found.visits, out / "visits.csv")
    report = ReportInput(study="Response to treatment", sections=(Section("Response", (found,)),))
    write_report(report, out / "report.html")
    for line in (*found.warnings, *found.findings(), f"Report: {out / 'report.html'}"):
        typer.echo(line)


def _lesions(given: Mapping[str, Any], source: str) -> Any:
    from radgen.cli._genetics import write_table
    from radgen.io import lesion_tables as tables
    from radgen.phenotype.response import measure_lesions

    if source == "lesions":
        return tables.read_lesions(given["lesions"])
    if source == "sdtm_tr":
        return tables.read_sdtm_lesions(
            given["sdtm_tr"], given["sdtm_tu"], evaluator=given["evaluator"]
        )
    labels = given["labels"]
    measured = measure_lesions(
        tables.read_lesion_scans(given["masks"]),
        None if labels is None else tables.read_lesion_labels(labels),
        plane=given["plane"],
        folder=given["masks"].parent,
    )
    for line in measured.notes:
        typer.echo(line)
    write_table(measured.table, given["out"] / "lesions.csv")
    typer.echo(f"Measured: {given['out'] / 'lesions.csv'}")
    return measured.table


def change(given: Mapping[str, Any]) -> None:
    """Do what ``radgen change`` asks for, print the findings and write the tables."""
    from radgen.cli._genetics import write_table
    from radgen.errors import InputError
    from radgen.io.feature_tables import read_feature_table
    from radgen.phenotype import measure_repeatability
    from radgen.phenotype.response import phenotype_change, real_change

    read = {
        name: read_feature_table(given[name], id_column=given["id_"])
        for name in ("before", "after", "test", "retest")
        if given[name] is not None
    }
    if ("test" in read) != ("retest" in read):
        raise InputError("Give --test and --retest, or neither.")
    found = phenotype_change(read["before"], read["after"], how=given["how"])
    write_table(found.to_frame(), given["out"])
    blank = found.status.height
    typer.echo(
        f"{len(found.names)} changes of {len(found.samples)} samples, {blank} of them undefined: "
        f"{given['out']}"
    )
    if "test" not in read:
        return
    repeats = measure_repeatability({"test": read["test"], "retest": read["retest"]})
    table = real_change(read["before"], read["after"], repeats)
    place = given["out"].with_name(f"{given['out'].stem}-real{given['out'].suffix}")
    write_table(table, place)
    known = table.filter(table["verdict"] != "unknown")
    real = known.filter(known["verdict"] != "within error").height
    typer.echo(
        f"{real} of {known.height} changes are larger than error, the limit that 5 % of two scans "
        f"of an unchanged patient exceed: {place}"
    )
