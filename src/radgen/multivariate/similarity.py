"""Similarity network fusion: one network of patients from several kinds of data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = ["affinity", "fuse_similarity"]


def affinity(
    distance: NDArray[np.float64], *, n_neighbours: int = 20, width: float = 0.5
) -> NDArray[np.float64]:
    """Return similarities of samples with a local scale.

    Parameters
    ----------
    distance : ndarray of float64 (n_samples, n_samples)
        Symmetric distances, not squared.
    n_neighbours : int, default 20
        Neighbours that set the local scale.
    width : float, default 0.5
        Scale factor of the kernel.

    Returns
    -------
    ndarray of float64 (n_samples, n_samples)
        Symmetric Gaussian densities of the distances.

    Raises
    ------
    InputError
        If the matrix is not a square, symmetric, finite one, or has too few samples.

    References
    ----------
    Wang et al. (2014), Nat Methods 11:333. doi:10.1038/nmeth.2810
    """
    d = np.asarray(distance, dtype=np.float64)
    if d.ndim != 2 or d.shape[0] != d.shape[1] or not np.isfinite(d).all():
        raise InputError(f"Needed is a square matrix of finite distances; its shape is {d.shape}.")
    if not np.allclose(d, d.T):
        raise InputError("Distances are symmetric.")
    n = len(d)
    if not 1 <= n_neighbours < n:
        raise InputError(f"n_neighbours is {n_neighbours}; there are {n} samples.")
    d = (d + d.T) / 2
    np.fill_diagonal(d, 0.0)
    near = np.sort(d, axis=1)[:, 1 : n_neighbours + 1].mean(axis=1) + np.finfo(float).eps
    scale = (near[:, None] + near[None, :]) / 3 + d / 3 + np.finfo(float).eps
    scale = np.maximum(scale, np.finfo(float).eps) * width
    similar = np.exp(-((d / scale) ** 2) / 2) / (np.sqrt(2 * np.pi) * scale)
    return np.asarray((similar + similar.T) / 2)


def fuse_similarity(
    networks: Sequence[NDArray[np.float64]], *, n_neighbours: int = 20, n_iterations: int = 20
) -> NDArray[np.float64]:
    """Return the fused network of several affinity matrices of the same samples.

    Parameters
    ----------
    networks : sequence of ndarray of float64 (n_samples, n_samples)
        At least two affinity matrices, of the same samples in the same order.
    n_neighbours : int, default 20
        Neighbours kept in the sparse kernels.
    n_iterations : int, default 20
        Rounds of message passing.

    Returns
    -------
    ndarray of float64 (n_samples, n_samples)
        Symmetric; cluster it spectrally. It joins the samples it is given and cannot be applied
        to new ones: inside a validation, fuse within the training samples.

    Raises
    ------
    InputError
        If fewer than two networks are given or their shapes differ.

    References
    ----------
    Wang et al. (2014), Nat Methods 11:333. doi:10.1038/nmeth.2810
    """
    shapes = {np.shape(network) for network in networks}
    if len(networks) < 2 or len(shapes) != 1:
        raise InputError(f"Needed are two or more networks of one shape; found {sorted(shapes)}.")
    full = []
    for network in networks:
        normal = _normalised(np.asarray(network, dtype=np.float64))
        full.append((normal + normal.T) / 2)
    sparse = [_nearest(network, n_neighbours) for network in full]
    for _ in range(n_iterations):
        total = np.sum(full, axis=0)
        following = []
        for own, kernel in zip(full, sparse, strict=True):
            others = (total - own) / (len(full) - 1)
            passed = _normalised(kernel @ others @ kernel.T)
            following.append((passed + passed.T) / 2)
        full = following
    fused = _normalised(np.mean(full, axis=0))
    return np.asarray((fused + fused.T) / 2)


def _normalised(network: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale rows so that all off-diagonal mass is one half, and set the diagonal to one half."""
    mass = network.sum(axis=1) - np.diag(network)
    mass[mass == 0] = 1.0
    out = network / (2 * mass[:, None])
    np.fill_diagonal(out, 0.5)
    return out


def _nearest(network: NDArray[np.float64], n_neighbours: int) -> NDArray[np.float64]:
    """Keep each row's strongest neighbours and scale them to sum 1."""
    kept = np.zeros_like(network)
    strongest = np.argsort(-network, axis=1, kind="stable")[:, :n_neighbours]
    rows = np.arange(len(network))[:, None]
    kept[rows, strongest] = network[rows, strongest]
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))
