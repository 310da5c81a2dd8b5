"""Parallel ICA: two blocks unmixed at once, linked components pulled together."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import FitError, InputError
from radgen.multivariate._estimators import TwoBlocks

__all__ = ["ParallelICA"]


class ParallelICA(TwoBlocks):
    """Independent components of two blocks whose subject loadings correlate.

    Each block (subjects x features) is factored into loadings ``A`` (subjects x components) and
    sources ``S`` (components x features). The unmixing matrices maximise the Infomax likelihood
    of both blocks plus the Gaussian log likelihood of the linked loadings,
    ``coupling * (-n / 2) sum log(1 - r^2)`` over the linked pairs.

    Parameters
    ----------
    n_components : int or tuple of two int, default 6
        Components of each block.
    coupling : float, default 1
        Weight of the link term; 0 gives two separate ICAs, 1 its natural (likelihood) weight.
    n_links : int, default 3
        At most this many pairs are pulled together.
    threshold : float, default 0.3
        Only pairs whose loadings correlate at least this strongly are pulled.
    reference : ndarray of bool or float (n_y_features,) or None
        A reference for sources of the second block (a set of variants, say). The component that
        matches it best is pulled towards it: parallel ICA with reference.
    reference_weight : float, default 0
        Weight of the reference; 0 = the reference is not used.
    max_rounds : int, default 30
        Rounds of choosing links and re-optimising.
    tol : float, default 1e-7
        Relative change of the objective at which a round ends.
    random_state : int, RandomState or None
        Start of the unmixing.

    Attributes
    ----------
    x_loadings_, y_loadings_ : ndarray of float64 (n_subjects, n_components)
        Unit-variance loadings.
    x_sources_, y_sources_ : ndarray of float64 (n_components, n_features)
        Unit-variance sources; signs make the skewness positive.
    links_ : ndarray of int64 (n_links, 2)
        Linked pairs (component of X, component of y), strongest first.
    link_correlations_ : ndarray of float64 (n_links,)
        Correlation of their loadings (optimistic: see `link_significance`).

    Raises
    ------
    InputError
        If a parameter is out of range.
    FitError
        If the optimiser fails.

    Notes
    -----
    The published algorithm alternates stochastic Infomax steps with a correlation step and
    ends by a heuristic. Here both are one smooth objective for given links, maximised by
    L-BFGS; links are chosen greedily (each component at most once) until they no longer change.

    References
    ----------
    Liu et al. (2009), Hum Brain Mapp 30:241. doi:10.1002/hbm.20508
    Chen et al. (2013), NeuroImage 83:384 (with reference). doi:10.1016/j.neuroimage.2013.05.073
    """

    def __init__(
        self,
        n_components: int | tuple[int, int] = 6,
        *,
        coupling: float = 1.0,
        n_links: int = 3,
        threshold: float = 0.3,
        reference: NDArray[Any] | None = None,
        reference_weight: float = 0.0,
        max_rounds: int = 30,
        tol: float = 1e-7,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.coupling = coupling
        self.n_links = n_links
        self.threshold = threshold
        self.reference = reference
        self.reference_weight = reference_weight
        self.max_rounds = max_rounds
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_subjects, n_x_features) and y (n_subjects, n_y_features); no NaN."""
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=3
        )
        counts = self.n_components
        k_x, k_y = counts if isinstance(counts, tuple) else (counts, counts)
        if self.coupling < 0 or self.reference_weight < 0 or not 0 <= self.threshold < 1:
            raise InputError("Weights are not negative, and threshold lies in [0, 1).")
        rng = check_random_state(self.random_state)
        left = _Side(X, k_x, rng)
        right = _Side(np.asarray(y, dtype=np.float64).reshape(len(y), -1), k_y, rng)
        reference = self._reference(right)
        self._maximise(left, right, reference)
        self.x_loadings_, self.x_sources_, self._x_out = left.finish()
        self.y_loadings_, self.y_sources_, self._y_out = right.finish()
        correlation = _correlation(self.x_loadings_, self.y_loadings_)
        pairs = _greedy(np.abs(correlation), self.n_links, 0.0)
        self.links_ = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        self.link_correlations_ = np.array([correlation[i, j] for i, j in pairs])
        return self

    def _reference(self, right: _Side) -> NDArray[np.float64] | None:
        if self.reference is None or self.reference_weight == 0:
            return None
        given = np.asarray(self.reference, dtype=np.float64)
        if given.shape != (right.white.shape[1],) or given.std() == 0:
            raise InputError(
                f"The reference has shape {given.shape}; it names {right.white.shape[1]} features "
                "and is not constant."
            )
        return np.asarray((given - given.mean()) / given.std())

    def _maximise(self, left: _Side, right: _Side, reference: NDArray[np.float64] | None) -> None:
        pairs: list[tuple[int, int]] = []
        pulled = -1
        for _ in range(self.max_rounds):
            chosen = []
            if self.coupling > 0:
                strength = np.abs(_correlation(left.loadings(), right.loadings()))
                chosen = _greedy(strength, self.n_links, self.threshold)
            target = -1
            if reference is not None:
                target = int(np.argmax(np.abs(right.sources() @ reference)))
            if chosen == pairs and target == pulled:
                return
            pairs, pulled = chosen, target
            self._optimise(left, right, pairs, (pulled, reference))

    def _optimise(
        self,
        left: _Side,
        right: _Side,
        pairs: list[tuple[int, int]],
        pull: tuple[int, NDArray[np.float64] | None],
    ) -> None:
        from scipy.optimize import minimize

        n, split = left.n_subjects, left.unmixing.size
        total = left.white.shape[1] + right.white.shape[1]

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            left.unmixing = flat[:split].reshape(left.unmixing.shape)
            right.unmixing = flat[split:].reshape(right.unmixing.shape)
            value_left, slope_left = left.likelihood()
            value_right, slope_right = right.likelihood()
            link, toward_left, toward_right = _link_term(left.loadings(), right.loadings(), pairs)
            weight = self.coupling * n / 2
            value = value_left + value_right + weight * link
            slope_left = slope_left + weight * left.through_loadings(toward_left)
            slope_right = slope_right + weight * right.through_loadings(toward_right)
            if pull[1] is not None:
                extra, slope = right.reference_term(*pull)
                scale = self.reference_weight * right.white.shape[1] / 2
                value, slope_right = value + scale * extra, slope_right + scale * slope
            slope = np.concatenate([slope_left.ravel(), slope_right.ravel()])
            return -value / total, -slope / total

        start = np.concatenate([left.unmixing.ravel(), right.unmixing.ravel()])
        found = minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 2000, "ftol": self.tol * 1e-3, "gtol": 1e-7, "maxcor": 20},
        )
        if not np.isfinite(found.fun):
            raise FitError("The unmixing diverged; try fewer components.")
        objective(found.x)

    def transform(self, X: Any, y: Any = None) -> Any:
        """Return loadings of new subjects on the sources: of X, or of the pair with `y`."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        mean, project = self._x_out
        x_loadings = (X - mean) @ project
        if y is None:
            return x_loadings
        mean, project = self._y_out
        return x_loadings, (np.asarray(y, dtype=np.float64).reshape(len(X), -1) - mean) @ project

    def pair_weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights that give the loadings of the strongest link, (n_x,) and (n_y,)."""
        check_is_fitted(self)
        first, second = self.links_[0]
        return self._x_out[1][:, first], self._y_out[1][:, second]


