"""Cut a dendrogram by the shape of its branches."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["cut_branches"]

Array = NDArray[np.float64]

_SCATTER = (0.64, 0.73, 0.82, 0.91, 0.95)


@dataclass(eq=False)
class _Branch:
    """A branch while it grows: its leaves in the order they joined, or the modules in it."""

    leaves: list[int] = field(default_factory=list)
    modules: list[list[int]] = field(default_factory=list)
    composite: bool = False


def cut_branches(
    linkage: Array, distance: Array, *, min_size: int, depth: int = 2, height: float | None = None
) -> NDArray[np.int64]:
    """Return modules: branches that are large, close at the core, and clear of what they join.

    Parameters
    ----------
    linkage : ndarray of float64 (n_items - 1, 4)
        As of ``scipy.cluster.hierarchy.linkage``.
    distance : ndarray of float64 (n_items, n_items)
        Symmetric.
    min_size : int
        Fewest items of a module.
    depth : int, default 2
        From 0 (few, large modules) to 4 (many, small ones).
    height : float or None
        Joins above are not followed; None = 99 % of the way from the 5th percentile of the
        heights to the highest.

    Returns
    -------
    ndarray of int64 (n_items,)
        1, 2, … by falling size; 0 = in no module.

    Notes
    -----
    Joins are followed from the lowest. When two branches meet, each is asked whether it is a
    module: has it `min_size` items, is the mean distance within its core below a limit, and is
    the join higher than that by a margin? The core are the items that joined first. If both
    are, both stay; otherwise the smaller becomes part of the larger. Items that join a branch
    in which modules have been found belong to none.

    References
    ----------
    Langfelder, Zhang & Horvath (2008), Bioinformatics 24, 719,
    doi:10.1093/bioinformatics/btm563; the "hybrid" variant without its second stage.
    """
    n = len(linkage) + 1
    reference = float(np.sort(linkage[:, 2])[max(round((n - 1) * 0.05), 1) - 1])
    top = float(linkage[:, 2].max())
    stop = reference + 0.99 * (top - reference) if height is None else height
    scatter = reference + _SCATTER[depth] * (stop - reference)
    gap = 0.75 * (1 - _SCATTER[depth]) * (stop - reference)
    limits = (min_size, scatter, gap)
    branches: dict[int, _Branch] = {i: _Branch([i]) for i in range(n)}
    for row, (left, right, level, _) in enumerate(linkage):
        if level > stop:
            break
        pair = [branches.pop(int(left)), branches.pop(int(right))]
        branches[n + row] = _joined(pair, float(level), distance, limits)
    found: list[list[int]] = []
    for branch in branches.values():
        if branch.composite:
            found += branch.modules
        elif _is_module(branch, stop, distance, limits):
            found.append(branch.leaves)
    labels = np.zeros(n, dtype=np.int64)
    found.sort(key=lambda own: (-len(own), min(own)))
    for number, own in enumerate(found, 1):
        labels[own] = number
    return labels


def _joined(
    pair: list[_Branch], level: float, distance: Array, limits: tuple[int, float, float]
) -> _Branch:
    large, small = sorted(pair, key=lambda item: -len(item.leaves))
    parts = [
        branch.composite or _is_module(branch, level, distance, limits) for branch in (large, small)
    ]
    if all(parts):
        modules = [*_modules(large), *_modules(small)]
        return _Branch([*large.leaves, *small.leaves], modules, composite=True)
    if large.composite or small.composite:
        modules = [*large.modules, *small.modules]
        return _Branch([*large.leaves, *small.leaves], modules, composite=True)
    return _Branch([*large.leaves, *small.leaves])


def _modules(branch: _Branch) -> list[list[int]]:
    return branch.modules if branch.composite else [branch.leaves]


def _is_module(
    branch: _Branch, level: float, distance: Array, limits: tuple[int, float, float]
) -> bool:
    min_size, scatter, gap = limits
    size = len(branch.leaves)
    if size < min_size or size < 2:
        return False
    base = min_size / 2 + 1
    number = size if size < base else min(size, int(base + np.sqrt(size - base)))
    core = branch.leaves[: max(number, 2)]
    inner = distance[np.ix_(core, core)].sum() / (len(core) * (len(core) - 1))
    return bool(inner < scatter and level - inner >= gap)
