"""Which columns of a table are covariates, and which are traits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from radgen._core.id_names import FAMILY_NAMES, first_id_name
from radgen._core.naming import did_you_mean
from radgen.errors import InputError, shown

if TYPE_CHECKING:
    import polars as pl

    from radgen.types import NumberTable

__all__ = ["ADJUST", "chosen_covariates", "other_traits", "source_of"]

ADJUST = "Its columns to adjust for (or, without that table, columns of --phenotypes)."


def source_of(covariates: Path | None, phenotypes: Path, adjust: Sequence[str]) -> Path | None:
    """Return the file of the covariates: the table that is named, else that of the traits.

    Raises
    ------
    InputError
        If both are one file and no column is named.
    """
    if covariates is None:
        return phenotypes if adjust else None
    if not adjust and covariates.resolve() == phenotypes.resolve():
        raise InputError(
            f"{phenotypes} holds traits and covariates: name the covariates (--adjust age,sex)."
        )
    return covariates


def chosen_covariates(
    table: NumberTable | pl.DataFrame, adjust: Sequence[str], path: Path
) -> NumberTable | pl.DataFrame:
    """Return the columns of ids and the named covariates; all where none is named.

    Raises
    ------
    InputError
        If a column does not exist.
    """
    if not adjust:
        return table
    lost = [name for name in adjust if name not in table.columns]
    if lost:
        near = did_you_mean(lost[0], list(table.columns))
        raise InputError(f"{path}: no column {shown(map(repr, lost))} (--adjust). {near}")
    from radgen.types import NumberTable

    if isinstance(table, NumberTable):
        return table.select(adjust)
    ids = {first_id_name(table.columns), *FAMILY_NAMES}
    return table.select(name for name in table.columns if name in ids or name in adjust)


def other_traits(table: NumberTable | pl.DataFrame, taken: Sequence[str]) -> list[str]:
    """Return the columns of a table of traits that are no ids and nothing else."""
    ids = {first_id_name(table.columns), *FAMILY_NAMES, *taken}
    return [name for name in table.columns if name not in ids]
