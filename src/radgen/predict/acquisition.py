"""What harmonisation inside the folds knows of each row: batches, kept covariates, subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import clone

from radgen.errors import InputError, shown
from radgen.phenotype._batch_columns import refuse_outcome
from radgen.phenotype.harmonise_table import BatchColumns, variant
from radgen.types import align, to_polars

__all__ = ["Acquisition", "Harmonisation"]

FloatArray = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Batch, kept covariates and subject of each row.

    Attributes
    ----------
    batch : object (n,) or (n, k)
        Site or scanner; several batch variables side by side.
    kept : float64 (n, c)
        Covariates whose effects are kept, smooth ones first.
    subjects : object (n,) or None
        Whose scan it is (longitudinal).
    names : tuple of str (c,)
        Names of the covariates.
    """

    batch: NDArray[Any]
    kept: FloatArray
    subjects: NDArray[Any] | None = None
    names: tuple[str, ...] = ()

    @classmethod
    def of_sites(cls, sites: Sequence[str]) -> Acquisition:
        """Return one batch variable without covariates."""
        return cls(np.array(sites, dtype=object), np.empty((len(sites), 0)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The batch of each row as one text."""
        if self.batch.ndim == 1:
            return tuple(str(item) for item in self.batch)
        return tuple(" | ".join(map(str, row)) for row in self.batch)

    def take(self, rows: Rows) -> Acquisition:
        """Return some of the rows."""
        subjects = None if self.subjects is None else self.subjects[rows]
        return Acquisition(self.batch[rows], self.kept[rows], subjects, self.names)

    def fit(self, estimator: Any, values: FloatArray, target: FloatArray) -> Any:
        """Return the estimator fitted to these rows.

        Parameters
        ----------
        estimator : estimator
            Not fitted.
        values : float64 (n, p)
            Features.
        target : float64 (n,) or (n, 2)
            Outcome; compared with the covariates, and used for nothing else.

        Raises
        ------
        InputError
            If a kept covariate is the outcome.
        FitError
            If batches and covariates are confounded.
        """
        for column in np.atleast_2d(target.T):
            refuse_outcome(self.kept, self.names, (), column)
        return clone(estimator).fit(np.hstack((self.kept, values)), **self._metadata())

    def apply(self, fitted: Any, values: FloatArray) -> FloatArray:
        """Return features (n, p) without batch effects."""
        x = np.hstack((self.kept, values))
        return np.asarray(fitted.transform(x, **self._metadata()))

    def _metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {"batch": self.batch}
        return found if self.subjects is None else {**found, "subjects": self.subjects}


@dataclass(frozen=True, eq=False)
class Harmonisation:
    """Any variant of ComBat for the imaging blocks of a model, fitted inside the folds.

    Attributes
    ----------
    table : data frame
        ``sample`` and the columns named below.
    batch : str or sequence of str
        Site or scanner; several columns are removed one after another (nested).
    method : {"combat", "location-scale", "covbat"}
        See `radgen.phenotype.harmonise_table.make_harmoniser`.
    keep, smooth : sequence of str
        Covariates whose effects are kept, linearly or as curves; never an outcome.
    subject : str or None
        Whose scan a row is (longitudinal).
    reference : str or None
        A batch to which the others are moved.
    unseen : {"refuse", "adapt", "leave"} or None
        What is done with batches that training rows do not have; None = adapt where a site is
        left out or later patients are tested and in frozen models, otherwise refuse.
    shrink : bool, default False
        Empirical Bayes. It leaves a part of each site's chance shift in the training rows and
        the opposite part in new rows, from which a model can learn the wrong thing: see
        `radgen.predict.preprocess.harmoniser`.
    parametric, mean_only : bool
        As in `radgen.phenotype.ComBat`.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.DataFrame({"sample": ["a", "b"], "maker": ["GE", "Siemens"], "age": [60, 70]})
    >>> Harmonisation(table, "maker", keep=["age"]).rows(["b", "a"])[1].kept.tolist()
    [[70.0], [60.0]]
    """

    table: Any
    batch: str | Sequence[str]
    method: str = "location-scale"
    keep: Sequence[str] = ()
    smooth: Sequence[str] = ()
    subject: str | None = None
    reference: str | None = None
    unseen: str | None = None
    shrink: bool = False
    parametric: bool = True
    mean_only: bool = False

    @property
    def columns(self) -> BatchColumns:
        """Names of the columns, with the levels that covariates have in the table."""
        batch = (self.batch,) if isinstance(self.batch, str) else tuple(self.batch)
        found = BatchColumns(batch, tuple(self.keep), tuple(self.smooth), subject=self.subject)
        return found.learned(to_polars(self.table, what="the table of batches"))

    def rows(self, samples: Sequence[str]) -> tuple[BatchColumns, Acquisition]:
        """Return columns, and what is known of each sample.

        Raises
        ------
        InputError
            If a sample or a value is missing, or a column.
        """
        return self.columns, acquisition_of(self.columns, self.table, samples)

    def estimator(self, n_covariates: int, *, adapt: bool) -> Any:
        """Return the unfitted estimator; `adapt` is the policy where none is stated."""
        unseen = self.unseen or ("adapt" if adapt else "refuse")
        return variant(
            self.method, self.columns, n_covariates, unseen=unseen, reference=self.reference,
            shrink=self.shrink, parametric=self.parametric, mean_only=self.mean_only,
        )  # fmt: skip

    def words(self) -> str:
        """Return what it does, for the methods paragraph."""
        names = {"covbat": "CovBat"}
        what = names.get(self.method, "ComBat")
        batch = self.columns.batch
        if len(batch) > 1:
            what = "nested ComBat"
        if self.subject is not None:
            what = "longitudinal ComBat"
        shrunk = self.shrink and self.method != "location-scale"
        parts = [f"{what} of {', '.join(batch)} {'with' if shrunk else 'without'} empirical Bayes"]
        kept = [*self.keep, *(f"a curve of {name}" for name in self.smooth)]
        if kept:
            parts.append(f"keeping {', '.join(kept)}")
        if self.reference is not None:
            parts.append(f"moving to {self.reference}")
        return ", ".join(parts)


def acquisition_of(columns: BatchColumns, table: Any, samples: Sequence[str]) -> Acquisition:
    """Return what a table says of each sample.

    Raises
    ------
    InputError
        If a sample is not in the table, or a value or column is missing.
    """
    frame = to_polars(table, what="the table of batches")
    if "sample" not in frame.columns:
        raise InputError("The table of batches has no column 'sample' with the ids.")
    missing = [name for name in columns.names if name not in frame.columns]
    if missing:
        raise InputError(
            f"Harmonisation needs the columns {shown(columns.names)}; missing: {shown(missing)}."
        )
    ids = frame["sample"].cast(pl.String).to_list()
    lost = sorted(set(samples) - set(ids))
    if lost:
        raise InputError(
            f"{len(lost)} samples are not in the table of batches: {shown(lost)}. Leave them out "
            "or add them."
        )
    order = {name: k for k, name in enumerate(samples)}
    matched = align({"samples": samples, "batches": ids})
    places = np.empty(len(samples), dtype=np.int64)
    places[[order[name] for name in matched.samples]] = matched.rows["batches"]
    part = frame[places.tolist()]
    kept, names = columns.covariates(part)
    return Acquisition(columns.batches(part), kept, columns.subjects(part), names)


def place_of(
    sites: Any, columns: BatchColumns | None, samples: Sequence[str]
) -> Acquisition | None:
    """Return what is known of new samples: from a mapping of sites, or a table of batches.

    Parameters
    ----------
    sites : mapping of sample to str, data frame, or None
        A frame has ``sample`` and the columns of training.
    columns : BatchColumns or None
        Of training; None = one batch variable.
    samples : sequence of str
        The new samples.

    Raises
    ------
    InputError
        If a sample has no site, or a mapping is given where columns are needed.
    """
    if sites is None:
        return None
    if not isinstance(sites, Mapping):
        if columns is None:
            raise InputError("This model takes sites as a mapping of sample to site.")
        return acquisition_of(columns, sites, samples)
    unknown = [item for item in samples if item not in sites]
    if unknown:
        raise InputError(f"{len(unknown)} samples have no site: {shown(unknown)}.")
    if columns is not None and len(columns.names) > 1:
        raise InputError(
            f"This model harmonises by {shown(columns.names)}: pass sites as a table with sample "
            "and these columns."
        )
    return Acquisition.of_sites([str(sites[item]) for item in samples])


def pooled(place: Acquisition, columns: Sequence[str], pool: Any, notes: list[str]) -> Acquisition:
    """Return the rows with small batches put together, variable by variable.

    Parameters
    ----------
    place : Acquisition
        Rows of all samples.
    columns : sequence of str
        Names of the batch variables, for the notes.
    pool : callable
        ``pool(labels, notes)`` returns labels.
    notes : list of str
        Where it is said.
    """
    if place.batch.ndim == 1:
        return replace(place, batch=np.array(pool(tuple(place.batch), notes), dtype=object))
    parts = []
    for name, column in zip(columns, place.batch.T, strict=True):
        told: list[str] = []
        parts.append(pool(tuple(column), told))
        notes += [f"{name}: {text}" for text in told]
    return replace(place, batch=np.array(parts, dtype=object).T)
