"""From predicted traits to survival, with what the learner does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from radgen._core.rng import spawn
from radgen.associate.surrogates._learner import Machine, calibration_slope
from radgen.errors import FitError
from radgen.stats.cox import RiskSets, fit_cox
from radgen.stats.tail import normal_log10p, t_log10p

__all__ = [
    "Carried",
    "Draws",
    "Pooled",
    "Survival",
    "carry",
    "linear_effects",
    "pool_effects",
    "ratio_interval",
]

Array = NDArray[np.float64]
# Share of the way to a resampled learner: small against 1, large against rounding.
_STEP = 0.05
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Survival:
    """Survival of the second cohort: time, event, and covariates of the same rows."""

    time: Array
    event: NDArray[np.bool_]
    covariates: Array | None

    def design(self, score: Array) -> Array:
        """Return the score and the covariates side by side, (n_samples, 1 + n_covariates)."""
        own = score[:, None]
        return own if self.covariates is None else np.hstack([own, self.covariates])

    def effect(self, score: Array) -> tuple[float, float, Array]:
        """Return log hazard ratio, its standard error and each sample's influence on it."""
        x = self.design(score)
        fit = fit_cox(x, self.time, self.event)
        risk = RiskSets(self.time, self.event, np.ones(len(x)), None, "efron")
        residuals = risk.score_residuals(x, x @ fit.beta)
        influence = residuals @ fit.naive_covariance[:, 0]
        return float(fit.beta[0]), float(fit.std_error[0]), np.asarray(influence)

    def parts(self, scores: Array) -> tuple[Array, Array]:
        """Return the samples' parts of the score statistics of columns, and their information.

        Of the model of the covariates alone, and given them: the parts (n_samples, k) are linear
        in the column; information (k,).
        """
        n, k = scores.shape
        z, eta, risk = self._null(n)
        x = np.hstack([scores, z])
        residuals = risk.score_residuals(x, eta)
        information = risk.derivatives(x, eta)[2]
        own = np.diag(information)[:k]
        if not z.shape[1]:
            return residuals, own
        weights = np.linalg.solve(information[k:, k:], information[k:, :k])
        own = own - np.einsum("ij,ij->j", information[k:, :k], weights)
        return residuals[:, :k] - residuals[:, k:] @ weights, own

    def _null(self, n: int) -> tuple[Array, Array, RiskSets]:
        """Covariates, their linear predictor, and the risk sets."""
        z = np.zeros((n, 0)) if self.covariates is None else self.covariates
        eta = np.zeros(n)
        if z.shape[1]:
            eta = z @ fit_cox(z, self.time, self.event).beta
        return z, eta, RiskSets(self.time, self.event, np.ones(n), None, "efron")

    def score_z(self, scores: Array) -> Array:
        """Return the score-test z of each column, adjusted for the covariates."""
        n, k = scores.shape
        z, eta, risk = self._null(n)
        spread = scores.std(axis=0)
        x = np.hstack([scores / np.where(spread > 0, spread, 1.0), z])
        _, slope, information = risk.derivatives(x, eta)
        inner = information[k:, k:]
        beside = information[:k, k:]
        own = np.diag(information)[:k] - np.einsum(
            "ij,ji->i", beside, np.linalg.solve(inner, beside.T) if z.shape[1] else beside.T
        )
        usable = (spread > 0) & (own > 1e-12)
        return np.where(usable, slope[:k] / np.sqrt(np.where(usable, own, 1.0)), np.nan)


@dataclass(frozen=True, eq=False)
class Draws:
    """Predictions of one trait for the second cohort, by the learner and its bootstraps.

    Attributes
    ----------
    score : ndarray of float64 (n_carried,)
        By the learner of the whole paired cohort.
    scores : ndarray of float64 (n_bootstraps, n_carried)
        By learners of resampled cohorts.
    slopes : ndarray of float64 (n_bootstraps,)
        Calibration slope of each, in samples held out of it.
    permuted : ndarray of float64 (n_carried, n_permutations)
        By learners of permuted traits.
    """

    score: Array
    scores: Array
    slopes: Array
    permuted: Array


@dataclass(frozen=True, eq=False)
class Pooled:
    """An estimate and its variance within and between learners."""

    effect: float
    within: float
    between: float
    n_draws: int

    @property
    def variance(self) -> float:
        """Within plus (1 + 1/m) between."""
        return self.within + (1 + 1 / self.n_draws) * self.between

    @property
    def df(self) -> float:
        """Rubin's degrees of freedom, at most 1e9."""
        extra = (1 + 1 / self.n_draws) * self.between
        share = extra / (self.within + extra)
        return min((self.n_draws - 1) / max(share, 1e-4) ** 2, 1e9)


