"""Cox's proportional hazards model: Efron and Breslow ties, strata, ridge, robust errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, ndtri

from radgen.errors import FitError, InputError
from radgen.stats.survival import check_survival

__all__ = ["ChiSquare", "CoxFit", "RiskSets", "fit_cox", "proportional_hazards_test"]

FloatArray = NDArray[np.float64]
Ties = Literal["efron", "breslow"]


@dataclass(frozen=True)
class ChiSquare:
    """A chi-square statistic, its degrees of freedom and p."""

    statistic: float
    df: float
    p_value: float


@dataclass(frozen=True, eq=False)
class CoxFit:
    """A fitted Cox model.

    Attributes
    ----------
    beta : float64 (p,)
        Log hazard ratios.
    covariance : float64 (p, p)
        Of beta: robust where asked for, otherwise `naive_covariance`.
    naive_covariance : float64 (p, p)
        Inverse of the (penalised) information.
    log_likelihood, null_log_likelihood : float
        Partial log-likelihood at beta and at 0, without the penalty.
    score_test, likelihood_ratio_test, wald_test : ChiSquare
    center : float64 (p,)
        Covariate means; the baseline is the hazard at these values.
    baseline : tuple of (times, cumulative hazard), one a stratum
    strata : tuple
        Stratum labels in the order of `baseline`.
    n, n_events, n_iter : int
    """

    beta: FloatArray
    covariance: FloatArray
    naive_covariance: FloatArray
    log_likelihood: float
    null_log_likelihood: float
    score_test: ChiSquare
    likelihood_ratio_test: ChiSquare
    wald_test: ChiSquare
    center: FloatArray
    baseline: tuple[tuple[FloatArray, FloatArray], ...]
    strata: tuple[Any, ...]
    n: int
    n_events: int
    n_iter: int

    @property
    def std_error(self) -> FloatArray:
        """Standard errors of beta."""
        return np.asarray(np.sqrt(np.diag(self.covariance)), dtype=np.float64)

    @property
    def p_values(self) -> FloatArray:
        """Two-sided Wald p of each coefficient."""
        return np.asarray(2 * ndtr(-np.abs(self.beta / self.std_error)), dtype=np.float64)

    def interval(self, confidence: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper Wald limits of beta."""
        z = float(ndtri(0.5 + confidence / 2))
        return self.beta - z * self.std_error, self.beta + z * self.std_error

    def linear_predictor(self, covariates: Any) -> FloatArray:
        """Return (x - center) beta, (n,)."""
        x = np.asarray(covariates, dtype=np.float64)
        return np.asarray((x - self.center) @ self.beta, dtype=np.float64)

    def survival(self, covariates: Any, times: Any, *, stratum: Any = None) -> FloatArray:
        """Return predicted survival (n, n_times) in one stratum (the first where None)."""
        index = 0 if stratum is None else self.strata.index(stratum)
        known, hazard = self.baseline[index]
        where = np.searchsorted(known, np.asarray(times, dtype=float), side="right")
        cumulative = np.concatenate(([0.0], hazard))[where]
        risk = np.exp(np.clip(self.linear_predictor(covariates), -500, 500))
        return np.asarray(np.exp(-risk[:, None] * cumulative[None, :]), dtype=np.float64)


