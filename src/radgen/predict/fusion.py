"""Late fusion: models of blocks joined by their held-out scores, or by their votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from radgen.errors import InputError
from radgen.stats.cox import RiskSets

__all__ = ["FUSIONS", "Fusion", "Held", "PlanFit", "fuse", "majority", "stack_weights"]

FloatArray = NDArray[np.float64]
Fusion = Literal["early", "stacked", "vote"]
FUSIONS: tuple[Fusion, ...] = ("early", "stacked", "vote")


@dataclass(frozen=True, eq=False)
class Held:
    """Scores of training rows by models that had not seen them, in the order of inner folds."""

    target: FloatArray
    score: FloatArray


@dataclass(frozen=True, eq=False)
class PlanFit:
    """One model of a fold.

    Attributes
    ----------
    held : Held or None
        Scores of training rows held out by inner folds.
    on_train, score : float64
        Scores of the training rows (of a fused model: of held-out rows), and of the test rows.
    decision : bool (n_test,)
        Whether the score reaches the threshold.
    threshold : float
    setting : str
    fused : Held or None
        Where rows behind `on_train` are those of the inner folds, their outcome.
    """

    held: Held | None
    on_train: FloatArray
    score: FloatArray
    decision: NDArray[np.bool_]
    threshold: float
    setting: str
    fused: Held | None = None


def fuse(kind: str, how: str, parts: Sequence[PlanFit]) -> PlanFit:
    """Return the fused model of several blocks' models.

    Parameters
    ----------
    kind : {"binary", "censored", "continuous"}
        Of the outcome.
    how : {"stacked", "vote"}
        Stacking learns weights that are not negative from the held-out scores; voting takes the
        majority of the decisions, and the mean of the scores.
    parts : sequence of PlanFit
        One a block, of the same fold.

    Raises
    ------
    InputError
        If the training rows are too few for inner folds.
    """
    held = [part.held for part in parts]
    first = held[0]
    if first is None or any(item is None for item in held):
        raise InputError("Late fusion needs inner folds; the training rows are too few for them.")
    known = np.column_stack([_link(kind, item.score) for item in held if item is not None])
    new = np.column_stack([_link(kind, part.score) for part in parts])
    if how == "vote":
        return _vote(kind, parts, first, known, new)
    shift, weights = stack_weights(kind, known, first.target)
    inside, score = shift + known @ weights, shift + new @ weights
    if kind == "binary":
        inside, score = expit(inside), expit(score)
    done = Held(first.target, np.asarray(inside, dtype=np.float64))
    threshold = float(np.median(inside))
    text = "weights " + ", ".join(f"{value:.2g}" for value in weights)
    return PlanFit(done, done.score, score, score >= threshold, threshold, text, done)


def _link(kind: str, score: FloatArray) -> FloatArray:
    if kind != "binary":
        return score
    return np.asarray(logit(np.clip(score, 1e-6, 1 - 1e-6)), dtype=np.float64)


def stack_weights(
    kind: str, scores: FloatArray, target: FloatArray, *, shrink: float = 1.0
) -> tuple[float, FloatArray]:
    """Return intercept and weights, none negative, of the scores of several models.

    Parameters
    ----------
    kind : {"binary", "censored", "continuous"}
        Log loss, Cox partial likelihood or squared error.
    scores : float64 (n, k)
        Held-out log odds, log hazards or values.
    target : float64 (n,) or (n, 2)
        Outcome.
    shrink : float, default 1
        Weight of ``sum((weight - 1 / k)^2) / 2`` beside the sum of the losses: a prior that the
        mean of the models is right, worth about one sample.

    Returns
    -------
    intercept : float
        0 for censored outcomes.
    weights : float64 (k,)
        As `scores` columns.

    References
    ----------
    Breiman 1996, doi:10.1007/BF00117832 (weights that are not negative). van der Laan, Polley &
    Hubbard 2007, doi:10.2202/1544-6115.1309.
    """
    k = scores.shape[1]
    prior = np.full(k, 1 / k)
    sets = None
    if kind == "censored":
        sets = RiskSets(target[:, 0], target[:, 1] > 0.5, np.ones(len(target)), None, "efron")

    def objective(theta: FloatArray) -> tuple[float, FloatArray]:
        eta = theta[0] + scores @ theta[1:]
        if sets is not None:
            value, gradient, _ = sets.eta_derivatives(eta)
            loss, slope = -value, -gradient
        elif kind == "binary":
            loss = float((np.logaddexp(0, eta) - target * eta).sum())
            slope = expit(eta) - target
        else:
            loss, slope = float(((target - eta) ** 2).sum() / 2), eta - target
        away = theta[1:] - prior
        grown = np.concatenate(([slope.sum() if sets is None else 0.0], scores.T @ slope))
        grown[1:] += shrink * away
        return loss + shrink * float(away @ away) / 2, grown

    start = np.concatenate(([0.0], prior))
    bounds = [(None, None) if sets is None else (0.0, 0.0), *[(0.0, None)] * k]
    options = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-8}
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    ).x
    return float(found[0]), np.asarray(found[1:], dtype=np.float64)


def majority(decisions: NDArray[np.bool_], lean: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the majority of decisions (n, k); where votes are even, `lean` (n,) decides.

    Examples
    --------
    >>> import numpy as np
    >>> votes = np.array([[True, True, False], [True, False, False]])
    >>> majority(votes, np.zeros(2, dtype=bool)).tolist()
    [True, False]
    """
    ayes = decisions.sum(axis=1) * 2
    return np.asarray(np.where(ayes == decisions.shape[1], lean, ayes > decisions.shape[1]))


def _vote(
    kind: str, parts: Sequence[PlanFit], first: Held, known: FloatArray, new: FloatArray
) -> PlanFit:
    """Return majority of the decisions and mean of the scores.

    Log hazards and values are put on a common scale by the spread of their held-out scores.
    """
    if kind == "censored":
        spread = known.std(axis=0)
        scale = np.where(spread > 0, spread.mean() / np.where(spread > 0, spread, 1.0), 1.0)
        known, new = known * scale, new * scale
    inside, score = known.mean(axis=1), new.mean(axis=1)
    if kind == "binary":
        inside = np.column_stack([p.held.score for p in parts if p.held is not None]).mean(axis=1)
        score = np.column_stack([part.score for part in parts]).mean(axis=1)
    cut = float(np.mean([part.threshold for part in parts]))
    if kind != "binary":
        cut = float(np.median(inside))
    votes = np.column_stack([part.decision for part in parts])
    done = Held(first.target, np.asarray(inside, dtype=np.float64))
    return PlanFit(done, done.score, score, majority(votes, score >= cut), cut, "", done)
