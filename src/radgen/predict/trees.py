"""Trees for any outcome: forests and boosting that are plain numbers once fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from radgen._core.rng import derive_seed
from radgen.errors import FitError
from radgen.predict.portable import logistic
from radgen.stats.cox import RiskSets, fit_cox
from radgen.stats.survival_cutpoint import logrank_scores

__all__ = ["BoostLearner", "ForestLearner", "Tree", "TreeFit"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree: a row a node; ``left`` is -1 at a leaf.

    Attributes
    ----------
    feature, left, right : int64 (n_nodes,)
    threshold, value : float64 (n_nodes,)
        A sample goes left where its feature is at most the threshold.
    """

    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    value: FloatArray

    def check(self, n_columns: int) -> None:
        """Refuse what is no tree: branches that lead back or nowhere, columns that are not there.

        Raises
        ------
        ValueError
            If walking down the tree could fail or never end.
        """
        n = len(self.feature)
        parts = (self.threshold, self.left, self.right, self.value)
        if n == 0 or any(part.shape != (n,) for part in parts):
            raise ValueError("parts of a tree differ in length")
        inner = self.left >= 0
        at = np.flatnonzero(inner)
        for child in (self.left[inner], self.right[inner]):
            if np.any(child <= at) or np.any(child >= n):
                raise ValueError("a branch of a tree leads back or nowhere")
        if np.any((self.feature[inner] < 0) | (self.feature[inner] >= n_columns)):
            raise ValueError("a tree asks for a column that is not there")

    def leaf(self, x: NDArray[Any]) -> IntArray:
        """Return the leaf of each row, (n,)."""
        node = np.zeros(len(x), dtype=np.int64)
        rows = np.arange(len(x))
        while True:
            inner = self.left[node] >= 0
            if not inner.any():
                return node
            at = node[inner]
            low = x[rows[inner], self.feature[at]] <= self.threshold[at]
            node[inner] = np.where(low, self.left[at], self.right[at])


@dataclass(frozen=True, eq=False)
class TreeFit:
    """Trees whose values are averaged or added.

    Attributes
    ----------
    trees : tuple of Tree
    kind : {"binary", "censored", "continuous"}
    base, factor : float
        The score is ``base + factor * sum`` (boosting), or ``factor * log(mean)`` for a survival
        forest and the mean otherwise (``base`` is NaN for forests).
    """

    trees: tuple[Tree, ...]
    kind: str
    base: float
    factor: float

    def _raw(self, x: FloatArray) -> FloatArray:
        small = np.asarray(x, dtype=np.float32)
        total = np.zeros(len(x))
        for tree in self.trees:
            total += tree.value[tree.leaf(small)]
        if np.isfinite(self.base):
            return self.base + self.factor * total
        return np.asarray(total / len(self.trees), dtype=np.float64)

    def predict(self, x: FloatArray) -> FloatArray:
        """Return probabilities, log relative hazards or values, (n,)."""
        raw = self._raw(x)
        if np.isfinite(self.base):
            return np.asarray(expit(raw) if self.kind == "binary" else raw)
        return self.factor * np.log(raw) if self.kind == "censored" else raw

    def portable(self, x: FloatArray) -> FloatArray:
        """Return what `predict` does, the same to the last bit on every machine, (n,)."""
        raw = self._raw(x)
        if np.isfinite(self.base) and self.kind == "binary":
            return logistic(raw)
        if not np.isfinite(self.base) and self.kind == "censored":
            from decimal import Decimal

            return np.array([self.factor * float(Decimal(v).ln()) for v in raw.tolist()])
        return self.predict(x)


def _plain_tree(fitted: Any, value: FloatArray) -> Tree:
    inner = fitted.tree_
    return Tree(
        inner.feature.astype(np.int64),
        inner.threshold.astype(np.float64),
        inner.children_left.astype(np.int64),
        inner.children_right.astype(np.int64),
        np.asarray(value, dtype=np.float64),
    )


