"""Floor 7: the phenotype matrix: build, harmonise, reliability."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "BatchGauge": "gauge",
    "ComBat": "harmonise",
    "CorrelationFilter": "select",
    "CovBat": "covbat",
    "LongitudinalComBat": "longitudinal",
    "NestedComBat": "nested",
    "RankNormaliser": "select",
    "ReliabilityFilter": "select",
    "RepeatabilityResult": "repeatability",
    "VarianceFilter": "select",
    "batch_gauge": "gauge",
    "measure_perturbed": "perturbed",
    "measure_repeatability": "repeatability",
    "repeats_of": "repeatability",
    "split_repeats": "repeatability",
}

__all__ = [
    "BatchGauge",
    "ComBat",
    "CorrelationFilter",
    "CovBat",
    "LongitudinalComBat",
    "NestedComBat",
    "RankNormaliser",
    "ReliabilityFilter",
    "RepeatabilityResult",
    "VarianceFilter",
    "batch_gauge",
    "measure_perturbed",
    "measure_repeatability",
    "repeats_of",
    "split_repeats",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.phenotype.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.phenotype' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
