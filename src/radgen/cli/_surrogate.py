"""What ``radgen surrogate`` does: files in, functions called, words out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from radgen.cli._genetics import parted
from radgen.errors import InputError

__all__ = ["surrogate"]

_OPTIONS = ("within", "by_cohort", "unpredictable", "permutations", "bootstraps", "seed")


def surrogate(given: Mapping[str, Any]) -> None:
    """Do what ``radgen surrogate`` asks for and print the findings."""
    from radgen.associate import LayerFile, read_scan_inputs
    from radgen.associate import surrogate as learned
    from radgen.io import IdRule
    from radgen.study.associations import write_result

    rule = IdRule(first=given["id_first"]) if given["id_first"] else None
    own = LayerFile.parse(given["predictors"])
    paired = read_scan_inputs(
        given["traits"], [own], traits=parted(given["which"]) or (), id_name=given["id_"],
        id_rule=rule, tcga=given["tcga"],
    )  # fmt: skip
    files = {path.name: path for path in (given["traits"], own.path)}
    second = _second(given, rule, files)
    options = {name: given[name] for name in _OPTIONS}
    result = learned(paired.layers[0], paired.phenotypes, *second, **options)
    question = "Which image traits do genes tell, and are these prognostic without images?"
    notes = (*paired.notes, *result.warnings)
    report = write_result("Surrogates", question, result, given["out"], notes, files)
    for line in (*notes, *result.findings(), f"Report: {report}"):
        typer.echo(line)


def _second(given: Mapping[str, Any], rule: Any, files: dict[str, Path]) -> tuple[Any, ...]:
    """Return predictors, survival and covariates of the second cohort, or nothing."""
    from radgen.associate import LayerFile, read_covariates, read_layer_file
    from radgen.predict import read_inputs

    wanted = {name: given[name] for name in ("carry", "outcomes", "time", "event")}
    lacking = [f"--{name}" for name, value in wanted.items() if not value]
    if len(lacking) == len(wanted) and not given["adjust"]:
        return ()
    if lacking:
        raise InputError(f"A second cohort needs {', '.join(lacking)} too.")
    outcome = read_inputs(
        given["outcomes"], given["time"], event=given["event"], id_name=given["id_"],
        predictors=False,
    ).outcome  # fmt: skip
    item = LayerFile.parse(given["carry"])
    table = read_layer_file(item, outcome.samples, id_rule=rule, tcga=given["tcga"])
    names = parted(given["adjust"]) or []
    covariates = None
    if names:
        covariates = read_covariates(given["outcomes"], names, id_name=given["id_"])
    files |= {given["outcomes"].name: given["outcomes"], item.path.name: item.path}
    return table, outcome, covariates
