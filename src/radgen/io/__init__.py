"""Floor 4: one file format a module."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "open_genotypes": "radgen.io.genotypes",
    "read_people": "radgen.io.genotypes",
}

__all__ = ["open_genotypes", "read_people"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'radgen.io' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
