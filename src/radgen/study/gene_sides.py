"""Steps of a run about gene modules, gene sets, surrogates and signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from radgen._core.digest import digest
from radgen._core.rng import derive_seed
from radgen.errors import InputError
from radgen.io.omics import read_gmt
from radgen.study.associating import sides
from radgen.study.context import Context
from radgen.study.gather import Gathered
from radgen.study.schema.gene_sides import (
    EnrichSettings,
    MaskSettings,
    ModuleSettings,
    SignatureSettings,
    SurrogateSettings,
    TreeSettings,
)
from radgen.study.select import choose_phenotypes, ranked
from radgen.study.settings import resolve
from radgen.study.stored import content, stored
from radgen.types import Covariates, OmicsTable, PhenotypeTable, Result

if TYPE_CHECKING:
    from radgen.study.matrix import Matrix

__all__ = ["enrichment", "masking", "modules", "signature", "surrogates", "trees"]


def modules(found: Gathered, item: ModuleSettings, matrix: Matrix, context: Context) -> Result:
    """Return a [[modules]] analysis."""
    from radgen.associate import ModuleMapResult, map_modules

    table, covariates = sides(found, matrix, item)
    layer, seed = found.layers[item.layer], _seed(found, "modules", item.name)
    estimator = _estimator(item, seed)
    return stored(
        context,
        "modules",
        ModuleMapResult,
        params=item.model_dump(mode="json") | {"seed": seed},
        inputs=[content(table), content(layer), content(covariates)],
        compute=lambda: map_modules(
            table, layer, covariates, estimator=estimator, permutations=item.permutations,
            transform=item.transform, executor=context.pool, seed=seed,
        ),
    )  # fmt: skip


def _estimator(item: ModuleSettings, seed: int) -> Any:
    from radgen.omics import CoexpressionModules, IndependentPrograms, Metagenes

    if item.method == "nmf":
        return Metagenes(item.number, random_state=seed)
    if item.method == "ica":
        return IndependentPrograms(item.number, random_state=seed)
    return CoexpressionModules(min_size=item.min_size, random_state=seed)


def trees(found: Gathered, item: TreeSettings, matrix: Matrix, context: Context) -> Result:
    """Return a [[tree]] analysis."""
    from radgen.associate import ModuleTree, ModuleTreeResult, map_modules, module_trees
    from radgen.omics import CoexpressionModules

    table, layer = _phenotypes(matrix, item), found.layers[item.layer]
    seed = _seed(found, "tree", item.name)
    given = None if item.gene_sets is None else _sets(found, item.gene_sets)
    pattern = ModuleTree(max_depth=item.max_depth, min_leaf=item.min_leaf, alpha=item.alpha)

    def compute() -> Result:
        sets = given
        if sets is None:
            estimator = CoexpressionModules(min_size=item.min_size, random_state=seed)
            sets = map_modules(table, layer, estimator=estimator, seed=seed).gene_sets()
        grown: Result = module_trees(
            table, layer, sets, tree=pattern, executor=context.pool, seed=seed
        )
        return grown

    return stored(
        context,
        "tree",
        ModuleTreeResult,
        params=item.model_dump(mode="json", exclude={"gene_sets"}) | {"seed": seed},
        inputs=[content(table), content(layer), digest(given)],
        compute=compute,
    )


def enrichment(found: Gathered, item: EnrichSettings, matrix: Matrix, context: Context) -> Result:
    """Return an [[enrich]] analysis."""
    from radgen.associate import EnrichmentResult, enrich

    table, covariates = sides(found, matrix, item)
    table = ranked(table) if item.transform == "rank" else table
    layer, sets = found.layers[item.layer], _sets(found, item.gene_sets)
    seed = _seed(found, "enrich", item.name)
    return stored(
        context,
        "enrich",
        EnrichmentResult,
        params=item.model_dump(mode="json", exclude={"gene_sets"}) | {"seed": seed},
        inputs=[content(table), content(layer), content(covariates), digest(sets)],
        compute=lambda: enrich(
            table, layer, sets, covariates, method=item.method, permutations=item.permutations,
            min_genes=item.min_genes, executor=context.pool, seed=seed,
        ),
    )  # fmt: skip


def masking(found: Gathered, item: MaskSettings, matrix: Matrix, context: Context) -> Result:
    """Return a [[mask]] analysis."""
    from radgen.associate import MaskingResult, mask_genes

    table = _phenotypes(matrix, item)
    layer, sets = found.layers[item.layer], _sets(found, item.gene_sets)
    seed = _seed(found, "mask", item.name)
    return stored(
        context,
        "mask",
        MaskingResult,
        params=item.model_dump(mode="json", exclude={"gene_sets"}) | {"seed": seed},
        inputs=[content(table), content(layer), digest(sets)],
        compute=lambda: mask_genes(
            table, layer, sets, folds=item.folds, n_random=item.n_random,
            n_permutations=item.permutations, min_genes=item.min_genes, executor=context.pool,
            seed=seed,
        ),
    )  # fmt: skip


def surrogates(
    found: Gathered, item: SurrogateSettings, matrix: Matrix, context: Context
) -> Result:
    """Return a [[surrogate]] analysis.

    Raises
    ------
    InputError
        If no sample is left for the second cohort.
    """
    from radgen.associate import SurrogateResult, surrogate

    table, layer = _phenotypes(matrix, item), found.layers[item.layer]
    chosen = found.sheet.select(item.paired) if item.paired else set(table.samples)
    train = [place for place, sample in enumerate(layer.samples) if sample in chosen]
    paired = layer.take(rows=train)
    table = table.take(rows=[k for k, sample in enumerate(table.samples) if sample in chosen])
    second, outcome, covariates = None, None, None
    if item.outcome is not None:
        source = found.layers[item.carry] if item.carry else layer
        seen = set(paired.samples) & set(table.samples)
        # Only in one and the same layer is a sample with images left out silently: its trait is
        # known there. Another layer that holds a trained sample is refused by `surrogate`.
        rest = [
            place
            for place, sample in enumerate(source.samples)
            if item.carry or (sample not in seen and (not item.paired or sample not in chosen))
        ]
        if not rest:
            raise InputError(
                f"All samples of {item.layer!r} have images: there is no second cohort. Name one "
                "(carry), or say who trains (paired)."
            )
        second = source.take(rows=rest)
        outcome = found.sheet.outcome(item.outcome)
        covariates = found.sheet.covariates(item.covariates)
    seed = _seed(found, "surrogate", item.name)
    return stored(
        context,
        "surrogate",
        SurrogateResult,
        params=item.model_dump(mode="json") | {"seed": seed},
        inputs=[content(x) for x in (table, paired, second, outcome, covariates)],
        compute=lambda: surrogate(
            *_ways(item, paired, table), second, outcome, covariates, within=item.within,
            by_cohort=item.by_cohort, permutations=item.permutations, bootstraps=item.bootstraps,
            unpredictable=item.unpredictable, executor=context.pool, seed=seed,
        ),
    )  # fmt: skip


def _ways(
    item: SurrogateSettings, layer: OmicsTable, table: PhenotypeTable
) -> tuple[OmicsTable | PhenotypeTable, OmicsTable | PhenotypeTable]:
    """Return predictors and traits."""
    return (table, layer) if item.predict == "layer" else (layer, table)


def signature(found: Gathered, item: SignatureSettings, matrix: Matrix, context: Context) -> Result:
    """Return a [[signature]] analysis."""
    from radgen.associate import SignatureResult, validate_signature
    from radgen.omics import card_names, compute, load_card

    card = load_card(item.card if item.card in card_names() else resolve(item.card, found.folder))
    tables: list[OmicsTable | PhenotypeTable] = [found.layers[name] for name in item.layers]
    if item.images:
        tables.append(matrix.raw)
    clinical = found.sheet.covariates(item.clinical)
    if clinical is not None:
        tables.append(_as_table(clinical))
    outcome = found.sheet.outcome(item.outcome, positive=item.positive)
    covariates = found.sheet.covariates(item.covariates)
    return stored(
        context,
        "signature",
        SignatureResult,
        params=item.model_dump(mode="json") | {"card": card.model_dump(mode="json")},
        inputs=[*map(content, tables), content(outcome), content(covariates)],
        compute=lambda: validate_signature(
            compute(card, *tables, names=item.inputs), outcome, covariates
        ),
    )


def _as_table(clinical: Covariates) -> OmicsTable:
    return OmicsTable(clinical.samples, clinical.names, clinical.values, "other", "mixed")


def _phenotypes(
    matrix: Matrix, item: MaskSettings | SurrogateSettings | TreeSettings
) -> PhenotypeTable:
    table = choose_phenotypes(
        matrix.table(harmonised=item.harmonised, reliable=item.reliable), item.phenotypes
    )
    return ranked(table) if item.transform == "rank" else table


def _sets(found: Gathered, path: str) -> Mapping[str, Any]:
    sets: Mapping[str, Any] = read_gmt(resolve(path, found.folder))
    return sets


def _seed(found: Gathered, section: str, name: str) -> int:
    return int(derive_seed(found.settings.study.seed, section, name) % 2**31)
