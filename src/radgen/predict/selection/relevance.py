"""Relevance without redundancy (mRMR)."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.predict.selection._target import OutcomeSelector, Target, standard_columns
from radgen.predict.selection.univariate import univariate_tests

__all__ = ["RelevanceSelector"]

FloatArray = NDArray[np.float64]
Codes = NDArray[np.int64]
Scheme = Literal["MID", "MIQ", "FCD", "FCQ"]


class RelevanceSelector(OutcomeSelector):
    """Keeps columns that tell much of the outcome and little of each other (mRMR).

    Columns are taken one by one: the first has the highest relevance; each next one the highest
    relevance less (D), or over (Q), its mean redundancy with those already taken.

    Parameters
    ----------
    k : int, default 20
        Columns to keep.
    scheme : {"MID", "MIQ", "FCD", "FCQ"}
        MI: relevance and redundancy are mutual information of binned values. FC: relevance is
        the F statistic of the outcome (for times and events the square of Cox's score z),
        redundancy the absolute correlation. D: difference, Q: quotient.
    n_bins : int, default 5
        Bins of equal counts, for features and continuous outcomes (MI only).

    Attributes
    ----------
    order_ : int (k,)
        Columns in the order in which they were taken.
    relevance_ : float64 (n_features,)
        Relevance of each column.
    score_ : float64 (k,)
        Score of each column when it was taken; the first has its relevance.
    support_ : bool (n_features,)
        Columns that are kept.

    Notes
    -----
    It looks at the outcome: use it only inside the folds. In the difference scheme F statistics
    and correlations are on different scales and relevance prevails; so it was defined.

    References
    ----------
    Ding & Peng 2005, doi:10.1142/S0219720005001004. Peng et al. 2005,
    doi:10.1109/TPAMI.2005.159.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(100) % 2
    >>> a, b = rng.normal(size=(2, 100)) + 1.2 * y
    >>> x = np.column_stack((a, a + 0.01 * rng.normal(size=100), b, rng.normal(size=100)))
    >>> sorted(RelevanceSelector(2, scheme="FCQ").fit(x, y).order_.tolist())[-1]
    2
    """

    def __init__(self, k: int = 20, *, scheme: Scheme = "FCQ", n_bins: int = 5) -> None:
        self.k = k
        self.scheme = scheme
        self.n_bins = n_bins

    def fit(self, X: Any, y: Any) -> Self:
        """Take columns one by one.

        Parameters
        ----------
        X : array (n_samples, n_features)
            Features, complete.
        y : array (n_samples,) or (n_samples, 2)
            Classes, values, or times and events (FC only).

        Returns
        -------
        RelevanceSelector
            Itself.

        Raises
        ------
        InputError
            If mutual information is asked of a censored outcome, or `n_bins` is below 2.
        """
        require_choice(self.scheme, ("MID", "MIQ", "FCD", "FCQ"), what="scheme")
        if self.n_bins < 2:
            raise InputError(f"n_bins is at least 2, not {self.n_bins}.")
        values, target = self._read(X, y)
        redundancy = _Binned(values, self.n_bins) if self.scheme[:2] == "MI" else _Linear(values)
        self.relevance_ = redundancy.relevance(target)
        self._take(redundancy, min(max(int(self.k), 1), values.shape[1]))
        self._keep(self.order_)
        return self

    def _take(self, redundancy: _Binned | _Linear, k: int) -> None:
        p = len(self.relevance_)
        left = np.ones(p, dtype=bool)
        total = np.zeros(p)
        order, scores = [], []
        score = self.relevance_
        for step in range(k):
            best = int(np.argmax(np.where(left, score, -np.inf)))
            order.append(best)
            scores.append(float(score[best]))
            left[best] = False
            total += redundancy.with_column(best)
            mean = total / (step + 1)
            if self.scheme[2] == "D":
                score = self.relevance_ - mean
            else:
                score = self.relevance_ / np.maximum(mean, 1e-3)
        self.order_, self.score_ = np.array(order), np.array(scores)


class _Linear:
    """F statistics and absolute correlations."""

    def __init__(self, values: FloatArray) -> None:
        self.values = standard_columns(values)

    def relevance(self, target: Target) -> FloatArray:
        """Return the F statistic of the outcome, or the squared z of Cox's score."""
        if target.kind == "censored":
            return np.asarray(univariate_tests(self.values, target)[0] ** 2)
        x, n = self.values, len(self.values)
        if target.kind == "continuous":
            y = standard_columns(target.values[:, None])[:, 0]
            r2 = np.minimum((y @ x / n) ** 2, 1 - 1e-12)
            return np.asarray(r2 / (1 - r2) * (n - 2))
        code = target.values.astype(np.int64)
        count = np.bincount(code)
        means = np.stack([x[code == level].mean(axis=0) for level in range(len(count))])
        between = (count[:, None] * means**2).sum(axis=0)
        within = np.maximum((x**2).sum(axis=0) - between, 1e-12 * n)
        return np.asarray(between / (len(count) - 1) / (within / (n - len(count))))

    def with_column(self, j: int) -> FloatArray:
        """Return the absolute correlation of each column with column `j`."""
        return np.abs(self.values[:, j] @ self.values) / len(self.values)


class _Binned:
    """Mutual information of binned values, in nats."""

    def __init__(self, values: FloatArray, n_bins: int) -> None:
        self.n_bins = n_bins
        self.codes = _bins(values, n_bins)
        self.entropy = np.array([_entropy(np.bincount(c)) for c in self.codes.T])

    def relevance(self, target: Target) -> FloatArray:
        """Return the mutual information of each column with the outcome."""
        if target.kind == "censored":
            raise InputError(
                "Mutual information with censored times is not defined here: choose scheme 'FCQ' "
                "or 'FCD'."
            )
        y = target.values.astype(np.int64)
        if target.kind == "continuous":
            y = _bins(target.values[:, None], self.n_bins)[:, 0]
        return self._with(y)

    def with_column(self, j: int) -> FloatArray:
        """Return the mutual information of each column with column `j`."""
        return self._with(self.codes[:, j])

    def _with(self, other: Codes) -> FloatArray:
        wide, p = int(other.max()) + 1, self.codes.shape[1]
        joint = self.codes * wide + other[:, None] + np.arange(p) * self.n_bins * wide
        count = np.bincount(joint.ravel(), minlength=p * self.n_bins * wide)
        both = np.array([_entropy(row) for row in count.reshape(p, -1)])
        return self.entropy + _entropy(np.bincount(other)) - both


def _bins(values: FloatArray, n_bins: int) -> Codes:
    edges = np.quantile(values, np.arange(1, n_bins) / n_bins, axis=0)
    return np.asarray((values[:, :, None] > edges.T[None]).sum(axis=2), dtype=np.int64)


def _entropy(count: NDArray[Any]) -> float:
    share = count[count > 0] / count.sum()
    return float(-(share * np.log(share)).sum())
