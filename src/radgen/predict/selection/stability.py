"""Features that are selected again and again in halves of the data."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.predict.selection._target import OutcomeSelector, Target, standard_columns

__all__ = ["StabilitySelector", "stability_bound"]

FloatArray = NDArray[np.float64]
Bound = Literal["unimodal", "meinshausen-buhlmann"]


class StabilitySelector(OutcomeSelector):
    """Keeps columns that enter the lasso early in most halves of the training rows.

    The rows are split into two halves `n_pairs` times. In each half the first q columns that
    enter the lasso count as selected; columns whose share of selections reaches `threshold` are
    kept. The expected number of false ones has a bound, from which q follows.

    Parameters
    ----------
    max_errors : float, default 1.0
        Bound of the expected number of columns kept by error; gives q.
    threshold : float, default 0.75
        Share of halves in which a column must be selected; above 0.5.
    n_pairs : int, default 50
        Pairs of halves.
    q : int or None
        Columns selected in each half; None = the most that `max_errors` allows.
    bound : {"unimodal", "meinshausen-buhlmann"}
        Which bound sets q.
    random_state : int, RandomState or None
        Of the halves.

    Attributes
    ----------
    frequency_ : float64 (n_features,)
        Share of halves in which a column was selected.
    q_ : int
        Columns selected in each half.
    error_bound_ : float
        Bound of the expected number of errors at q_ and `threshold`.
    stable_ : bool (n_features,)
        Columns that reach the threshold.
    support_ : bool (n_features,)
        These; where there is none, the column of the highest frequency, so that a model can
        follow.

    Notes
    -----
    It looks at the outcome: use it only inside the folds. The lasso is that of the linear model
    of the outcome's residual (martingale residual of times and events), in which all entries
    can be followed exactly; of several classes, each against the rest, in turn.

    An error of the Meinshausen-Bühlmann bound is a column unrelated to the outcome, assumed
    exchangeable with the other such columns. An error of the unimodal bound is a column that is
    selected in a half with probability q / p or less, without further assumption on the columns,
    but on the shape of the distribution of frequencies.

    References
    ----------
    Meinshausen & Bühlmann 2010, doi:10.1111/j.1467-9868.2010.00740.x, theorem 1. Shah & Samworth
    2013, doi:10.1111/j.1467-9868.2011.01034.x, theorem 2.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(150, 100))
    >>> y = x[:, 3] - x[:, 8] + rng.normal(size=150)
    >>> model = StabilitySelector(random_state=0).fit(x, y)
    >>> model.get_support(indices=True).tolist(), model.q_
    ([3, 8], 9)
    """

    def __init__(
        self,
        max_errors: float = 1.0,
        *,
        threshold: float = 0.75,
        n_pairs: int = 50,
        q: int | None = None,
        bound: Bound = "unimodal",
        random_state: Any = None,
    ) -> None:
        self.max_errors = max_errors
        self.threshold = threshold
        self.n_pairs = n_pairs
        self.q = q
        self.bound = bound
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Count selections in halves of the rows.

        Parameters
        ----------
        X : array (n_samples, n_features)
            Features, complete.
        y : array (n_samples,) or (n_samples, 2)
            Classes, values, or times and events.

        Returns
        -------
        StabilitySelector
            Itself.

        Raises
        ------
        InputError
            If the threshold is not above 0.5, or no q keeps the bound.
        """
        require_choice(self.bound, ("unimodal", "meinshausen-buhlmann"), what="bound")
        values, target = self._read(X, y)
        p = values.shape[1]
        if self.n_pairs < 1:
            raise InputError(f"n_pairs is at least 1, not {self.n_pairs}.")
        self.q_ = self._columns_a_half(p)
        self.error_bound_ = stability_bound(
            self.q_, p, self.threshold, n_pairs=self.n_pairs, bound=self.bound
        )
        rng = check_random_state(self.random_state)
        count = np.zeros(p)
        half = len(values) // 2
        for _ in range(self.n_pairs):
            order = rng.permutation(len(values))
            for rows in (order[:half], order[half : 2 * half]):
                count[_first(values[rows], _part(target, rows), self.q_)] += 1
        self.frequency_ = count / (2 * self.n_pairs)
        self.stable_ = self.frequency_ >= self.threshold - 1e-12
        kept = np.flatnonzero(self.stable_)
        self._keep(kept if kept.size else np.array([int(np.argmax(self.frequency_))]))
        return self

    def _columns_a_half(self, p: int) -> int:
        if self.q is not None:
            return max(1, min(int(self.q), p))
        best = 0
        for q in range(1, p + 1):
            value = stability_bound(q, p, self.threshold, n_pairs=self.n_pairs, bound=self.bound)
            if not value <= self.max_errors:
                break
            best = q
        return max(best, 1)


