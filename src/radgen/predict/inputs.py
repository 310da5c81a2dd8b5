"""Tables of files as an evaluation takes them: features, clinical columns, an outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen._core.naming import counted, did_you_mean
from radgen.errors import InputError, shown
from radgen.io.feature_tables import read_feature_table
from radgen.io.plain import read_plain
from radgen.io.sample_arrays import read_sample_arrays
from radgen.io.tables import read_table, text_of
from radgen.predict._spellings import PARTED, state_of, take_sides, two_states
from radgen.predict.fitting import FittedModel
from radgen.types import Outcome, PhenotypeTable, SampleArrays, align

__all__ = [
    "ModelInputs",
    "against_the_rest",
    "model_tables",
    "named_arrays",
    "read_inputs",
    "read_plain",
]

_TRUE = {"1", "1.0", "true", "yes", "y", "dead", "deceased", "event", "died"}
_FALSE = {"0", "0.0", "false", "no", "n", "alive", "censored", "living"}


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """What an evaluation, a fit or a validation takes.

    Attributes
    ----------
    blocks : mapping of str to table
        Predictors.
    outcome : Outcome
    groups, sites : mapping of sample to patient or site, or None
    notes : tuple of str
        Cells that could not be read as numbers, and the like.
    """

    blocks: Mapping[str, Any]
    outcome: Outcome
    groups: Mapping[str, str] | None = None
    sites: Mapping[str, str] | None = None
    notes: tuple[str, ...] = field(default=())


def read_inputs(
    outcomes: str | Path,
    target: str,
    *,
    features: Sequence[str | Path] = (),
    genomic: Sequence[str | Path] = (),
    arrays: Sequence[str | Path] = (),
    clinical: Sequence[str] = (),
    positive: str | None = None,
    negative: str | None = None,
    event: str | None = None,
    unit: str = "",
    id_name: str | None = None,
    patient: str | None = None,
    site: str | None = None,
    one_site: str | None = None,
    exclude: Sequence[str] = (),
    predictors: bool = True,
) -> ModelInputs:
    """Return predictors and outcome from files.

    Parameters
    ----------
    outcomes : str or Path
        Table with the outcome, clinical columns, patient and site.
    target : str
        Column of the outcome; of the time where `event` is given.
    features, genomic : sequence of path
        Tables of image features, and of molecular features, a row a sample.
    arrays : sequence of path
        Files of crops of scans or bags of tiles (`radgen.io.write_sample_arrays`), for networks.
    clinical : sequence of str
        Columns of `outcomes` that are predictors; text is expanded.
    positive : str or None
        Value of the target that counts as positive, against all others. Where all values of the
        column read as altered or normal, every spelling of it ("mutant": "IDH-mutant", "MUT",
        "R132H"); several values parted by ``|`` are these and no others.
    negative : str or None
        Or: the value that counts as negative, against all others (wildtype, say).
    event : str or None
        Column that says whether the event happened (1, yes, dead) or not (0, no, alive).
    unit : str, default ""
        Of a time or a continuous outcome.
    id_name : str or None
        Column of sample ids in all tables that have it.
    patient, site : str or None
        Columns of `outcomes`.
    one_site : str or None
        Name of the site where all samples are of one.
    exclude : sequence of str
        Columns of the feature tables that are no features.
    predictors : bool, default True
        False: outcome, patients and sites alone are read.

    Returns
    -------
    ModelInputs
        Matched by id later, in `radgen.predict.evaluate`.

    Raises
    ------
    InputError
        If a column does not exist, there is no predictor, the target is among them, or its kind
        cannot be told.
    FormatError, AlignmentError
        If a table cannot be read, or ids repeat.
    """
    frame, notes = read_plain(outcomes, id_name=_known(outcomes, id_name))
    for name in (target, event, patient, site, *clinical):
        if name is not None and name not in frame.columns:
            raise InputError(
                f"{outcomes}: no column {name!r}. {did_you_mean(name, frame.columns[1:])}"
            )
    circular = sorted({target, event} & {*clinical})
    if circular:
        raise InputError(f"{shown(circular)} is the outcome and cannot be a predictor.")
    blocks: dict[str, Any] = {}
    for paths, role in ((features, "imaging"), (genomic, "genomic")):
        for path in paths:
            name = role if len(paths) == 1 else f"{role}: {Path(path).name.split('.')[0]}"
            blocks[name] = read_feature_table(
                path, id_column=_known(path, id_name), exclude={target, *exclude}
            )
            notes += _no_numbers(blocks[name], path)
    blocks |= named_arrays(arrays)
    if clinical:
        blocks["clinical"] = frame.select("sample", *clinical)
    if not blocks and predictors:
        raise InputError("There is no predictor: give feature tables, or clinical columns.")
    known, told = _outcome(frame, target, event, (positive, negative), unit)
    ids = frame["sample"].to_list()
    return ModelInputs(
        blocks,
        known,
        None if patient is None else _labels(frame, patient),
        dict.fromkeys(ids, one_site) if one_site else _sites(frame, site),
        (*notes, *(f"{Path(outcomes).name}: {text}" for text in told)),
    )


def named_arrays(paths: Sequence[str | Path]) -> dict[str, SampleArrays]:
    """Return files of crops or bags as blocks, named by what they hold.

    Raises
    ------
    FormatError
        If a file is no such file.
    """
    found = [read_sample_arrays(path) for path in paths]
    return {
        item.layout if len(found) == 1 else f"{item.layout}: {Path(path).stem}": item
        for path, item in zip(paths, found, strict=True)
    }


def _no_numbers(table: PhenotypeTable, path: str | Path) -> list[str]:
    odd = table.status.filter(pl.col("reason").str.starts_with("the cell holds"))
    if not odd.height:
        return []
    cells = [
        f"{phenotype} of {sample}: {reason.removeprefix('the cell holds ').split(', no')[0]}"
        for sample, phenotype, reason in odd.select("sample", "phenotype", "reason").iter_rows()
    ]
    return [
        f"{Path(path).name}: {counted(odd.height, 'cell')} without a number ({shown(cells, 3)}), "
        "taken as missing"
    ]


def _known(path: str | Path, id_name: str | None) -> str | None:
    """Return the id column where this table has it; another table may name its ids otherwise."""
    if id_name is None or id_name not in read_table(path).columns:
        return None
    return id_name


def _labels(frame: pl.DataFrame, name: str) -> dict[str, str]:
    empty = frame.filter(pl.col(name).is_null())["sample"].to_list()
    if empty:
        raise InputError(f"{len(empty)} samples have no {name!r}: {shown(empty)}. Fill it in.")
    texts = text_of(frame[name], path=name)
    return dict(zip(frame["sample"].to_list(), texts, strict=True))


def _sites(frame: pl.DataFrame, name: str | None) -> dict[str, str] | None:
    return None if name is None else _labels(frame, name)


def _outcome(
    frame: pl.DataFrame,
    target: str,
    event: str | None,
    sides: tuple[str | None, str | None],
    unit: str,
) -> tuple[Outcome, tuple[str, ...]]:
    samples = tuple(frame["sample"].to_list())
    column = frame[target]
    if event is not None:
        return _censored(frame, target, event, unit), ()
    positive, negative = sides
    if positive is not None and negative is not None:
        raise InputError("Say which value is positive or which is negative, not both.")
    if positive is not None:
        return _against_rest(samples, column, positive)
    if negative is not None:
        found, notes = _against_rest(samples, column, negative)
        return replace(found, values=1 - found.values, levels=found.levels[::-1]), notes
    if column.dtype == pl.Float64:
        values = column.to_numpy().astype(np.float64)
        known = np.unique(values[np.isfinite(values)])
        kind: Any = "binary" if set(known) <= {0.0, 1.0} and len(known) == 2 else "continuous"
        if len(known) == 2 and kind != "binary":
            raise InputError(
                f"{target!r} has the two values {shown(known)}. Say which one is positive."
            )
        if len(known) < 2:
            raise InputError(f"{target!r} has the same value in all samples, or none.")
        return Outcome(target, kind, samples, values, unit=unit if kind != "binary" else ""), ()
    raise InputError(_say_which(column))


def _against_rest(
    samples: tuple[str, ...], column: pl.Series, named: str
) -> tuple[Outcome, tuple[str, ...]]:
    if column.dtype == pl.Float64:
        text = pl.Series([None if v is None else f"{v:g}" for v in column.to_list()])
    else:
        text = column.cast(pl.String)
    counts = Counter(item for item in text.to_list() if item is not None)
    sides = take_sides(sorted(counts), counts, named, column.name)
    if not sides.other:
        raise InputError(
            f"{column.name!r}: all known values are {named!r} ({shown(sorted(sides.named), 10)}). "
            "There is nothing to tell apart."
        )
    values = np.array(
        [
            np.nan if item is None or item in sides.missing else float(item in sides.named)
            for item in text.to_list()
        ]
    )
    rest = sorted(sides.other)
    label = named.rstrip(PARTED)
    other = rest[0] if len(rest) == 1 else f"not {label}"
    return Outcome(column.name, "binary", samples, values, levels=(other, label)), sides.notes


def _say_which(column: pl.Series) -> str:
    """Return the question which value is positive, with an answer where one is likely."""
    counts = Counter(item for item in column.to_list() if item is not None)
    states = two_states(sorted(counts), column.name)
    text = f"{column.name!r} is text with the values {shown(sorted(counts), 10)}. Say which one is"
    if set(states.values()) == {0.0, 1.0}:
        sums = [sum(counts[k] for k, v in states.items() if v == side) for side in (1.0, 0.0)]
        words = [k for k, v in states.items() if v == 1.0 and not state_of(k, column.name)[1]]
        best = min(words, key=lambda k: (-counts[k], k), default="mutant")
        return (
            f"{text} positive: {best!r} takes all {sums[0]} that read as altered, in any spelling, "
            f"against {sums[1]} that read as normal."
        )
    return f"{text} positive, or which is negative; the others are then the other class."


def _censored(frame: pl.DataFrame, target: str, event: str, unit: str) -> Outcome:
    time = frame[target]
    if time.dtype != pl.Float64:
        raise InputError(f"{target!r} is the time and must be a number.")
    happened: list[bool] = []
    unknown = []
    flags = frame[event].to_list()
    for cell in flags:
        text = "" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell).lower()
        happened.append(text in _TRUE)
        if text and text not in _TRUE | _FALSE:
            unknown.append(text)
    if unknown:
        raise InputError(
            f"{event!r} says whether the event happened, as 1/0, yes/no or dead/alive; found is "
            f"{shown(dict.fromkeys(unknown))}."
        )
    values = time.to_numpy().astype(np.float64)
    values[np.array([cell is None for cell in flags])] = np.nan
    samples = tuple(frame["sample"].to_list())
    return Outcome(target, "censored", samples, values, np.array(happened), unit=unit)


def against_the_rest(
    outcomes: str | Path, target: str, *, id_name: str | None = None
) -> tuple[str, ...]:
    """Return the values of a category, each to be modelled against all others.

    Parameters
    ----------
    outcomes : str or Path
        Table with the category.
    target : str
        Its column.
    id_name : str or None
        Column of sample ids.

    Raises
    ------
    InputError
        If the column does not exist, or has fewer than two or more than twenty values.
    """
    frame, _ = read_plain(outcomes, id_name=_known(outcomes, id_name))
    if target not in frame.columns:
        raise InputError(
            f"{outcomes}: no column {target!r}. {did_you_mean(target, frame.columns[1:])}"
        )
    values = frame[target].drop_nulls().unique().sort().to_list()
    if not 2 <= len(values) <= 20:
        raise InputError(f"{target!r} has {len(values)} values; needed are two to twenty.")
    return tuple(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def model_tables(
    model: FittedModel, paths: Sequence[str | Path], *, id_name: str | None = None
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
        frame, odd = read_plain(path, id_name=_known(path, id_name))
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
    model: FittedModel, paths: Sequence[str | Path], *, id_name: str | None = None
) -> pl.DataFrame | None:
    """Return batches and kept covariates of new samples, by the columns of training.

    Parameters
    ----------
    model, paths, id_name
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
    tables = [(Path(path), read_plain(path, id_name=_known(path, id_name))[0]) for path in paths]
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
