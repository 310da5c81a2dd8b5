"""What the commands over many traits share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from radgen.io.sample_table import read_sample_table

if TYPE_CHECKING:
    import polars as pl

    from radgen.types import Result

__all__ = ["joint_test"]


def joint_test(
    genotypes: Path,
    phenotypes: Path,
    covariates: pl.DataFrame | None,
    *,
    test: str,
    traits: list[str] | None,
    permutations: int,
    seed: int,
) -> Result:
    """Return the test of each variant with all traits that ``radgen omnibus`` asks for."""
    from radgen._core.naming import require_choice
    from radgen.associate import aspu, max_t_scan, mostest, omnibus
    from radgen.io import open_genotypes

    require_choice(test, ("manova", "mostest", "aspu", "max-t"), what="test")
    tables: tuple[Any, ...] = (
        open_genotypes(genotypes), read_sample_table(phenotypes), covariates
    )  # fmt: skip
    if test == "manova":
        return omnibus(*tables, traits=traits)
    if test == "mostest":
        return mostest(*tables, traits=traits, seed=seed)
    if test == "max-t":
        return max_t_scan(*tables, traits=traits, seed=seed, n_permutations=permutations)
    return aspu(
        *tables,
        traits=traits,
        seed=seed,
        n_permutations=permutations,
        max_permutations=100 * permutations,
    )
