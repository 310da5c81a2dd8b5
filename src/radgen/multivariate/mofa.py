"""MOFA factors of two blocks through mofapy2, which is an extra."""

from __future__ import annotations

import contextlib
import io
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen._core.require import require
from radgen.errors import FitError, InputError
from radgen.multivariate._blocks import Block
from radgen.multivariate._estimators import TwoBlocks

__all__ = ["MofaFactors"]

Array = NDArray[np.float64]


class MofaFactors(TwoBlocks):
    """Latent factors that explain variance in one block or in both (MOFA).

    Parameters
    ----------
    n_components : int, default 5
        Factors.
    max_iter : int, default 200
        Variational updates at most.
    random_state : int or None, default None
        Seed; None = 0.

    Attributes
    ----------
    factors_ : ndarray of float64 (n_samples, n_components)
        Posterior means of the training samples' factors, the most shared first.
    x_weights_, y_weights_ : ndarray of float64 (n_features, n_components)
        Posterior means of the weights on standardised columns.
    variance_explained_ : ndarray of float64 (2, n_components)
        Share of each block's variance that each factor explains.

    Raises
    ------
    MissingDependencyError
        If mofapy2 is not installed (``pip install radgen[mofa]``).
    InputError
        If `n_components` is out of range.
    FitError
        If the factors are not finite.

    Notes
    -----
    Factors are sorted by the smaller of the two shares of variance, since a factor of one block
    links nothing. `transform` gives each block its own least-squares factor scores, so that
    their correlation in held-out rows can be asked: MOFA itself estimates one score from both,
    whose two halves cannot be compared.

    References
    ----------
    Argelaguet et al. (2020), Genome Biol 21:111. doi:10.1186/s13059-020-02015-1
    """

    def __init__(
        self, n_components: int = 5, *, max_iter: int = 200, random_state: int | None = None
    ) -> None:
        self.n_components = n_components
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (n_samples, n_x_features) and y (n_samples, n_y_features); no NaN."""
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=3
        )
        if not 1 <= self.n_components < len(X):
            raise InputError(f"n_components is {self.n_components}; there are {len(X)} samples.")
        left = Block(X, name="X")
        right = Block(np.asarray(y, dtype=np.float64).reshape(len(y), -1), name="y")
        factors, weights = self._train(left.dense(), right.dense())
        blocks = (left.dense(), right.dense())
        shares = np.array([_shares(b, factors, w) for b, w in zip(blocks, weights, strict=True)])
        order = np.argsort(-shares.min(axis=0), kind="stable")
        self.factors_, self.variance_explained_ = factors[:, order], shares[:, order]
        self.x_weights_, self.y_weights_ = weights[0][:, order], weights[1][:, order]
        self._scaling = ((left.mean, left.scale), (right.mean, right.scale))
        return self

    def transform(self, X: Any, y: Any = None) -> Any:
        """Return factor scores of new rows from X alone, or the pair where `y` is given."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        (mean, scale), (y_mean, y_scale) = self._scaling
        x_scores = (X - mean) / scale @ np.linalg.pinv(self.x_weights_).T
        if y is None:
            return x_scores
        target = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        return x_scores, (target - y_mean) / y_scale @ np.linalg.pinv(self.y_weights_).T

    def pair_weights(self) -> tuple[Array, Array]:
        """Return the weights of both blocks' scores on the most shared factor."""
        check_is_fitted(self)
        left, right = (np.linalg.pinv(w)[0] for w in (self.x_weights_, self.y_weights_))
        return left / self._scaling[0][1], right / self._scaling[1][1]

    def _train(self, x: Array, y: Array) -> tuple[Array, list[Array]]:
        entry = require("mofapy2.run.entry_point", extra="mofa")
        # it prints unasked, and takes logarithms of zeros that its own sums then ignore
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            model = entry.entry_point()
            model.set_data_options(scale_views=False)
            model.set_data_matrix([[x], [y]], views_names=["x", "y"], likelihoods=["gaussian"] * 2)
            model.set_model_options(factors=self.n_components)
            model.set_train_options(
                iter=self.max_iter, convergence_mode="fast", seed=self.random_state or 0, quiet=True
            )
            model.build()
            model.run()
        nodes = model.model.nodes
        factors = np.asarray(nodes["Z"].getExpectation())
        weights = [np.asarray(w) for w in nodes["W"].getExpectation()]
        if not all(np.isfinite(part).all() for part in (factors, *weights)):
            raise FitError("MOFA did not converge to finite factors; ask for fewer.")
        return factors, weights


def _shares(block: Array, factors: Array, weights: Array) -> Array:
    total = float((block * block).sum())
    return np.array(
        [
            1 - float(((block - np.outer(factors[:, k], weights[:, k])) ** 2).sum()) / total
            for k in range(factors.shape[1])
        ]
    )
