"""Repeatability of phenotypes from test-retest tables, readers or perturbations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.stats.reliability import (
    IccForm,
    concordance_correlation,
    icc,
    within_subject,
)
from radgen.types import PhenotypeTable, Result, align

__all__ = ["RepeatabilityResult", "measure_repeatability"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RepeatabilityResult(Result):
    """Agreement of repeated measurements, a row a phenotype.

    Attributes
    ----------
    frame : polars.DataFrame
        ``phenotype, icc, icc_low, icc_high, ccc, wcv, repeatability, n_subjects, n_repeats``. The
        ccc is that of the first two repeats; wcv (within-subject coefficient of variation) is
        null where a mean is not positive; repeatability is in the unit of the phenotype.
    """

    kind: ClassVar[str] = "repeatability"

    def statements(self) -> tuple[str, ...]:
        """Return how many phenotypes are repeatable, by estimate and by lower bound."""
        limit = float(self.params["threshold"])
        good = int((self.frame["icc"] >= limit).sum())
        sure = int((self.frame["icc_low"] >= limit).sum())
        text = (
            f"{good} of {self.frame.height} phenotypes have an ICC({self.params['form']}) of "
            f"{limit:g} or more; for {sure} the lower confidence bound reaches it."
        )
        return (text,)

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            f"Repeatability was measured in {self.n_used} subjects by ICC({self.params['form']}) "
            f"with F-based {self.params['confidence']:.0%} intervals, Lin's concordance "
            "correlation, within-subject coefficient of variation and repeatability coefficient."
        )


def measure_repeatability(
    tables: Mapping[str, PhenotypeTable],
    *,
    form: IccForm = "1,1",
    threshold: float = 0.75,
    confidence: float = 0.95,
) -> RepeatabilityResult:
    """Return the agreement of each phenotype over repeats of the same subjects.

    Parameters
    ----------
    tables : mapping of repeat to PhenotypeTable
        Test and retest, readers, perturbations; subjects are matched by sample id and
        phenotypes by name.
    form : {"1,1", "2,1", "3,1", "1,k", "2,k", "3,k"}
        ICC form.
    threshold : float, default 0.75
        Used in the statement.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    RepeatabilityResult
        Subjects with a missing value are left out of that phenotype; fewer than three subjects
        give null.

    Raises
    ------
    InputError
        If there are fewer than two tables or no common phenotype.
    """
    if len(tables) < 2:
        raise InputError("Repeatability needs two or more tables of the same subjects.")
    matched = align({name: table.samples for name, table in tables.items()}, need=3)
    first = next(iter(tables.values()))
    names = [n for n in first.names if all(n in set(t.names) for t in tables.values())]
    if not names:
        raise InputError("The tables have no phenotype name in common.")
    cube = np.stack(
        [_columns(table, names)[matched.rows[key]] for key, table in tables.items()], axis=1
    )
    rows = [_row(name, cube[:, :, j], form, confidence) for j, name in enumerate(names)]
    columns = {
        "phenotype": pl.String, "icc": pl.Float64, "icc_low": pl.Float64, "icc_high": pl.Float64,
        "ccc": pl.Float64, "wcv": pl.Float64, "repeatability": pl.Float64,
        "n_subjects": pl.Int64, "n_repeats": pl.Int64,
    }  # fmt: skip
    return RepeatabilityResult(
        frame=pl.DataFrame(rows, schema=columns, orient="row"),
        params={"form": form, "threshold": threshold, "confidence": confidence},
        n_used=matched.n_samples,
        dropped=matched.dropped.select("sample", reason=pl.lit("not in ") + pl.col("absent_from")),
    )


def _columns(table: PhenotypeTable, names: list[str]) -> FloatArray:
    place = {name: j for j, name in enumerate(table.names)}
    return np.asarray(table.values)[:, [place[name] for name in names]]


def _row(name: str, ratings: FloatArray, form: IccForm, confidence: float) -> tuple[Any, ...]:
    complete = ratings[np.isfinite(ratings).all(axis=1)]
    n, k = complete.shape
    if n < 3:
        return (name, None, None, None, None, None, None, n, k)
    found = icc(complete, form, confidence=confidence)
    ccc = concordance_correlation(complete[:, 0], complete[:, 1])
    inside = within_subject(complete, confidence=confidence)
    values = (found.estimate, found.ci_low, found.ci_high, ccc.estimate, inside.cv)
    known = tuple(v if np.isfinite(v) else None for v in values)
    return (name, *known, inside.repeatability, n, k)
