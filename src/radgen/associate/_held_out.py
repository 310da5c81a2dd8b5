"""How well predictions of held-out samples go with what was seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["performance"]

Array = NDArray[np.float64]


def performance(y: Array, scores: Array, binary: bool) -> Array:
    """Return AUC or correlation of each column; 0.5 or 0 where a column does not vary.

    `y` is (n_samples, n_columns) or one column for all.
    """
    if binary:
        ranks = rankdata(scores, axis=0)
        m = y.sum(axis=0)
        return np.asarray(((y * ranks).sum(axis=0) - m * (m + 1) / 2) / (m * (len(y) - m)))
    left = scores - scores.mean(axis=0)
    norm = np.sqrt(np.einsum("ij,ij->j", left, left))
    yc = y - y.mean(axis=0)
    flat = norm <= 1e-12 * np.maximum(np.abs(scores).max(axis=0), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (yc * left).sum(axis=0) / (norm * np.sqrt((yc**2).sum(axis=0)))
    return np.where(flat, 0.0, r)
