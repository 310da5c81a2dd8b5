"""``radgen environments``: what predicts in the same way at all sites, and holds in a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import CASE, FIRST, PATTERN

__all__ = ["OPTIONS", "environments"]

OPTIONS = {
    "epilog": """Example:

  radgen environments --features radiomics.csv --outcomes clinical.csv --target IDH
  --positive mutant --site hospital --out sites

It prints which features are invariant predictors (invariant causal prediction, with its caution)
and how models selected in six ways do at sites that were left out. Three sites with eight samples
each are needed, and an outcome that varies within them. Tables go to OUT."""
}

_METHODS = "Ways to compare: nothing, ridge, lasso, stability, invariant, anchor."


def environments(
    *,
    outcomes: Annotated[Path, typer.Option(help="Table with outcome and site, a row a sample.")],
    target: Annotated[str, typer.Option(help="Column of the outcome: two classes or a number.")],
    site: Annotated[str, typer.Option(help="Column of the site or scanner.")],
    features: Annotated[list[Path] | None, typer.Option(help="Table of image features.")] = None,
    genomic: Annotated[list[Path] | None, typer.Option(help="Table of genes or scores.")] = None,
    clinical: Annotated[str, typer.Option(help="Columns of the outcomes table to use.")] = "",
    positive: Annotated[str | None, typer.Option(help="Value that counts as positive.")] = None,
    negative: Annotated[str | None, typer.Option(help="Or: value that is negative.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("environments"),
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    id_case: Annotated[str, typer.Option(help=CASE)] = "keep",
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
    id_pattern: Annotated[str, typer.Option(help=PATTERN)] = "",
    exclude: Annotated[str, typer.Option(help="Feature columns to leave out.")] = "",
    methods: Annotated[str, typer.Option(help=_METHODS)] = "nothing,ridge,lasso,invariant,anchor",
    candidates: Annotated[int, typer.Option(min=1, max=15, help="Features tested in sets.")] = 8,
    alpha: Annotated[float, typer.Option(help="Level at which sets are rejected.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of folds and the bootstrap.")] = 1,
) -> None:
    """Say what predicts an outcome in the same way at all sites, and what holds at a new one."""
    from radgen.cli import _models

    _models.environments(locals())
