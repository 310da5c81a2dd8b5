"""From tables to one matrix a block, rows matched by id."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import InputError, shown
from radgen.predict.copies import join_copies
from radgen.types import (
    Covariates,
    OmicsTable,
    Outcome,
    PhenotypeTable,
    SampleArrays,
    align,
    to_polars,
)

__all__ = ["ROLES", "Block", "Design", "Table", "build_design", "read_blocks"]

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
    units : tuple of str (p,)
        "" = not stated.
    levels : mapping of str to tuple of str
        Values of each text column, the reference first; its columns are named "sex=M".
    layout : {"table", "crops", "bags"}
        Arrays (see `radgen.types.SampleArrays`) stand flat in `values`, as float32, and reach the
        model as they are.
    shape : tuple of int
        Of the array of a sample; () for tables.
    volume : float64 (n, 1) or None
        Volume of the region of crops.
    """

    name: str
    role: Role
    columns: tuple[str, ...]
    values: FloatArray
    units: tuple[str, ...] = ()
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    layout: str = "table"
    shape: tuple[int, ...] = ()
    volume: FloatArray | None = None

    @property
    def present(self) -> NDArray[np.bool_]:
        """Rows with a value at least, (n,)."""
        if not self.values.shape[1]:
            return np.ones(len(self.values), dtype=bool)
        return np.asarray(np.isfinite(self.values).any(axis=1))


@dataclass(frozen=True, eq=False)
class Table:
    """A table of predictors as read, before samples are matched.

    Attributes
    ----------
    samples : tuple of str (n,)
    columns, values, role, units, levels, layout, shape, volume
        As in `Block`.
    strange : mapping of int to str
        Row and reason where a text value is not among the known levels (NaN in `values`).
    """

    samples: tuple[str, ...]
    columns: tuple[str, ...]
    values: FloatArray
    role: Role
    units: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    strange: Mapping[int, str]
    layout: str = "table"
    shape: tuple[int, ...] = ()
    volume: FloatArray | None = None


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

    def volume(self, wanted: str | None) -> Block | None:
        """Return the volume as a block: the named column, or the first that is known."""
        for block in self.blocks:
            if wanted is None and block.volume is not None:
                return Block("volume", "clinical", ("volume",), block.volume)
            if block.layout != "table":
                continue
            for j, name in enumerate(block.columns):
                known = block.role == "imaging" and _VOLUME.search(name)
                if name == wanted or (wanted is None and known):
                    return Block("volume", "clinical", (name,), block.values[:, [j]])
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
    keep: bool = False,
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
    own = [outcome.samples[i] for i in known]
    tables: dict[str, Sequence[str]] = {name: item.samples for name, item in read.items()}
    if keep:
        samples, places = _places_of_some(own, tables)
        rows = known[align({"outcome": own, "design": samples}).rows["outcome"]]
        dropped = _dropped(pl.DataFrame(schema=_LEFT_OUT), outcome, known)
    else:
        tables[f"outcome {outcome.name}"] = own
        matched = align(tables, need=10)
        samples, places = matched.samples, dict(matched.rows)
        rows = known[places[f"outcome {outcome.name}"]]
        dropped = _dropped(matched.dropped, outcome, known)
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
        Block(
            name, t.role, t.columns, _taken(t.values, places[name]), t.units, t.levels, t.layout,
            t.shape, None if t.volume is None else _taken(t.volume, places[name]),
        )
        for name, t in read.items()
    )  # fmt: skip
    patients = _lookup(samples, groups, "patient")
    code = np.unique(np.array(patients, dtype=object), return_inverse=True)[1]
    measured = [_telling(block) for block in parts if block.role != "clinical"]
    code, notes = join_copies(measured, samples, code.astype(np.int64))
    place = None if sites is None else tuple(_lookup(samples, sites, "site"))
    notes += _absences(parts, len(samples)) if keep else ()
    return Design(
        samples, target, kind, parts, code, _first_names(patients, code), place, dropped, notes,
        outcome.name, outcome.unit,
    )  # fmt: skip


def _telling(block: Block) -> FloatArray:
    """Return the columns by which copies are known; a few hundred voxels of a crop are enough."""
    step = 1 if block.layout == "table" else max(block.values.shape[1] // 400, 1)
    return np.asarray(block.values[:, ::step], dtype=np.float64)


def _first_names(patients: Sequence[str], code: NDArray[np.int64]) -> tuple[str, ...]:
    first = np.unique(code, return_index=True)[1]
    return tuple(patients[row] for row in first)


_LEFT_OUT = {"sample": pl.String, "present_in": pl.String, "absent_from": pl.String}


def _places_of_some(
    samples: Sequence[str], tables: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int64]]]:
    """Return the samples that stand in one table or more, and their row in each (-1 = none)."""
    order = {item: k for k, item in enumerate(samples)}
    places = {}
    for name, ids in tables.items():
        place = np.full(len(samples), -1, dtype=np.int64)
        matched = align({name: ids, "outcome": samples})
        place[[order[item] for item in matched.samples]] = matched.rows[name]
        places[name] = place
    some = np.flatnonzero(np.max(list(places.values()), axis=0) >= 0)
    return tuple(samples[i] for i in some), {name: place[some] for name, place in places.items()}


