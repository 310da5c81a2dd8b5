"""The commands ``radgen harmonise fit | apply | gauge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Remove scanner and site effects from a table of features, and say what is left.",
    epilog="""Examples:

  radgen harmonise gauge features.csv --batch maker

  radgen harmonise fit features.csv --batch maker --keep age,sex --model combat.json --out flat.csv

  radgen harmonise fit features.csv --batch maker,kernel --method location-scale --model nested.json

  radgen harmonise apply combat.json new-patients.csv --out flat-new.csv

For a model of an outcome do not harmonise the table first: `radgen evaluate --harmonise` fits
the harmonisation inside the folds, and an outcome must never be kept.""",
)

_Table = Annotated[Path, typer.Argument(help="Features, batch and covariates, a row a scan.")]
_Batch = Annotated[str, typer.Option(help="Column of the batch; several parted by commas.")]
_Method = Annotated[
    str, typer.Option(help="combat, location-scale (no empirical Bayes) or covbat.")
]
_Features = Annotated[
    str, typer.Option(help="Columns to harmonise, parted by commas (* = any text).")
]
_Leave = Annotated[str, typer.Option(help="Numeric columns that are no features (ids, ages).")]


@app.command()
def fit(
    table: _Table,
    *,
    batch: _Batch,
    model: Annotated[Path, typer.Option(help="JSON file that keeps what was learned.")],
    out: Annotated[
        Path | None, typer.Option(help="Harmonised table: .csv, .tsv, .parquet.")
    ] = None,
    method: _Method = "combat",
    keep: Annotated[str, typer.Option(help="Covariates to keep; never an outcome.")] = "",
    smooth: Annotated[str, typer.Option(help="Covariates kept as smooth curves (age).")] = "",
    subject: Annotated[
        str | None, typer.Option(help="Column of the subject, where some were scanned repeatedly.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Batch to which the others are moved.")
    ] = None,
    unseen: Annotated[
        str, typer.Option(help="What apply does with new batches: refuse, adapt or leave.")
    ] = "refuse",
    mean_only: Annotated[
        bool, typer.Option("--mean-only", help="Shift only, no scale (batches of one scan).")
    ] = False,
    nonparametric: Annotated[
        bool, typer.Option("--nonparametric", help="No normal prior of the shifts.")
    ] = False,
    features: _Features = "",
    leave: _Leave = "",
    picture: Annotated[
        Path | None, typer.Option(help="Samples by batch before and after: .png, .svg, .pdf.")
    ] = None,
) -> None:
    """Learn batch effects from a table, write them down, and harmonise the table."""
    from radgen.cli import _harmonise

    options = {"method": method, "subject": subject, "unseen": unseen, "reference": reference,
               "mean_only": mean_only, "parametric": not nonparametric}  # fmt: skip
    columns = {"batch": batch, "keep": keep, "smooth": smooth, "features": features}
    _harmonise.fit(table, (model, out, picture), columns, leave, options)


@app.command()
def apply(
    model: Annotated[Path, typer.Argument(help="JSON file of `radgen harmonise fit`.")],
    table: _Table,
    *,
    out: Annotated[Path, typer.Option(help="Harmonised table: .csv, .tsv or .parquet.")],
) -> None:
    """Harmonise another table by what was learned before."""
    from radgen.cli import _harmonise

    _harmonise.apply(model, table, out)


@app.command()
def gauge(
    table: _Table,
    *,
    batch: _Batch,
    method: _Method = "combat",
    out: Annotated[Path | None, typer.Option(help="Table of the AUCs.")] = None,
    shuffles: Annotated[int, typer.Option(min=0, help="Shuffled batches to compare with.")] = 3,
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation.")] = 5,
    features: _Features = "",
    leave: _Leave = "",
    seed: Annotated[int, typer.Option(help="Of folds, forests and shuffles.")] = 1,
) -> None:
    """Say how well the batch can be read from the features, before and after."""
    from radgen.cli import _harmonise

    columns = {"batch": batch, "features": features}
    _harmonise.gauge(table, columns, leave, method, out, shuffles=shuffles, folds=folds, seed=seed)
