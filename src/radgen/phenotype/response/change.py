"""Change of phenotypes between two examinations, beside what repeated scans differ by anyway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.phenotype.repeatability import RepeatabilityResult
from radgen.types import STATUS_COLUMNS, PhenotypeTable, align

__all__ = ["phenotype_change", "real_change"]

FloatArray = NDArray[np.float64]
How = Literal["difference", "relative", "log_ratio"]


def phenotype_change(
    before: PhenotypeTable,
    after: PhenotypeTable,
    *,
    how: How = "relative",
    days: Mapping[str, float] | None = None,
    per_days: float = 30.0,
) -> PhenotypeTable:
    """Return the change of each phenotype of each sample, as phenotypes.

    Parameters
    ----------
    before, after : PhenotypeTable
        Two examinations; samples and phenotypes are matched by name.
    how : {"difference", "relative", "log_ratio"}
        After minus before, that as a share of before, or the logarithm of their ratio.
    days : mapping of sample to days between the examinations, or None
        Given, changes are per `per_days`: of scans that are unequally far apart.
    per_days : float, default 30
        Length of time of a rate.

    Returns
    -------
    PhenotypeTable
        Columns named ``delta NAME``. A change that is not defined (a share or ratio of what is not
        positive, an examination without a value) is NaN and has a status row.

    Raises
    ------
    InputError
        If no phenotype is common to both, units differ, or days are missing or not positive.
    AlignmentError
        If no sample is common.

    Notes
    -----
    A function of one sample at a time: nothing is learnt, so it may stand before any split.

    Examples
    --------
    >>> import polars as pl
    >>> one = PhenotypeTable.from_frame(pl.DataFrame({"sample": ["a"], "volume": [10.0]}))
    >>> two = PhenotypeTable.from_frame(pl.DataFrame({"sample": ["a"], "volume": [6.0]}))
    >>> phenotype_change(one, two).values
    array([[-0.4]])
    """
    require_choice(how, ("difference", "relative", "log_ratio"), what="kind of change")
    names, rows, first, second = _matched(before, after)
    samples = rows.samples
    rate = np.ones(len(samples))
    if days is not None:
        bad = [s for s in samples if not float(days.get(s, np.nan)) > 0]
        if bad:
            raise InputError(f"{len(bad)} samples without a positive number of days: {shown(bad)}.")
        rate = per_days / np.array([float(days[s]) for s in samples])
    with np.errstate(divide="ignore", invalid="ignore"):
        if how == "difference":
            change, usable = second - first, np.ones_like(first, dtype=bool)
        elif how == "relative":
            change, usable = (second - first) / first, first > 0
        else:
            change, usable = np.log(second / first), (first > 0) & (second > 0)
    known = np.isfinite(first) & np.isfinite(second)
    change = np.where(known & usable, change, np.nan) * rate[:, None]
    return PhenotypeTable(
        samples, change, _specs(before, names, how), _status(samples, names, known, usable)
    )


def _matched(
    before: PhenotypeTable, after: PhenotypeTable
) -> tuple[list[str], Any, FloatArray, FloatArray]:
    names = [name for name in before.names if name in set(after.names)]
    if not names:
        raise InputError(
            f"No phenotype stands in both tables: {shown(before.names)}; {shown(after.names)}."
        )
    units = [dict(t.specs.select("name", "unit").iter_rows()) for t in (before, after)]
    other = [f"{n} ({units[0][n]}, {units[1][n]})" for n in names if units[0][n] != units[1][n]]
    if other:
        raise InputError(f"Phenotypes in two units: {shown(other)}. Convert them.")
    rows = align({"before": before.samples, "after": after.samples})
    at = [[t.names.index(name) for name in names] for t in (before, after)]
    first = np.asarray(before.values[np.ix_(rows.rows["before"], at[0])])
    second = np.asarray(after.values[np.ix_(rows.rows["after"], at[1])])
    return names, rows, first, second


def _specs(before: PhenotypeTable, names: list[str], how: How) -> pl.DataFrame:
    order = pl.DataFrame({"name": names})
    found = order.join(before.specs, on="name", how="left", maintain_order="left")
    unit = pl.col("unit") if how == "difference" else pl.lit("")
    return found.with_columns(("delta " + pl.col("name")).alias("name"), unit.alias("unit"))


def _status(
    samples: tuple[str, ...],
    names: list[str],
    known: NDArray[np.bool_],
    usable: NDArray[np.bool_],
) -> pl.DataFrame:
    rows = []
    for i, j in zip(*np.nonzero(~(known & usable)), strict=True):
        reason = "no share or ratio of a value that is not positive"
        if not known[i, j]:
            reason = "no value in one of the examinations"
        rows.append((samples[i], f"delta {names[j]}", "undefined", reason))
    return pl.DataFrame(rows, schema=dict.fromkeys(STATUS_COLUMNS, pl.String), orient="row")


def real_change(
    before: PhenotypeTable, after: PhenotypeTable, repeatability: RepeatabilityResult
) -> pl.DataFrame:
    """Return which changes are larger than repeated scans of an unchanged patient differ by.

    Parameters
    ----------
    before, after : PhenotypeTable
        Two examinations of the same samples.
    repeatability : RepeatabilityResult
        Of other, unchanged patients, from `radgen.phenotype.measure_repeatability`.

    Returns
    -------
    polars.DataFrame
        ``sample, phenotype, before, after, change, limit, verdict``: `limit` is the repeatability
        coefficient, which 95 % of differences of unchanged patients do not exceed; `verdict` is
        "increase", "decrease", "within error" or "unknown".

    Raises
    ------
    InputError, AlignmentError
        As `phenotype_change`.

    References
    ----------
    Raunig et al. 2015, doi:10.1177/0962280214537344.
    """
    names, rows, first, second = _matched(before, after)
    samples = rows.samples
    limits = dict(repeatability.frame.select("phenotype", "repeatability").iter_rows())
    limit = np.array([np.nan if limits.get(name) is None else limits[name] for name in names])
    gap = second - first
    known = np.isfinite(gap) & np.isfinite(limit)
    with np.errstate(invalid="ignore"):
        verdict = np.select(
            [~known, gap > limit, gap < -limit],
            ["unknown", "increase", "decrease"],
            "within error",
        )
    n, p = gap.shape
    return pl.DataFrame(
        {
            "sample": np.repeat(np.array(samples, dtype=object), p).tolist(),
            "phenotype": names * n,
            "before": first.ravel(),
            "after": second.ravel(),
            "change": gap.ravel(),
            "limit": np.tile(limit, n),
            "verdict": verdict.ravel().tolist(),
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))
