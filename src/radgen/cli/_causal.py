"""What the commands about causes share: files in, functions called, tables and pictures out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from radgen.io.sample_table import read_sample_table
from radgen.io.scan_tables import read_scan

if TYPE_CHECKING:
    from radgen.types import Result

__all__ = ["run_coloc", "run_mediation", "run_mr", "write_folder"]


def run_mr(exposure: Path, outcome: Path, out: Path, **given: Any) -> None:
    """Do what ``radgen mr`` asks for: tables, pictures of the strongest pair, report."""
    from radgen.associate import mendelian
    from radgen.cli._genetics import opened, parted

    for name in ("exposures", "outcomes", "methods"):
        given[name] = parted(given[name])
    if given["methods"] is None:
        del given["methods"]
    if given["instruments"] is not None:
        given["instruments"] = given["instruments"].read_text("utf-8").split()
    if given["genotypes"] is not None:
        given["genotypes"] = opened(given["genotypes"])
    found = mendelian(read_scan(exposure), read_scan(outcome), **given)
    tables = {"estimates": found.frame, "pairs": found.pairs, "variants": found.variants}
    write_folder(found, out, tables, "Mendelian randomisation")


def run_coloc(first: Path, second: Path, out: Path, *, kinds: str, sds: str, **given: Any) -> None:
    """Do what ``radgen coloc`` asks for: tables, pictures of the likeliest region, report.

    Raises
    ------
    InputError
        If not two kinds, or not two standard deviations are named.
    """
    from radgen.associate import colocalise
    from radgen.cli._genetics import parted
    from radgen.errors import InputError

    both = parted(kinds) or []
    if len(both) != 2:
        raise InputError(f"--kinds is {kinds!r}; needed are two, as in quantitative,case_control.")
    try:
        widths = [float(item) for item in parted(sds) or []] or [None, None]
    except ValueError as error:
        raise InputError(f"--sds is {sds!r}; needed are two numbers, as in 1,1.") from error
    if len(widths) != 2:
        raise InputError(f"--sds is {sds!r}; needed are two numbers, as in 1,1.")
    for name in ("firsts", "seconds"):
        given[name] = parted(given[name])
    found = colocalise(
        read_scan(first), read_scan(second), kinds=tuple(both), sds=tuple(widths),
        **given,
    )  # fmt: skip
    write_folder(found, out, {"regions": found.frame, "variants": found.variants}, "Colocalisation")


def run_mediation(
    exposures: Path,
    mediators: Path,
    outcomes: Path,
    out: Path,
    *,
    target: str,
    event: str | None,
    positive: str | None,
    covariates: Path | None,
    bootstrap: int,
    permutations: int,
    **given: Any,
) -> None:
    """Do what ``radgen mediate`` asks for: the paths, pictures, report."""
    from radgen.associate import mediate
    from radgen.cli._genetics import optional_table
    from radgen.predict.inputs import read_inputs

    outcome = read_inputs(
        outcomes, target, event=event, positive=positive, predictors=False
    ).outcome
    found = mediate(
        read_sample_table(exposures), read_sample_table(mediators), outcome,
        optional_table(covariates), n_bootstrap=bootstrap, n_permutations=permutations, **given,
    )  # fmt: skip
    write_folder(found, out, {"paths": found.frame}, "Mediation")


def write_folder(result: Result, out: Path, tables: dict[str, Any], question: str) -> None:
    """Write tables, pictures and the report of a result into a folder, and say what it found."""
    from radgen._core.files import atomic_path
    from radgen.cli._genetics import write_table
    from radgen.report import ReportInput, Section, write_report

    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_table(table, out / f"{name}.tsv")
    for kind in result.plots:
        axes = result.plot(kind)
        axes.figure.patch.set_alpha(1.0)
        axes.figure.patch.set_facecolor("white")
        with atomic_path(out / f"{kind}.png") as path:
            axes.figure.savefig(path, dpi=200, format="png")
    section = Section(question, (result,), result.methods())
    write_report(
        ReportInput(question, sections=(section,), provenance=dict(result.params)),
        out / "report.html",
    )
    for line in (*result.warnings, *result.findings(), f"Report: {out / 'report.html'}"):
        typer.echo(line)
