"""``radgen fractions``: cell types in bulk expression."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import GENE_MAP

__all__ = ["OPTIONS", "fractions"]

OPTIONS = {
    "epilog": """
\b
Example:
  radgen fractions --expression tpm.tsv --signature pure.tsv --out cells.csv

Both tables hold linear values (TPM, no logarithm): the signature genes by cell types, the other
genes by samples or samples by genes, whichever its names tell. A value is p of the fit, not proof
that a cell type is there: cells that the signature lacks are shared out among the others."""
}


def fractions(
    *,
    expression: Annotated[Path, typer.Option(help="Matrix of genes and samples.")],
    signature: Annotated[Path, typer.Option(help="Table of genes by cell types.")],
    out: Annotated[Path, typer.Option(help="Table: .csv, .tsv or .parquet.")],
    method: Annotated[str, typer.Option(help="nnls, or nu_svr.")] = "nnls",
    permutations: Annotated[int, typer.Option(help="For the p of each fit; 0 = none.")] = 99,
    scale: Annotated[str, typer.Option(help="What the values are: TPM, counts, FPKM …")] = "TPM",
    gene_map: Annotated[Path | None, typer.Option(help=GENE_MAP)] = None,
    seed: Annotated[int, typer.Option(help="Decides the permutations.")] = 0,
) -> None:
    """Estimate the fractions of cell types in bulk expression from pure cells."""
    from radgen.cli._genetics import write_table
    from radgen.io import read_layer, read_omics, samples_beside
    from radgen.omics import cell_fractions

    pure = read_omics(signature, layer="expression", scale=scale, samples_in="columns")
    side = samples_beside(expression, pure.features)
    mixed = read_layer(
        expression, layer="expression", scale=scale, samples_in=side, gene_map=gene_map
    )
    found = cell_fractions(
        mixed, pure, method=method, n_permutations=permutations, seed=seed,  # type: ignore[arg-type]
    )  # fmt: skip
    write_table(found, out)
    undefined = len(found) - found["reason"].null_count()
    typer.echo(f"{out}: {len(found) - undefined} samples with fractions, {undefined} without.")
