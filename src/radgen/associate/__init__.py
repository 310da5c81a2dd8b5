"""Floor 8: associations of images with genes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "BurdenResult": "radgen.associate.gwas_sets",
    "GwasResult": "radgen.associate.gwas_result",
    "HeritabilityResult": "radgen.associate.gwas_heritability",
    "burden": "radgen.associate.gwas_sets",
    "gwas": "radgen.associate.gwas_scan",
    "heritability": "radgen.associate.gwas_heritability",
}

__all__ = ["BurdenResult", "GwasResult", "HeritabilityResult", "burden", "gwas", "heritability"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'radgen.associate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