class RiskSets:
    """The ordering of one stratum, made once and used in every iteration.

    Parameters
    ----------
    time, event : ndarray (n,)
        Checked by `check_survival`.
    weights : ndarray (n,)
        Case weights.
    entry : ndarray (n,) or None
        Left-truncation times.
    ties : {"efron", "breslow"}
        Handling of tied events.
    """

    def __init__(
        self,
        time: FloatArray,
        event: NDArray[np.bool_],
        weights: FloatArray,
        entry: FloatArray | None,
        ties: Ties,
    ) -> None:
        self.weights, self.event = weights, event
        self.times, self.death_count = np.unique(time[event], return_counts=True)
        k = len(self.times)
        self.order = np.argsort(time, kind="stable")
        self._start = np.searchsorted(time[self.order], self.times, side="left")
        self._until = np.searchsorted(self.times, time, side="right")
        self.entry_order: NDArray[np.int64] | None = None
        self._after = np.zeros(len(time), dtype=np.int64)
        if entry is not None:
            self.entry_order = np.argsort(entry, kind="stable")
            self._entered = np.searchsorted(entry[self.entry_order], self.times, side="left")
            self._after = np.searchsorted(self.times, entry, side="right")
        self.deaths = np.flatnonzero(event)
        self.death_time = np.searchsorted(self.times, time[self.deaths])
        self.row_time = np.repeat(np.arange(k), self.death_count)
        offset = np.concatenate(([0], np.cumsum(self.death_count)[:-1])).astype(np.int64)
        rank = np.arange(len(self.row_time)) - offset[self.row_time] if k else np.zeros(0)
        self.fraction = rank / self.death_count[self.row_time] if k else np.zeros(0)
        if ties == "breslow":
            self.fraction = np.zeros_like(self.fraction)
        total = np.bincount(self.death_time, weights=weights[self.deaths], minlength=k)
        self.row_weight = (total / self.death_count)[self.row_time] if k else np.zeros(0)

    @property
    def first_at_risk(self) -> NDArray[np.int64]:
        """Where in `order` the risk set of each event time begins, (n_times,)."""
        return np.asarray(self._start, np.int64)

    def at_risk(self, values: FloatArray) -> FloatArray:
        """Return sums of `values` (n, …) over the risk set of each event time."""
        # Summed from the last time on: a difference of totals would drown small risk sets, and
        # an optimum could no longer be told from its surroundings.
        total = _zero_first(np.cumsum(values[self.order][::-1], axis=0))
        summed: FloatArray = total[len(values) - self._start]
        if self.entry_order is not None:
            late = _zero_first(np.cumsum(values[self.entry_order], axis=0))
            summed = summed - (late[-1] - late[self._entered])
        return summed

    def among_deaths(self, values: FloatArray) -> FloatArray:
        """Return sums of `values` (n, …) over the deaths at each event time."""
        out = np.zeros((len(self.times), *values.shape[1:]))
        np.add.at(out, self.death_time, values[self.deaths])
        return out

    def per_sample(self, rows: FloatArray) -> FloatArray:
        """Return, per sample, the sum of `rows` (events, …) over the times it was at risk.

        At its own death a sample counts as (1 - fraction), Efron's share.
        """
        k = len(self.times)
        by_time = np.zeros((k, *rows.shape[1:]))
        np.add.at(by_time, self.row_time, rows)
        own = np.zeros_like(by_time)
        shape = (-1,) + (1,) * (rows.ndim - 1)
        np.add.at(own, self.row_time, rows * self.fraction.reshape(shape))
        total = _zero_first(np.cumsum(by_time, axis=0))
        out: FloatArray = total[self._until] - total[self._after]
        out[self.deaths] -= own[self.death_time]
        return out

    def derivatives(
        self, x: FloatArray, eta: FloatArray, *, hessian: bool = True
    ) -> tuple[float, FloatArray, FloatArray]:
        """Return the log-likelihood, its gradient and the information matrix."""
        shift = float(eta.max(initial=-np.inf))
        risk = self.weights * np.exp(eta - shift)
        den, mean = self.means(x, risk)
        value = float(
            self.weights[self.deaths] @ eta[self.deaths] - self.row_weight @ (np.log(den) + shift)
        )
        gradient = self.weights[self.deaths] @ x[self.deaths] - self.row_weight @ mean
        if not hessian:
            return value, gradient, np.zeros((0, 0))
        share = self.per_sample(self.row_weight / den)
        information = (x * (risk * share)[:, None]).T @ x
        information -= (mean * self.row_weight[:, None]).T @ mean
        return value, gradient, information

    def means(self, x: FloatArray, risk: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return Efron's denominators (events,) and weighted means of x (events, p)."""
        s0, d0 = self.at_risk(risk), self.among_deaths(risk)
        s1, d1 = self.at_risk(risk[:, None] * x), self.among_deaths(risk[:, None] * x)
        row = self.row_time
        den = s0[row] - self.fraction * d0[row]
        mean = (s1[row] - self.fraction[:, None] * d1[row]) / den[:, None]
        return den, mean

    def eta_derivatives(self, eta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Return log-likelihood, gradient and minus its diagonal Hessian in eta, (n,) each."""
        shift = float(eta.max(initial=-np.inf))
        risk = self.weights * np.exp(eta - shift)
        s0, d0 = self.at_risk(risk), self.among_deaths(risk)
        den = s0[self.row_time] - self.fraction * d0[self.row_time]
        value = float(
            self.weights[self.deaths] @ eta[self.deaths] - self.row_weight @ (np.log(den) + shift)
        )
        first = risk * self.per_sample(self.row_weight / den)
        rows = self.row_weight / den**2
        k = len(self.times)
        by_time, own = np.zeros(k), np.zeros(k)
        np.add.at(by_time, self.row_time, rows)
        np.add.at(own, self.row_time, rows * (1 - (1 - self.fraction) ** 2))
        total = _zero_first(np.cumsum(by_time))
        second = total[self._until] - total[self._after]
        second[self.deaths] -= own[self.death_time]
        gradient = self.weights * self.event - first
        return value, gradient, first - risk**2 * second

    def hazard(self, eta: FloatArray) -> FloatArray:
        """Return the cumulative baseline hazard after each event time."""
        risk = self.weights * np.exp(eta)
        s0, d0 = self.at_risk(risk), self.among_deaths(risk)
        den = s0[self.row_time] - self.fraction * d0[self.row_time]
        step = np.zeros(len(self.times))
        np.add.at(step, self.row_time, self.row_weight / den)
        return np.asarray(np.cumsum(step), dtype=np.float64)

    def score_residuals(self, x: FloatArray, eta: FloatArray) -> FloatArray:
        """Return each sample's part of the score (n, p), unweighted."""
        shift = float(eta.max(initial=-np.inf))
        risk = np.exp(eta - shift)
        den, mean = self.means(x, self.weights * risk)
        rate = self.row_weight / den
        expected = risk[:, None] * (
            x * self.per_sample(rate)[:, None] - self.per_sample(rate[:, None] * mean)
        )
        average = np.zeros((len(self.times), x.shape[1]))
        np.add.at(average, self.row_time, mean)
        average /= self.death_count[:, None]
        out: FloatArray = -expected
        out[self.deaths] += x[self.deaths] - average[self.death_time]
        return out


def _zero_first(values: FloatArray) -> FloatArray:
    return np.concatenate((np.zeros((1, *values.shape[1:])), values))


def fit_cox(
    covariates: Any,
    time: Any,
    event: Any,
    *,
    entry: Any = None,
    strata: Any = None,
    weights: Any = None,
    cluster: Any = None,
    robust: bool = False,
    ties: Ties = "efron",
    ridge: float = 0.0,
    max_iter: int = 60,
    tolerance: float = 1e-11,
) -> CoxFit:
    """Return a Cox proportional hazards fit by Newton–Raphson.

    Parameters
    ----------
    covariates : float (n, p)
        No missing values, no intercept.
    time, event : array-like (n,)
        Times and events.
    entry : float (n,) or None
        Left truncation: at risk in (entry, time]; gives time-varying covariates too.
    strata : array-like (n,) or None
        Each stratum has its own baseline hazard.
    weights : float (n,) or None
        Case weights.
    cluster : array-like (n,) or None
        Rows of one cluster (patient) are summed in the robust variance.
    robust : bool
        Lin–Wei sandwich variance; implied by `cluster`.
    ties : {"efron", "breslow"}
        Handling of tied events.
    ridge : float, default 0
        Penalty ``ridge / 2 * sum(beta**2)`` on the log-likelihood.
    max_iter, tolerance : int, float
        Newton steps; relative change of the log-likelihood and of the linear predictor.

    Returns
    -------
    CoxFit
        The estimates. Tests of a ridge fit use the unpenalised likelihoods, and the effective
        degrees of freedom.

    Raises
    ------
    InputError
        If shapes disagree, a value is missing, or there is no event.
    FitError
        If covariates are collinear, or the likelihood is monotone (separation).

    Notes
    -----
    With separation the partial likelihood rises without end; this is refused, not reported as
    a huge hazard ratio: use `ridge` then.

    References
    ----------
    Efron 1977, doi:10.1080/01621459.1977.10480613. Lin & Wei 1989,
    doi:10.1080/01621459.1989.10478874.
    """
    times, events = check_survival(time, event)
    x = _check_covariates(covariates, len(times))
    if not events.any():
        raise InputError("A Cox model needs at least one event; every row is censored.")
    case = np.ones(len(times)) if weights is None else np.asarray(weights, dtype=np.float64)
    start = None if entry is None else np.asarray(entry, dtype=np.float64)
    if start is not None and (start >= times).any():
        raise InputError("Entry must lie before the time of event or censoring in every row.")
    center = np.average(x, axis=0, weights=case)
    scale = np.sqrt(np.average((x - center) ** 2, axis=0, weights=case))
    scale[scale == 0] = 1.0
    z = (x - center) / scale
    if ridge == 0:
        _check_rank(z, x.shape[1])
    labels, code = (
        (np.zeros(1), np.zeros(len(times), int))
        if strata is None
        else np.unique(np.asarray(strata), return_inverse=True)
    )
    rows = [np.flatnonzero(code == level) for level in range(len(labels))]
    sets = [
        RiskSets(times[r], events[r], case[r], None if start is None else start[r], ties)
        for r in rows
    ]
    beta, value, null, score, info, steps = _newton(
        z, rows, sets, penalty=ridge / scale**2, max_iter=max_iter, tolerance=tolerance
    )
    return _finish(
        x,
        center=center,
        scale=scale,
        beta_z=beta,
        likelihoods=(value, null),
        null_score=(score, info),
        ridge=ridge,
        rows=rows,
        sets=sets,
        labels=labels,
        cluster=cluster,
        robust=robust,
        steps=steps,
        n_events=int(events.sum()),
        case=case,
    )


def _check_covariates(covariates: Any, n: int) -> FloatArray:
    x = np.asarray(covariates, dtype=np.float64)
    if x.ndim == 1:
        x = x[:, None]
    if x.shape[0] != n:
        raise InputError(f"Covariates have {x.shape[0]} rows; times have {n}.")
    if not np.isfinite(x).all():
        raise InputError("Covariates hold missing values; impute or drop those rows first.")
    return x


def _check_rank(z: FloatArray, p: int) -> None:
    rank = int(np.linalg.matrix_rank(z)) if p else 0
    if rank < p:
        raise FitError(
            f"The {p} covariates have rank {rank}: some are constant or combinations of others. "
            "Leave those out, or set a ridge penalty.",
            diagnostics={"rank": rank, "columns": p},
        )


def _total(
    z: FloatArray,
    rows: list[NDArray[np.int64]],
    sets: list[RiskSets],
    beta: FloatArray,
) -> tuple[float, FloatArray, FloatArray]:
    p = z.shape[1]
    value, gradient, information = 0.0, np.zeros(p), np.zeros((p, p))
    for index, risk in zip(rows, sets, strict=True):
        if len(risk.times) == 0:
            continue
        part = risk.derivatives(z[index], z[index] @ beta)
        value += part[0]
        gradient += part[1]
        information += part[2]
    return value, gradient, information


def _newton(
    z: FloatArray,
    rows: list[NDArray[np.int64]],
    sets: list[RiskSets],
    *,
    penalty: FloatArray,
    max_iter: int,
    tolerance: float,
) -> tuple[FloatArray, float, float, FloatArray, FloatArray, int]:
    beta = np.zeros(z.shape[1])
    value, gradient, information = _total(z, rows, sets, beta)
    null, score, null_info = value, gradient, information
    if not len(beta):
        return beta, value, null, score, null_info, 0
    objective = value
    for step in range(1, max_iter + 1):
        slope = gradient - penalty * beta
        curved = information + np.diag(penalty)
        try:
            move = np.linalg.solve(curved, slope)
        except np.linalg.LinAlgError:
            raise _not_converged(z, beta, step) from None
        for _ in range(30):
            candidate = beta + move
            # A step too far leaves nobody at risk; it is halved.
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                value, gradient, information = _total(z, rows, sets, candidate)
            trial = value - 0.5 * float(penalty @ candidate**2)
            if np.isfinite(trial) and trial >= objective - 1e-10 * (1 + abs(objective)):
                break
            move = move / 2
        gain, objective, beta = trial - objective, trial, candidate
        if np.abs(z @ beta).max() > 15 and np.linalg.eigvalsh(curved)[0] < 1e-5:
            break
        if abs(gain) <= tolerance * (1 + abs(objective)) and np.abs(z @ move).max() < 1e-7:
            return beta, value, null, score, null_info, step
        if np.abs(z @ beta).max() > 200:
            break
    raise _not_converged(z, beta, step)


def _not_converged(z: FloatArray, beta: FloatArray, step: int) -> FitError:
    return FitError(
        f"The Cox model did not converge in {step} steps: a covariate probably separates events "
        "from censored samples (its hazard ratio is infinite). Drop it, merge its levels, or set "
        "a ridge penalty.",
        diagnostics={"beta": beta.tolist(), "spread": float(np.ptp(z @ beta))},
    )


def _finish(
    x: FloatArray,
    *,
    center: FloatArray,
    scale: FloatArray,
    beta_z: FloatArray,
    likelihoods: tuple[float, float],
    null_score: tuple[FloatArray, FloatArray],
    ridge: float,
    rows: list[NDArray[np.int64]],
    sets: list[RiskSets],
    labels: NDArray[Any],
    cluster: Any,
    robust: bool,
    steps: int,
    n_events: int,
    case: FloatArray,
) -> CoxFit:
    z = (x - center) / scale
    p = len(beta_z)
    _, _, information = _total(z, rows, sets, beta_z)
    naive_z = np.linalg.inv(information + np.diag(ridge / scale**2)) if p else np.zeros((0, 0))
    covariance_z = naive_z
    if (robust or cluster is not None) and p:
        residual = np.zeros_like(z)
        for index, risk in zip(rows, sets, strict=True):
            residual[index] = risk.score_residuals(z[index], z[index] @ beta_z)
        parts = residual * case[:, None] @ naive_z
        if cluster is not None:
            code = np.unique(np.asarray(cluster), return_inverse=True)[1]
            summed = np.zeros((int(code.max()) + 1, p))
            np.add.at(summed, code, parts)
            parts = summed
        covariance_z = parts.T @ parts
    df = float(np.trace(information @ naive_z)) if ridge else float(p)
    value, null = likelihoods
    score = float(null_score[0] @ np.linalg.pinv(null_score[1]) @ null_score[0]) if p else 0.0
    wald = float(beta_z @ np.linalg.pinv(covariance_z) @ beta_z) if p else 0.0
    baseline = tuple(
        (risk.times, risk.hazard(z[index] @ beta_z)) for index, risk in zip(rows, sets, strict=True)
    )
    back = np.outer(1 / scale, 1 / scale)
    return CoxFit(
        beta_z / scale,
        covariance_z * back,
        naive_z * back,
        value,
        null,
        _chi(score, float(p)),
        _chi(2 * (value - null), df),
        _chi(wald, float(p)),
        center,
        baseline,
        tuple(labels.tolist()),
        len(x),
        n_events,
        steps,
    )


def _chi(statistic: float, df: float) -> ChiSquare:
    return ChiSquare(statistic, df, float(chdtrc(df, max(statistic, 0.0))) if df > 0 else 1.0)


def proportional_hazards_test(
    covariates: Any, time: Any, event: Any, *, ties: Ties = "efron"
) -> tuple[FloatArray, FloatArray, ChiSquare]:
    """Return score tests of proportional hazards against a trend in the rank of time.

    Parameters
    ----------
    covariates : float (n, p)
        Covariates of the model.
    time, event : array-like (n,)
        Times and events.
    ties : {"efron", "breslow"}
        Handling of tied events.

    Returns
    -------
    statistics : float64 (p,)
        Chi-square of each covariate, 1 degree of freedom.
    p_values : float64 (p,)
        Their p.
    overall : ChiSquare
        Of all covariates together.

    Raises
    ------
    InputError, FitError
        As `fit_cox`.

    Notes
    -----
    The score test of adding x * g(t), with g the rank of the event time (R's ``cox.zph`` with
    ``transform="rank"``), at the fitted beta.

    References
    ----------
    Grambsch & Therneau 1994, doi:10.1093/biomet/81.3.515.
    """
    fit = fit_cox(covariates, time, event, ties=ties)
    times, events = check_survival(time, event)
    x = _check_covariates(covariates, len(times)) - fit.center
    p = x.shape[1]
    risk = RiskSets(times, events, np.ones(len(times)), None, ties)
    eta = x @ fit.beta
    weight = np.exp(eta - eta.max())
    _, mean = risk.means(x, weight)
    order = np.sort(times)
    before = np.searchsorted(order, risk.times, side="left")
    upto = np.searchsorted(order, risk.times, side="right")
    rank = ((before + upto + 1) / 2)[risk.row_time]
    g = rank - rank.mean()
    score = np.zeros(p)
    by_time = np.argsort(risk.death_time, kind="stable")
    score += g @ (x[risk.deaths[by_time]] - mean)
    variance = _row_information(risk, x, weight, mean)
    full = np.einsum("r,rij->ij", np.ones(len(g)), variance)
    cross = np.einsum("r,rij->ij", g, variance)
    double = np.einsum("r,rij->ij", g**2, variance)
    adjusted = double - cross @ np.linalg.solve(full, cross)
    stats = np.zeros(p)
    for j in range(p):
        column = cross[:, [j]]
        spread = double[j, j] - float((column.T @ np.linalg.solve(full, column))[0, 0])
        stats[j] = score[j] ** 2 / spread
    overall = float(score @ np.linalg.solve(adjusted, score))
    return stats, np.asarray(chdtrc(1, stats), dtype=np.float64), _chi(overall, float(p))


def _row_information(
    risk: RiskSets, x: FloatArray, weight: FloatArray, mean: FloatArray
) -> NDArray[np.float64]:
    outer = weight[:, None, None] * x[:, :, None] * x[:, None, :]
    row, part = risk.row_time, risk.fraction
    s0, d0 = risk.at_risk(weight), risk.among_deaths(weight)
    den = s0[row] - part * d0[row]
    second = risk.at_risk(outer)[row] - part[:, None, None] * risk.among_deaths(outer)[row]
    return np.asarray(second / den[:, None, None] - mean[:, :, None] * mean[:, None, :])
