"""Floor 4: one file format a module."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "CoregisteredImages": "biopsies",
    "CourseTable": "course_tables",
    "IdRule": "ids",
    "Layout": "layout",
    "LdScores": "ld_score_files",
    "apply_spellings": "spelling",
    "call_genes": "maf",
    "discover": "layout",
    "gene_names": "portals",
    "normalise_ids": "ids",
    "one_tumour_each": "barcodes",
    "open_genotypes": "genotypes",
    "read_baselines": "course_tables",
    "read_biopsies": "biopsies",
    "read_cbioportal": "cbioportal",
    "read_coregistered": "biopsies",
    "read_course": "course_tables",
    "read_feature_table": "feature_tables",
    "read_gct": "omics",
    "read_gdc_counts": "portals",
    "read_gene_map": "gene_maps",
    "read_gene_masks": "gene_masks",
    "read_gene_sets": "gene_masks",
    "read_genes": "genes",
    "read_genetic_map": "ld_score_files",
    "read_genotype_table": "genotype_tables",
    "read_gmt": "omics",
    "read_image": "images",
    "read_ld_scores": "ld_score_files",
    "read_layer": "layers",
    "read_labelled_masks": "masks",
    "read_lexicon": "traits",
    "read_maf": "maf",
    "read_markers": "markers",
    "read_masks": "masks",
    "read_mutations": "maf",
    "read_omics": "omics",
    "read_directions": "series",
    "read_numbers": "series",
    "read_people": "genotypes",
    "read_places": "segments",
    "read_plain": "plain",
    "read_records": "plain",
    "read_sample_arrays": "sample_arrays",
    "read_scan": "scan_tables",
    "read_score_weights": "score_files",
    "read_segments": "segments",
    "read_series": "series",
    "read_series_matrix": "geo",
    "read_somatic_vcf": "somatic_vcf",
    "read_spectra": "spectroscopy",
    "read_stack": "stack",
    "read_summary_statistics": "summary_statistics",
    "read_surface": "stack",
    "read_table": "tables",
    "read_traits": "traits",
    "read_xena": "portals",
    "standard_summary": "summary_statistics",
    "suv": "pet",
    "table_problems": "tables",
    "to_numbers": "tables",
    "samples_beside": "omics",
    "tumours_only": "portals",
    "write_image": "images",
    "write_ld_scores": "ld_score_files",
    "write_map": "stack",
    "write_mask": "images",
    "write_sample_arrays": "sample_arrays",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.io.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.io' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
