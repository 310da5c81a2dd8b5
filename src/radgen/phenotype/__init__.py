"""Floor 7: the phenotype matrix: build, harmonise, reliability."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AllometricScaler": "allometry",
    "BatchGauge": "gauge",
    "CardiacTraits": "heart",
    "ComBat": "harmonise",
    "CorrelationFilter": "select",
    "CovBat": "covbat",
    "IntrinsicPhenotypes": "intrinsic",
    "IntrinsicResult": "intrinsic_groups",
    "IntrinsicTransfer": "intrinsic_groups",
    "LongitudinalComBat": "longitudinal",
    "NestedComBat": "nested",
    "NetworkGroups": "network_clusters",
    "NetworkResult": "network",
    "RankNormaliser": "select",
    "ReliabilityFilter": "select",
    "RepeatabilityResult": "repeatability",
    "VarianceFilter": "select",
    "assign_intrinsic": "intrinsic_groups",
    "batch_components": "components",
    "batch_gauge": "gauge",
    "body_surface_area": "heart",
    "cardiac_traits": "heart",
    "find_intrinsic": "intrinsic_groups",
    "measure_perturbed": "perturbed",
    "measure_repeatability": "repeatability",
    "network_groups": "network_clusters",
    "repeats_of": "repeatability",
    "reproducible_network": "network",
    "split_repeats": "repeatability",
}

__all__ = [
    "AllometricScaler",
    "BatchGauge",
    "CardiacTraits",
    "ComBat",
    "CorrelationFilter",
    "CovBat",
    "IntrinsicPhenotypes",
    "IntrinsicResult",
    "IntrinsicTransfer",
    "LongitudinalComBat",
    "NestedComBat",
    "NetworkGroups",
    "NetworkResult",
    "RankNormaliser",
    "ReliabilityFilter",
    "RepeatabilityResult",
    "VarianceFilter",
    "assign_intrinsic",
    "batch_components",
    "batch_gauge",
    "body_surface_area",
    "cardiac_traits",
    "find_intrinsic",
    "measure_perturbed",
    "measure_repeatability",
    "network_groups",
    "repeats_of",
    "reproducible_network",
    "split_repeats",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.phenotype.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.phenotype' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
