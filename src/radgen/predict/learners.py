"""Models that an evaluation can fit: a path of settings, one fit each, one prediction each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import clone

from radgen._core.naming import did_you_mean
from radgen.errors import InputError
from radgen.predict.portable import linear_score, logistic
from radgen.predict.ridge import cox_path, linear_path, logistic_path, reduce_columns
from radgen.stats.cox import RiskSets
from radgen.stats.survival_parametric import fit_aft

__all__ = ["MODELS", "Fitted", "Learner", "Part", "installed_models", "loss", "make_learner"]

FloatArray = NDArray[np.float64]

MODELS: Mapping[str, tuple[str, ...]] = {
    "binary": ("logistic", "elastic_net", "lasso", "forest", "boosting", "blocks", "blocks_lasso"),
    "censored": (
        "cox",
        "elastic_net",
        "lasso",
        "forest",
        "boosting",
        "weibull",
        "lognormal",
        "loglogistic",
        "blocks",
        "blocks_lasso",
    ),
    "continuous": ("ridge", "elastic_net", "lasso", "forest", "boosting", "blocks", "blocks_lasso"),
}
"""Names of models by kind of outcome; the first is the default."""

GROUP = "radgen.learners"
"""Entry points that name a model: each gives a function that returns a scikit-learn estimator.

An estimator with ``as_learner(kind)`` says itself how it is fitted (`Learner`)."""

PENALTY_STEPS = 10.0 ** np.arange(1.0, -4.6, -0.5)
"""Ridge penalties per training row (blocks are scaled to a largest variance of 1)."""


@dataclass(frozen=True)
class Part:
    """What a learner may know of a block before it is fitted; see `radgen.predict.design.Block`."""

    role: str
    layout: str = "table"
    shape: tuple[int, ...] = ()


class Fitted(Protocol):
    """A fitted model of one setting."""

    def predict(self, x: FloatArray) -> FloatArray:
        """Return probabilities, log relative hazards or values, (n,)."""
        ...


class Learner(Protocol):
    """Fits every setting of a model to the same rows.

    A learner may also have ``for_blocks(parts)`` (the learner for these blocks),
    ``for_patients(codes)`` (that holds patients out itself) and ``reads`` (the layouts it takes,
    tables alone where it has none).
    """

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings, simplest first."""
        ...

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        which: NDArray[np.int64],
        seed: int,
        widths: Sequence[int] = (),
    ) -> list[Fitted]:
        """Return fits of the settings `which`; `widths` are the columns of each block."""
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
        self,
        x: FloatArray,
        y: FloatArray,
        which: NDArray[np.int64],
        seed: int,
        widths: Sequence[int] = (),
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


@dataclass(frozen=True)
class ParametricLearner:
    """Accelerated failure time model with a ridge penalty, over a path of penalties.

    The score is minus the log time over the scale: for Weibull the log relative hazard.
    """

    distribution: Any

    @property
    def settings(self) -> tuple[str, ...]:
        """Penalty per row, strongest first."""
        return tuple(f"penalty {value:.2g} n" for value in PENALTY_STEPS)

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        which: NDArray[np.int64],
        seed: int,
        widths: Sequence[int] = (),
    ) -> list[Fitted]:
        """Return the fits at penalties `which`."""
        z, vt, center = reduce_columns(x)
        out: list[Fitted] = []
        time = np.maximum(y[:, 0], 1e-12)
        for k in which.tolist():
            fit = fit_aft(
                z, time, y[:, 1] > 0.5, distribution=self.distribution,
                ridge=float(PENALTY_STEPS[k]) * len(x),
            )  # fmt: skip
            beta = -(fit.beta[1:] @ vt) / fit.scale
            out.append(LinearFit(beta, float(-center @ beta), "censored"))
        return out


