"""Floor 8: associations of images with genes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AssociationResult": "association_result",
    "BurdenResult": "gwas_sets",
    "GwasResult": "gwas_result",
    "HazardResult": "hazard_ratios",
    "HeritabilityResult": "gwas_heritability",
    "ReplicationResult": "replication",
    "MetaResult": "gwas_meta",
    "OmnibusResult": "gwas_omnibus",
    "RidgeResult": "gwas_ridge",
    "TESTS": "association",
    "burden": "gwas_sets",
    "gwas": "gwas_scan",
    "hazards": "hazard_ratios",
    "heritability": "gwas_heritability",
    "lock": "replication",
    "replicate": "replication",
    "meta_gwas": "gwas_meta",
    "omnibus": "gwas_omnibus",
    "polygenic_background": "gwas_ridge",
    "scan": "association",
    "screen": "screening",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.associate.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.associate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
