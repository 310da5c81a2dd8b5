"""What the estimators of this floor share: their tags, and prediction of many targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["ManyTargets", "TwoBlocks", "weight_table"]


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


def weight_table(
    blocks: Mapping[str, tuple[NDArray[np.float64], Sequence[str] | None]],
) -> pl.DataFrame:
    """Return the non-zero weights of named blocks, the strongest of each component first.

    Parameters
    ----------
    blocks : mapping of str to (ndarray (n_features, n_components), sequence of str or None)
        Weights and the names of the features; block and number where None.

    Returns
    -------
    polars.DataFrame
        Columns ``component, block, feature, weight``.
    """
    frames = []
    for block, (weights, names) in blocks.items():
        row, component = np.nonzero(weights)
        known = list(names) if names is not None else [f"{block}{i}" for i in range(len(weights))]
        frames.append(
            pl.DataFrame(
                {
                    "component": component + 1,
                    "block": [block] * len(row),
                    "feature": [known[i] for i in row],
                    "weight": weights[row, component],
                },
                schema={
                    "component": pl.Int64,
                    "block": pl.String,
                    "feature": pl.String,
                    "weight": pl.Float64,
                },
            )
        )
    strength = pl.col("weight").abs()
    return pl.concat(frames).sort(
        ["component", "block", strength], descending=[False, False, True], maintain_order=True
    )
