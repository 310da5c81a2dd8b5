"""From tables to one matrix a block, rows matched by id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import InputError, shown
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable, align, to_polars

__all__ = ["ROLES", "Block", "Design", "build_design", "read_blocks"]

FloatArray = NDArray[np.float64]
Role = Literal["clinical", "imaging", "genomic"]
ROLES: tuple[Role, ...] = ("clinical", "imaging", "genomic")
_VOLUME = re.compile(r"(^|[._\- ])(mesh|voxel|approximate|tumou?r|lesion)?[._\- ]?vol(ume)?$", re.I)


@dataclass(frozen=True, eq=False)
class Block:
    """One table of predictors.

    Attributes
    ----------
    name : str
        Key of the table.
    role : {"clinical", "imaging", "genomic"}
        Decides preprocessing and which baseline it belongs to.
    columns : tuple of str (p,)
    values : float64 (n, p), NaN = missing
    """

    name: str
    role: Role
    columns: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True, eq=False)
class Design:
    """Everything an evaluation works on, rows matched.

    Attributes
    ----------
    samples : tuple of str (n,)
    target : float64 (n,) or (n, 2)
        Value, 0/1, or time and event.
    kind : {"binary", "censored", "continuous"}
    blocks : tuple of Block
    patients : int64 (n,)
        Code of the patient of each row.
    sites : tuple of str (n,) or None
    dropped : polars.DataFrame
        Columns ``sample, reason``.
    notes : tuple of str
    """

    samples: tuple[str, ...]
    target: FloatArray
    kind: str
    blocks: tuple[Block, ...]
    patients: NDArray[np.int64]
    patient_names: tuple[str, ...]
    sites: tuple[str, ...] | None
    dropped: pl.DataFrame
    notes: tuple[str, ...] = ()
    outcome_name: str = ""
    unit: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.samples)

    @property
    def n_events(self) -> int:
        """Positives, or events; rows for a continuous outcome."""
        if self.kind == "binary":
            return int(self.target.sum())
        return int(self.target[:, 1].sum()) if self.kind == "censored" else self.n

    def volume(self, wanted: str | None) -> tuple[str, int] | None:
        """Return block and column of the volume: the named one, or the first that is known."""
        for block in self.blocks:
            for j, name in enumerate(block.columns):
                if wanted is not None and name == wanted:
                    return block.name, j
                if wanted is None and block.role == "imaging" and _VOLUME.search(name):
                    return block.name, j
        if wanted is not None:
            raise InputError(f"No block has a column {wanted!r} for the volume-only model.")
        return None


def build_design(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    groups: Mapping[str, str] | None,
    sites: Mapping[str, str] | None,
    roles: Mapping[str, str] | None,
) -> Design:
    """Return the matched design; see `radgen.predict.evaluate` for the arguments.

    Raises
    ------
    InputError
        If there is no block, a role is unknown, or a sample has no patient or site.
    AlignmentError
        If too few samples are common to all tables.
    """
    if not blocks:
        raise InputError("There is no block of predictors to evaluate.")
    read = read_blocks(blocks, roles)
    known = np.flatnonzero(outcome.known)
    tables = {name: item[0] for name, item in read.items()}
    tables[f"outcome {outcome.name}"] = [outcome.samples[i] for i in known]
    matched = align(tables, need=10)
    rows = known[matched.rows[f"outcome {outcome.name}"]]
    target = outcome.values[rows].astype(np.float64)
    kind = outcome.kind
    if kind == "ordinal":
        raise InputError(
            f"Outcome {outcome.name!r} is ordinal; state it as binary or continuous to model it."
        )
    if kind == "censored":
        assert outcome.events is not None
        target = np.column_stack((target, outcome.events[rows].astype(np.float64)))
    parts = tuple(
        Block(name, read[name][3], read[name][1], read[name][2][matched.rows[name]])
        for name in blocks
    )
    patients = _lookup(matched.samples, groups, "patient")
    names, code = np.unique(np.array(patients, dtype=object), return_inverse=True)
    place = None if sites is None else tuple(_lookup(matched.samples, sites, "site"))
    return Design(
        matched.samples, target, kind, parts, code.astype(np.int64), tuple(names.tolist()), place,
        _dropped(matched.dropped, outcome, known), (), outcome.name, outcome.unit,
    )  # fmt: skip


def read_blocks(
    blocks: Mapping[str, Any], roles: Mapping[str, str] | None
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...], FloatArray, Role]]:
    """Return samples, columns, values and role of each block.

    Raises
    ------
    InputError
        If a table cannot be read as numbers or its role is unknown.
    """
    return {name: _read(name, table, roles) for name, table in blocks.items()}


def _dropped(frame: pl.DataFrame, outcome: Outcome, known: NDArray[Any]) -> pl.DataFrame:
    missing = {outcome.samples[i] for i in range(len(outcome.samples))} - {
        outcome.samples[i] for i in known
    }
    return frame.select(
        "sample",
        pl.when(pl.col("sample").is_in(sorted(missing)))
        .then(pl.lit("outcome missing"))
        .otherwise(pl.lit("not in ") + pl.col("absent_from"))
        .alias("reason"),
    )


def _lookup(samples: tuple[str, ...], found: Mapping[str, str] | None, what: str) -> list[str]:
    if found is None:
        return list(samples)
    missing = [item for item in samples if item not in found or found[item] is None]
    if missing:
        raise InputError(f"{len(missing)} samples have no {what}: {shown(missing)}.")
    return [str(found[item]) for item in samples]


def _read(
    name: str, table: Any, roles: Mapping[str, str] | None
) -> tuple[tuple[str, ...], tuple[str, ...], FloatArray, Role]:
    if isinstance(table, PhenotypeTable):
        found = table.samples, table.names, np.asarray(table.values), "imaging"
    elif isinstance(table, OmicsTable):
        found = table.samples, table.features, np.asarray(table.values), "genomic"
    elif isinstance(table, Covariates):
        found = table.samples, table.names, np.asarray(table.values), "clinical"
    else:
        found = (*_read_frame(name, table), _guess_role(name))
    role = found[3] if roles is None or name not in roles else roles[name]
    for known in ROLES:
        if role == known:
            return found[0], found[1], found[2], known
    raise InputError(f"Block {name!r} has the unknown role {role!r}; known: {shown(ROLES)}.")


def _guess_role(name: str) -> str:
    for role in ROLES:
        if role in name.lower():
            return role
    return "clinical"


def _read_frame(name: str, table: Any) -> tuple[tuple[str, ...], tuple[str, ...], FloatArray]:
    frame = to_polars(table, what=f"block {name!r}")
    if "sample" not in frame.columns:
        raise InputError(f"Block {name!r} has no column 'sample' with the ids.")
    columns: list[str] = []
    arrays: list[FloatArray] = []
    for series in frame.drop("sample"):
        if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
            columns.append(series.name)
            arrays.append(series.cast(pl.Float64).to_numpy())
            continue
        levels = sorted(series.drop_nulls().cast(pl.String).unique().to_list())
        if len(levels) > 20:
            raise InputError(
                f"Block {name!r}: column {series.name!r} is text with {len(levels)} values. Map it "
                "to fewer categories or leave it out."
            )
        text = series.cast(pl.String)
        for level in levels[1:]:
            columns.append(f"{series.name}={level}")
            arrays.append((text == level).cast(pl.Float64).to_numpy())
    ids = tuple(frame["sample"].cast(pl.String).to_list())
    values = np.column_stack(arrays) if arrays else np.empty((len(ids), 0))
    return ids, tuple(columns), values.astype(np.float64)