class _Side:
    """One block: whitened features, its unmixing matrix, and gradients through its loadings."""

    def __init__(self, array: NDArray[np.float64], n_components: int, rng: Any) -> None:
        from sklearn.decomposition import FastICA

        self.n_subjects, n_features = array.shape
        limit = min(self.n_subjects - 1, n_features)
        if not 1 <= n_components <= limit:
            raise InputError(f"{n_components} components are asked for; possible are 1 to {limit}.")
        self.mean = array.mean(axis=0)
        centred = array - self.mean
        centred = centred - centred.mean(axis=1, keepdims=True)
        u, s, vt = np.linalg.svd(centred, full_matrices=False)
        self.scale = s[:n_components] / np.sqrt(n_features)
        if self.scale[-1] <= 1e-10 * self.scale[0]:
            raise InputError(f"The block has a rank below {n_components}.")
        self.dewhiten = u[:, :n_components] * self.scale
        self.white = vt[:n_components] * np.sqrt(n_features)
        seed = int(rng.randint(2**31 - 1))
        ica = FastICA(whiten=False, max_iter=500, tol=1e-7, random_state=seed)
        with warnings.catch_warnings():  # a start is wanted here: the likelihood is climbed below
            warnings.simplefilter("ignore", ConvergenceWarning)
            ica.fit(self.white.T)
        self.unmixing = np.asarray(ica.components_) * 1.8

    def sources(self) -> NDArray[np.float64]:
        found = self.unmixing @ self.white
        return np.asarray(found / found.std(axis=1, keepdims=True))

    def loadings(self) -> NDArray[np.float64]:
        return np.asarray(self.dewhiten @ np.linalg.inv(self.unmixing))

    def likelihood(self) -> tuple[float, NDArray[np.float64]]:
        """Return the Infomax log likelihood (logistic sources) and its gradient."""
        found = self.unmixing @ self.white
        half = np.tanh(found / 2)
        n_features = self.white.shape[1]
        sign, logdet = np.linalg.slogdet(self.unmixing)
        value = n_features * logdet - 2 * np.logaddexp(found / 2, -found / 2).sum()
        slope = n_features * np.linalg.inv(self.unmixing).T - half @ self.white.T
        return (float(value) if sign != 0 else -np.inf), slope

    def through_loadings(self, slope: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn a gradient with respect to the loadings into one for the unmixing matrix."""
        back = np.linalg.inv(self.unmixing).T
        return np.asarray(-back @ self.dewhiten.T @ slope @ back)

    def reference_term(
        self, component: int, reference: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return ``-log(1 - r^2)`` of one source with the reference, and its gradient."""
        source = self.unmixing[component] @ self.white
        value, slope, _ = _log_link(source, reference)
        full = np.zeros_like(self.unmixing)
        full[component] = self.white @ slope
        return value, full

    def finish(self) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[Any, Any]]:
        sources = self.sources()
        skew = np.sign((sources**3).sum(axis=1))
        skew[skew == 0] = 1.0
        sources = sources * skew[:, None]
        loadings = self.loadings() * (self.unmixing @ self.white).std(axis=1) * skew
        spread = loadings.std(axis=0)
        project = np.linalg.pinv(sources) / spread
        return loadings / spread, sources, (self.mean, project - project.mean(axis=0))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return np.asarray((a / np.linalg.norm(a, axis=0)).T @ (b / np.linalg.norm(b, axis=0)))


