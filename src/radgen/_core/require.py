"""Import an optional dependency, or say which extra installs it."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from radgen.errors import MissingDependencyError

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Return the imported optional module.

    Raises
    ------
    MissingDependencyError
        If the module is not installed; the message holds the pip command.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{module} is needed for this and is not installed. "
            f"Install it with: pip install 'radgen[{extra}]'"
        ) from error
