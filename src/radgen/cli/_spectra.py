"""What ``radgen spectra`` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

__all__ = ["write"]


def write(given: Mapping[str, Any]) -> None:
    """Write phenotypes of spectra, and why values are blank."""
    import polars as pl

    from radgen.cli._genetics import parted, write_table
    from radgen.errors import InputError, shown
    from radgen.io import read_spectra
    from radgen.phenotype import metabolite_phenotypes

    parts = [read_spectra(path) for path in given["files"]]
    ids = [sample for part in parts for sample in part["sample"].unique()]
    twice = sorted({sample for sample in ids if ids.count(sample) > 1})
    if twice:
        raise InputError(f"Samples in more than one file: {shown(twice)}. Rename the files.")
    found = metabolite_phenotypes(
        pl.concat(parts), max_crlb=given["max_crlb"], ratios=given["ratio"] or (),
        detect=parted(given["detect"]) or (),
    )  # fmt: skip
    out = given["out"]
    write_table(found.to_frame(), out)
    blank = found.status
    if blank.height:
        place = out.with_name(f"{out.stem}-status{out.suffix}")
        write_table(blank, place)
        typer.echo(f"{blank.height} values are blank; reasons: {place}")
    typer.echo(f"{len(found.names)} metabolites and ratios of {len(found.samples)} samples: {out}")
