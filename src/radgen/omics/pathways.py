"""Scores of gene sets by ranks within a sample, and by the first component of a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.omics._ranks import ranks_within
from radgen.omics._sets import SetIndex, index_sets
from radgen.omics.gene_sets import SetScorer, mean_of_members, standardise_by

__all__ = ["PlageScorer", "SingScorer", "SsgseaScorer", "first_component"]

Array = NDArray[np.float64]


class SsgseaScorer(SetScorer):
    """Single-sample enrichment of each gene set by ranks weighted within the sample.

    Parameters
    ----------
    sets : mapping of str to sequence of str
        Genes of each set.
    alpha : float, default 0.25
        Power of the rank that weighs a member's step; 0 = equal steps.
    normalise : bool, default True
        Divide by the range of all scores of the fitted samples.
    min_genes : int, default 3
        A set needs as many measured genes; others are left out.

    Attributes
    ----------
    range_ : float
        Range of the scores of the fitted samples; 1 where `normalise` is off.
    features_, set_names_, coverage_
        As `GeneSetScorer` has them.

    Raises
    ------
    InputError
        If no set shares enough genes with the table, a table to be scored lacks genes, or
        `alpha` is negative.

    Notes
    -----
    With ascending ranks r of the p genes of a sample and a set S of m genes the score is
    sum_S r^(alpha + 1) / sum_S r^alpha - sum_(not S) r / (p - m): the area between the weighted
    walk of the members and that of the others. Ties share their average rank, in the weight as
    in the place, so that the score does not depend on the order of genes; GSVA and gseapy break
    ties by order. Without ties the values are theirs. Unlike theirs the range is that of the
    *fitted* samples: new samples do not change the scores of old ones. Genes that are not
    measured in a sample take no rank in it.

    References
    ----------
    Barbie et al. (2009), Nature 462, 108, doi:10.1038/nature08460.

    Examples
    --------
    >>> from radgen.types import OmicsTable
    >>> table = OmicsTable(("a", "b"), ("g", "h", "i"), [[3.0, 2, 1], [1, 2, 3]],
    ...                    "expression", "log2")
    >>> scorer = SsgseaScorer({"S": ["g"]}, normalise=False, min_genes=1)
    >>> scorer.fit_transform(table).values[:, 0].tolist()
    [1.5, -1.5]
    """

    _scale: ClassVar[str] = "ssgsea"
    _proper: ClassVar[bool] = True

    def __init__(
        self,
        sets: Mapping[str, Sequence[str]],
        *,
        alpha: float = 0.25,
        normalise: bool = True,
        min_genes: int = 3,
    ) -> None:
        self.sets = sets
        self.alpha = alpha
        self.normalise = normalise
        self.min_genes = min_genes

    def _learn(self, values: Array) -> NDArray[np.bool_]:
        if not 0 <= self.alpha < np.inf:
            raise InputError(f"alpha is at least 0; found {self.alpha}.")
        return np.isfinite(values).any(axis=0)

    def _finish(self, values: Array) -> None:
        self.range_ = 1.0
        if self.normalise:
            scores = self._score(values, self.index_)
            found = float(np.nanmax(scores) - np.nanmin(scores))
            if not found > 0:
                raise InputError(
                    "All single-sample scores are equal, so that they have no range to divide "
                    "by. Use normalise=False, or check that the sets and the samples differ."
                )
            self.range_ = found

    def _score(self, values: Array, index: SetIndex) -> Array:
        ranks = ranks_within(values, "average").T
        known = np.isfinite(ranks)
        ranks = np.ascontiguousarray(np.where(known, ranks, 0.0))
        members: Any = index.matrix()
        weights = np.where(known, ranks**self.alpha, 0.0)
        total = ranks.sum(axis=0)
        inside = members @ ranks
        count = members @ known.astype(np.float64)
        outside = known.sum(axis=0) - count
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = (members @ (weights * ranks)) / (members @ weights)
            scores -= (total - inside) / outside
        return np.asarray(np.where((count > 0) & (outside > 0), scores, np.nan).T / self.range_)


class SingScorer(SetScorer):
    """Mean rank of the genes of each set within a sample, scaled to what is possible.

    Parameters
    ----------
    sets : mapping of str to sequence of str
        Genes expected to be high.
    down : mapping of str to sequence of str or None
        Genes expected to be low, for the sets of the same name; the score is the sum of both.
    centre : bool, default True
        Scores in [-0.5, 0.5] for each direction; otherwise in [0, 1].
    direction : {"known", "unknown"}, default "known"
        "unknown" ranks genes by their distance from the median rank: for sets whose genes may
        go either way. It needs `down` = None.
    min_genes : int, default 3
        A set (and its `down` part) needs as many measured genes; others are left out.

    Attributes
    ----------
    features_, set_names_, coverage_
        As `GeneSetScorer` has them.

    Raises
    ------
    InputError
        If no set shares enough genes with the table, a table to be scored lacks genes, or
        `down` names a set that `sets` has not.

    Notes
    -----
    A sample's score depends on that sample alone: nothing is learned but which genes are
    measured. Equal values share the smallest of their ranks. With m of p genes the mean rank
    lies between (m + 1) / 2 and (2 p - m + 1) / 2, which become 0 and 1 before centring. With
    ``direction="unknown"`` the mean distance from the middle rank lies between two sums that
    are found exactly; such scores are in [0, 1] and not centred.

    References
    ----------
    Foroutan et al. (2018), BMC Bioinformatics 19, 404, doi:10.1186/s12859-018-2435-4.

    Examples
    --------
    >>> from radgen.types import OmicsTable
    >>> table = OmicsTable(("a", "b"), ("g", "h", "i"), [[3.0, 2, 1], [1, 2, 3]],
    ...                    "expression", "log2")
    >>> SingScorer({"S": ["g"]}, min_genes=1).fit_transform(table).values[:, 0].tolist()
    [0.5, -0.5]
    """

    _scale: ClassVar[str] = "singscore"
    _proper: ClassVar[bool] = True

    def __init__(
        self,
        sets: Mapping[str, Sequence[str]],
        *,
        down: Mapping[str, Sequence[str]] | None = None,
        centre: bool = True,
        direction: str = "known",
        min_genes: int = 3,
    ) -> None:
        self.sets = sets
        self.down = down
        self.centre = centre
        self.direction = direction
        self.min_genes = min_genes

    def _learn(self, values: Array) -> NDArray[np.bool_]:
        require_choice(self.direction, ("known", "unknown"), what="direction")
        unknown = [name for name in self.down or {} if name not in self.sets]
        if unknown:
            raise InputError(f"down names sets that sets has not: {', '.join(unknown[:5])}.")
        if self.down and self.direction == "unknown":
            raise InputError("direction='unknown' has no down part: leave down out.")
        return np.isfinite(values).any(axis=0)

    def _finish(self, values: Array) -> None:
        self.down_index_ = None
        if not self.down:
            return
        usable = np.isfinite(values).any(axis=0)
        self.down_index_ = index_sets(
            self.down, self.features_, min_genes=self.min_genes, usable=usable, proper=True
        )
        thin = set(self.down) & set(self.index_.names) - set(self.down_index_.names)
        if thin:
            raise InputError(
                f"The down part of {', '.join(sorted(thin)[:5])} shares fewer than "
                f"{self.min_genes} genes with the layer. Leave these sets out, or lower min_genes."
            )

    def _score(self, values: Array, index: SetIndex) -> Array:
        unknown = self.direction == "unknown"
        scores = _mean_rank(values, index, reverse=False, folded=unknown, centre=self.centre)
        if self.down_index_ is None:
            return scores
        low = self.down_index_
        below = _mean_rank(values, low, reverse=True, folded=False, centre=self.centre)
        place = {name: j for j, name in enumerate(index.names)}
        for column, name in enumerate(low.names):
            if name in place:
                scores[:, place[name]] += below[:, column]
        return scores


def _mean_rank(
    values: Array, index: SetIndex, *, reverse: bool, folded: bool, centre: bool
) -> Array:
    """Mean rank of the members of each set, 0 = lowest possible, 1 = highest."""
    ranks = ranks_within(values, "min")
    known = np.isfinite(ranks)
    length = known.sum(axis=1, keepdims=True).astype(np.float64)
    if reverse:
        ranks = length - ranks + 1
    members: Any = index.matrix()
    count = (members @ known.T.astype(np.float64)).T
    if folded:
        ranks = np.abs(ranks - (length + 1) / 2)
        low, high = _folded_bounds(length, count)
        middle_score = 0.0
    else:
        low, high = (count + 1) / 2, (2 * length - count + 1) / 2
        middle_score = 0.5 if centre else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = (mean_of_members(ranks, index) - low) / (high - low) - middle_score
    return np.asarray(np.where((count > 0) & (count < length), scores, np.nan))


def _folded_bounds(length: Array, count: Array) -> tuple[Array, Array]:
    """Smallest and largest mean distance of `count` ranks from the middle of `length` ranks."""
    low, high = np.full(count.shape, np.nan), np.full(count.shape, np.nan)
    for entries in np.unique(length).astype(np.int64):
        distance = np.sort(np.abs(np.arange(1, entries + 1) - (entries + 1) / 2))
        total = np.concatenate([[0.0], np.cumsum(distance)])
        rows = np.flatnonzero(length[:, 0] == entries)
        m = count[rows].astype(np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):
            low[rows] = total[m] / m
            high[rows] = (total[-1] - total[entries - m]) / m
    return low, high


class PlageScorer(SetScorer):
    """Activity of each gene set along the first singular vector of its standardised genes.

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
    loadings_ : tuple of ndarray of float64 (n_members,)
        Weight of each member in the score, singular value divided out.
    explained_ : ndarray of float64 (n_sets,)
        Share of the members' variance that the score carries.
    features_, set_names_, coverage_
        As `GeneSetScorer` has them.

    Raises
    ------
    InputError
        If no set shares enough genes with the table, or a table to be scored lacks genes.

    Notes
    -----
    The scores of the fitted samples have length 1, as GSVA's "plage". The sign of a singular
    vector is arbitrary; here the mean loading is positive, so that a high score means high
    expression of most members. A missing value counts as the gene's mean.

    References
    ----------
    Tomfohr et al. (2005), BMC Bioinformatics 6, 225, doi:10.1186/1471-2105-6-225.

    Examples
    --------
    >>> from radgen.types import OmicsTable
    >>> table = OmicsTable(("a", "b", "c"), ("g", "h"), [[1.0, 2], [2, 4], [3, 6]],
    ...                    "expression", "log2")
    >>> scorer = PlageScorer({"S": ["g", "h"]}, min_genes=2)
    >>> scorer.fit_transform(table).values[:, 0].round(4).tolist()
    [-0.7071, 0.0, 0.7071]
    """

    _scale: ClassVar[str] = "plage"

    def __init__(self, sets: Mapping[str, Sequence[str]], *, min_genes: int = 3) -> None:
        self.sets = sets
        self.min_genes = min_genes

    def _learn(self, values: Array) -> NDArray[np.bool_]:
        self.mean_, self.scale_ = standardise_by(values, ddof=1)
        return np.isfinite(self.scale_)

    def _finish(self, values: Array) -> None:
        scaled = self._scaled(values)
        found = [first_component(scaled[:, columns]) for columns in self.index_.members]
        self.loadings_ = tuple(loading for loading, _ in found)
        self.explained_ = np.array([share for _, share in found])

    def _scaled(self, values: Array) -> Array:
        return np.nan_to_num((values - self.mean_) / self.scale_, nan=0.0)

    def _score(self, values: Array, index: SetIndex) -> Array:
        scaled = self._scaled(values)
        pairs = zip(index.members, self.loadings_, strict=True)
        return np.column_stack([scaled[:, columns] @ loading for columns, loading in pairs])


def first_component(scaled: Array) -> tuple[Array, float]:
    """Return loadings over the first singular value, mean loading positive, and the share."""
    from scipy.linalg import eigh

    n, m = scaled.shape
    wide = m > n
    gram = scaled @ scaled.T if wide else scaled.T @ scaled
    top = len(gram) - 1
    value, vector = eigh(gram, subset_by_index=(top, top))
    square = max(float(value[0]), np.finfo(float).tiny)
    loading = scaled.T @ vector[:, 0] / square if wide else vector[:, 0] / np.sqrt(square)
    if loading.sum() < 0:
        loading = -loading
    return loading, square / max(float(np.trace(gram)), np.finfo(float).tiny)
