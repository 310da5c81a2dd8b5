"""``radgen fractions``: cell types in bulk expression."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "fractions"]

OPTIONS = {
    "epilog": """
\b
Example:
  radgen fractions --expression tpm.tsv --signature pure.tsv --out cells.csv

Both tables hold genes in rows and linear values (TPM, no logarithm); the columns of the first are
samples, those of the second pure cell types."""
}


def fractions(
    *,
    expression: Annotated[Path, typer.Option(help="Table of genes by samples.")],
    signature: Annotated[Path, typer.Option(help="Table of genes by cell types.")],
    out: Annotated[Path, typer.Option(help="Table: .csv, .tsv or .parquet.")],
    method: Annotated[str, typer.Option(help="nnls, or nu_svr.")] = "nnls",
    permutations: Annotated[int, typer.Option(help="For the p of each fit; 0 = none.")] = 99,
    seed: Annotated[int, typer.Option(help="Decides the permutations.")] = 0,
) -> None:
    """Estimate the fractions of cell types in bulk expression from pure cells."""
    from radgen.cli._genetics import write_table
    from radgen.io.omics import read_omics
    from radgen.omics import cell_fractions

    mixed, pure = (
        read_omics(path, layer="expression", scale="TPM", samples_in="columns")
        for path in (expression, signature)
    )
    found = cell_fractions(
        mixed, pure, method=method, n_permutations=permutations, seed=seed,  # type: ignore[arg-type]
    )  # fmt: skip
    write_table(found, out)
    undefined = len(found) - found["reason"].null_count()
    typer.echo(f"{out}: {len(found) - undefined} samples with fractions, {undefined} without.")
