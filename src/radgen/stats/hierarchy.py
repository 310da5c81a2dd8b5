"""Select hypotheses on a tree: variants, then regions, then voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen.errors import InputError

__all__ = ["TreeLevel", "tree_bh"]

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class TreeLevel:
    """The nodes of one level of the tree that hold a stored test.

    Attributes
    ----------
    first : ndarray of int64 (n_nodes,)
        A leaf of each node, by its place in the input: its labels name the node.
    parent : ndarray of int64 (n_nodes,)
        Node of the level above; 0 on the first level.
    p : ndarray of float64 (n_nodes,)
        Simes' p of the children; the leaf's own on the last level.
    n_children : ndarray of int64 (n_nodes,)
        Size of the family below; 0 on the last level.
    selected : ndarray of bool (n_nodes,)
        Whether the node was selected.
    """

    first: Index
    parent: Index
    p: Array
    n_children: Index
    selected: NDArray[np.bool_]


def tree_bh(
    p: ArrayLike,
    labels: Sequence[ArrayLike],
    *,
    q: Sequence[float],
    sizes: Sequence[int | ArrayLike] | None = None,
) -> tuple[TreeLevel, ...]:
    """Return the nodes of each level, and which of them are selected (TreeBH).

    Parameters
    ----------
    p : array_like of float64 (n_leaves,)
        p-values of the leaves, in [0, 1].
    labels : sequence of array_like (n_leaves,)
        Labels of the levels above the leaves, from the top: the variant of each leaf, then its
        region. A node is a path of labels, so that regions may have the same names in all
        variants.
    q : sequence of float (n_levels,)
        Bounds of the levels from the top, the leaves' last; one more than `labels`.
    sizes : sequence of int or array_like, or None
        Where not all leaves are given: the number of nodes on the first level; then, for each
        level of `labels`, how many children each of its nodes has, a number or an array
        (n_leaves,) with the size of the node each leaf lies in. None = what is given is all.
        Leaves that are not given count as p = 1, which errs on the safe side.

    Returns
    -------
    tuple of TreeLevel
        From the top to the leaves; leaves are in the order of the input.

    Raises
    ------
    InputError
        If sizes disagree, or a p or bound is out of range.

    Notes
    -----
    The p of a node is Simes' combination of its children. The first level is selected by
    Benjamini-Hochberg at q[0]; the children of a selected node at q[l] times the product of the
    shares selected in all families above. The selective false discovery rate of each level is
    then at most its bound under independence of the families, and in simulations under the
    dependence of linkage and space. Where only leaves below some p were stored, a Simes' p below
    it is exact.

    References
    ----------
    Bogomolov, Peterson, Benjamini & Sabatti (2021), doi:10.1093/biomet/asaa086; Peterson et al.
    (2016), doi:10.1002/gepi.21942.

    Examples
    --------
    >>> levels = tree_bh([0.001, 0.5, 0.6, 0.9], [["a", "a", "b", "b"]], q=[0.05, 0.05])
    >>> levels[0].selected.tolist(), levels[1].selected.tolist()
    ([True, False], [True, False, False, False])
    """
    value, nodes = _checked(p, labels, q, sizes)
    depth = len(nodes)
    total, below = _sizes(nodes, sizes)
    node_p = _combine(value, nodes, below)
    bound = np.full(1, float(q[0]))
    parent, picked = np.zeros(len(node_p[0]), np.int64), np.ones(1, bool)
    family = np.full(1, float(total))
    out = []
    for level in range(depth):
        chosen, share = _select(node_p[level], parent, picked, bound, family)
        first = np.full(len(node_p[level]), -1, np.int64)
        first[nodes[level][::-1]] = np.arange(len(value))[::-1]
        last = level == depth - 1
        count = np.zeros(len(first), np.int64) if last else below[level].astype(np.int64)
        out.append(TreeLevel(first, parent, node_p[level], count, chosen))
        if last:
            break
        # q[l + 1] times the shares selected on the way down
        bound = q[level + 1] * share[parent] * (bound / q[level])[parent]
        picked, family = chosen, below[level]
        parent = np.zeros(len(node_p[level + 1]), np.int64)
        parent[nodes[level + 1]] = nodes[level]
    return tuple(out)


def _checked(
    p: ArrayLike,
    labels: Sequence[ArrayLike],
    q: Sequence[float],
    sizes: Sequence[int | ArrayLike] | None,
) -> tuple[Array, list[Index]]:
    value = np.asarray(p, dtype=np.float64).ravel()
    if not len(value) or np.isnan(value).any() or ((value < 0) | (value > 1)).any():
        raise InputError("Needed is at least one p-value, all in [0, 1]; drop missing ones first.")
    if len(q) != len(labels) + 1 or not all(0 < item < 1 for item in q):
        raise InputError(
            f"There are {len(labels)} levels of labels and the leaves: needed are "
            f"{len(labels) + 1} bounds in (0, 1), found {list(q)}."
        )
    if sizes is not None and len(sizes) != len(labels) + 1:
        raise InputError(f"sizes has {len(sizes)} entries; needed are {len(labels) + 1}.")
    nodes: list[Index] = []
    path = np.zeros(len(value), np.int64)
    for item in labels:
        _, code = np.unique(np.asarray(item).ravel(), return_inverse=True)
        if len(code) != len(value):
            raise InputError(f"There are {len(value)} p-values and {len(code)} labels.")
        _, path = np.unique(path * (code.max() + 1) + code, return_inverse=True)
        nodes.append(path.astype(np.int64))
    nodes.append(np.arange(len(value)))
    return value, nodes


def _sizes(nodes: list[Index], sizes: Sequence[int | ArrayLike] | None) -> tuple[int, list[Array]]:
    """Return the size of the first family, and of the family below each node."""
    seen: list[Array] = []
    for upper, lower in pairwise(nodes):
        pairs = np.unique(np.column_stack([upper, lower]), axis=0)
        seen.append(np.bincount(pairs[:, 0]).astype(np.float64))
    if sizes is None:
        return int(nodes[0].max()) + 1, seen
    below = []
    for given, found, node in zip(sizes[1:], seen, nodes[:-1], strict=True):
        size = np.empty(len(found))
        size[node] = np.broadcast_to(np.asarray(given, dtype=np.float64), node.shape)
        if (size < found).any():
            raise InputError("A family is smaller than the tests given for it: check sizes.")
        below.append(size)
    total = int(np.asarray(sizes[0]))
    if total < int(nodes[0].max()) + 1:
        raise InputError(f"sizes names {total} nodes on the first level; more are given.")
    return total, below


def _combine(value: Array, nodes: list[Index], below: list[Array]) -> list[Array]:
    """Return the p of the nodes of each level, by Simes from the leaves upwards."""
    out = [value]
    for level in range(len(nodes) - 2, -1, -1):
        child = out[0]
        parent = np.zeros(len(child), np.int64)
        parent[nodes[level + 1]] = nodes[level]
        order = np.lexsort((child, parent))
        starts = np.searchsorted(parent[order], np.arange(len(below[level])))
        rank = np.arange(len(child)) - starts[parent[order]] + 1.0
        simes = np.ones(len(below[level]))
        np.minimum.at(simes, parent[order], child[order] * below[level][parent[order]] / rank)
        out.insert(0, np.minimum(simes, 1.0))
    return out


def _select(
    p: Array, parent: Index, picked: NDArray[np.bool_], bound: Array, family: Array
) -> tuple[NDArray[np.bool_], Array]:
    """Return the nodes selected in the families of picked parents, and the share of each."""
    order = np.lexsort((p, parent))
    group = parent[order]
    starts = np.searchsorted(group, np.arange(len(family)))
    rank = np.arange(len(p)) - starts[group] + 1.0
    line = bound[group] * rank / family[group]
    passed = (p[order] <= line) & picked[group]
    reach = np.zeros(len(family))
    np.maximum.at(reach, group[passed], rank[passed])
    chosen = np.zeros(len(p), bool)
    chosen[order] = rank <= reach[group]
    return chosen, reach / family
