"""Mediation: how much of an effect runs through other variables, for three kinds of outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError, InputError
from radgen.stats._mediation_fits import batches, cox_fits, linear_fits, logistic_fits, risk
from radgen.stats.cox import fit_cox
from radgen.stats.glm import full_rank, likelihood_ratio_log10p, logistic
from radgen.stats.linear import OK, STATUS_TEXT, regress
from radgen.stats.permutation import random_order
from radgen.stats.tail import chi2_log10p

__all__ = ["Mediation", "MediationData", "Path", "mediation", "permuted_paths"]

Array = NDArray[np.float64]
Kind = Literal["continuous", "binary", "censored"]

_LEAST_DRAWS = 0.9


@dataclass(frozen=True, eq=False, slots=True)
class MediationData:
    """Complete data of one exposure, its mediators and an outcome.

    Attributes
    ----------
    x : ndarray of float64 (n,)
        Exposure.
    m : ndarray of float64 (n, k)
        Mediators.
    y : ndarray of float64 (n,)
        Outcome; 0/1 for binary, time for censored.
    z : ndarray of float64 (n, c)
        Confounders, without intercept; columns that others explain are left out.
    kind : {"continuous", "binary", "censored"}
        Of the outcome.
    event : ndarray of bool (n,) or None
        For censored outcomes.
    """

    x: Array
    m: Array
    y: Array
    z: Array
    kind: Kind = "continuous"
    event: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        x = np.array(self.x, np.float64)
        m = np.array(self.m, np.float64)
        z = np.array(self.z, np.float64)
        y = np.array(self.y, np.float64)
        if m.ndim != 2 or z.ndim != 2 or not len(x) == len(m) == len(y) == len(z):
            raise InputError("x and y are vectors, m and z matrices, of the same people.")
        if not all(np.isfinite(a).all() for a in (x, m, y, z)):
            raise InputError("Mediation needs complete data: leave out people with a gap.")
        if (self.kind == "censored") != (self.event is not None):
            raise InputError("A censored outcome, and no other, has events.")
        if self.kind == "binary" and not np.isin(y, (0, 1)).all():
            raise InputError("A binary outcome is 0 or 1.")
        ones = np.ones((len(x), 1))
        # Confounders first, so that an aliased exposure or mediator is found out.
        keep = full_rank(np.hstack([ones, z, x[:, None], m]))
        aliased = np.flatnonzero(~keep[1 + z.shape[1] :])
        if len(aliased):
            what = "exposure" if aliased[0] == 0 else f"mediator {aliased[0]}"
            raise FitError(f"The {what} is constant, or a combination of the other columns.")
        if len(x) < keep.sum() + 2:
            raise FitError(f"{len(x)} people are too few for {keep.sum()} columns.")
        for name, value in (("x", x), ("m", m), ("y", y), ("z", z[:, keep[1 : 1 + z.shape[1]]])):
            object.__setattr__(self, name, value)

    @property
    def contrast(self) -> tuple[float, float]:
        """The two exposures that are compared: both values, or one unit about the mean."""
        levels = np.unique(self.x)
        if len(levels) == 2:
            return float(levels[0]), float(levels[1])
        return float(self.x.mean() - 0.5), float(self.x.mean() + 0.5)


@dataclass(frozen=True, eq=False, slots=True)
class Path:
    """A coefficient of the models, with its standard error and log10 p."""

    effect: float
    se: float
    log10p: float


@dataclass(frozen=True, eq=False, slots=True)
class Mediation:
    """Paths and effects of one exposure.

    Attributes
    ----------
    a, b : tuple of Path (k,)
        Exposure to each mediator; mediator to outcome given exposure and all mediators of the
        model (mean difference, log odds or log hazard).
    log10p : ndarray of float64 (k,)
        Joint significance: the larger p of both paths.
    indirect, direct, total : ndarray of float64
        (k + 1,), (), (): effects through each mediator and through all (last), beside them, and
        whole, for the contrast of exposures: mean difference, risk difference, or log hazard
        ratio.
    low, high : ndarray of float64 (k + 3,)
        Percentile limits in the order indirect, direct, total; NaN without a bootstrap.
    n_draws : int
        Bootstrap draws in which all models could be fitted.
    total_log10p : float
        Of the effect of the exposure without mediators in the model.
    interaction_log10p : ndarray of float64 (k,)
        Exposure by mediator on the outcome: small = the effects depend on the exposure.
    rho_zero : ndarray of float64 (k,)
        Correlation of the errors of mediator and outcome, left by an unmeasured confounder,
        that would explain the indirect effect away; continuous outcomes, else NaN.
    """

    a: tuple[Path, ...]
    b: tuple[Path, ...]
    log10p: Array
    indirect: Array
    direct: float
    total: float
    low: Array
    high: Array
    n_draws: int
    total_log10p: float
    interaction_log10p: Array
    rho_zero: Array


def mediation(
    data: MediationData,
    *,
    rng: np.random.Generator,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
) -> Mediation:
    """Return how much of the effect of an exposure runs through its mediators.

    Parameters
    ----------
    data : MediationData
        One exposure, k mediators that all stand in the model of the outcome.
    rng : numpy.random.Generator
        Of the bootstrap over people.
    n_bootstrap : int, default 1000
        Draws; 0 = no intervals.
    confidence : float, default 0.95
        Of the percentile intervals.

    Returns
    -------
    Mediation

    Raises
    ------
    InputError
        If an option is out of range.
    FitError
        If a model cannot be fitted (separation, no event), or in more than a tenth of the draws.

    Notes
    -----
    Mediators follow linear models on exposure and confounders. For a continuous outcome effects
    are products of coefficients. For a binary one they are natural effects on the risk, averaged
    over the people: the logistic model is integrated over the normal mediators (Gauss-Hermite).
    For a censored one the indirect effect is the product of the coefficient of the mediator and
    the log hazard ratio (the natural effect where events are rare), and the total is that of a
    model without mediators, so that the parts need not sum to it. All need that nothing
    unmeasured confounds exposure, mediator and outcome, and that no confounder of mediator and
    outcome is an effect of the exposure.

    References
    ----------
    VanderWeele (2016), doi:10.1146/annurev-publhealth-032315-021402; Imai, Keele & Tingley
    (2010), doi:10.1037/a0020761; MacKinnon et al. (2002), doi:10.1037/1082-989X.7.1.83.
    """
    if n_bootstrap and n_bootstrap < 100:
        raise InputError(f"n_bootstrap is {n_bootstrap}; needed are 0, or at least 100 draws.")
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; needed is a number in (0, 1).")
    n, k = data.m.shape
    a, b, total_log10p, crossed = _paths(data)
    point = _effects(data, np.ones((1, n)))[0]
    if not np.isfinite(point).all():
        raise FitError("A model of the outcome did not converge (separation, or too few events).")
    low = high = np.full(k + 3, np.nan)
    n_draws = 0
    if n_bootstrap:
        draws = np.concatenate(
            [
                _effects(data, rng.multinomial(n, np.full(n, 1 / n), size).astype(np.float64))
                for size in batches(n_bootstrap, n * (k + data.z.shape[1] + 3))
            ]
        )
        good = np.isfinite(draws).all(axis=1)
        n_draws = int(good.sum())
        if n_draws < _LEAST_DRAWS * n_bootstrap:
            raise FitError(
                f"The models could be fitted in {n_draws} of {n_bootstrap} bootstrap draws only: "
                "too few people, events or cases, or a rare category among the confounders."
            )
        low, high = np.quantile(draws[good], [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    joint = np.array([max(p.log10p, q.log10p) for p, q in zip(a, b, strict=True)])
    return Mediation(
        a, b, joint, point[: k + 1], float(point[k + 1]), float(point[k + 2]), low, high, n_draws,
        total_log10p, crossed, _rho_zero(data),
    )  # fmt: skip


def permuted_paths(data: MediationData, *, seed: int, n_permutations: int) -> Array:
    """Return the joint significance of each mediator by permutation, as log10 p.

    Parameters
    ----------
    data : MediationData
        As for `mediation`.
    seed : int
        Of the permutations.
    n_permutations : int
        At least 99.

    Returns
    -------
    ndarray of float64 (k,)
        log10 of the larger of both paths' p = (b + 1) / (m + 1).

    Raises
    ------
    InputError
        If there are too few permutations.

    Notes
    -----
    Each path is tested on its own null by permuted residuals (Freedman-Lane for the linear
    models; for binary and censored outcomes the residuals of the model without the mediator,
    response and martingale, against the mediator's residuals).
    """
    if n_permutations < 99:
        raise InputError(f"n_permutations is {n_permutations}; needed are at least 99.")
    n, k = data.m.shape
    base = np.column_stack([np.ones(n), data.z])
    label = np.zeros(n, np.int64)
    out = np.empty(k)
    for j in range(k):
        others = np.column_stack([base, data.x, np.delete(data.m, j, axis=1)])
        sides = (
            (base, data.m[:, j], data.x),
            (others, _outcome_residuals(data, others), data.m[:, j]),
        )
        worst = -np.inf
        for side, (nuisance, y, tested) in enumerate(sides):
            q = np.linalg.qr(nuisance)[0]
            e, t = y - q @ (q.T @ y), tested - q @ (q.T @ tested)
            t /= np.linalg.norm(t)
            seen = abs(e @ t) / np.linalg.norm(e)
            hits = 0
            for start in range(0, n_permutations, 512):
                numbers = range(start, min(start + 512, n_permutations))
                moved = np.column_stack(
                    [e[random_order(label, seed + 7919 * side, i)] for i in numbers]
                )
                moved -= q @ (q.T @ moved)
                r = np.abs(t @ moved) / np.linalg.norm(moved, axis=0)
                hits += int((r >= seen * (1 - 1e-12)).sum())
            worst = max(worst, np.log10((hits + 1) / (n_permutations + 1)))
        out[j] = worst
    return out


def _paths(data: MediationData) -> tuple[tuple[Path, ...], tuple[Path, ...], float, Array]:
    """Return a paths, b paths, log10 p of the total effect, and of the interactions."""
    k = data.m.shape[1]
    first = regress(data.m, data.x[:, None], data.z)
    bad = np.flatnonzero(first.status[0] != OK)
    if len(bad):
        raise FitError(f"Mediator {bad[0] + 1}: {STATUS_TEXT[int(first.status[0, bad[0]])]}.")
    a = tuple(
        Path(float(first.effect[0, j]), float(first.se[0, j]), float(first.log10p[0, j]))
        for j in range(k)
    )
    b = tuple(
        _last(data, np.column_stack([data.x, data.z, np.delete(data.m, j, axis=1)]), data.m[:, j])
        for j in range(k)
    )
    whole = _last(data, data.z, data.x).log10p
    crossed = np.full(k, np.nan)
    centred, middle = data.m - data.m.mean(axis=0), data.x - data.x.mean()
    nuisance = np.column_stack([data.x, data.z, data.m])
    for j in range(k):
        product = centred[:, j] * middle
        design = np.column_stack([np.ones(len(product)), nuisance, product])
        if full_rank(design)[-1] and len(product) > design.shape[1] + 1:
            try:
                crossed[j] = _last(data, nuisance, product).log10p
            except FitError:  # the interaction alone may be separated; its p is unknown then
                continue
    return a, b, whole, crossed


def _last(data: MediationData, nuisance: Array, column: Array) -> Path:
    """Return the coefficient of a column in the model of the outcome, given the others."""
    if data.kind == "continuous":
        fit = regress(data.y[:, None], column[:, None], nuisance)
        if fit.status[0, 0] != OK:
            raise FitError(f"The outcome: {STATUS_TEXT[int(fit.status[0, 0])]}.")
        return Path(*(float(v[0, 0]) for v in (fit.effect, fit.se, fit.log10p)))
    centre, scale = column.mean(), column.std()
    unit = (column - centre) / scale
    if data.kind == "binary":
        base = np.column_stack([np.ones(len(unit)), _standard(nuisance)])
        full, reduced = logistic(data.y, np.column_stack([base, unit])), logistic(data.y, base)
        if not (full.converged and reduced.converged):
            raise FitError("The logistic model of the outcome does not converge (separation).")
        return Path(
            float(full.coef[-1] / scale), float(full.se[-1] / scale),
            likelihood_ratio_log10p(full, reduced),
        )  # fmt: skip
    fit_all = fit_cox(np.column_stack([_standard(nuisance), unit]), data.y, data.event)
    less = fit_cox(_standard(nuisance), data.y, data.event) if nuisance.shape[1] else None
    under = fit_all.null_log_likelihood if less is None else less.log_likelihood
    chi2 = max(2 * (fit_all.log_likelihood - under), 0.0)
    return Path(
        float(fit_all.beta[-1] / scale), float(fit_all.std_error[-1] / scale),
        float(chi2_log10p(chi2, 1.0)),
    )  # fmt: skip


def _standard(columns: Array) -> Array:
    spread = columns.std(axis=0)
    return np.asarray((columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _effects(data: MediationData, weights: Array) -> Array:
    """Return indirect (k + 1), direct and total effects under weights of people (draws, k + 3)."""
    n, k = data.m.shape
    centre_x, scale_x = data.x.mean(), data.x.std()
    scale_m = data.m.std(axis=0)
    base = np.column_stack([np.ones(n), (data.x - centre_x) / scale_x, _standard(data.z)])
    m = (data.m - data.m.mean(axis=0)) / scale_m
    design = np.hstack([base, m])
    p = base.shape[1]
    out = np.empty((len(weights), k + 3))
    coef, residual = linear_fits(base, m, weights)
    a = coef[:, 1, :]
    if data.kind == "binary":
        theta = logistic_fits(design, data.y, weights)
        ends = tuple((value - centre_x) / scale_x for value in data.contrast)
        return _natural(base, coef, residual, theta, weights=weights, ends=ends)
    low, high = data.contrast
    per = (high - low) / scale_x
    if data.kind == "continuous":
        theta = linear_fits(design, data.y[:, None], weights)[0][:, :, 0]
        b, direct = theta[:, p:], theta[:, 1]
        total = direct + (a * b).sum(axis=1)
    else:
        assert data.event is not None
        sets = risk(data.y, data.event)
        theta = cox_fits(design[:, 1:], sets, weights)
        b, direct = theta[:, p - 1 :], theta[:, 0]
        total = cox_fits(base[:, 1:], sets, weights)[:, 0]
    out[:, :k] = a * b * per
    out[:, k] = (a * b).sum(axis=1) * per
    out[:, k + 1], out[:, k + 2] = direct * per, total * per
    return out


def _natural(
    base: Array,
    coef: Array,
    residual: Array,
    theta: Array,
    *,
    weights: Array,
    ends: tuple[float, float],
) -> Array:
    """Return natural effects on the risk, averaged over weighted people."""
    p, k = coef.shape[1:]
    b = theta[:, p:]
    spread = np.sqrt(np.maximum(np.einsum("ij,ijl,il->i", b, residual, b), 0.0))
    people = weights / weights.sum(axis=1, keepdims=True)
    rest = np.delete(base, 1, axis=1)
    own = np.delete(theta[:, :p], 1, axis=1) @ rest.T
    # Linear predictor of the outcome through confounders, directly and by way of the mediators.
    through = np.delete(coef, 1, axis=1)
    own += np.einsum("bk,bpk->bp", b, through) @ rest.T
    step = b * coef[:, 1, :]
    x0, x1 = ends

    def mean_risk(x: float, mediated: Array) -> Array:
        eta = own + (theta[:, 1] * x + mediated)[:, None]
        return _averaged(eta, spread, people)

    at0, at1 = step.sum(axis=1) * x0, step.sum(axis=1) * x1
    none, both, crossed = mean_risk(x0, at0), mean_risk(x1, at1), mean_risk(x1, at0)
    out = np.empty((len(weights), k + 3))
    for j in range(k):
        moved = at0 + step[:, j] * (x1 - x0)
        out[:, j] = (both if k == 1 else mean_risk(x1, moved)) - crossed
    out[:, k], out[:, k + 1], out[:, k + 2] = both - crossed, crossed - none, both - none
    return out


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


def _averaged(eta: Array, spread: Array, people: Array) -> Array:
    """Return the mean of expit(eta + spread · normal) over people, (draws,)."""
    from scipy.special import expit

    out = np.zeros(len(eta))
    for node, weight in zip(_NODES, _WEIGHTS / _WEIGHTS.sum(), strict=True):
        out += weight * np.einsum("ij,ij->i", expit(eta + node * spread[:, None]), people)
    return out


def _rho_zero(data: MediationData) -> Array:
    k = data.m.shape[1]
    if data.kind != "continuous":
        return np.full(k, np.nan)
    base = np.column_stack([np.ones(len(data.x)), data.x, data.z])
    out = np.empty(k)
    for j in range(k):
        q = np.linalg.qr(np.column_stack([base, np.delete(data.m, j, axis=1)]))[0]
        e, f = data.m[:, j] - q @ (q.T @ data.m[:, j]), data.y - q @ (q.T @ data.y)
        out[j] = e @ f / (np.linalg.norm(e) * np.linalg.norm(f))
    return out


def _outcome_residuals(data: MediationData, nuisance: Array) -> Array:
    """Return residuals of the outcome in the model without the mediator."""
    if data.kind == "continuous":
        return data.y
    columns = _standard(nuisance[:, 1:])
    if data.kind == "binary":
        design = np.column_stack([np.ones(len(columns)), columns])
        fit = logistic(data.y, design)
        if not fit.converged:
            raise FitError("The logistic model without the mediator does not converge.")
        return np.asarray(data.y - 1 / (1 + np.exp(-design @ fit.coef)))
    assert data.event is not None
    cox = fit_cox(columns, data.y, data.event)
    times, hazard = cox.baseline[0]
    where = np.searchsorted(times, data.y, side="right")
    expected = np.concatenate([[0.0], hazard])[where] * np.exp(cox.linear_predictor(columns))
    return np.asarray(data.event - expected)