def fit_within(
    inner: Learner,
    y: FloatArray,
    which: NDArray[np.int64],
    seed: int,
    prepared: Callable[[int], tuple[FloatArray, Callable[[Fitted], Fitted]]],
) -> list[Fitted]:
    """Return fits of settings that are an outer choice times the settings of a learner.

    Parameters
    ----------
    inner : Learner
        Its settings run fastest.
    y : float64 (n,) or (n, 2)
        Outcome.
    which : int64 (n_settings,)
        Numbers of the settings.
    seed : int
        For the learner.
    prepared : callable
        Columns of an outer choice, float64 (n, p), and what makes its fits read the columns
        before; asked once for each choice.
    """
    n = len(inner.settings)
    found: dict[int, Fitted] = {}
    for number in np.unique(which // n).tolist():
        own = which[which // n == number]
        columns, wrapped = prepared(number)
        fits = inner.fit(columns, y, own % n, seed)
        found |= dict(zip(own.tolist(), map(wrapped, fits), strict=True))
    return [found[k] for k in which.tolist()]


@dataclass(frozen=True, eq=False)
class ChoiceLearner:
    """Several learners whose settings compete in the inner folds."""

    learners: tuple[Learner, ...]
    names: tuple[str, ...]

    def for_blocks(self, parts: Sequence[Part]) -> Learner:
        """Return the choice with each learner made for these blocks."""
        made = tuple(fitted_to(item, parts) for item in self.learners)
        return ChoiceLearner(made, self.names)

    @property
    def settings(self) -> tuple[str, ...]:
        """Name and setting of each learner."""
        return tuple(
            f"{name}, {text}"
            for name, item in zip(self.names, self.learners, strict=True)
            for text in item.settings
        )

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        which: NDArray[np.int64],
        seed: int,
        widths: Sequence[int] = (),
    ) -> list[Fitted]:
        """Return the fits of the settings `which`."""
        found: dict[int, Fitted] = {}
        start = 0
        for item in self.learners:
            size = len(item.settings)
            own = which[(which >= start) & (which < start + size)]
            if own.size:
                fits = item.fit(x, y, own - start, seed, widths)
                found |= dict(zip(own.tolist(), fits, strict=True))
            start += size
        return [found[k] for k in which.tolist()]


def fitted_to(
    learner: Learner, parts: Sequence[Part], patients: NDArray[np.int64] | None = None
) -> Learner:
    """Return the learner for blocks, and for the patients of rows, where those matter to it."""
    found: Learner = learner.for_blocks(parts) if hasattr(learner, "for_blocks") else learner
    if patients is not None and hasattr(found, "for_patients"):
        found = found.for_patients(patients)
    return found


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
        self,
        x: FloatArray,
        y: FloatArray,
        which: NDArray[np.int64],
        seed: int,
        widths: Sequence[int] = (),
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
    """Return name and learner of a model: a name, estimator, (estimator, grid) or list of these.

    Raises
    ------
    InputError
        If the name is unknown for this kind of outcome, or the estimator cannot predict it.
    """
    if model is None or model == "auto":
        model = MODELS[kind][0]
    if isinstance(model, list):
        made = [make_learner(item, kind) for item in model]
        if len(made) < 2:
            raise InputError("A list of models offers a choice: give two or more.")
        names, learners = zip(*made, strict=True)
        return " or ".join(names), ChoiceLearner(tuple(learners), tuple(names))
    if isinstance(model, str) and model in MODELS[kind]:
        return model, RidgeLearner(kind) if model == MODELS[kind][0] else _named(model, kind)
    if isinstance(model, str):
        return model, make_learner(_installed(model, kind), kind)[1]
    if hasattr(model, "as_learner"):
        return type(model).__name__, model.as_learner(kind)
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


def installed_models() -> dict[str, Any]:
    """Return the models that packages have added by entry points, by name."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _installed(model: str, kind: str) -> Any:
    """Return the estimator of a name that an entry point gives."""
    found = installed_models()
    if model not in found:
        known = [*MODELS[kind], *sorted(found)]
        raise InputError(
            f"No model {model!r} for a {kind} outcome. {did_you_mean(model, known)} Known: "
            f"{', '.join(known)}; from Python any scikit-learn estimator."
        )
    return found[model].load()()


def _with_grid(estimator: Any, grid: Mapping[str, Any], kind: str) -> EstimatorLearner:
    from sklearn.model_selection import ParameterGrid

    points = tuple(tuple(sorted(item.items())) for item in ParameterGrid(dict(grid)))
    return EstimatorLearner(estimator, points, kind)


def _named(model: str, kind: str) -> Learner:
    if model in ("elastic_net", "lasso"):
        from radgen.predict.elastic_net import ElasticNetLearner

        return ElasticNetLearner(kind, l1_ratio=1.0 if model == "lasso" else 0.5)
    if model == "forest":
        from radgen.predict.trees import ForestLearner

        return ForestLearner(kind)
    if model == "boosting":
        from radgen.predict.trees import BoostLearner

        return BoostLearner(kind)
    if model in ("blocks", "blocks_lasso"):
        from radgen.predict.block_penalty import BlockLearner
        from radgen.predict.elastic_net import ElasticNetLearner

        if model == "blocks":
            return BlockLearner(RidgeLearner(kind), 0.5)
        return BlockLearner(ElasticNetLearner(kind, l1_ratio=1.0), 1.0)
    return ParametricLearner(model)


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
