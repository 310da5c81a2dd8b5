"""Scores of gene sets: the mean standardised expression of their genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from radgen.errors import InputError, shown
from radgen.types import OmicsTable

__all__ = ["GeneSetScorer"]


class GeneSetScorer(BaseEstimator):
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

    Raises
    ------
    InputError
        If no set shares enough genes with the table, or a table to be scored lacks genes.

    Notes
    -----
    It is an estimator because it looks at all samples: for a prediction fit it on training
    samples alone. A gene without a value in a sample is left out of that sample's mean.

    Examples
    --------
    >>> table = OmicsTable(("a", "b", "c"), ("g", "h"), [[1.0, 2], [2, 4], [3, 6]],
    ...                    "expression", "log2")
    >>> scores = GeneSetScorer({"S": ["g", "h"]}, min_genes=2).fit(table).transform(table)
    >>> scores.values[:, 0].round(2).tolist()
    [-1.22, 0.0, 1.22]
    """

    def __init__(self, sets: Mapping[str, Sequence[str]], *, min_genes: int = 3) -> None:
        self.sets = sets
        self.min_genes = min_genes

    def fit(self, X: OmicsTable, y: None = None) -> Self:
        """Learn mean and deviation of each gene from a table (n_samples, n_features)."""
        known = np.isfinite(X.values)
        count = np.maximum(known.sum(axis=0), 1)
        self.mean_ = np.where(known, X.values, 0.0).sum(axis=0) / count
        square = np.where(known, X.values - self.mean_, 0.0) ** 2
        spread = np.sqrt(square.sum(axis=0) / count)
        self.scale_ = np.where(spread > 0, spread, np.nan)
        self.features_ = X.features
        usable = {g for g, s in zip(X.features, self.scale_, strict=True) if np.isfinite(s)}
        self.set_names_ = tuple(
            name for name, genes in self.sets.items() if len(usable & set(genes)) >= self.min_genes
        )
        if not self.set_names_:
            raise InputError(
                f"No gene set shares {self.min_genes} genes with the layer "
                f"(its genes look like {shown(X.features, 3)})."
            )
        return self

    def transform(self, X: OmicsTable) -> OmicsTable:
        """Return the scores (n_samples, n_sets) as a layer "pathway", scale "zscore"."""
        check_is_fitted(self)
        place = {gene: j for j, gene in enumerate(X.features)}
        lost = [gene for gene in self.features_ if gene not in place]
        if lost:
            raise InputError(f"The table lacks {len(lost)} fitted genes: {shown(lost)}.")
        values = X.values[:, [place[gene] for gene in self.features_]]
        scaled = (values - self.mean_) / self.scale_
        columns = []
        for name in self.set_names_:
            members = set(self.sets[name])
            part = scaled[:, [gene in members for gene in self.features_]]
            known = np.isfinite(part)
            count = known.sum(axis=1)
            total = np.where(known, part, 0.0).sum(axis=1)
            columns.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
        scores = np.column_stack(columns)
        return OmicsTable(X.samples, self.set_names_, scores, "pathway", "zscore")
