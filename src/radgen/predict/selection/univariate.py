"""Features by their own association with the outcome, corrected for looking at many."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, stdtr

from radgen._core.naming import require_choice
from radgen.predict.selection._target import OutcomeSelector, Target
from radgen.stats import multiplicity

__all__ = ["UnivariateSelector", "univariate_tests"]

FloatArray = NDArray[np.float64]
Adjust = Literal["bh", "by", "holm", "bonferroni", "none"]


class UnivariateSelector(OutcomeSelector):
    """Keeps the columns most associated with the outcome in the training rows.

    Parameters
    ----------
    k : int, default 20
        At most so many columns are kept.
    alpha : float or None
        Only columns whose adjusted p-value is at most this; None = no limit. The best column
        is kept in any case, so that a model can follow.
    adjust : {"bh", "by", "holm", "bonferroni", "none"}
        Correction of p-values over the columns of the training rows.

    Attributes
    ----------
    statistic_ : float64 (n_features,)
        |AUC - 0.5| for two classes, Kruskal-Wallis H for several, |Pearson correlation| for a
        continuous outcome, |z| of Cox's score at 0 for times and events (n, 2).
    p_values_, adjusted_ : float64 (n_features,)
        Two-sided p-values of the tests that go with these statistics, before and after
        correction.
    support_ : bool (n_features,)
        Columns that are kept.

    Notes
    -----
    It looks at the outcome: used before the split it makes noise predict. Use it only inside
    the folds. p-values are asymptotic.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(80, 50)), np.arange(80) % 2
    >>> x[:, 7] += 2 * y
    >>> UnivariateSelector(alpha=0.05).fit(x, y).get_support(indices=True).tolist()
    [7]
    """

    def __init__(self, k: int = 20, *, alpha: float | None = None, adjust: Adjust = "bh") -> None:
        self.k = k
        self.alpha = alpha
        self.adjust = adjust

    def fit(self, X: Any, y: Any) -> Self:
        """Rank the columns by their association with y.

        Parameters
        ----------
        X : array (n_samples, n_features)
            Features, complete.
        y : array (n_samples,) or (n_samples, 2)
            Classes, values, or times and events.

        Returns
        -------
        UnivariateSelector
            Itself.

        Raises
        ------
        InputError
            If the outcome does not vary or does not fit X.
        """
        choices = ("bh", "by", "holm", "bonferroni", "none")
        require_choice(self.adjust, choices, what="correction")
        values, target = self._read(X, y)
        self.statistic_, self.p_values_ = univariate_tests(values, target)
        self.adjusted_ = (
            self.p_values_
            if self.adjust == "none"
            else getattr(multiplicity, self.adjust)(self.p_values_)
        )
        keep = np.lexsort((-self.statistic_, self.p_values_))[: max(int(self.k), 1)]
        if self.alpha is not None:
            fair = np.nan_to_num(self.adjusted_[keep], nan=1.0) <= self.alpha
            keep = keep[fair] if fair.any() else keep[:1]
        self._keep(keep)
        return self


def univariate_tests(values: FloatArray, target: Target) -> tuple[FloatArray, FloatArray]:
    """Return statistics and two-sided p-values of each column; 0 and 1 for a constant one.

    Parameters
    ----------
    values : float64 (n, p)
        Features, complete.
    target : Target
        The outcome.

    Returns
    -------
    statistic, p : float64 (p,)
        See `UnivariateSelector`.
    """
    if target.kind == "censored":
        z = _cox_score(values, target)
        return np.abs(z), 2 * ndtr(-np.abs(z))
    if target.kind == "continuous":
        return _pearson(values, target.values)
    ranks, ties = _mid_ranks(values)
    n = len(values)
    code = target.values.astype(np.int64)
    count = np.bincount(code)
    sums = np.stack([ranks[code == level].sum(axis=0) for level in range(len(count))])
    fair = 1 - ties / (n**3 - n)
    h = 12 / (n * (n + 1)) * ((sums**2) / count[:, None]).sum(axis=0) - 3 * (n + 1)
    h = np.divide(np.maximum(h, 0), fair, out=np.zeros_like(h), where=fair > 1e-12)
    p = chdtrc(len(count) - 1, h)
    if target.kind == "classes":
        return h, p
    area = (sums[1] - count[1] * (count[1] + 1) / 2) / (count[0] * count[1])
    return np.abs(area - 0.5), p


def _pearson(values: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    x, z = values - values.mean(axis=0), y - y.mean()
    size = np.sqrt((x**2).sum(axis=0) * (z**2).sum())
    r = np.divide(z @ x, size, out=np.zeros(values.shape[1]), where=size > 0)
    r = np.clip(r, -1, 1)
    df = len(y) - 2
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(df / (1 - r**2))
    return np.abs(r), 2 * stdtr(df, -t)


def _cox_score(values: FloatArray, target: Target) -> FloatArray:
    sets = target.risk_sets()
    x = values - values.mean(axis=0)
    _, mean = sets.means(x, np.ones(len(x)))
    at_risk = sets.at_risk(np.ones(len(x)))[sets.row_time]
    square = sets.at_risk(x**2)[sets.row_time] / at_risk[:, None]
    score = x[sets.deaths].sum(axis=0) - mean.sum(axis=0)
    information = (square - mean**2).sum(axis=0)
    floor = 1e-12 * np.maximum((x**2).sum(axis=0), 1e-300)
    return np.asarray(
        np.divide(score, np.sqrt(np.maximum(information, 1e-300)),
                  out=np.zeros(x.shape[1]), where=information > floor)
    )  # fmt: skip


def _mid_ranks(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mid-ranks (n, p) and the sum of t^3 - t over runs of ties, (p,)."""
    n = len(values)
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    new = np.ones(values.shape, dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    place = np.arange(n)[:, None]
    begin = np.maximum.accumulate(np.where(new, place, 0), axis=0)
    last = np.ones(values.shape, dtype=bool)
    last[:-1] = new[1:]
    end = np.minimum.accumulate(np.where(last, place + 1, n)[::-1], axis=0)[::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (begin + end + 1) / 2, axis=0)
    width = (end - begin).astype(np.float64)
    return ranks, (width**2 - 1).sum(axis=0)
