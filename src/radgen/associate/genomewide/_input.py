"""Bring genotypes, phenotypes and covariates onto the same people, by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.id_names import FAMILY_NAMES, first_id_name
from radgen._core.naming import did_you_mean
from radgen.errors import AlignmentError, InputError, shown
from radgen.types import (
    Covariates,
    FrameLike,
    GenotypeMatrix,
    NumberTable,
    Outcome,
    PhenotypeTable,
    align,
    to_polars,
)

__all__ = [
    "GwasInput",
    "coded_missing",
    "id_column",
    "prepare",
    "prepare_survival",
    "to_covariates",
    "to_phenotypes",
]

EVENT = "event"
"""Column of the events of a censored outcome."""


@dataclass(frozen=True, eq=False, slots=True)
class GwasInput:
    """Matched input of a scan.

    Attributes
    ----------
    genotypes : GenotypeMatrix
        The samples in use, in genotype order.
    names : tuple of str (n_traits,)
        Names of the traits.
    values : ndarray of float64 (n_samples, n_traits)
        Traits, NaN = missing; no sample lacks all of them.
    covariates : ndarray of float64 (n_samples, n_covariates)
        Without intercept, no missing value.
    covariate_names : tuple of str
        Names of the covariates.
    reasons : tuple of (str, str)
        Samples that are left out, and why.
    notes : tuple of str
        What a reader must know.
    """

    genotypes: GenotypeMatrix
    names: tuple[str, ...]
    values: NDArray[np.float64]
    covariates: NDArray[np.float64]
    covariate_names: tuple[str, ...]
    reasons: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def dropped(self) -> pl.DataFrame:
        """Who is left out: columns ``sample, reason``."""
        schema = {"sample": pl.String, "reason": pl.String}
        return pl.DataFrame(list(self.reasons), schema=schema, orient="row")


def id_column(frame: pl.DataFrame, *, what: str) -> str:
    """Return the name of the column that holds sample ids.

    Raises
    ------
    InputError
        If no column has one of the usual names.
    """
    name = first_id_name(frame.columns)
    if name is None:
        raise InputError(
            f"The {what} has no column of sample ids: name it sample, IID, subject or patient_id. "
            f"Columns: {shown(frame.columns, 10)}."
        )
    return name


def to_covariates(table: Covariates | FrameLike) -> Covariates:
    """Return numeric covariates; a text column becomes one indicator a level but the first.

    Parameters
    ----------
    table : Covariates or data frame
        One row a sample; id column "sample", "IID", "Subject ID" or the like; "FID" is left aside.

    Raises
    ------
    InputError
        If there is no id column.
    AlignmentError
        If a sample id is repeated.
    """
    if isinstance(table, Covariates):
        return table
    if isinstance(table, NumberTable):
        key = first_id_name(table.columns)
        if key in table.texts:
            return _covariates(table.texts[key], _cells(table, key))
    frame = to_polars(table, what="covariate table")
    key = id_column(frame, what="covariate table")
    columns: dict[str, NDArray[np.float64] | Sequence[str | None]] = {}
    for name in frame.columns:
        if name == key or name in FAMILY_NAMES:
            continue
        series = frame[name]
        if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
            columns[name] = series.cast(pl.Float64).to_numpy().astype(float)
        else:
            columns[name] = series.cast(pl.String).to_list()
    return _covariates(frame[key].cast(pl.String).to_list(), columns)


def _cells(table: NumberTable, key: str) -> dict[str, NDArray[np.float64] | Sequence[str | None]]:
    """Return the columns of a table beside its ids, in order."""
    numbers = dict(zip(table.numbers, table.values.T, strict=True))
    left = [name for name in table.columns if name != key and name not in FAMILY_NAMES]
    return {name: table.texts[name] if name in table.texts else numbers[name] for name in left}


def _covariates(
    samples: Sequence[str | None],
    columns: Mapping[str, NDArray[np.float64] | Sequence[str | None]],
) -> Covariates:
    """Return covariates of columns of numbers and of words (None = missing)."""
    names: list[str] = []
    values: list[NDArray[np.float64]] = []
    for name, cells in columns.items():
        if isinstance(cells, np.ndarray):
            names.append(name)
            values.append(cells)
            continue
        levels = sorted({cell for cell in cells if cell is not None})
        code = {level: float(at) for at, level in enumerate(levels)}
        codes = np.array([np.nan if cell is None else code[cell] for cell in cells])
        for at, level in enumerate(levels[1:], 1):
            names.append(f"{name}={level}")
            values.append(np.where(np.isnan(codes), np.nan, codes == at))
    table = np.column_stack(values) if values else np.empty((len(samples), 0))
    return Covariates(tuple(samples), tuple(names), table)  # type: ignore[arg-type]


def to_phenotypes(
    phenotypes: PhenotypeTable | Outcome | FrameLike, only: Sequence[str] | None = None
) -> PhenotypeTable:
    """Return any table of traits as a phenotype table.

    Parameters
    ----------
    phenotypes : PhenotypeTable, Outcome or data frame
        Of a frame, one row a sample; id column "sample", "IID", "Subject ID" or the like; "FID"
        is left aside.
    only : sequence of str or None
        Columns of a frame that matter: others may hold text. Unknown names are left to the
        caller.

    Raises
    ------
    InputError
        If there is no id column or a trait is not numeric.
    AlignmentError
        If a sample id is repeated.
    """
    if isinstance(phenotypes, PhenotypeTable):
        return phenotypes
    if isinstance(phenotypes, Outcome):
        columns: dict[str, Any] = {phenotypes.name: phenotypes.values}
        if phenotypes.events is not None:
            columns[EVENT] = phenotypes.events.astype(float)
        phenotypes = {"sample": phenotypes.samples} | columns
    frame = to_polars(phenotypes, what="phenotype table")
    key = id_column(frame, what="phenotype table")
    frame = frame.drop([name for name in FAMILY_NAMES if name in frame.columns])
    if only is not None and set(only) <= set(frame.columns):
        frame = frame.select(key, *dict.fromkeys(name for name in only if name != key))
    _check_numeric(frame, key)
    return PhenotypeTable.from_frame(frame, sample=key)


def _traits(
    phenotypes: PhenotypeTable | Outcome | FrameLike, only: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float64]]:
    """Return samples, names and values of traits."""
    plain = _only_numbers(phenotypes, only)
    if plain is not None:
        return plain
    table = to_phenotypes(phenotypes, only)
    return table.samples, table.names, table.values


def _only_numbers(
    table: Any, only: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float64]] | None:
    """Return samples, names and values where the wanted columns are numbers; None elsewhere.

    Raises
    ------
    InputError
        If an id is blank.
    AlignmentError
        If a sample id is repeated.
    """
    if not isinstance(table, NumberTable):
        return None
    key = first_id_name(table.columns)
    if key not in table.texts or table.words(only):
        return None
    found = Covariates(tuple(table.texts[key]), table.numbers, table.values)  # type: ignore[arg-type]
    return found.samples, found.names, found.values


def _check_numeric(frame: pl.DataFrame, key: str) -> None:
    """Refuse text in a trait; say which cell."""
    for name, kind in zip(frame.columns, frame.dtypes, strict=True):
        if name == key or kind.is_numeric() or kind in (pl.Boolean, pl.Null):
            continue
        text = frame[name].cast(pl.String)
        bad = text.is_not_null() & text.cast(pl.Float64, strict=False).is_null()
        if not bad.any():
            continue
        row = int(bad.arg_max() or 0)
        raise InputError(
            f"Trait {name!r} holds {int(bad.sum())} cells that are no number, the first "
            f"{text[row]!r} of sample {frame[key][row]!r} (row {row + 1}). Write NA for missing "
            "values, or name the traits to scan (traits, --traits a,b)."
        )


def prepare_survival(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | Outcome | FrameLike,
    covariates: Covariates | FrameLike | None,
    traits: Sequence[str] | None,
    event: str | Sequence[str] | None,
) -> tuple[GwasInput, NDArray[np.float64]]:
    """Return the input of a scan of survival times, and the events (n_samples, n_traits).

    Raises
    ------
    InputError
        If times and events are not named one for one.
    """
    if isinstance(phenotypes, Outcome):
        traits, event = [phenotypes.name], EVENT
    if traits is None or event is None:
        raise InputError(
            "Survival needs the names of its columns: traits=['time'], event='event' "
            "(--traits time --event event); an event is 1, a censored time 0."
        )
    events = [event] if isinstance(event, str) else list(event)
    if len(events) != len(traits) or set(events) & set(traits):
        raise InputError(
            f"{len(traits)} times ({shown(traits)}) and {len(events)} events ({shown(events)}) are "
            "named; each time needs an event column of its own."
        )
    data = prepare(genotypes, phenotypes, covariates, [*traits, *dict.fromkeys(events)])
    k = len(traits)
    order = [data.names.index(name) for name in events]
    times = replace(data, names=data.names[:k], values=np.ascontiguousarray(data.values[:, :k]))
    return times, data.values[:, order]


def _aligned(tables: dict[str, Any], need: int) -> Any:
    """Return the alignment of tables; where ids differ by the family id only, say so.

    Raises
    ------
    AlignmentError
        If fewer than `need` samples are common.
    """
    try:
        return align(tables, need=need)
    except AlignmentError as error:
        ours = set(tables["genotypes"])
        theirs = next(ids for name, ids in tables.items() if name != "genotypes")
        short = {str(name).rsplit("_", 1)[-1] for name in ours}
        if len(short & set(map(str, theirs))) < need or len(ours & set(theirs)) >= need:
            raise
        raise AlignmentError(
            f"{error}\n  The genotypes name samples FID_IID: name those of the tables so, too "
            "(--ids fid_iid does where they have both columns).",
            missing=error.missing,
            repeated=error.repeated,
        ) from error


def coded_missing(data: GwasInput, model: str) -> GwasInput:
    """Return the input with PLINK's missing code -9 taken out of binary traits.

    Of other traits -9 may be a value: it stays, and a note says so.
    """
    nines = data.values == -9.0
    if not nines.any():
        return data
    values, notes = data.values.copy(), list(data.notes)
    for column in np.flatnonzero(nines.any(axis=0)):
        rest = values[~nines[:, column], column]
        levels = set(np.unique(rest[np.isfinite(rest)]).tolist())
        count = int(nines[:, column].sum())
        if model == "logistic" and levels in ({0.0, 1.0}, {1.0, 2.0}):
            values[nines[:, column], column] = np.nan
            notes.append(f"Trait {data.names[column]!r}: -9 is missing in {count} samples.")
        else:
            notes.append(
                f"Trait {data.names[column]!r} is -9 in {count} samples, which counts as a number. "
                "Write NA if it means missing."
            )
    return replace(data, values=values, notes=tuple(notes))


def _rows(values: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return rows of a matrix; the matrix itself where all are wanted in their order."""
    if len(rows) == len(values) and (rows == np.arange(len(rows))).all():
        return values
    return values[rows]


