"""ComBat for several batch variables: one after another, in the order that works best."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from radgen._core.naming import require_choice
from radgen.errors import InputError, RadgenWarning
from radgen.phenotype._batch_columns import (
    ColumnTaker,
    as_key,
    check_lengths,
    numeric,
    refuse_outcome,
)
from radgen.phenotype._two_groups import find_two_groups
from radgen.phenotype.harmonise import ComBat, Unseen, _Rows
from radgen.stats.ksample import anderson_columns

__all__ = ["NestedComBat"]

FloatArray = NDArray[np.float64]
_MOST = 5
_LEVEL = 0.05


class NestedComBat(ColumnTaker, TransformerMixin, BaseEstimator):
    """Removal of the effects of several batch variables (maker, kernel, contrast …).

    One ComBat removes one variable, the next works on what it leaves. The order matters; by
    default every order is tried on the training rows, and that one is kept after which the
    fewest features differ in distribution between the levels of the variables.

    Parameters
    ----------
    batch_columns : sequence of int or str
        Columns of X that hold the batch variables. Empty = `batch` is passed to fit and transform.
    covariate_columns, smooth_columns, parametric, eb, mean_only, unseen, tied
        As in `ComBat`, for every step.
    order : {"best", "given"}
        Whether orders are compared (at most five variables), or the variables are taken as given.
    groups : {"none", "remove", "keep"}
        Hidden groups of samples, found as two modes of the feature that shows them best: not
        looked for; removed as one more batch variable; or kept as a covariate.
    forbidden, tolerance, max_steps
        As in `ComBat`.

    Attributes
    ----------
    order_ : tuple of int
        Positions of the variables, as they are removed; hidden groups come last.
    differing_ : mapping of order to int
        Features times variables that differ (Anderson–Darling, 5 %) after each order tried.
    differing_before_ : int
        The same before harmonisation.
    steps_ : tuple of ComBat
        Fitted, in `order_`.
    groups_ : TwoGroups or None
        The hidden groups, where wanted and found.
    n_features_in_ : int
        Columns of X.

    Notes
    -----
    Variables are not removed jointly: where two of them nearly coincide, the second step can
    bring back what the first removed, and the count of differing features shows it. A kept
    hidden group can be the biology: look at `groups_` before removing it.

    References
    ----------
    Horng et al. 2022, doi:10.1038/s41598-022-08412-9 and doi:10.1038/s41598-022-23328-0. There
    the groups come from the feature of the least Akaike criterion, which depends on its unit;
    here from that of the largest gain over one normal distribution.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> maker, kernel = rng.integers(0, 2, size=(2, 120))
    >>> values = rng.normal(size=(120, 10)) + maker[:, None] - 2 * kernel[:, None]
    >>> model = NestedComBat(eb=False).fit(values, batch=np.column_stack((maker, kernel)))
    >>> model.differing_before_, model.differing_[model.order_]
    (17, 0)
    """

    def __init__(
        self,
        batch_columns: Sequence[int | str] = (),
        *,
        covariate_columns: Sequence[int | str] = (),
        smooth_columns: Sequence[int | str] = (),
        parametric: bool = True,
        eb: bool = True,
        mean_only: bool = False,
        unseen: Unseen = "refuse",
        tied: Literal["move", "leave"] = "move",
        order: Literal["best", "given"] = "best",
        groups: Literal["none", "remove", "keep"] = "none",
        forbidden: Sequence[int | str] = (),
        tolerance: float = 1e-4,
        max_steps: int = 10000,
    ) -> None:
        self.batch_columns = batch_columns
        self.covariate_columns = covariate_columns
        self.smooth_columns = smooth_columns
        self.parametric = parametric
        self.eb = eb
        self.mean_only = mean_only
        self.unseen = unseen
        self.tied = tied
        self.order = order
        self.groups = groups
        self.forbidden = forbidden
        self.tolerance = tolerance
        self.max_steps = max_steps

    def fit(self, X: Any, y: Any = None, *, batch: Any = None, covariates: Any = None) -> Self:
        """Learn the steps and their order from the training rows.

        Parameters
        ----------
        X : array or data frame (n_samples, n_columns)
            Features, and the batch and covariate columns where those are named.
        y : array (n_samples,) or None
            Only compared with the covariates, to refuse an outcome among them.
        batch : array (n_samples, n_variables) or None
            The batch variables, where X does not hold them.
        covariates : array (n_samples, n_covariates) or None
            Covariates to keep, where X does not hold them.

        Returns
        -------
        NestedComBat
            Itself.

        Raises
        ------
        InputError
            As `ComBat`, or if more than five variables are to be ordered.
        FitError
            If a variable and covariates are confounded.
        """
        require_choice(self.order, ("best", "given"), what="order")
        require_choice(self.groups, ("none", "remove", "keep"), what="use of hidden groups")
        self.n_extra_ = 0 if covariates is None else numeric(covariates, "Covariates").shape[1]
        values, table, kept, smooth = self._split(X, batch, covariates, reset=True)
        names = [*self.covariate_columns, *self.smooth_columns]
        refuse_outcome(np.hstack((kept, smooth)), names, self.forbidden, y)
        self.covariate_mean_ = kept.mean(axis=0)
        self.groups_ = None if self.groups == "none" else find_two_groups(values)
        if self.groups != "none" and self.groups_ is None:
            warnings.warn(
                "No feature has two modes: there are no hidden groups to "
                + ("remove." if self.groups == "remove" else "keep."),
                RadgenWarning,
                stacklevel=2,
            )
        rows = _Rows(values, [], *self._with_groups(values, kept, smooth))
        table = self._with_group_column(values, table)
        self._choose(rows, table)
        return self

    def _choose(self, rows: _Rows, table: NDArray[Any]) -> None:
        count = table.shape[1]
        if self.order == "best" and count > _MOST:
            raise InputError(
                f"{count} batch variables have {count}! orders. Leave out those that matter least, "
                f"to {_MOST} or fewer, or set order='given'."
            )
        self.differing_before_ = _differing(rows.values, table)
        self.differing_: dict[tuple[int, ...], int] = {}
        best: tuple[int, tuple[int, ...], tuple[ComBat, ...]] | None = None
        orders = permutations(range(count)) if self.order == "best" else [tuple(range(count))]
        for order, steps, flat in self._sequences(rows, table, list(orders)):
            self.differing_[order] = _differing(flat, table)
            if best is None or self.differing_[order] < best[0]:
                best = self.differing_[order], order, steps
        assert best is not None
        _, self.order_, self.steps_ = best

    def _sequences(
        self, rows: _Rows, table: NDArray[Any], orders: list[tuple[int, ...]]
    ) -> Iterator[tuple[tuple[int, ...], tuple[ComBat, ...], FloatArray]]:
        """Yield each order with its steps and the harmonised values; common beginnings once."""
        known: dict[tuple[int, ...], tuple[tuple[ComBat, ...], FloatArray]] = {
            (): ((), rows.values)
        }
        for order in orders:
            for length in range(1, len(order) + 1):
                head = order[:length]
                if head in known:
                    continue
                steps, values = known[head[:-1]]
                part = _Rows(values, table[:, head[-1]].tolist(), rows.kept, rows.smooth)
                step = self._step()
                step._learn(part)
                known[head] = (*steps, step), step._remove(part)
            yield (order, *known[order])

    def _step(self) -> ComBat:
        return ComBat(
            parametric=self.parametric,
            eb=self.eb,
            mean_only=self.mean_only,
            unseen=self.unseen,
            tied=self.tied,
            tolerance=self.tolerance,
            max_steps=self.max_steps,
        )

    def transform(self, X: Any, *, batch: Any = None, covariates: Any = None) -> FloatArray:
        """Return the features with the effects of all batch variables removed.

        Parameters
        ----------
        X, batch, covariates
            As in `fit`; covariates that were passed to fit and are not passed here are taken
            at their training mean.

        Returns
        -------
        float64 (n_samples, n_features)
            Without the batch and covariate columns.

        Raises
        ------
        InputError
            If a level was not in the training rows and `unseen` is "refuse".
        """
        check_is_fitted(self, "steps_")
        values, table, kept, smooth = self._split(X, batch, covariates, reset=False)
        table = self._with_group_column(values, table)
        kept, smooth = self._with_groups(values, kept, smooth)
        for place, step in zip(self.order_, self.steps_, strict=True):
            values = step._remove(_Rows(values, table[:, place].tolist(), kept, smooth))
        return values

    def _with_groups(
        self, values: FloatArray, kept: FloatArray, smooth: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        if self.groups == "keep" and self.groups_ is not None:
            kept = np.column_stack((kept, self.groups_.label(values)))
        return kept, smooth

    def _with_group_column(self, values: FloatArray, table: NDArray[Any]) -> NDArray[Any]:
        if self.groups != "remove" or self.groups_ is None:
            return table
        column = self.groups_.label(values).astype(str).astype(object)
        return np.column_stack((table, column))

    def _split(
        self, X: Any, batch: Any, covariates: Any, *, reset: bool
    ) -> tuple[FloatArray, NDArray[Any], FloatArray, FloatArray]:
        roles = {
            "batch": tuple(self.batch_columns),
            "kept": tuple(self.covariate_columns),
            "smooth": tuple(self.smooth_columns),
        }
        values, taken = self._take(X, roles, reset=reset)
        n = len(values)
        found = taken["batch"] if roles["batch"] else None
        if batch is not None:
            found = np.asarray(batch, dtype=object)
            found = found[:, None] if found.ndim == 1 else found
        if found is None:
            found = np.full((n, 1), "all", dtype=object)
        check_lengths(n, batches=found)
        table = np.array([[as_key(item) for item in row] for row in found.tolist()], dtype=object)
        if not reset and table.shape[1] != len(self.steps_) - self._n_groups():
            raise InputError(
                f"{len(self.steps_) - self._n_groups()} batch variables were removed in fit; "
                f"transform was given {table.shape[1]}."
            )
        kept = numeric(taken["kept"].reshape(n, -1), "Kept covariates")
        if covariates is not None:
            check_lengths(n, covariates=covariates)
            kept = np.hstack((kept, numeric(covariates, "Kept covariates")))
        elif not reset and self.n_extra_:
            mean = self.covariate_mean_[len(self.covariate_columns) :]
            kept = np.hstack((kept, np.tile(mean, (n, 1))))
        return values, table, kept, numeric(taken["smooth"].reshape(n, -1), "Covariates")

    def _n_groups(self) -> int:
        return int(self.groups == "remove" and self.groups_ is not None)


def _differing(values: FloatArray, table: NDArray[Any]) -> int:
    if len(values) < 4:
        return 0
    return sum(
        int(anderson_columns(values, column.astype(str)).differs(_LEVEL).sum())
        for column in table.T
        if len(set(column.tolist())) > 1
    )
