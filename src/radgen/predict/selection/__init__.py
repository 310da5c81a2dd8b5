"""Selection of features by an outcome: estimators, to be fitted inside the folds."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AnchorRegression": "invariant",
    "BorutaSelector": "boruta",
    "InvariantSelector": "invariant",
    "RelevanceSelector": "relevance",
    "SparseSelector": "sparse",
    "StabilitySelector": "stability",
    "UnivariateSelector": "univariate",
}

__all__ = [
    "AnchorRegression",
    "BorutaSelector",
    "InvariantSelector",
    "RelevanceSelector",
    "SparseSelector",
    "StabilitySelector",
    "UnivariateSelector",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.predict.selection.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.predict.selection' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
