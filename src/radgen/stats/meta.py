"""Meta-analysis of effects from several cohorts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen._core.naming import require_choice
from radgen.errors import FitError, InputError
from radgen.stats.tail import chi2_log10p, normal_log10p

__all__ = ["METHODS", "MetaFit", "genomic_control", "meta", "sample_size_z"]

Array = NDArray[np.float64]

METHODS = ("fixed", "DL", "HE", "PM", "ML", "REML")
"""Names of the models: fixed effect, and random effects by the estimator of tau2."""

_MAX_STEPS = 1000
# The chi-square median with 1 degree of freedom.
_MEDIAN_CHI2 = float(special.chdtri(1, 0.5))


@dataclass(frozen=True, slots=True)
class MetaFit:
    """A pooled effect.

    Attributes
    ----------
    effect, se : float
        Pooled effect and standard error.
    ci_low, ci_high : float
        Normal confidence limits.
    z, log10p : float
        Test of no effect.
    q, q_log10p : float
        Cochran's Q and log10 p of homogeneity on k - 1 degrees of freedom.
    tau2 : float
        Variance between cohorts; 0 for the fixed-effect model.
    i2 : float
        Percent of the variance that lies between cohorts.
    h2 : float
        Total over within-cohort variance.
    n_studies : int
        Cohorts with a finite effect and standard error.
    """

    effect: float
    se: float
    ci_low: float
    ci_high: float
    z: float
    log10p: float
    q: float
    q_log10p: float
    tau2: float
    i2: float
    h2: float
    n_studies: int


def meta(
    effects: ArrayLike,
    variances: ArrayLike,
    *,
    method: Literal["fixed", "DL", "HE", "PM", "ML", "REML"] = "REML",
    confidence: float = 0.95,
) -> MetaFit:
    """Return the inverse-variance pooled effect.

    Parameters
    ----------
    effects : array_like of float64 (n_studies,)
        Effects on the same scale; NaN = the cohort gives none.
    variances : array_like of float64 (n_studies,)
        Their squared standard errors.
    method : {"fixed", "DL", "HE", "PM", "ML", "REML"}
        Fixed effect, or random effects with tau2 by DerSimonian-Laird, Hedges, Paule-Mandel,
        maximum likelihood or restricted maximum likelihood.
    confidence : float, default 0.95
        Coverage of the interval.

    Returns
    -------
    MetaFit
        As R metafor gives it: I2 and H2 of the fixed model from Q, of the others from tau2.

    Raises
    ------
    InputError
        If no cohort is left, a variance is not positive, or the sizes differ.
    FitError
        If an iteration does not converge.

    References
    ----------
    Viechtbauer (2005), J. Educ. Behav. Stat. 30, 261-293.

    Examples
    --------
    >>> round(meta([0.2, 0.4], [0.01, 0.01], method="fixed").effect, 6)
    0.3
    """
    require_choice(method, METHODS, what="method")
    y, v = np.asarray(effects, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if y.shape != v.shape or y.ndim != 1:
        raise InputError(f"Effects {y.shape} and variances {v.shape} do not fit together.")
    keep = np.isfinite(y) & np.isfinite(v)
    y, v = y[keep], v[keep]
    if not len(y):
        raise InputError("No cohort has both an effect and a standard error.")
    if (v <= 0).any():
        raise InputError("Variances of effects are positive.")
    k = len(y)
    w = 1 / v
    q = float(w @ (y - w @ y / w.sum()) ** 2)
    tau2 = 0.0 if k == 1 or method == "fixed" else _TAU2[method](y, v)
    weight = 1 / (v + tau2)
    effect = float(weight @ y / weight.sum())
    se = float(1 / np.sqrt(weight.sum()))
    z = effect / se
    half = float(special.ndtri(0.5 + confidence / 2)) * se
    typical = (k - 1) * w.sum() / (w.sum() ** 2 - float(w @ w)) if k > 1 else np.nan
    if k == 1:
        i2, h2 = 0.0, 1.0
    elif method == "fixed":
        i2, h2 = 100 * max(0.0, (q - (k - 1)) / q) if q > 0 else 0.0, q / (k - 1)
    else:
        i2, h2 = 100 * tau2 / (tau2 + typical), tau2 / typical + 1
    q_log10p = float(chi2_log10p(q, k - 1)) if k > 1 else 0.0
    return MetaFit(
        effect=effect,
        se=se,
        ci_low=effect - half,
        ci_high=effect + half,
        z=z,
        log10p=float(normal_log10p(z)),
        q=q,
        q_log10p=q_log10p,
        tau2=tau2,
        i2=float(i2),
        h2=float(h2),
        n_studies=k,
    )


def sample_size_z(z: ArrayLike, n: ArrayLike) -> tuple[float, float]:
    """Return the pooled z weighted by the root of the sample size, and its log10 p.

    Parameters
    ----------
    z : array_like of float64 (n_studies,)
        Signed z-values for the same direction; NaN is left out.
    n : array_like of float64 (n_studies,)
        (Effective) sample sizes.

    Returns
    -------
    z, log10p : float
        NaN where no cohort is left.

    Raises
    ------
    InputError
        If the sizes differ.

    References
    ----------
    Willer, Li & Abecasis (2010), Bioinformatics 26, 2190-2191.
    """
    value, size = np.asarray(z, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if value.shape != size.shape:
        raise InputError(f"z {value.shape} and n {size.shape} do not fit together.")
    keep = np.isfinite(value) & (size > 0)
    if not keep.any():
        return float("nan"), float("nan")
    pooled = float(np.sqrt(size[keep]) @ value[keep] / np.sqrt(size[keep].sum()))
    return pooled, float(normal_log10p(pooled))


def genomic_control(chi2: ArrayLike) -> float:
    """Return the inflation factor: median of the statistics over the median of chi-square 1.

    Parameters
    ----------
    chi2 : array_like of float64
        Chi-square statistics with 1 degree of freedom; NaN is left out.

    Returns
    -------
    float
        1 where calibrated; NaN where no statistic is known.
    """
    value = np.asarray(chi2, dtype=np.float64)
    value = value[~np.isnan(value)]
    return float(np.median(value) / _MEDIAN_CHI2) if value.size else float("nan")


def _der_simonian_laird(y: Array, v: Array) -> float:
    w = 1 / v
    q = float(w @ (y - w @ y / w.sum()) ** 2)
    return max(0.0, (q - (len(y) - 1)) / float(w.sum() - w @ w / w.sum()))


def _hedges(y: Array, v: Array) -> float:
    return max(0.0, float(np.var(y, ddof=1) - v.mean()))


def _paule_mandel(y: Array, v: Array) -> float:
    def excess(tau2: float) -> float:
        w = 1 / (v + tau2)
        return float(w @ (y - w @ y / w.sum()) ** 2) - (len(y) - 1)

    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, max(float(np.var(y, ddof=1)), float(v.mean()))
    while excess(high) > 0:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return (low + high) / 2


def _likelihood(y: Array, v: Array, *, restricted: bool) -> float:
    """Fisher scoring on tau2 with halved steps, from the Hedges value."""
    tau2 = max(_hedges(y, v), 0.0)

    def value(at: float) -> float:
        w = 1 / (v + at)
        centre = w @ y / w.sum()
        out = 0.5 * float(np.sum(np.log(w))) - 0.5 * float(w @ (y - centre) ** 2)
        return out - 0.5 * float(np.log(w.sum())) if restricted else out

    def score(at: float) -> tuple[float, float]:
        w = 1 / (v + at)
        centre = w @ y / w.sum()
        slope = 0.5 * float(w**2 @ (y - centre) ** 2 - w.sum())
        info = 0.5 * float(w @ w)
        if restricted:
            slope += 0.5 * float(w @ w / w.sum())
            info += 0.5 * float((w @ w / w.sum()) ** 2 - 2 * np.sum(w**3) / w.sum())
        return slope, info

    def overshot(slope: float, new: float) -> bool:
        # Near the optimum the likelihood is flat to rounding: the slope must shrink as well.
        there = score(new)[0]
        back = there * slope < 0 and abs(there) > 0.5 * abs(slope)
        return back or value(new) < value(tau2) - 1e-12

    for _ in range(_MAX_STEPS):
        slope, info = score(tau2)
        new = max(tau2 + slope / info, 0.0)
        while abs(new - tau2) > 1e-15 and overshot(slope, new):
            new = (new + tau2) / 2
        if abs(new - tau2) < 1e-13 * max(1.0, tau2):
            return new
        tau2 = new
    raise FitError("The between-cohort variance did not converge; use method='PM'.")


def _ml(y: Array, v: Array) -> float:
    return _likelihood(y, v, restricted=False)


def _reml(y: Array, v: Array) -> float:
    return _likelihood(y, v, restricted=True)


_TAU2: dict[str, Callable[[Array, Array], float]] = {
    "DL": _der_simonian_laird,
    "HE": _hedges,
    "PM": _paule_mandel,
    "ML": _ml,
    "REML": _reml,
}
