"""Colocalisation: do two traits share a causal variant in a region?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from radgen.errors import InputError

__all__ = [
    "CASE_CONTROL_PRIOR_SD",
    "QUANTITATIVE_PRIOR_SD",
    "Hypotheses",
    "SharedSignal",
    "credible_set",
    "log_bayes_factors",
    "shared_signal",
    "trait_sd",
]

Array = NDArray[np.float64]

QUANTITATIVE_PRIOR_SD = 0.15
"""Prior standard deviation of an effect, in standard deviations of a quantitative trait."""
CASE_CONTROL_PRIOR_SD = 0.2
"""Prior standard deviation of a log odds ratio."""
_LEAST_P12 = 1e-12


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """Evidence of a region, free of priors: natural logs of sums of Bayes factors.

    Attributes
    ----------
    first, second : float
        Over the variants, of each trait.
    both : float
        Over the variants, of the products of both traits' Bayes factors.
    n : int
        Number of variants.
    """

    first: float
    second: float
    both: float
    n: int

    def posterior(self, p1: float, p2: float, p12: float) -> Array:
        """Return P(H0) … P(H4): none, first only, second only, two variants, one shared variant.

        Parameters
        ----------
        p1, p2, p12 : float
            Prior probability that a variant is causal for the first trait alone, for the second
            alone, for both.

        Returns
        -------
        ndarray of float64 (5,)
            Sums to 1.

        Raises
        ------
        InputError
            If the priors are no probabilities, or p12 exceeds another.

        Notes
        -----
        Priors are relative to no causal variant in the region, as published.
        """
        if not (0 < p1 < 1 and 0 < p2 < 1 and 0 < p12 <= min(p1, p2)):
            raise InputError(
                f"Priors are p1 = {p1:g}, p2 = {p2:g}, p12 = {p12:g}; needed are p1 and p2 in "
                "(0, 1), and p12 at most the smaller of both."
            )
        total = self.first + self.second
        # Two causal variants are all pairs but those of a variant with itself.
        gap = min(self.both - total, 0.0)
        apart = total + np.log1p(-np.exp(gap)) if gap < 0 else -np.inf
        logs = np.array(
            [0.0, np.log(p1) + self.first, np.log(p2) + self.second,
             np.log(p1) + np.log(p2) + apart, np.log(p12) + self.both]
        )  # fmt: skip
        return np.asarray(np.exp(logs - logsumexp(logs)))

    def least_p12(self, p1: float, p2: float, share: float = 0.5) -> float:
        """Return the smallest p12 at which P(H4) reaches `share`; NaN where none up to min(p1, p2).

        Parameters
        ----------
        p1, p2 : float
            The other priors.
        share : float, default 0.5
            In (0, 1).

        Returns
        -------
        float
            P(H4) rises with p12, so that this is one number.
        """
        rest = self.posterior(p1, p2, min(p1, p2))[:4].sum()
        top = self.posterior(p1, p2, min(p1, p2))[4]
        if top == 0:
            return np.nan
        # The odds of H4 are proportional to p12.
        needed = share / (1 - share) * rest / top * min(p1, p2)
        return float(max(needed, _LEAST_P12)) if needed <= min(p1, p2) else np.nan


@dataclass(frozen=True, eq=False, slots=True)
class SharedSignal:
    """Posterior of a region and of its variants.

    Attributes
    ----------
    posterior : ndarray of float64 (5,)
        P(H0) … P(H4).
    evidence : Hypotheses
        What the posterior follows from with any priors.
    first, second, shared : ndarray of float64 (n,)
        Probability of each variant to be the causal one of the first trait, of the second, and
        of both given H4; each sums to 1.
    """

    posterior: Array
    evidence: Hypotheses
    first: Array
    second: Array
    shared: Array


def log_bayes_factors(beta: ArrayLike, se: ArrayLike, prior_sd: float) -> Array:
    """Return the natural log of Wakefield's approximate Bayes factor of each variant.

    Parameters
    ----------
    beta, se : array of float64 (n,)
        Effects and standard errors; NaN gives NaN.
    prior_sd : float
        Standard deviation of true effects, in the unit of `beta`.

    Returns
    -------
    ndarray of float64 (n,)
        Evidence for an effect against none: (log(1 - r) + r z²) / 2, r = W / (W + se²).

    Raises
    ------
    InputError
        If `prior_sd` is not positive.

    References
    ----------
    Wakefield (2009), doi:10.1002/gepi.20359.

    Examples
    --------
    >>> log_bayes_factors([0.1], [0.02], 0.15).round(3)
    array([10.258])
    """
    if not prior_sd > 0:
        raise InputError(f"prior_sd is {prior_sd}; needed is a positive number.")
    variance = np.square(np.asarray(se, np.float64))
    z2 = np.square(np.asarray(beta, np.float64)) / variance
    r = prior_sd**2 / (prior_sd**2 + variance)
    return np.asarray(0.5 * (np.log1p(-r) + r * z2))


def trait_sd(se: ArrayLike, frequency: ArrayLike, n: ArrayLike) -> float:
    """Return the standard deviation of a trait from standard errors, frequencies and n.

    Parameters
    ----------
    se, frequency, n : array of float64 (n_variants,)
        Standard error, allele frequency and number of people of each variant.

    Returns
    -------
    float
        Square root of the slope of 2 n f (1 - f) on 1 / se² through the origin.

    Raises
    ------
    InputError
        If no variant has all three.

    Notes
    -----
    Hardy-Weinberg proportions, effects that explain little, and no covariate that explains much
    of the trait are assumed.
    """
    s, f, m = (np.asarray(a, np.float64) for a in (se, frequency, n))
    use = np.isfinite(s) & np.isfinite(f) & np.isfinite(m) & (s > 0) & (f > 0) & (f < 1)
    if not use.any():
        raise InputError("The trait's standard deviation needs se, alt_freq and n of its variants.")
    precision, spread = 1 / np.square(s[use]), 2 * m[use] * f[use] * (1 - f[use])
    return float(np.sqrt(precision @ spread / (precision @ precision)))


def shared_signal(
    first: ArrayLike, second: ArrayLike, *, p1: float = 1e-4, p2: float = 1e-4, p12: float = 1e-5
) -> SharedSignal:
    """Return the posterior of one shared causal variant against two, one and none.

    Parameters
    ----------
    first, second : array of float64 (n,)
        Log Bayes factors of the same variants for both traits, from `log_bayes_factors`.
    p1, p2, p12 : float
        Prior probability that a variant is causal for the first trait alone, for the second
        alone, for both.

    Returns
    -------
    SharedSignal

    Raises
    ------
    InputError
        If lengths differ, a value is not finite, or the priors do not fit each other.

    Notes
    -----
    At most one causal variant a trait, and it is among those tested. A second signal in the
    region can hide a shared one.

    References
    ----------
    Giambartolomei et al. (2014), doi:10.1371/journal.pgen.1004383; Wallace (2020),
    doi:10.1371/journal.pgen.1008720.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise InputError("Log Bayes factors of both traits are of the same variants, one or more.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("Log Bayes factors must be finite: leave out variants without an effect.")
    found = Hypotheses(float(logsumexp(a)), float(logsumexp(b)), float(logsumexp(a + b)), len(a))
    return SharedSignal(
        found.posterior(p1, p2, p12),
        found,
        np.exp(a - found.first),
        np.exp(b - found.second),
        np.exp(a + b - found.both),
    )


def credible_set(probability: ArrayLike, coverage: float = 0.95) -> NDArray[np.int64]:
    """Return the fewest variants whose probabilities reach the coverage, the most likely first.

    Parameters
    ----------
    probability : array of float64 (n,)
        Sums to 1.
    coverage : float, default 0.95
        In (0, 1].

    Returns
    -------
    ndarray of int64
        Rows.

    Examples
    --------
    >>> credible_set([0.1, 0.7, 0.2], 0.85).tolist()
    [1, 2]
    """
    p = np.asarray(probability, np.float64)
    order = np.argsort(-p, kind="stable")
    reached = np.cumsum(p[order])
    return order[: int(np.searchsorted(reached, coverage * reached[-1] * (1 - 1e-12))) + 1]
