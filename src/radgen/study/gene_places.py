"""Where genes lie, as the key ``genes`` of analyses names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radgen.io import read_genes

if TYPE_CHECKING:
    from radgen.study.gather import Gathered

__all__ = ["read_places"]


def read_places(found: Gathered) -> None:
    """Read each gene annotation once, whatever analyses name it."""
    for section in ("associate", "gwas"):
        for place, item in enumerate(getattr(found.settings, section)):
            if item.genes is None or item.genes in found.places:
                continue
            path = found.find(item.genes, section, place, "genes")
            if path is None:
                continue
            with found.noting((section, place, "genes"), path):
                found.places[item.genes] = read_genes(path)
