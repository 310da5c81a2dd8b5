"""Floor 8: outcome prediction with honest validation."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AuditResult": "leakage",
    "ExternalResult": "external",
    "FittedModel": "fitting",
    "HazardResult": "hazards",
    "PredictionResult": "result",
    "RidgeCox": "ridge",
    "RidgeLinear": "ridge",
    "RidgeLogistic": "ridge",
    "audit": "leakage",
    "evaluate": "evaluation",
    "fit_model": "fitting",
    "read_bundle": "bundle",
    "survival_hazards": "hazards",
    "validate_external": "external",
    "write_bundle": "bundle",
}

__all__ = [
    "AuditResult",
    "ExternalResult",
    "FittedModel",
    "HazardResult",
    "PredictionResult",
    "RidgeCox",
    "RidgeLinear",
    "RidgeLogistic",
    "audit",
    "evaluate",
    "fit_model",
    "read_bundle",
    "survival_hazards",
    "validate_external",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.predict.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.predict' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
