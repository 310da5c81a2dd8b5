"""Floor 8: outcome prediction with honest validation."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AuditResult": "leakage",
    "HazardResult": "hazards",
    "PredictionResult": "result",
    "RidgeCox": "ridge",
    "RidgeLinear": "ridge",
    "RidgeLogistic": "ridge",
    "audit": "leakage",
    "evaluate": "evaluation",
    "survival_hazards": "hazards",
}

__all__ = [
    "AuditResult",
    "HazardResult",
    "PredictionResult",
    "RidgeCox",
    "RidgeLinear",
    "RidgeLogistic",
    "audit",
    "evaluate",
    "survival_hazards",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.predict.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.predict' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
