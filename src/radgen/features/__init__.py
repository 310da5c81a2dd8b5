"""Floor 6: image features, one family a file."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from radgen.features._registry import AGGREGATIONS, FAMILIES, Family, FeatureSpec, add
from radgen.features.settings import (
    Discretisation,
    ExtractionSettings,
    preset,
    preset_names,
    read_settings,
)

if TYPE_CHECKING:
    from radgen.features.cohort import extract_cohort
    from radgen.features.diagnostics import diagnose
    from radgen.features.extraction import LONG_SCHEMA, extract, process
    from radgen.features.maps import feature_maps
    from radgen.features.phenotypes import pair_differences, to_phenotypes, to_wide

_LAZY = {
    "LONG_SCHEMA": "extraction",
    "diagnose": "diagnostics",
    "extract": "extraction",
    "extract_cohort": "cohort",
    "feature_maps": "maps",
    "pair_differences": "phenotypes",
    "process": "extraction",
    "to_phenotypes": "phenotypes",
    "to_wide": "phenotypes",
}

__all__ = [
    "AGGREGATIONS",
    "FAMILIES",
    "LONG_SCHEMA",
    "Discretisation",
    "ExtractionSettings",
    "Family",
    "FeatureSpec",
    "add",
    "diagnose",
    "extract",
    "extract_cohort",
    "feature_maps",
    "pair_differences",
    "preset",
    "preset_names",
    "process",
    "read_settings",
    "to_phenotypes",
    "to_wide",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"radgen.features.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'radgen.features' has no attribute {name!r}")
