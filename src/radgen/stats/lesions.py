"""Point-wise statistics of binary maps: Fisher's test, logistic score, Brunner-Munzel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.errors import InputError

__all__ = ["BrunnerMunzel", "brunner_munzel_columns", "fisher_table"]

Array = NDArray[np.float64]
_LN10 = float(np.log(10.0))


def fisher_table(n_samples: int, n_exposed: int, totals: ArrayLike) -> Array:
    """Return log10 p of Fisher's two-sided test for all tables with these margins.

    Parameters
    ----------
    n_samples : int
        People.
    n_exposed : int
        People with the mutation.
    totals : array_like of int (n_totals,)
        People with a lesion, one entry a margin.

    Returns
    -------
    ndarray of float64 (n_totals, n_exposed + 1)
        Column a: a people have both. NaN where no such table exists; 0 where it is the only one.

    Raises
    ------
    InputError
        If a margin lies outside 0 … n_samples.

    Notes
    -----
    p = sum over the tables that are at most as likely (ties within 1e-7 relative, as R does).

    Examples
    --------
    >>> round(float(10 ** fisher_table(8, 4, [4])[0, 3]), 4)
    0.4857
    """
    margin = np.asarray(totals, dtype=np.int64)
    if not 0 <= n_exposed <= n_samples or ((margin < 0) | (margin > n_samples)).any():
        raise InputError(f"Margins lie in 0 … {n_samples}.")
    both = np.arange(n_exposed + 1)
    out = np.full((len(margin), n_exposed + 1), np.nan)
    lg = special.gammaln(np.arange(n_samples + 1) + 1.0)
    for row, m in enumerate(margin):
        low, high = max(0, n_exposed + int(m) - n_samples), min(n_exposed, int(m))
        a = both[low : high + 1]
        logs = -(lg[a] + lg[m - a] + lg[n_exposed - a] + lg[n_samples - n_exposed - m + a])
        logs -= special.logsumexp(logs)
        order = np.argsort(logs)
        total = np.logaddexp.accumulate(logs[order])
        reach = np.searchsorted(logs[order], logs + 1e-7, side="right") - 1
        out[row, low : high + 1] = np.minimum(total[reach], 0.0) / _LN10
    return out


@dataclass(frozen=True, eq=False, slots=True)
class BrunnerMunzel:
    """Brunner-Munzel statistics of columns.

    Attributes
    ----------
    effect : ndarray of float64 (n_columns,)
        P(Y without < Y with) + P(equal)/2: above 0.5 where people with a lesion have larger
        values.
    t, df : ndarray of float64 (n_columns,)
        Statistic and its degrees of freedom; NaN where a group has fewer than two people.
    """

    effect: Array
    t: Array
    df: Array


def brunner_munzel_columns(y: ArrayLike, lesions: ArrayLike) -> BrunnerMunzel:
    """Return the Brunner-Munzel test of a variable between people with and without a lesion.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        Continuous or ordinal, no NaN.
    lesions : array_like of bool (n_samples, n_columns)
        Who has a lesion at each point.

    Returns
    -------
    BrunnerMunzel

    Raises
    ------
    InputError
        If the sizes differ or y has NaN.

    Notes
    -----
    Where the groups do not overlap the variance estimate is 0; it is then taken at that of a
    single pair that overlaps, 1/(n1 n2)^2 on the scale of the effect, so that the statistic is
    large and finite.

    References
    ----------
    Brunner & Munzel (2000), Biom. J. 42, 17-25; Rorden, Karnath & Bonilha (2007),
    doi:10.1162/jocn.2007.19.7.1081.

    Examples
    --------
    >>> y = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    >>> found = brunner_munzel_columns(y, [[0], [0], [1], [0], [1], [1]])
    >>> float(found.effect[0].round(4)), float(found.t[0].round(4))
    (0.8889, 2.4749)
    """
    value = np.asarray(y, dtype=np.float64)
    mask = np.asarray(lesions)
    if mask.ndim != 2 or len(mask) != len(value) or np.isnan(value).any():
        raise InputError(
            f"Needed are one value a person and lesions (n_samples, n_columns); found "
            f"{value.shape} and {mask.shape}."
        )
    order = np.argsort(value, kind="stable")
    _, first = np.unique(value[order], return_index=True)
    ends = np.append(first[1:], len(value))
    below = np.cumsum(mask[order], axis=0, dtype=np.float32)
    upto = np.concatenate([np.zeros((1, mask.shape[1]), np.float32), below[ends - 1]])
    with_ = np.diff(upto, axis=0)  # people with a lesion in each block of equal values
    size = np.diff(np.append(first, len(value))).astype(np.float32)[:, None]
    without = size - with_
    place_with = (np.cumsum(without, axis=0) - without) + without / 2
    place_without = upto[:-1] + with_ / 2
    n1 = upto[-1].astype(np.float64)
    n2 = len(value) - n1
    with np.errstate(divide="ignore", invalid="ignore"):
        mean1 = np.einsum("bv,bv->v", with_, place_with, dtype=np.float64) / n1
        mean2 = np.einsum("bv,bv->v", without, place_without, dtype=np.float64) / n2
        s1 = np.einsum("bv,bv->v", with_, np.square(place_with - mean1), dtype=np.float64)
        s2 = np.einsum("bv,bv->v", without, np.square(place_without - mean2), dtype=np.float64)
        s1, s2 = s1 / (n1 - 1), s2 / (n2 - 1)
        effect = mean1 / n2
        # Variance of the effect: s1/(n1 n2^2) + s2/(n2 n1^2)
        part1, part2 = s1 / (n1 * n2 * n2), s2 / (n2 * n1 * n1)
        least = 1.0 / np.square(n1 * n2)
        variance = np.maximum(part1 + part2, least)
        t = (effect - 0.5) / np.sqrt(variance)
        df = np.square(part1 + part2) / (np.square(part1) / (n1 - 1) + np.square(part2) / (n2 - 1))
        df = np.where(part1 + part2 > 0, df, np.minimum(n1, n2) - 1)
    good = (n1 >= 2) & (n2 >= 2)
    nan = np.nan
    return BrunnerMunzel(
        np.where(good, effect, nan), np.where(good, t, nan), np.where(good, df, nan)
    )
