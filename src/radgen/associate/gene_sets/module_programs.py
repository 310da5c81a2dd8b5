"""Trees of image traits for many gene modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold

from radgen._core.blocks import map_units
from radgen._core.rng import derive_seed
from radgen.associate._plan import match
from radgen.associate.gene_sets._gene_side import complete_genes
from radgen.associate.gene_sets._tree_search import log_predictive
from radgen.associate.gene_sets.module_tree import ModuleTree, Node
from radgen.associate.gene_sets.module_tree_result import (
    MODULE_COLUMNS,
    NODE_COLUMNS,
    ModuleTreeResult,
)
from radgen.errors import InputError
from radgen.omics._sets import index_sets
from radgen.stats import multiplicity
from radgen.types import OmicsTable, PhenotypeTable

__all__ = ["module_trees"]

Array = NDArray[np.float64]

_DRAWN_MODULES, _DRAWN_GENES = 8, 60


@dataclass(frozen=True, eq=False)
class _Unit:
    """One module as it travels to a worker."""

    tree: ModuleTree
    traits: Array
    score: Array
    folds: int
    seed: int


@dataclass(frozen=True, eq=False)
class _Grown:
    """The tree of a module, and how trees do on samples they have not seen."""

    nodes: tuple[Node, ...]
    leaf: NDArray[np.int64]
    r: float
    gain: float


def module_trees(
    phenotypes: PhenotypeTable,
    omics: OmicsTable,
    modules: Mapping[str, Sequence[str]],
    *,
    tree: ModuleTree | None = None,
    folds: int = 5,
    min_genes: int = 5,
    max_missing: float = 0.2,
    executor: Executor | None = None,
    seed: int = 0,
) -> ModuleTreeResult:
    """Return a tree of image traits for each gene module (Segal's module network).

    Parameters
    ----------
    phenotypes : PhenotypeTable
        Image traits that may split; missing values count as the trait's median, traits with more
        than `max_missing` of them are left out.
    omics : OmicsTable
        Expression on a log scale.
    modules : mapping of str to sequence of str
        Genes of each module: `ModuleMapResult.gene_sets`, or published sets.
    tree : ModuleTree or None
        Options of the trees; cloned for each module with a seed of its own.
    folds : int, default 5
        Of the cross-validation of whole trees.
    min_genes : int, default 5
        Modules with fewer measured genes are left out.
    max_missing : float, default 0.2
        Of traits and genes.
    executor : concurrent.futures.Executor or None
        Where the modules run.
    seed : int, default 0
        Of permutations and folds.

    Returns
    -------
    ModuleTreeResult
        Nodes, modules, and what the picture needs.

    Raises
    ------
    InputError
        If no module or trait is usable, or the layer holds raw counts.
    AlignmentError
        If too few samples match.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids, genes = [f"s{i}" for i in range(80)], [f"g{j}" for j in range(20)]
    >>> trait = rng.standard_normal(80)
    >>> x = rng.standard_normal((80, 20))
    >>> x[:, :10] += 2.0 * (trait[:, None] > 0.3)
    >>> images = PhenotypeTable.from_frame({"sample": ids, "rim": trait})
    >>> layer = OmicsTable(ids, genes, x, "expression", "log2")
    >>> found = module_trees(images, layer, {"A": genes[:10], "B": genes[10:]})
    >>> found.grown()
    ['A']
    """
    if omics.scale == "counts":
        raise InputError("The layer holds raw counts. Normalise it first (`omics.normalise`).")
    reasons: dict[str, str] = {}
    matched = match(phenotypes, omics, None, label=omics.layer, reasons=reasons)
    traits, names = _traits(matched.traits, phenotypes.names, max_missing)
    genes = complete_genes(matched.omics, max_missing=max_missing)
    known = [omics.features[j] for j in genes.columns]
    index = index_sets(modules, known, min_genes=min_genes)
    z = (genes.values - genes.values.mean(axis=0)) / genes.values.std(axis=0)
    pattern = ModuleTree() if tree is None else tree
    units = []
    for name, members in zip(index.names, index.members, strict=True):
        own = derive_seed(seed, "module tree", name) % (2**31)
        grown = clone(pattern).set_params(random_state=own)
        units.append(_Unit(grown, traits, _score(z[:, members]), folds, own))
    found = map_units(_grown, units, executor=executor, what="Growing trees")
    table = _modules(index, found, names, len(matched.samples))
    frame = pl.concat(
        [_rows(name, item.nodes, names) for name, item in zip(index.names, found, strict=True)]
    )
    result = ModuleTreeResult(
        frame=frame,
        params={
            **{k: pattern.get_params()[k] for k in
               ("max_depth", "min_leaf", "alpha", "n_permutations", "folds")},
            "outer_folds": folds, "n_traits": len(names), "n_genes": len(known),
            "min_genes": min_genes, "max_missing": max_missing, "seed": seed,
        },
        n_used=len(matched.samples),
        dropped=pl.DataFrame(
            {"sample": list(reasons), "reason": list(reasons.values())},
            schema={"sample": pl.String, "reason": pl.String},
        ),
        provenance={"step": "associate.module_trees", "version": 1, "seed": seed},
        modules=table,
        samples=_samples(index.names, found, units, matched.samples),
    )  # fmt: skip
    drawn = result.grown()[:_DRAWN_MODULES]
    places = dict(zip(index.names, index.members, strict=True))
    used = frame.filter(pl.col("trait").is_not_null())["trait"].unique(maintain_order=True)
    columns = {name: traits[:, names.index(name)] for name in used}
    return replace(
        result,
        expression=_expression(drawn, places, z, known, matched.samples),
        traits=pl.DataFrame({"sample": list(matched.samples)} | columns),
    )


def _traits(values: Array, names: Sequence[str], max_missing: float) -> tuple[Array, list[str]]:
    known = np.isfinite(values)
    keep = np.flatnonzero((1 - known.mean(axis=0)) <= max_missing)
    filled = np.empty((len(values), len(keep)))
    for place, column in enumerate(keep):
        own = values[:, column]
        filled[:, place] = np.where(known[:, column], own, np.median(own[known[:, column]]))
    varies = np.ptp(filled, axis=0) > 0 if len(keep) else np.zeros(0, bool)
    if not varies.any():
        raise InputError("No image trait varies and is known often enough to split samples.")
    return filled[:, varies], [names[j] for j in keep[varies]]


def _score(genes: Array) -> Array:
    """Return the mean of standardised genes (n_samples,), signs by the first component."""
    axes = np.linalg.svd(genes - genes.mean(axis=0), full_matrices=False)[2]
    sign = np.where(axes[0] < 0, -1.0, 1.0)
    if sign.sum() < 0:
        sign = -sign
    return np.asarray((genes * sign).mean(axis=1))


def _grown(unit: _Unit) -> _Grown:
    tree = clone(unit.tree).fit(unit.traits, unit.score)
    predicted, gain = np.empty_like(unit.score), 0.0
    cut = KFold(unit.folds, shuffle=True, random_state=unit.seed)
    for train, test in cut.split(unit.traits):
        own = clone(unit.tree).fit(unit.traits[train], unit.score[train])
        seen, new = own.apply(unit.traits[train]), own.apply(unit.traits[test])
        # The level of a fold mirrors the others: without it noise goes against the score.
        predicted[test] = own.predict(unit.traits[test]) - unit.score[train].mean()
        z = [(unit.score[rows] - own.mean_) / own.scale_ for rows in (train, test)]
        for leaf in np.unique(new):
            gain += float(log_predictive(z[1][new == leaf], z[0][seen == leaf]).sum())
        gain -= float(log_predictive(z[1], z[0]).sum())
    r = float(np.corrcoef(predicted, unit.score)[0, 1]) if np.ptp(predicted) > 0 else np.nan
    return _Grown(tree.nodes_, tree.apply(unit.traits), r, gain / len(unit.score))


def _rows(module: str, nodes: tuple[Node, ...], traits: Sequence[str]) -> pl.DataFrame:
    rules = [""] * len(nodes)
    rows = []
    for place, node in enumerate(nodes):
        if node.split is not None:
            name, cut = traits[node.split.trait], f"{node.split.threshold:.4g}"
            for child, sign in ((node.left, "<="), (node.right, ">")):
                own = f"{name} {sign} {cut}"
                rules[child] = f"{rules[place]} and {own}" if rules[place] else own
        rows.append(
            {
                "module": module, "node": place, "parent": node.parent, "left": node.left,
                "right": node.right, "depth": node.depth, "rule": rules[place], "n": node.n,
                "mean": node.mean,
                "trait": None if node.split is None else traits[node.split.trait],
                "threshold": None if node.split is None else node.split.threshold,
                "gain": None if node.split is None else node.split.gain,
                "held_out": node.held_out, "p": node.p,
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema=NODE_COLUMNS).with_columns(pl.col(pl.Float64).fill_nan(None))


def _modules(index: Any, found: Sequence[_Grown], names: Sequence[str], n: int) -> pl.DataFrame:
    p = np.array([item.nodes[0].p for item in found])
    rows = []
    for place, (name, item) in enumerate(zip(index.names, found, strict=True)):
        used = [names[node.split.trait] for node in item.nodes if node.split is not None]
        rows.append(
            {
                "module": name, "n_genes": int(index.sizes[place]), "n": n,
                "n_leaves": sum(node.split is None for node in item.nodes),
                "traits": ", ".join(dict.fromkeys(used)), "p": p[place], "r_held_out": item.r,
                "gain_held_out": item.gain, "status": "ok", "reason": "",
            }
        )  # fmt: skip
    rows += [
        {"module": name, "status": "not_tested", "reason": why, "n": n}
        for name, why in index.left_out.items()
    ]
    frame = pl.DataFrame(rows, schema={k: v for k, v in MODULE_COLUMNS.items() if k != "q_bh"})
    q = multiplicity.bh(frame["p"].fill_null(np.nan).to_numpy())
    frame = frame.with_columns(pl.Series("q_bh", q)).select(list(MODULE_COLUMNS))
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def _samples(
    modules: Sequence[str], found: Sequence[_Grown], units: Sequence[_Unit], ids: Sequence[str]
) -> pl.DataFrame:
    return pl.concat(
        [
            pl.DataFrame(
                {"module": [name] * len(ids), "sample": list(ids), "score": unit.score,
                 "leaf": item.leaf}
            )
            for name, item, unit in zip(modules, found, units, strict=True)
        ]
    )  # fmt: skip


def _expression(
    drawn: Sequence[str],
    places: Mapping[str, NDArray[np.int64]],
    z: Array,
    genes: Sequence[str],
    ids: Sequence[str],
) -> pl.DataFrame:
    parts = []
    for name in drawn:
        own = places[name]
        strength = np.abs(np.corrcoef(z[:, own].T)).mean(axis=0)
        own = own[np.argsort(-strength, kind="stable")[:_DRAWN_GENES]]
        columns = {sample: z[row, own] for row, sample in enumerate(ids)}
        parts.append(
            pl.DataFrame({"module": [name] * len(own), "gene": [genes[j] for j in own]} | columns)
        )
    schema = {"module": pl.String, "gene": pl.String}
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)
