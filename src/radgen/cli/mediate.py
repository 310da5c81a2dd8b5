"""The command ``radgen mediate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "mediate"]

OPTIONS = {
    "epilog": """Examples:

  radgen mediate --exposures expression.tsv --mediators radiomics.csv --outcomes clinical.csv
  --target months --event died --covariates age_sex.csv --out mediation

  radgen mediate --exposures genes.tsv --mediators regions.csv --outcomes clinical.csv
  --target memory --joint --out mediation

OUT/paths.tsv holds a row an exposure and mediator: both halves of the path, indirect, direct and
total effect with intervals; OUT/report.html the pictures. A path counts where both halves do."""
}

_COVARIATES = "Table of confounders; text columns become categories."
_POSITIVE = "Which value of a two-valued target is the case."
_JOINT = "All mediators of an exposure in one model, instead of one at a time."


def mediate(
    *,
    exposures: Annotated[Path, typer.Option(help="Table of genes, a row a sample.")],
    mediators: Annotated[Path, typer.Option(help="Table of image phenotypes.")],
    outcomes: Annotated[Path, typer.Option(help="Table with the outcome.")],
    target: Annotated[str, typer.Option(help="Its column: outcome, or time.")],
    out: Annotated[Path, typer.Option(help="Folder for the table, pictures and report.")],
    event: Annotated[str | None, typer.Option(help="Column of the event of a time.")] = None,
    positive: Annotated[str | None, typer.Option(help=_POSITIVE)] = None,
    covariates: Annotated[Path | None, typer.Option(help=_COVARIATES)] = None,
    joint: Annotated[bool, typer.Option(help=_JOINT)] = False,
    bootstrap: Annotated[int, typer.Option(help="Draws for the intervals; 0 = none.")] = 1000,
    permutations: Annotated[int, typer.Option(help="Permutations of each path.")] = 0,
    level: Annotated[float, typer.Option(help="False discovery rate.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of bootstrap and permutations.")] = 0,
) -> None:
    """Mediation: does a gene act on the outcome through an image phenotype?"""
    given = dict(locals())
    from radgen.cli import _causal

    _causal.run_mediation(**given)
