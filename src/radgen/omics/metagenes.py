"""Parts of expression, learned on samples: metagenes and independent programs."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.decomposition import NMF, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from radgen.errors import FitError, InputError

__all__ = ["IndependentPrograms", "Metagenes"]

Array = NDArray[np.float64]


class Metagenes(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Additive parts of expression by non-negative matrix factorisation.

    Parameters
    ----------
    n_components : int, default 5
        Number of metagenes.
    n_starts : int, default 10
        Random starts; the one with the smallest error is kept.
    max_iter : int, default 1000
        Steps of each.
    random_state : int, RandomState or None, default None
        Of the starts.

    Attributes
    ----------
    components_ : ndarray of float64 (n_components, n_features_in_)
        Weight of each gene, each metagene with length 1, the strongest first.
    labels_ : ndarray of int64 (n_features_in_,)
        The metagene with the largest weight relative to all genes, 1, 2, …; 0 = no weight.
    n_iter_ : int
        Steps of the start that was kept.
    error_ : float
        Share of the squared expression (above the genes' minima) that is not explained.
    cophenetic_ : float
        How steadily samples fall into the same metagenes over the starts, 1 = always; NaN with
        one start. A drop beyond some number of metagenes says that they are too many.

    Raises
    ------
    InputError
        If an option is out of range.

    Notes
    -----
    Each gene's smallest fitted value is taken off, so that values are not negative; smaller
    values of new samples count as 0. Genes are divided by their deviation.

    References
    ----------
    Brunet et al. (2004), PNAS 101, 4164, doi:10.1073/pnas.0308531101.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.gamma(1.0, size=(40, 2)) @ np.repeat(np.eye(2), 6, axis=1)
    >>> found = Metagenes(2, random_state=0).fit(truth + 0.05 * rng.standard_normal((40, 12)))
    >>> len(set(found.labels_[:6])), len(set(found.labels_[6:]))
    (1, 1)
    """

    def __init__(
        self,
        n_components: int = 5,
        *,
        n_starts: int = 10,
        max_iter: int = 1000,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.n_starts = n_starts
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn the metagenes.

        Parameters
        ----------
        X : array_like of float64 (n_samples, n_genes)
            Expression on a log scale, no NaN.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        if self.n_components < 1 or self.n_starts < 1:
            raise InputError("n_components and n_starts are at least 1.")
        self.floor_ = x.min(axis=0)
        spread = x.std(axis=0)
        self.scale_ = np.where(spread > 0, spread, np.inf)
        shifted = self._shifted(x)
        random = check_random_state(self.random_state)
        seeds = random.randint(0, 2**31 - 1, self.n_starts)
        best, classes, least = None, [], np.inf
        for seed in seeds:
            model = self._model(int(seed))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                scores = model.fit_transform(shifted)
            classes.append((scores * np.linalg.norm(model.components_, axis=1)).argmax(axis=1))
            if model.reconstruction_err_ < least:
                best, least = model, float(model.reconstruction_err_)
                self.n_iter_ = int(model.n_iter_)
        assert best is not None
        self._keep(best, shifted, least)
        self.cophenetic_ = _cophenetic(classes)
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Return the amount of each metagene, float64 (n_samples, n_components).

        Parameters
        ----------
        X : array_like of float64 (n_samples, n_genes)
            The fitted genes in the same order.

        Returns
        -------
        ndarray of float64 (n_samples, n_components)
            Not negative.
        """
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return _amounts(self._shifted(x), self.components_)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _shifted(self, x: Array) -> Array:
        return np.asarray(np.maximum(x - self.floor_, 0.0) / self.scale_)

    def _model(self, seed: int) -> NMF:
        return NMF(
            self.n_components, init="random", random_state=seed, max_iter=self.max_iter, tol=1e-6
        )

    def _keep(self, model: NMF, shifted: Array, error: float) -> None:
        weights = model.components_
        length = np.linalg.norm(weights, axis=1)
        amounts = _amounts(shifted, weights)
        strength = np.linalg.norm(amounts, axis=0) * length
        order = np.argsort(-strength, kind="stable")
        safe = np.where(length > 0, length, 1.0)
        self.components_ = np.asarray(weights / safe[:, None])[order]
        total = float(np.linalg.norm(shifted))
        self.error_ = (error / total) ** 2 if total > 0 else 0.0
        share = self.components_ * strength[order][:, None]
        self.labels_ = np.where(share.max(axis=0) > 0, share.argmax(axis=0) + 1, 0)


def _amounts(shifted: Array, weights: Array) -> Array:
    """Return the least-squares amounts that are not negative, a sample a row."""
    from scipy.optimize import nnls

    basis = np.ascontiguousarray(weights.T)
    return np.array([nnls(basis, row)[0] for row in shifted]).reshape(len(shifted), len(weights))


def _cophenetic(classes: list[NDArray[np.int64]]) -> float:
    """Correlation of the consensus of classes with the tree built of it."""
    from scipy.cluster.hierarchy import cophenet

    if len(classes) < 2 or len(classes[0]) < 3:
        return float("nan")
    together = np.mean([own[:, None] == own for own in classes], axis=0)
    apart = squareform(1 - together, checks=False)
    if not np.ptp(apart) > 0:
        return 1.0
    found = cophenet(linkage(apart, "average"))
    return float(np.corrcoef(found, apart)[0, 1])


class IndependentPrograms(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Programs of expression whose gene weights are statistically independent (ICA).

    Parameters
    ----------
    n_components : int, default 5
        Number of programs.
    z_threshold : float, default 3
        A gene belongs to a program where its weight is as many deviations from 0.
    max_iter : int, default 1000
        Steps of the search.
    random_state : int, RandomState or None, default None
        Of its start.

    Attributes
    ----------
    components_ : ndarray of float64 (n_components, n_features_in_)
        Weights of genes, standard deviation 1, positively skewed, the one that carries the most
        variance first.
    labels_ : ndarray of int64 (n_features_in_,)
        Program in which the gene's weight is farthest from 0, where that is beyond the
        threshold; 0 = none.
    explained_ : ndarray of float64 (n_components,)
        Share of the variance of all genes.
    n_iter_ : int
        Steps of the search.

    Raises
    ------
    InputError
        If there are not fewer programs than samples and genes, or an option is out of range.
    FitError
        If the search does not converge.

    Notes
    -----
    Genes are centred over the fitted samples; the components of a principal-component reduction
    are rotated so that the weights *over genes* are independent. Scores of samples are least
    squares on the weights.

    References
    ----------
    Hyvärinen (1999), IEEE Trans. Neural Netw. 10, 626, doi:10.1109/72.761722. Biton et al.
    (2014), Cell Rep. 9, 1235, doi:10.1016/j.celrep.2014.10.035.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> weights = rng.exponential(size=(2, 200)) ** 2
    >>> values = rng.standard_normal((30, 2)) @ weights + 0.1 * rng.standard_normal((30, 200))
    >>> found = IndependentPrograms(2, random_state=0).fit(values)
    >>> across = np.abs(np.corrcoef(found.components_, weights)[:2, 2:])
    >>> bool((across.max(axis=1) > 0.98).all())
    True
    """

    def __init__(
        self,
        n_components: int = 5,
        *,
        z_threshold: float = 3.0,
        max_iter: int = 1000,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.z_threshold = z_threshold
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn the programs.

        Parameters
        ----------
        X : array_like of float64 (n_samples, n_genes)
            Expression on a log scale, no NaN.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=3, ensure_min_features=2)
        k = self.n_components
        if not 1 <= k < min(x.shape) or not self.z_threshold > 0:
            raise InputError(
                f"n_components lies between 1 and {min(x.shape) - 1} here and z_threshold above "
                f"0; found {k} and {self.z_threshold}."
            )
        self.mean_ = x.mean(axis=0)
        centred = x - self.mean_
        model = FastICA(
            k, whiten="unit-variance", max_iter=self.max_iter, tol=1e-6,
            random_state=self.random_state, whiten_solver="svd",
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                weights = model.fit_transform(centred.T).T
            except ConvergenceWarning as error:
                raise FitError(
                    f"{k} independent programs were not found in {self.max_iter} steps. Ask for "
                    "fewer programs, or raise max_iter."
                ) from error
        self.n_iter_ = int(model.n_iter_)
        weights = weights / weights.std(axis=1, keepdims=True)
        skew = ((weights - weights.mean(axis=1, keepdims=True)) ** 3).mean(axis=1)
        weights *= np.where(skew < 0, -1.0, 1.0)[:, None]
        scores = centred @ np.linalg.pinv(weights)
        power = np.array(
            [(np.outer(s, w) ** 2).sum() for s, w in zip(scores.T, weights, strict=True)]
        )
        order = np.argsort(-power, kind="stable")
        self.components_ = np.asarray(weights[order])
        total = float((centred**2).sum())
        self.explained_ = power[order] / total if total > 0 else np.zeros(k)
        z = np.abs(self.components_)
        self.labels_ = np.where(z.max(axis=0) >= self.z_threshold, z.argmax(axis=0) + 1, 0)
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Return the activity of each program, float64 (n_samples, n_components).

        Parameters
        ----------
        X : array_like of float64 (n_samples, n_genes)
            The fitted genes in the same order.

        Returns
        -------
        ndarray of float64 (n_samples, n_components)
            Least squares on the weights.
        """
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray((x - self.mean_) @ np.linalg.pinv(self.components_))

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)
