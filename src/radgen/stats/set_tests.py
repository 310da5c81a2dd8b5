"""Tests of sets of features: competitive with correlation between features, and overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from scipy.stats import rankdata

from radgen.errors import InputError
from radgen.stats.tail import normal_log10p, t_log10p

__all__ = ["Competitive", "competitive", "competitive_ranks", "hypergeometric_log10p"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Competitive:
    """Do the features of a set differ from the others?

    Attributes
    ----------
    effect : ndarray of float64 (n_lists, n_sets)
        Mean statistic of the members less the mean of the others.
    se : ndarray of float64 (n_lists, n_sets)
        Its standard error, inflated for the correlation between members.
    log10p : ndarray of float64 (n_lists, n_sets)
        Two-sided; NaN where the statistics do not vary.
    df : float
        Degrees of freedom of the reference t.
    """

    effect: Array
    se: Array
    log10p: Array
    df: float


def competitive(
    statistics: ArrayLike, members: Any, correlation: ArrayLike, *, df: float | None = None
) -> Competitive:
    """Return two-sample t-tests of members against others, allowing for their correlation.

    Parameters
    ----------
    statistics : array_like of float64 (n_lists, n_features)
        About normal with variance 1 under the null: z-scores.
    members : sparse array of float64 (n_sets, n_features)
        1 = member.
    correlation : array_like of float64, broadcast to (n_lists, n_sets)
        Mean correlation between the statistics of two members; negative ones count as 0.
    df : float or None
        Degrees of freedom; the number of features - 2 where None or larger than that.

    Returns
    -------
    Competitive
        As limma's ``camera`` and ``cameraPR`` without ranks.

    Raises
    ------
    InputError
        If there are fewer than 3 features, or a set holds none or all of them.

    References
    ----------
    Wu & Smyth (2012), Nucleic Acids Res. 40, e133, doi:10.1093/nar/gks461.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> found = competitive([[2.0, 3.0, -1.0, 0.5, 0.0]], csr_array([[1.0, 1, 0, 0, 0]]), 0.0)
    >>> round(float(found.effect[0, 0]), 3), round(float(10 ** found.log10p[0, 0]), 3)
    (2.667, 0.03)
    """
    z = np.atleast_2d(np.asarray(statistics, dtype=np.float64))
    total = z.shape[1]
    m = np.asarray(members.sum(axis=1), dtype=np.float64).ravel()
    if total < 3 or (m < 1).any() or (m >= total).any():
        raise InputError(
            "A competitive test needs 3 features at least, and sets that hold some, not all."
        )
    others = total - m
    mean = z.mean(axis=1, keepdims=True)
    variance = z.var(axis=1, ddof=1, keepdims=True)
    inside = np.asarray(members @ z.T).T / m
    delta = total / others * (inside - mean)
    pooled = ((total - 1) * variance - delta**2 * m * others / total) / (total - 2)
    inflation = 1 + (m - 1) * np.maximum(np.asarray(correlation, dtype=np.float64), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt(np.maximum(pooled, 0.0) * (inflation / m + 1 / others))
        t = np.where(variance > 0, delta / se, np.nan)
    degrees = float(total - 2) if df is None else float(min(df, total - 2))
    log10p = np.full(t.shape, np.nan)
    known = np.isfinite(t)
    log10p[known] = t_log10p(t[known], degrees)
    return Competitive(delta, se, log10p, degrees)


def competitive_ranks(
    statistics: ArrayLike, members: Any, correlation: ArrayLike, *, df: float | None = None
) -> Competitive:
    """Return Wilcoxon tests of members against others, allowing for their correlation.

    Parameters
    ----------
    statistics : array_like of float64 (n_lists, n_features)
        Any scale; ties share their mean rank.
    members : sparse array of float64 (n_sets, n_features)
        1 = member.
    correlation : array_like of float64, broadcast to (n_lists, n_sets)
        Mean correlation between the statistics of two members; negative ones count as 0.
    df : float or None
        Degrees of freedom; infinite where None.

    Returns
    -------
    Competitive
        `effect` is the probability that a member exceeds another feature, less 0.5. As limma's
        ``rankSumTestWithCorrelation``, with its correction for continuity.

    Raises
    ------
    InputError
        If there are fewer than 3 features, or a set holds none or all of them.

    References
    ----------
    Wu & Smyth (2012), Nucleic Acids Res. 40, e133, doi:10.1093/nar/gks461. Barry, Nobel & Wright
    (2008), Ann. Appl. Stat. 2, 286, doi:10.1214/07-AOAS146.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> found = competitive_ranks([[2.0, 3.0, -1.0, 0.5, 0.0]], csr_array([[1.0, 1, 0, 0, 0]]), 0.0)
    >>> float(found.effect[0, 0]), round(float(10 ** found.log10p[0, 0]), 3)
    (0.5, 0.149)
    """
    z = np.atleast_2d(np.asarray(statistics, dtype=np.float64))
    n = float(z.shape[1])
    m = np.asarray(members.sum(axis=1), dtype=np.float64).ravel()
    if n < 3 or (m < 1).any() or (m >= n).any():
        raise InputError(
            "A competitive test needs 3 features at least, and sets that hold some, not all."
        )
    ranks = rankdata(z, axis=1)
    others = n - m
    above = np.asarray(members @ ranks.T).T - m * (m + 1) / 2
    rho = np.maximum(np.asarray(correlation, dtype=np.float64), 0.0)
    pairs = m * others
    variance = pairs * (
        np.arcsin(1.0)
        + np.arcsin(0.5) * (others - 1)
        + np.arcsin(rho / 2) * (m - 1) * (others - 1)
        + np.arcsin((rho + 1) / 2) * (m - 1)
    )
    variance = variance / (2 * np.pi) * (1 - _tied(ranks) / (n * (n + 1) * (n - 1)))[:, None]
    delta = above - pairs / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt(np.maximum(variance, 0.0))
        t = np.where(se > 0, (np.abs(delta) - 0.5) / se, np.nan)
    degrees = np.inf if df is None else float(df)
    log10p = np.full(t.shape, np.nan)
    known = np.isfinite(t)
    if np.isfinite(degrees):
        half = t_log10p(t[known], degrees, two_sided=False)
    else:
        half = normal_log10p(t[known], two_sided=False)
    log10p[known] = np.minimum(half + np.log10(2), 0.0)
    return Competitive(delta / pairs, se / pairs, log10p, degrees)


def _tied(ranks: Array) -> Array:
    """Return the sum of t (t + 1) (t - 1) over the groups of t equal ranks of each list."""
    out = np.zeros(len(ranks))
    for row, own in enumerate(ranks):
        count = np.unique(own, return_counts=True)[1].astype(np.float64)
        out[row] = (count * (count + 1) * (count - 1)).sum()
    return out


def hypergeometric_log10p(
    overlap: ArrayLike, n_members: ArrayLike, n_selected: ArrayLike, n_features: int
) -> Array:
    """Return the log10 probability of at least so many members among the selected features.

    Parameters
    ----------
    overlap : array_like of int
        Members that were selected.
    n_members, n_selected : array_like of int
        Sizes of set and selection, broadcast against `overlap`.
    n_features : int
        Size of the background.

    Returns
    -------
    ndarray of float64
        log10 P(X >= overlap) of the hypergeometric law, exact also where p is far below 1e-300.

    Raises
    ------
    InputError
        If the numbers cannot be.

    Examples
    --------
    >>> round(float(10 ** hypergeometric_log10p(3, 5, 4, 20)), 6)  # (150 + 5) / 4845
    0.031992
    """
    k, m, n = np.broadcast_arrays(
        *(np.asarray(item, dtype=np.float64) for item in (overlap, n_members, n_selected))
    )
    if (k < 0).any() or (k > np.minimum(m, n)).any() or (np.maximum(m, n) > n_features).any():
        raise InputError("An overlap lies between 0 and the sizes of set and selection.")
    total = float(n_features)
    lowest = np.maximum(0.0, m + n - total)
    upper = k > n * m / total
    # The tail beyond the mean is summed outwards from its largest term.
    up = _tail_sum(k, m, n, total, 1)
    down = _tail_sum(k - 1, m, n, total, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        complement = np.log1p(-np.exp(np.minimum(down, 0.0)))
    found = np.where(upper, up, np.where(k <= lowest, 0.0, complement))
    return np.asarray(np.minimum(found, 0.0) / np.log(10))


def _tail_sum(k: Array, m: Array, n: Array, total: float, way: int) -> Array:
    """Natural log of the sum of the probabilities of k, k + way, k + 2 way, …"""
    low, high = np.maximum(0.0, m + n - total), np.minimum(m, n)
    valid = (k >= low) & (k <= high)
    x = np.clip(k, low, high)
    first = _log_choose(m, x) + _log_choose(total - m, n - x) - _log_choose(total, n)
    term, result = np.ones(x.shape), np.ones(x.shape)
    while True:
        if way > 0:
            ratio = (m - x) * (n - x) / ((x + 1) * (total - m - n + x + 1))
        else:
            ratio = x * (total - m - n + x) / ((m - x + 1) * (n - x + 1))
        inside = (x + way >= low) & (x + way <= high)
        ratio = np.where(inside, ratio, 0.0)
        # Away from the mean the ratios fall, so that a ratio above 1 means the other tail is asked.
        term = np.where(ratio > 1.0, 0.0, term * ratio)
        result += term
        x = np.where(inside, x + way, x)
        if not (term > 1e-18 * result).any():
            return np.where(valid, first + np.log(result), -np.inf)


def _log_choose(n: Array | float, k: Array) -> Array:
    return np.asarray(gammaln(np.add(n, 1.0)) - gammaln(k + 1) - gammaln(n - k + 1))