def _greedy(strength: NDArray[np.float64], most: int, threshold: float) -> list[tuple[int, int]]:
    """Return the strongest pairs, each row and column at most once, in falling order."""
    left = strength.copy()
    pairs: list[tuple[int, int]] = []
    while len(pairs) < min(most, *strength.shape):
        i, j = np.unravel_index(np.argmax(left), left.shape)
        if left[i, j] < threshold:
            break
        pairs.append((int(i), int(j)))
        left[i, :] = -1.0
        left[:, j] = -1.0
    return pairs


def _log_link(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return ``-log(1 - r^2)`` of two vectors and its gradients."""
    a, b = a - a.mean(), b - b.mean()
    size_a, size_b = np.linalg.norm(a), np.linalg.norm(b)
    x, z = a / size_a, b / size_b
    r = float(np.clip(x @ z, -1 + 1e-12, 1 - 1e-12))
    steep = 2 * r / (1 - r * r)
    return -np.log1p(-r * r), steep * (z - r * x) / size_a, steep * (x - r * z) / size_b


def _link_term(
    a: NDArray[np.float64], b: NDArray[np.float64], pairs: list[tuple[int, int]]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    value, slope_a, slope_b = 0.0, np.zeros_like(a), np.zeros_like(b)
    for i, j in pairs:
        term, toward_a, toward_b = _log_link(a[:, i], b[:, j])
        value += term
        slope_a[:, i] += toward_a
        slope_b[:, j] += toward_b
    return value, slope_a, slope_b
