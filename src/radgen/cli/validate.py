"""``radgen validate``: judge a frozen model on new data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import CASE, FIRST, PATTERN

__all__ = ["OPTIONS", "validate"]

OPTIONS = {
    "epilog": """Examples:

  radgen validate idh-model.json radiomics-b.csv clinical-b.csv --outcomes clinical-b.csv
  --target IDH --positive mutant --one-site "Hospital B" --out validation

  radgen validate model.json later.csv --outcomes later.csv --target EGFR --claim temporal

Nothing is refitted; the threshold is that of training. A set that shares a patient with training
is refused. It is called external only where no site trained the model; otherwise claim temporal
or same-site.

Exit codes: 0 done, 2 input must be mended or the claim does not hold."""
}

_CLAIM = "What this is to be called: external, temporal or same-site."
_EVENT = "Column that says whether the event happened; the target is then the time."
_ONE = "Name of the site, where all samples are of one."


def validate(
    bundle: Annotated[Path, typer.Argument(help="Bundle of radgen evaluate --freeze.")],
    tables: Annotated[list[Path], typer.Argument(help="Tables of the new samples.")],
    *,
    outcomes: Annotated[Path, typer.Option(help="Table with the outcome, a row a sample.")],
    target: Annotated[str, typer.Option(help="Column of the outcome, or of the survival time.")],
    positive: Annotated[str | None, typer.Option(help="Value that counts as positive.")] = None,
    negative: Annotated[str | None, typer.Option(help="Or: value that is negative.")] = None,
    event: Annotated[str | None, typer.Option(help=_EVENT)] = None,
    out: Annotated[Path, typer.Option(help="Folder for report and tables.")] = Path("validation"),
    claim: Annotated[str, typer.Option(help=_CLAIM)] = "external",
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    id_case: Annotated[str, typer.Option(help=CASE)] = "keep",
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
    id_pattern: Annotated[str, typer.Option(help=PATTERN)] = "",
    patient: Annotated[str | None, typer.Option(help="Column of the patient.")] = None,
    site: Annotated[str | None, typer.Option(help="Column of the site.")] = None,
    one_site: Annotated[str | None, typer.Option(help=_ONE)] = None,
    horizon: Annotated[float | None, typer.Option(help="Time of the risk (survival).")] = None,
    any_range: Annotated[bool, typer.Option(help="Judge samples out of range too.")] = False,
) -> None:
    """Judge a frozen model on new data: discrimination, calibration, drift, report."""
    from radgen.cli import _models

    _models.validate(locals())
