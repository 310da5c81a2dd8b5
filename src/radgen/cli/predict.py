"""``radgen predict``: apply a frozen model to new samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import CASE, FIRST, PATTERN, rule_of

__all__ = ["OPTIONS", "predict"]

OPTIONS = {
    "epilog": """Examples:

  radgen predict idh-model.json new-radiomics.csv new-clinical.csv --out predictions.csv

  radgen predict survival.json new.csv --out risks.csv --horizon 365

The tables hold the model's columns between them; more columns do no harm. A sample whose values
lie outside of what the model was trained on gets no score, and the reason; a column in another
unit stops the command. The same bundle and tables give the same bytes on every machine.

A research result, not a medical device: predictions must not guide the care of a patient."""
}

_ABSTAIN = "Share of true classes that may be missed: decide only where one class is plausible."


def predict(
    bundle: Annotated[Path, typer.Argument(help="Bundle of radgen evaluate --freeze.")],
    tables: Annotated[list[Path], typer.Argument(help="Tables of the new samples.")],
    *,
    out: Annotated[Path, typer.Option(help="Predictions: .csv, .tsv or .parquet.")],
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    id_case: Annotated[str, typer.Option(help=CASE)] = "keep",
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
    id_pattern: Annotated[str, typer.Option(help=PATTERN)] = "",
    site: Annotated[str | None, typer.Option(help="Column of the site (harmonised).")] = None,
    one_site: Annotated[str | None, typer.Option(help="Its name, where all are of one.")] = None,
    horizon: Annotated[float | None, typer.Option(help="Time of the risk (survival).")] = None,
    abstain: Annotated[float | None, typer.Option(help=_ABSTAIN)] = None,
    any_range: Annotated[bool, typer.Option(help="Score samples out of range too.")] = False,
) -> None:
    """Predict an outcome of new samples with a frozen model; nothing is refitted."""
    rule = rule_of(locals())
    from radgen.cli import _models
    from radgen.study.models import apply_bundle, write_predictions

    sites = _models.sites_of(tables, site, one_site, id_, rule)
    options = {
        "id_name": id_,
        "id_rule": rule,
        "sites": sites,
        "horizon": horizon,
        "any_range": any_range,
        "abstain": abstain,
    }
    found, notes = apply_bundle(bundle, tables, **options)
    write_predictions(found, out)
    _models.show_predictions(found, notes, out)