def stability_bound(
    q: int, p: int, threshold: float, *, n_pairs: int = 50, bound: Bound = "unimodal"
) -> float:
    """Return the bound of the expected number of columns kept by error.

    Parameters
    ----------
    q : int
        Columns selected in each half.
    p : int
        Columns.
    threshold : float
        Share of halves that is needed.
    n_pairs : int, default 50
        Pairs of halves.
    bound : {"unimodal", "meinshausen-buhlmann"}
        See `StabilitySelector`.

    Returns
    -------
    float
        inf where the unimodal bound does not hold (q is too large for this threshold).

    Raises
    ------
    InputError
        If the threshold is not above 0.5.

    Examples
    --------
    >>> round(stability_bound(9, 100, 0.75), 3), round(stability_bound(9, 100, 0.9), 3)
    (0.827, 0.349)
    """
    if not 0.5 < threshold <= 1:
        raise InputError(f"The threshold lies above 0.5 and at most at 1, not at {threshold}.")
    if bound == "meinshausen-buhlmann":
        return q**2 / ((2 * threshold - 1) * p)
    share, b = q / p, n_pairs
    if threshold <= 0.5 + min(share**2, 1 / (2 * b) + 0.75 * share**2):
        return float("inf")
    if threshold <= 0.75:
        factor = 1 / (2 * (2 * threshold - 1 - 1 / (2 * b)))
        return factor * share * q if factor > 0 else float("inf")
    return 4 * (1 - threshold + 1 / (2 * b)) / (1 + 1 / b) * share * q


def _part(target: Target, rows: NDArray[Any]) -> Target:
    return Target(target.kind, target.values[rows], target.event[rows])


def _first(values: FloatArray, target: Target, q: int) -> list[int]:
    """Return the first q columns that enter the lasso."""
    x = standard_columns(values)
    if target.kind == "censored" and not target.event.any():
        return []
    if target.kind != "classes":
        return _entries(x, target.residual, q)
    paths = [
        _entries(x, (target.values == level) - (target.values == level).mean(), q)
        for level in np.unique(target.values)
    ]
    found: dict[int, None] = {}
    for place in range(q):
        for path in paths:
            if place < len(path) and len(found) < q:
                found[path[place]] = None
    return list(found)


def _entries(x: FloatArray, residual: FloatArray, q: int) -> list[int]:
    """Return columns in the order in which they enter the lasso, at most q."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lars_path

    usable = np.flatnonzero(x.any(axis=0))
    if not usable.size or not np.any(residual):
        return []
    found: list[int] = []
    steps = q
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            path = lars_path(x[:, usable], residual, method="lasso", max_iter=steps)[2]
        entered = path != 0
        seen = np.flatnonzero(entered.any(axis=1))
        when = np.argmax(entered[seen], axis=1)
        found = usable[seen[np.lexsort((seen, when))]].tolist()
        if len(found) >= q or path.shape[1] <= steps or steps >= 4 * q:
            return found[:q]
        steps *= 2
