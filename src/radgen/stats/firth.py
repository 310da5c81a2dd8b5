"""Logistic regression with Firth's penalty: finite also under separation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen.errors import InputError
from radgen.stats.glm import GlmFit
from radgen.stats.tail import chi2_log10p

__all__ = ["FirthTest", "firth", "firth_test"]

Array = NDArray[np.float64]

_MAX_STEPS = 200
_TOLERANCE = 1e-9
_MAX_STEP = 5.0


@dataclass(frozen=True, eq=False, slots=True)
class FirthTest:
    """One coefficient of a Firth fit with its profile penalised likelihood.

    Attributes
    ----------
    effect : float
        Log odds ratio.
    se : float
        Standard error from the inverse information.
    ci_low, ci_high : float
        Profile penalised-likelihood limits; infinite where the profile never falls enough.
    chi2 : float
        Penalised likelihood-ratio statistic, 1 degree of freedom.
    log10p : float
        Its log10 p.
    converged : bool
        Both fits reached their maximum.
    """

    effect: float
    se: float
    ci_low: float
    ci_high: float
    chi2: float
    log10p: float
    converged: bool = True


def firth(
    y: ArrayLike,
    design: ArrayLike,
    *,
    fixed: tuple[int, float] | None = None,
    start: Array | None = None,
) -> GlmFit:
    """Return the logistic regression penalised by Jeffreys' prior.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        0 or 1, no missing values.
    design : array_like of float64 (n_samples, n_columns)
        With its intercept column, of full rank.
    fixed : (int, float) or None
        Column and value of a coefficient that is held; the penalty still counts it.
    start : ndarray of float64 (n_columns,) or None
        Where the steps begin.

    Returns
    -------
    GlmFit
        ``log_likelihood`` is the penalised one, log L + log|I| / 2.

    Raises
    ------
    InputError
        If `y` is not 0/1, the sizes differ or the design lacks rank.

    Notes
    -----
    Solves U(b) + sum h_i (1/2 - p_i) x_i = 0, h the leverages of the weighted design, by
    Newton steps with halving on the penalised likelihood.

    References
    ----------
    Firth (1993), Biometrika 80, 27-38. Heinze & Schemper (2002), Statist. Med. 21, 2409-2419.

    Examples
    --------
    >>> x = np.c_[np.ones(8), [0, 0, 0, 0, 1, 1, 1, 1]]
    >>> fit = firth([0, 0, 0, 1, 1, 1, 1, 1], x)
    >>> bool(np.isclose(fit.coef[1], np.log(4.5 / 0.5) - np.log(1.5 / 3.5)))
    True
    """
    target = np.asarray(y, dtype=np.float64)
    x = np.asarray(design, dtype=np.float64)
    if target.ndim != 1 or x.ndim != 2 or len(x) != len(target):
        raise InputError(f"y {target.shape} and design {x.shape} do not fit together.")
    if not np.isin(target, (0, 1)).all():
        raise InputError("A logistic outcome is 0 or 1, without missing values.")
    coef = np.zeros(x.shape[1]) if start is None else np.array(start, dtype=np.float64)
    free = np.ones(x.shape[1], dtype=bool)
    if fixed is not None:
        coef[fixed[0]] = fixed[1]
        free[fixed[0]] = False
    value, score, info = _penalised(target, x, coef)
    if not np.isfinite(value):
        raise InputError("The design of a Firth regression lacks rank: drop dependent columns.")
    converged = not free.any()
    damp, last = 1.0, np.zeros(int(free.sum()))
    for _ in range(_MAX_STEPS if free.any() else 0):
        part = info[np.ix_(free, free)]
        step = np.linalg.solve(part, score[free])
        if float(score[free] @ step) < _TOLERANCE**2:
            converged = True
            break
        # The information is not the curvature of the penalty: steps may go too far each time.
        if float(step @ part @ last) < -0.25 * float(last @ part @ last):
            damp /= 2
        step *= min(damp, _MAX_STEP / float(np.max(np.abs(step))))
        for _half in range(40):
            new = coef.copy()
            new[free] += step
            found, new_score, new_info = _penalised(target, x, new)
            if found >= value - 1e-12 * abs(value):
                break
            step /= 2
        else:
            converged = float(np.max(np.abs(score[free]))) < 1e-6
            break
        coef, value, score, info, last = new, found, new_score, new_info, step
    return GlmFit(coef, np.asarray(np.linalg.inv(info)), value, converged, False)


def firth_test(
    y: ArrayLike, design: ArrayLike, column: int, *, confidence: float = 0.95
) -> FirthTest:
    """Return effect, profile interval and penalised likelihood-ratio test of one column.

    Parameters
    ----------
    y : array_like of float64 (n_samples,)
        0 or 1.
    design : array_like of float64 (n_samples, n_columns)
        With its intercept column, of full rank.
    column : int
        The tested column.
    confidence : float, default 0.95
        Coverage of the interval.

    Returns
    -------
    FirthTest
        As the R package logistf gives it, but for ``se``: here it comes from the inverse
        information (Heinze & Schemper), in logistf from version 1.25 on from augmented data.

    Raises
    ------
    InputError
        If `y` is not 0/1, the sizes differ or the design lacks rank.
    """
    full = firth(y, design)
    null = firth(y, design, fixed=(column, 0.0))
    chi2 = max(2 * (full.log_likelihood - null.log_likelihood), 0.0)
    limit = full.log_likelihood - 0.5 * float(special.chdtri(1, 1 - confidence))
    effect, se = float(full.coef[column]), float(full.se[column])
    low, high = (
        _profile_limit(y, design, column, full, limit=limit, way=way) for way in (-1.0, 1.0)
    )
    converged = full.converged and null.converged
    return FirthTest(effect, se, low, high, chi2, float(chi2_log10p(chi2, 1)), converged)


def _penalised(target: Array, x: Array, coef: Array) -> tuple[float, Array, Array]:
    eta = x @ coef
    mean = special.expit(eta)
    weight = mean * (1 - mean)
    info = (x * weight[:, None]).T @ x
    sign, log_det = np.linalg.slogdet(info)
    if sign <= 0:
        return -np.inf, np.zeros(len(coef)), info
    leverage = weight * np.einsum("ij,ij->i", x, np.linalg.solve(info, x.T).T)
    score = x.T @ (target - mean + leverage * (0.5 - mean))
    value = float(np.sum(target * eta - np.logaddexp(0.0, eta))) + 0.5 * float(log_det)
    return value, score, info


def _profile_limit(
    y: ArrayLike, design: ArrayLike, column: int, full: GlmFit, *, limit: float, way: float
) -> float:
    """Where the profile of one coefficient falls to `limit`, by bracketing and regula falsi."""
    start = full.coef

    def height(at: float) -> float:
        nonlocal start
        fit = firth(y, design, fixed=(column, at), start=start)
        start = fit.coef
        return fit.log_likelihood - limit

    inside = float(full.coef[column])
    step = 2.0 * float(full.se[column])
    above = full.log_likelihood - limit
    outside = inside + way * step
    below = height(outside)
    for _ in range(30):
        if below < 0:
            break
        inside, above = outside, below
        step *= 1.6
        outside = inside + way * step
        below = height(outside)
    else:
        return way * np.inf
    side = 0
    for _ in range(100):
        at = outside - below * (outside - inside) / (below - above)
        found = height(at)
        if abs(found) < 1e-10 or abs(outside - inside) < 1e-12 * max(1.0, abs(at)):
            return at
        if found < 0:
            outside, below = at, found
            above = above / 2 if side == -1 else above
            side = -1
        else:
            inside, above = at, found
            below = below / 2 if side == 1 else below
            side = 1
    return at
