"""Harmonise tables: choose the method by name, name columns, keep what is missing missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean, require_choice
from radgen.errors import InputError, shown
from radgen.phenotype._combat import tie_share
from radgen.phenotype.covbat import CovBat
from radgen.phenotype.harmonise import MAX_TIES, ComBat
from radgen.phenotype.longitudinal import LongitudinalComBat
from radgen.phenotype.nested import NestedComBat
from radgen.phenotype.portable import read_transformer, write_transformer

__all__ = [
    "METHODS",
    "BatchColumns",
    "TableHarmoniser",
    "fit_table",
    "make_harmoniser",
    "read_harmoniser",
    "untied",
    "variant",
]

FloatArray = NDArray[np.float64]

METHODS: Mapping[str, tuple[Any, bool]] = {
    "combat": (ComBat, True),
    "location-scale": (ComBat, False),
    "covbat": (CovBat, True),
}
"""Estimators of one batch variable by name, and whether with empirical Bayes."""


def make_harmoniser(method: str, **options: Any) -> Any:
    """Return an unfitted estimator of one batch variable.

    Parameters
    ----------
    method : {"combat", "location-scale", "covbat"}
        "location-scale" is ComBat without empirical Bayes.
    **options
        Parameters of the estimator.

    Returns
    -------
    estimator
        Takes ``batch=`` and ``covariates=``.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    require_choice(method, METHODS, what="harmonisation")
    make, eb = METHODS[method]
    return make(eb=eb, **options)


def untied(values: FloatArray) -> NDArray[np.bool_]:
    """Return which features can be shifted by batch without marking it, (p,).

    Parameters
    ----------
    values : float64 (n, p)
        NaN = missing.

    Returns
    -------
    bool (p,)
        False where more than 5 % of pairs of rows are equal, see `ComBat`.

    Raises
    ------
    InputError
        If no feature is left.
    """
    found = tie_share(values) <= MAX_TIES
    if not found.any():
        raise InputError(
            "All features have many equal values: shifted by batch, these would mark the batch. "
            "There is nothing to harmonise."
        )
    return found


@dataclass(frozen=True, eq=False)
class BatchColumns:
    """Names of the columns that harmonisation reads beside the features.

    Attributes
    ----------
    batch, keep, smooth : tuple of str
        Batch variables, covariates kept linearly, covariates kept as curves.
    levels : mapping of str to tuple of str
        Levels of covariates that are text, the first one the reference.
    subject : str or None
        Column of the subject (longitudinal).
    """

    batch: tuple[str, ...]
    keep: tuple[str, ...] = ()
    smooth: tuple[str, ...] = ()
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    subject: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, each once."""
        found = [*self.batch, *self.keep, *self.smooth]
        return tuple(dict.fromkeys(found if self.subject is None else [*found, self.subject]))

    def learned(self, table: pl.DataFrame) -> BatchColumns:
        """Return the columns with the levels of text covariates as a table has them.

        Raises
        ------
        InputError
            If a column is missing.
        """
        _require(table, self.names)
        levels = {
            name: tuple(sorted(table[name].drop_nulls().unique().to_list()))
            for name in self.keep
            if table[name].dtype == pl.String
        }
        return replace(self, levels=levels)

    def covariates(self, table: pl.DataFrame) -> tuple[FloatArray, tuple[str, ...]]:
        """Return covariates (n, k), smooth ones first, and the name of each column.

        Raises
        ------
        InputError
            If one is missing, no number, or has a level that was not there in training.
        """
        columns = [_numbers(table, [name]) for name in self.smooth]
        names = list(self.smooth)
        for name in self.keep:
            found = (
                _indicators(table[name], self.levels[name])
                if name in self.levels
                else _numbers(table, [name])
            )
            columns.append(found)
            names += [name] * found.shape[1]
        kept = np.hstack(columns) if columns else np.empty((table.height, 0))
        if not np.isfinite(kept).all():
            raise InputError(
                f"Kept covariates ({shown([*self.smooth, *self.keep])}) are missing in "
                f"{int((~np.isfinite(kept)).any(axis=1).sum())} rows; take those rows out."
            )
        return kept, tuple(names)

    def batches(self, table: pl.DataFrame) -> NDArray[Any]:
        """Return the batch of each row: object (n,), or (n, k) of several variables.

        Raises
        ------
        InputError
            If one is missing.
        """
        labels = [table[name].cast(pl.String).to_list() for name in self.batch]
        if any(item is None for column in labels for item in column):
            raise InputError(f"A batch ({shown(self.batch)}) is missing; take those rows out.")
        found = np.array(labels, dtype=object).T.reshape(table.height, len(labels))
        return found[:, 0] if len(labels) == 1 else found

    def subjects(self, table: pl.DataFrame) -> NDArray[Any] | None:
        """Return the subject of each row, or None."""
        if self.subject is None:
            return None
        return np.array(table[self.subject].cast(pl.String).to_list(), dtype=object)


@dataclass(frozen=True, eq=False)
class TableHarmoniser:
    """A fitted harmoniser with the names of the columns it works on.

    Attributes
    ----------
    estimator : estimator
        Fitted; its first columns are the smooth and the linear covariates.
    features : tuple of str
        Names of columns.
    tied : tuple of str
        Features with many equal values, which pass unchanged.
    columns : BatchColumns
        Batches, covariates, subject.
    median : float64 (n_features,)
        Training medians, which stand in for missing values.
    """

    estimator: Any
    features: tuple[str, ...]
    tied: tuple[str, ...]
    columns: BatchColumns
    median: FloatArray

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the table with its features harmonised; all other columns stay.

        Parameters
        ----------
        table : polars.DataFrame
            With the columns of training; missing features stay missing.

        Raises
        ------
        InputError
            If a column is missing, or a batch is unseen and the policy refuses it.
        """
        _require(table, [*self.features, *self.columns.names])
        values = _numbers(table, self.features)
        hole = ~np.isfinite(values)
        kept = self.columns.covariates(table)[0]
        x = np.hstack((kept, np.where(hole, self.median, values)))
        out = np.array(self.estimator.transform(x, **_metadata(self.columns, table)))
        out[hole] = np.nan
        fresh = [
            pl.Series(name, column, nan_to_null=True)
            for name, column in zip(self.features, out.T, strict=True)
        ]
        return table.with_columns(fresh)

    def write(self, path: Any) -> str:
        """Write it to a JSON file and return its digest."""
        about = {
            "features": list(self.features), "tied": list(self.tied),
            "batch": list(self.columns.batch), "keep": list(self.columns.keep),
            "smooth": list(self.columns.smooth), "subject": self.columns.subject,
            "levels": {k: list(v) for k, v in self.columns.levels.items()},
            "median": [float(v) for v in self.median],
        }  # fmt: skip
        return write_transformer(self.estimator, path, about=about)


