"""Where the members of gene sets stand among measured features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from radgen.errors import InputError, shown

__all__ = ["SetIndex", "index_sets"]


@dataclass(frozen=True, eq=False)
class SetIndex:
    """Columns of the members of each usable set.

    Attributes
    ----------
    names : tuple of str (n_sets,)
        Sets that are used, in the order given.
    members : tuple of ndarray of int64
        Columns of each set's members, ascending.
    declared : tuple of int (n_sets,)
        Number of genes that each set names.
    left_out : dict of str to str
        Sets that are not used, and why.
    n_features : int
        Number of columns.
    """

    names: tuple[str, ...]
    members: tuple[NDArray[np.int64], ...]
    declared: tuple[int, ...]
    left_out: dict[str, str]
    n_features: int

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of members found, (n_sets,)."""
        return np.array([len(item) for item in self.members], dtype=np.int64)

    def matrix(self) -> Any:
        """Return membership as a sparse array of 0 and 1, float64 (n_sets, n_features)."""
        indices = np.concatenate(self.members)
        indptr = np.concatenate([[0], np.cumsum(self.sizes)])
        shape = (len(self.names), self.n_features)
        return csr_array((np.ones(len(indices)), indices, indptr), shape=shape)


def index_sets(
    sets: Mapping[str, Sequence[str]],
    features: Sequence[str],
    *,
    min_genes: int,
    max_genes: int | None = None,
    usable: NDArray[np.bool_] | None = None,
    proper: bool = False,
) -> SetIndex:
    """Return where the members of each set stand among features.

    Parameters
    ----------
    sets : mapping of str to sequence of str
        Genes of each set.
    features : sequence of str (n_features,)
        Measured genes.
    min_genes : int
        Fewest members found of a set that is used.
    max_genes : int or None
        Most members; None = no limit.
    usable : array of bool (n_features,) or None
        Features that may be members; None = all.
    proper : bool, default False
        Leave out sets that hold every usable feature (competitive scores need others).

    Raises
    ------
    InputError
        If no set is usable, or `min_genes` is below 1.
    """
    if min_genes < 1:
        raise InputError(f"min_genes is at least 1; found {min_genes}.")
    allowed = np.ones(len(features), bool) if usable is None else usable
    place = {gene: j for j, gene in enumerate(features) if allowed[j]}
    names, members, declared, left_out = [], [], [], {}
    for name, genes in sets.items():
        found = np.array(sorted({place[gene] for gene in genes if gene in place}), dtype=np.int64)
        if len(found) < min_genes:
            left_out[name] = f"{len(found)} of its genes are measured and vary (need {min_genes})"
        elif max_genes is not None and len(found) > max_genes:
            left_out[name] = f"{len(found)} of its genes are measured (at most {max_genes})"
        elif proper and len(found) == len(place):
            left_out[name] = "it holds every measured gene: there is no other to compare with"
        else:
            names.append(name)
            members.append(found)
            declared.append(len(set(genes)))
    if not names:
        raise InputError(_none_usable(sets, features, min_genes, left_out))
    return SetIndex(tuple(names), tuple(members), tuple(declared), left_out, len(features))


def _none_usable(
    sets: Mapping[str, Sequence[str]],
    features: Sequence[str],
    min_genes: int,
    left_out: Mapping[str, str],
) -> str:
    first = next(iter(sets), None)
    if first is None:
        return "No gene set was given."
    return (
        f"No gene set shares {min_genes} genes with the layer. Its genes look like "
        f"{shown(features, 3)}; those of the set {first!r} like {shown(sets[first], 3)}. "
        f"Set {first!r}: {left_out[first]}. Name both alike (gene_map, --gene-map)."
    )
