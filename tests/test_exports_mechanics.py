"""What a package exports exists, and no submodule hides it."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest

import radgen

PACKAGES = [name for name in radgen.__all__ if name not in ("__version__", "errors")]


@pytest.mark.parametrize("name", PACKAGES)
def test_each_exported_name_is_there_also_after_all_submodules_are_loaded(name: str) -> None:
    package = importlib.import_module(f"radgen.{name}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"radgen.{name}.{module.name}")
    for exported in getattr(package, "__all__", ()):
        value = getattr(package, exported)
        is_module = isinstance(value, ModuleType)
        assert not is_module or exported.islower(), exported
        if is_module:
            inside = getattr(value, exported, None)
            assert inside is None, f"radgen.{name}.{exported} is a module that hides a function"
