"""The 24 co-occurrence features of PyRadiomics, of matrices that need not be symmetric."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["GLCM_NAMES", "glcm_values"]

Array = NDArray[np.float64]
EPS = float(np.spacing(1))

GLCM_NAMES = (
    "Autocorrelation",
    "ClusterProminence",
    "ClusterShade",
    "ClusterTendency",
    "Contrast",
    "Correlation",
    "DifferenceAverage",
    "DifferenceEntropy",
    "DifferenceVariance",
    "Id",
    "Idm",
    "Idmn",
    "Idn",
    "Imc1",
    "Imc2",
    "InverseVariance",
    "JointAverage",
    "JointEnergy",
    "JointEntropy",
    "MCC",
    "MaximumProbability",
    "SumAverage",
    "SumEntropy",
    "SumSquares",
)


def _entropy(p: Array, axis: int | tuple[int, ...] = -1) -> Array:
    return np.asarray(-np.sum(p * np.log2(p + EPS), axis=axis))


def _correlation_of_levels(p: Array, px: Array, py: Array) -> Array:
    """Return the second singular value of p / sqrt(px py): the maximal correlation."""
    if p.shape[1] < 2:
        return np.ones(len(p))
    root = np.sqrt(px[:, :, None] * py[:, None, :])
    scaled = np.divide(p, root, out=np.zeros_like(p), where=root > 0)
    return np.asarray(np.linalg.svd(scaled, compute_uv=False)[:, 1])


def glcm_values(matrices: Array, level: Array, n_levels: int) -> dict[str, float]:
    """Return the features, averaged over the matrices.

    Parameters
    ----------
    matrices : ndarray of float64 (n_matrices, n, n)
        Counts (or weights) of the levels that occur, none empty.
    level : ndarray of float64 (n,)
        Which levels they are.
    n_levels : int
        Highest level.

    Returns
    -------
    dict of str to float
        NaN for each where there is no matrix.
    """
    if not len(matrices):
        return dict.fromkeys(GLCM_NAMES, float("nan"))
    p = matrices / matrices.sum(axis=(1, 2), keepdims=True)
    px, py = p.sum(axis=2), p.sum(axis=1)
    i, j = level[:, None], level[None, :]
    ux, uy = px @ level, py @ level
    vx = np.sum(px * (level - ux[:, None]) ** 2, axis=1)
    vy = np.sum(py * (level - uy[:, None]) ** 2, axis=1)
    index = np.arange(len(p))[:, None] * (2 * n_levels + 1)
    size = len(p) * (2 * n_levels + 1)
    flat = p.reshape(len(p), -1)
    far = (index + np.abs(i - j).astype(np.intp).ravel()).ravel()
    both = (index + (i + j).astype(np.intp).ravel()).ravel()
    p_far = np.bincount(far, flat.ravel(), size).reshape(len(p), -1)[:, :n_levels]
    p_both = np.bincount(both, flat.ravel(), size).reshape(len(p), -1)[:, 2:]
    k, total = np.arange(float(n_levels)), np.arange(2.0, 2 * n_levels + 1)
    deviation = total - (ux + uy)[:, None]
    mean_far = p_far @ k
    hxy, hx, hy = _entropy(p, (1, 2)), _entropy(px), _entropy(py)
    outer = px[:, :, None] * py[:, None, :]
    hxy1 = -np.sum(p * np.log2(outer + EPS), axis=(1, 2))
    hxy2 = _entropy(outer, (1, 2))
    top = np.maximum(hx, hy)
    product = np.sqrt(vx * vy)
    covariance = np.einsum("dij,i,j->d", p, level, level) - ux * uy
    found = {
        "Autocorrelation": covariance + ux * uy,
        "ClusterProminence": np.sum(p_both * deviation**4, axis=1),
        "ClusterShade": np.sum(p_both * deviation**3, axis=1),
        "ClusterTendency": np.sum(p_both * deviation**2, axis=1),
        "Contrast": p_far @ k**2,
        "Correlation": np.where(product > 0, covariance / np.where(product > 0, product, 1), 1.0),
        "DifferenceAverage": mean_far,
        "DifferenceEntropy": _entropy(p_far),
        "DifferenceVariance": np.sum(p_far * (k - mean_far[:, None]) ** 2, axis=1),
        "Id": p_far @ (1.0 / (1.0 + k)),
        "Idm": p_far @ (1.0 / (1.0 + k**2)),
        "Idmn": p_far @ (1.0 / (1.0 + (k / n_levels) ** 2)),
        "Idn": p_far @ (1.0 / (1.0 + k / n_levels)),
        "Imc1": np.where(top != 0, (hxy - hxy1) / np.where(top != 0, top, 1.0), 0.0),
        "Imc2": np.sqrt(np.maximum(0.0, 1.0 - np.exp(-2.0 * (hxy2 - hxy)))),
        "InverseVariance": p_far[:, 1:] @ (1.0 / k[1:] ** 2),
        "JointAverage": ux,
        "JointEnergy": np.sum(flat**2, axis=1),
        "JointEntropy": hxy,
        "MCC": _correlation_of_levels(p, px, py),
        "MaximumProbability": flat.max(axis=1),
        "SumAverage": p_both @ total,
        "SumEntropy": _entropy(p_both),
        "SumSquares": vx,
    }
    return {name: float(np.mean(value)) for name, value in found.items()}