def pool_effects(effect: float, error: float, effects: Array, influences: Array) -> Pooled:
    """Return an effect with the variance between learners added.

    Parameters
    ----------
    effect, error : float
        Of the learner of all samples, and its standard error given that learner.
    effects : ndarray of float64 (n_draws,)
        Of learners of resampled cohorts, in the same second cohort.
    influences : ndarray of float64 (n_draws, n_samples)
        Of the samples on each of them.

    Notes
    -----
    The draws differ for two reasons: learners differ in what they measure, and each meets the
    same chance of the second cohort from another side. The latter is within variance already;
    its share, the sum over samples of the variance of their influences, is taken off.
    """
    noise = float(influences.var(axis=0, ddof=1).sum())
    between = max(float(effects.var(ddof=1)) - noise, 0.0)
    return Pooled(effect, error**2, between, len(effects))


def ratio_interval(
    pooled: Pooled, slope: float, slopes: Array, effects: Array, quantile: float
) -> tuple[float, float, float]:
    """Return effect / slope with Fieller's interval; NaN limits where that has no end.

    Parameters
    ----------
    pooled : Pooled
        Effect per unit of the score.
    slope : float
        Calibration slope of the learner.
    slopes, effects : ndarray of float64 (n_draws,)
        Slopes and effects of its bootstraps.
    quantile : float
        Of the reference distribution, 1.96 say.
    """
    together = np.cov(effects, slopes)
    v_slope, across = float(together[1, 1]), float(together[0, 1])
    a = slope**2 - quantile**2 * v_slope
    b = pooled.effect * slope - quantile**2 * across
    c = pooled.effect**2 - quantile**2 * pooled.variance
    inside = b**2 - a * c
    if slope <= 0 or a <= 0 or inside < 0:
        return pooled.effect / slope if slope > 0 else np.nan, np.nan, np.nan
    root = float(np.sqrt(inside))
    return pooled.effect / slope, (b - root) / a, (b + root) / a


@dataclass(frozen=True, eq=False)
class Carried:
    """What the predicted trait says of survival; NaN where it could not be told."""

    values: dict[str, float]
    reason: str = ""


def carry(
    draws: Draws, survival: Survival, *, slope: float, spread: float, confidence: float
) -> Carried:
    """Return the effect of a predicted trait: given the learner, and with its uncertainty.

    Parameters
    ----------
    draws : Draws
        Predictions for the second cohort.
    survival : Survival
        Of the same samples.
    slope : float
        Calibration slope of the learner in held-out samples.
    spread : float
        Deviation of the trait in the paired cohort; 1 for a 0/1 trait.
    confidence : float
        Coverage of the intervals.
    """
    width = float(draws.score.std(ddof=1))
    if not width > 1e-10:
        return Carried({}, "the prediction is the same for all samples")
    try:
        effect, error, _ = survival.effect(draws.score / width)
    except FitError as why:
        return Carried({}, str(why))
    tail = 0.5 + confidence / 2
    z = float(stdtrit(1e9, tail))
    out: dict[str, Any] = {
        "log_hazard": effect,
        "se_naive": error,
        "naive_low": effect - z * error,
        "naive_high": effect + z * error,
        "log10p_naive": float(normal_log10p(effect / error)),
    }
    if draws.permuted.shape[1]:
        null = np.abs(survival.score_z(draws.permuted))
        own = abs(survival.score_z(draws.score[:, None])[0])
        out["p_random"] = (int((null >= own - 1e-12).sum()) + 1) / (len(null) + 1)
    drawn = _effects(draws, survival)
    if drawn is None:
        return Carried(out, "too few bootstraps of the learner could be fitted")
    pooled = pool_effects(effect, error, drawn.effects, drawn.influences)
    half = float(stdtrit(pooled.df, tail)) * float(np.sqrt(pooled.variance))
    out |= {
        "se": float(np.sqrt(pooled.variance)),
        "df": pooled.df,
        "ci_low": effect - half,
        "ci_high": effect + half,
        "log10p": float(t_log10p(effect / np.sqrt(pooled.variance), pooled.df)),
        "share_learner": 1 - pooled.within / pooled.variance,
    }
    unit = pool_effects(effect / width, error / width, drawn.raw, drawn.raw_influences)
    ratio = ratio_interval(unit, slope, drawn.slopes, drawn.raw, float(stdtrit(unit.df, tail)))
    out |= dict(
        zip(("trait", "trait_low", "trait_high"), (spread * part for part in ratio), strict=True)
    )
    return Carried(out)


