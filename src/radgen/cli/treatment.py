"""``radgen treatment``: which markers say whom to treat, and what a rule would be worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "treatment"]

OPTIONS = {
    "epilog": """Examples:

  radgen treatment --outcomes trial.csv --target days --event dead --arm treatment
  --control placebo --clinical age,EGFR --adjust stage --out egfr

  radgen treatment --outcomes trial.csv --target pCR --positive yes --better higher --arm drug
  --features radiomics.csv --clinical age --rule --confounders age,stage --out rule

Every marker gets a prognostic effect (adjusted for treatment) and an interaction with treatment,
which alone makes it predictive; p are adjusted over markers. --rule also learns whom to treat by
models of both arms, and values the rule in patients left out: gain curve, and gain over treating
everybody or nobody.

Treatment must be randomised, or --adjust (for --rule: --confounders) must hold what it was chosen
by. A research result, not a medical device: it must not guide the care of a patient."""
}

_TARGET = "Column of the outcome, or of the time with --event."
_BETTER = "Which outcome is good (--rule): auto (negative class, survival), higher or lower."


def treatment(
    *,
    outcomes: Annotated[Path, typer.Option(help="Table with outcome and arm, a row a patient.")],
    target: Annotated[str, typer.Option(help=_TARGET)],
    arm: Annotated[str, typer.Option(help="Column of the treatment: two arms.")],
    out: Annotated[Path, typer.Option(help="Folder for report and tables.")],
    features: Annotated[list[Path] | None, typer.Option(help="Table of image features.")] = None,
    genomic: Annotated[list[Path] | None, typer.Option(help="Table of genes or scores.")] = None,
    clinical: Annotated[str, typer.Option(help="Markers among the columns of outcomes.")] = "",
    control: Annotated[str | None, typer.Option(help="The arm that is the reference.")] = None,
    adjust: Annotated[str, typer.Option(help="Columns to adjust every marker for.")] = "",
    positive: Annotated[str | None, typer.Option(help="Value that counts as positive.")] = None,
    event: Annotated[str | None, typer.Option(help="Column that says whether it happened.")] = None,
    unit: Annotated[str, typer.Option(help="Unit of the time or value.")] = "",
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    rule: Annotated[bool, typer.Option(help="Learn and value a rule too.")] = False,
    better: Annotated[str, typer.Option(help=_BETTER)] = "auto",
    confounders: Annotated[str, typer.Option(help="What treatment was chosen by (--rule).")] = "",
    horizon: Annotated[float | None, typer.Option(help="Time of survival (--rule).")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Of the rule.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Of the rule.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the rule's folds.")] = 1,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 = one a processor.")] = 1,
) -> None:
    """Tell markers that say whom to treat from those that only say how a patient will fare."""
    from radgen.cli import _treatment

    _treatment.run(locals())
