"""The methods that can be compared: how each is built, tuned and described."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.multivariate.bayes import BayesianGroupSparse
from radgen.multivariate.components import component_number
from radgen.multivariate.mofa import MofaFactors
from radgen.multivariate.multitask import GroupSparseMultiTask, LowRankMultiTask
from radgen.multivariate.parallel_ica import ParallelICA
from radgen.multivariate.reduced_rank import ReducedRankRegression, SparseReducedRank
from radgen.multivariate.sparse_cca import SparseCCA
from radgen.multivariate.sparse_pls import SparsePLS

__all__ = ["DEFAULT_METHODS", "METHODS", "Method", "chosen_methods"]

Array = NDArray[np.float64]
Candidates = Callable[[Array, Array, Sequence[str] | None, int], list[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Method:
    """One method of the comparison.

    Attributes
    ----------
    name : str
        As the user types it.
    label : str
        As a figure shows it.
    candidates : callable
        ``candidates(x, y, groups, seed)`` returns unfitted estimators to choose from; x and y
        are adjusted training rows.
    reference : str
        Publication.
    sparse : bool
        Whether weights are exactly zero for variants that are not chosen.
    needs_groups : bool
        Whether the gene of each variant is needed.
    """

    name: str
    label: str
    candidates: Candidates
    reference: str
    sparse: bool = True
    needs_groups: bool = False


def _scca(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    return [
        SparseCCA(x_penalty=a, y_penalty=b, tol=1e-5, max_iter=2000)
        for a in _bounds(x, (0.15, 0.35, 0.7))
        for b in _bounds(y, (0.4, 0.8))
    ]


def _group_scca(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    return [
        SparseCCA(x_penalty=a, y_penalty=b, x_groups=groups, group_mix=0.8, tol=1e-5, max_iter=2000)
        for a in _bounds(x, (0.3, 0.5, 0.8))
        for b in _bounds(y, (0.4, 0.8))
    ]


def _spls(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    return [
        SparsePLS(n_x=a, n_y=b, tol=1e-6, max_iter=2000)
        for a in _counts(x, (0.02, 0.1, 0.4))
        for b in _counts(y, (0.3, 1.0))
    ]


def _rrr(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    # the ridge is in units of X'X: fractions of its mean eigenvalue
    unit = float((x * x).sum()) / max(1, min(x.shape))
    return [
        ReducedRankRegression(rank=r, ridge=unit * f)
        for r in sorted({1, min(3, y.shape[1])})
        for f in (0.1, 1.0, 10.0)
    ]


def _srrr(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    return [
        SparseReducedRank(n_selected=k, tol=1e-6, max_iter=2000)
        for k in _counts(x, (0.01, 0.03, 0.1, 0.3))
    ]


def _multitask(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    most = _largest_alpha(x, y)
    if groups is None:
        return [GroupSparseMultiTask(most * f, tol=1e-4) for f in (0.8, 0.5, 0.3)]
    return [
        GroupSparseMultiTask(most * f / 2, alpha_group=most * f / 4, groups=groups, tol=1e-4)
        for f in (0.9, 0.6, 0.35)
    ]


def _low_rank(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    most = _largest_alpha(x, y)
    return [LowRankMultiTask(most * f, alpha_rank=most * f, tol=1e-3) for f in (0.5, 0.25)]


def _parallel_ica(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    start = seed % 2**32
    most = [min(8, len(b) // 4, b.shape[1] - 1) for b in (x, y)]
    described = [max(2, component_number(b, maximum=m)) for b, m in zip((x, y), most, strict=True)]
    counts = {tuple(described), (max(2, most[0]), max(2, most[1]))}
    return [ParallelICA(pair, random_state=start) for pair in sorted(counts)]


def _bayes(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    return [BayesianGroupSparse(groups=groups, n_draws=400, n_burn=200, random_state=seed % 2**32)]


def _mofa(x: Array, y: Array, groups: Sequence[str] | None, seed: int) -> list[Any]:
    return [MofaFactors(5, random_state=seed % 2**31)]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("scca", "Sparse CCA", _scca, "Witten, Tibshirani, Hastie (2009), Biostatistics"),
        Method(
            "group-scca",
            "Sparse CCA, genes",
            _group_scca,
            "Lin et al. (2013), BMC Bioinformatics",
            needs_groups=True,
        ),
        Method("spls", "Sparse PLS", _spls, "Le Floch et al. (2012), NeuroImage"),
        Method("rrr", "Reduced rank", _rrr, "Izenman (1975), J Multivar Anal", sparse=False),
        Method("srrr", "Sparse reduced rank", _srrr, "Vounou et al. (2010), NeuroImage"),
        Method("multitask", "Group-sparse tasks", _multitask, "Wang et al. (2012), Bioinformatics"),
        Method("low-rank", "Low-rank tasks", _low_rank, "Huo et al. (2018), Pac Symp Biocomput"),
        Method(
            "parallel-ica",
            "Parallel ICA",
            _parallel_ica,
            "Liu et al. (2009), Hum Brain Mapp",
            sparse=False,
        ),
        Method(
            "bayes",
            "Bayesian groups",
            _bayes,
            "Greenlaw et al. (2017), Bioinformatics",
            sparse=False,
        ),
        Method("mofa", "MOFA", _mofa, "Argelaguet et al. (2020), Genome Biol", sparse=False),
    )
}
"""All methods by name."""

DEFAULT_METHODS = ("scca", "group-scca", "spls", "rrr", "srrr", "multitask", "parallel-ica")
"""Methods compared where none is named; "group-scca" only where groups are given."""


def chosen_methods(names: Sequence[str] | None, *, has_groups: bool) -> list[Method]:
    """Return the methods of these names.

    Parameters
    ----------
    names : sequence of str or None
        None = `DEFAULT_METHODS`.
    has_groups : bool
        Whether the gene of each variant is known.

    Returns
    -------
    list of Method
        In the order asked for.

    Raises
    ------
    InputError
        If a name is unknown or a method lacks its groups.
    """
    from radgen.errors import InputError

    if names is None:
        methods = [METHODS[name] for name in DEFAULT_METHODS]
        return [method for method in methods if has_groups or not method.needs_groups]
    methods = [METHODS[require_choice(name, METHODS, what="method")] for name in names]
    lacking = [method.name for method in methods if method.needs_groups and not has_groups]
    if lacking:
        raise InputError(f"{lacking[0]!r} needs the gene of each variant; give groups.")
    return methods


def _bounds(block: Array, fractions: Sequence[float]) -> list[float]:
    """Return l1 bounds, none so small that a single feature is left."""
    least = min(1.0, 1.5 / np.sqrt(block.shape[1]))
    return sorted({max(least, f) for f in fractions}, reverse=True)


def _counts(block: Array, fractions: Sequence[float]) -> list[int]:
    return sorted({max(1, min(block.shape[1], round(f * block.shape[1]))) for f in fractions})


def _largest_alpha(x: Array, y: Array) -> float:
    """Return the smallest row penalty that removes every variant."""
    return float(np.linalg.norm(x.T @ y, axis=1).max()) / len(x)