def _taken(values: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
    out = values[rows]
    out[rows < 0] = np.nan
    return out if out.dtype == np.float32 else np.asarray(out, dtype=np.float64)


def _absences(parts: Sequence[Block], n: int) -> tuple[str, ...]:
    lost = {block.name: n - int(block.present.sum()) for block in parts}
    return tuple(
        f"{count} of {n} samples have no {name} data; they are imputed there and do not train that "
        "block."
        for name, count in lost.items()
        if count
    )


def read_blocks(
    blocks: Mapping[str, Any],
    roles: Mapping[str, str] | None,
    *,
    known: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
) -> dict[str, Table]:
    """Return each block as numbers.

    Parameters
    ----------
    blocks : mapping of str to PhenotypeTable, OmicsTable, Covariates, SampleArrays or data frame
        Predictors.
    roles : mapping of str to str, or None
        As in `radgen.predict.evaluate`.
    known : mapping of block to mapping of column to levels, or None
        Levels of text columns as a fitted model knows them (other columns are then numbers);
        None = those that occur.

    Raises
    ------
    InputError
        If a table cannot be read as numbers or its role is unknown.
    """
    given = known or {}
    return {name: _read(name, table, roles, given.get(name)) for name, table in blocks.items()}


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
    name: str,
    table: Any,
    roles: Mapping[str, str] | None,
    known: Mapping[str, tuple[str, ...]] | None,
) -> Table:
    units: tuple[str, ...] = ()
    levels: Mapping[str, tuple[str, ...]] = {}
    strange: Mapping[int, str] = {}
    if isinstance(table, SampleArrays):
        return _read_arrays(name, table, roles)
    if isinstance(table, PhenotypeTable):
        found = table.samples, table.names, np.asarray(table.values)
        guess, units = "imaging", tuple(table.specs["unit"].fill_null("").to_list())
    elif isinstance(table, OmicsTable):
        found = table.samples, table.features, np.asarray(table.values)
        guess = "genomic"
    elif isinstance(table, Covariates):
        found = table.samples, table.names, np.asarray(table.values)
        guess = "clinical"
    else:
        found, levels, strange = _read_frame(name, table, known)
        guess = _guess_role(name)
    role = guess if roles is None or name not in roles else roles[name]
    units = units or ("",) * len(found[1])
    for one in ROLES:
        if role == one:
            return Table(*found, one, units, levels, strange)
    raise InputError(f"Block {name!r} has the unknown role {role!r}; known: {shown(ROLES)}.")


def _read_arrays(name: str, table: SampleArrays, roles: Mapping[str, str] | None) -> Table:
    if (roles or {}).get(name, "imaging") != "imaging":
        raise InputError(f"Block {name!r} holds {table.layout}: its role is imaging.")
    values: Any = table.flat()
    volume = None if table.volume_mm3 is None else table.volume_mm3[:, None]
    return Table(
        table.samples, tuple(f"{table.layout} {k}" for k in range(values.shape[1])), values,
        "imaging", (), {}, {}, table.layout, table.shape, volume,
    )  # fmt: skip


def _guess_role(name: str) -> str:
    for role in ROLES:
        if role in name.lower():
            return role
    return "clinical"


Columns = tuple[tuple[str, ...], tuple[str, ...], FloatArray]


def _read_frame(
    name: str, table: Any, known: Mapping[str, tuple[str, ...]] | None
) -> tuple[Columns, dict[str, tuple[str, ...]], dict[int, str]]:
    frame = to_polars(table, what=f"block {name!r}")
    if "sample" not in frame.columns:
        raise InputError(f"Block {name!r} has no column 'sample' with the ids.")
    columns: list[str] = []
    arrays: list[FloatArray] = []
    found: dict[str, tuple[str, ...]] = {}
    strange: dict[int, str] = {}
    for series in frame.drop("sample"):
        wanted = None if known is None else known.get(series.name)
        plain = series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)
        if plain and wanted is None:
            columns.append(series.name)
            arrays.append(series.cast(pl.Float64).to_numpy())
            continue
        text = _text(series)
        if known is not None and wanted is None:
            raise InputError(
                f"Block {name!r}: the model takes {series.name!r} as a number; found is text such "
                f"as {shown([repr(item) for item in text.drop_nulls().unique().sort()], 3)}."
            )
        levels = _levels(name, text) if wanted is None else wanted
        found[series.name] = levels
        odd = text.is_not_null() & ~text.is_in(list(levels))
        for row in np.flatnonzero(odd.fill_null(False).to_numpy()):
            strange[int(row)] = f"{series.name} is {text[int(row)]!r}, known are {shown(levels)}"
        text = text.set(odd.fill_null(False), None)
        for level in levels[1:]:
            columns.append(f"{series.name}={level}")
            arrays.append((text == level).cast(pl.Float64).to_numpy())
    ids = tuple(frame["sample"].cast(pl.String).to_list())
    values = np.column_stack(arrays) if arrays else np.empty((len(ids), 0))
    return (ids, tuple(columns), values.astype(np.float64)), found, strange


def _text(series: pl.Series) -> pl.Series:
    if not series.dtype.is_float():
        return series.cast(pl.String)
    cells = [None if value is None else f"{value:g}" for value in series.to_list()]
    return pl.Series(series.name, cells, dtype=pl.String)


def _levels(name: str, text: pl.Series) -> tuple[str, ...]:
    levels = tuple(sorted(text.drop_nulls().unique().to_list()))
    if len(levels) > 20:
        raise InputError(
            f"Block {name!r}: column {text.name!r} is text with {len(levels)} values. Map it to "
            "fewer categories or leave it out."
        )
    return levels
