"""``radgen evaluate``: models of an outcome from tables, validated, and frozen if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import CASE, FIRST, PATTERN

__all__ = ["OPTIONS", "evaluate"]

OPTIONS = {
    "epilog": """Examples:

  radgen evaluate --features radiomics.csv --outcomes clinical.csv --target IDH
  --positive mutant --clinical age,sex --out idh --freeze idh-model.json

  radgen evaluate --features radiomics.csv --outcomes clinical.csv --target days
  --event dead --clinical age --site hospital --scheme leave-site-out --out survival

  radgen evaluate --features radiomics.csv --outcomes genes.csv --target EGFR=mutant
  --target KRAS=mutant --target TP53=mutant --out genes

Several targets give one table with p adjusted over targets (Holm). Every model stands beside no
information, volume alone, clinical data alone and images alone, on the same folds of patients. All
that learns (imputation, harmonisation, selection, tuning, threshold) sees training patients only;
`radgen audit OUT` proves it.

The report is OUT/report.html. Exit codes: 0 done, 2 input must be mended."""
}

_TARGET = (
    "Column of the outcome or time. IDH=mutant names the positive value, subtype=* takes each "
    "value against the rest. Repeat for several."
)
_ARRAYS = "Crops or bags of tiles (.npz, see radgen deep --help), for the models that read them."
_POSITIVE = "Value of the target that counts as positive; the others are negative."
_EVENT = "Column that says whether the event happened; the target is then the time."
_CLINICAL = "Columns of the outcomes table to use as predictors, parted by commas."
_SITE = "Column of the site or scanner."
_ONE = "Name of the site, where all samples are of one."
_MODEL = (
    "auto (ridge), elastic_net, lasso, forest, boosting, blocks, weibull …; a,b = a choice. "
    "Networks: deep_survival (tables), image_network, slice_network (crops), attention, "
    "bag_of_cells (bags)."
)
_FUSION = "How blocks are joined: early, stacked, vote; several parted by commas."
_KEEP = "Keep samples that lack one of the tables."
_SELECTION = (
    "none, correlation, univariate, mrmr, lasso, elastic_net, stability, boruta, or correlation+"
    " one of these."
)
_HARMONISE = "none, combat, location-scale or covbat (needs --site)."
_ABSTAIN = (
    "Share of patients whose true class may be left out: the models then abstain where both "
    "classes are plausible (binary targets)."
)
_PROFILE = "Print what was fitted, how often and how long; OUT/profile.csv."
_FREEZE = "Write the fullest model, fitted to all samples, to this bundle (.json)."


def evaluate(
    *,
    outcomes: Annotated[Path, typer.Option(help="Table with the outcome, a row a sample.")],
    target: Annotated[list[str], typer.Option(help=_TARGET)],
    features: Annotated[list[Path] | None, typer.Option(help="Table of image features.")] = None,
    genomic: Annotated[list[Path] | None, typer.Option(help="Table of genes or scores.")] = None,
    arrays: Annotated[list[Path] | None, typer.Option(help=_ARRAYS)] = None,
    clinical: Annotated[str, typer.Option(help=_CLINICAL)] = "",
    positive: Annotated[str | None, typer.Option(help=_POSITIVE)] = None,
    negative: Annotated[str | None, typer.Option(help="Or: value that is negative.")] = None,
    event: Annotated[str | None, typer.Option(help=_EVENT)] = None,
    unit: Annotated[str, typer.Option(help="Unit of the time or value.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for report and tables.")] = Path("evaluation"),
    freeze: Annotated[Path | None, typer.Option(help=_FREEZE)] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    id_case: Annotated[str, typer.Option(help=CASE)] = "keep",
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
    id_pattern: Annotated[str, typer.Option(help=PATTERN)] = "",
    patient: Annotated[str | None, typer.Option(help="Column of the patient.")] = None,
    site: Annotated[str | None, typer.Option(help=_SITE)] = None,
    one_site: Annotated[str | None, typer.Option(help=_ONE)] = None,
    exclude: Annotated[str, typer.Option(help="Feature columns to leave out.")] = "",
    model: Annotated[str, typer.Option(help=_MODEL)] = "auto",
    selection: Annotated[str, typer.Option(help=_SELECTION)] = "correlation",
    harmonise: Annotated[str, typer.Option(help=_HARMONISE)] = "none",
    fusion: Annotated[str, typer.Option(help=_FUSION)] = "early",
    keep_missing: Annotated[bool, typer.Option(help=_KEEP)] = False,
    scheme: Annotated[str, typer.Option(help="kfold, leave-site-out or temporal.")] = "kfold",
    order: Annotated[str | None, typer.Option(help="Column of the date (temporal).")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Outer folds.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Repeats of the outer folds.")] = 5,
    inner_folds: Annotated[int, typer.Option(min=2, help="Folds for tuning.")] = 5,
    permutations: Annotated[int, typer.Option(min=0, help="Of the whole pipeline.")] = 0,
    horizon: Annotated[float | None, typer.Option(help="Time of the predicted risk.")] = None,
    abstain: Annotated[float | None, typer.Option(help=_ABSTAIN)] = None,
    volume: Annotated[str | None, typer.Option(help="Feature that is the volume.")] = None,
    profile: Annotated[bool, typer.Option(help=_PROFILE)] = False,
    seed: Annotated[int, typer.Option(help="Of folds, forests, permutations.")] = 1,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 = one a processor.")] = 1,
) -> None:
    """Say how well images, clinical data and genes predict an outcome, beside simple models."""
    from radgen.cli import _models

    _models.evaluate(locals())
