"""Ranks within samples."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["ranks_within"]

Array = NDArray[np.float64]


def ranks_within(values: Array, ties: Literal["average", "min"]) -> Array:
    """Return ascending ranks 1, 2, … of each row; NaN keeps NaN and takes no rank.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_features)
        NaN = not measured.
    ties : {"average", "min"}
        Rank of equal values.

    Returns
    -------
    ndarray of float64 (n_samples, n_features)
        1 = smallest.
    """
    missing = np.isnan(values)
    if not missing.any():
        return np.asarray(rankdata(values, method=ties, axis=1), dtype=np.float64)
    ranks = rankdata(np.where(missing, np.inf, values), method=ties, axis=1).astype(np.float64)
    ranks[missing] = np.nan
    return np.asarray(ranks)
