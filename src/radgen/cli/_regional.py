"""What ``radgen biopsies`` and ``radgen timeline`` do: files in, tables, pictures, report out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from radgen.errors import InputError, shown

if TYPE_CHECKING:
    from radgen.io.biopsies import CoregisteredImages
    from radgen.predict import LocalModel

__all__ = ["judge_biopsies", "write_timeline"]


def judge_biopsies(given: Mapping[str, Any]) -> None:
    """Do what ``radgen biopsies`` asks for."""
    from radgen._core.executors import executor
    from radgen.cli._genetics import write_table
    from radgen.features import LOCAL_SETTINGS, read_settings
    from radgen.io import read_biopsies, read_coregistered
    from radgen.predict import LocalSettings, biopsies
    from radgen.report import ReportInput, Section, write_report

    out, label = given["out"], given["label"]
    scans = read_coregistered(given["images"])
    wanted = _wanted(given, scans)
    how = LocalSettings(
        given["radius"], given["shape"], given["inside"], given["zscore"],
        LOCAL_SETTINGS if given["settings"] is None else read_settings(given["settings"]),
    )  # fmt: skip
    with executor(given["jobs"]) as pool:
        found, model = biopsies(
            read_biopsies(given["table"], frame=given["frame"]), scans, label=label, settings=how,
            confidence=given["confidence"], threshold=given["threshold"],
            permutations=given["permutations"], seed=given["seed"], executor=pool,
        )  # fmt: skip
        write_table(found.table, out / "predictions.csv")
        write_table(found.schemes, out / "schemes.csv")
        write_table(found.features, out / "features.csv")
        if found.dropped.height:
            write_table(found.dropped, out / "left-out.csv")
        for line in (*found.warnings, *found.findings()):
            typer.echo(line)
        _paint(model, wanted, given, pool)
    report = ReportInput(
        study=f"{label} of localised biopsies",
        sections=(Section("Biopsies", (found,), found.methods()),),
    )
    write_report(report, out / "report.html")
    typer.echo(f"Report: {out / 'report.html'}")


def _wanted(
    given: Mapping[str, Any], scans: Mapping[str, CoregisteredImages]
) -> list[CoregisteredImages]:
    """Return whose maps are painted; refuse unknown patients before any work is done."""
    from radgen.io import read_coregistered

    if given["paint_images"] is not None:
        scans = read_coregistered(given["paint_images"])
    if not given["paint"]:
        return list(scans.values()) if given["paint_images"] is not None else []
    if given["paint"].strip().casefold() == "all":
        return list(scans.values())
    names = [name.strip() for name in given["paint"].split(",") if name.strip()]
    unknown = [name for name in names if name not in scans]
    if unknown:
        raise InputError(f"--paint: no images of {shown(unknown)}. Known: {shown(scans)}.")
    return [scans[name] for name in names]


def _paint(
    model: LocalModel, scans: list[CoregisteredImages], given: Mapping[str, Any], pool: Any
) -> None:
    from radgen.predict.regional.painting import paint_sample, write_painted

    folder = given["out"] / "maps"
    for scan in scans:
        maps = paint_sample(model, scan, every=given["every"], executor=pool)
        write_painted(maps, folder, label=given["label"])
        lost = f", {maps.n_undefined} without values" if maps.n_undefined else ""
        typer.echo(f"Map of {scan.sample}: {maps.n_measured} places measured{lost}")
    if scans:
        typer.echo(
            f"Maps: {folder}. A patient whose biopsies trained the model is painted by a model "
            "that knows them."
        )


def write_timeline(given: Mapping[str, Any]) -> None:
    """Do what ``radgen timeline`` asks for."""
    from radgen.associate import timeline
    from radgen.cli._genetics import write_table
    from radgen.cli._output import write_picture
    from radgen.io import read_baselines, read_course
    from radgen.report import ReportInput, Section, write_report

    out = given["out"]
    found = timeline(
        [read_course(path) for path in given["tables"]],
        baselines=None if given["baseline"] is None else read_baselines(given["baseline"]),
    )
    everyone = found.frame["sample"].unique(maintain_order=True).to_list()
    names = [name.strip() for name in given["draw"].split(",") if name.strip()]
    if [name.casefold() for name in names] == ["all"]:
        names = everyone
    unknown = [name for name in names if name not in everyone]
    if unknown:
        raise InputError(f"--draw: nothing is known of {shown(unknown)}. Known: {shown(everyone)}.")
    write_table(found.table, out / "timeline.parquet")
    write_table(found.table, out / "timeline.csv")
    for line in (*found.warnings, *found.findings()):
        typer.echo(line)
    write_picture(found.plot("swimmer"), out / "swimmer.png")
    for name in names:
        stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
        write_picture(found.plot_patient(name), out / f"patient-{stem}.png")
    section = Section("Timeline", (found,), found.methods())
    write_report(ReportInput(study="Courses of patients", sections=(section,)), out / "report.html")
    typer.echo(f"Report: {out / 'report.html'}")
