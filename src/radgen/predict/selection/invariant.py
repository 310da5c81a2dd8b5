"""Features whose relation to the outcome is the same in all environments."""

from __future__ import annotations

import warnings
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d

from radgen._core.naming import require_choice
from radgen.errors import InputError, RadgenWarning
from radgen.phenotype._batch_columns import ColumnTaker, as_key, check_lengths
from radgen.predict.selection._target import Target, read_target, standard_columns
from radgen.predict.selection.stability import _entries
from radgen.stats.invariance import InvariantSets, anchor_coefficients, invariant_sets

__all__ = ["AnchorRegression", "InvariantSelector", "preselected"]

FloatArray = NDArray[np.float64]


def preselected(values: FloatArray, target: Target, n: int) -> NDArray[np.int64]:
    """Return the `n` columns that enter the lasso first, in column order.

    Parameters
    ----------
    values : float64 (n_samples, p)
        Features.
    target : Target
        The outcome.
    n : int
        Columns wanted; all where there are no more.
    """
    if values.shape[1] <= n:
        return np.arange(values.shape[1])
    found = _entries(standard_columns(values), target.residual, n)
    return np.array(sorted(found), dtype=np.int64)


def _rows(
    estimator: Any, X: Any, environments: Any, *, reset: bool
) -> tuple[FloatArray, NDArray[Any]]:
    column = estimator.environment_column
    roles = {"environment": () if column is None else (column,)}
    values, taken = estimator._take(X, roles, reset=reset)
    found = taken["environment"][:, 0] if environments is None and column is not None else None
    if environments is not None:
        found = np.asarray(environments, dtype=object).ravel()
    if found is None:
        found = np.full(len(values), "all", dtype=object)
    check_lengths(len(values), environments=found)
    return values, np.array([as_key(item, "environment") for item in found.tolist()])


