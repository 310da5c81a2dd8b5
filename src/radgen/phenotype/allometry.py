"""Traits freed of body size by fitted powers, inside folds."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from radgen.errors import InputError

__all__ = ["AllometricScaler"]

Floats = NDArray[np.float64]


class AllometricScaler(TransformerMixin, BaseEstimator):
    """Divides traits by the power of body size that they grow with in the training rows.

    The last columns of the input are body sizes (height, or height and weight), the others traits;
    the output has the traits alone, each as it would be in a body of the mean size.

    Parameters
    ----------
    n_sizes : int, default 1
        How many of the last columns are sizes.

    Attributes
    ----------
    exponents_ : ndarray of float64 (n_sizes, n_traits)
        Fitted powers; NaN where a trait has too few positive values.
    size_ : ndarray of float64 (n_sizes,)
        Geometric mean of each size in the training rows, what traits are brought to.

    Notes
    -----
    log trait = a + sum of b log size, by least squares over the rows where all are positive, a
    trait at a time; then trait / product of (size / size_)^b. A value that is not positive, or
    whose size is unknown, becomes NaN: strains and other signed traits do not belong here. What is
    learnt is learnt from the training rows: fitted on everybody before a split it leaks.

    References
    ----------
    Dewey FE et al. (2008), doi:10.1161/CIRCULATIONAHA.107.736785 (body size and cardiac traits).

    Examples
    --------
    >>> import numpy as np
    >>> height = np.array([1.5, 1.6, 1.7, 1.8, 1.9])
    >>> scaler = AllometricScaler().fit(np.column_stack([50 * height**2.7, height]))
    >>> scaler.exponents_.round(6)
    array([[2.7]])
    """

    def __init__(self, n_sizes: int = 1) -> None:
        self.n_sizes = n_sizes

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the powers.

        Raises
        ------
        InputError
            If `n_sizes` leaves no trait, or no row has all sizes.
        """
        values = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2
        )
        n_traits = values.shape[1] - self.n_sizes
        if self.n_sizes < 1 or n_traits < 1:
            raise InputError(
                f"{values.shape[1]} feature(s) with n_sizes={self.n_sizes} leave no trait; the "
                "last columns are body sizes, and at least one trait stands before them."
            )
        traits, sizes = _logs(values[:, :n_traits]), _logs(values[:, n_traits:])
        known = np.isfinite(sizes).all(axis=1)
        center = sizes[known].mean(axis=0) if known.any() else np.zeros(self.n_sizes)
        self.size_ = np.exp(center)
        self.exponents_ = np.full((self.n_sizes, n_traits), np.nan)
        for trait in range(n_traits):
            rows = known & np.isfinite(traits[:, trait])
            if rows.sum() < self.n_sizes + 2:
                continue
            x = np.column_stack([np.ones(rows.sum()), sizes[rows] - center])
            self.exponents_[:, trait] = np.linalg.lstsq(x, traits[rows, trait], rcond=None)[0][1:]
        return self

    def transform(self, X: Any) -> Floats:
        """Return the traits at the mean body size of the training rows, (n_samples, n_traits)."""
        check_is_fitted(self, "exponents_")
        values = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        n_traits = self.exponents_.shape[1]
        relative = _logs(values[:, n_traits:]) - np.log(self.size_)
        return np.asarray(np.exp(_logs(values[:, :n_traits]) - relative @ self.exponents_))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the traits."""
        check_is_fitted(self, "exponents_")
        names = _check_feature_names_in(self, input_features)
        return np.asarray(names[: self.exponents_.shape[1]], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _logs(values: Floats) -> Floats:
    """Return logarithms; NaN of what is not positive."""
    return np.log(np.where(values > 0, values, np.nan))