@dataclass(frozen=True, eq=False, slots=True)
class _Drawn:
    """Effects of the bootstraps per SD and per unit of the score, with influences and slopes."""

    effects: Array
    influences: Array
    raw: Array
    raw_influences: Array
    slopes: Array


def _effects(draws: Draws, survival: Survival) -> _Drawn | None:
    """Return what the learners of resampled cohorts find; None where too few can be fitted.

    A resampled learner is the learner plus an error as large as the learner's own. Where the
    learner is mostly error, the two point in directions that correlate at 0.7, and an effect per
    SD of the resampled score, a ratio whose denominator is that error too, differs by too little.
    The test therefore takes the score statistic, which is linear in the score: its error is the
    statistic of the learner's error, whatever the learner is worth, in units of the learner's SD.
    The effect of the trait is a ratio by nature: for it a small step towards each resampled
    learner is taken and its change scaled up, which carries the error to first order.
    """
    whole = _per_unit(draws.score, survival)
    if whole is None:
        return None
    kept, found = [], []
    for number, score in enumerate(draws.scores):
        one = _per_unit(draws.score + _STEP * (score - draws.score), survival)
        if one is not None and np.isfinite(draws.slopes[number]):
            kept.append(number)
            found.append(one)
    if len(kept) < max(20, len(draws.scores) // 2):
        return None
    raw, raw_influences = (
        base + (np.array(stepped) - base) / _STEP
        for base, stepped in zip(whole, zip(*found, strict=True), strict=True)
    )
    effects, influences = linear_effects(draws.score, draws.scores[kept], survival)
    return _Drawn(effects, influences, raw, raw_influences, draws.slopes[kept])


def linear_effects(score: Array, scores: Array, survival: Survival) -> tuple[Array, Array]:
    """Return one-step log hazards of scores, and the samples' parts in them.

    Parameters
    ----------
    score : ndarray of float64 (n_carried,)
        By the learner; its SD is the unit.
    scores : ndarray of float64 (n_draws, n_carried)
        By learners of resampled cohorts.
    survival : Survival
        Of the same samples.
    """
    width = score.std(ddof=1)
    parts, information = survival.parts(np.column_stack([score, *scores]) / width)
    return parts[:, 1:].sum(axis=0) / information[0], parts[:, 1:].T / information[0]


def _per_unit(score: Array, survival: Survival) -> tuple[float, Array] | None:
    """Return effect and influences per unit of a score."""
    width = float(score.std(ddof=1))
    if not width > 1e-10:
        return None
    try:
        effect, _, influence = survival.effect(score / width)
    except FitError:
        return None
    return effect / width, influence / width


def bootstrap(
    machine: Machine,
    targets: Array,
    n_carried: int,
    *,
    penalties: Array,
    binary: bool,
    folds: int,
    number: int,
    seed: int,
) -> tuple[Array, Array]:
    """Return scores (n_carried, n_traits) and calibration slopes of one resampled learner.

    The copies of a sample lie in the same fold, so that slopes come from samples held out.
    """
    n = len(targets)
    rng = spawn(seed, "bootstrap", number)
    rows = _resampled(targets[:, 0] if binary else None, n, rng)
    y = targets[rows]
    own = None if machine.model is not None else penalties
    scores, _ = machine.scores(rows, y, n + np.arange(n_carried), own)
    count = np.bincount(rows, minlength=n)
    fold = _folds(count, targets[:, 0] if binary else None, folds, rng)
    inner = np.zeros_like(targets)
    for k in range(folds):
        train, test = rows[fold[rows] != k], np.flatnonzero((fold == k) & (count > 0))
        share = None if own is None else own * len(train) / n
        inner[test] = machine.scores(train, targets[train], test, share)[0]
    seen = count > 0
    return scores, calibration_slope(targets[seen], inner[seen], count[seen].astype(float))


def _resampled(classes: Array | None, n: int, rng: np.random.Generator) -> Rows:
    if classes is None:
        return rng.integers(0, n, n)
    parts = [np.flatnonzero(classes == level) for level in (0.0, 1.0)]
    return np.concatenate([part[rng.integers(0, len(part), len(part))] for part in parts])


def _folds(count: Rows, classes: Array | None, folds: int, rng: np.random.Generator) -> Rows:
    """Return a fold for each sample, the samples that were drawn spread evenly."""
    fold = np.zeros(len(count), dtype=np.int64)
    levels = np.zeros(len(count)) if classes is None else classes
    for level in np.unique(levels):
        own = rng.permutation(np.flatnonzero((count > 0) & (levels == level)))
        fold[own] = np.arange(len(own)) % folds
    return fold
