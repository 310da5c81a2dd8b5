"""What an outcome is, and the base of selectors that look at one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import InputError
from radgen.stats.cox import RiskSets
from radgen.stats.survival import check_survival

__all__ = ["OutcomeSelector", "Target", "read_target", "standard_columns"]

FloatArray = NDArray[np.float64]
Kind = Literal["binary", "classes", "continuous", "censored"]
_MOST_CLASSES = 10


@dataclass(frozen=True, eq=False)
class Target:
    """An outcome as numbers.

    Attributes
    ----------
    kind : {"binary", "classes", "continuous", "censored"}
    values : float64 (n,)
        Code of the class, the value, or the time.
    event : bool (n,)
        Whether an event happened; all True where there is no censoring.
    """

    kind: Kind
    values: FloatArray
    event: NDArray[np.bool_]

    @property
    def residual(self) -> FloatArray:
        """The outcome given nothing: value minus mean, or the martingale residual."""
        if self.kind == "censored":
            return self.event - self._expected()
        return np.asarray(self.values - self.values.mean())

    def risk_sets(self) -> RiskSets:
        """Return the ordering of times (ties by Breslow)."""
        return RiskSets(self.values, self.event, np.ones(len(self.values)), None, "breslow")

    def _expected(self) -> FloatArray:
        sets = self.risk_sets()
        one = np.ones(len(self.values))
        return sets.per_sample(1 / sets.at_risk(one)[sets.row_time])

    def paired(self) -> FloatArray:
        """Return the outcome as models of `radgen.predict` take it, (n,) or (n, 2)."""
        if self.kind == "censored":
            return np.column_stack((self.values, self.event.astype(np.float64)))
        return self.values


def read_target(y: Any, n: int) -> Target:
    """Return an outcome: classes, values, or times and events.

    Parameters
    ----------
    y : array-like (n,) or (n, 2)
        Text or whole numbers of at most ten levels are classes; two columns are time and event.
    n : int
        Rows of X.

    Raises
    ------
    InputError
        If lengths differ, the outcome is missing somewhere, or does not vary.
    """
    found = np.asarray(y)
    if found.shape[:1] != (n,):
        raise InputError(f"X has {n} rows and y has shape {found.shape}.")
    if found.ndim == 2 and found.shape[1] == 2:
        time, event = check_survival(found[:, 0], found[:, 1])
        if event.sum() < 2:
            raise InputError(f"Only {int(event.sum())} events: nothing can be selected by them.")
        return Target("censored", time, event)
    found = found.ravel()
    everyone = np.ones(n, dtype=bool)
    numbers = found.dtype.kind in "iufb"
    if numbers and not np.isfinite(found.astype(np.float64)).all():
        raise InputError("The outcome y contains NaN or infinity; leave those rows out.")
    levels, code = np.unique(found if numbers else found.astype(str), return_inverse=True)
    if len(levels) < 2:
        raise InputError("The outcome has one class only: it takes the same value in all rows.")
    whole = not numbers or bool((found == np.round(found.astype(np.float64))).all())
    if len(levels) == 2:
        return Target("binary", code.astype(np.float64), everyone)
    if whole and len(levels) <= _MOST_CLASSES:
        return Target("classes", code.astype(np.float64), everyone)
    if not numbers:
        check_classification_targets(found)
        raise InputError(f"The outcome is text of {len(levels)} values: at most {_MOST_CLASSES}.")
    return Target("continuous", found.astype(np.float64), everyone)


def standard_columns(values: FloatArray) -> FloatArray:
    """Return columns of mean 0 and variance 1; constant ones are 0."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    floor = 1e-12 * np.maximum(np.abs(values).max(axis=0, initial=0.0), 1e-300)
    return np.asarray(np.where(spread > floor, centred / np.where(spread > floor, spread, 1), 0.0))


class OutcomeSelector(SelectorMixin, BaseEstimator):
    """Base of selectors by an outcome: reads X and y, keeps `support_`."""

    support_: NDArray[np.bool_]

    def _read(self, X: Any, y: Any) -> tuple[FloatArray, Target]:
        values = validate_data(self, X, dtype=np.float64, ensure_min_samples=3)
        if y is None:
            raise InputError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        return values, read_target(y, len(values))

    def _keep(self, columns: NDArray[Any]) -> None:
        self.support_ = np.zeros(self.n_features_in_, dtype=bool)
        self.support_[np.asarray(columns, dtype=np.int64)] = True

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self, "support_")
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
