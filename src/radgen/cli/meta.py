"""The command ``radgen meta``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["meta"]

_METHOD = "fixed (inverse variance), DL or REML (random effects), or sample_size."


def meta(
    studies: Annotated[list[Path], typer.Argument(help="Tables of scans, one a cohort.")],
    *,
    out: Annotated[Path, typer.Option(help="Results: .parquet, .tsv or .csv.")],
    method: Annotated[str, typer.Option(help=_METHOD)] = "fixed",
    hartung: Annotated[bool, typer.Option(help="Hartung-Knapp tests; for DL and REML.")] = False,
    genomic_control: Annotated[bool, typer.Option(help="Inflate each cohort's se.")] = False,
    strands: Annotated[bool, typer.Option(help="Match complementary bases, too.")] = False,
    min_studies: Annotated[int, typer.Option(help="Fewest cohorts with a variant.")] = 1,
) -> None:
    """Pool scans of several cohorts, variant by variant and trait by trait."""
    from radgen.associate import meta_gwas
    from radgen.cli import _genetics
    from radgen.io.scan_tables import read_scan

    tables = {str(path): read_scan(path, phenotype="trait") for path in studies}
    result = meta_gwas(
        tables, method=method, hartung=hartung, genomic_control=genomic_control,  # type: ignore[arg-type]
        strands=strands, min_studies=min_studies,
    )  # fmt: skip
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