class InvariantSelector(ColumnTaker, TransformerMixin, BaseEstimator):
    """Keeps the columns that invariant causal prediction finds over environments.

    Parameters
    ----------
    environment_column : int, str or None
        Column of X that holds the environment (site, scanner); it is taken out. None =
        `environments` are passed to fit.
    alpha : float, default 0.05
        Level at which sets of columns are rejected.
    max_candidates : int, default 8
        Columns that enter the lasso first are candidates; every set of them is tested.
    keep : {"best", "parents"}
        The accepted set of the highest p-value, or the columns common to all accepted sets
        (often too few to predict well).

    Attributes
    ----------
    candidates_ : int (n_candidates,)
        Columns of which sets were tested.
    sets_ : InvariantSets
        Sets, p-values, intervals; columns are places in `candidates_`.
    support_ : bool (n_features,)
        Columns that are kept. Where no column is common to the accepted sets these are the set of
        the highest p-value; where that is empty, or every set is rejected, the candidate that
        enters the lasso first.

    Notes
    -----
    It looks at the outcome: use it only inside the folds, and put whole environments into
    folds. With few environments or weak shifts many sets are accepted and hardly a column is
    common to them: few columns are then the honest answer. Gains in prediction elsewhere are
    small and unstable in published studies; see `radgen.predict.leave_environment_out`.

    References
    ----------
    Peters, Bühlmann & Meinshausen 2016, doi:10.1111/rssb.12167.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat([0, 1], 200)
    >>> cause = rng.normal(size=400) * (1 + site)
    >>> y = cause + rng.normal(size=400)
    >>> x = np.column_stack((y + rng.normal(size=400) + 2 * site, cause))
    >>> InvariantSelector().fit(x, y, environments=site).support_.tolist()
    [False, True]
    """

    def __init__(
        self,
        environment_column: int | str | None = None,
        *,
        alpha: float = 0.05,
        max_candidates: int = 8,
        keep: Literal["best", "parents"] = "best",
    ) -> None:
        self.environment_column = environment_column
        self.alpha = alpha
        self.max_candidates = max_candidates
        self.keep = keep

    def fit(self, X: Any, y: Any, *, environments: Any = None) -> Self:
        """Test sets of columns for invariance.

        Parameters
        ----------
        X : array or data frame (n_samples, n_columns)
            Features, and the environment where it is a column.
        y : array (n_samples,)
            Values, or two classes.
        environments : array (n_samples,) or None
            Environment of each row, where X does not hold it.

        Returns
        -------
        InvariantSelector
            Itself.

        Raises
        ------
        InputError
            If the outcome has several classes or times, or an environment has fewer than
            three rows.
        """
        require_choice(self.keep, ("parents", "best"), what="choice")
        values, place = _rows(self, X, environments, reset=True)
        if y is None:
            raise InputError("InvariantSelector requires y to be passed, but the target y is None.")
        target = read_target(y, len(values))
        if target.kind == "classes":
            target = Target("continuous", target.values, target.event)
        if target.kind == "censored":
            raise InputError(
                "Invariance is tested for values or two classes, not for times and events."
            )
        limit = max(1, min(int(self.max_candidates), 15))
        self.candidates_ = preselected(values, target, limit)
        self.support_ = np.zeros(values.shape[1], dtype=bool)
        self.support_[self._chosen(values, target, place)] = True
        return self

    def _chosen(self, values: FloatArray, target: Target, place: NDArray[Any]) -> NDArray[Any]:
        x = values[:, self.candidates_]
        self.sets_: InvariantSets | None = None
        if len(np.unique(place)) < 2:
            warnings.warn(
                "One environment only: nothing can be told about invariance.",
                RadgenWarning,
                stacklevel=3,
            )
        else:
            kind = "logistic" if target.kind == "binary" else "linear"
            self.sets_ = invariant_sets(target.values, x, place, alpha=self.alpha, kind=kind)
        if self.sets_ is not None and self.sets_.parents and self.keep == "parents":
            return self.candidates_[list(self.sets_.parents)]
        if self.sets_ is not None and self.sets_.accepted:
            best = self.sets_.sets[int(np.argmax(self.sets_.p))]
            if best:
                return self.candidates_[list(best)]
        first = _entries(standard_columns(x), target.residual, 1)
        return self.candidates_[first[:1] or [0]]

    def get_support(self, indices: bool = False) -> NDArray[Any]:
        """Return which features are kept, bool (n_features,), or their positions."""
        check_is_fitted(self, "support_")
        return np.flatnonzero(self.support_) if indices else self.support_

    def transform(self, X: Any) -> FloatArray:
        """Return the columns that are kept, float64 (n_samples, n_kept)."""
        check_is_fitted(self, "support_")
        values, _ = _rows(self, X, None, reset=False)
        return values[:, self.support_]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns that are kept.

        Parameters
        ----------
        input_features : sequence of str or None
            Names of the columns of X.

        Returns
        -------
        ndarray of object (n_kept,)
            Names.
        """
        return np.asarray(super().get_feature_names_out(input_features)[self.support_])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class AnchorRegression(ColumnTaker, RegressorMixin, BaseEstimator):
    """Linear regression that is protected against shifts between environments.

    Parameters
    ----------
    environment_column : int, str or None
        Column of X that holds the environment; it is taken out. None = `environments` are
        passed to fit.
    gamma : float, default 4.0
        1 is least squares; larger values protect against larger shifts along the
        environments, towards two-stage least squares; 0 takes the environments' part out.
    penalty : float, default 0.0
        Ridge penalty a row, on standardised columns.

    Attributes
    ----------
    coef_ : float64 (n_features,)
        Effects.
    intercept_ : float
        Mean of the training outcome given the effects.

    Notes
    -----
    For shifts that lie within the span of those seen, and are sqrt(gamma) times as large, the
    worst-case squared error is least (Rothenhäusler et al., theorem 1). Of 0/1 outcomes the
    prediction is a score, not a probability.

    References
    ----------
    Rothenhäusler et al. 2021, doi:10.1111/rssb.12398.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat([0, 1, 2], 300)
    >>> hidden = rng.normal(size=900)
    >>> x = (site - 1) + hidden + rng.normal(size=900)
    >>> y = 2 * x + 3 * hidden + rng.normal(size=900)
    >>> model = AnchorRegression(gamma=1e6).fit(x[:, None], y, environments=site)
    >>> model.coef_.round(1).tolist()
    [2.0]
    """

    def __init__(
        self,
        environment_column: int | str | None = None,
        *,
        gamma: float = 4.0,
        penalty: float = 0.0,
    ) -> None:
        self.environment_column = environment_column
        self.gamma = gamma
        self.penalty = penalty

    def fit(self, X: Any, y: Any, *, environments: Any = None) -> Self:
        """Fit the effects.

        Parameters
        ----------
        X : array or data frame (n_samples, n_columns)
            Features, and the environment where it is a column.
        y : array (n_samples,)
            Numbers.
        environments : array (n_samples,) or None
            Environment of each row; without any this is ridge regression.

        Returns
        -------
        AnchorRegression
            Itself.

        Raises
        ------
        InputError
            If gamma or the penalty is negative, or the outcome is missing somewhere.
        """
        values, place = _rows(self, X, environments, reset=True)
        if y is None:
            raise InputError("AnchorRegression requires y to be passed, but the target y is None.")
        target = np.asarray(column_or_1d(y, warn=True), dtype=np.float64)
        check_lengths(len(values), outcomes=target)
        if not np.isfinite(target).all():
            raise InputError("The outcome y contains NaN or infinity; leave those rows out.")
        spread = values.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        beta, self.intercept_ = anchor_coefficients(
            target, values / spread, place, gamma=self.gamma, penalty=self.penalty
        )
        self.coef_ = beta / spread
        return self

    def predict(self, X: Any) -> FloatArray:
        """Return predictions, float64 (n_samples,)."""
        check_is_fitted(self, "coef_")
        values, _ = _rows(self, X, None, reset=False)
        return np.asarray(values @ self.coef_ + self.intercept_)
