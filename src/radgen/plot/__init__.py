"""Floor 3: arrays and tables to matplotlib Axes.

Every function draws on the Axes given as ``ax``, or on a new figure of its own, and returns
the Axes; no global state is touched. Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "GENOME_WIDE": "genome",
    "bland_altman": "pairs",
    "calibration": "performance",
    "cluster_order": "matrix",
    "clustermap": "matrix",
    "coloc_compare": "causal",
    "coloc_prior": "causal",
    "coloc_region": "causal",
    "components": "cohort",
    "contact_sheet": "images",
    "decision_curve": "performance",
    "feature_map": "images",
    "feature_status": "cohort",
    "flow": "cohort",
    "forest": "effects",
    "genome_positions": "genome",
    "glcm_heatmap": "intensities",
    "heatmap": "matrix",
    "inflation": "genome",
    "intensity_histogram": "intensities",
    "kaplan_meier": "performance",
    "link_circle": "circle",
    "link_graph": "links",
    "manhattan": "genome",
    "manhattan_stack": "loci",
    "mediation_path": "causal",
    "miami": "genome",
    "module_trait": "matrix",
    "montage": "images",
    "mr_funnel": "causal",
    "mr_scatter": "causal",
    "name_points": "loci",
    "oncoprint": "matrix",
    "paired_forest": "effects",
    "patient_course": "courses",
    "percentile_strip": "profile",
    "phewas": "loci",
    "precision_recall": "performance",
    "qq": "genome",
    "regional": "genome",
    "risk_coverage": "performance",
    "roc": "performance",
    "sample_map": "profile",
    "scatter": "pairs",
    "set_ranking": "effects",
    "short_names": "naming",
    "site_distribution": "cohort",
    "stat_map": "brain",
    "surface_map": "brain",
    "swimmer": "courses",
    "tree_heatmap": "trees",
    "trimmed": "naming",
    "violin": "pairs",
    "volcano": "effects",
    "waterfall": "performance",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"radgen.plot.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'radgen.plot' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
