"""Floor 4: one file format a module.

Names are loaded when they are first used, since the readers below are heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "CellProblem": "tables",
    "IdRule": "ids",
    "Layout": "discover",
    "apply_spellings": "spellings",
    "discover": "discover",
    "normalise_ids": "ids",
    "open_genotypes": "genotypes",
    "read_clinical": "clinical",
    "read_feature_table": "feature_tables",
    "read_gct": "omics",
    "read_gmt": "genesets",
    "read_image": "images",
    "read_maf": "maf",
    "read_masks": "masks",
    "read_omics": "omics",
    "read_table": "tables",
    "suv": "pet",
    "table_problems": "tables",
    "write_image": "images",
    "write_mask": "images",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"radgen.io.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'radgen.io' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
