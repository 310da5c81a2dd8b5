"""Floor 8: outcome prediction with honest validation."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AuditResult": "leakage",
    "CategoryResult": "categories",
    "CombinationResult": "combinations",
    "CutpointResult": "cutpoints",
    "ExternalResult": "external",
    "FittedModel": "fitting",
    "HazardResult": "hazards",
    "IncidenceResult": "competing",
    "LearningCurve": "learning",
    "LongitudinalResult": "longitudinal",
    "ModelInputs": "inputs",
    "NestedResult": "nested",
    "PredictionResult": "result",
    "RidgeCox": "ridge",
    "RidgeLinear": "ridge",
    "RidgeLogistic": "ridge",
    "RuleResult": "rules",
    "TargetsResult": "targets",
    "TreatmentResult": "treatment",
    "audit": "leakage",
    "audit_model": "leakage",
    "bundle_digest": "bundle",
    "category_agreement": "categories",
    "changing_hazards": "longitudinal",
    "competing_risks": "competing",
    "counting_rows": "longitudinal",
    "evaluate": "evaluation",
    "evaluate_targets": "targets",
    "fit_model": "fitting",
    "landmark_rows": "longitudinal",
    "learning_curve": "learning",
    "model_tables": "inputs",
    "nested_models": "nested",
    "optimal_cutpoints": "cutpoints",
    "policy_value": "rules",
    "read_bundle": "bundle",
    "read_inputs": "inputs",
    "recalibrate": "recalibration",
    "search_combinations": "combinations",
    "survival_hazards": "hazards",
    "treatment_effects": "treatment",
    "treatment_rule": "rules",
    "validate_external": "external",
    "write_bundle": "bundle",
}

__all__ = [
    "AuditResult",
    "CategoryResult",
    "CombinationResult",
    "CutpointResult",
    "ExternalResult",
    "FittedModel",
    "HazardResult",
    "IncidenceResult",
    "LearningCurve",
    "LongitudinalResult",
    "ModelInputs",
    "NestedResult",
    "PredictionResult",
    "RidgeCox",
    "RidgeLinear",
    "RidgeLogistic",
    "RuleResult",
    "TargetsResult",
    "TreatmentResult",
    "audit",
    "audit_model",
    "bundle_digest",
    "category_agreement",
    "changing_hazards",
    "competing_risks",
    "counting_rows",
    "evaluate",
    "evaluate_targets",
    "fit_model",
    "landmark_rows",
    "learning_curve",
    "model_tables",
    "nested_models",
    "optimal_cutpoints",
    "policy_value",
    "read_bundle",
    "read_inputs",
    "recalibrate",
    "search_combinations",
    "survival_hazards",
    "treatment_effects",
    "treatment_rule",
    "validate_external",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.predict.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.predict' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
