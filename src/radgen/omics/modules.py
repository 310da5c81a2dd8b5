"""Modules of co-expressed genes, learned on samples."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.omics._network import NETWORKS, adjacency, overlap, scale_free_fit
from radgen.omics._tree_cut import cut_branches
from radgen.omics.gene_sets import standardise_by
from radgen.omics.pathways import first_component
from radgen.stats.tail import t_quantile
from radgen.types import OmicsTable

__all__ = ["CoexpressionModules", "module_table"]

Array = NDArray[np.float64]

_POWERS = (*range(1, 11), 12, 14, 16, 18, 20)


class CoexpressionModules(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Modules of a weighted co-expression network, scored by their first component.

    Parameters
    ----------
    network : {"signed", "unsigned", "signed hybrid"}, default "signed"
        What a negative correlation counts as: no link, a link like a positive one, or no link
        with the correlation itself as the strength of positive ones.
    power : float or "auto", default "auto"
        Soft threshold; "auto" takes the smallest that makes the network scale-free.
    use_overlap : bool, default True
        Cluster by topological overlap; False = by the links themselves.
    min_size : int, default 20
        Fewest genes of a module.
    depth : int, default 2
        Of the dynamic cut: 0 (few, large modules) to 4 (many, small ones).
    merge_height : float, default 0.25
        Modules whose scores correlate above 1 less this are merged.
    min_membership : float, default 0.3
        Members whose correlation with the score is less leave the module (in absolute terms in
        an unsigned network); a module of fewer than `min_size` left is dissolved. 0 = all stay.
    min_fit : float, default 0.8
        Share of variance that "auto" asks of the scale-free fit.
    n_shuffles : int, default 5
        Networks of independently shuffled genes, cut in the same way; modules that are no
        stronger than those found there are dissolved. 0 = keep all, as WGCNA does.
    max_genes : int, default 8000
        More genes are refused: the network is a matrix of all pairs.
    random_state : int, RandomState or None, default None
        Of the shuffles.

    Attributes
    ----------
    labels_ : ndarray of int64 (n_features_in_,)
        Module of each gene, 1 = largest; 0 = none.
    power_ : float
        Soft threshold used.
    power_table_ : ndarray of float64 (n_powers, 4)
        Power, share of variance and slope of the scale-free fit, and mean degree; empty where
        the power was given.
    scale_free_ : bool
        Whether the fit that "auto" asks for was reached; where not, `power_` is the usual
        choice for that many samples. True where the power was given.
    connectivity_ : ndarray of float64 (n_features_in_,)
        Sum of links within the gene's module; 0 outside of modules.
    membership_ : ndarray of float64 (n_features_in_, n_modules)
        Correlation of each gene with each module score in the fitted samples.
    loadings_ : tuple of ndarray of float64
        Weight of each member in the score.
    explained_ : ndarray of float64 (n_modules,)
        Share of the members' variance that the score carries.
    strength_ : ndarray of float64 (n_modules,)
        Largest eigenvalue of the members' correlations over what it is for as many independent
        genes, (1 + sqrt(n_members / n_samples))².
    needed_ : float
        Strength that a module needed: the 95 % bound of the strongest module of shuffled genes;
        0 without shuffles.

    Raises
    ------
    InputError
        If an option is out of range, or there are too many genes.

    Notes
    -----
    Values equal those of R's WGCNA (links, topological overlap, scale-free fit, module scores)
    and dynamicTreeCut (hybrid without its second stage). Scores of new samples use the means,
    deviations and loadings of the fitted ones; the sign is such that a high score means high
    expression of most members. A missing value counts as the gene's mean. The
    dynamic cut finds branches in any tree, that of noise too; the shuffles are there for that.

    References
    ----------
    Zhang & Horvath (2005), Stat. Appl. Genet. Mol. Biol. 4, 17, doi:10.2202/1544-6115.1128.
    Langfelder & Horvath (2008), BMC Bioinformatics 9, 559, doi:10.1186/1471-2105-9-559.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = rng.standard_normal((40, 30))
    >>> values[:, :12] += 2 * rng.standard_normal((40, 1))
    >>> found = CoexpressionModules(power=6, min_size=5, random_state=0).fit(values)
    >>> found.n_modules_, found.labels_[:12].tolist()
    (1, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    """

    def __init__(
        self,
        *,
        network: str = "signed",
        power: float | str = "auto",
        use_overlap: bool = True,
        min_size: int = 20,
        depth: int = 2,
        merge_height: float = 0.25,
        min_membership: float = 0.3,
        min_fit: float = 0.8,
        n_shuffles: int = 5,
        max_genes: int = 8000,
        random_state: Any = None,
    ) -> None:
        self.network = network
        self.power = power
        self.use_overlap = use_overlap
        self.min_size = min_size
        self.depth = depth
        self.merge_height = merge_height
        self.min_membership = min_membership
        self.min_fit = min_fit
        self.n_shuffles = n_shuffles
        self.max_genes = max_genes
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn the modules.

        Parameters
        ----------
        X : array_like of float64 (n_samples, n_genes)
            Expression on a log scale; NaN = not measured.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan",
                          ensure_min_samples=3)  # fmt: skip
        self._check(x)
        self.mean_, self.scale_ = standardise_by(x, ddof=1)
        z = self._scaled(x)
        varies = np.flatnonzero(np.isfinite(self.scale_))
        self.labels_ = np.zeros(x.shape[1], dtype=np.int64)
        self.needed_, links = 0.0, np.zeros((0, 0))
        if len(varies) >= max(2, self.min_size):
            correlation = _correlation(z[:, varies])
            self._choose_power(correlation, len(x))
            links = adjacency(correlation, network=self.network, power=self.power_)
            labels = self._modules(z[:, varies], links)
            self.labels_[varies] = self._strong(z[:, varies], labels)
        else:
            self.power_, self.scale_free_ = _usual_power(self.network, len(x)), False
            self.power_table_ = np.empty((0, 4))
        self._describe(z, varies, links)
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Return the module scores, float64 (n_samples, n_modules).

        Parameters
        ----------
        X : array_like of float64 (n_samples, n_genes)
            The fitted genes in the same order; NaN = not measured.

        Returns
        -------
        ndarray of float64 (n_samples, n_modules)
            The scores of the fitted samples have length 1.
        """
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False, ensure_all_finite="allow-nan")
        return _module_scores(self._scaled(x), self.labels_, self.loadings_)

    @property
    def n_modules_(self) -> int:
        """Number of modules."""
        return len(self.loadings_)

    @property
    def _n_features_out(self) -> int:
        return len(self.loadings_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check(self, x: Array) -> None:
        require_choice(self.network, NETWORKS, what="network")
        if x.shape[1] > self.max_genes:
            raise InputError(
                f"{x.shape[1]} genes would need a matrix of all pairs of "
                f"{8e-9 * x.shape[1] ** 2:.1f} GB, several times over. Keep the most variable "
                f"{self.max_genes}, or raise max_genes."
            )
        if self.n_shuffles < 0:
            raise InputError(f"n_shuffles is at least 0; found {self.n_shuffles}.")
        if self.min_size < 2 or self.depth not in range(5) or not 0 <= self.merge_height < 2:
            raise InputError(
                "min_size is at least 2, depth 0 to 4 and merge_height in [0, 2); found "
                f"{self.min_size}, {self.depth} and {self.merge_height}."
            )
        if self.power != "auto" and not (
            isinstance(self.power, int | float) and 0 < self.power < np.inf
        ):
            raise InputError(f"power is positive or 'auto'; found {self.power!r}.")

    def _scaled(self, x: Array) -> Array:
        return np.nan_to_num((x - self.mean_) / self.scale_, nan=0.0)

    def _choose_power(self, correlation: Array, n_samples: int) -> None:
        self.power_table_, self.scale_free_ = np.empty((0, 4)), True
        if self.power != "auto":
            self.power_ = float(self.power)
            return
        rows = []
        base = adjacency(correlation, network=self.network, power=1.0)
        for power in _POWERS:
            degree = (base**power).sum(axis=0) - 1
            rows.append((power, *scale_free_fit(degree), float(degree.mean())))
        self.power_table_ = np.array(rows)
        fit = (self.power_table_[:, 1] >= self.min_fit) & (self.power_table_[:, 2] < 0)
        self.scale_free_ = bool(fit.any())
        self.power_ = (
            float(self.power_table_[fit, 0].min())
            if self.scale_free_
            else _usual_power(self.network, n_samples)
        )

    def _modules(self, z: Array, links: Array) -> NDArray[np.int64]:
        return self._merged(z, self._members(z, self._cut(links)))

    def _members(self, z: Array, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Let genes go that hardly follow the score of their module."""
        if not self.min_membership > 0:
            return labels
        out = labels.copy()
        for name in range(1, int(labels.max(initial=0)) + 1):
            own = np.flatnonzero(labels == name)
            score = _score(z[:, own])[0]
            along = z[:, own].T @ score / np.sqrt(len(z) - 1)
            along = np.abs(along) if self.network == "unsigned" else along
            stays = along >= self.min_membership
            out[own] = name if stays.sum() >= self.min_size else 0
            out[own[~stays]] = 0
        return out

    def _cut(self, links: Array) -> NDArray[np.int64]:
        distance = 1 - (overlap(links) if self.use_overlap else links)
        np.fill_diagonal(distance, 0.0)
        tree = linkage(squareform(distance, checks=False), "average")
        return cut_branches(tree, distance, min_size=self.min_size, depth=self.depth)

    def _merged(self, z: Array, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Merge modules of like scores until none is left to merge; number them by size."""
        while True:
            names = np.unique(labels[labels > 0])
            if len(names) < 2:
                break
            scores = np.column_stack([_score(z[:, labels == name])[0] for name in names])
            apart = np.clip(1 - np.corrcoef(scores.T), 0.0, 2.0)
            np.fill_diagonal(apart, 0.0)
            tree = linkage(squareform(apart, checks=False), "average")
            groups = fcluster(tree, self.merge_height, criterion="distance")
            if groups.max() == len(names):
                break
            new = np.zeros_like(labels)
            for name, group in zip(names, groups, strict=True):
                new[labels == name] = group
            labels = new
        return _by_size(labels)

    def _strong(self, z: Array, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Dissolve modules that are no stronger than those of shuffled genes."""
        if self.n_shuffles == 0 or not labels.any():
            return labels
        random = np.random.default_rng(check_random_state(self.random_state).randint(0, 2**31 - 1))
        strongest = []
        for _ in range(self.n_shuffles):
            noise = random.permuted(z, axis=0)
            links = adjacency(_correlation(noise), network=self.network, power=self.power_)
            found = _strength(noise, self._modules(noise, links))
            strongest.append(found.max(initial=1.0))
        k = self.n_shuffles
        spread = np.std(strongest, ddof=1) if k > 1 else 0.0
        reach = t_quantile(0.95, max(k - 1, 1)) * spread * np.sqrt(1 + 1 / k)
        self.needed_ = float(max(np.mean(strongest) + reach, np.max(strongest)))
        strong = np.flatnonzero(_strength(z, labels) > self.needed_) + 1
        return _by_size(np.where(np.isin(labels, strong), labels, 0))

    def _describe(self, z: Array, varies: NDArray[np.int64], links: Array) -> None:
        found = [_score(z[:, self.labels_ == name]) for name in range(1, self.labels_.max() + 1)]
        self.loadings_ = tuple(loading for _, loading, _ in found)
        self.explained_ = np.array([share for _, _, share in found])
        self.strength_ = _strength(z, self.labels_)
        scores = np.column_stack([score for score, _, _ in found]) if found else z[:, :0]
        # Scores have length 1 and genes length sqrt(n - 1).
        self.membership_ = z.T @ scores / np.sqrt(max(len(z) - 1, 1))
        self.connectivity_ = np.zeros(len(self.labels_))
        place = np.full(len(self.labels_), -1)
        place[varies] = np.arange(len(varies))
        for name in range(1, self.labels_.max() + 1):
            own = place[self.labels_ == name]
            inside = links[np.ix_(own, own)].sum(axis=0) - 1
            self.connectivity_[self.labels_ == name] = inside


def _correlation(z: Array) -> Array:
    found = np.clip(z.T @ z / (len(z) - 1), -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def _strength(z: Array, labels: NDArray[np.int64]) -> Array:
    """Return the largest eigenvalue of each module over its edge for independent genes."""
    out = []
    for name in range(1, int(labels.max(initial=0)) + 1):
        members = z[:, labels == name]
        m = members.shape[1]
        out.append(first_component(members)[1] * m / (1 + np.sqrt(m / len(z))) ** 2)
    return np.array(out)


def _score(members: Array) -> tuple[Array, Array, float]:
    loading, share = first_component(members)
    return members @ loading, loading, share


def _module_scores(
    z: Array, labels: NDArray[np.int64], loadings: tuple[NDArray[np.float64], ...]
) -> Array:
    columns = [z[:, labels == name] @ own for name, own in enumerate(loadings, 1)]
    return np.column_stack(columns) if columns else np.empty((len(z), 0))


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    names = [name for name in np.unique(labels) if name > 0]
    names.sort(key=lambda name: (-int((labels == name).sum()), int(np.argmax(labels == name))))
    out = np.zeros_like(labels)
    for number, name in enumerate(names, 1):
        out[labels == name] = number
    return out


def _usual_power(network: str, n_samples: int) -> float:
    """Soft threshold recommended where no power makes the network scale-free."""
    row = int(np.searchsorted([20, 30, 40], n_samples, side="right"))
    signed = (20.0, 18.0, 16.0, 12.0)[row]
    return signed if network == "signed" else (10.0, 9.0, 8.0, 6.0)[row]


def module_table(estimator: Any, table: OmicsTable) -> OmicsTable:
    """Return module scores of a table as a layer "pathway" with features M1, M2, …

    Parameters
    ----------
    estimator : CoexpressionModules, Metagenes or IndependentPrograms
        Fitted on these genes in this order.
    table : OmicsTable
        Expression.

    Returns
    -------
    OmicsTable
        Scale "module".
    """
    scores = estimator.transform(table.values)
    names = [f"M{number + 1}" for number in range(scores.shape[1])]
    return OmicsTable(table.samples, names, scores, "pathway", "module")
