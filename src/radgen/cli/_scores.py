"""What ``radgen score`` does: sum given weights, or learn them within folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from radgen.cli import _genetics
from radgen.errors import InputError

__all__ = ["learn", "sum_weights"]


def sum_weights(
    genotypes: Path, weights: Path, out: Path, *, flip_strand: bool, others: Sequence[Any]
) -> None:
    """Write scores of given weights.

    Raises
    ------
    InputError
        If an option is given that serves to learn weights.
    """
    from radgen.genome import match_weights
    from radgen.genome.polygenic import summed_weights
    from radgen.io import read_score_weights

    if any(others):
        raise InputError(
            "--weights are summed as they are: leave out --phenotypes, --scan, --covariates, "
            "--traits, --save-weights and --picture."
        )
    read = read_score_weights(weights)
    people = _genetics.opened(genotypes)
    match = match_weights(people, read.table, flip_strand=flip_strand, build=read.build)
    _genetics.write_table(summed_weights(people, match), out)
    for line in (*match.statements(), f"Scores: {out}"):
        typer.echo(line)


def learn(
    genotypes: Path,
    phenotypes: Path | None,
    out: Path,
    *,
    scan: Path | None,
    covariates: Path | None,
    save_weights: Path | None,
    picture: Path | None,
    traits: str,
    folds: int,
    **options: Any,
) -> None:
    """Write scores of people from models that never saw them, and say how good they are.

    Raises
    ------
    InputError
        If there is neither a table of weights nor one of traits.
    """
    from radgen.associate import polygenic_prediction
    from radgen.io import read_summary_statistics

    if phenotypes is None:
        raise InputError("Give --weights (to sum them) or --phenotypes (to learn weights).")
    named = _genetics.parted(traits)
    people = _genetics.read_sample_table(phenotypes)
    result = polygenic_prediction(
        _genetics.opened(genotypes),
        _genetics.in_numbers(people, phenotypes, named, options["model"]),
        _genetics.optional_table(covariates),
        scan=None if scan is None else read_summary_statistics(scan),
        traits=named,
        n_folds=folds,
        inner_folds=folds,
        **options,
    )
    _genetics.write_table(result.table, out)
    if save_weights is not None:
        _genetics.write_table(result.weights, save_weights)
        typer.echo(f"Weights: {save_weights}")
    _genetics.report(result, out)
    if picture is not None:
        _genetics.save_plot(result, "scatter", picture)
