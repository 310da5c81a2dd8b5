"""Adjust p-values for many tests; missing p-values are not counted as tests."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError

__all__ = [
    "PI0_GRID",
    "bh",
    "bonferroni",
    "by",
    "hierarchical",
    "holm",
    "hommel_simes",
    "pi0_of_counts",
    "storey",
    "storey_pi0",
    "two_level",
]

Array = NDArray[np.float64]

PI0_GRID = np.arange(0.05, 0.951, 0.05)
"""Values of p at which the share of true nulls is estimated."""
_STOREY_MIN = 100


def bonferroni(p: ArrayLike) -> Array:
    """Return Bonferroni-adjusted p-values, min(1, m p).

    Parameters
    ----------
    p : array_like of float64
        Any shape, in [0, 1]; NaN = no test, not counted in m.

    Returns
    -------
    ndarray of float64
        Same shape; NaN stays NaN. Controls the family-wise error under any dependence.

    Raises
    ------
    InputError
        If a p-value lies outside [0, 1].

    Examples
    --------
    >>> bonferroni([0.01, float("nan"), 0.6]).tolist()
    [0.02, nan, 1.0]
    """
    value = _checked(p)
    return np.minimum(value * np.count_nonzero(~np.isnan(value)), 1.0)


def holm(p: ArrayLike) -> Array:
    """Return Holm's step-down adjusted p-values.

    Parameters
    ----------
    p : array_like of float64
        Any shape, in [0, 1]; NaN = no test, not counted.

    Returns
    -------
    ndarray of float64
        Same shape; NaN stays NaN.

    Raises
    ------
    InputError
        If a p-value lies outside [0, 1].

    References
    ----------
    Holm (1979), Scand. J. Statist. 6, 65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    value, known, order, ranked = _ranked(p)
    m = len(ranked)
    stepped = np.maximum.accumulate(np.minimum(ranked * (m - np.arange(m)), 1.0))
    return _restored(value, known, order, stepped)


def bh(p: ArrayLike) -> Array:
    """Return Benjamini-Hochberg adjusted p-values.

    Parameters
    ----------
    p : array_like of float64
        Any shape, in [0, 1]; NaN = no test, not counted.

    Returns
    -------
    ndarray of float64
        Same shape; NaN stays NaN. Those at most q form a set with a false discovery rate of
        at most q under independence or positive regression dependence.

    Raises
    ------
    InputError
        If a p-value lies outside [0, 1].

    References
    ----------
    Benjamini & Hochberg (1995), J. R. Statist. Soc. B 57, 289-300.

    Examples
    --------
    >>> bh([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.04, 0.04]
    """
    return _step_up(p, 1.0)


def by(p: ArrayLike) -> Array:
    """Return Benjamini-Yekutieli adjusted p-values, valid under any dependence.

    Parameters
    ----------
    p : array_like of float64
        Any shape, in [0, 1]; NaN = no test, not counted.

    Returns
    -------
    ndarray of float64
        BH times the harmonic number of m, at most 1.

    Raises
    ------
    InputError
        If a p-value lies outside [0, 1].

    References
    ----------
    Benjamini & Yekutieli (2001), Ann. Statist. 29, 1165-1188.

    Examples
    --------
    >>> by([0.01, 0.04, 0.03]).round(4).tolist()
    [0.055, 0.0733, 0.0733]
    """
    count = int(np.count_nonzero(~np.isnan(np.asarray(p, dtype=np.float64))))
    return _step_up(p, float(np.sum(1.0 / np.arange(1, count + 1))))


def storey_pi0(p: ArrayLike, *, method: Literal["bootstrap", "fixed"] = "bootstrap") -> float:
    """Return the estimated share of true null hypotheses.

    Parameters
    ----------
    p : array_like of float64
        In [0, 1]; NaN = no test.
    method : {"bootstrap", "fixed"}
        "bootstrap": the tuning value of 0.05, 0.10 … 0.95 with the least estimated mean
        squared error, in the closed form of the R package qvalue (no random numbers);
        "fixed": tuning value 0.5.

    Returns
    -------
    float
        In (0, 1]. With fewer than 100 p-values 1, since the estimate would be noise: the
        q-values are then those of Benjamini and Hochberg.

    Raises
    ------
    InputError
        If a p-value lies outside [0, 1].

    References
    ----------
    Storey, Taylor & Siegmund (2004), J. R. Statist. Soc. B 66, 187-205.
    """
    value = _checked(p).ravel()
    value = value[~np.isnan(value)]
    m = len(value)
    if method == "fixed":
        if m < _STOREY_MIN:
            return 1.0
        estimate = float(np.count_nonzero(value >= 0.5)) / (0.5 * m)
        return min(max(estimate, 1.0 / m), 1.0)
    if method != "bootstrap":
        raise InputError(f"Unknown pi0 method {method!r}; known are 'bootstrap' and 'fixed'.")
    return pi0_of_counts(m, m - np.searchsorted(np.sort(value), PI0_GRID, side="left"))


def pi0_of_counts(m: int, above: ArrayLike) -> float:
    """Return the share of true nulls of tests that were only counted.

    Parameters
    ----------
    m : int
        Number of tests.
    above : array_like of int (19,)
        How many p-values are at least each value of `PI0_GRID`.

    Returns
    -------
    float
        As `storey_pi0` with its "bootstrap".
    """
    if m < _STOREY_MIN:
        return 1.0
    count = np.asarray(above, dtype=np.float64)
    pi0 = count / m / (1 - PI0_GRID)
    least = float(np.quantile(pi0, 0.1))
    error = count / (m**2 * (1 - PI0_GRID) ** 2) * (1 - count / m) + (pi0 - least) ** 2
    return min(max(float(pi0[error == error.min()].min()), 1.0 / m), 1.0)


