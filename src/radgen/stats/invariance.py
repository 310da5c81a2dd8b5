"""Invariant causal prediction and anchor regression, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, expit, fdtr, fdtrc, ndtri, stdtr, stdtrit

from radgen.errors import FitError, InputError

__all__ = [
    "InvariantSets",
    "anchor_coefficients",
    "invariance_test",
    "invariant_sets",
]

FloatArray = NDArray[np.float64]
Codes = NDArray[np.int64]
Kind = Literal["linear", "logistic"]
_STEPS, _MOST = 50, 15


@dataclass(frozen=True, eq=False)
class InvariantSets:
    """Every set of predictors that was tested for invariance over environments.

    Attributes
    ----------
    sets : tuple of tuple of int
        Columns of each set, small sets first.
    p : float64 (n_sets,)
        p-value of the hypothesis that the outcome given the set is the same everywhere.
    alpha : float
        Level at which sets are rejected.
    parents : tuple of int or None
        Columns in every accepted set: with probability 1 - alpha all of them are direct causes
        (where the assumptions hold). None where every set is rejected.
    p_values : float64 (n_columns,)
        For each column the largest p of the sets without it: small where it is needed. 1 where
        every set is rejected.
    ci_low, ci_high : float64 (n_columns,)
        Simultaneous 1 - alpha interval of each direct effect: the union over the sets accepted
        at alpha / 2 of 1 - alpha / 2 intervals; 0 belongs to it where an accepted set lacks the
        column. NaN where every set is rejected.
    """

    sets: tuple[tuple[int, ...], ...]
    p: FloatArray
    alpha: float
    parents: tuple[int, ...] | None
    p_values: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray

    @property
    def accepted(self) -> tuple[tuple[int, ...], ...]:
        """Sets that are not rejected."""
        return tuple(s for s, p in zip(self.sets, self.p, strict=True) if p > self.alpha)


def invariance_test(y: Any, x: Any, environments: Any, *, kind: Kind = "linear") -> float:
    """Return the p-value of the hypothesis that y given x is the same in all environments.

    Parameters
    ----------
    y : float (n,)
        Values, or 0 and 1 (logistic).
    x : float (n, k)
        Predictors without intercept; k may be 0.
    environments : array-like (n,)
        Site, scanner or centre of each row; two or more, three or more rows each.
    kind : {"linear", "logistic"}
        Linear: residuals of the pooled regression have the same mean (Welch's t test) and
        variance (F test) in each environment as in the others, Bonferroni over both and over
        environments. Logistic: score test of environment and its interactions with x.

    Returns
    -------
    float
        1 where nothing can be tested (constant residuals).

    Raises
    ------
    InputError
        If there are fewer than two environments or three rows in one of them.
    FitError
        If the logistic model has no maximum.

    References
    ----------
    Peters, Bühlmann & Meinshausen 2016, doi:10.1111/rssb.12167, section 3.1.
    """
    values, design, code = _checked(y, x, environments)
    if kind == "logistic":
        return _logistic_p(values, design, code)
    whole = np.column_stack((np.ones(len(values)), design))
    residual = values - whole @ np.linalg.lstsq(whole, values, rcond=None)[0]
    return _linear_p(residual, code)


def invariant_sets(
    y: Any,
    x: Any,
    environments: Any,
    *,
    alpha: float = 0.05,
    kind: Kind = "linear",
    max_size: int | None = None,
) -> InvariantSets:
    """Return all sets of predictors with their p-values, and the columns common to those accepted.

    Parameters
    ----------
    y, x, environments
        As in `invariance_test`; at most 15 predictors (2^15 sets).
    alpha : float, default 0.05
        Level.
    kind : {"linear", "logistic"}
        As in `invariance_test`.
    max_size : int or None
        Largest set that is tested; None = all. With a limit the statement about parents holds
        where they are no more than that.

    Returns
    -------
    InvariantSets
        See there.

    Raises
    ------
    InputError
        As `invariance_test`; if there are more than 15 predictors.

    Notes
    -----
    Assumes a linear (logistic) structural equation of y whose noise is independent of the
    predictors' noise: no hidden common cause of y and a predictor, and no intervention on y
    itself. Without these, parents are not protected. Where every set is rejected, the
    assumptions fail. A logistic model that is separated cannot be tested and is not rejected.

    References
    ----------
    Peters, Bühlmann & Meinshausen 2016, doi:10.1111/rssb.12167.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> place = np.repeat([0, 1], 200)
    >>> cause = rng.normal(size=400) * (1 + place)
    >>> y = cause + rng.normal(size=400)
    >>> effect = y + rng.normal(size=400) + 2 * place
    >>> invariant_sets(y, np.column_stack((cause, effect)), place).parents
    (0,)
    """
    values, design, code = _checked(y, x, environments)
    p = design.shape[1]
    if p > _MOST:
        raise InputError(
            f"{p} predictors make 2^{p} sets; preselect at most {_MOST} (by the lasso, say, on the "
            "rows of all environments)."
        )
    largest = p if max_size is None else min(max_size, p)
    sets = [item for size in range(largest + 1) for item in combinations(range(p), size)]
    tests = [_tested(values, design, code, item, kind) for item in sets]
    found = np.array([item[0] for item in tests])
    accepted = found > alpha
    parents: tuple[int, ...] | None = None
    if accepted.any():
        common = set.intersection(*(set(s) for s, ok in zip(sets, accepted, strict=True) if ok))
        parents = tuple(sorted(common))
    low, high = _intervals(sets, found, tests, p, alpha)
    without = np.ones(p)
    if accepted.any():
        for j in range(p):
            without[j] = max(v for s, v in zip(sets, found, strict=True) if j not in s)
    return InvariantSets(tuple(sets), found, alpha, parents, without, low, high)


Tested = tuple[float, FloatArray, FloatArray, float]


def _tested(
    y: FloatArray, x: FloatArray, code: Codes, columns: Sequence[int], kind: Kind
) -> Tested:
    """Return p, coefficients, standard errors and residual degrees of freedom of a set."""
    part = x[:, list(columns)]
    whole = np.column_stack((np.ones(len(y)), part))
    if kind == "logistic":
        try:
            beta, information = _logistic(y, whole)
        except FitError:
            unknown = np.full(len(columns), np.inf)
            return 1.0, np.zeros(len(columns)), unknown, np.inf
        p = _score_p(y, whole, beta, code)
        error = np.sqrt(np.maximum(np.diag(np.linalg.pinv(information)), 0))
        return p, beta[1:], error[1:], np.inf
    inverse = np.linalg.pinv(whole.T @ whole)
    beta = np.asarray(np.linalg.lstsq(whole, y, rcond=None)[0], dtype=np.float64)
    residual = y - whole @ beta
    df = max(len(y) - whole.shape[1], 1)
    error = np.sqrt(np.maximum(np.diag(inverse) * (residual @ residual) / df, 0))
    return _linear_p(residual, code), beta[1:], error[1:], float(df)


def _intervals(
    sets: Sequence[tuple[int, ...]], p: FloatArray, tests: Sequence[Tested], k: int, alpha: float
) -> tuple[FloatArray, FloatArray]:
    low, high = np.full(k, np.inf), np.full(k, -np.inf)
    for columns, value, (_, beta, error, df) in zip(sets, p, tests, strict=True):
        if value <= alpha / 2:
            continue
        tail = 1 - alpha / 4
        reach = float(ndtri(tail)) if np.isinf(df) else float(stdtrit(df, tail))
        absent = np.setdiff1d(np.arange(k), columns)
        at = np.array(columns, dtype=np.int64)
        low[at] = np.minimum(low[at], beta - reach * error)
        high[at] = np.maximum(high[at], beta + reach * error)
        low[absent], high[absent] = np.minimum(low[absent], 0), np.maximum(high[absent], 0)
    nothing = low > high
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)


def _linear_p(residual: FloatArray, code: Codes) -> float:
    count = np.bincount(code).astype(np.float64)
    total = np.bincount(code, residual)
    square = np.bincount(code, residual**2)
    n, whole, whole_square = count.sum(), total.sum(), square.sum()
    mean, other = total / count, (whole - total) / (n - count)
    variance = (square - count * mean**2) / (count - 1)
    other_variance = (whole_square - square - (n - count) * other**2) / (n - count - 1)
    spread = float((whole_square - whole**2 / n) / n)
    if spread <= 1e-20 * max(float(residual @ residual), 1e-300) or spread <= 0:
        return 1.0
    a, b = variance / count, other_variance / (n - count)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(mean - other) / np.sqrt(a + b)
        df = (a + b) ** 2 / (a**2 / (count - 1) + b**2 / (n - count - 1))
        ratio = variance / other_variance
    means = 2 * stdtr(df, -t)
    lower, upper = (
        function(count - 1, n - count - 1, np.nan_to_num(ratio, nan=1.0, posinf=1e300))
        for function in (fdtr, fdtrc)
    )
    smallest = min(float(np.nanmin(means)), float(2 * np.minimum(lower, upper).min()))
    places = 1 if len(count) == 2 else len(count)
    return min(1.0, smallest * 2 * places)


def _logistic_p(y: FloatArray, x: FloatArray, code: Codes) -> float:
    whole = np.column_stack((np.ones(len(y)), x))
    return _score_p(y, whole, _logistic(y, whole)[0], code)


def _logistic(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    beta = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        share = expit(x @ beta)
        information = (x * (share * (1 - share))[:, None]).T @ x
        step = np.linalg.lstsq(information, x.T @ (y - share), rcond=None)[0]
        size = float(np.abs(x @ step).max())
        beta += step * min(1.0, 5.0 / max(size, 1e-300))
        if size < 1e-8:
            return beta, information
        if np.abs(x @ beta).max() > 30:
            break
    raise FitError("A logistic model has no maximum: predictors separate the outcome.")


def _score_p(y: FloatArray, x: FloatArray, beta: FloatArray, code: Codes) -> float:
    share = expit(x @ beta)
    weight = (share * (1 - share))[:, None]
    place = (code[:, None] == np.arange(1, code.max() + 1)).astype(np.float64)
    z = np.hstack([place * column[:, None] for column in x.T])
    spread = np.sqrt((z**2).mean(axis=0))
    z = z / np.where(spread > 0, spread, 1)
    score = z.T @ (y - share)
    inner = (x * weight).T @ z
    information = (z * weight).T @ z - inner.T @ np.linalg.pinv((x * weight).T @ x) @ inner
    value, vector = np.linalg.eigh((information + information.T) / 2)
    keep = value > 1e-9 * max(float(value[-1]), 1e-300)
    if not keep.any():
        return 1.0
    statistic = float(((vector[:, keep].T @ score) ** 2 / value[keep]).sum())
    return float(chdtrc(int(keep.sum()), statistic))


def _checked(y: Any, x: Any, environments: Any) -> tuple[FloatArray, FloatArray, Codes]:
    values, design = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    labels = np.asarray(environments)
    if design.ndim != 2 or values.ndim != 1 or not len(values) == len(design) == len(labels):
        raise InputError(
            f"y {values.shape}, x {design.shape} and environments {labels.shape} must have the "
            "same number of rows."
        )
    if not (np.isfinite(values).all() and np.isfinite(design).all()):
        raise InputError("Outcome or predictors are missing somewhere; keep complete rows only.")
    names, code = np.unique(labels.astype(str), return_inverse=True)
    count = np.bincount(code)
    if len(names) < 2:
        raise InputError("Invariance needs two or more environments (sites, scanners).")
    if count.min() < 3:
        raise InputError(
            f"Environment {str(names[count.argmin()])!r} has {count.min()} rows; three or more are "
            "needed. Put small environments together."
        )
    return values, design, code.astype(np.int64)


def anchor_coefficients(
    y: Any, x: Any, anchors: Any, *, gamma: float, penalty: float = 0.0
) -> tuple[FloatArray, float]:
    """Return coefficients and intercept of anchor regression.

    Parameters
    ----------
    y : float (n,)
        Outcome.
    x : float (n, p)
        Predictors.
    anchors : array-like (n,) or float (n, k)
        Environments, or numeric exogenous variables that shift the distribution.
    gamma : float
        1 is least squares; larger values protect against shifts along the anchors, up to
        two-stage least squares; 0 takes the anchors' part out.
    penalty : float, default 0.0
        Ridge penalty a row.

    Returns
    -------
    coefficients : float64 (p,)
        Effects.
    intercept : float
        Such that residuals have mean 0.

    Raises
    ------
    InputError
        If gamma or the penalty is negative, or lengths differ.

    References
    ----------
    Rothenhäusler et al. 2021, doi:10.1111/rssb.12398, equation 8 and section 3.2.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> place = np.repeat([0, 1, 2], 300)
    >>> hidden = rng.normal(size=900)
    >>> x = (place - 1) + hidden + rng.normal(size=900)
    >>> y = 2 * x + 3 * hidden + rng.normal(size=900)
    >>> round(float(anchor_coefficients(y, x[:, None], place, gamma=1e9)[0][0]), 1)
    2.0
    """
    values, design = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    if not (np.isfinite(gamma) and gamma >= 0 and penalty >= 0):
        raise InputError(f"gamma and penalty are not negative, as are {gamma} and {penalty}.")
    labels = np.asarray(anchors)
    if labels.ndim == 1:
        names, code = np.unique(labels.astype(str), return_inverse=True)
        labels = (code[:, None] == np.arange(len(names))).astype(np.float64)
    anchor = labels.astype(np.float64)
    if design.ndim != 2 or not len(values) == len(design) == len(anchor):
        raise InputError("Outcome, predictors and anchors must have the same number of rows.")
    x0, y0, a0 = (item - item.mean(axis=0) for item in (design, values, anchor))
    basis, size, _ = np.linalg.svd(a0, full_matrices=False)
    basis = basis[:, size > 1e-10 * max(float(size[0]), 1e-300)]
    lift = np.sqrt(gamma) - 1
    xs, ys = x0 + lift * basis @ (basis.T @ x0), y0 + lift * basis @ (basis.T @ y0)
    if penalty > 0:
        root = np.sqrt(penalty * len(values))
        xs = np.vstack((xs, root * np.eye(design.shape[1])))
        ys = np.concatenate((ys, np.zeros(design.shape[1])))
    beta = np.asarray(np.linalg.lstsq(xs, ys, rcond=None)[0], dtype=np.float64)
    return beta, float(values.mean() - design.mean(axis=0) @ beta)
