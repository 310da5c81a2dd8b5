"""Earth mover's distance between distributions on the nodes of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.progress import progress
from radgen.errors import FitError, InputError

__all__ = ["network_distance", "network_distances"]

FloatArray = NDArray[np.float64]


def network_distance(first: Any, second: Any, edges: Any, lengths: Any = None) -> float:
    """Return the Wasserstein-1 distance of two distributions on the nodes of a network.

    Parameters
    ----------
    first, second : float (n_nodes,)
        Masses, not negative, of equal sums.
    edges : int (n_edges, 2)
        Pairs of nodes; the network is undirected.
    lengths : float (n_edges,) or None
        Positive; None = 1 each.

    Returns
    -------
    float
        Least cost of moving one into the other along edges: mass times path length.

    Raises
    ------
    InputError
        If masses are negative or sums differ.
    FitError
        If the network is in pieces and mass would have to jump between them.

    References
    ----------
    Beckmann's flow formulation: Peyré & Cuturi 2019, doi:10.1561/2200000073, section 6.3.

    Examples
    --------
    >>> network_distance([1, 0, 0], [0, 0, 1], [(0, 1), (1, 2)])
    2.0
    """
    return float(network_distances(np.stack((first, second)), edges, lengths)[0, 1])


def network_distances(masses: Any, edges: Any, lengths: Any = None) -> FloatArray:
    """Return the Wasserstein-1 distances of all pairs of distributions, (n, n).

    Parameters
    ----------
    masses : float (n, n_nodes)
        Not negative, of equal sums.
    edges, lengths
        As in `network_distance`.

    Returns
    -------
    float64 (n, n)
        Symmetric, 0 on the diagonal.

    Raises
    ------
    InputError, FitError
        As `network_distance`.
    """
    mass = np.asarray(masses, dtype=np.float64)
    pairs = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    cost = np.ones(len(pairs)) if lengths is None else np.asarray(lengths, dtype=np.float64)
    _check(mass, pairs, cost)
    if _is_tree(mass.shape[1], pairs):
        return _on_a_tree(mass, pairs, cost)
    n = len(mass)
    out = np.zeros((n, n))
    with progress("Distances on the network", n) as tick:
        for i in range(n):
            for j in range(i):
                out[i, j] = out[j, i] = _flow(mass[i] - mass[j], pairs, cost)
            tick(1)
    return out


def _check(mass: FloatArray, pairs: NDArray[np.int64], cost: FloatArray) -> None:
    if mass.ndim != 2 or not np.isfinite(mass).all() or (mass < 0).any():
        raise InputError("Masses must be numbers, none of them negative.")
    totals = mass.sum(axis=1)
    if np.ptp(totals) > 1e-8 * max(float(totals.max(initial=0.0)), 1e-300):
        raise InputError("The distributions have different total masses; scale them to sum 1.")
    if len(pairs) and (pairs.min() < 0 or pairs.max() >= mass.shape[1]):
        raise InputError(f"An edge names a node that does not exist: {mass.shape[1]} nodes.")
    if len(cost) != len(pairs) or (cost <= 0).any():
        raise InputError("Each edge needs a positive length.")


def _is_tree(n_nodes: int, pairs: NDArray[np.int64]) -> bool:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(pairs) != n_nodes - 1:
        return False
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n_nodes, n_nodes))
    return int(connected_components(graph, directed=False)[0]) == 1


def _on_a_tree(mass: FloatArray, pairs: NDArray[np.int64], cost: FloatArray) -> FloatArray:
    """Return distances in closed form: each edge carries the surplus of the nodes beyond it."""
    n_nodes = mass.shape[1]
    beyond = np.zeros((len(pairs), n_nodes))
    neighbours: list[list[tuple[int, int]]] = [[] for _ in range(n_nodes)]
    for e, (a, b) in enumerate(pairs.tolist()):
        neighbours[a].append((b, e))
        neighbours[b].append((a, e))
    order, parent_edge, seen = [0], {0: -1}, {0}
    for node in order:
        for other, edge in neighbours[node]:
            if other not in seen:
                seen.add(other)
                parent_edge[other] = edge
                order.append(other)
    below = np.eye(n_nodes)
    for node in reversed(order[1:]):
        edge = parent_edge[node]
        beyond[edge] = below[node]
        a, b = pairs[edge]
        below[a if b == node else b] += below[node]
    carried = mass @ beyond.T * cost
    return np.asarray(np.abs(carried[:, None, :] - carried[None, :, :]).sum(axis=2))


def _flow(surplus: FloatArray, pairs: NDArray[np.int64], cost: FloatArray) -> float:
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    if np.abs(surplus).max(initial=0.0) < 1e-15:
        return 0.0
    m = len(pairs)
    rows = np.concatenate((pairs[:, 0], pairs[:, 1], pairs[:, 1], pairs[:, 0]))
    columns = np.concatenate((np.arange(m), np.arange(m), m + np.arange(m), m + np.arange(m)))
    signs = np.concatenate((np.ones(m), -np.ones(m), np.ones(m), -np.ones(m)))
    balance = coo_array((signs, (rows, columns)), shape=(len(surplus), 2 * m)).tocsr()
    found = linprog(np.concatenate((cost, cost)), A_eq=balance, b_eq=surplus, method="highs")
    if found.status != 0:
        raise FitError(
            "Mass cannot be moved between all nodes: the network is in pieces. Use one connected "
            "component."
        )
    return float(found.fun)
