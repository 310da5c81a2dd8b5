"""The command ``radgen lesions``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["lesions"]

_TEST = (
    "fisher: a mutation by lesion, exact. logistic: the same beside covariates. brunner_munzel: "
    "any number (age, expression) with and without a lesion, by ranks."
)


def lesions(
    *,
    masks: Annotated[
        Path, typer.Option(help="Folder of masks named by id, table, or one 4D file.")
    ],
    outcome: Annotated[Path, typer.Option(help="Table with an id column and the outcome.")],
    trait: Annotated[str, typer.Option(help="Column of the outcome.")],
    out: Annotated[Path, typer.Option(help="Folder for tables and maps; made where missing.")],
    covariates: Annotated[Path | None, typer.Option(help="For logistic: table.")] = None,
    samples: Annotated[Path | None, typer.Option(help="Ids of the masks of one file.")] = None,
    test: Annotated[str, typer.Option(help=_TEST)] = "fisher",
    min_lesions: Annotated[int, typer.Option(help="Fewest people with and without.")] = 5,
    fold: Annotated[bool, typer.Option(help="Fold both hemispheres into the left one.")] = False,
    permutations: Annotated[int, typer.Option(help="0 = none.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Of the permutations.")] = 1,
) -> None:
    """Map where lesions go with a mutation or a value, and how often each voxel is hit."""
    from radgen.cli import _many

    stack = _many.read_images(masks, samples=samples, store=None)
    _many.run_lesions(
        stack, outcome, out, covariates=covariates, fold=fold, trait=trait, test=test,
        min_lesions=min_lesions, n_permutations=permutations, seed=seed,
    )  # fmt: skip
