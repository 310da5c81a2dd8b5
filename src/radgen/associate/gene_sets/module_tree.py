"""A module-network tree: image traits split samples into groups of alike expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen._core.rng import spawn
from radgen.associate.gene_sets._tree_search import Search, Split, log_predictive
from radgen.errors import InputError

__all__ = ["ModuleTree", "Node"]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Node:
    """A node of the tree.

    Attributes
    ----------
    parent, left, right : int
        Places in `ModuleTree.nodes_`; -1 = none.
    depth, n : int
        Steps from the root, and samples.
    mean : float
        Of the module's score.
    split : Split or None
        None = a leaf.
    held_out : float
        Gain in log density per sample, of samples that the search of the split did not see.
    p : float
        (b + 1)/(m + 1) that the best split of permuted scores gains as much; NaN where no split
        was possible.
    """

    parent: int
    left: int
    right: int
    depth: int
    n: int
    mean: float
    split: Split | None
    held_out: float
    p: float


class ModuleTree(RegressorMixin, BaseEstimator):
    """A tree of traits that explains the score of one gene module (Segal's regulation program).

    Parameters
    ----------
    max_depth : int, default 3
        Most splits one after another.
    min_leaf : int, default 8
        Fewest samples of a leaf.
    alpha : float, default 0.05
        A split is made where its permutation p, over all traits and thresholds, is at most this,
        and the log density of held-out samples rises.
    n_permutations : int, default 199
        Of the scores of a node.
    folds : int, default 5
        Of the held-out gain.
    random_state : int, default 0
        Of permutations and folds.

    Attributes
    ----------
    nodes_ : tuple of Node
        The root first; means in units of `y`.
    mean_, scale_ : float
        Of the fitted score.

    Raises
    ------
    InputError
        If an option is out of range.

    Notes
    -----
    Scores in a leaf are normal with a mean and variance of their own under a weak normal-gamma
    prior; the best split has the largest marginal likelihood. The held-out gain repeats the whole
    search in training folds. By permuting within the node, a tree of pure noise has no split in
    1 - alpha of all cases.

    References
    ----------
    Segal et al. (2003), Nat. Genet. 34, 166, doi:10.1038/ng1165; (2007), Nat. Biotechnol. 25,
    675, doi:10.1038/nbt1306.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> traits = rng.standard_normal((80, 4))
    >>> score = np.where(traits[:, 2] > 0.5, 2.0, 0.0) + 0.3 * rng.standard_normal(80)
    >>> tree = ModuleTree().fit(traits, score)
    >>> tree.nodes_[0].split.trait, len(tree.nodes_)
    (2, 3)
    """

    def __init__(
        self,
        *,
        max_depth: int = 3,
        min_leaf: int = 8,
        alpha: float = 0.05,
        n_permutations: int = 199,
        folds: int = 5,
        random_state: int = 0,
    ) -> None:
        self.max_depth = max_depth
        self.min_leaf = min_leaf
        self.alpha = alpha
        self.n_permutations = n_permutations
        self.folds = folds
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Grow the tree.

        Parameters
        ----------
        X : array_like of float64 (n_samples, n_traits)
            Traits, no NaN.
        y : array_like of float64 (n_samples,)
            Score of the module.

        Returns
        -------
        self
            The fitted estimator.
        """
        if self.max_depth < 1 or self.min_leaf < 2 or self.folds < 2 or self.n_permutations < 1:
            raise InputError(
                "max_depth and n_permutations are at least 1, min_leaf and folds 2; found "
                f"{self.max_depth}, {self.n_permutations}, {self.min_leaf} and {self.folds}."
            )
        if not 0 < self.alpha <= 1:
            raise InputError(f"alpha lies in (0, 1]; found {self.alpha}.")
        x, score = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        score = np.asarray(score, dtype=np.float64)
        self.mean_ = float(score.mean())
        spread = float(score.std())
        self.scale_ = spread if spread > 0 else 1.0
        z = (score - self.mean_) / self.scale_
        nodes: list[Node] = []
        self._grow(x, z, np.arange(len(z)), (-1, 0), nodes)
        self.nodes_ = tuple(nodes)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Return the mean of the leaf of each sample, float64 (n_samples,).

        Parameters
        ----------
        X : array_like of float64 (n_samples, n_traits)
            The fitted traits in the same order.

        Returns
        -------
        ndarray of float64 (n_samples,)
            In units of the fitted score.
        """
        means = np.array([node.mean for node in self.nodes_]) if hasattr(self, "nodes_") else None
        leaf = self.apply(X)
        assert means is not None
        return np.asarray(means[leaf])

    def apply(self, X: ArrayLike) -> Rows:
        """Return the leaf of each sample as its place in `nodes_`, int64 (n_samples,).

        Parameters
        ----------
        X : array_like of float64 (n_samples, n_traits)
            The fitted traits in the same order.

        Returns
        -------
        ndarray of int64 (n_samples,)
            Places of leaves.
        """
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        at = np.zeros(len(x), dtype=np.int64)
        for place, node in enumerate(self.nodes_):
            if node.split is not None:
                own = np.flatnonzero(at == place)
                left = x[own, node.split.trait] <= node.split.threshold
                at[own] = np.where(left, node.left, node.right)
        return at

    def _grow(
        self, x: Array, z: Array, rows: Rows, where: tuple[int, int], nodes: list[Node]
    ) -> int:
        parent, depth = where
        place = len(nodes)
        own = z[rows]
        mean = self.mean_ + self.scale_ * float(own.mean())
        leaf = Node(parent, -1, -1, depth, len(rows), mean, None, np.nan, np.nan)
        nodes.append(leaf)
        if depth >= self.max_depth or len(rows) < 2 * self.min_leaf or not np.ptp(own) > 0:
            return place
        search = Search(x[rows], self.min_leaf)
        split = search.split(own)
        if split is None:
            return place
        p = self._p(search, own, split.gain, place)
        gain = self._held_out(x[rows], own, place) if p <= self.alpha else np.nan
        if not (p <= self.alpha and gain > 0):
            nodes[place] = Node(parent, -1, -1, depth, len(rows), mean, None, gain, p)
            return place
        left = x[rows, split.trait] <= split.threshold
        one = self._grow(x, z, rows[left], (place, depth + 1), nodes)
        two = self._grow(x, z, rows[~left], (place, depth + 1), nodes)
        nodes[place] = Node(parent, one, two, depth, len(rows), mean, split, gain, p)
        return place

    def _p(self, search: Search, own: Array, gain: float, place: int) -> float:
        rng = spawn(self.random_state, "module tree", place)
        moved = np.column_stack([rng.permutation(own) for _ in range(self.n_permutations)])
        null = search.best(moved)[0]
        return (int((null >= gain - 1e-9).sum()) + 1) / (self.n_permutations + 1)

    def _held_out(self, x: Array, own: Array, place: int) -> float:
        seed = int(spawn(self.random_state, "module tree folds", place).integers(2**31))
        total = 0.0
        for train, test in KFold(self.folds, shuffle=True, random_state=seed).split(x):
            split = Search(x[train], max(2, self.min_leaf * (self.folds - 1) // self.folds)).split(
                own[train]
            )
            if split is None:
                continue
            total -= float(log_predictive(own[test], own[train]).sum())
            sides = (
                x[train, split.trait] <= split.threshold,
                x[test, split.trait] <= split.threshold,
            )
            for seen, new in zip((sides[0], ~sides[0]), (sides[1], ~sides[1]), strict=True):
                total += float(log_predictive(own[test][new], own[train][seen]).sum())
        return total / len(own)

    def __sklearn_tags__(self) -> Any:
        """Return the tags of scikit-learn: noise may need no split at all."""
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags
