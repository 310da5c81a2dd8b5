"""Meta-analysis of many effects at once, a row an effect, a column a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.stats.tail import chi2_log10p, normal_log10p, t_log10p

__all__ = ["METHODS", "PooledRows", "pool_rows"]

Array = NDArray[np.float64]

METHODS = ("fixed", "DL", "REML")
"""Names of the models."""

_MAX_STEPS = 2000
_HALVINGS = 60


@dataclass(frozen=True, eq=False, slots=True)
class PooledRows:
    """Pooled effects, arrays of float64 (n_rows,).

    Attributes
    ----------
    n_studies : ndarray of int64
        Cohorts with an effect.
    effect, se : ndarray
        Pooled effect and its standard error.
    statistic, df : ndarray
        effect / se, and the degrees of freedom of its reference (infinite = normal).
    log10p : ndarray
        Two-sided.
    ci_low, ci_high : ndarray
        Confidence limits.
    q, q_log10p : ndarray
        Cochran's Q on n_studies - 1 degrees of freedom, and log10 p; NaN for one cohort.
    tau2, i2 : ndarray
        Variance between cohorts, and the percent of the variance that it makes up.
    converged : ndarray of bool
        False where tau2 did not settle.
    """

    n_studies: NDArray[np.int64]
    effect: Array
    se: Array
    statistic: Array
    df: Array
    log10p: Array
    ci_low: Array
    ci_high: Array
    q: Array
    q_log10p: Array
    tau2: Array
    i2: Array
    converged: NDArray[np.bool_]


def pool_rows(
    effects: ArrayLike,
    variances: ArrayLike,
    *,
    method: Literal["fixed", "DL", "REML"] = "fixed",
    hartung: bool = False,
    confidence: float = 0.95,
) -> PooledRows:
    """Return the inverse-variance pooled effect of each row.

    Parameters
    ----------
    effects, variances : array_like of float64 (n_rows, n_cohorts)
        Effects on the same scale and their squared standard errors; NaN = the cohort has none.
    method : {"fixed", "DL", "REML"}
        Fixed effect, or random effects with tau2 by DerSimonian-Laird or restricted maximum
        likelihood.
    hartung : bool, default False
        Hartung-Knapp-Sidik-Jonkman: the standard error from the spread of the effects, t with
        n_studies - 1 degrees of freedom. One cohort keeps its own.
    confidence : float, default 0.95
        Coverage of the limits.

    Returns
    -------
    PooledRows
        As R metafor gives it; I2 of the fixed model from Q, of the others from tau2.

    Raises
    ------
    InputError
        If the shapes differ, a variance is not positive, or an option is unknown.

    References
    ----------
    DerSimonian & Laird (1986), doi:10.1016/0197-2456(86)90046-2; Viechtbauer (2005),
    doi:10.3102/10769986030003261; Knapp & Hartung (2003), doi:10.1002/sim.1482.

    Examples
    --------
    >>> found = pool_rows([[0.2, 0.4], [0.3, np.nan]], [[0.01, 0.01], [0.04, np.nan]])
    >>> found.effect.round(6).tolist(), found.n_studies.tolist()
    ([0.3, 0.3], [2, 1])
    """
    require_choice(method, METHODS, what="method")
    y, v = np.atleast_2d(np.asarray(effects, float)), np.atleast_2d(np.asarray(variances, float))
    if y.shape != v.shape or y.ndim != 2:
        raise InputError(f"Effects {y.shape} and variances {v.shape} do not fit together.")
    known = np.isfinite(y) & np.isfinite(v)
    if (v[known] <= 0).any():
        raise InputError("Variances of effects are positive.")
    y = np.where(known, y, 0.0)
    w = np.where(known, 1.0 / np.where(known, v, 1.0), 0.0)
    k = known.sum(axis=1)
    many = k > 1
    with np.errstate(divide="ignore", invalid="ignore"):
        total, squares = w.sum(axis=1), np.square(w).sum(axis=1)
        centre = (w * y).sum(axis=1) / total
        q = (w * np.square(y - centre[:, None])).sum(axis=1)
        tau2, converged = np.zeros(len(y)), np.ones(len(y), bool)
        if method != "fixed":
            tau2 = np.where(many, np.maximum((q - (k - 1)) / (total - squares / total), 0.0), 0.0)
        if method == "REML":
            tau2, converged = _reml(y, np.where(known, v, np.inf), known, many)
        weight = np.where(known, 1.0 / (np.where(known, v, 1.0) + tau2[:, None]), 0.0)
        sums = weight.sum(axis=1)
        effect = (weight * y).sum(axis=1) / sums
        se, df = 1.0 / np.sqrt(sums), np.full(len(y), np.inf)
        if hartung:
            spread = (weight * np.square(y - effect[:, None])).sum(axis=1) / (k - 1)
            se = np.where(many, np.sqrt(spread / sums), se)
            df = np.where(many, k - 1.0, np.inf)
        statistic = effect / se
        typical = (k - 1) * total / (np.square(total) - squares)
        share = tau2 / (tau2 + typical) if method != "fixed" else np.maximum(1 - (k - 1) / q, 0.0)
        i2 = np.where(many & (q > 0), 100.0 * share, 0.0)
    return PooledRows(
        k, effect, se, statistic, df, _log10p(statistic, df),
        *_limits(effect, se, df, confidence),
        np.where(k > 0, q, np.nan),
        np.where(many, chi2_log10p(q, np.maximum(k - 1.0, 1.0)), np.nan),
        tau2, i2, converged,
    )  # fmt: skip


def _log10p(statistic: Array, df: Array) -> Array:
    normal = np.isinf(df)
    out = np.asarray(normal_log10p(statistic))
    if not normal.all():
        out = np.where(normal, out, t_log10p(statistic, np.where(normal, 1.0, df)))
    return out


def _limits(effect: Array, se: Array, df: Array, confidence: float) -> tuple[Array, Array]:
    tail = 0.5 + confidence / 2
    reach = np.full(len(df), float(special.ndtri(tail)))
    some = np.isfinite(df)
    reach[some] = special.stdtrit(df[some], tail)
    return effect - reach * se, effect + reach * se


def _reml(
    y: Array, v: Array, known: NDArray[np.bool_], many: NDArray[np.bool_]
) -> tuple[Array, NDArray[np.bool_]]:
    """Return tau2 by Fisher scoring with halved steps, from the Hedges value, row by row."""
    tau2, converged = np.zeros(len(y)), np.ones(len(y), bool)
    rows = np.flatnonzero(many)
    if not len(rows):
        return tau2, converged
    y, v, known = y[rows], v[rows], known[rows]
    k = known.sum(axis=1)
    mean = y.sum(axis=1) / k
    within = np.where(known, v, 0.0).sum(axis=1) / k
    spread = np.where(known, np.square(y - mean[:, None]), 0.0).sum(axis=1) / (k - 1)
    at = np.maximum(spread - within, 0.0)
    open_ = np.arange(len(rows))
    for _ in range(_MAX_STEPS):
        some = open_
        new = _step(y[some], v[some], known[some], at[some])
        moved = np.abs(new - at[some])
        done = moved < 1e-13 * np.maximum(1.0, at[some])
        at[some] = new
        open_ = some[~done]
        if not len(open_):
            break
    tau2[rows] = at
    converged[rows[open_]] = False
    return tau2, converged


def _step(y: Array, v: Array, known: NDArray[np.bool_], tau2: Array) -> Array:
    """Return the next tau2: a scoring step, halved while it overshoots."""
    slope, info = _score(y, v, known, tau2)
    new = np.maximum(tau2 + slope / info, 0.0)
    before = _likelihood(y, v, known, tau2)
    for _ in range(_HALVINGS):
        there = _score(y, v, known, new)[0]
        # Near the optimum the likelihood is flat to rounding: the slope must shrink as well.
        back = (there * slope < 0) & (np.abs(there) > 0.5 * np.abs(slope))
        worse = (_likelihood(y, v, known, new) < before - 1e-12) | back
        worse &= np.abs(new - tau2) > 1e-15
        if not worse.any():
            break
        new = np.where(worse, (new + tau2) / 2, new)
    return new


def _score(y: Array, v: Array, known: NDArray[np.bool_], tau2: Array) -> tuple[Array, Array]:
    """Return slope and information of the restricted likelihood."""
    w = np.where(known, 1.0 / (v + tau2[:, None]), 0.0)
    total, squares, cubes = w.sum(axis=1), np.square(w).sum(axis=1), (w**3).sum(axis=1)
    centre = (w * y).sum(axis=1) / total
    slope = 0.5 * ((np.square(w) * np.square(y - centre[:, None])).sum(axis=1) - total)
    slope += 0.5 * squares / total
    return slope, 0.5 * (squares - 2 * cubes / total + np.square(squares / total))


def _likelihood(y: Array, v: Array, known: NDArray[np.bool_], tau2: Array) -> Array:
    w = np.where(known, 1.0 / (v + tau2[:, None]), 0.0)
    total = w.sum(axis=1)
    centre = (w * y).sum(axis=1) / total
    logs = np.log(np.where(known, w, 1.0)).sum(axis=1)
    return np.asarray(
        0.5 * logs - 0.5 * (w * np.square(y - centre[:, None])).sum(axis=1) - 0.5 * np.log(total)
    )
