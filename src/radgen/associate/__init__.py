"""Floor 8: associations of images with genes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "GwasResult": "radgen.associate.gwas_result",
    "HazardResult": "radgen.associate.hazard_ratios",
    "gwas": "radgen.associate.gwas_scan",
    "hazards": "radgen.associate.hazard_ratios",
}

__all__ = ["GwasResult", "HazardResult", "gwas", "hazards"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'radgen.associate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
