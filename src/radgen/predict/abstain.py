"""Models that abstain: decide where one class alone is plausible, and say how often rightly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import InputError
from radgen.predict.design import Design
from radgen.predict.engine import FoldOutput, ModelPlan
from radgen.predict.splits import group_folds
from radgen.stats.conformal import class_p_values

__all__ = ["LEVELS", "AbstainingClassifier", "abstention_table", "decisions"]

FloatArray = NDArray[np.float64]
LEVELS = (0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
"""Error levels of the table, beside the one that was asked for."""


def decisions(p_values: FloatArray, level: float) -> NDArray[np.int64]:
    """Return 0 or 1 where one class alone is plausible, -1 where the model abstains.

    Parameters
    ----------
    p_values : float64 (n, 2)
        Of `radgen.stats.conformal.class_p_values`.
    level : float
        Error level.

    Returns
    -------
    int64 (n,)
        -1 where both classes are plausible, or neither.
    """
    inside = p_values > level
    one = inside.sum(axis=1) == 1
    return np.where(one, inside[:, 1].astype(np.int64), -1)


class AbstainingClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """A classifier of two classes that abstains, with a guaranteed share of errors.

    A part of the training rows is held out of the fit and calibrates it (split conformal
    prediction): new rows exchangeable with them get a set of classes that leaves out the true one
    with a probability of `level` at most, in each class, whatever the classifier.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        Cloned and fitted.
    level : float, default 0.1
        Share of rows whose true class may be left out.
    share : float, default 0.3
        Of the rows (of the groups, where given) that calibrate.
    random_state : int or None
        Chooses them.

    Attributes
    ----------
    estimator_ : classifier
        Fitted to the other rows.
    classes_ : ndarray (2,)
    calibration_y_, calibration_score_ : float64 (n_calibration,)
        What the thresholds come from.

    References
    ----------
    Papadopoulos et al. 2002, doi:10.1007/3-540-36755-1_29. Vovk 2013,
    doi:10.1007/s10994-013-5355-6.
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        level: float = 0.1,
        share: float = 0.3,
        random_state: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.level = level
        self.share = share
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Fit the classifier to a part of the rows and calibrate it on the others.

        Parameters
        ----------
        X : float64 (n, p)
        y : (n,)
            Two classes.
        groups : (n,) or None
            Rows of one group never part.

        Raises
        ------
        InputError
            If there are not two classes, or one is too small to calibrate and to train.
        """
        from sklearn.linear_model import LogisticRegression

        values, target = validate_data(self, X, y, dtype=np.float64)
        self.classes_, code = np.unique(target, return_inverse=True)
        if len(self.classes_) != 2:
            raise InputError(f"Two classes are needed; there are {len(self.classes_)}.")
        if not 0 < self.share < 1:
            raise InputError(f"share lies between 0 and 1, as {self.share:g} does not.")
        units = (
            np.arange(len(code)) if groups is None else np.unique(groups, return_inverse=True)[1]
        )
        rng = np.random.default_rng(self.random_state)
        parts = max(2, round(1 / self.share))
        fold = group_folds(code.astype(np.int64), units.astype(np.int64), parts, rng)
        held = fold == 0
        if len(np.unique(code[held])) < 2 or len(np.unique(code[~held])) < 2:
            raise InputError("A class is too small to be held out and trained on: more rows.")
        base = LogisticRegression() if self.estimator is None else clone(self.estimator)
        self.estimator_ = base.fit(values[~held], code[~held])
        self.calibration_y_ = code[held].astype(np.float64)
        self.calibration_score_ = np.asarray(self.estimator_.predict_proba(values[held])[:, 1])
        return self

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the classifier's probabilities, (n, 2)."""
        check_is_fitted(self, "estimator_")
        values = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(self.estimator_.predict_proba(values))

    def p_values(self, X: Any) -> FloatArray:
        """Return the conformal p-value of each class, (n, 2)."""
        score = self.predict_proba(X)[:, 1]
        return class_p_values(self.calibration_y_, self.calibration_score_, score)

    def predict_set(self, X: Any) -> NDArray[np.bool_]:
        """Return which classes are plausible at the level, bool (n, 2)."""
        return np.asarray(self.p_values(X) > self.level)

    def decide(self, X: Any) -> NDArray[np.int64]:
        """Return 0 or 1 (the class's place in `classes_`), or -1 where the model abstains."""
        return decisions(self.p_values(X), self.level)

    def predict(self, X: Any) -> Any:
        """Return the likelier class of every row, as if the model did not abstain."""
        return self.classes_[(self.predict_proba(X)[:, 1] >= 0.5).astype(int)]


