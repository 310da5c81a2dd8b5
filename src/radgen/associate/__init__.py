"""Floor 8: associations of images with genes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "TESTS": "association",
    "AssociationResult": "association_result",
    "GwasResult": "gwas_result",
    "HazardResult": "hazard_ratios",
    "gwas": "gwas_scan",
    "hazards": "hazard_ratios",
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
