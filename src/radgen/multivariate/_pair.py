"""The first linked pair of any linear two-block method, as weights of both blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = ["first_pair"]

Array = NDArray[np.float64]


def first_pair(model: Any, x: Array, y: Array) -> tuple[Array, Array]:
    """Return weights a (n_x,) and b (n_y,) of the first pair of scores ``x a`` and ``y b``.

    Parameters
    ----------
    model : estimator
        Fitted on these rows: a decomposition with ``pair_weights()``, or a regression with
        ``coef_`` (n_x, n_y).
    x, y : ndarray of float64 (n_samples, n_features)
        The training rows.

    Returns
    -------
    tuple of ndarray
        For a regression b is the direction of y, in units of its standard deviation, in which
        the fitted values vary most, and a the coefficients that predict it. For parallel ICA
        the pair is that of the strongest link.

    Raises
    ------
    InputError
        If the model is neither.
    """
    if hasattr(model, "coef_"):
        return _of_regression(np.asarray(model.coef_, dtype=np.float64), x, y)
    if hasattr(model, "pair_weights"):
        a, b = model.pair_weights()
        return np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    raise InputError(f"{type(model).__name__} has neither coef_ nor pair_weights().")


def _of_regression(coef: Array, x: Array, y: Array) -> tuple[Array, Array]:
    coef = coef.reshape(x.shape[1], -1)
    spread = y.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    standard = coef / scale
    fitted = (x - x.mean(axis=0)) @ standard
    _, vectors = np.linalg.eigh(fitted.T @ fitted)
    top = vectors[:, -1]
    return standard @ top, top / scale
