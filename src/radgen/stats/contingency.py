"""Tests of counts in tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.errors import InputError
from radgen.stats.tail import chi2_log10p, normal_log10p

__all__ = ["TableTest", "chi2_test", "fisher_exact", "log_odds_ratio", "trend_test"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class TableTest:
    """A test of a table of counts.

    Attributes
    ----------
    statistic : float
        Chi-square, or z of a trend; NaN for Fisher's test, which has none.
    df : float
        Degrees of freedom; NaN where it does not apply.
    log10p : float
        Two-sided log10 p; NaN where a margin is empty.
    smallest_expected : float
        Smallest expected count; below 5 the chi-square reference is rough.
    """

    statistic: float
    df: float
    log10p: float
    smallest_expected: float


def fisher_exact(table: ArrayLike) -> TableTest:
    """Return Fisher's exact two-sided test of a 2 x 2 table.

    Parameters
    ----------
    table : array_like of int (2, 2)
        Counts.

    Returns
    -------
    TableTest
        p = sum over all tables with these margins that are at most as likely as the found one
        (ties counted within 1e-7 relative, as R and SciPy do).

    Raises
    ------
    InputError
        If the table is not 2 x 2 or a count is negative or broken.

    Examples
    --------
    >>> round(float(10 ** fisher_exact([[3, 1], [1, 3]]).log10p), 4)
    0.4857
    """
    counts = _counts(table)
    if counts.shape != (2, 2):
        raise InputError(f"Fisher's exact test is for a 2 x 2 table; found {counts.shape}.")
    row, column, total = counts[0].sum(), counts[:, 0].sum(), counts.sum()
    low, high = max(0.0, row + column - total), min(row, column)
    if low == high:
        return TableTest(np.nan, np.nan, 0.0, _smallest_expected(counts))
    values = np.arange(low, high + 1)
    logs = -(
        special.gammaln(values + 1)
        + special.gammaln(row - values + 1)
        + special.gammaln(column - values + 1)
        + special.gammaln(total - row - column + values + 1)
    )
    logs -= special.logsumexp(logs)
    found = logs[int(counts[0, 0] - low)]
    log_p = float(special.logsumexp(logs[logs <= found + 1e-7]))
    return TableTest(np.nan, np.nan, min(log_p, 0.0) / np.log(10), _smallest_expected(counts))


def chi2_test(table: ArrayLike, *, correct: bool = False) -> TableTest:
    """Return Pearson's chi-square test of independence.

    Parameters
    ----------
    table : array_like of int (n_rows, n_columns)
        Counts; empty rows and columns are left out.
    correct : bool, default False
        Yates' correction, for 2 x 2 tables only.

    Returns
    -------
    TableTest
        (rows - 1)(columns - 1) degrees of freedom; NaN where only one row or column is left.

    Raises
    ------
    InputError
        If a count is negative or broken, or the correction is asked for a larger table.

    Examples
    --------
    >>> round(chi2_test([[10, 20], [20, 10]]).statistic, 4)
    6.6667
    """
    counts = _counts(table)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    rows, columns = counts.shape
    if rows < 2 or columns < 2:
        return TableTest(np.nan, np.nan, np.nan, _smallest_expected(counts))
    if correct and counts.shape != (2, 2):
        raise InputError("Yates' correction is for 2 x 2 tables.")
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    gap = np.abs(counts - expected)
    if correct:
        gap = gap - np.minimum(0.5, gap)
    statistic = float(np.sum(gap**2 / expected))
    df = float((rows - 1) * (columns - 1))
    return TableTest(statistic, df, float(chi2_log10p(statistic, df)), float(expected.min()))


def trend_test(table: ArrayLike, scores: ArrayLike | None = None) -> TableTest:
    """Return the Cochran-Armitage test of a trend in proportions.

    Parameters
    ----------
    table : array_like of int (2, n_classes)
        Counts of the two outcomes in ordered classes.
    scores : array_like of float64 (n_classes,) or None
        Scores of the classes; 0, 1, 2 … where None.

    Returns
    -------
    TableTest
        ``statistic`` is z, positive where the second outcome grows with the score.

    Raises
    ------
    InputError
        If the table has not two rows, a count is negative, or the scores do not fit.

    References
    ----------
    Armitage (1955), Biometrics 11, 375-386.
    """
    counts = _counts(table)
    if counts.shape[0] != 2:
        raise InputError(f"A trend test needs two rows of counts; found {counts.shape[0]}.")
    score = np.arange(counts.shape[1], dtype=np.float64) if scores is None else np.asarray(scores)
    if len(score) != counts.shape[1]:
        raise InputError(f"There are {counts.shape[1]} classes and {len(score)} scores.")
    classes, total = counts.sum(axis=0), counts.sum()
    share = counts[1].sum() / total if total else np.nan
    centre = float(classes @ score / total) if total else np.nan
    spread = float(classes @ (score - centre) ** 2) if total else 0.0
    variance = share * (1 - share) * spread
    if not variance > 0:
        return TableTest(np.nan, 1.0, np.nan, _smallest_expected(counts))
    z = float(counts[1] @ (score - centre)) / np.sqrt(variance)
    return TableTest(z, 1.0, float(normal_log10p(z)), _smallest_expected(counts))


def log_odds_ratio(table: ArrayLike) -> tuple[float, float]:
    """Return the log odds ratio and its standard error (Woolf).

    Parameters
    ----------
    table : array_like of int (2, 2)
        Counts; where one of them is 0, one half is added to all (Haldane-Anscombe).

    Returns
    -------
    effect, se : float
        Log of (a d)/(b c).

    Raises
    ------
    InputError
        If the table is not 2 x 2 or a count is negative.
    """
    counts = _counts(table)
    if counts.shape != (2, 2):
        raise InputError(f"An odds ratio needs a 2 x 2 table; found {counts.shape}.")
    if (counts == 0).any():
        counts = counts + 0.5
    (a, b), (c, d) = counts
    return float(np.log(a * d / (b * c))), float(np.sqrt(np.sum(1 / counts)))


def _counts(table: ArrayLike) -> Array:
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or (counts < 0).any() or (counts != np.floor(counts)).any():
        raise InputError("A contingency table is two-dimensional and holds whole counts.")
    return counts


def _smallest_expected(counts: Array) -> float:
    total = counts.sum()
    if not total:
        return 0.0
    return float(np.outer(counts.sum(axis=1), counts.sum(axis=0)).min() / total)
