"""The unit step of penalised matrix decomposition: l1, group and graph penalties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import brentq

from radgen.errors import FitError, InputError
from radgen.multivariate._shrink import l1_unit, soft_threshold

__all__ = ["Penalty", "make_penalty"]

Array = NDArray[np.float64]

_EVALUATIONS = 200
_INNER_STEPS = 2000


@dataclass(frozen=True, eq=False, slots=True)
class Penalty:
    """Constraints on the weights of a block.

    The norm is ``N(u) = (1 - mix) |u|_1 + mix sum_g sqrt(p_g) |u_g|_2``; it is at most
    ``fraction sqrt(p)`` where ``u'(I + smooth L)u = 1``. On the unit sphere no weight vector has
    a norm above ``sqrt(p)``, so that a fraction of 1 is no penalty, whatever the groups.

    Attributes
    ----------
    fraction : float
        In (0, 1].
    label : ndarray of int64 (n_features,) or None
        Group of each feature.
    mix : float
        Share of the group norm, in [0, 1].
    laplacian : scipy.sparse matrix (n_features, n_features) or None
        Normalised Laplacian of the graph.
    smooth : float
        Weight of the graph.
    root_sizes : ndarray of float64 (n_groups,) or None
        Roots of the numbers of features a group.
    """

    fraction: float
    label: NDArray[np.int64] | None = None
    mix: float = 0.0
    laplacian: Any = None
    smooth: float = 0.0
    root_sizes: Array | None = None

    @property
    def is_plain(self) -> bool:
        """Whether this is the l1 ball of the classical method."""
        return self.label is None and self.laplacian is None

    def norm(self, weights: Array) -> float:
        """Return N(u)."""
        plain = float(np.abs(weights).sum())
        if self.label is None:
            return plain
        lengths = np.sqrt(np.bincount(self.label, weights=weights * weights))
        return (1 - self.mix) * plain + self.mix * float(self.root_sizes @ lengths)

    def size(self, weights: Array) -> float:
        """Return ``sqrt(u'(I + smooth L)u)``."""
        square = float(weights @ weights)
        if self.laplacian is not None:
            square += self.smooth * float(weights @ (self.laplacian @ weights))
        return float(np.sqrt(square))

    def unit(self, values: Array) -> Array:
        """Return the weights of size 1 within the bound that maximise ``u'values``."""
        bound = max(1.0, self.fraction * np.sqrt(len(values)))
        if self.is_plain:
            return l1_unit(values, bound)
        if not values.any():
            return np.zeros_like(values)
        free = self._shrunk(values, 0.0, np.zeros_like(values))
        if self.norm(free) <= bound * self.size(free) * (1 + 1e-12):
            return np.asarray(free / self.size(free))
        last = free

        def excess(threshold: float) -> float:
            nonlocal last
            found = self._shrunk(values, threshold, last)
            if not found.any():
                return -bound
            last = found
            return self.norm(found) / self.size(found) - bound

        highest = float(np.abs(values).max())
        brentq(excess, 0.0, highest, xtol=1e-14 * highest, rtol=1e-13, maxiter=_EVALUATIONS)
        # where the bound lies below the norm of the strongest feature or group, that one is left
        return np.asarray(last / self.size(last))

    def prox(self, values: Array, threshold: float) -> Array:
        """Return ``argmin_u |u - values|^2 / 2 + threshold N(u)``."""
        if self.label is None:
            return soft_threshold(values, threshold)
        rows = soft_threshold(values, threshold * (1 - self.mix))
        lengths = np.sqrt(np.bincount(self.label, weights=rows * rows))
        limits = threshold * self.mix * self.root_sizes
        with np.errstate(divide="ignore", invalid="ignore"):
            kept = np.where(lengths > limits, 1 - limits / lengths, 0.0)
        return np.asarray(rows * kept[self.label])

    def _shrunk(self, values: Array, threshold: float, start: Array) -> Array:
        """Return ``argmin_u u'(I + smooth L)u / 2 - u'values + threshold N(u)``."""
        if self.laplacian is None:
            return self.prox(values, threshold)
        step = 1.0 / (1.0 + 2.0 * self.smooth)  # a normalised Laplacian has eigenvalues up to 2
        u, ahead, momentum = start, start, 1.0
        for _ in range(_INNER_STEPS):
            slope = ahead + self.smooth * (self.laplacian @ ahead) - values
            new = self.prox(ahead - step * slope, step * threshold)
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = new + (momentum - 1) / following * (new - u)
            change = float(np.abs(new - u).max())
            u, momentum = new, following
            if change <= 1e-12 * float(np.abs(values).max()):
                return u
        raise FitError(f"The graph-penalised step did not settle in {_INNER_STEPS} iterations.")


def make_penalty(
    fraction: float,
    n_features: int,
    *,
    groups: Sequence[Any] | None,
    mix: float,
    graph: Any,
    smooth: float,
    name: str,
) -> Penalty:
    """Return the penalty that public parameters describe.

    Parameters
    ----------
    fraction : float
        Bound in (0, 1].
    n_features : int
        Features of the block.
    groups : sequence of hashable or None
        Group of each feature.
    mix : float
        Share of the group norm.
    graph : array or scipy.sparse matrix (n_features, n_features) or None
        Symmetric weights of the edges, not negative.
    smooth : float
        Weight of the graph.
    name : str
        Prefix of the parameters, for messages.

    Returns
    -------
    Penalty
        Ready for `Penalty.unit`.

    Raises
    ------
    InputError
        If a parameter is out of range or does not fit the block.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"{name}_penalty is {fraction}; it lies in (0, 1].")
    label = sizes = None
    if groups is not None:
        if len(groups) != n_features or not 0 <= mix <= 1:
            raise InputError(
                f"{name}_groups names {len(groups)} features of {n_features}, and group_mix is "
                f"{mix}. Name the group of each feature; group_mix lies in [0, 1]."
            )
        label = np.unique([str(item) for item in groups], return_inverse=True)[1]
        sizes = np.sqrt(np.bincount(label))
    laplacian = _laplacian(graph, n_features, name, smooth)
    return Penalty(fraction, label, mix, laplacian, smooth, sizes)


def _laplacian(graph: Any, n_features: int, name: str, smooth: float) -> Any:
    if smooth < 0:
        raise InputError(f"smoothness is {smooth}; it is not negative.")
    if graph is None or smooth == 0:
        return None
    edges = sparse.csr_matrix(graph, dtype=np.float64)
    if edges.shape != (n_features, n_features):
        raise InputError(f"{name}_graph has shape {edges.shape}; the block has {n_features}.")
    if edges.nnz and (edges.data.min() < 0 or abs(edges - edges.T).max() > 1e-12):
        raise InputError(f"{name}_graph is a symmetric matrix of weights that are not negative.")
    edges.setdiag(0)
    degree = np.asarray(edges.sum(axis=1)).ravel()
    scale = np.zeros(n_features)
    scale[degree > 0] = 1 / np.sqrt(degree[degree > 0])
    rooted = sparse.diags(scale) @ edges @ sparse.diags(scale)
    return sparse.diags((degree > 0).astype(np.float64)) - rooted
