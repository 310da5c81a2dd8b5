"""What ``radgen pair`` does: tables in, picture and data out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from radgen._core.files import atomic_path, write_bytes
from radgen._core.naming import require_choice
from radgen.cli._genetics import parted

__all__ = ["pair"]


def pair(given: Mapping[str, Any]) -> None:
    """Do what ``radgen pair`` asks for and print the test."""
    from radgen.associate import LayerFile, read_scan_inputs
    from radgen.associate import pair as looked_at
    from radgen.io import IdRule

    out: Path = given["out"]
    kind = out.suffix.lower().removeprefix(".")
    require_choice(kind, ("svg", "png", "pdf"), what="kind of picture")
    inputs = read_scan_inputs(
        given["phenotypes"], [LayerFile.parse(given["omics"])], clinical=given["clinical"],
        adjust=parted(given["adjust"]) or (), id_name=given["id_"],
        id_rule=IdRule(first=given["id_first"]) if given["id_first"] else None,
    )  # fmt: skip
    result = looked_at(
        inputs.phenotypes, inputs.layers[0], given["phenotype"], given["feature"],
        inputs.covariates, test=given["test"],
    )  # fmt: skip
    figure = result.plot("pair").figure
    with atomic_path(out) as path:
        figure.savefig(path, format=kind, dpi=given["dpi"], facecolor="white")
    data = out.with_suffix(".csv")
    write_bytes(data, result.frame.write_csv().encode())
    for line in (*inputs.notes, *result.findings(), f"Picture: {out}", f"Data: {data}"):
        typer.echo(line)
