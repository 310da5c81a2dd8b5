"""Floor 4: one file format a module."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "IdRule": "ids",
    "Layout": "layout",
    "apply_spellings": "spelling",
    "discover": "layout",
    "normalise_ids": "ids",
    "open_genotypes": "genotypes",
    "read_feature_table": "feature_tables",
    "read_gct": "omics",
    "read_gmt": "omics",
    "read_image": "images",
    "read_maf": "maf",
    "read_layer": "layers",
    "read_masks": "masks",
    "read_mutations": "maf",
    "read_omics": "omics",
    "read_plain": "plain",
    "read_people": "genotypes",
    "read_stack": "stack",
    "read_lexicon": "traits",
    "read_table": "tables",
    "read_traits": "traits",
    "suv": "pet",
    "table_problems": "tables",
    "to_numbers": "tables",
    "write_image": "images",
    "write_map": "stack",
    "write_mask": "images",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.io.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.io' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
