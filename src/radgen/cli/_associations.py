"""What the commands about associations share: files in, functions called, words out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import typer

from radgen._core.files import atomic_path, write_bytes

if TYPE_CHECKING:
    from radgen.associate import ScanInputs
    from radgen.study.associations import AssociationRun

__all__ = ["associate", "link", "replicate"]

_NAMES = ("by", "sequenced", "panel", "gene_map", "gene_sets", "counts", "tcga")
_OPTIONS = ("test", "modifier", "transform", "standardise", "permutations", "min_n", "min_group",
            "jobs", "seed", "lock_by", "level", "at_most", "combine")  # fmt: skip
_LISTS = ("adjust", "adjust_phenotypes", "traits", "features", "ordinal", "missing")


def associate(given: Mapping[str, Any]) -> None:
    """Do what ``radgen associate`` asks for and print the findings."""
    from radgen.io import read_genes
    from radgen.study.associations import associate_inputs

    options = {name: given[name] for name in _OPTIONS}
    if given["genes"] is not None:
        options["genes"] = read_genes(given["genes"])
    inputs, files = _read(given)
    run = associate_inputs(inputs, given["out"], files=files, **options)
    _show(run)
    locked = f"{run.n_locked} hypotheses are locked in {run.hypotheses}"
    typer.echo(f"{locked}." if run.n_locked else "Nothing passed, so that no hypothesis is locked.")


def replicate(given: Mapping[str, Any]) -> None:
    """Do what ``radgen replicate`` asks for and print the findings."""
    from radgen.associate import Hypotheses
    from radgen.study.associations import replicate_inputs

    locked = Hypotheses.load(given["hypotheses"])
    wanted = [str(name) for name in locked.params.get("covariates") or ()]
    columns = list(dict.fromkeys(name.partition("=")[0] for name in wanted))
    others = _parted(given["adjust"])
    inputs, files = _read(given, adjust=[] if others == ["none"] else others or columns)
    run = replicate_inputs(
        given["hypotheses"],
        inputs,
        given["out"],
        files=files,
        meta_method=given["meta"],
        other_covariates=bool(others),
    )
    _show(run)


def link(given: Mapping[str, Any]) -> None:
    """Do what ``radgen link`` asks for, write its tables and print how many remain."""
    from radgen.associate import LinkRules
    from radgen.associate import link as linked
    from radgen.cli._ids import rule_of
    from radgen.io import read_records

    names = ("same_lesion", "max_days", "max_mm", "before", "specimens_before", "several_scans",
             "several_specimens")  # fmt: skip
    rules = LinkRules(**{name: given[name] for name in names})
    rule = rule_of(given)
    dates = {"date", rules.before or "date"}

    def table(name: str) -> pl.DataFrame:
        frame, notes = read_records(
            given[name], dates=dates, date_format=given["date_format"], id_rule=rule
        )
        for note in notes:
            typer.echo(note)
        return frame

    people = None if given["patients"] is None else table("patients")
    result = linked(table("scans"), table("specimens"), people, rules=rules)
    out: Path = given["out"]
    for name, frame in (("pairs", result.frame), ("lost", result.lost), ("flow", result.flow),
                        ("differences", result.differences)):  # fmt: skip
        if frame.width:
            write_bytes(out / f"{name}.csv", frame.write_csv().encode())
    with atomic_path(out / "flow.svg") as path:
        result.plot("flow").figure.savefig(path, format="svg")
    for line in (*result.findings(), f"Tables: {out}"):
        typer.echo(line)


def _read(
    given: Mapping[str, Any], adjust: list[str] | None = None
) -> tuple[ScanInputs, dict[str, Path]]:
    from radgen.associate import LayerFile, read_scan_inputs
    from radgen.io import IdRule

    layers = [LayerFile.parse(text) for text in given["omics"]]
    lists = {name: _parted(given[name]) for name in _LISTS if name in given}
    if adjust is not None:
        lists["adjust"] = [name for name in adjust if name not in lists["adjust_phenotypes"]]
    inputs = read_scan_inputs(
        given["phenotypes"],
        layers,
        clinical=given["clinical"],
        clusters=given["patient"],
        id_name=given["id_"],
        id_rule=IdRule(first=given["id_first"]) if given["id_first"] else None,
        **lists,
        **{name: given[name] for name in _NAMES},
    )
    paths = [given["phenotypes"], *(item.path for item in layers), given["clinical"]]
    return inputs, {path.name: path for path in paths if path is not None}


def _parted(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _show(run: AssociationRun) -> None:
    across = () if run.evidence is None else run.evidence.findings()
    for line in (*run.notes, *run.result.findings(), *across):
        typer.echo(line)
    typer.echo(f"All pairs: {run.pairs}")
    typer.echo(f"Report: {run.report}")
