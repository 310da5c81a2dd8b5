"""From scans, genes and outcomes to a radiogenomic result that a reviewer can trust.

Importing radgen opens no file, starts no process and loads no heavy package: the
subpackages are loaded when they are first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from radgen._version import __version__

if TYPE_CHECKING:
    from types import ModuleType

_SUBPACKAGES = (
    "associate",
    "catalog",
    "deep",
    "errors",
    "features",
    "functional",
    "genome",
    "image",
    "io",
    "multivariate",
    "omics",
    "phenotype",
    "plot",
    "predict",
    "report",
    "sim",
    "stats",
    "study",
    "types",
)

__all__ = ["__version__", *_SUBPACKAGES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        module: ModuleType = import_module(f"radgen.{name}")
        return module
    raise AttributeError(f"module 'radgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
