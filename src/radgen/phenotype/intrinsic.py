"""Intrinsic imaging phenotypes: groups of samples, how many, and how stable they are."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.stats.clustering import consensus_matrix, gap_statistic, kmeans

__all__ = ["IntrinsicPhenotypes"]

FloatArray = NDArray[np.float64]
Method = Literal["kmeans", "mixture"]


class IntrinsicPhenotypes(ClusterMixin, BaseEstimator):
    """Groups of samples by consensus clustering, and assignment of new samples to them.

    Columns are standardised and turned into principal components. The number of groups is that of
    the gap statistic, which can be one. Groups are those of average linkage on how often two
    samples fall together when parts of the samples are clustered.

    Parameters
    ----------
    n_clusters : int or "gap"
        Number of groups, or chosen by the gap statistic.
    max_clusters : int, default 6
        Most groups that are tried.
    method : {"kmeans", "mixture"}
        k-means, or a mixture of normal distributions with diagonal covariances.
    variance : float, default 0.9
        Principal components are kept until they hold this share of the variance.
    draws : int, default 100
        Parts of the samples for consensus and stability.
    share : float, default 0.8
        Size of a part.
    references : int, default 50
        Reference data sets of the gap statistic.
    random_state : int, RandomState or None
        Of all draws.

    Attributes
    ----------
    labels_ : int (n_samples,)
        Group of each training sample, from 0.
    n_clusters_ : int
        Number of groups.
    gap_ : GapStatistic or None
        Of 1 to `max_clusters`; None where `n_clusters` was given.
    consensus_ : float64 (n_samples, n_samples)
        How often two samples fall together.
    ambiguous_ : float
        Share of pairs that fall together in more than a tenth and less than nine tenths of the
        draws: 0 = crisp groups.
    stability_ : float64 (n_clusters_,)
        Mean Jaccard index of each group with its like in clusterings of parts of the samples;
        below 0.6 a group is not to be trusted.
    centers_ : float64 (n_clusters_, n_components)
        Mean of each group in the space of the components.
    mean_, scale_ : float64 (n_features,)
        Standardisation.
    components_ : float64 (n_components, n_features)
        Principal directions.
    n_features_in_ : int
        Columns of X.

    References
    ----------
    Monti et al. 2003, doi:10.1023/A:1023949509487. Tibshirani et al. 2001,
    doi:10.1111/1467-9868.00293. Hennig 2007, doi:10.1016/j.csda.2006.11.025. Senbabaoglu et al.
    2014, doi:10.1038/srep06207 (ambiguous pairs).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.vstack([rng.normal(size=(30, 5)) + 4 * k for k in range(3)])
    >>> model = IntrinsicPhenotypes(random_state=0, draws=20, references=10).fit(x)
    >>> model.n_clusters_, bool(model.stability_.min() > 0.9)
    (3, True)
    """

    def __init__(
        self,
        n_clusters: int | Literal["gap"] = "gap",
        *,
        max_clusters: int = 6,
        method: Method = "kmeans",
        variance: float = 0.9,
        draws: int = 100,
        share: float = 0.8,
        references: int = 50,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.max_clusters = max_clusters
        self.method = method
        self.variance = variance
        self.draws = draws
        self.share = share
        self.references = references
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find groups of the training rows.

        Parameters
        ----------
        X : array (n_samples, n_features)
            Features, complete.
        y : ignored
            Not used.

        Returns
        -------
        IntrinsicPhenotypes
            Itself.

        Raises
        ------
        InputError
            If an option is out of range, or no column varies.
        """
        require_choice(self.method, ("kmeans", "mixture"), what="method")
        if not 0 < self.variance <= 1 or not 0 < self.share < 1 or self.draws < 1:
            raise InputError(
                "variance lies in (0, 1], share in (0, 1), and draws is at least 1; they are "
                f"{self.variance}, {self.share} and {self.draws}."
            )
        values = validate_data(self, X, dtype=np.float64, ensure_min_samples=3)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        scores = self._learn_space(values)
        most = min(self.max_clusters, len(values) - 1)
        self.gap_ = None
        if self.n_clusters == "gap":
            if most < 2:
                raise InputError(f"{len(values)} samples are too few for a choice of groups.")
            self.gap_ = gap_statistic(
                scores, self._cluster, max_k=most, rng=rng, references=self.references
            )
            self.n_clusters_ = self.gap_.best
        else:
            self.n_clusters_ = int(self.n_clusters)
            if not 1 <= self.n_clusters_ < len(values):
                raise InputError(
                    f"n_clusters lies between 1 and {len(values) - 1}, not at {self.n_clusters}."
                )
        self._group(scores, rng)
        return self

    def _learn_space(self, values: FloatArray) -> FloatArray:
        self.mean_ = values.mean(axis=0)
        spread = values.std(axis=0)
        floor = 1e-12 * np.maximum(np.abs(values).max(axis=0), 1e-300)
        if (spread <= floor).all():
            raise InputError("No column varies.")
        self.scale_ = np.where(spread > floor, spread, np.inf)
        scaled = (values - self.mean_) / self.scale_
        _, size, turned = np.linalg.svd(scaled, full_matrices=False)
        share = np.cumsum(size**2) / (size**2).sum()
        kept = int(np.searchsorted(share, self.variance - 1e-12)) + 1
        self.components_ = turned[: min(kept, len(size))]
        return np.asarray(scaled @ self.components_.T)

    def _cluster(self, x: FloatArray, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if k == 1:
            return np.zeros(len(x), dtype=np.int64)
        if self.method == "kmeans":
            return kmeans(x, k, rng=rng, starts=5)
        model = self._mixture(k, int(rng.integers(2**31)))
        return np.asarray(model.fit_predict(x), dtype=np.int64)

    def _mixture(self, k: int, seed: int) -> Any:
        from sklearn.mixture import GaussianMixture

        return GaussianMixture(
            k, covariance_type="diag", reg_covar=1e-3, n_init=2, random_state=seed
        )

    def _group(self, scores: FloatArray, rng: np.random.Generator) -> None:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        k = self.n_clusters_
        self.consensus_ = consensus_matrix(
            scores, k, self._cluster, rng=rng, draws=self.draws, share=self.share
        )
        apart = squareform(1 - self.consensus_, checks=False)
        self.ambiguous_ = float(((apart > 0.1) & (apart < 0.9)).mean())
        labels = np.zeros(len(scores), dtype=np.int64)
        if k > 1:
            found = fcluster(linkage(apart, "average"), k, criterion="maxclust")
            _, first, place = np.unique(found, return_index=True, return_inverse=True)
            labels = np.argsort(np.argsort(first))[place].astype(np.int64)
        self.labels_ = labels
        self.n_clusters_ = int(labels.max()) + 1
        self.centers_ = np.stack(
            [scores[labels == g].mean(axis=0) for g in range(self.n_clusters_)]
        )
        self.spread_ = np.stack([scores[labels == g].std(axis=0) for g in range(self.n_clusters_)])
        self.stability_ = self._stability(scores, rng)

    def _stability(self, scores: FloatArray, rng: np.random.Generator) -> FloatArray:
        k, n = self.n_clusters_, len(scores)
        size = max(k + 1, round(self.share * n))
        found = np.zeros((self.draws, k))
        for d in range(self.draws):
            rows = rng.choice(n, size=min(size, n), replace=False)
            other = self._cluster(scores[rows], k, rng)
            member = self.labels_[rows][:, None] == np.arange(k)
            like = other[:, None] == np.arange(int(other.max()) + 1)
            both = member.T.astype(float) @ like
            either = member.sum(axis=0)[:, None] + like.sum(axis=0) - both
            found[d] = (both / np.maximum(either, 1)).max(axis=1)
        return found.mean(axis=0)

    def transform_space(self, X: Any) -> FloatArray:
        """Return samples in the space of the components, float64 (n_samples, n_components)."""
        check_is_fitted(self, "centers_")
        values = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray((values - self.mean_) / self.scale_ @ self.components_.T)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the group of the nearest centre, int (n_samples,)."""
        return np.asarray(np.argmax(self._log_odds(X), axis=1), dtype=np.int64)

    def predict_proba(self, X: Any) -> FloatArray:
        """Return how likely each group is, (n_samples, n_clusters_).

        Of normal distributions about the centres, with one common spread (k-means) or each
        group's own (mixture), weighted alike.
        """
        odds = self._log_odds(X)
        weight = np.exp(odds - odds.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def _log_odds(self, X: Any) -> FloatArray:
        x = self.transform_space(X)
        gap = x[:, None, :] - self.centers_
        if self.method == "mixture":
            sd = np.maximum(self.spread_, 1e-3)
            return np.asarray(-0.5 * ((gap / sd) ** 2).sum(axis=2) - np.log(sd).sum(axis=1))
        inside = float((self.spread_**2).mean())
        return np.asarray(-0.5 * (gap**2).sum(axis=2) / max(inside, 1e-12))
