"""Scores of gene sets: the mean standardised expression of their genes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from radgen.errors import InputError, shown
from radgen.omics._sets import SetIndex, index_sets
from radgen.types import OmicsTable

__all__ = ["GeneSetScorer", "SetScorer"]

Array = NDArray[np.float64]


class SetScorer(BaseEstimator):
    """Base of the estimators that turn genes into a score a set and sample.

    A subclass gives `_learn`, which looks at the fitted samples, and `_score`, which scores
    samples by what was learned. The table to be scored may hold other genes and another order;
    it must hold the fitted ones.
    """

    sets: Mapping[str, Sequence[str]]
    min_genes: int
    _scale: ClassVar[str]
    _proper: ClassVar[bool] = False

    def fit(self, X: OmicsTable, y: None = None) -> Self:
        """Learn what scores need from a table (n_samples, n_features).

        Parameters
        ----------
        X : OmicsTable
            Expression, comparable between samples; NaN = not measured.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.
        """
        self.features_ = X.features
        usable = self._learn(np.asarray(X.values))
        self.index_ = index_sets(
            self.sets, X.features, min_genes=self.min_genes, usable=usable, proper=self._proper
        )
        self.set_names_ = self.index_.names
        self._finish(np.asarray(X.values))
        return self

    def transform(self, X: OmicsTable) -> OmicsTable:
        """Return the scores (n_samples, n_sets) as a layer "pathway"."""
        check_is_fitted(self)
        place = {gene: j for j, gene in enumerate(X.features)}
        lost = [gene for gene in self.features_ if gene not in place]
        if lost:
            raise InputError(f"The table lacks {len(lost)} fitted genes: {shown(lost)}.")
        same = X.features == self.features_
        values = X.values if same else X.values[:, [place[gene] for gene in self.features_]]
        scores = self._score(np.asarray(values), self.index_)
        return OmicsTable(X.samples, self.set_names_, scores, "pathway", self._scale)

    def fit_transform(self, X: OmicsTable, y: None = None) -> OmicsTable:
        """Fit on a table and return its scores."""
        return self.fit(X).transform(X)

    @property
    def coverage_(self) -> dict[str, float]:
        """Share of each used set's genes that are measured."""
        parts = zip(self.index_.names, self.index_.sizes, self.index_.declared, strict=True)
        return {name: float(found / declared) for name, found, declared in parts}

    def _learn(self, values: Array) -> NDArray[np.bool_] | None:
        """Keep what is learned of single genes; return which genes may be members."""
        return np.isfinite(values).any(axis=0)

    def _finish(self, values: Array) -> None:
        """Keep what is learned of whole sets."""

    @abstractmethod
    def _score(self, values: Array, index: SetIndex) -> Array:
        """Return the scores (n_samples, n_sets)."""


def standardise_by(values: Array, *, ddof: int) -> tuple[Array, Array]:
    """Return mean and deviation of each column over its known values.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_features)
        NaN = not measured.
    ddof : int
        0 or 1, as NumPy's.

    Returns
    -------
    mean, deviation : ndarray of float64 (n_features,)
        The deviation of a column that does not vary is NaN.
    """
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    square = np.where(known, values - mean, 0.0) ** 2
    spread = np.sqrt(square.sum(axis=0) / np.maximum(count - ddof, 1))
    flat = spread <= 1e-13 * np.maximum(np.abs(mean), np.finfo(float).tiny)
    return mean, np.where(flat, np.nan, spread)


def mean_of_members(values: Array, index: SetIndex) -> Array:
    """Return the mean of each set's known members, (n_samples, n_sets); NaN where none is."""
    members: Any = index.matrix()
    known = np.isfinite(values)
    total = members @ np.where(known, values, 0.0).T
    count = members @ known.T.astype(np.float64)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan).T)


class GeneSetScorer(SetScorer):
    """Mean z-score of each gene set, with means and deviations of the fitted samples.

    Parameters
    ----------
    sets : mapping of str to sequence of str
        Genes of each set.
    min_genes : int, default 3
        A set needs as many genes that are measured and vary; others are left out.

    Attributes
    ----------
    mean_, scale_ : ndarray of float64 (n_features,)
        Of the fitted samples; the scale of a gene that does not vary is NaN.
    features_ : tuple of str
        Genes of the fitted table.
    set_names_ : tuple of str
        Sets that are scored.
    coverage_ : dict of str to float
        Share of each set's genes that are measured.

    Raises
    ------
    InputError
        If no set shares enough genes with the table, or a table to be scored lacks genes.

    Notes
    -----
    It is an estimator because it looks at all samples: for a prediction fit it on training
    samples alone. A gene without a value in a sample is left out of that sample's mean. The
    combined z-score of Lee et al. (2008) is this score times the root of the number of genes.

    References
    ----------
    Lee et al. (2008), PLoS Comput. Biol. 4, e1000217, doi:10.1371/journal.pcbi.1000217.

    Examples
    --------
    >>> table = OmicsTable(("a", "b", "c"), ("g", "h"), [[1.0, 2], [2, 4], [3, 6]],
    ...                    "expression", "log2")
    >>> scores = GeneSetScorer({"S": ["g", "h"]}, min_genes=2).fit(table).transform(table)
    >>> scores.values[:, 0].round(2).tolist()
    [-1.22, 0.0, 1.22]
    """

    _scale = "zscore"

    def __init__(self, sets: Mapping[str, Sequence[str]], *, min_genes: int = 3) -> None:
        self.sets = sets
        self.min_genes = min_genes

    def _learn(self, values: Array) -> NDArray[np.bool_]:
        self.mean_, self.scale_ = standardise_by(values, ddof=0)
        return np.isfinite(self.scale_)

    def _score(self, values: Array, index: SetIndex) -> Array:
        return mean_of_members((values - self.mean_) / self.scale_, index)
