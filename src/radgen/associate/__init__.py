"""Floor 8: associations of images with genes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AspuResult": "gwas_aspu",
    "AssociationResult": "association_result",
    "BurdenResult": "gwas_sets",
    "DriverResult": "driver_table",
    "drivers": "driver_table",
    "FamilyResult": "heritability_family",
    "GeneticCorrelationResult": "heritability_pairs",
    "GwasResult": "gwas_result",
    "HazardResult": "hazard_ratios",
    "HierarchyResult": "gwas_hierarchy",
    "HeritabilityResult": "gwas_heritability",
    "ReplicationResult": "replication",
    "MaxTResult": "gwas_maxt",
    "MetaResult": "gwas_meta",
    "MostestResult": "gwas_mostest",
    "OmnibusResult": "gwas_omnibus",
    "RidgeResult": "gwas_ridge",
    "TESTS": "association",
    "aspu": "gwas_aspu",
    "burden": "gwas_sets",
    "family_heritability": "heritability_family",
    "genetic_correlation": "heritability_pairs",
    "gwas": "gwas_scan",
    "hazards": "hazard_ratios",
    "hierarchical_hits": "gwas_hierarchy",
    "heritability": "gwas_heritability",
    "Hypotheses": "hypotheses",
    "LayerFile": "inputs",
    "ScanInputs": "inputs",
    "read_scan_inputs": "inputs",
    "lock": "hypotheses",
    "replicate": "replication",
    "max_t_scan": "gwas_maxt",
    "meta_gwas": "gwas_meta",
    "mostest": "gwas_mostest",
    "omnibus": "gwas_omnibus",
    "PooledHeritability": "heritability_meta",
    "pool_heritability": "heritability_meta",
    "polygenic_background": "gwas_ridge",
    "read_background": "gwas_background",
    "scan": "association",
    "score_groups": "driver_table",
    "screen": "screening",
    "TwinResult": "heritability_twin",
    "twin_heritability": "heritability_twin",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.associate.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.associate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
