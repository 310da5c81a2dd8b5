"""The command ``radgen score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import GENOTYPES

__all__ = ["OPTIONS", "score"]

OPTIONS = {
    "epilog": """
With known weights, of a catalogue or an earlier run:

  radgen score --genotypes new.bed --weights weights.tsv --out scores.tsv

To make weights, and say how good they are in people who were not fitted (the settings are tuned
inside the folds); from the tests of a scan of others, or from these people themselves:

  radgen score --genotypes mine.bed --scan volumes.parquet --phenotypes traits.tsv --traits volume
    --covariates pcs.tsv --method lasso --out scores.tsv --save-weights weights.tsv

The scan must hold none of the people scored: a score tested in people it was made from is always
good, also for noise.
"""
}


def score(
    *,
    genotypes: Annotated[Path, typer.Option(help=GENOTYPES)],
    out: Annotated[Path, typer.Option(help="Scores: .parquet, .tsv or .csv.")],
    weights: Annotated[
        Path | None, typer.Option(help="PGS Catalog, PRS-CS, or id, allele, weight: sum these.")
    ] = None,
    flip_strand: Annotated[
        bool, typer.Option(help="With --weights: try the other strand.")
    ] = False,
    phenotypes: Annotated[
        Path | None, typer.Option(help="Table of traits: make, tune and judge weights.")
    ] = None,
    scan: Annotated[
        Path | None, typer.Option(help="Tests of other people; without it these are scanned.")
    ] = None,
    covariates: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    traits: Annotated[str, typer.Option(help="Names of traits, parted by commas.")] = "",
    method: Annotated[
        str, typer.Option(help="clump (and threshold), or lasso (on correlations).")
    ] = "clump",
    model: Annotated[str, typer.Option(help="linear, or logistic for binary traits.")] = "linear",
    folds: Annotated[int, typer.Option(help="Outer folds, and folds of the tuning.")] = 5,
    seed: Annotated[int, typer.Option(help="Decides the folds.")] = 0,
    save_weights: Annotated[
        Path | None, typer.Option(help="Weights of the model of all people, for --weights.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw trait over score: .png, .pdf or .svg.")
    ] = None,
) -> None:
    """Sum weighted alleles to a polygenic score, or learn the weights within folds."""
    from radgen.cli import _scores

    if weights is not None:
        _scores.sum_weights(
            genotypes, weights, out, flip_strand=flip_strand,
            others=(phenotypes, scan, covariates, traits, save_weights, picture),
        )  # fmt: skip
        return
    _scores.learn(
        genotypes, phenotypes, out, scan=scan, covariates=covariates, save_weights=save_weights,
        picture=picture, traits=traits, method=method, model=model, folds=folds, seed=seed,
    )  # fmt: skip
