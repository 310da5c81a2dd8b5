"""Floor 8: the classic multivariate methods of imaging genetics as scikit-learn estimators."""

from __future__ import annotations

from typing import Any

_HOME = {
    "DEFAULT_METHODS": "methods",
    "METHODS": "methods",
    "ComparisonResult": "comparison_result",
    "MethodResult": "comparison_result",
    "compare": "comparison",
    "Adjusted": "adjusted",
    "BayesianGroupSparse": "bayes",
    "FusedGroups": "fused_groups",
    "FusedGroupsResult": "fused_groups",
    "GroupSparseMultiTask": "multitask",
    "LowRankMultiTask": "multitask",
    "MofaFactors": "mofa",
    "MultiBlockCCA": "multi_block",
    "ParallelICA": "parallel_ica",
    "ReducedRankRegression": "reduced_rank",
    "RowSparseReducedRank": "row_sparse",
    "SparseCCA": "sparse_cca",
    "SparsePLS": "sparse_pls",
    "SparsePLSRegression": "sparse_pls",
    "SparseReducedRank": "reduced_rank",
    "cca_cross_validation": "tuning",
    "cca_permutation": "tuning",
    "bicluster_sets": "biclusters",
    "fuse_groups": "fused_groups",
    "link_biclusters": "biclusters",
    "match_blocks": "inputs",
    "component_number": "components",
    "component_stability": "components",
    "link_significance": "components",
    "selection_frequency": "tuning",
    "weight_map": "maps",
}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"radgen.multivariate.{_HOME[name]}"), name)
    raise AttributeError(f"module 'radgen.multivariate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOME)
