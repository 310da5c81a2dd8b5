"""Floor 5: quality control, structure and scores of genotypes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "GenotypePCA": "radgen.genome.components",
    "GenotypeQC": "radgen.genome.quality",
    "adaptation_index": "radgen.genome.codon_usage",
    "adaptiveness": "radgen.genome.codon_usage",
    "clump": "radgen.genome.linkage",
    "codon_counts": "radgen.genome.codon_usage",
    "duplicates": "radgen.genome.relatedness",
    "genotype_qc": "radgen.genome.quality",
    "grm": "radgen.genome.relatedness",
    "hardy_weinberg": "radgen.genome.frequency",
    "king": "radgen.genome.relatedness",
    "ld_matrix": "radgen.genome.linkage",
    "ld_pairs": "radgen.genome.tagging",
    "ld_scores": "radgen.genome.tagging",
    "loco_grms": "radgen.genome.relatedness",
    "match_variants": "radgen.genome.matching",
    "match_weights": "radgen.genome.score_weights",
    "pedigree_families": "radgen.genome.pedigree",
    "pedigree_kinship": "radgen.genome.pedigree",
    "polygenic_score": "radgen.genome.polygenic",
    "prune": "radgen.genome.linkage",
    "read_kinship": "radgen.genome.kinship_files",
    "related_pairs": "radgen.genome.relatedness",
    "rscu": "radgen.genome.codon_usage",
    "sample_statistics": "radgen.genome.frequency",
    "synonymous_weights": "radgen.genome.codon_usage",
    "trna_adaptiveness": "radgen.genome.codon_usage",
    "variant_statistics": "radgen.genome.frequency",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'radgen.genome' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
