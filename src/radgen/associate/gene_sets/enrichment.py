"""Which gene sets hold the genes that go with an image phenotype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges, map_units
from radgen._core.naming import require_choice
from radgen.associate._plan import Matched, families_of, layer_labels, match
from radgen.associate.gene_sets._gene_side import complete_genes
from radgen.associate.gene_sets._set_blocks import SetBlock, SetUnit, run_sets
from radgen.associate.gene_sets._set_table import check_options, edge_of, set_result, set_rows
from radgen.associate.gene_sets.enrichment_result import EnrichmentResult
from radgen.errors import InputError
from radgen.omics._sets import SetIndex, index_sets
from radgen.stats.linear import patterns
from radgen.stats.permutation import stratum_codes
from radgen.stats.tail import t_quantile
from radgen.types import Covariates, OmicsTable, PhenotypeTable

__all__ = ["enrich"]

Array = NDArray[np.float64]
Sets = Mapping[str, Sequence[str]]

_METHODS = ("mean", "contrast", "camera", "ranks", "gsea")
_TRAITS_PER_UNIT = 16
_LEADING = 10


def enrich(
    phenotypes: PhenotypeTable,
    omics: OmicsTable | Sequence[OmicsTable],
    sets: Sets,
    covariates: Covariates | None = None,
    *,
    method: str = "mean",
    inter_gene_correlation: float | None = None,
    permutations: int = 1000,
    power: float = 1.0,
    strata: Mapping[str, Any] | None = None,
    families: Mapping[str, str] | None = None,
    min_genes: int = 5,
    max_genes: int | None = None,
    max_missing: float = 0.2,
    min_n: int = 10,
    confidence: float = 0.95,
    executor: Executor | None = None,
    seed: int = 0,
) -> EnrichmentResult:
    """Return which gene sets hold the genes that go with each phenotype.

    Parameters
    ----------
    phenotypes : PhenotypeTable
        Image phenotypes; all are tested.
    omics : OmicsTable or sequence of OmicsTable
        Molecular layers, comparable between samples (log scale); each is tested on its own.
    sets : mapping of str to sequence of str
        Genes of each set.
    covariates : Covariates or None
        Adjusted for; samples with a missing covariate are dropped.
    method : {"mean", "contrast", "camera", "ranks", "gsea"}, default "mean"
        "mean" (self-contained): is the phenotype linear in the mean of the members? "contrast"
        (competitive): in the members' mean less the others' mean? "camera" (competitive):
        moderated statistics of members against all others, their variance inflated for the
        correlation between members. "ranks": the same by their ranks (Wilcoxon), so that no
        single gene rules. "gsea": enrichment scores against permutations of the
        samples.
    inter_gene_correlation : float or None
        Of "camera" and "ranks": a fixed value (limma's preset is 0.01, which gains power and trusts
        that sets are not co-expressed for other reasons); None = estimated for each set.
    permutations : int, default 1000
        Of "gsea".
    power : float, default 1
        Of "gsea": power of the statistic that weighs a member's step.
    strata : mapping of str to value or None
        Permutations stay within a stratum.
    families : mapping of str to str or None
        Family of each phenotype for the hierarchical q-value; the family of its spec where None.
    min_genes, max_genes : int
        Sets with fewer or more measured members are left out (5; no limit where None).
    max_missing : float, default 0.2
        Genes with a larger share of missing values are left out; other holes are filled by the
        gene's mean.
    min_n : int, default 10
        Fewest samples of a tested phenotype.
    confidence : float, default 0.95
        Coverage of the intervals; "gsea" has none.
    executor : concurrent.futures.Executor or None
        Where the blocks run; this process where None.
    seed : int, default 0
        Of the permutations.

    Returns
    -------
    EnrichmentResult
        All pairs.

    Raises
    ------
    InputError
        If an option is out of range, no set is usable, or a layer holds raw counts.
    AlignmentError
        If ids are repeated or too few samples match.

    Notes
    -----
    All of them allow for genes of a set that rise and fall together, which `preranked` and
    `over_representation` do not. "mean", "contrast" and "gsea" keep their level exactly;
    "camera" and "ranks" estimate the correlation, and with few samples reject too often for
    sets that hang together strongly (10 % instead of 5 % for sets of 12 genes at n = 40 with 8
    covariates). What most genes share with the phenotype (purity, say) makes every set
    significant by "mean": adjust for it, or ask for a competitive test. Those in turn find sets
    that do nothing where a large part of a small panel goes with the phenotype. A missing
    phenotype drops the sample from that phenotype only.

    References
    ----------
    Wu & Smyth (2012), Nucleic Acids Res. 40, e133, doi:10.1093/nar/gks461. Subramanian et al.
    (2005), PNAS 102, 15545, doi:10.1073/pnas.0506580102.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids, genes = [f"s{i}" for i in range(30)], [f"g{j}" for j in range(40)]
    >>> values = rng.standard_normal((30, 40))
    >>> images = PhenotypeTable.from_frame({"sample": ids, "volume": values[:, :5].mean(axis=1)})
    >>> layer = OmicsTable(ids, genes, values, "expression", "log2")
    >>> found = enrich(images, layer, {"first": genes[:5], "last": genes[-5:]})
    >>> found.significant()["set"].to_list()
    ['first']
    """
    require_choice(method, _METHODS, what="method")
    check_options(permutations, power, confidence)
    if inter_gene_correlation is not None and not 0 <= inter_gene_correlation < 1:
        raise InputError(f"inter_gene_correlation is in [0, 1); found {inter_gene_correlation}.")
    layers = [omics] if isinstance(omics, OmicsTable) else list(omics)
    if not layers:
        raise InputError("No molecular layer was given.")
    reasons: dict[str, str] = {}
    family = families_of(phenotypes, families)
    parts, left_out, notes, used = [], {}, [], set()
    for label, layer in zip(layer_labels(layers), layers, strict=True):
        if layer.scale == "counts":
            raise InputError(
                f"The {label} layer holds raw counts. Normalise it first (`omics.normalise`)."
            )
        matched = match(phenotypes, layer, covariates, label=label, reasons=reasons)
        genes = complete_genes(matched.omics, max_missing=max_missing)
        names = [layer.features[j] for j in genes.columns]
        index = index_sets(sets, names, min_genes=min_genes, max_genes=max_genes, proper=True)
        left_out |= {f"{label}: {name}": why for name, why in index.left_out.items()}
        notes += _notes(label, genes.n_dropped, genes.n_imputed, genes.values.size)
        side = _Side(label, phenotypes.names, family, names, index, matched, genes.values)
        options = (method, inter_gene_correlation, permutations, seed, power)
        blocks = _blocks(side, options, strata, min_n, executor)
        parts.append(_rows(side, blocks, confidence, power if method == "gsea" else None))
        used |= set(matched.samples)
    return set_result(
        pl.concat(parts),
        {
            "method": method,
            "inter_gene_correlation": inter_gene_correlation,
            "permutations": permutations if method == "gsea" else 0,
            "power": power,
            "covariates": list(covariates.names) if covariates is not None else [],
            "n_sets": len(sets),
            "min_genes": min_genes,
            "max_genes": max_genes,
            "max_missing": max_missing,
            "confidence": confidence,
            "seed": seed,
        },
        n_used=len(used),
        reasons={sample: why for sample, why in reasons.items() if sample not in used},
        left_out=left_out,
        notes=notes,
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """One layer, matched and complete, and what its phenotypes are."""

    label: str
    phenotypes: Sequence[str]
    family: Sequence[str]
    names: list[str]
    index: SetIndex
    matched: Matched
    genes: Array


def _blocks(
    side: _Side,
    options: tuple[str, float | None, int, int, float],
    strata: Mapping[str, Any] | None,
    min_n: int,
    executor: Executor | None,
) -> list[tuple[NDArray[np.int64], int, SetBlock | None]]:
    """Return (phenotypes, samples, answers) of each block; None = too few samples."""
    method, correlation, permutations, seed, power = options
    samples, z = side.matched.samples, side.matched.covariates
    given = None if strata is None else [_stratum(strata, item) for item in samples]
    label = stratum_codes(given, len(samples))
    matrix = side.index.matrix()
    units, places, small = [], [], []
    for known, columns in patterns(side.matched.traits):
        rows = np.flatnonzero(known)
        width = 0 if z is None else z.shape[1]
        if len(rows) < max(min_n, width + 4):
            small.append((columns, len(rows), None))
            continue
        own = None if z is None else z[rows]
        for start, stop in block_ranges(len(columns), _TRAITS_PER_UNIT):
            part = columns[start:stop]
            units.append(
                SetUnit(
                    side.matched.traits[np.ix_(rows, part)],
                    side.genes if len(rows) == len(samples) else side.genes[rows],
                    own, side.index.members, matrix, method, correlation, permutations, seed,
                    label, rows, power,
                )
            )  # fmt: skip
            places.append((part, len(rows)))
    found = map_units(run_sets, units, executor=executor, what=f"Testing sets of {side.label}")
    done = [(part, n, block) for (part, n), block in zip(places, found, strict=True)]
    return [*done, *small]


def _stratum(strata: Mapping[str, Any], sample: str) -> Any:
    if sample not in strata:
        raise InputError(f"No stratum is given for sample {sample!r}.")
    return strata[sample]


def _rows(
    side: _Side,
    blocks: list[tuple[NDArray[np.int64], int, SetBlock | None]],
    confidence: float,
    power: float | None,
) -> pl.DataFrame:
    k = len(side.index.names)
    parts: dict[int, pl.DataFrame] = {}
    for columns, n, block in blocks:
        for row, column in enumerate(columns):
            common = {
                "phenotype": side.phenotypes[column],
                "set": list(side.index.names),
                "layer": side.label,
                "family": f"{side.family[column]} x {side.label}",
                "n": n,
                "n_genes": len(side.names),
                "n_members": side.index.sizes,
            }
            if block is None:
                why = f"{n} samples have the phenotype"
                parts[column] = set_rows(k, **common, status="not_tested", reason=why)
                continue
            reach = block.se[row] * t_quantile((1 + confidence) / 2, max(block.df, 1.0))
            z = block.statistics[row]
            pairs = zip(block.score[row], block.log10p[row], side.index.members, strict=True)
            edges = [
                _ahead(z, side.names, m, score, log10p)
                if power is None
                else edge_of(z, side.names, m, log10p, power)
                for score, log10p, m in pairs
            ]
            tested = np.isfinite(block.log10p[row])
            parts[column] = set_rows(
                k,
                **common,
                score=block.score[row],
                ci_low=block.score[row] - reach,
                ci_high=block.score[row] + reach,
                nes=block.nes[row],
                correlation=block.correlation[row],
                log10p=block.log10p[row],
                leading=edges,
                status=np.where(tested, "ok", "not_tested").tolist(),
                reason=np.where(tested, "", "the phenotype does not vary").tolist(),
            )
    return pl.concat([parts[column] for column in sorted(parts)])


def _ahead(
    values: Array, genes: Sequence[str], members: NDArray[np.int64], score: float, log10p: float
) -> str:
    """Members that go farthest the way of the set."""
    if not log10p <= np.log10(0.05):
        return ""
    along = values[members] * np.sign(score)
    order = np.argsort(-along, kind="stable")[:_LEADING]
    return ",".join(genes[members[j]] for j in order if along[j] > 0)


def _notes(label: str, n_dropped: int, n_imputed: int, n_values: int) -> list[str]:
    notes = []
    if n_dropped:
        notes.append(f"{label}: {n_dropped} genes do not vary or are missing too often.")
    if n_imputed:
        share = 100 * n_imputed / n_values
        notes.append(f"{label}: {n_imputed} missing values ({share:.2g} %) count as gene means.")
    return notes