def storey(p: ArrayLike, *, pi0: float | None = None) -> Array:
    """Return Storey's q-values, pi0 times the Benjamini-Hochberg values.

    Parameters
    ----------
    p : array_like of float64
        Any shape, in [0, 1]; NaN = no test, not counted.
    pi0 : float or None
        Share of true nulls; `storey_pi0` where None.

    Returns
    -------
    ndarray of float64
        Same shape; NaN stays NaN.

    Raises
    ------
    InputError
        If a p-value lies outside [0, 1], or `pi0` outside (0, 1].

    References
    ----------
    Storey (2002), J. R. Statist. Soc. B 64, 479-498.
    """
    share = storey_pi0(p) if pi0 is None else float(pi0)
    if not 0 < share <= 1:
        raise InputError(f"pi0 is a share in (0, 1]; found {share}.")
    return np.minimum(bh(p) * share, 1.0)


def hommel_simes(p: ArrayLike) -> float:
    """Return Simes' combined p-value, min over k of m p_(k) / k.

    Parameters
    ----------
    p : array_like of float64
        In [0, 1]; NaN = no test.

    Returns
    -------
    float
        NaN where every p is NaN.

    Raises
    ------
    InputError
        If a p-value lies outside [0, 1].

    References
    ----------
    Simes (1986), Biometrika 73, 751-754.
    """
    adjusted = bh(p).ravel()
    return float(np.nanmin(adjusted)) if np.any(~np.isnan(adjusted)) else float("nan")


def hierarchical(p: ArrayLike, families: ArrayLike) -> Array:
    """Return q-values of the two-level procedure: families first, then within them.

    Parameters
    ----------
    p : array_like of float64 (n_tests,)
        In [0, 1]; NaN = no test, not counted.
    families : array_like (n_tests,)
        Label of the family of each test, of any comparable type.

    Returns
    -------
    ndarray of float64 (n_tests,)
        The smallest level at which the test is rejected.

    Raises
    ------
    InputError
        If a p-value lies outside [0, 1] or the lengths differ.

    Notes
    -----
    At level a, families are selected by BH on their Simes p-values; within each selected
    family BH runs at a R / F, where R of F families were selected. The average false
    discovery rate over the selected families is then at most a.

    References
    ----------
    Benjamini & Bogomolov (2014), J. R. Statist. Soc. B 76, 297-318.

    Examples
    --------
    >>> hierarchical([0.001, 0.5, 0.6, 0.9], ["a", "a", "b", "b"]).round(3).tolist()
    [0.004, 0.9, 0.9, 0.9]
    """
    value = _checked(p).ravel()
    _, label = np.unique(np.asarray(families).ravel(), return_inverse=True)
    if len(label) != len(value):
        raise InputError(f"There are {len(value)} p-values and {len(label)} family labels.")
    within = np.full(len(value), np.nan)
    order = np.argsort(label, kind="stable")
    bounds = np.searchsorted(label[order], np.arange(label.max(initial=-1) + 2))
    simes = np.full(len(bounds) - 1, np.nan)
    for family in range(len(simes)):
        rows = order[bounds[family] : bounds[family + 1]]
        within[rows] = bh(value[rows])
        if np.any(~np.isnan(within[rows])):
            simes[family] = np.nanmin(within[rows])
    return two_level(within, label, bh(simes))


def two_level(within: Array, label: NDArray[np.int64], across: Array) -> Array:
    """Return the two-level q-values of tests from those within and across families.

    Parameters
    ----------
    within : ndarray of float64 (n_tests,)
        BH value of each test among those of its family; NaN = no test.
    label : ndarray of int64 (n_tests,)
        Number of its family.
    across : ndarray of float64 (n_families,)
        BH values of the families' Simes p-values; NaN = no test in it.

    Returns
    -------
    ndarray of float64 (n_tests,)
        As `hierarchical`.
    """
    level = np.sort(across[~np.isnan(across)])
    count = len(level)
    if count == 0:
        return within
    ranks = np.arange(1, count + 1)
    position = np.searchsorted(level * ranks / count, within, side="left")
    reached = np.append(level, np.inf)[np.minimum(position, count)]
    with np.errstate(divide="ignore"):
        below = np.where(position > 0, within * count / np.maximum(position, 1), np.inf)
    result = np.minimum(np.maximum(across[label], np.minimum(reached, below)), 1.0)
    return np.where(np.isnan(within), np.nan, result)


def _checked(p: ArrayLike) -> Array:
    value = np.asarray(p, dtype=np.float64)
    if value.size and (np.nanmin(value, initial=0.0) < 0 or np.nanmax(value, initial=0.0) > 1):
        raise InputError("P-values lie in [0, 1]; found one outside.")
    return value


def _ranked(p: ArrayLike) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64], Array]:
    value = _checked(p)
    known = ~np.isnan(value)
    kept = value[known]
    order = np.argsort(kept, kind="stable")
    return value, known, order, kept[order]


def _restored(
    value: Array, known: NDArray[np.bool_], order: NDArray[np.int64], ranked: Array
) -> Array:
    kept = np.empty_like(ranked)
    kept[order] = ranked
    out = np.full(value.shape, np.nan)
    out[known] = kept
    return out


def _step_up(p: ArrayLike, factor: float) -> Array:
    value, known, order, ranked = _ranked(p)
    m = len(ranked)
    scaled = ranked * (factor * m / np.arange(1, m + 1))
    stepped = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return _restored(value, known, order, stepped)
