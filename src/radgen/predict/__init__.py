"""Floor 8: outcome prediction with honest validation."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AuditResult": "leakage",
    "ExternalResult": "external",
    "FittedModel": "fitting",
    "HazardResult": "hazards",
    "ModelInputs": "inputs",
    "PredictionResult": "result",
    "RidgeCox": "ridge",
    "RidgeLinear": "ridge",
    "RidgeLogistic": "ridge",
    "audit": "leakage",
    "audit_model": "leakage",
    "bundle_digest": "bundle",
    "evaluate": "evaluation",
    "fit_model": "fitting",
    "model_tables": "inputs",
    "read_bundle": "bundle",
    "read_inputs": "inputs",
    "survival_hazards": "hazards",
    "validate_external": "external",
    "write_bundle": "bundle",
}

__all__ = [
    "AuditResult",
    "ExternalResult",
    "FittedModel",
    "HazardResult",
    "ModelInputs",
    "PredictionResult",
    "RidgeCox",
    "RidgeLinear",
    "RidgeLogistic",
    "audit",
    "audit_model",
    "bundle_digest",
    "evaluate",
    "fit_model",
    "model_tables",
    "read_bundle",
    "read_inputs",
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
