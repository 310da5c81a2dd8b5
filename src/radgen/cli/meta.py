"""The command ``radgen meta``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["meta"]


def meta(
    studies: Annotated[list[Path], typer.Argument(help="Tables of `radgen gwas`, one a cohort.")],
    *,
    out: Annotated[Path, typer.Option(help="Results: .parquet, .tsv or .csv.")],
    method: Annotated[str, typer.Option(help="fixed, DL or sample_size.")] = "fixed",
    genomic_control: Annotated[bool, typer.Option(help="Inflate each cohort's se.")] = False,
) -> None:
    """Pool scans of several cohorts."""
    from radgen.associate import meta_gwas
    from radgen.cli import _genetics

    tables = {str(path): _genetics.read_sample_table(path) for path in studies}
    result = meta_gwas(tables, method=method, genomic_control=genomic_control)  # type: ignore[arg-type]
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