def _metadata(columns: BatchColumns, table: pl.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {"batch": columns.batches(table)}
    subjects = columns.subjects(table)
    return found if subjects is None else {**found, "subjects": subjects}


def fit_table(
    table: pl.DataFrame,
    *,
    batch: Sequence[str],
    method: str = "combat",
    features: Sequence[str] = (),
    keep: Sequence[str] = (),
    smooth: Sequence[str] = (),
    subject: str | None = None,
    **options: Any,
) -> TableHarmoniser:
    """Return a harmoniser fitted to a table with a row a scan.

    Parameters
    ----------
    table : polars.DataFrame
        Features, batches and covariates.
    batch : sequence of str
        Column of the batch; several columns make it nested, with the best order.
    method : {"combat", "location-scale", "covbat"}
        See `make_harmoniser`; "covbat" takes one batch column and no subject.
    features : sequence of str
        Columns to harmonise; default: all numeric ones that are not named otherwise.
    keep : sequence of str
        Covariates whose effects are kept; text becomes indicators.
    smooth : sequence of str
        Numeric covariates kept as smooth functions.
    subject : str or None
        Column that says which rows are scans of the same subject (longitudinal ComBat).
    **options
        As `variant` takes them: ``unseen``, ``reference``, ``shrink``, ``parametric``,
        ``mean_only``.

    Returns
    -------
    TableHarmoniser
        Apply it to this table or to others.

    Raises
    ------
    InputError
        If a column is missing or not numeric, or options do not go together.
    FitError
        If batches and covariates are confounded.
    """
    if not batch:
        raise InputError("Name the column of the batch (site, scanner maker …).")
    columns = BatchColumns(tuple(batch), tuple(keep), tuple(smooth), subject=subject)
    columns = columns.learned(table)
    _require(table, features)
    wanted = tuple(features) or tuple(
        name
        for name in table.columns
        if name not in columns.names and table[name].dtype.is_numeric()
    )
    if not wanted:
        raise InputError("The table has no numeric column to harmonise.")
    values = _numbers(table, wanted)
    known = np.isfinite(values)
    if not known.any(axis=0).all():
        empty = [n for n, ok in zip(wanted, known.any(axis=0), strict=True) if not ok]
        raise InputError(f"These features hold no number: {shown(empty)}. Leave them out.")
    median = np.array([np.median(c[k]) for c, k in zip(values.T, known.T, strict=True)])
    live = untied(values)
    kept = columns.covariates(table)[0]
    estimator = variant(method, columns, kept.shape[1], **options)
    x = np.hstack((kept, np.where(known, values, median)[:, live]))
    estimator.fit(x, **_metadata(columns, table))
    return TableHarmoniser(
        estimator,
        features=tuple(n for n, ok in zip(wanted, live, strict=True) if ok),
        tied=tuple(n for n, ok in zip(wanted, live, strict=True) if not ok),
        columns=columns,
        median=median[live],
    )


def variant(
    method: str,
    columns: BatchColumns,
    n_covariates: int,
    *,
    unseen: str = "refuse",
    reference: str | None = None,
    shrink: bool | None = None,
    parametric: bool = True,
    mean_only: bool = False,
) -> Any:
    """Return the unfitted estimator that columns and options ask for.

    Parameters
    ----------
    method : {"combat", "location-scale", "covbat"}
        See `make_harmoniser`.
    columns : BatchColumns
        Several batch variables make it nested, a subject longitudinal.
    n_covariates : int
        Columns of covariates, which stand first in X, smooth ones before linear ones.
    unseen : {"refuse", "adapt", "leave"}
        What is done later with batches that were not there.
    reference : str or None
        A batch to which the others are moved.
    shrink : bool or None
        Empirical Bayes; None = as the method has it.
    parametric, mean_only : bool
        As in `ComBat`.

    Returns
    -------
    estimator
        Takes ``batch=``, and ``subjects=`` where it is longitudinal.

    Raises
    ------
    InputError
        If options do not go together.
    """
    require_choice(method, METHODS, what="harmonisation")
    eb = METHODS[method][1] if shrink is None else shrink
    n_smooth = len(columns.smooth)
    linear, smooth = tuple(range(n_smooth, n_covariates)), tuple(range(n_smooth))
    common: dict[str, Any] = {"covariate_columns": linear, "eb": eb, "unseen": unseen}
    if columns.subject is not None:
        if len(columns.batch) > 1 or n_smooth or reference is not None or method == "covbat" \
                or mean_only or not parametric:  # fmt: skip
            raise InputError(
                "Longitudinal ComBat takes one batch column, linear covariates, no reference, "
                "parametric shifts with scale, and the methods combat or location-scale."
            )
        return LongitudinalComBat(**common)
    common |= {"smooth_columns": smooth, "parametric": parametric, "mean_only": mean_only}
    if len(columns.batch) > 1:
        if reference is not None or method == "covbat":
            raise InputError(
                "Several batch columns take no reference, and the methods combat or location-scale."
            )
        return NestedComBat(**common)
    return METHODS[method][0](reference=reference, **common)


def read_harmoniser(path: Any) -> TableHarmoniser:
    """Return a harmoniser that `TableHarmoniser.write` wrote.

    Parameters
    ----------
    path : str or Path
        The JSON file.

    Raises
    ------
    FormatError
        If it is none such, or was changed.
    """
    estimator, about = read_transformer(path)
    columns = BatchColumns(
        tuple(about["batch"]),
        tuple(about["keep"]),
        tuple(about["smooth"]),
        {name: tuple(values) for name, values in about["levels"].items()},
        about["subject"],
    )
    return TableHarmoniser(
        estimator,
        tuple(about["features"]),
        tuple(about["tied"]),
        columns,
        np.array(about["median"], dtype=np.float64),
    )


def _require(table: pl.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        hint = did_you_mean(missing[0], table.columns)
        raise InputError(f"The table has no column {shown(missing)}. {hint}")


def _numbers(table: pl.DataFrame, names: Sequence[str]) -> FloatArray:
    columns = []
    for name in names:
        column = table[name]
        if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
            raise InputError(f"Column {name!r} is not numeric.")
        columns.append(column.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return np.column_stack(columns) if columns else np.empty((table.height, 0))


def _indicators(column: pl.Series, levels: Sequence[str]) -> FloatArray:
    strange = set(column.cast(pl.String).unique().to_list()) - {*levels, None}
    if strange:
        raise InputError(
            f"Covariate {column.name!r} has levels that were not there in training: "
            f"{shown(sorted(strange))}."
        )
    text = column.cast(pl.String)
    found = [
        (text == level).cast(pl.Float64).fill_null(float("nan")).to_numpy() for level in levels[1:]
    ]
    return np.column_stack(found) if found else np.empty((len(column), 0))
