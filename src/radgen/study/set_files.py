"""The files of sets of rare variants that a study names: found and looked into before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from radgen.errors import shown
from radgen.study.layers import read_genotypes
from radgen.study.schema.germline import BurdenSettings

if TYPE_CHECKING:
    from radgen.study.gather import Gathered

__all__ = ["SET_FILES", "members_of", "path_of", "read_sets"]

SET_FILES = ("sets", "annotations", "masks", "genotypes", "kinship", "loco")
"""Keys of [[burden]] that name files."""


def read_sets(found: Gathered) -> None:
    """Find the files of each [[burden]], and note what is wrong with its sets and genotypes."""
    for place, item in enumerate(found.settings.burden):
        at = ("burden", place)
        if found.settings.genotypes is None:
            found.complain(at, "[[burden]] needs genotypes.", "Add [genotypes] with a path.")
            continue
        named = [key for key in SET_FILES if getattr(item, key) is not None]
        paths = {key: found.find(getattr(item, key), *at, key) for key in named}
        if not all(paths.values()):
            continue
        genotypes = found.genotypes
        if item.genotypes is not None:
            with found.noting((*at, "genotypes"), paths["genotypes"]):
                genotypes = read_genotypes(found.settings.genotypes, path_of(paths, "genotypes"))
                found.exomes[item.name] = genotypes
        with found.noting((*at, "sets"), paths["sets"]):
            members = members_of(item, paths)
            if genotypes is None:
                continue
            known = set(genotypes.variants["id"].to_list())
            if not any(known.intersection(variants) for variants in members.values()):
                some = shown(next(iter(members.values()), []), 3)
                theirs = shown(genotypes.variants["id"].head(3).to_list())
                found.complain(
                    (*at, "sets"),
                    f"No variant of the sets ({some}) is in the genotypes ({theirs}).",
                    "Spell variant ids alike.",
                )


def path_of(paths: Mapping[str, Path | None], key: str) -> Path:
    """Return the file of a key, which is there."""
    path = paths[key]
    assert path is not None
    return path


def members_of(item: BurdenSettings, paths: Mapping[str, Path | None]) -> dict[str, list[str]]:
    """Return the variants of each set, or of the masks of each set.

    Raises
    ------
    FormatError
        If a file cannot be read.
    """
    from radgen.io.gene_masks import read_gene_masks, read_gene_sets

    if item.annotations is None:
        return read_gene_sets(path_of(paths, "sets"))
    return read_gene_masks(
        path_of(paths, "annotations"), path_of(paths, "sets"), path_of(paths, "masks")
    )
