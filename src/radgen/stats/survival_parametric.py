"""Accelerated failure time models: Weibull, log-normal, log-logistic and exponential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, expit, log_ndtr, ndtr, ndtri

from radgen.errors import FitError, InputError
from radgen.stats.survival import check_survival

__all__ = ["AftFit", "Distribution", "fit_aft"]

FloatArray = NDArray[np.float64]
Distribution = Literal["weibull", "lognormal", "loglogistic", "exponential"]
Triple = tuple[FloatArray, FloatArray, FloatArray]
_LOG_ROOT = 0.5 * np.log(2 * np.pi)
_STEPS = 100


@dataclass(frozen=True, eq=False)
class AftFit:
    """A fitted model ``log T = intercept + x beta + scale * error``.

    Attributes
    ----------
    distribution : str
    beta : float64 (p + 1,)
        Intercept first. ``exp(beta)`` is a ratio of survival times.
    scale : float
        1 for the exponential distribution.
    covariance : float64 (p + 2, p + 2)
        Of `beta` and log scale; (p + 1, p + 1) for the exponential distribution.
    log_likelihood, null_log_likelihood : float
        Of the times, with and without covariates.
    n, n_events, n_iter : int
    """

    distribution: Distribution
    beta: FloatArray
    scale: float
    covariance: FloatArray
    log_likelihood: float
    null_log_likelihood: float
    n: int
    n_events: int
    n_iter: int

    @property
    def std_error(self) -> FloatArray:
        """Standard errors of `beta` (and of log scale), as `covariance` orders them."""
        return np.asarray(np.sqrt(np.diag(self.covariance)), dtype=np.float64)

    @property
    def p_values(self) -> FloatArray:
        """Two-sided Wald p of each of `beta`."""
        z = self.beta / self.std_error[: len(self.beta)]
        return np.asarray(2 * ndtr(-np.abs(z)), dtype=np.float64)

    @property
    def aic(self) -> float:
        """Akaike's criterion, to compare distributions."""
        return 2 * len(self.covariance) - 2 * self.log_likelihood

    @property
    def likelihood_ratio_p(self) -> float:
        """P of all covariates together."""
        df = len(self.beta) - 1
        gap = 2 * (self.log_likelihood - self.null_log_likelihood)
        return float(chdtrc(df, max(gap, 0.0))) if df else 1.0

    def interval(self, confidence: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper Wald limits of `beta`."""
        spread = float(ndtri(0.5 + confidence / 2)) * self.std_error[: len(self.beta)]
        return self.beta - spread, self.beta + spread

    def linear_predictor(self, covariates: Any) -> FloatArray:
        """Return the expected log time but for the error's mean, (n,)."""
        x = np.asarray(covariates, dtype=np.float64)
        return np.asarray(self.beta[0] + x @ self.beta[1:], dtype=np.float64)

    def survival(self, covariates: Any, times: Any) -> FloatArray:
        """Return predicted survival (n, n_times)."""
        grid = np.asarray(times, dtype=np.float64)
        with np.errstate(divide="ignore"):
            z = (np.log(grid)[None, :] - self.linear_predictor(covariates)[:, None]) / self.scale
        return np.asarray(np.exp(_KINDS[self.distribution][1](z)[0]), dtype=np.float64)

    def quantile(self, covariates: Any, q: float = 0.5) -> FloatArray:
        """Return the time by which a share `q` has had the event, (n,).

        Raises
        ------
        InputError
            If `q` does not lie strictly between 0 and 1.
        """
        if not 0 < q < 1:
            raise InputError(f"A quantile lies strictly between 0 and 1, not {q:g}.")
        z = {
            "weibull": np.log(-np.log1p(-q)),
            "exponential": np.log(-np.log1p(-q)),
            "lognormal": ndtri(q),
            "loglogistic": np.log(q) - np.log1p(-q),
        }[self.distribution]
        return np.asarray(np.exp(self.linear_predictor(covariates) + self.scale * z))


def _weibull_density(z: FloatArray) -> Triple:
    e = np.exp(np.minimum(z, 700.0))
    return z - e, 1 - e, -e


def _weibull_survival(z: FloatArray) -> Triple:
    e = np.exp(np.minimum(z, 700.0))
    return -e, -e, -e


def _normal_density(z: FloatArray) -> Triple:
    return -0.5 * z * z - _LOG_ROOT, -z, np.full_like(z, -1.0)


def _normal_survival(z: FloatArray) -> Triple:
    tail = log_ndtr(-z)
    ratio = np.exp(-0.5 * z * z - _LOG_ROOT - tail)
    return tail, -ratio, -ratio * (ratio - z)


def _logistic_density(z: FloatArray) -> Triple:
    p = expit(z)
    return z - 2 * np.logaddexp(0, z), 1 - 2 * p, -2 * p * (1 - p)


def _logistic_survival(z: FloatArray) -> Triple:
    p = expit(z)
    return -np.logaddexp(0, z), -p, -p * (1 - p)


Kind = Callable[[FloatArray], Triple]
_KINDS: dict[str, tuple[Kind, Kind]] = {
    "weibull": (_weibull_density, _weibull_survival),
    "exponential": (_weibull_density, _weibull_survival),
    "lognormal": (_normal_density, _normal_survival),
    "loglogistic": (_logistic_density, _logistic_survival),
}


def fit_aft(
    covariates: Any,
    time: Any,
    event: Any,
    *,
    distribution: Distribution = "weibull",
    entry: Any = None,
    weights: Any = None,
    ridge: float = 0.0,
) -> AftFit:
    """Return an accelerated failure time model fitted by maximum likelihood.

    Parameters
    ----------
    covariates : float (n, p)
        No missing values, no intercept; p may be 0.
    time, event : array-like (n,)
        Times above 0, and events.
    distribution : {"weibull", "lognormal", "loglogistic", "exponential"}
        Of the time.
    entry : float (n,) or None
        Left truncation: a sample is observed only if its time exceeds its entry; 0 = none.
    weights : float (n,) or None
        Case weights.
    ridge : float, default 0
        Penalty ``ridge / 2 * sum(beta**2)`` on the log-likelihood, intercept and scale free.

    Returns
    -------
    AftFit
        For Weibull, ``-beta / scale`` is the log hazard ratio.

    Raises
    ------
    InputError
        If the data are malformed, a time is 0, or the distribution is unknown.
    FitError
        If covariates are collinear, or the likelihood has no maximum.

    References
    ----------
    Kalbfleisch & Prentice 2002, chapter 3.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.array([1.0, 2.0, 3.0, 4.0])
    >>> fit = fit_aft(np.zeros((4, 0)), t, np.ones(4), distribution="exponential")
    >>> bool(np.isclose(np.exp(fit.beta[0]), t.mean()))
    True
    """
    times, events = check_survival(time, event)
    x = np.asarray(covariates, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    n = len(times)
    if distribution not in _KINDS:
        raise InputError(f"Unknown distribution {distribution!r}: {', '.join(_KINDS)}.")
    if x.shape[0] != n or not np.isfinite(x).all():
        raise InputError(f"Covariates need {n} rows without missing values.")
    if (times <= 0).any() or not events.any():
        raise InputError("Times must be above 0, and at least one event is needed.")
    start = None if entry is None else np.asarray(entry, dtype=np.float64)
    if start is not None and ((start >= times).any() or (start < 0).any()):
        raise InputError("Entry must not be negative and lie before the time in every row.")
    case = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    center, scale = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack((np.ones(n), (x - center) / np.where(scale > 0, scale, 1.0)))
    rank = int(np.linalg.matrix_rank(design))
    if rank < design.shape[1] and ridge == 0:
        raise FitError(
            f"The {design.shape[1] - 1} covariates and the intercept have rank {rank}: some are "
            "constant or combinations of others. Leave those out.",
            diagnostics={"rank": rank},
        )
    problem = _Problem(np.log(times), events, case, _KINDS[distribution], start)
    fixed = distribution == "exponential"
    none = np.zeros(1 if fixed else 2)
    null, *_ = _newton(problem, design[:, :1], fixed, none)
    penalty = np.zeros(design.shape[1] + (not fixed))
    penalty[1 : design.shape[1]] = ridge / np.where(scale > 0, scale, 1.0) ** 2
    value, theta, information, steps = _newton(problem, design, fixed, penalty)
    back = np.eye(len(theta))
    p = x.shape[1]
    safe = np.where(scale > 0, scale, 1.0)
    back[1 : p + 1, 1 : p + 1] = np.diag(1 / safe)
    back[0, 1 : p + 1] = -center / safe
    covariance = back @ np.linalg.inv(information) @ back.T
    theta = back @ theta
    shift = float(case[events] @ np.log(times[events]))
    return AftFit(
        distribution, theta[: p + 1], 1.0 if fixed else float(np.exp(theta[-1])), covariance,
        value - shift, null - shift, n, int(events.sum()), steps,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Problem:
    y: FloatArray
    event: NDArray[np.bool_]
    weights: FloatArray
    kind: tuple[Kind, Kind]
    entry: FloatArray | None

    def derivatives(
        self, design: FloatArray, theta: FloatArray, fixed: bool
    ) -> tuple[float, FloatArray, FloatArray]:
        """Return log-likelihood of log times, gradient and information."""
        k = design.shape[1]
        s = 0.0 if fixed else float(theta[k])
        eta, sigma = design @ theta[:k], np.exp(s)
        density, survival = self.kind
        z = (self.y - eta) / sigma
        d, c = density(z), survival(z)
        value = np.where(self.event, d[0] - s, c[0])
        first = np.where(self.event, d[1], c[1])
        second = np.where(self.event, d[2], c[2])
        parts = [(z, first, second, self.weights)]
        total = float(self.weights @ value)
        if self.entry is not None:
            late = self.entry > 0
            before = (np.log(np.where(late, self.entry, 1.0)) - eta) / sigma
            h = survival(before)
            w = np.where(late, self.weights, 0.0)
            total -= float(w @ h[0])
            parts.append((before, -h[1], -h[2], w))
        gradient = np.zeros(len(theta))
        information = np.zeros((len(theta), len(theta)))
        for at, one, two, w in parts:
            gradient[:k] += design.T @ (-w * one / sigma)
            information[:k, :k] -= (design * (w * two / sigma**2)[:, None]).T @ design
            if not fixed:
                gradient[k] += float(w @ (-at * one))
                cross = design.T @ (w * (at * two + one) / sigma)
                information[:k, k] -= cross
                information[k, :k] -= cross
                information[k, k] -= float(w @ (at * one + at * at * two))
        if not fixed:
            gradient[k] -= float(self.weights @ self.event)
        return total, gradient, information


def _newton(
    problem: _Problem, design: FloatArray, fixed: bool, penalty: FloatArray
) -> tuple[float, FloatArray, FloatArray, int]:
    """Return log-likelihood without its penalty, estimates, information and steps."""
    k = design.shape[1]

    def penalised(t: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        value, gradient, information = problem.derivatives(design, t, fixed)
        return (
            value - 0.5 * float(penalty @ t**2),
            gradient - penalty * t,
            information + np.diag(penalty),
        )

    theta = np.zeros(k if fixed else k + 1)
    theta[0] = problem.y.mean()
    if not fixed:
        theta[k] = np.log(max(problem.y.std(), 0.1))
    value, gradient, information = penalised(theta)
    for step in range(1, _STEPS + 1):
        floor = 0.0
        least = float(np.linalg.eigvalsh(information)[0])
        if least <= 1e-8:
            floor = 1e-3 - least
        move = np.linalg.solve(information + floor * np.eye(len(theta)), gradient)
        gain = float(gradient @ move)
        scale = 1.0 if fixed else float(np.exp(theta[k]))
        longest = float(np.abs(design @ move[:k]).max()) / (5 * scale)
        move = move / max(longest, 1.0 if fixed else float(np.abs(move[k])), 1.0)
        for _ in range(40):
            trial = penalised(theta + move)
            if np.isfinite(trial[0]) and trial[0] >= value - 1e-12 * (1 + abs(value)):
                break
            move = move / 2
        theta = theta + move
        value, gradient, information = trial
        if abs(gain) < 1e-12 * (1 + abs(value)) and floor == 0:
            return value + 0.5 * float(penalty @ theta**2), theta, information, step
    raise FitError(
        f"The accelerated failure time model did not converge in {_STEPS} steps: a covariate "
        "probably separates events from censored samples.",
        diagnostics={"theta": theta.tolist()},
    )
