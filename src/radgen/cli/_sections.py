"""The sections of ``radgen --help``: which commands stand together, in the order of use."""

from __future__ import annotations

__all__ = ["SECTIONS"]

SECTIONS: dict[str, tuple[str, ...]] = {
    "A whole study": ("demo", "init", "check", "run", "schema", "catalog"),
    "Images": (
        "extract", "maps", "functional", "reliability", "harmonise", "change", "lesions", "groups",
        "dose", "cardiac", "spectra",
    ),
    "Tumours and genes": (
        "link", "associate", "replicate", "pair", "surrogate", "compare-multivariate",
        "fractions",
    ),
    "Genomes": (
        "genotypes", "gwas", "background", "omnibus", "voxelwise", "burden", "heritability",
        "score", "meta", "bundle", "plot",
    ),
    "Causes": ("mr", "coloc", "mediate"),
    "Prediction and treatment": (
        "evaluate", "deep", "predict", "validate", "audit", "environments", "response", "treatment",
        "biopsies", "patient", "timeline",
    ),
}  # fmt: skip
"""Title of a section to its commands; a command that is in none stands under Others, last."""
