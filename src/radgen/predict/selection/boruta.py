"""Features that a forest finds more useful than shuffled copies."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc
from sklearn.utils import check_random_state

from radgen.errors import InputError
from radgen.predict.selection._target import OutcomeSelector, Target
from radgen.stats.multiplicity import bh

__all__ = ["BorutaSelector"]

FloatArray = NDArray[np.float64]
_SHADOWS = 5


class BorutaSelector(OutcomeSelector):
    """Keeps all columns that are relevant to a random forest (Boruta).

    Each column competes with shuffled copies of all columns. In every round a forest is grown
    and a column scores a hit where its importance exceeds that of the best shuffled copy.
    Columns with more hits than a fair coin are confirmed, with fewer they are rejected.

    Parameters
    ----------
    n_trees : int, default 100
        Trees of a forest.
    max_depth : int or None, default 5
        Depth of the trees.
    max_rounds : int, default 60
        Rounds after which undecided columns stay undecided.
    percentile : float, default 100
        Importance of the shuffled copies that must be exceeded; less than 100 is more lenient.
    alpha : float, default 0.05
        Level of the tests, corrected over columns (Benjamini-Hochberg) and rounds (Bonferroni).
    keep_undecided : bool, default False
        Keep undecided columns whose median importance exceeds that of the best copy.
    random_state : int, RandomState or None
        Of shuffles and forests.

    Attributes
    ----------
    decision_ : int (n_features,)
        1 confirmed, -1 rejected, 0 undecided.
    hits_ : int (n_features,)
        Rounds in which the column beat the best copy.
    rounds_ : int
        Rounds done.
    importance_ : float64 (n_features,)
        Median importance over the rounds in which the column was there.
    support_ : bool (n_features,)
        Columns kept; where there is none, the one of the most hits.

    Notes
    -----
    It looks at the outcome: use it only inside the folds; a fit costs up to `max_rounds`
    forests. Times and events enter by their martingale residuals. Correlated columns are kept
    together: this finds all that is relevant, not a small set. Where n is small, one round's
    best copy decides much; look at `hits_`.

    References
    ----------
    Kursa & Rudnicki 2010, doi:10.18637/jss.v036.i11.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> x, y = rng.normal(size=(120, 8)), np.arange(120) % 2
    >>> x[:, 2] += 2 * y
    >>> BorutaSelector(n_trees=30, random_state=0).fit(x, y).get_support(indices=True).tolist()
    [2]
    """

    def __init__(
        self,
        n_trees: int = 100,
        *,
        max_depth: int | None = 5,
        max_rounds: int = 60,
        percentile: float = 100.0,
        alpha: float = 0.05,
        keep_undecided: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_trees = n_trees
        self.max_depth = max_depth
        self.max_rounds = max_rounds
        self.percentile = percentile
        self.alpha = alpha
        self.keep_undecided = keep_undecided
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Let columns compete with shuffled copies.

        Parameters
        ----------
        X : array (n_samples, n_features)
            Features, complete.
        y : array (n_samples,) or (n_samples, 2)
            Classes, values, or times and events.

        Returns
        -------
        BorutaSelector
            Itself.

        Raises
        ------
        InputError
            If the outcome does not vary, or `max_rounds` is below 1.
        """
        if self.max_rounds < 1:
            raise InputError(f"max_rounds is at least 1, not {self.max_rounds}.")
        values, target = self._read(X, y)
        rng = check_random_state(self.random_state)
        p = values.shape[1]
        self.decision_ = np.zeros(p, dtype=np.int64)
        self.hits_ = np.zeros(p, dtype=np.int64)
        seen = np.full((self.max_rounds, p), np.nan)
        best = np.zeros(self.max_rounds)
        self.rounds_ = 0
        while self.rounds_ < self.max_rounds and (self.decision_ == 0).any():
            alive = np.flatnonzero(self.decision_ >= 0)
            own, shadows = self._round(values[:, alive], target, rng)
            limit = float(np.percentile(shadows, self.percentile))
            seen[self.rounds_, alive], best[self.rounds_] = own, limit
            self.hits_[alive] += own > limit
            self.rounds_ += 1
            self._decide()
        self.importance_ = np.array(
            [np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in seen.T]
        )
        keep = self.decision_ == 1
        if self.keep_undecided:
            keep |= (self.decision_ == 0) & (self.importance_ > np.median(best[: self.rounds_]))
        if not keep.any():
            keep[int(np.lexsort((-self.importance_, -self.hits_))[0])] = True
        self._keep(np.flatnonzero(keep))
        return self

    def _round(
        self, values: FloatArray, target: Target, rng: np.random.RandomState
    ) -> tuple[FloatArray, FloatArray]:
        """Return importances of the columns and of their shuffled copies."""
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        copies = values
        while copies.shape[1] < _SHADOWS:
            copies = np.hstack((copies, values))
        copies = np.column_stack([rng.permutation(column) for column in copies.T])
        settings = {
            "n_estimators": self.n_trees,
            "max_depth": self.max_depth,
            "random_state": rng.randint(2**31 - 1),
            "n_jobs": 1,
        }
        both = np.hstack((values, copies))
        if target.kind in ("binary", "classes"):
            model = RandomForestClassifier(class_weight="balanced", **settings)
            model.fit(both, target.values)
        else:
            model = RandomForestRegressor(max_features="sqrt", **settings)
            model.fit(both, target.residual)
        found = model.feature_importances_
        return found[: values.shape[1]], found[values.shape[1] :]

    def _decide(self) -> None:
        n, level = self.rounds_, self.alpha / self.rounds_
        open_ = self.decision_ == 0
        alive = np.flatnonzero(self.decision_ >= 0)
        hits = self.hits_[alive].astype(np.float64)
        more = np.where(hits > 0, bdtrc(hits - 1, n, 0.5), 1.0)
        fewer = bdtr(hits, n, 0.5)
        for p, verdict in ((more, 1), (fewer, -1)):
            sure = (bh(p) <= self.alpha) & (p <= level)
            changed = alive[sure & open_[alive]]
            self.decision_[changed] = verdict