@dataclass(frozen=True)
class ForestLearner:
    """A random forest; for times and events one grown on log-rank scores.

    Attributes
    ----------
    kind : {"binary", "censored", "continuous"}
    n_trees : int
    min_leaf : int
        Samples in a leaf, at least; 6 or more for times and events.

    Notes
    -----
    The survival forest splits on the log-rank scores of the training samples; its leaves hold
    the expected number of events under the Nelson–Aalen hazard of their bootstrap samples. The
    score is the log of the trees' mean, times the slope of a Cox model of the out-of-bag scores,
    so that risks are calibrated.

    References
    ----------
    Breiman 2001, doi:10.1023/A:1010933404324. Hothorn et al. 2006,
    doi:10.1093/biostatistics/kxj011. Ishwaran et al. 2008, doi:10.1214/08-AOAS169.
    """

    kind: str
    n_trees: int = 300
    min_leaf: int = 3

    @property
    def settings(self) -> tuple[str, ...]:
        """One setting."""
        return (f"{self.n_trees} trees",)

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        which: IntArray,
        seed: int,
        widths: Sequence[int] = (),
    ) -> list[Any]:
        """Return the fitted forest, once for each of `which`."""
        from sklearn import ensemble

        make = ensemble.RandomForestRegressor
        options = {"n_estimators": self.n_trees, "random_state": seed % 2**31, "n_jobs": 1}
        if self.kind == "censored":
            found: Any = self._survival(x, y, options)
            return [found] * len(which)
        if self.kind == "binary":
            make = ensemble.RandomForestClassifier
        else:
            options["max_features"] = 1 / 3
        forest = make(min_samples_leaf=self.min_leaf, **options).fit(x, y)
        trees = []
        for item in forest.estimators_:
            value = item.tree_.value[:, 0, :]
            if self.kind == "binary":
                value = value[:, 1] / value.sum(axis=1)
            trees.append(_plain_tree(item, np.ravel(value)))
        return [TreeFit(tuple(trees), self.kind, float("nan"), 1.0)] * len(which)

    def _survival(self, x: FloatArray, y: FloatArray, options: dict[str, Any]) -> TreeFit:
        from sklearn.ensemble import RandomForestRegressor

        time, event = y[:, 0], y[:, 1] > 0.5
        forest = RandomForestRegressor(
            min_samples_leaf=max(2 * self.min_leaf, 6), max_features="sqrt", **options
        )
        forest.fit(x, logrank_scores(time, event))
        order = np.argsort(-time, kind="stable")
        # At-risk counts include all that are tied with a time: up to the last of its ties.
        last = len(time) - 1 - np.searchsorted(time[order][::-1], time[order], side="left")
        still = np.searchsorted(-time[order][event[order]], -time[order], side="right")
        trees, total, count = [], np.zeros(len(x)), np.zeros(len(x))
        leaves = forest.apply(x)
        for number, (item, rows) in enumerate(
            zip(forest.estimators_, forest.estimators_samples_, strict=True)
        ):
            drawn = np.bincount(rows, minlength=len(x)).astype(np.float64)
            value = _mortality(
                leaves[order, number], drawn[order], event[order],
                last=last, still=still, size=item.tree_.node_count,
            )  # fmt: skip
            trees.append(_plain_tree(item, value))
            out = drawn == 0
            total[out] += value[leaves[out, number]]
            count[out] += 1
        floor = 1e-3 * max(float(np.mean([t.value.max() for t in trees])), 1e-12)
        trees = [Tree(t.feature, t.threshold, t.left, t.right, t.value + floor) for t in trees]
        seen = count > 0
        score = np.log(total[seen] / count[seen] + floor)
        return TreeFit(tuple(trees), "censored", float("nan"), _slope(score, y[seen]))


