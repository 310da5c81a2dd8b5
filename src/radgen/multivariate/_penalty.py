"""The unit step of penalised matrix decomposition: l1, group and graph penalties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from radgen.errors import FitError, InputError
from radgen.multivariate._shrink import l1_unit, soft_threshold

__all__ = ["Penalty", "make_penalty"]

Array = NDArray[np.float64]

_BISECTIONS = 60
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
    """

    fraction: float
    label: NDArray[np.int64] | None = None
    mix: float = 0.0
    laplacian: Any = None
    smooth: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether this is the l1 ball of the classical method."""
        return self.label is None and self.laplacian is None

    def norm(self, weights: Array) -> float:
        """Return N(u)."""
        plain = float(np.abs(weights).sum())
        if self.label is None:
            return plain
        sizes = np.bincount(self.label)
        lengths = np.sqrt(np.bincount(self.label, weights=weights * weights))
        return (1 - self.mix) * plain + self.mix * float(np.sqrt(sizes) @ lengths)

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
        low, high, last = 0.0, float(np.abs(values).max()), free
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            found = self._shrunk(values, middle, last)
            if not found.any() or self.norm(found) <= bound * self.size(found):
                high = middle
            else:
                low = middle
            if found.any():
                last = found
            if high - low <= 1e-13 * high:
                break
        # where the bound lies below the norm of the strongest feature or group, that one is left
        return np.asarray(last / self.size(last))

    def prox(self, values: Array, threshold: float) -> Array:
        """Return ``argmin_u |u - values|^2 / 2 + threshold N(u)``."""
        if self.label is None:
            return soft_threshold(values, threshold)
        rows = soft_threshold(values, threshold * (1 - self.mix))
        lengths = np.sqrt(np.bincount(self.label, weights=rows * rows))
        limits = threshold * self.mix * np.sqrt(np.bincount(self.label))
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
    label = None
    if groups is not None:
        if len(groups) != n_features or not 0 <= mix <= 1:
            raise InputError(
                f"{name}_groups names {len(groups)} features of {n_features}, and group_mix is "
                f"{mix}. Name the group of each feature; group_mix lies in [0, 1]."
            )
        label = np.unique([str(item) for item in groups], return_inverse=True)[1]
    return Penalty(fraction, label, mix, _laplacian(graph, n_features, name, smooth), smooth)


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
