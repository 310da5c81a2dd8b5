"""Sparse canonical correlation of three and more blocks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from radgen.errors import FitError, InputError
from radgen.multivariate._blocks import Block
from radgen.multivariate._estimators import weight_table
from radgen.multivariate._penalty import make_penalty

__all__ = ["MultiBlockCCA"]

Array = NDArray[np.float64]


class MultiBlockCCA(BaseEstimator):
    """Sparse weights of several blocks whose scores covary, pair by pair.

    Maximises ``sum_{i<j} w_i' X_i'X_j w_j`` subject to ``|w_i|_2 = 1`` and
    ``|w_i|_1 <= c_i sqrt(p_i)``, block after block until nothing changes. Later components
    deflate every cross-covariance by what the earlier ones explain.

    Parameters
    ----------
    n_components : int, default 1
        Number of weight vectors a block.
    penalty : float or mapping of str to float, default 0.3
        l1 bound as a fraction of ``sqrt(n_features)``, in (0, 1]: one for all blocks, or by name.
    standardise : bool, default True
        Centre and scale columns by the training rows.
    max_iter : int, default 500
        Rounds over the blocks a component.
    tol : float, default 1e-6
        Stop where no weight vector changes by more in l1.

    Attributes
    ----------
    weights_ : dict of str to ndarray of float64 (n_features, n_components)
        Sparse weights of each block.
    criterion_ : ndarray of float64 (n_components,)
        Sum of the pairwise covariances (sums over samples) of each component.
    n_iter_ : ndarray of int64 (n_components,)
        Rounds used.

    Raises
    ------
    InputError
        If blocks do not have the same samples, or a penalty is out of range.
    FitError
        If a block does not vary or a component does not converge.

    Notes
    -----
    With two blocks this is `SparseCCA`. Missing values are not accepted; samples are the rows,
    in the same order in every block.

    References
    ----------
    Witten, Tibshirani (2009), Stat Appl Genet Mol Biol 8:28, section 5.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> shared = rng.standard_normal((80, 1))
    >>> blocks = {name: rng.standard_normal((80, 12)) for name in ("genes", "image", "clinic")}
    >>> for block in blocks.values():
    ...     block[:, :2] += 2 * shared
    >>> model = MultiBlockCCA(penalty=0.4).fit(blocks)
    >>> sorted(np.flatnonzero(model.weights_["image"][:, 0]).tolist())
    [0, 1]
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        penalty: float | Mapping[str, float] = 0.3,
        standardise: bool = True,
        max_iter: int = 500,
        tol: float = 1e-6,
    ) -> None:
        self.n_components = n_components
        self.penalty = penalty
        self.standardise = standardise
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, blocks: Mapping[str, NDArray[Any]], y: Any = None) -> Self:
        """Find the weights of named blocks, each (n_samples, n_features); no NaN."""
        data = self._checked(blocks)
        penalties = self._penalties(data)
        found: list[dict[str, Array]] = []
        strength: list[dict[tuple[str, str], float]] = []
        n_iter = []
        for start in self._starts(data):
            weights, rounds = self._component(data, penalties, start, found, strength)
            pairs = combinations(data, 2)
            strength.append(
                {
                    (a, b): float(weights[a] @ _cross(data, (a, b), weights[b], found, strength))
                    for a, b in pairs
                }
            )
            found.append(weights)
            n_iter.append(rounds)
        self.block_names_ = tuple(data)
        self.weights_ = {name: np.column_stack([w[name] for w in found]) for name in data}
        self.criterion_ = np.array([sum(each.values()) for each in strength])
        self.n_iter_ = np.array(n_iter)
        self._scaling = {name: (block.mean, block.scale) for name, block in data.items()}
        return self

    def transform(self, blocks: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
        """Return the scores of rows, a (n_samples, n_components) array a block."""
        check_is_fitted(self)
        scores = {}
        for name, array in blocks.items():
            if name not in self.weights_:
                raise InputError(f"There is no block {name!r}; fitted are {self.block_names_}.")
            mean, scale = self._scaling[name]
            scores[name] = (np.asarray(array, np.float64) - mean) / scale @ self.weights_[name]
        return scores

    def correlations(self, blocks: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
        """Return the correlation of the scores of each pair of blocks in these rows.

        Parameters
        ----------
        blocks : mapping of str to ndarray (n_samples, n_features)
            Training rows (optimistic) or held-out rows (honest).

        Returns
        -------
        polars.DataFrame
            Columns ``component, block, other, correlation``.
        """
        scores = self.transform(blocks)
        rows = []
        for component in range(self.n_components):
            for a, b in combinations(scores, 2):
                pair = np.corrcoef(scores[a][:, component], scores[b][:, component])
                rows.append((component + 1, a, b, float(pair[0, 1])))
        return pl.DataFrame(
            rows, schema=["component", "block", "other", "correlation"], orient="row"
        )

    def loadings(self, names: Mapping[str, list[str]] | None = None) -> pl.DataFrame:
        """Return the non-zero weights as a table: ``component, block, feature, weight``."""
        check_is_fitted(self)
        known = dict(names or {})
        return weight_table({k: (w, known.get(k)) for k, w in self.weights_.items()})

    def _checked(self, blocks: Mapping[str, NDArray[Any]]) -> dict[str, Block]:
        if len(blocks) < 2:
            raise InputError(f"Two blocks or more are needed; found {len(blocks)}.")
        data = {}
        for name, array in blocks.items():
            values = np.asarray(array)
            if values.dtype not in (np.float32, np.float64):
                values = values.astype(np.float64)
            if not np.isfinite(values).all():
                raise InputError(f"Block {name!r} holds missing values; impute within the folds.")
            data[name] = Block(values, centre=self.standardise, scale=self.standardise, name=name)
            if data[name].constant.all():
                raise FitError(f"No column of {name} varies.")
        sizes = {name: block.shape[0] for name, block in data.items()}
        if len(set(sizes.values())) != 1:
            raise InputError(f"Blocks have different numbers of samples: {sizes}.")
        return data

    def _penalties(self, data: Mapping[str, Block]) -> dict[str, Any]:
        given = self.penalty
        if isinstance(given, Mapping):
            lacking = sorted(set(data) - set(given))
            if lacking:
                raise InputError(f"No penalty is given for {lacking}.")
            each = {name: float(given[name]) for name in data}
        else:
            each = dict.fromkeys(data, float(given))
        plain = {"groups": None, "mix": 0.0, "graph": None, "smooth": 0.0}
        return {
            name: make_penalty(each[name], block.shape[1], **plain, name=name)
            for name, block in data.items()
        }

    def _starts(self, data: Mapping[str, Block]) -> list[dict[str, Array]]:
        """Return for each component the leading directions of the sum of all sample products."""
        total = sum(block.gram() / block.shape[1] for block in data.values())
        values, vectors = np.linalg.eigh(np.asarray(total))
        if np.count_nonzero(values > values[-1] * 1e-12) < self.n_components:
            raise InputError(f"{self.n_components} components are more than the data's rank.")
        starts = []
        for k in range(1, self.n_components + 1):
            start = {name: block.adjoint(vectors[:, -k]) for name, block in data.items()}
            starts.append({name: w / max(np.linalg.norm(w), 1e-300) for name, w in start.items()})
        return starts

    def _component(
        self,
        data: Mapping[str, Block],
        penalties: Mapping[str, Any],
        start: dict[str, Array],
        found: list[dict[str, Array]],
        strength: list[dict[tuple[str, str], float]],
    ) -> tuple[dict[str, Array], int]:
        weights = dict(start)
        for rounds in range(1, self.max_iter + 1):
            change = 0.0
            for name in data:
                total = sum(
                    _cross(data, (name, other), weights[other], found, strength)
                    for other in data
                    if other != name
                )
                new = penalties[name].unit(np.asarray(total))
                change = max(change, float(np.abs(new - weights[name]).sum()))
                weights[name] = new
            if change < self.tol:
                return weights, rounds
        raise FitError(
            f"Component {len(found) + 1} did not converge in {self.max_iter} rounds "
            f"(last change {change:.2g}). Raise max_iter or tol."
        )


def _cross(
    data: Mapping[str, Block],
    pair: tuple[str, str],
    weights: Array,
    found: list[dict[str, Array]],
    strength: list[dict[tuple[str, str], float]],
) -> Array:
    """Return the deflated cross-covariance of two blocks times the weights of the second."""
    name, other = pair
    out = data[name].adjoint(data[other].forward(weights))
    for known, sizes in zip(found, strength, strict=True):
        size = sizes.get((name, other), sizes.get((other, name), 0.0))
        out -= size * (known[other] @ weights) * known[name]
    return out
