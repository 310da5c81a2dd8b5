"""Whether several samples come from one distribution, for many variables at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = ["AndersonDarling", "anderson_columns"]

FloatArray = NDArray[np.float64]
_LEVELS = (0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001)
_TABLE = np.array(
    [
        [0.675, -0.245, -0.105],
        [1.281, 0.25, -0.305],
        [1.645, 0.678, -0.362],
        [1.96, 1.149, -0.391],
        [2.326, 1.822, -0.396],
        [2.573, 2.364, -0.345],
        [3.085, 3.615, -0.154],
    ]
)


@dataclass(frozen=True, eq=False)
class AndersonDarling:
    """The k-sample Anderson–Darling test, a value a variable.

    Attributes
    ----------
    statistic : float64 (n_variables,)
        Standardised; NaN for a variable without variation.
    critical : mapping of significance level to critical value
        Levels 0.25 to 0.001.
    """

    statistic: FloatArray
    critical: dict[float, float]

    def differs(self, level: float = 0.05) -> NDArray[np.bool_]:
        """Return which variables differ between the samples at a tabulated level."""
        return np.asarray(np.nan_to_num(self.statistic, nan=-np.inf) > self.critical[level])


def anderson_columns(values: Any, groups: Any) -> AndersonDarling:
    """Return the k-sample Anderson–Darling statistic of each column, ties by mid-ranks.

    Parameters
    ----------
    values : float (n_rows, n_variables)
        Complete.
    groups : array-like (n_rows,)
        Sample of each row; two or more.

    Returns
    -------
    AndersonDarling
        Statistic and critical values.

    Raises
    ------
    InputError
        If there is one group, or values are missing.

    References
    ----------
    Scholz & Stephens 1987, doi:10.1080/01621459.1987.10478517, equations 4, 7 and table 2.

    Examples
    --------
    >>> x = np.arange(20.0)[:, None]
    >>> found = anderson_columns(x, x[:, 0] > 9)
    >>> bool(found.differs()[0])
    True
    """
    table = np.asarray(values, dtype=np.float64)
    code = np.unique(np.asarray(groups), return_inverse=True)[1]
    n, size = len(table), np.bincount(code)
    if len(size) < 2 or len(code) != n:
        raise InputError("Two or more groups of the same rows are needed.")
    if not np.isfinite(table).all():
        raise InputError("Values are missing; keep complete rows only.")
    order = np.argsort(table, axis=0, kind="stable")
    ordered = np.take_along_axis(table, order, axis=0)
    begin, end = _runs(ordered)
    middle = (begin + end) / 2
    width = (end - begin).astype(np.float64)
    spread = middle * (n - middle) - n * width / 4
    statistic = np.zeros(table.shape[1])
    for k, count in enumerate(size):
        below = np.zeros((n + 1, table.shape[1]))
        np.cumsum(code[order] == k, axis=0, out=below[1:])
        here = np.take_along_axis(below, begin, 0) + np.take_along_axis(below, end, 0)
        gap = (n * here / 2 - middle * count) ** 2
        part = np.divide(gap, spread, out=np.zeros_like(gap), where=spread > 0)
        statistic += part.sum(axis=0) / n / count
    statistic *= (n - 1) / n
    df = len(size) - 1
    scaled = (statistic - df) / np.sqrt(_variance(size, n))
    scaled[ordered[0] == ordered[-1]] = np.nan
    critical = _TABLE @ np.array([1, df**-0.5, 1 / df])
    return AndersonDarling(scaled, dict(zip(_LEVELS, critical.tolist(), strict=True)))


def _runs(ordered: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each sorted value where its run of equal values begins and ends."""
    n = len(ordered)
    new = np.ones(ordered.shape, dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    place = np.arange(n)[:, None]
    begin = np.maximum.accumulate(np.where(new, place, 0), axis=0)
    last = np.ones(ordered.shape, dtype=bool)
    last[:-1] = new[1:]
    end = np.minimum.accumulate(np.where(last, place + 1, n)[::-1], axis=0)[::-1]
    return begin, end


def _variance(size: NDArray[Any], n: int) -> float:
    k = len(size)
    harmonic = float((1 / size).sum())
    counts = np.arange(1, n)
    h = float((1 / counts).sum())
    tail = np.cumsum(1 / counts)
    g = float(((tail[-1] - tail[:-1]) / (n - counts[:-1])).sum())
    a = (4 * g - 6) * (k - 1) + (10 - 6 * g) * harmonic
    b = (2 * g - 4) * k**2 + 8 * h * k + (2 * g - 14 * h - 4) * harmonic - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * k**2 + (4 * h - 4 * g + 6) * k + (2 * h - 6) * harmonic + 4 * h
    d = (2 * h + 6) * k**2 - 4 * h * k
    return float((a * n**3 + b * n**2 + c * n + d) / ((n - 1.0) * (n - 2) * (n - 3)))
