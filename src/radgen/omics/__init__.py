"""Floor 5: normalise, gene sets, modules, signatures."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "CoexpressionModules": "modules",
    "GeneSetScorer": "gene_sets",
    "GsvaScorer": "gsva",
    "IndependentPrograms": "metagenes",
    "Metagenes": "metagenes",
    "PlageScorer": "pathways",
    "SignatureCard": "signatures",
    "SignatureScores": "signatures",
    "SingScorer": "pathways",
    "SsgseaScorer": "pathways",
    "card_names": "signatures",
    "cell_fractions": "fractions",
    "compute": "signatures",
    "load_card": "signatures",
    "module_table": "modules",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"radgen.omics.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'radgen.omics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
