"""Batches, covariates and subjects that travel with their rows as columns of X."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import InputError, shown

__all__ = ["ColumnTaker", "as_key", "check_lengths", "numeric", "refuse_outcome"]

FloatArray = NDArray[np.float64]
Columns = Sequence[int | str]


class ColumnTaker:
    """Mixin of estimators that take named columns out of X and work on the others."""

    def _take(
        self, X: Any, roles: Mapping[str, Columns], *, reset: bool
    ) -> tuple[FloatArray, dict[str, NDArray[Any]]]:
        """Return the features (n, p), and for each role its columns (n, k).

        Raises
        ------
        InputError
            If a column does not exist, or a feature is missing somewhere.
        """
        wanted = [item for columns in roles.values() for item in columns]
        if hasattr(X, "columns") and wanted:
            names, table = self._frame(X, reset=reset)
            places = [_place_in_frame(item, names) for item in wanted]
        else:
            table = validate_data(self, X, reset=reset, dtype=np.float64)
            places = [_place_in_array(item, table.shape[1]) for item in wanted]
        if reset:
            self._taken_ = tuple(places)
        taken, start = {}, 0
        for role, columns in roles.items():
            at = places[start : start + len(columns)]
            taken[role] = table[:, at]
            start += len(columns)
        rest = [j for j in range(table.shape[1]) if j not in set(places)]
        values = np.asarray(table[:, rest], dtype=np.float64)
        if not np.isfinite(values).all():
            raise InputError("X contains NaN or infinity; impute before harmonising.")
        return values, taken

    def _frame(self, X: Any, *, reset: bool) -> tuple[list[Any], NDArray[Any]]:
        names = list(X.columns)
        texts = [str(item) for item in names]
        if reset:
            self.feature_names_in_ = np.array(texts, dtype=object)
            self.n_features_in_ = len(texts)
        elif texts != [str(item) for item in self.feature_names_in_]:
            raise InputError("The columns of X differ from those of the training rows.")
        columns = [np.asarray(X[name]) for name in names]
        table = np.empty((len(X), len(names)), dtype=object)
        for j, column in enumerate(columns):
            table[:, j] = column
        return names, table

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns that remain.

        Parameters
        ----------
        input_features : sequence of str or None
            Names of the columns of X; None = those of the training frame, or x0, x1 ….

        Returns
        -------
        ndarray of object (n_features,)
            Without the columns that were taken out.
        """
        check_is_fitted(self)
        if input_features is not None:
            names = [str(item) for item in input_features]
        elif hasattr(self, "feature_names_in_"):
            names = [str(item) for item in self.feature_names_in_]
        else:
            names = [f"x{j}" for j in range(self.n_features_in_)]
        taken = set(self._taken_)
        return np.array([n for j, n in enumerate(names) if j not in taken], dtype=object)


def _place_in_frame(item: int | str, names: list[Any]) -> int:
    if isinstance(item, int | np.integer) and item not in names:
        return _place_in_array(item, len(names))
    texts = [str(name) for name in names]
    if str(item) not in texts:
        raise InputError(f"X has no column {item!r}; it has {shown(texts)}.")
    return texts.index(str(item))


def _place_in_array(item: int | str, n_columns: int) -> int:
    if not isinstance(item, int | np.integer):
        raise InputError(
            f"Column {item!r} is a name, but X is an array without names: give its position."
        )
    if not -n_columns <= item < n_columns:
        raise InputError(f"Column {item} does not exist: X has {n_columns} columns.")
    return int(item) % n_columns


def as_key(item: Any, what: str = "batch") -> str:
    """Return a batch or subject as text; 1 and 1.0 are the same.

    Raises
    ------
    InputError
        If it is missing.
    """
    if isinstance(item, float | np.floating) and float(item).is_integer():
        return str(int(item))
    if item is None or (isinstance(item, float | np.floating) and np.isnan(item)):
        raise InputError(f"A {what} is missing: every row needs one.")
    return str(item)


def numeric(columns: Any, what: str) -> FloatArray:
    """Return covariates as numbers (n, k).

    Raises
    ------
    InputError
        If one is text or missing.
    """
    try:
        found = np.asarray(columns, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what} must be numbers; expand categories first.") from None
    if not np.isfinite(found).all():
        raise InputError(f"{what} contain NaN or infinity; leave those rows out or impute.")
    return found[:, None] if found.ndim == 1 else found


def check_lengths(n: int, **parts: Any) -> None:
    """Raise where a column has another length than X.

    Raises
    ------
    InputError
        Names the part and both lengths.
    """
    for name, part in parts.items():
        if len(part) != n:
            raise InputError(f"{n} rows of X, but {len(part)} {name}.")


_OUTCOME = (
    "{} is the outcome, or determines it, and cannot be a kept covariate of ComBat: keeping the "
    "outcome writes it into the harmonised values of every row, and pure noise then predicts it. "
    "Keep covariates that are known before the outcome (age, sex)."
)


def refuse_outcome(kept: FloatArray, names: Columns, forbidden: Columns, y: Any) -> None:
    """Raise where a kept covariate is the outcome.

    Raises
    ------
    InputError
        If a covariate is forbidden by name, or its values determine `y` and the reverse.
    """
    clash = [item for item in names if item in set(forbidden)]
    if clash:
        raise InputError(_OUTCOME.format(shown(clash)))
    if y is None or kept.shape[1] == 0:
        return
    outcome = np.asarray(y)
    if outcome.ndim != 1 or len(outcome) != len(kept):
        return
    for j in range(kept.shape[1]):
        if _determines(kept[:, j], outcome):
            raise InputError(_OUTCOME.format(names[j] if j < len(names) else j))


def _determines(covariate: FloatArray, outcome: NDArray[Any]) -> bool:
    levels = np.unique(outcome)
    if len(levels) < 2 or len(np.unique(covariate)) < 2:
        return False
    if len(levels) <= 10:
        pairs = {(a, b) for a, b in zip(covariate.tolist(), outcome.tolist(), strict=True)}
        return len(pairs) == len(levels) == len(np.unique(covariate))
    if outcome.dtype.kind not in "iuf":
        return False
    return bool(abs(np.corrcoef(covariate, outcome.astype(np.float64))[0, 1]) > 1 - 1e-9)