def _mortality(
    leaf: IntArray,
    drawn: FloatArray,
    event: NDArray[np.bool_],
    *,
    last: IntArray,
    still: IntArray,
    size: int,
) -> FloatArray:
    """Return the expected events of each node's samples; rows are in descending order of time."""
    names, code = np.unique(leaf, return_inverse=True)
    member = np.zeros((len(leaf), len(names)))
    member[np.arange(len(leaf)), code] = drawn
    at_risk = np.cumsum(member, axis=0)[last, code]
    happened = event & (drawn > 0)
    share = np.zeros(len(leaf))
    share[happened] = drawn[happened] * still[happened] / at_risk[happened]
    value = np.zeros(size)
    value[names] = np.bincount(code, weights=share, minlength=len(names))
    return value


def _slope(score: FloatArray, y: FloatArray) -> float:
    """Return the Cox slope of out-of-bag scores; small where they carry nothing."""
    if np.ptp(score) < 1e-12 or not (y[:, 1] > 0.5).any():
        return 1.0
    try:
        slope = float(fit_cox(score[:, None], y[:, 0], y[:, 1] > 0.5).beta[0])
    except FitError:
        return 1.0
    return float(np.clip(slope, 0.05, 5.0))


STAGES = (5, 10, 20, 40, 80, 160)
"""Numbers of trees among which inner folds choose; one fit gives all."""


@dataclass(frozen=True)
class BoostLearner:
    """Gradient boosting of small trees for any outcome; `STAGES` are its settings.

    Attributes
    ----------
    kind : {"binary", "censored", "continuous"}
        Log loss, Cox partial likelihood or squared error.
    rate : float
        Learning rate.
    leaves, min_leaf : int
        Leaves of a tree; samples in a leaf, at least.
    share : float
        Share of the columns that a split may use.

    References
    ----------
    Friedman 2001, doi:10.1214/aos/1013203451. Ridgeway 1999 (Cox).
    """

    kind: str
    rate: float = 0.05
    leaves: int = 4
    min_leaf: int = 10
    share: float = 1 / 3

    @property
    def settings(self) -> tuple[str, ...]:
        """Numbers of trees, fewest first."""
        return tuple(f"{n} trees" for n in STAGES)

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        which: IntArray,
        seed: int,
        widths: Sequence[int] = (),
    ) -> list[Any]:
        """Return the fits with the numbers of trees `which`, all from one run."""
        from sklearn.tree import DecisionTreeRegressor

        small = np.asarray(x, dtype=np.float32)
        base, step = self._start(y)
        eta = np.full(len(x), base)
        trees: list[Tree] = []
        for number in range(STAGES[int(which.max())]):
            gradient, curvature = step(eta)
            tree = DecisionTreeRegressor(
                max_leaf_nodes=self.leaves,
                min_samples_leaf=min(self.min_leaf, max(len(x) // 4, 1)),
                max_features=self.share,
                random_state=derive_seed(seed, "stage", number) % 2**31,
            ).fit(small, gradient)
            leaf = tree.apply(small)
            size = tree.tree_.node_count
            up = np.bincount(leaf, weights=gradient, minlength=size)
            down = np.bincount(leaf, weights=curvature, minlength=size)
            value = np.clip(up / np.maximum(down, 1e-6), -5.0, 5.0) * self.rate
            eta = eta + value[leaf]
            trees.append(_plain_tree(tree, value))
        return [TreeFit(tuple(trees[: STAGES[k]]), self.kind, base, 1.0) for k in which.tolist()]

    def _start(self, y: FloatArray) -> tuple[float, Any]:
        """Return the starting score, and the function to gradient and curvature."""
        if self.kind == "binary":
            mean = float(np.clip(y.mean(), 1e-6, 1 - 1e-6))

            def logit_step(eta: FloatArray) -> tuple[FloatArray, FloatArray]:
                p = expit(eta)
                return y - p, p * (1 - p)

            return float(np.log(mean / (1 - mean))), logit_step
        if self.kind == "censored":
            sets = RiskSets(y[:, 0], y[:, 1] > 0.5, np.ones(len(y)), None, "breslow")

            def cox_step(eta: FloatArray) -> tuple[FloatArray, FloatArray]:
                _, gradient, curvature = sets.eta_derivatives(eta)
                return gradient, curvature

            return 0.0, cox_step
        return float(y.mean()), lambda eta: (y - eta, np.ones(len(y)))
