"""Enrichment of gene sets in lists: ranked genes, and selected genes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate.association_result import AssociationResult
from radgen.associate.gene_sets._set_blocks import preranked_block
from radgen.associate.gene_sets._set_table import check_options, edge_of, set_result, set_rows
from radgen.associate.gene_sets.enrichment_result import EnrichmentResult
from radgen.errors import InputError, shown
from radgen.omics._sets import index_sets
from radgen.stats.set_tests import hypergeometric_log10p
from radgen.stats.tail import log10p_to_z

__all__ = ["over_representation", "preranked"]

Array = NDArray[np.float64]
Sets = Mapping[str, Sequence[str]]

_LEADING = 10


def preranked(
    ranking: AssociationResult | Mapping[str, float],
    sets: Sets,
    *,
    power: float = 1.0,
    permutations: int = 1000,
    floor: float | None = None,
    min_genes: int = 5,
    max_genes: int | None = None,
    seed: int = 0,
) -> EnrichmentResult:
    """Return the enrichment of gene sets in lists that are already ranked.

    Parameters
    ----------
    ranking : AssociationResult or mapping of str to float
        A scan, each phenotype and layer of which is ranked by the z of its p-value with the
        sign of the effect; or a statistic for each gene.
    sets : mapping of str to sequence of str
        Genes of each set.
    power : float, default 1
        Power of the statistic that weighs a member's step; 0 = the classical walk.
    permutations : int, default 1000
        Random sets of each size.
    floor : float or None
        Follow small probabilities down to this by multilevel splitting (1e-10, say; seconds
        for each such set); None = p is at least about 1 / permutations.
    min_genes, max_genes : int
        Sets with fewer or more ranked members are left out (5; no limit where None).
    seed : int, default 0
        Of the random sets.

    Returns
    -------
    EnrichmentResult
        All pairs; phenotype "" for a single ranking.

    Raises
    ------
    InputError
        If no set is usable or an option is out of range.

    Notes
    -----
    The reference is a random set of genes that do not hang together. Genes of a real set do, so
    that small p-values come too often; use `enrich` where the samples are at hand. Genes with
    the same statistic keep their order. p = (b + 1)/(m + 1) of the m random scores on the same
    side of 0.

    References
    ----------
    Subramanian et al. (2005), PNAS 102, 15545, doi:10.1073/pnas.0506580102. Korotkevich et al.
    (2021), bioRxiv, doi:10.1101/060012.

    Examples
    --------
    >>> ranking = {f"g{j}": 20.0 - j for j in range(41)}
    >>> found = preranked(ranking, {"top": [f"g{j}" for j in range(6)]})
    >>> found.table["score"].to_list()
    [1.0]
    """
    check_options(permutations, power)
    if floor is not None and not 0 < floor < 1:
        raise InputError(f"floor lies between 0 and 1; found {floor}.")
    parts, left_out, n_used = [], {}, 0
    for phenotype, layer, family, n, genes, values in _rankings(ranking):
        index = index_sets(sets, genes, min_genes=min_genes, max_genes=max_genes, proper=True)
        left_out |= index.left_out
        score, nes, log10p = preranked_block(
            values[None],
            index.members,
            power=power,
            n_permutations=permutations,
            floor=floor,
            seed=seed,
        )
        led = [
            edge_of(values, genes, m, p, power)
            for m, p in zip(index.members, log10p[0], strict=True)
        ]
        parts.append(
            set_rows(
                len(index.names),
                phenotype=phenotype,
                set=list(index.names),
                layer=layer,
                family=family,
                n=n,
                n_genes=len(genes),
                n_members=index.sizes,
                score=score[0],
                nes=nes[0],
                log10p=log10p[0],
                leading=led,
            )
        )
        n_used = max(n_used, n or 0)
    params = {
        "method": "preranked",
        "power": power,
        "permutations": permutations,
        "floor": floor,
        "n_sets": len(sets),
        "min_genes": min_genes,
        "max_genes": max_genes,
        "seed": seed,
    }
    return set_result(pl.concat(parts), params, n_used=n_used, left_out=left_out)


def over_representation(
    selected: Mapping[str, Collection[str]],
    background: Collection[str],
    sets: Sets,
    *,
    min_genes: int = 5,
    max_genes: int | None = None,
) -> EnrichmentResult:
    """Return whether sets hold more of the selected genes than chance gives.

    Parameters
    ----------
    selected : mapping of str to collection of str
        Genes chosen for each phenotype (those of a scan at FDR 5 %, say).
    background : collection of str
        All genes that could have been chosen: those that were measured and tested, never the
        genome.
    sets : mapping of str to sequence of str
        Genes of each set; members outside the background do not count.
    min_genes, max_genes : int
        Sets with fewer or more members in the background are left out (5; no limit where None).

    Returns
    -------
    EnrichmentResult
        All pairs, one-sided p of the hypergeometric law.

    Raises
    ------
    InputError
        If a selected gene is not in the background, or no set is usable.

    Notes
    -----
    Genes count as independent draws. They are not: with correlated genes small p-values come
    too often. `enrich` has no such fault and uses all genes.

    Examples
    --------
    >>> genes = [f"g{j}" for j in range(20)]
    >>> found = over_representation({"volume": genes[:4]}, genes, {"S": genes[1:6]})
    >>> found.table.select("n_overlap", "score").row(0)
    (3, 3.0)
    """
    everyone = list(dict.fromkeys(str(gene) for gene in background))
    known = set(everyone)
    index = index_sets(sets, everyone, min_genes=min_genes, max_genes=max_genes)
    place = {gene: j for j, gene in enumerate(everyone)}
    parts = []
    for phenotype, given in selected.items():
        chosen = {str(gene) for gene in given}
        alien = sorted(chosen - known)
        if alien:
            raise InputError(
                f"{len(alien)} genes selected for {phenotype!r} are not in the background: "
                f"{shown(alien)}. The background is every gene that could have been selected."
            )
        rows = np.zeros(len(everyone), dtype=bool)
        rows[[place[gene] for gene in chosen]] = True
        overlap = np.array([int(rows[m].sum()) for m in index.members])
        expected = index.sizes * len(chosen) / len(everyone)
        with np.errstate(invalid="ignore"):
            fold = overlap / np.where(expected > 0, expected, np.nan)
        parts.append(
            set_rows(
                len(index.names),
                phenotype=phenotype,
                set=list(index.names),
                layer="",
                family=phenotype,
                n_genes=len(everyone),
                n_members=index.sizes,
                n_overlap=overlap,
                score=fold,
                log10p=hypergeometric_log10p(overlap, index.sizes, len(chosen), len(everyone)),
                leading=[
                    ",".join(everyone[j] for j in m[rows[m]][:_LEADING]) for m in index.members
                ],
            )
        )
    if not parts:
        raise InputError("No selection of genes was given.")
    params = {
        "method": "overlap",
        "n_background": len(everyone),
        "n_selected": {name: len(set(genes)) for name, genes in selected.items()},
        "n_sets": len(sets),
        "min_genes": min_genes,
        "max_genes": max_genes,
    }
    return set_result(pl.concat(parts), params, n_used=0, left_out=index.left_out)


def _rankings(
    ranking: AssociationResult | Mapping[str, float],
) -> list[tuple[str, str, str, int | None, list[str], Array]]:
    if not isinstance(ranking, AssociationResult):
        genes = [gene for gene, value in ranking.items() if np.isfinite(value)]
        values = np.array([float(ranking[gene]) for gene in genes])
        if len(genes) < 3:
            raise InputError(f"A ranking needs 3 genes with a value; found {len(genes)}.")
        return [("", "", "", None, genes, values)]
    known = pl.col("log10p").is_not_null() & pl.col("effect").is_finite()
    frame = ranking.frame.filter(known)
    if ranking.frame["stratum"].n_unique() > 1:
        raise InputError("The scan has strata: rank one stratum at a time (a mapping of genes).")
    found = []
    for (phenotype, layer, family), part in frame.group_by(
        "phenotype", "layer", "family", maintain_order=True
    ):
        z = log10p_to_z(part["log10p"].to_numpy()) * np.sign(part["effect"].to_numpy())
        z = np.clip(z, -1e4, 1e4)
        n = int(part["n"].max())  # type: ignore[arg-type]
        if part.height >= 3:
            label = f"{family} x {layer}"
            found.append((str(phenotype), str(layer), label, n, part["omics"].to_list(), z))
    if not found:
        raise InputError("The scan has no phenotype with effects of 3 genes or more.")
    return found
