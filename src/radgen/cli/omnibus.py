"""The command ``radgen omnibus``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import GENOTYPES

__all__ = ["omnibus"]

_TEST = (
    "manova: exact, people with all traits. mostest: many or skewed traits, calibrated by one "
    "shuffle. aspu: adaptive, by permutation. max-t: single tests, p adjusted for all variants and "
    "traits by permutation."
)


def omnibus(
    *,
    genotypes: Annotated[Path, typer.Option(help=GENOTYPES)],
    phenotypes: Annotated[Path, typer.Option(help="Table with an id column and the traits.")],
    out: Annotated[Path, typer.Option(help="Results: .parquet, .tsv or .csv.")],
    covariates: Annotated[Path | None, typer.Option(help="Table of covariates.")] = None,
    traits: Annotated[str, typer.Option(help="Names of traits, parted by commas.")] = "",
    test: Annotated[str, typer.Option(help=_TEST)] = "manova",
    permutations: Annotated[int, typer.Option(help="Of aspu and max-t.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Of the shuffle and the permutations.")] = 1,
) -> None:
    """Test every variant against all traits together."""
    from radgen.cli import _genetics, _many

    beside, names = _genetics.optional_table(covariates), _genetics.parted(traits)
    result = _many.joint_test(
        genotypes, phenotypes, beside, test=test, traits=names, permutations=permutations, seed=seed
    )
    _genetics.write_table(result.table, out)
    _genetics.report(result, out)
