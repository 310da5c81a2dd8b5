"""Gaussian-process learners of local features, with the certainty of each prediction."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import ndtr
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import FitError, InputError

__all__ = ["GaussianProcess", "Predicted"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Predicted:
    """What a Gaussian process says of some places.

    Attributes
    ----------
    value : float64 (n,)
        Probability of the state, or the mean of the quantity.
    sd : float64 (n,)
        Standard deviation of the latent function (states), of a new measurement (quantities).
    side : float64 (n,)
        Probability, 0.5 to 1, that the latent function lies on the side of the threshold where its
        mean lies: how certain the decision is.
    """

    value: FloatArray
    sd: FloatArray
    side: FloatArray


class GaussianProcess(RegressorMixin, BaseEstimator):
    """A Gaussian process on the principal components of features, all learnt from training rows.

    Missing values become medians, columns are standardised, components of most of the variance are
    kept, and scikit-learn's Gaussian process (squared-exponential kernel, its scale and noise by
    marginal likelihood) is fitted.

    Parameters
    ----------
    kind : {"state", "quantity"}
        Classification of 0 and 1 (Laplace's approximation), or regression.
    variance : float, default 0.9
        Share of the variance that components keep.
    max_components : int, default 8
        At most so many of them.
    threshold : float, default 0
        Of a quantity, for `Predicted.side`: is it above?

    Attributes
    ----------
    steps_ : Pipeline
        Imputation, scale, components.
    process_ : GaussianProcessClassifier or GaussianProcessRegressor
        Fitted.
    at_bound_ : bool
        Whether the likelihood was still rising where the kernel's bounds ended.

    References
    ----------
    Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, algorithms 2.1, 3.1, 3.2.
    """

    def __init__(
        self,
        *,
        kind: Literal["state", "quantity"] = "quantity",
        variance: float = 0.9,
        max_components: int = 8,
        threshold: float = 0.0,
    ) -> None:
        self.kind = kind
        self.variance = variance
        self.max_components = max_components
        self.threshold = threshold

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to rows (n, p) and their states or quantities (n,).

        Raises
        ------
        InputError
            If the kind is unknown or the states are not 0 and 1.
        FitError
            If the rows hold one state alone.
        """
        values, target = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True,
            ensure_min_samples=2,
        )  # fmt: skip
        target = np.asarray(target, dtype=np.float64)
        if self.kind not in ("state", "quantity"):
            raise InputError(f"kind is 'state' or 'quantity', not {self.kind!r}.")
        if self.kind == "state":
            levels = np.unique(target)
            if not np.isin(levels, (0.0, 1.0)).all():
                raise InputError(f"States are 0 and 1; found {levels[:5].tolist()}.")
            if len(levels) < 2:
                raise FitError("All training biopsies have one state.", diagnostics={})
        self.steps_: Pipeline = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
        )
        scaled = self.steps_.fit_transform(values)
        self.components_ = PCA(svd_solver="full").fit(scaled)
        share = np.cumsum(np.nan_to_num(self.components_.explained_variance_ratio_))
        most = min(self.max_components, len(share))
        self.n_components_ = int(min(np.searchsorted(share, self.variance) + 1, most))
        inner = self._reduced(values)
        width = float(np.sqrt(max(inner.var(axis=0).sum(), 1e-6)))
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(width, (width / 20, width * 50))
        self.process_: Any
        if self.kind == "state":
            self.process_ = GaussianProcessClassifier(kernel)
        else:
            kernel += WhiteKernel(0.5, (1e-4, 10.0))
            self.process_ = GaussianProcessRegressor(kernel, normalize_y=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.process_.fit(inner, target.astype(int) if self.kind == "state" else target)
        self.at_bound_ = any(issubclass(item.category, ConvergenceWarning) for item in caught)
        for item in caught:
            if not issubclass(item.category, ConvergenceWarning):
                warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
        return self

    def _reduced(self, values: FloatArray) -> FloatArray:
        scaled = self.steps_.transform(values)
        return np.asarray(self.components_.transform(scaled)[:, : self.n_components_])

    def explain(self, X: Any) -> Predicted:
        """Return value, standard deviation and certainty of new rows."""
        check_is_fitted(self, "process_")
        values = validate_data(
            self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        inner = self._reduced(values)
        if self.kind == "state":
            probability = np.asarray(self.process_.predict_proba(inner))[:, 1]
            mean, variance = latent(self.process_, inner)
            sd = np.sqrt(variance)
            return Predicted(probability, sd, ndtr(np.abs(mean) / np.maximum(sd, 1e-12)))
        mean, sd = self.process_.predict(inner, return_std=True)
        side = ndtr(np.abs(mean - self.threshold) / np.maximum(sd, 1e-12))
        return Predicted(np.asarray(mean), np.asarray(sd), side)

    def predict(self, X: Any) -> FloatArray:
        """Return the probability of the state, or the mean of the quantity, (n,)."""
        return self.explain(X).value


def latent(process: Any, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance of the latent function of a fitted two-class process.

    Parameters
    ----------
    process : GaussianProcessClassifier
        Fitted to two classes.
    rows : float64 (n, p)
        New places.

    Returns
    -------
    mean, variance : float64 (n,)
        Rasmussen & Williams 2006, algorithm 3.2, lines 4 to 6.
    """
    base = process.base_estimator_
    across = base.kernel_(base.X_train_, rows)
    mean = across.T @ (base.y_train_ - base.pi_)
    spread = solve_triangular(base.L_, base.W_sr_[:, None] * across, lower=True)
    variance = base.kernel_.diag(rows) - np.einsum("ij,ij->j", spread, spread)
    return np.asarray(mean), np.maximum(variance, 0.0)
