"""Side wing: optional PyTorch models, loaded when they are named and used by name in `predict`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AttentionPooling": "pooling",
    "BagOfCells": "cells",
    "DeepSurvival": "survival",
    "ImageNetwork": "images",
    "correlation_loss": "losses",
    "cox_loss": "losses",
    "load_model": "state",
    "save_model": "state",
}

__all__ = [
    "AttentionPooling",
    "BagOfCells",
    "DeepSurvival",
    "ImageNetwork",
    "correlation_loss",
    "cox_loss",
    "load_model",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.deep.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.deep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
