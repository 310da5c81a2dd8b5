"""The columns that a frozen model needs, found in the tables of new samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import InputError, shown
from radgen.io.ids import IdRule
from radgen.io.plain import read_plain
from radgen.predict.fitting import FittedModel
from radgen.predict.inputs import known_id
from radgen.types import align

__all__ = ["model_sites", "model_tables"]


def model_tables(
    model: FittedModel,
    paths: Sequence[str | Path],
    *,
    id_name: str | None = None,
    id_rule: IdRule | None = None,
) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """Return the blocks of a frozen model, each column taken from the table that has it.

    Parameters
    ----------
    model : FittedModel
        Says which columns are needed.
    paths : sequence of path
        Tables with a row a sample.
    id_name : str or None
        Column of sample ids in all tables that have it.
    id_rule : IdRule or None
        Applied to the ids of all tables.

    Returns
    -------
    blocks : dict of block to polars.DataFrame
        Of the samples that stand in every needed table.
    notes : list of str
        Odd cells.

    Raises
    ------
    InputError
        If a column is in no table, or in two with different values.
    AlignmentError
        If no sample stands in every needed table.
    """
    tables: list[tuple[Path, pl.DataFrame]] = []
    notes: list[str] = []
    for path in paths:
        frame, odd = read_plain(path, id_name=known_id(path, id_name), id_rule=id_rule)
        tables.append((Path(path), frame))
        notes += odd
    blocks = {}
    for name, contract in model.contracts.items():
        homes = {column: _home(column, tables) for column in contract.sources}
        lost = [column for column, home in homes.items() if home is None]
        if lost:
            hints = [c for _, frame in tables for c in frame.columns[1:]]
            raise InputError(
                f"The model needs {len(lost)} columns that no table has: {shown(lost)}. "
                f"{did_you_mean(lost[0], hints)}"
            )
        blocks[name] = _joined(homes, tables)
    return blocks, notes


def model_sites(
    model: FittedModel,
    paths: Sequence[str | Path],
    *,
    id_name: str | None = None,
    id_rule: IdRule | None = None,
) -> pl.DataFrame | None:
    """Return batches and kept covariates of new samples, by the columns of training.

    Parameters
    ----------
    model, paths, id_name, id_rule
        As in `model_tables`.

    Returns
    -------
    polars.DataFrame or None
        ``sample`` and the columns; None where the model harmonises by a mapping of sites alone,
        or not at all.

    Raises
    ------
    InputError
        If a column is in no table, or in two with different values.
    """
    if model.acquisition is None:
        return None
    tables = [
        (Path(path), read_plain(path, id_name=known_id(path, id_name), id_rule=id_rule)[0])
        for path in paths
    ]
    names = model.acquisition.names
    homes = {column: _home(column, tables) for column in names}
    lost = [column for column, home in homes.items() if home is None]
    if lost:
        raise InputError(
            f"The model harmonises by {shown(names)}, and no table has {shown(lost)}. Bring a "
            "table with these columns."
        )
    return _joined(homes, tables)


def _home(column: str, tables: Sequence[tuple[Path, pl.DataFrame]]) -> int | None:
    found = [k for k, (_, frame) in enumerate(tables) if column in frame.columns]
    if len(found) > 1:
        (one, first), (two, second) = tables[found[0]], tables[found[1]]
        both = align({one.name: first["sample"].to_list(), two.name: second["sample"].to_list()})
        a = first[column][both.rows[one.name].tolist()].cast(pl.String)
        if not a.equals(second[column][both.rows[two.name].tolist()].cast(pl.String)):
            raise InputError(
                f"Column {column!r} stands in {one.name} and {two.name} with different values. "
                "Remove one."
            )
    return found[0] if found else None


def _joined(
    homes: Mapping[str, int | None], tables: Sequence[tuple[Path, pl.DataFrame]]
) -> pl.DataFrame:
    used = sorted({home for home in homes.values() if home is not None})
    matched = align({str(k): tables[k][1]["sample"].to_list() for k in used})
    columns: dict[str, Any] = {"sample": list(matched.samples)}
    for column, home in homes.items():
        columns[column] = tables[home or 0][1][column][matched.rows[str(home)].tolist()]
    return pl.DataFrame(columns)
