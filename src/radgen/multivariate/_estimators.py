"""What the estimators of this floor share: their tags, and prediction of many targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["ManyTargets", "TwoBlocks"]


class ManyTargets(RegressorMixin, BaseEstimator):
    """A linear model of one or many targets; subclasses set ``coef_`` and ``intercept_``."""

    coef_: NDArray[np.float64]
    intercept_: NDArray[np.float64]
    _one_target: bool

    def __sklearn_tags__(self) -> Any:
        """Say that several targets are meant."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return predicted targets, (n_samples, n_targets), or (n_samples,) where y was so."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        out = X @ self.coef_ + self.intercept_
        return np.asarray(out[:, 0] if self._one_target else out)


class TwoBlocks(TransformerMixin, BaseEstimator):
    """A decomposition of two blocks of the same samples."""

    def __sklearn_tags__(self) -> Any:
        """Say that a second block is needed."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.transformer_tags.preserves_dtype = []
        return tags
