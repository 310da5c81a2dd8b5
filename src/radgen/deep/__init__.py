"""Side wing: optional PyTorch models, loaded when they are named and used by name in `predict`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AttentionPooling": "pooling",
    "BagOfCells": "cells",
    "Crop": "crops",
    "CropSettings": "crops",
    "DeepSurvival": "survival",
    "FrozenModel": "frozen",
    "ImageNetwork": "images",
    "ModelCard": "frozen",
    "apply_network": "networks",
    "correlation_loss": "losses",
    "cox_loss": "losses",
    "crop": "crops",
    "deep_features": "frozen",
    "fit_network": "networks",
    "load_model": "state",
    "localisation_score": "saliency",
    "make_crops": "crops",
    "read_card": "frozen",
    "saliency_map": "saliency",
    "save_model": "state",
}

__all__ = [
    "AttentionPooling",
    "BagOfCells",
    "Crop",
    "CropSettings",
    "DeepSurvival",
    "FrozenModel",
    "ImageNetwork",
    "ModelCard",
    "apply_network",
    "correlation_loss",
    "cox_loss",
    "crop",
    "deep_features",
    "fit_network",
    "load_model",
    "localisation_score",
    "make_crops",
    "read_card",
    "saliency_map",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.deep.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.deep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
