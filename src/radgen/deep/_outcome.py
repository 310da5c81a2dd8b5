"""The three kinds of outcome behind one loss and one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from radgen._core.naming import require_choice
from radgen.deep._torch import torch
from radgen.deep.losses import CoxLoss
from radgen.errors import InputError
from radgen.stats.survival import check_survival

__all__ = ["OUTCOMES", "NetworkEstimator", "Scale", "checked_outcome"]

FloatArray = NDArray[np.float64]
OUTCOMES = ("auto", "binary", "continuous", "censored")


@dataclass(frozen=True)
class Scale:
    """How a raw score of a network becomes a prediction.

    Attributes
    ----------
    kind : {"binary", "continuous", "censored"}
    center, spread : float
        Mean and SD of a continuous outcome in training.
    weight : float
        Weight of a positive sample over a negative one; its log is taken from the logit again.
    """

    kind: str
    center: float = 0.0
    spread: float = 1.0
    weight: float = 1.0

    @classmethod
    def of(cls, kind: str, y: FloatArray, *, balanced: bool) -> Scale:
        """Return the scale of training outcomes."""
        if kind == "continuous":
            return cls(kind, float(y.mean()), float(y.std()) or 1.0)
        if kind == "binary" and balanced:
            return cls(kind, weight=float((y < 0.5).sum() / (y > 0.5).sum()))
        return cls(kind)

    def loss(self, y: FloatArray) -> Any:
        """Return the mean loss as a function of raw scores, tensor (n,), for these outcomes."""
        library = torch()
        if self.kind == "censored":
            return CoxLoss(y[:, 0], y[:, 1] > 0.5)
        if self.kind == "continuous":
            wanted = library.from_numpy((y - self.center) / self.spread)
            return lambda score: ((score - wanted.to(score.dtype)) ** 2).mean()
        label = library.from_numpy(np.array(y))
        weight = library.where(label > 0.5, self.weight, 1.0)
        weight = weight / weight.mean()
        measure = library.nn.functional.binary_cross_entropy_with_logits
        return lambda score: measure(score, label.to(score.dtype), weight=weight.to(score.dtype))

    def predict(self, raw: FloatArray) -> FloatArray:
        """Return probabilities, values or log relative hazards of raw scores, (n,)."""
        if self.kind == "continuous":
            return np.asarray(self.center + self.spread * raw)
        return np.asarray(expit(self.logit(raw))) if self.kind == "binary" else raw

    def logit(self, raw: FloatArray) -> FloatArray:
        """Return log odds as they are without weights of classes, (n,)."""
        return np.asarray(raw - np.log(self.weight))

    def measured(self, raw: FloatArray, y: FloatArray) -> float:
        """Return the mean loss of predictions without weights of classes."""
        if self.kind == "binary":
            logit = self.logit(raw)
            return float(-(y * log_expit(logit) + (1 - y) * log_expit(-logit)).mean())
        return float(self.loss(y)(torch().from_numpy(np.array(raw, dtype=np.float64))))


def checked_outcome(y: Any, outcome: str, n: int) -> tuple[str, FloatArray]:
    """Return kind and values of an outcome.

    Parameters
    ----------
    y : array_like
        (n,) values or 0/1; (n, 2) time and event.
    outcome : {"auto", "binary", "continuous", "censored"}
        "auto": two columns are time and event, 0 and 1 alone two classes.
    n : int
        Samples.

    Returns
    -------
    kind : str
    values : float64 (n,) or (n, 2)

    Raises
    ------
    InputError
        If lengths differ, values are missing, or do not fit the kind.
    """
    require_choice(outcome, OUTCOMES, what="outcome")
    values = np.asarray(y, dtype=np.float64)
    if len(values) != n:
        raise InputError(f"There are {n} samples and {len(values)} outcomes.")
    two = values.ndim == 2 and values.shape[1] == 2
    if outcome == "censored" or (outcome == "auto" and two):
        if not two:
            raise InputError("A censored outcome has two columns: time and event.")
        time, event = check_survival(values[:, 0], values[:, 1])
        if event.sum() < 2:
            raise InputError(f"{int(event.sum())} events happened; two or more are needed.")
        return "censored", np.column_stack((time, event.astype(np.float64)))
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError("Outcomes must be known, one a sample; drop samples without one.")
    classes = set(np.unique(values).tolist())
    if outcome == "binary" or (outcome == "auto" and classes <= {0.0, 1.0}):
        if classes != {0.0, 1.0}:
            raise InputError("A binary outcome holds 0 and 1, and both of them.")
        return "binary", values
    return "continuous", values


class NetworkEstimator(BaseEstimator):
    """What the networks share: predictions from raw scores, and state as plain arrays.

    A network gives `_raw(X)` (n,) and `_build()`, has the parameters `outcome` and
    `random_state`, and learns `scale_` and `net_`.
    """

    _facts: tuple[str, ...] = ()
    _kinds: tuple[str, ...] = OUTCOMES[1:]

    def as_learner(self, kind: str) -> Any:
        """Return how `radgen.predict.evaluate` fits this network for a kind of outcome.

        Raises
        ------
        InputError
            If the network is for another kind.
        """
        from radgen.deep.learner import NetworkLearner

        if kind not in self._kinds:
            raise InputError(
                f"{type(self).__name__} is for {' and '.join(self._kinds)} outcomes; this one is "
                f"{kind}."
            )
        return NetworkLearner(self, kind)

    def predict(self, X: Any) -> FloatArray:
        """Return classes 0 and 1, values, or log relative hazards, (n,)."""
        found = self.predict_score(X)
        return (found >= 0.5).astype(np.float64) if self.scale_.kind == "binary" else found

    def predict_score(self, X: Any) -> FloatArray:
        """Return probabilities of class 1, values, or log relative hazards, (n,)."""
        check_is_fitted(self, "net_")
        return self.scale_.predict(self._raw(X))

    def predict_proba(self, X: Any) -> FloatArray:
        """Return probabilities of the classes 0 and 1, (n, 2).

        Raises
        ------
        InputError
            If the outcome has no classes.
        """
        check_is_fitted(self, "net_")
        if self.scale_.kind != "binary":
            raise InputError(f"A {self.scale_.kind} outcome has no probabilities of classes.")
        one = self.predict_score(X)
        return np.column_stack((1 - one, one))

    def get_state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the fitted state as plain facts and arrays."""
        from radgen.deep._torch import weights_of

        check_is_fitted(self, "net_")
        scale = self.scale_
        plain = {"scale": [scale.kind, scale.center, scale.spread, scale.weight]}
        facts = {name: getattr(self, name) for name in self._facts}
        arrays = {f"fact/{k}": v for k, v in facts.items() if isinstance(v, np.ndarray)}
        plain["facts"] = {k: v for k, v in facts.items() if not isinstance(v, np.ndarray)}
        return plain, arrays | {f"net/{k}": v for k, v in weights_of(self.net_).items()}

    def set_state(self, plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Take the fitted state of `get_state` over."""
        from radgen.deep._torch import load_weights

        kind, center, spread, weight = plain["scale"]
        require_choice(kind, OUTCOMES[1:], what="outcome")
        self.scale_ = Scale(kind, float(center), float(spread), float(weight))
        found = dict(plain["facts"])
        found |= {k.removeprefix("fact/"): v for k, v in arrays.items() if k.startswith("fact/")}
        for name in self._facts:
            value = found[name]
            setattr(self, name, tuple(value) if isinstance(value, list) else value)
        weights = {k.removeprefix("net/"): v for k, v in arrays.items() if k.startswith("net/")}
        self.net_ = load_weights(self._build(), weights)
        return self