def prepare(
    genotypes: GenotypeMatrix,
    phenotypes: PhenotypeTable | Outcome | FrameLike,
    covariates: Covariates | FrameLike | None,
    traits: Sequence[str] | None,
    *,
    need: int = 3,
) -> GwasInput:
    """Return the input of a scan on the samples that stand in every table.

    Raises
    ------
    InputError
        If a trait is unknown or no trait is left.
    AlignmentError
        If fewer than `need` samples are common and complete, or an id is repeated.
    """
    samples, names, values = _traits(phenotypes, traits)
    if traits is not None:
        place = {name: at for at, name in enumerate(names)}
        unknown = [name for name in traits if name not in place]
        if unknown:
            raise InputError(f"No trait {unknown[0]!r}. {did_you_mean(unknown[0], names)}")
        values = values[:, [place[name] for name in traits]]
        names = tuple(traits)
    if not names:
        raise InputError("There is no trait to scan: the phenotype table has an id column only.")
    if len(set(names)) < len(names):
        raise InputError(f"Traits are named twice: {shown(names)}.")
    tables: dict[str, Any] = {"genotypes": genotypes.samples, "phenotypes": samples}
    extra = None if covariates is None else to_covariates(covariates)
    if extra is not None:
        tables["covariates"] = extra.samples
    found = _aligned(tables, need)
    reasons = [(name, f"absent from {absent}") for name, _, absent in found.left_out]
    y = _rows(values, found.rows["phenotypes"])
    wrong = np.isinf(y)
    if wrong.any():
        y = np.where(wrong, np.nan, y)
    x = np.empty((found.n_samples, 0)) if extra is None else extra.values[found.rows["covariates"]]
    whole = np.isfinite(x).all(axis=1)
    seen = np.isfinite(y).any(axis=1)
    for row in np.flatnonzero(~(whole & seen)):
        why = "every trait is missing" if whole[row] else "a covariate is missing"
        reasons.append((found.samples[row], why))
    keep = np.flatnonzero(whole & seen)
    notes = _lacking(() if extra is None else extra.names, x)
    if len(keep) < need:
        raise AlignmentError(
            f"{found.describe()}; only {len(keep)} of them have complete covariates and a trait; "
            f"needed are {need}. {' '.join(notes)}",
            missing=[sample for sample, _ in reasons],
        )
    rows = found.rows["genotypes"][keep]
    everyone = len(rows) == genotypes.n_samples and (rows == np.arange(len(rows))).all()
    return GwasInput(
        genotypes if everyone else genotypes.take_samples(rows),
        tuple(names),
        y if len(keep) == len(y) else y[keep],
        x[keep],
        () if extra is None else extra.names,
        tuple(reasons),
        (found.describe(), *notes) if reasons else (),
    )


def _lacking(names: tuple[str, ...], x: NDArray[np.float64]) -> tuple[str, ...]:
    """Return how many samples a missing covariate costs, and which covariates are missing."""
    lost = ~np.isfinite(x)
    samples = int(lost.any(axis=1).sum())
    if not samples:
        return ()
    most = np.argsort(-lost.sum(axis=0), kind="stable")[:5]
    counts = [f"{names[at]} in {lost[:, at].sum()}" for at in most if lost[:, at].any()]
    return (f"A covariate is missing in {samples} samples, left out: {', '.join(counts)}.",)
