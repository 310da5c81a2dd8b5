"""Rank tests, exact where the samples are few and without ties."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from radgen.errors import InputError
from radgen.stats.linear import OK, PERFECT_FIT, regress
from radgen.stats.tail import chi2_log10p, f_log10p, normal_log10p, t_log10p

__all__ = [
    "RankTest",
    "jonckheere",
    "kruskal",
    "mann_whitney",
    "normal_scores",
    "partial_spearman",
    "ranks",
    "spearman",
]

Array = NDArray[np.float64]

_EXACT_PRODUCT = 1600
_EXACT_SPEARMAN = 9


@dataclass(frozen=True, eq=False, slots=True)
class RankTest:
    """A rank test.

    Attributes
    ----------
    statistic : float
        U, H, rho or z, as the function says.
    effect : float
        Size in [-1, 1]: rank-biserial correlation, rho, or Kendall-like; NaN for Kruskal-Wallis.
    log10p : float
        Two-sided log10 p; NaN where the test is impossible (one group, all values tied).
    exact : bool
        True where the distribution was enumerated.
    df : float
        Degrees of freedom where the reference has them, else NaN.
    """

    statistic: float
    effect: float
    log10p: float
    exact: bool
    df: float = float("nan")


def ranks(values: ArrayLike) -> Array:
    """Return mid-ranks 1 … n of the values, ties averaged.

    Parameters
    ----------
    values : array_like of float64 (n,)
        No missing values.

    Returns
    -------
    ndarray of float64 (n,)
        Ranks.

    Examples
    --------
    >>> ranks([3.0, 1.0, 3.0]).tolist()
    [2.5, 1.0, 2.5]
    """
    value = np.asarray(values, dtype=np.float64)
    _, place, counts = np.unique(value, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[place], dtype=np.float64)


def normal_scores(values: ArrayLike) -> Array:
    """Return Blom's normal scores of each column; NaN stays NaN.

    Parameters
    ----------
    values : array_like of float64 (n_samples, n_columns)
        NaN = missing.

    Returns
    -------
    ndarray of float64 (n_samples, n_columns)
        Normal quantiles of (rank - 3/8)/(n + 1/4), ties at their mid-rank.

    References
    ----------
    Blom (1958), Statistical Estimates and Transformed Beta-Variables.

    Examples
    --------
    >>> normal_scores([[1.0], [9.0], [4.0]])[:, 0].round(3).tolist()
    [-0.869, 0.869, 0.0]
    """
    x = np.asarray(values, dtype=np.float64)
    out = np.full(x.shape, np.nan)
    for column in range(x.shape[1]):
        known = np.isfinite(x[:, column])
        n = int(known.sum())
        out[known, column] = ndtri((ranks(x[known, column]) - 0.375) / (n + 0.25))
    return out


def mann_whitney(first: ArrayLike, second: ArrayLike) -> RankTest:
    """Return the two-sided Mann-Whitney test.

    Parameters
    ----------
    first, second : array_like of float64
        The two groups; NaN is left out.

    Returns
    -------
    RankTest
        ``statistic`` is U of the first group, ``effect`` the rank-biserial correlation
        2U/(n1 n2) - 1. Exact without ties where n1 n2 is at most 1,600; otherwise normal
        with tie and continuity correction.

    References
    ----------
    Mann & Whitney (1947), Ann. Math. Statist. 18, 50-60.

    Examples
    --------
    >>> round(10 ** mann_whitney([1, 2, 3], [4, 5, 6]).log10p, 2)
    0.1
    """
    a, b = _known(first), _known(second)
    n1, n2 = len(a), len(b)
    if not n1 or not n2:
        return RankTest(np.nan, np.nan, np.nan, False)
    both = np.concatenate([a, b])
    rank = ranks(both)
    u = float(rank[:n1].sum() - n1 * (n1 + 1) / 2)
    effect = 2 * u / (n1 * n2) - 1
    n = n1 + n2
    ties = _tie_sum(both)
    if ties == 0 and n1 * n2 <= _EXACT_PRODUCT:
        counts = _u_counts(min(n1, n2), max(n1, n2))
        low = round(min(u, n1 * n2 - u))
        p = min(2 * float(counts[: low + 1].sum()), 1.0)
        return RankTest(u, effect, float(np.log10(p)), True)
    variance = n1 * n2 / 12 * (n + 1 - ties / (n * (n - 1)))
    if variance <= 0:
        return RankTest(u, effect, np.nan, False)
    z = max(abs(u - n1 * n2 / 2) - 0.5, 0.0) / np.sqrt(variance)
    return RankTest(u, effect, float(normal_log10p(z)), False)


def kruskal(
    values: ArrayLike, groups: ArrayLike, *, reference: Literal["chi2", "f"] = "chi2"
) -> RankTest:
    """Return the Kruskal-Wallis test of several groups.

    Parameters
    ----------
    values : array_like of float64 (n_samples,)
        NaN is left out.
    groups : array_like of float64 (n_samples,)
        Group of each sample; NaN is left out.
    reference : {"chi2", "f"}
        Chi-square on k - 1 degrees of freedom, or the F distribution of Iman and Davenport,
        whose level is closer to the nominal one in small samples.

    Returns
    -------
    RankTest
        ``statistic`` is the tie-corrected H.

    Raises
    ------
    InputError
        If the sizes differ.

    References
    ----------
    Kruskal & Wallis (1952), JASA 47, 583-621. Iman & Davenport (1976), Commun. Statist. A5.
    """
    value, group = _pairs(values, groups)
    names, code = np.unique(group, return_inverse=True)
    n, k = len(value), len(names)
    if k < 2 or n <= k:
        return RankTest(np.nan, np.nan, np.nan, False)
    rank = ranks(value)
    sizes = np.bincount(code)
    sums = np.bincount(code, weights=rank)
    h = 12 / (n * (n + 1)) * float(np.sum(sums**2 / sizes)) - 3 * (n + 1)
    scale = 1 - _tie_sum(value) / (n**3 - n)
    if scale <= 0:
        return RankTest(np.nan, np.nan, np.nan, False)
    h /= scale
    if reference == "chi2":
        return RankTest(h, np.nan, float(chi2_log10p(h, k - 1)), False, k - 1.0)
    left = (n - 1 - h) / (n - k)
    f = h / (k - 1) / left if left > 0 else np.inf
    return RankTest(h, np.nan, float(f_log10p(f, k - 1, n - k)), False, k - 1.0)


def spearman(first: ArrayLike, second: ArrayLike) -> RankTest:
    """Return Spearman's rank correlation and its two-sided test.

    Parameters
    ----------
    first, second : array_like of float64 (n_samples,)
        Pairs with a NaN are left out.

    Returns
    -------
    RankTest
        ``statistic`` and ``effect`` are rho. Exact by enumeration for at most 9 samples
        without ties; otherwise Student's t on n - 2 degrees of freedom.

    Raises
    ------
    InputError
        If the sizes differ.

    Examples
    --------
    >>> test = spearman([1, 2, 3, 4], [1, 2, 3, 4])
    >>> test.effect, round(10 ** test.log10p, 4)
    (1.0, 0.0833)
    """
    a, b = _pairs(first, second)
    n = len(a)
    if n < 3:
        return RankTest(np.nan, np.nan, np.nan, False)
    rank_a, rank_b = ranks(a), ranks(b)
    left, right = rank_a - rank_a.mean(), rank_b - rank_b.mean()
    size = np.sqrt(float(left @ left) * float(right @ right))
    if size == 0:
        return RankTest(np.nan, np.nan, np.nan, False)
    rho = float(np.clip(left @ right / size, -1.0, 1.0))
    if n <= _EXACT_SPEARMAN and _tie_sum(a) == 0 == _tie_sum(b):
        distances = _spearman_distances(n)
        centre = (n**3 - n) / 6
        gap = abs(float(np.sum((rank_a - rank_b) ** 2)) - centre)
        p = float(np.mean(np.abs(distances - centre) >= gap - 1e-9))
        return RankTest(rho, rho, float(np.log10(p)), True)
    df = n - 2.0
    with np.errstate(divide="ignore"):
        t = rho * np.sqrt(df / np.float64(1 - rho**2))
    return RankTest(rho, rho, float(t_log10p(t, df)), False, df)


def partial_spearman(first: ArrayLike, second: ArrayLike, covariates: ArrayLike) -> RankTest:
    """Return Spearman's correlation given covariates, all in ranks.

    Parameters
    ----------
    first, second : array_like of float64 (n_samples,)
        Samples with a NaN anywhere are left out.
    covariates : array_like of float64 (n_samples, n_covariates)
        Each becomes ranks.

    Returns
    -------
    RankTest
        Partial rho with Student's t on n - rank - 2 degrees of freedom.

    Raises
    ------
    InputError
        If the sizes differ.
    """
    z = np.asarray(covariates, dtype=np.float64)
    if z.ndim != 2:
        raise InputError("Covariates are an array (n_samples, n_covariates).")
    columns = np.column_stack([first, second, z]).astype(np.float64)
    columns = columns[np.isfinite(columns).all(axis=1)]
    ranked = np.column_stack([ranks(column) for column in columns.T])
    fit = regress(ranked[:, :1], ranked[:, 1:2], ranked[:, 2:])
    status, t, df = fit.status[0, 0], float(fit.t[0, 0]), float(fit.df[0, 0])
    if status == PERFECT_FIT:
        rho = float(np.sign(fit.effect[0, 0]))
    elif status == OK:
        rho = float(t / np.sqrt(t**2 + df))
    else:
        return RankTest(np.nan, np.nan, np.nan, False)
    return RankTest(rho, rho, float(fit.log10p[0, 0]), False, df)


def jonckheere(values: ArrayLike, groups: ArrayLike) -> RankTest:
    """Return the Jonckheere-Terpstra test of a trend over ordered groups.

    Parameters
    ----------
    values : array_like of float64 (n_samples,)
        NaN is left out.
    groups : array_like of float64 (n_samples,)
        Ordered groups; NaN is left out.

    Returns
    -------
    RankTest
        ``statistic`` is z (tie-corrected, no continuity correction), ``effect`` the centred
        statistic over its largest value.

    Raises
    ------
    InputError
        If the sizes differ.

    References
    ----------
    Hollander, Wolfe & Chicken (2014), Nonparametric Statistical Methods, 6.2, equation 6.19.
    """
    value, group = _pairs(values, groups)
    names, sizes = np.unique(group, return_counts=True)
    n = len(value)
    if len(names) < 2 or n < 3:
        return RankTest(np.nan, np.nan, np.nan, False)
    parts = [np.sort(value[group == name]) for name in names]
    total = 0.0
    for later in range(1, len(parts)):
        for earlier in range(later):
            low = np.searchsorted(parts[earlier], parts[later], side="left")
            high = np.searchsorted(parts[earlier], parts[later], side="right")
            total += float(np.sum(low + high)) / 2
    ties = np.unique(value, return_counts=True)[1].astype(np.float64)
    d = sizes.astype(np.float64)

    def quadratic(c: Array) -> float:
        return float(np.sum(c * (c - 1) * (2 * c + 5)))

    def cubic(c: Array) -> float:
        return float(np.sum(c * (c - 1) * (c - 2)))

    def pairs(c: Array) -> float:
        return float(np.sum(c * (c - 1)))

    variance = (n * (n - 1) * (2 * n + 5) - quadratic(d) - quadratic(ties)) / 72
    variance += cubic(d) * cubic(ties) / (36 * n * (n - 1) * (n - 2))
    variance += pairs(d) * pairs(ties) / (8 * n * (n - 1))
    if variance <= 0:
        return RankTest(np.nan, np.nan, np.nan, False)
    most = (n**2 - float(np.sum(d**2))) / 2
    z = (total - most / 2) / np.sqrt(variance)
    return RankTest(z, 2 * total / most - 1, float(normal_log10p(z)), False)


@lru_cache(maxsize=256)
def _u_counts(small: int, large: int) -> Array:
    """Null probabilities of U = 0 … small x large.

    The recursion on which group holds the largest value, in probabilities, so that nothing
    overflows or cancels.
    """
    table = [np.ones(1) for _ in range(large + 1)]
    for m in range(1, small + 1):
        row = [np.ones(1)]
        for n in range(1, large + 1):
            mixed = np.zeros(m * n + 1)
            # The largest value is of the first group (all n of the other lie below) or not.
            mixed[n:] += m / (m + n) * table[n]
            mixed[: len(row[n - 1])] += n / (m + n) * row[n - 1]
            row.append(mixed)
        table = row
    out = table[large]
    out.setflags(write=False)
    return out


@lru_cache(maxsize=16)
def _spearman_distances(n: int) -> Array:
    orders = np.array(list(permutations(range(n))), dtype=np.float64)
    distances = np.sum((orders - np.arange(n)) ** 2, axis=1)
    distances.setflags(write=False)
    return np.asarray(distances)


def _tie_sum(values: Array) -> float:
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float(np.sum(counts**3 - counts))


def _known(values: ArrayLike) -> Array:
    value = np.asarray(values, dtype=np.float64).ravel()
    return value[np.isfinite(value)]


def _pairs(first: ArrayLike, second: ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"Two columns of the same length are needed; found {a.shape}, {b.shape}.")
    keep = np.isfinite(a) & np.isfinite(b)
    return a[keep], b[keep]
