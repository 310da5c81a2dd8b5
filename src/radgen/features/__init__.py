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
    from radgen.features.local import LOCAL_SETTINGS, local_features, points_to_lps
    from radgen.features.maps import chosen_maps, feature_maps, iter_feature_maps
    from radgen.features.phenotypes import pair_differences, to_phenotypes, to_wide
    from radgen.features.responses import response_maps

_LAZY = {
    "LOCAL_SETTINGS": "local",
    "LONG_SCHEMA": "extraction",
    "chosen_maps": "maps",
    "diagnose": "diagnostics",
    "extract": "extraction",
    "extract_cohort": "cohort",
    "feature_maps": "maps",
    "iter_feature_maps": "maps",
    "local_features": "local",
    "pair_differences": "phenotypes",
    "points_to_lps": "local",
    "process": "extraction",
    "response_maps": "responses",
    "to_phenotypes": "phenotypes",
    "to_wide": "phenotypes",
}

__all__ = [
    "AGGREGATIONS",
    "FAMILIES",
    "LOCAL_SETTINGS",
    "LONG_SCHEMA",
    "Discretisation",
    "ExtractionSettings",
    "Family",
    "FeatureSpec",
    "add",
    "chosen_maps",
    "diagnose",
    "extract",
    "extract_cohort",
    "feature_maps",
    "iter_feature_maps",
    "local_features",
    "pair_differences",
    "points_to_lps",
    "preset",
    "preset_names",
    "process",
    "read_settings",
    "response_maps",
    "to_phenotypes",
    "to_wide",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"radgen.features.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'radgen.features' has no attribute {name!r}")
