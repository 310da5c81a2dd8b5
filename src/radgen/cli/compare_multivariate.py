"""The command ``radgen compare-multivariate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare_multivariate"]

_FIRST = "Variants: .bed, .pgen, .vcf.gz, .bgen, or a table with an id column."
_METHODS = "scca, group-scca, spls, rrr, srrr, multitask, low-rank, parallel-ica, bayes, mofa."


def compare_multivariate(
    *,
    genotypes: Annotated[Path, typer.Option(help=_FIRST)],
    phenotypes: Annotated[Path, typer.Option(help="Table with an id column and phenotypes.")],
    out: Annotated[Path, typer.Option(help="Folder for report and tables.")],
    covariates: Annotated[Path | None, typer.Option(help="Confounders: PCs, site, age.")] = None,
    groups: Annotated[Path | None, typer.Option(help="Two columns: variant, gene.")] = None,
    methods: Annotated[str, typer.Option(help=_METHODS)] = "",
    folds: Annotated[int, typer.Option(min=2, help="Outer folds.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats of the outer folds.")] = 2,
    permutations: Annotated[int, typer.Option(min=0, help="Runs on permuted data.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of folds and permutations.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Run sparse CCA, sparse PLS, reduced rank and others on one study; show what they agree on."""
    from radgen.cli import _genetics, _multivariate

    data = _multivariate.read_blocks(genotypes, phenotypes, covariates, groups)
    options = {"folds": folds, "repeats": repeats, "n_null": permutations, "seed": seed}
    result = _multivariate.compared(data, methods=methods, jobs=jobs, **options)
    _multivariate.write_comparison(result, out)
    _genetics.report(result, out / "report.html")
