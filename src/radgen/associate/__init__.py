"""Floor 8: associations of images with genes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AspuResult": "gwas_aspu",
    "AssociationResult": "association_result",
    "AtlasResult": "lesion_frequency",
    "Bundle": "bundle",
    "BurdenResult": "gwas_sets",
    "DriverResult": "driver_table",
    "EnrichmentResult": "enrichment_result",
    "EvidenceResult": "layer_evidence",
    "FamilyResult": "heritability_family",
    "GeneticCorrelationResult": "heritability_pairs",
    "GwasResult": "gwas_result",
    "HazardResult": "hazard_ratios",
    "HeritabilityResult": "gwas_heritability",
    "HierarchyResult": "gwas_hierarchy",
    "Hypotheses": "hypotheses",
    "LayerFile": "inputs",
    "LesionMapResult": "lesion_map",
    "LinkResult": "linkage",
    "LinkRules": "linkage",
    "MaskingResult": "masking_result",
    "MaxTResult": "gwas_maxt",
    "MetaResult": "gwas_meta",
    "ModuleMapResult": "module_map",
    "MostestResult": "gwas_mostest",
    "OmnibusResult": "gwas_omnibus",
    "PooledHeritability": "heritability_meta",
    "PooledScanResult": "bundle_pool",
    "PreservationResult": "module_preservation",
    "ReaderResult": "reader_error",
    "ReplicationResult": "replication",
    "RidgeResult": "gwas_ridge",
    "ScanInputs": "inputs",
    "SignatureResult": "signature_validation",
    "TESTS": "association",
    "TwinResult": "heritability_twin",
    "VoxelTestResult": "gwas_voxel_test",
    "VoxelwiseResult": "gwas_voxelwise",
    "adjust_for": "inputs",
    "aggregate": "aggregation",
    "aspu": "gwas_aspu",
    "burden": "gwas_sets",
    "drivers": "driver_table",
    "enrich": "enrichment",
    "evidence": "layer_evidence",
    "family_heritability": "heritability_family",
    "fold_hemispheres": "lesion_frequency",
    "genetic_correlation": "heritability_pairs",
    "gwas": "gwas_scan",
    "hazards": "hazard_ratios",
    "heritability": "gwas_heritability",
    "hierarchical_hits": "gwas_hierarchy",
    "lesion_atlas": "lesion_frequency",
    "link": "linkage",
    "lock": "hypotheses",
    "make_bundle": "bundle",
    "map_lesions": "lesion_map",
    "map_modules": "module_map",
    "mask_genes": "gene_masking",
    "max_t_scan": "gwas_maxt",
    "meta_gwas": "gwas_meta",
    "mostest": "gwas_mostest",
    "omnibus": "gwas_omnibus",
    "omnibus_bundles": "bundle_pool",
    "over_representation": "gene_lists",
    "polygenic_background": "gwas_ridge",
    "pool_bundles": "bundle_pool",
    "pool_heritability": "heritability_meta",
    "preranked": "gene_lists",
    "preservation": "module_preservation",
    "read_background": "gwas_background",
    "read_bundle": "bundle",
    "read_compact": "_gwas_compact",
    "read_scan_inputs": "inputs",
    "reader_effects": "reader_error",
    "replicate": "replication",
    "scan": "association",
    "score_groups": "driver_table",
    "screen": "screening",
    "standardised_differences": "aggregation",
    "twin_heritability": "heritability_twin",
    "validate_signature": "signature_validation",
    "voxel_test": "gwas_voxel_test",
    "voxelwise": "gwas_voxelwise",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.associate.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.associate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
