"""Bags of cells: a codebook of what occurs, and how often each sample has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from radgen._core.naming import require_choice
from radgen._core.rng import spawn
from radgen.deep._bags import read_bags
from radgen.errors import InputError

__all__ = ["BagOfCells"]

FloatArray = NDArray[np.float64]


class BagOfCells(TransformerMixin, BaseEstimator):
    """Histograms of cells (or patches) over a codebook that k-means learns.

    Parameters
    ----------
    n_words : int, default 16
        Entries of the codebook.
    values : {"fraction", "count", "root"}
        Of the histogram: shares, numbers, or square roots of shares (whose distances are those
        of Hellinger, so that rare words count).
    shape : sequence of int or None
        (cells, columns) where X is a flat table, NaN in empty places.
    most : int, default 500
        Cells of a sample that may take part in learning the codebook, drawn at random, so that
        no sample dominates it.
    random_state : int or None
        Of the draw and of k-means.

    Attributes
    ----------
    words_ : float64 (n_words, d)
        Centres, in the units of the columns, the most frequent first.
    mean_, spread_ : float64 (d,)
        By which columns are standardised.

    Notes
    -----
    The codebook is learned from the samples given to `fit` alone: in an evaluation, inside each
    fold. It needs no PyTorch.

    References
    ----------
    Chidester, Do and Ma 2018, doi:10.1142/9789813235533_0030. Sivic and Zisserman 2003,
    doi:10.1109/ICCV.2003.1238663.

    Examples
    --------
    >>> import numpy as np
    >>> cells = [np.repeat([[0.0], [9.0]], counts, axis=0) for counts in ((3, 1), (1, 1))]
    >>> BagOfCells(n_words=2, values="count", random_state=0).fit(cells).transform(cells)
    array([[3., 1.],
           [1., 1.]])
    """

    def __init__(
        self,
        n_words: int = 16,
        *,
        values: Literal["fraction", "count", "root"] = "fraction",
        shape: Sequence[int] | None = None,
        most: int = 500,
        random_state: int | None = None,
    ) -> None:
        self.n_words = n_words
        self.values = values
        self.shape = shape
        self.most = most
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the codebook.

        Parameters
        ----------
        X : sequence of float64 (n_cells, d), or array (n, n_most, d) with NaN in empty places
            Features of the cells of each sample.
        y : ignored

        Raises
        ------
        InputError
            If there are fewer different cells than words, or bags cannot be used.
        """
        from sklearn.cluster import KMeans

        require_choice(self.values, ("fraction", "count", "root"), what="kind of values")
        cells, filled = read_bags(X, self.shape)
        seed = 0 if self.random_state is None else int(self.random_state)
        rng = spawn(seed, "bag of cells")
        chosen = []
        for bag, here in zip(cells, filled, strict=True):
            own = bag[here]
            rows = np.arange(len(own))
            if len(own) > self.most:
                rows = np.sort(rng.choice(len(own), self.most, replace=False))
            chosen.append(own[rows])
        pool = np.vstack(chosen)
        self.mean_ = pool.mean(axis=0)
        spread = pool.std(axis=0)
        self.spread_ = np.where(spread > 1e-12 * (1 + np.abs(self.mean_)), spread, 1.0)
        z = (pool - self.mean_) / self.spread_
        if len(np.unique(z, axis=0)) < self.n_words:
            raise InputError(
                f"{len(np.unique(z, axis=0))} different cells cannot make {self.n_words} words."
            )
        found = KMeans(self.n_words, n_init=4, random_state=seed % 2**32).fit(z)
        order = np.argsort(-np.bincount(found.labels_, minlength=self.n_words), kind="stable")
        self.words_ = found.cluster_centers_[order] * self.spread_ + self.mean_
        return self

    def assign(self, X: Any) -> list[NDArray[np.int64]]:
        """Return the word of each cell, (n_cells,) a sample."""
        check_is_fitted(self, "words_")
        cells, filled = read_bags(X, self.shape)
        if cells.shape[2] != len(self.mean_):
            raise InputError(f"Cells have {cells.shape[2]} columns; fitted: {len(self.mean_)}.")
        words = (self.words_ - self.mean_) / self.spread_
        out = []
        for bag, here in zip(cells, filled, strict=True):
            z = (bag[here] - self.mean_) / self.spread_
            gap = (words**2).sum(axis=1) - 2 * z @ words.T
            out.append(gap.argmin(axis=1).astype(np.int64))
        return out

    def transform(self, X: Any) -> FloatArray:
        """Return the histogram of each sample, (n, n_words)."""
        found = self.assign(X)
        counts = np.array([np.bincount(words, minlength=len(self.words_)) for words in found])
        if self.values == "count":
            return counts.astype(np.float64)
        share = counts / counts.sum(axis=1, keepdims=True)
        return np.sqrt(share) if self.values == "root" else np.asarray(share)

    def cell_weights(self, X: Any, word_weights: Any) -> list[FloatArray]:
        """Return what each cell adds to a linear model of the histogram, (n_cells,) a sample.

        Parameters
        ----------
        X : bags
            As in `fit`.
        word_weights : float64 (n_words,)
            Coefficients of the words.

        Raises
        ------
        InputError
            If there is not one weight a word.
        """
        weights = np.asarray(word_weights, dtype=np.float64)
        check_is_fitted(self, "words_")
        if weights.shape != (len(self.words_),):
            raise InputError(f"Needed are {len(self.words_)} weights, one a word.")
        return [weights[words] for words in self.assign(X)]

    def get_state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the fitted state as plain facts and arrays."""
        check_is_fitted(self, "words_")
        return {}, {"words": self.words_, "mean": self.mean_, "spread": self.spread_}

    def set_state(self, plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Take the fitted state of `get_state` over."""
        words, mean, spread = arrays["words"], arrays["mean"], arrays["spread"]
        if words.ndim != 2 or mean.shape != words.shape[1:] or spread.shape != mean.shape:
            raise ValueError("words and columns of the codebook do not fit")
        self.words_, self.mean_, self.spread_ = words, mean, spread
        return self
