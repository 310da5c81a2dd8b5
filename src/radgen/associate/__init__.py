"""Floor 8: associations of images with genes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AspuResult": "many_traits.aspu",
    "AssociationResult": "association_result",
    "AtlasResult": "maps.lesion_frequency",
    "Bundle": "genomewide.bundle",
    "BurdenResult": "genomewide.variant_sets",
    "DriverResult": "driver_table",
    "EnrichmentResult": "gene_sets.enrichment_result",
    "EvidenceResult": "layer_evidence",
    "FamilyResult": "heredity.families",
    "GeneticCorrelationResult": "heredity.trait_pairs",
    "GwasResult": "genomewide.result",
    "HazardResult": "hazard_ratios",
    "HeritabilityResult": "heredity.unrelated",
    "HierarchyResult": "many_traits.hierarchy",
    "Hypotheses": "hypotheses",
    "LayerFile": "inputs",
    "LdScoreCorrelation": "heredity.ld_regression",
    "LdScoreHeritability": "heredity.ld_regression",
    "LesionMapResult": "maps.lesion_map",
    "LinkResult": "linkage",
    "LinkRules": "linkage",
    "MaskingResult": "gene_sets.masking_result",
    "MaxTResult": "many_traits.max_t",
    "MetaResult": "genomewide.meta",
    "ModuleMapResult": "gene_sets.module_map",
    "MostestResult": "many_traits.mostest",
    "OmnibusResult": "many_traits.omnibus",
    "PooledHeritability": "heredity.pooled",
    "PooledScanResult": "genomewide.bundle_pool",
    "PreservationResult": "gene_sets.module_preservation",
    "ReaderResult": "reader_error",
    "ReplicationResult": "replication",
    "RidgeResult": "genomewide.ridge",
    "ScanInputs": "inputs",
    "SignatureResult": "signature_validation",
    "TESTS": "association",
    "TwinResult": "heredity.twins",
    "VoxelTestResult": "maps.voxel_test",
    "VoxelwiseResult": "maps.voxelwise",
    "adjust_for": "inputs",
    "aggregate": "aggregation",
    "aspu": "many_traits.aspu",
    "burden": "genomewide.variant_sets",
    "drivers": "driver_table",
    "enrich": "gene_sets.enrichment",
    "evidence": "layer_evidence",
    "family_heritability": "heredity.families",
    "fold_hemispheres": "maps.lesion_frequency",
    "genetic_correlation": "heredity.trait_pairs",
    "gwas": "genomewide.scan",
    "hazards": "hazard_ratios",
    "heritability": "heredity.unrelated",
    "hierarchical_hits": "many_traits.hierarchy",
    "ldsc_correlation": "heredity.ld_regression",
    "ldsc_heritability": "heredity.ld_regression",
    "lesion_atlas": "maps.lesion_frequency",
    "link": "linkage",
    "lock": "hypotheses",
    "make_bundle": "genomewide.bundle",
    "map_lesions": "maps.lesion_map",
    "map_modules": "gene_sets.module_map",
    "mask_genes": "gene_sets.gene_masking",
    "max_t_scan": "many_traits.max_t",
    "meta_gwas": "genomewide.meta",
    "mostest": "many_traits.mostest",
    "omnibus": "many_traits.omnibus",
    "omnibus_bundles": "genomewide.bundle_pool",
    "over_representation": "gene_sets.gene_lists",
    "polygenic_background": "genomewide.ridge",
    "pool_bundles": "genomewide.bundle_pool",
    "pool_heritability": "heredity.pooled",
    "preranked": "gene_sets.gene_lists",
    "preservation": "gene_sets.module_preservation",
    "read_background": "genomewide.background",
    "read_bundle": "genomewide.bundle",
    "read_compact": "genomewide._compact",
    "read_scan_inputs": "inputs",
    "reader_effects": "reader_error",
    "replicate": "replication",
    "scan": "association",
    "score_groups": "driver_table",
    "screen": "screening",
    "standardised_differences": "aggregation",
    "twin_heritability": "heredity.twins",
    "validate_signature": "signature_validation",
    "voxel_test": "maps.voxel_test",
    "voxelwise": "maps.voxelwise",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.associate.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.associate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
