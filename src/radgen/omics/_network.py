"""Co-expression networks: adjacency, topological overlap, and their scale-free fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice

__all__ = ["NETWORKS", "adjacency", "overlap", "scale_free_fit"]

Array = NDArray[np.float64]

NETWORKS = ("signed", "unsigned", "signed hybrid")
"""Kinds of network: what a negative correlation counts as."""


def adjacency(correlation: Array, *, network: str, power: float) -> Array:
    """Return the strength of links between genes.

    Parameters
    ----------
    correlation : ndarray of float64 (n_genes, n_genes)
        In [-1, 1].
    network : {"signed", "unsigned", "signed hybrid"}
        ((1 + r) / 2)^power, |r|^power, or r^power where r > 0 and 0 elsewhere.
    power : float
        Soft threshold.

    Returns
    -------
    ndarray of float64 (n_genes, n_genes)
        In [0, 1], 1 on the diagonal.

    References
    ----------
    Zhang & Horvath (2005), Stat. Appl. Genet. Mol. Biol. 4, 17, doi:10.2202/1544-6115.1128.
    """
    require_choice(network, NETWORKS, what="network")
    if network == "signed":
        base = (1 + correlation) / 2
    elif network == "unsigned":
        base = np.abs(correlation)
    else:
        base = np.maximum(correlation, 0.0)
    return np.asarray(base**power)


def overlap(links: Array) -> Array:
    """Return the topological overlap: how much two genes are linked with the same others.

    Parameters
    ----------
    links : ndarray of float64 (n_genes, n_genes)
        As of `adjacency`.

    Returns
    -------
    ndarray of float64 (n_genes, n_genes)
        (sum_u a_iu a_uj + a_ij) / (min(k_i, k_j) + 1 - a_ij) over u other than i and j, 1 on
        the diagonal.
    """
    a = links.copy()
    np.fill_diagonal(a, 0.0)
    degree = a.sum(axis=0)
    shared = a @ a
    shared += a
    floor = np.minimum(degree[:, None], degree)
    floor += 1
    floor -= a
    shared /= floor
    np.fill_diagonal(shared, 1.0)
    return np.asarray(shared)


def scale_free_fit(degree: Array, *, n_bins: int = 10) -> tuple[float, float]:
    """Return how well the degrees of a network fall as a power law.

    Parameters
    ----------
    degree : ndarray of float64 (n_genes,)
        Sum of the links of each gene.
    n_bins : int, default 10
        Bins of equal width between the smallest and the largest degree.

    Returns
    -------
    r_squared : float
        Of log10 frequency on log10 degree; NaN where all degrees are equal.
    slope : float
        Of that line; a scale-free network has a negative one.
    """
    low, high = float(degree.min()), float(degree.max())
    if not high > low:
        return float("nan"), float("nan")
    edges = np.linspace(low, high, n_bins + 1)
    # Bins are closed at the right; the smallest value belongs to the first.
    place = np.clip(np.searchsorted(edges[1:-1], degree, side="left"), 0, n_bins - 1)
    count = np.bincount(place, minlength=n_bins)
    total = np.bincount(place, weights=degree, minlength=n_bins)
    middle = (edges[:-1] + edges[1:]) / 2
    mean = np.where(count > 0, total / np.maximum(count, 1), middle)
    x = np.log10(np.where(mean > 0, mean, middle))
    y = np.log10(count / len(degree) + 1e-9)
    slope, start = np.polyfit(x, y, 1)
    rest = y - start - slope * x
    spread = y - y.mean()
    r_squared = 1 - float(rest @ rest) / float(spread @ spread)
    return r_squared, float(slope)