def abstention_table(
    design: Design,
    plans: Sequence[ModelPlan],
    outputs: Sequence[FoldOutput],
    *,
    level: float,
    confidence: float,
) -> pl.DataFrame:
    """Return how often each model decides at error levels, and how often it is right then.

    Parameters
    ----------
    design : Design
        Binary outcome.
    plans : sequence of ModelPlan
        The models.
    outputs : sequence of FoldOutput
        With conformal p-values of both classes for the test rows.
    level : float
        Error level that was asked for.
    confidence : float
        Level of the intervals, by patient.

    Returns
    -------
    polars.DataFrame
        ``model, level, covered, covered_low, covered_high, covered_negative, covered_positive,
        decided, right, right_low, right_high, right_positive, right_negative``: share of patients
        whose set holds the true class; share decided; share of those that is right, and by what
        was decided. NaN where nobody is decided.

    Notes
    -----
    Calibration scores are those that inner folds held out, so that thresholds come from training
    rows alone. The model that is tested has seen all of these, which the proof of coverage does
    not allow for; `verification/abstain.py` shows what that costs.
    """
    levels = sorted({*LEVELS, level})
    y = design.target > 0.5
    rows = []
    for plan in plans:
        used = [item for item in outputs if np.isfinite(item.models[plan.name].p_class).all()]
        if not plan.blocks or len(used) < len(outputs):
            continue
        for alpha in levels:
            inside, right, decided, yes = (np.zeros((2, design.n)) for _ in range(4))
            for item in used:
                p = item.models[plan.name].p_class
                truth = y[item.test]
                call = decisions(p, alpha)
                ok = p[np.arange(len(truth)), truth.astype(int)] > alpha
                for value, kept in (
                    (inside, ok), (decided, call >= 0), (yes, call == 1),
                    (right, (call >= 0) & (call == truth)),
                ):  # fmt: skip
                    value[0][item.test] += kept
                    value[1][item.test] += 1
            share = [np.where(v[1] > 0, v[0] / np.maximum(v[1], 1), 0.0)
                     for v in (inside, decided, right, yes)]  # fmt: skip
            rows.append(
                (plan.name, alpha, *_row(y, design.patients, *share, confidence=confidence))
            )
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


_SCHEMA = {"model": pl.String} | dict.fromkeys(
    ("level", "covered", "covered_low", "covered_high", "covered_negative", "covered_positive",
     "decided", "right", "right_low", "right_high", "right_positive", "right_negative"),
    pl.Float64,
)  # fmt: skip


def _row(  # noqa: PLR0917
    y: NDArray[np.bool_],
    patients: NDArray[np.int64],
    inside: FloatArray,
    decided: FloatArray,
    right: FloatArray,
    yes: FloatArray,
    *,
    confidence: float,
) -> tuple[float, ...]:
    ones = np.ones(len(y))
    covered = _share(inside, ones, patients, confidence)
    good = _share(right, decided, patients, confidence)
    positive = np.where(y, right, 0.0).sum() / yes.sum() if yes.sum() > 0 else np.nan
    no = decided.sum() - yes.sum()
    negative = np.where(~y, right, 0.0).sum() / no if no > 1e-9 else np.nan
    by_class = [inside[y == level].mean() for level in (False, True)]
    return (*covered, *map(float, by_class), float(decided.mean()), *good,
            float(positive), float(negative))  # fmt: skip


def _share(
    hits: FloatArray, weight: FloatArray, patients: NDArray[np.int64], confidence: float
) -> tuple[float, float, float]:
    """Return a ratio of sums over patients and its Wilson interval, by the patients it rests on."""
    total = weight.sum()
    if total <= 1e-9:
        return (float("nan"),) * 3
    p = float(hits.sum() / total)
    sums = np.bincount(patients, weights=weight)
    size = float(sums.sum() ** 2 / (sums**2).sum())
    z = float(ndtri(0.5 + confidence / 2))
    middle = (p + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * np.sqrt(p * (1 - p) / size + z * z / (4 * size**2))
    return p, float(max(middle - half, 0)), float(min(middle + half, 1))
