"""Models that an evaluation can fit: a path of settings, one fit each, one prediction each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import clone

from radgen.errors import InputError
from radgen.predict.portable import linear_score, logistic
from radgen.predict.ridge import cox_path, linear_path, logistic_path
from radgen.stats.cox import RiskSets

__all__ = ["MODELS", "Fitted", "Learner", "loss", "make_learner"]

FloatArray = NDArray[np.float64]

MODELS: Mapping[str, tuple[str, ...]] = {
    "binary": ("logistic", "elastic_net", "lasso", "forest", "boosting"),
    "censored": ("cox", "elastic_net", "lasso"),
    "continuous": ("ridge", "elastic_net", "lasso", "forest", "boosting"),
}
"""Names of models by kind of outcome; the first is the default."""

PENALTY_STEPS = 10.0 ** np.arange(1.0, -4.6, -0.5)
"""Ridge penalties per training row (blocks are scaled to a largest variance of 1)."""


class Fitted(Protocol):
    """A fitted model of one setting."""

    def predict(self, x: FloatArray) -> FloatArray:
        """Return probabilities, log relative hazards or values, (n,)."""
        ...


class Learner(Protocol):
    """Fits every setting of a model to the same rows."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings, simplest first."""
        ...

    def fit(
        self, x: FloatArray, y: FloatArray, which: NDArray[np.int64], seed: int
    ) -> list[Fitted]:
        """Return fits of the settings `which`."""
        ...


@dataclass(frozen=True, eq=False)
class LinearFit:
    """Coefficients, intercept and the inverse link of a linear model."""

    beta: FloatArray
    intercept: float
    kind: str

    def predict(self, x: FloatArray) -> FloatArray:
        """Return probabilities, log relative hazards or values, (n,)."""
        eta = x @ self.beta + self.intercept
        return np.asarray(expit(eta) if self.kind == "binary" else eta, dtype=np.float64)

    def portable(self, x: FloatArray) -> FloatArray:
        """Return what `predict` does, the same to the last bit on every machine, (n,)."""
        eta = linear_score(x, self.beta, self.intercept)
        return logistic(eta) if self.kind == "binary" else eta


@dataclass(frozen=True)
class RidgeLearner:
    """Ridge logistic, Cox or linear regression over a path of penalties."""

    kind: str

    @property
    def settings(self) -> tuple[str, ...]:
        """Penalty per row, strongest first."""
        return tuple(f"penalty {value:.2g} n" for value in PENALTY_STEPS)

    def fit(
        self, x: FloatArray, y: FloatArray, which: NDArray[np.int64], seed: int
    ) -> list[Fitted]:
        """Return the fits at penalties `which`."""
        penalties = PENALTY_STEPS[which] * len(x)
        if self.kind == "binary":
            beta, intercept = logistic_path(x, y, penalties)
        elif self.kind == "censored":
            beta = cox_path(x, y[:, 0], y[:, 1] > 0.5, penalties)
            intercept = -(beta @ x.mean(axis=0))
        else:
            beta, intercept = linear_path(x, y, penalties)
        return [LinearFit(beta[k], float(intercept[k]), self.kind) for k in range(len(which))]


@dataclass(frozen=True, eq=False)
class EstimatorFit:
    """A fitted scikit-learn estimator behind `Fitted`."""

    estimator: Any
    kind: str

    def predict(self, x: FloatArray) -> FloatArray:
        """Return probabilities, log relative hazards or values, (n,)."""
        if self.kind == "binary":
            return np.asarray(self.estimator.predict_proba(x)[:, 1], dtype=np.float64)
        return np.asarray(self.estimator.predict(x), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class EstimatorLearner:
    """Any scikit-learn estimator, with a grid of parameters or none."""

    estimator: Any
    grid: tuple[tuple[tuple[str, Any], ...], ...]
    kind: str

    @property
    def settings(self) -> tuple[str, ...]:
        """The grid as text."""
        return tuple(", ".join(f"{k}={v}" for k, v in item) or "as given" for item in self.grid)

    def fit(
        self, x: FloatArray, y: FloatArray, which: NDArray[np.int64], seed: int
    ) -> list[Fitted]:
        """Return fits with the parameters `which`."""
        out: list[Fitted] = []
        for k in which:
            model = clone(self.estimator).set_params(**dict(self.grid[int(k)]))
            if "random_state" in model.get_params() and model.get_params()["random_state"] is None:
                model.set_params(random_state=seed % (2**31))
            out.append(EstimatorFit(model.fit(x, y), self.kind))
        return out


def make_learner(model: Any, kind: str) -> tuple[str, Learner]:
    """Return the name and learner of a model given by name, estimator or (estimator, grid).

    Raises
    ------
    InputError
        If the name is unknown for this kind of outcome, or the estimator cannot predict it.
    """
    if model is None or model == "auto":
        model = MODELS[kind][0]
    if isinstance(model, str):
        if model not in MODELS[kind]:
            raise InputError(
                f"No model {model!r} for a {kind} outcome; known: {', '.join(MODELS[kind])}, "
                "or any scikit-learn estimator."
            )
        if model == MODELS[kind][0]:
            return model, RidgeLearner(kind)
        return model, _named(model, kind)
    estimator, grid = model if isinstance(model, tuple) else (model, {})
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise InputError(
            f"The model is a {type(estimator).__name__}, not a scikit-learn estimator."
        )
    if kind == "binary" and not hasattr(estimator, "predict_proba"):
        raise InputError(
            f"{type(estimator).__name__} has no predict_proba: wrap it (for example in "
            "CalibratedClassifierCV), so that calibration and net benefit can be judged."
        )
    return type(estimator).__name__, _with_grid(estimator, dict(grid), kind)


def _with_grid(estimator: Any, grid: Mapping[str, Any], kind: str) -> EstimatorLearner:
    from sklearn.model_selection import ParameterGrid

    points = tuple(tuple(sorted(item.items())) for item in ParameterGrid(dict(grid)))
    return EstimatorLearner(estimator, points, kind)


def _named(model: str, kind: str) -> Learner:
    if model in ("elastic_net", "lasso"):
        from radgen.predict.elastic_net import ElasticNetLearner

        return ElasticNetLearner(kind, l1_ratio=1.0 if model == "lasso" else 0.5)
    from sklearn import ensemble

    if model == "forest":
        make = (
            ensemble.RandomForestClassifier if kind == "binary" else ensemble.RandomForestRegressor
        )
        return _with_grid(make(n_estimators=300, min_samples_leaf=3, n_jobs=1), {}, kind)
    boost = (
        ensemble.HistGradientBoostingClassifier
        if kind == "binary"
        else ensemble.HistGradientBoostingRegressor
    )
    settings = {"max_iter": 80, "learning_rate": 0.05, "max_leaf_nodes": 4, "max_bins": 63}
    return _with_grid(boost(min_samples_leaf=10, **settings), {}, kind)


def loss(kind: str, y: FloatArray, predicted: FloatArray) -> float:
    """Return the mean loss by which settings are chosen: log loss, -log partial likelihood, MSE."""
    if kind == "binary":
        p = np.clip(predicted, 1e-12, 1 - 1e-12)
        return float(-(y * np.log(p) + (1 - y) * np.log1p(-p)).mean())
    if kind == "censored":
        event = y[:, 1] > 0.5
        if not event.any():
            return 0.0
        risk = RiskSets(y[:, 0], event, np.ones(len(y)), None, "breslow")
        value, _, _ = risk.eta_derivatives(predicted)
        return -value / len(y)
    return float(((y - predicted) ** 2).mean())
