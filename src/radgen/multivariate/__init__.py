"""Floor 8: the classic multivariate methods of imaging genetics as scikit-learn estimators."""

from __future__ import annotations

from typing import Any

__all__ = ["SparseCCA"]

_HOME = {"SparseCCA": "sparse_cca"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"radgen.multivariate.{_HOME[name]}"), name)
    raise AttributeError(f"module 'radgen.multivariate' has no attribute {name!r}")
