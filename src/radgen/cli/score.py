"""The command ``radgen score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["score"]


def score(
    *,
    genotypes: Annotated[Path, typer.Option(help="Genotypes: .bed, .pgen, .vcf.gz, .bcf, .bgen.")],
    weights: Annotated[Path, typer.Option(help="Table with id, allele and weight.")],
    out: Annotated[Path, typer.Option(help="Scores: .parquet, .tsv or .csv.")],
    flip_strand: Annotated[bool, typer.Option(help="Try the other strand.")] = False,
) -> None:
    """Sum weighted alleles to a polygenic score."""
    from radgen.cli import _genetics
    from radgen.genome import polygenic_score

    table = _genetics.read_sample_table(weights)
    found = polygenic_score(_genetics.opened(genotypes), table, flip_strand=flip_strand)
    _genetics.write_table(found, out)
    n_variants = found["n_variants"][0] if found.height else 0
    typer.echo(f"{n_variants} of {table.height} variants were found. Scores: {out}")
