"""``radgen surrogate``: learn image traits from genes, test them where there are no images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import FIRST

__all__ = ["OPTIONS", "surrogate"]

OPTIONS = {
    "epilog": """Examples:

  radgen surrogate --predictors expression:log2=rna.tsv --traits radiomics.csv --out predictable

  radgen surrogate --predictors expression:counts=rna.tsv --traits radiomics.csv
  --carry expression:log2=public.tsv --outcomes public-clinical.csv --time days --event dead
  --adjust age,stage --out surrogate

Traits are learned in the cohort that has both, judged in samples held out, carried where they are
predicted better than permuted traits, and tested on survival in the second cohort. Intervals hold
the learner's uncertainty; those that take the prediction for given stand beside them. Ranks
(--within rank) or quantiles bring platforms together; the genes in common are used and counted.

Exit codes: 0 done, 2 input must be mended."""
}

_LAYER = "layer=file or layer:scale=file: molecules of the paired cohort."
_CARRY = "The same of the second cohort, which has no images."
_TRAITS = "Table of image traits, a row a sample."
_WHICH = "Traits to learn; * stands for any text; default: all."
_SCALE = "Standardise genes by their own cohort, or by the paired one."
_WITHIN = "Within samples: none, rank or quantile."
_ALL = "Carry traits too that are predicted no better than chance."


def surrogate(
    *,
    predictors: Annotated[str, typer.Option(help=_LAYER)],
    traits: Annotated[Path, typer.Option(help=_TRAITS)],
    out: Annotated[Path, typer.Option(help="Folder for tables and report.")],
    carry: Annotated[str | None, typer.Option(help=_CARRY)] = None,
    outcomes: Annotated[Path | None, typer.Option(help="Its clinical table.")] = None,
    time: Annotated[str, typer.Option(help="Column of the survival time.")] = "",
    event: Annotated[str, typer.Option(help="Column that says whether it ended so.")] = "",
    adjust: Annotated[str, typer.Option(help="Columns to adjust for, parted by commas.")] = "",
    which: Annotated[str, typer.Option(help=_WHICH)] = "",
    within: Annotated[str, typer.Option(help=_WITHIN)] = "none",
    by_cohort: Annotated[bool, typer.Option(help=_SCALE)] = True,
    unpredictable: Annotated[bool, typer.Option(help=_ALL)] = False,
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
    tcga: Annotated[bool, typer.Option(help="Molecular ids are TCGA barcodes.")] = False,
    permutations: Annotated[int, typer.Option(min=39, help="Permuted traits.")] = 199,
    bootstraps: Annotated[int, typer.Option(min=20, help="Resampled learners.")] = 200,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
) -> None:
    """Learn image traits from genes and test their prognosis where there are no images."""
    from radgen.cli import _surrogate

    _surrogate.surrogate(locals())
