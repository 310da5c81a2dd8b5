"""Moderated t-statistics: residual variances of many features shrunk to a common prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.errors import InputError

__all__ = ["Squeezed", "squeeze_variances", "trigamma_inverse"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Squeezed:
    """Empirical-Bayes variances.

    Attributes
    ----------
    variance : ndarray of float64 (n_features,)
        Posterior variance; NaN where the feature had none.
    df_total : ndarray of float64 (n_features,)
        Degrees of freedom of the moderated t: residual plus prior, at most the sum of all.
    prior_variance : float
        Common variance.
    prior_df : float
        Weight of the prior; infinite where the variances vary no more than chance lets them.
    """

    variance: Array
    df_total: Array
    prior_variance: float
    prior_df: float


def squeeze_variances(variances: ArrayLike, df: ArrayLike) -> Squeezed:
    """Return residual variances shrunk by a scaled inverse chi-square prior.

    Parameters
    ----------
    variances : array_like of float64 (n_features,)
        Residual variances; NaN = not fitted.
    df : array_like of float64 (n_features,)
        Their degrees of freedom, broadcast.

    Returns
    -------
    Squeezed
        As limma's ``squeezeVar`` without trend; where the variances vary no more than chance
        lets them, the prior is their mean.

    Raises
    ------
    InputError
        If a variance is negative.

    References
    ----------
    Smyth (2004), Stat. Appl. Genet. Mol. Biol. 3, 3.

    Examples
    --------
    >>> squeeze_variances([1.0, 1.0, 1.0], 10).variance.round(2).tolist()
    [1.0, 1.0, 1.0]
    """
    value, dof = np.broadcast_arrays(
        np.asarray(variances, dtype=np.float64), np.asarray(df, dtype=np.float64)
    )
    if (value < 0).any():
        raise InputError("Variances are not negative.")
    known = np.isfinite(value) & np.isfinite(dof) & (dof > 1e-15)
    total = np.where(known, dof, np.nan)
    if known.sum() < 2 or not np.any(value[known] > 0):
        return Squeezed(np.where(known, value, np.nan), total, np.nan, 0.0)
    s2, d = value[known], dof[known]
    # A variance of 0 would be minus infinity on the log scale.
    s2 = np.maximum(s2, 1e-5 * (np.median(s2) or 1.0))
    e = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    spread = float(np.var(e, ddof=1) - np.mean(special.polygamma(1, d / 2)))
    if spread > 0:
        prior_df = 2 * trigamma_inverse(spread)
        prior = float(np.exp(e.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2)))
        posterior = (prior_df * prior + dof * value) / (prior_df + dof)
    else:
        prior_df, prior = float("inf"), float(s2.mean())
        posterior = np.full(value.shape, prior)
    df_total = np.minimum(total + prior_df, np.sum(d))
    return Squeezed(np.where(known, posterior, np.nan), df_total, prior, prior_df)


def trigamma_inverse(value: float) -> float:
    """Return x > 0 with trigamma(x) = `value`, by Newton steps on 1/trigamma.

    Parameters
    ----------
    value : float
        Positive.

    Returns
    -------
    float
        The inverse.

    Raises
    ------
    InputError
        If `value` is not positive.
    """
    if not value > 0:
        raise InputError(f"The trigamma function is positive; found {value}.")
    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        now = float(special.polygamma(1, x))
        step = now * (1 - now / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x
