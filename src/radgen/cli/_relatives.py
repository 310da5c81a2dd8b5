"""What ``radgen heritability`` does: read who is related, and call the function for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radgen.cli import _genetics
from radgen.errors import InputError, shown
from radgen.io.sample_table import read_sample_table

if TYPE_CHECKING:
    from radgen.types import Result

__all__ = ["heritability_of"]


def heritability_of(
    phenotypes: Path,
    covariates: Path | None,
    relatives: Mapping[str, Path | None],
    *,
    household: str,
    traits: str,
    method: str,
    correlate: bool,
) -> Result:
    """Return heritabilities, or genetic correlations, for the kind of relatives at hand.

    Raises
    ------
    InputError
        If not exactly one kind is given, or an option does not go with it.
    """
    from radgen import associate, genome
    from radgen.associate.genomewide._input import id_column

    given = {name: path for name, path in relatives.items() if path is not None}
    if len(given) != 1:
        raise InputError(f"Give one of --kinship, --pedigree and --twins; given: {shown(given)}.")
    ((kind, path),) = given.items()
    if household and (kind != "pedigree" or correlate):
        raise InputError("--household goes with --pedigree, and not with --correlate.")
    if kind == "twins" and (method or correlate):
        raise InputError("--twins takes neither --method nor --correlate.")
    people, beside = map(_genetics.optional_table, (phenotypes, covariates))
    options: dict[str, Any] = {"traits": _genetics.parted(traits)}
    if method:
        options["method"] = method
    if kind == "twins":
        return associate.twin_heritability(people, read_sample_table(path), beside, **options)
    if kind == "pedigree" and not correlate:
        homes = None
        if household:
            if beside is None or household not in beside.columns:
                raise InputError(f"The covariates have no column {household!r}.")
            key = id_column(beside, what="covariate table")
            homes = beside.select(key, household)
            beside = beside.drop(household)
            beside = beside if beside.width > 1 else None
        table = read_sample_table(path)
        return associate.family_heritability(people, table, beside, household=homes, **options)
    matrix = (
        genome.pedigree_kinship(read_sample_table(path))
        if kind == "pedigree"
        else _genetics.read_kinship(path)
    )
    run = associate.genetic_correlation if correlate else associate.heritability
    return run(people, matrix, beside, **options)
