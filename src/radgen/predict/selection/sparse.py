"""Features by the lasso or the elastic net."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from radgen._core.naming import require_choice
from radgen.errors import FitError, InputError
from radgen.predict.elastic_net import FRACTIONS, elastic_net_path
from radgen.predict.learners import loss
from radgen.predict.selection._target import OutcomeSelector, Target, standard_columns

__all__ = ["SparseSelector"]

FloatArray = NDArray[np.float64]
_KINDS = {"binary": "binary", "continuous": "continuous", "censored": "censored"}


class SparseSelector(OutcomeSelector):
    """Keeps the columns with a coefficient in a lasso or elastic net.

    The penalty is chosen by cross-validation within the training rows.

    Parameters
    ----------
    l1_ratio : float, default 1.0
        1 is the lasso, less the elastic net.
    rule : {"1se", "min"}
        Strongest penalty whose loss is within a standard error of the least, or that of the
        least.
    folds : int, default 5
        Of the cross-validation.
    random_state : int, RandomState or None
        Of the folds.

    Attributes
    ----------
    coef_ : float64 (n_classes or 1, n_features)
        Coefficients of standardised columns at the chosen penalty; of several classes, each
        against the rest.
    fraction_ : float64 (n_classes or 1,)
        Chosen penalty over the smallest that leaves no column in.
    support_ : bool (n_features,)
        Columns with a coefficient; where there is none, the one that enters first.

    Notes
    -----
    It looks at the outcome: use it only inside the folds. Logistic, Cox or linear model, by
    the outcome.

    References
    ----------
    Tibshirani 1996, doi:10.1111/j.2517-6161.1996.tb02080.x. Zou & Hastie 2005,
    doi:10.1111/j.1467-9868.2005.00503.x.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(120, 30))
    >>> y = 2 * x[:, 3] - x[:, 8] + rng.normal(size=120)
    >>> SparseSelector(random_state=0).fit(x, y).get_support(indices=True).tolist()
    [3, 8]
    """

    def __init__(
        self,
        l1_ratio: float = 1.0,
        *,
        rule: Literal["1se", "min"] = "1se",
        folds: int = 5,
        random_state: Any = None,
    ) -> None:
        self.l1_ratio = l1_ratio
        self.rule = rule
        self.folds = folds
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Choose the penalty and keep the columns with a coefficient.

        Parameters
        ----------
        X : array (n_samples, n_features)
            Features, complete.
        y : array (n_samples,) or (n_samples, 2)
            Classes, values, or times and events.

        Returns
        -------
        SparseSelector
            Itself.

        Raises
        ------
        InputError
            If `l1_ratio` is not in (0, 1] or the outcome does not vary.
        """
        require_choice(self.rule, ("1se", "min"), what="rule")
        if not 0 < self.l1_ratio <= 1:
            raise InputError(f"l1_ratio lies above 0 and at most at 1, not at {self.l1_ratio}.")
        values, target = self._read(X, y)
        x = standard_columns(values)
        rng = check_random_state(self.random_state)
        found = [self._one(x, part, kind, rng) for part, kind in _parts(target)]
        self.coef_ = np.stack([item[0] for item in found])
        self.fraction_ = np.array([item[1] for item in found])
        chosen = (self.coef_ != 0).any(axis=0)
        if not chosen.any():
            strongest = np.abs(np.stack([_slope(x, part) for part, _ in _parts(target)]))
            chosen[int(np.argmax(strongest.max(axis=0)))] = True
        self._keep(np.flatnonzero(chosen))
        return self

    def _one(
        self, x: FloatArray, y: FloatArray, kind: str, rng: np.random.RandomState
    ) -> tuple[FloatArray, float]:
        fold = _folds(y, kind, self.folds, rng)
        losses = []
        for k in np.unique(fold):
            train, test = fold != k, fold == k
            path = self._path(x[train], y[train], kind)
            if path is None:
                continue
            eta = x[test] @ path[0].T + path[1]
            if kind == "binary":
                eta = 1 / (1 + np.exp(-eta))
            losses.append([loss(kind, y[test], column) for column in eta.T])
        if not losses:
            return np.zeros(x.shape[1]), 1.0
        table = np.array(losses)
        middle = table.mean(axis=0)
        best = int(np.argmin(middle))
        if self.rule == "1se" and len(table) > 1:
            error = table[:, best].std(ddof=1) / np.sqrt(len(table))
            best = int(np.flatnonzero(middle <= middle[best] + error)[0])
        path = self._path(x, y, kind)
        if path is None:
            return np.zeros(x.shape[1]), 1.0
        return path[0][best], float(FRACTIONS[best])

    def _path(
        self, x: FloatArray, y: FloatArray, kind: str
    ) -> tuple[FloatArray, FloatArray] | None:
        varies = y[:, 1].sum() >= 2 if kind == "censored" else np.ptp(y) > 0
        if not varies:
            return None
        try:
            return elastic_net_path(x, y, kind, fractions=FRACTIONS, l1_ratio=self.l1_ratio)
        except FitError:
            return elastic_net_path(
                x, y - y.mean() if kind == "binary" else y,
                "continuous" if kind == "binary" else kind,
                fractions=FRACTIONS, l1_ratio=self.l1_ratio,
            )  # fmt: skip


def _parts(target: Target) -> list[tuple[FloatArray, str]]:
    if target.kind != "classes":
        return [(target.paired(), _KINDS[target.kind])]
    levels = np.unique(target.values)
    return [((target.values == level).astype(np.float64), "binary") for level in levels]


def _slope(x: FloatArray, y: FloatArray) -> FloatArray:
    if y.ndim == 2:
        y = Target("censored", y[:, 0], y[:, 1] > 0.5).residual
    return np.asarray((y - y.mean()) @ x)


def _folds(y: FloatArray, kind: str, folds: int, rng: np.random.RandomState) -> NDArray[np.int64]:
    n = len(y)
    strata = y[:, 1] if kind == "censored" else y if kind == "binary" else np.zeros(n)
    out = np.empty(n, dtype=np.int64)
    start = 0
    for level in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == level))
        out[rows] = (np.arange(len(rows)) + start) % max(2, min(folds, n))
        start += len(rows)
    return out
