"""Steps of a run that test phenotypes against molecular layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from radgen._core.digest import digest
from radgen._core.rng import derive_seed
from radgen.errors import InputError
from radgen.study.context import Context
from radgen.study.gather import Gathered
from radgen.study.schema.analyses import AssociateSettings, EvidenceSettings
from radgen.study.schema.gene_sides import EnrichSettings, ModuleSettings
from radgen.study.select import choose_phenotypes
from radgen.study.stored import MANY_TESTS, VERSIONS, content, frame_content, slug, stored
from radgen.types import Covariates, OmicsTable, PhenotypeTable, Result

if TYPE_CHECKING:
    from radgen.study.matrix import Matrix

__all__ = ["associate", "combine_layers", "sides"]


def sides(
    found: Gathered,
    matrix: Matrix,
    item: AssociateSettings | EvidenceSettings | ModuleSettings | EnrichSettings,
) -> tuple[PhenotypeTable, Covariates | None]:
    """Return phenotypes to test and covariates, those among the phenotypes too."""
    from radgen.associate import adjust_for

    covariates = found.sheet.covariates(item.covariates)
    table = choose_phenotypes(
        matrix.table(harmonised=item.harmonised, reliable=item.reliable), item.phenotypes
    )
    if not item.adjust_phenotypes:
        return table, covariates
    whole = matrix.table(harmonised=item.harmonised)
    beside = choose_phenotypes(whole, item.adjust_phenotypes).names
    wanted = {*table.names, *beside}
    table = whole.take(columns=[k for k, name in enumerate(whole.names) if name in wanted])
    places = [table.names.index(name) for name in beside]
    moved: tuple[PhenotypeTable, Covariates] = adjust_for(table, covariates, places)
    return moved


def associate(found: Gathered, item: AssociateSettings, matrix: Matrix, context: Context) -> Result:
    """Return an [[associate]] analysis, and write what it locks beside the tables."""
    from radgen.associate import AssociationResult, lock, scan

    table, covariates = sides(found, matrix, item)
    layer = found.layers[item.layer] if item.layer else _as_layer(found, item)
    by = None
    if item.by is not None:
        cells = found.sheet.frame.select("sample", pl.col(item.by).cast(pl.String))
        by = dict(cells.iter_rows())
    seed = derive_seed(found.settings.study.seed, "associate", item.name) % 2**32
    params = item.model_dump(mode="json") | {"seed": seed}
    inputs = [content(table), content(layer), content(covariates), digest(by)]
    places = _places(found, item, layer)
    inputs += [] if places is None else [frame_content(places)]
    stream = None
    strata = 1 if by is None else len(set(by.values()) - {None})
    if table.n_phenotypes * layer.n_features * strata > MANY_TESTS and not item.permutations:
        key = context.cache.key("associate", VERSIONS["associate"], params, inputs)
        stream = context.out / "tables" / f"associate-{slug(item.name)}-all-{key[:12]}.parquet"
        params |= {"stream": stream.exists()}
    result: Result = stored(
        context,
        "associate",
        AssociationResult,
        params=params,
        inputs=inputs,
        compute=lambda: replace(
            scan(
                table,
                layer,
                covariates,
                test=item.test,
                transform=item.transform,
                by=by,
                modifier=_modifier(item, covariates),
                permutations=item.permutations,
                seed=seed,
                out=stream,
                executor=context.pool,
            ),
            places=pl.DataFrame() if places is None else places,
        ),
    )
    locked = lock(result, by="q_bh", level=item.fdr)
    locked.save(context.out / "tables" / f"associate-{slug(item.name)}-hypotheses.json")
    return result


def _places(found: Gathered, item: AssociateSettings, layer: OmicsTable) -> pl.DataFrame | None:
    """Return where the tested genes lie; None where the study does not say."""
    if item.genes is None:
        return None
    wanted = {name.upper() for name in layer.features}
    return found.places[item.genes].filter(pl.col("name").str.to_uppercase().is_in(wanted))


def _modifier(item: AssociateSettings, covariates: Covariates | None) -> str | None:
    """Return the modifier's column among the expanded covariates."""
    if item.modifier is None or covariates is None or item.modifier in covariates.names:
        return item.modifier
    columns = [name for name in covariates.names if name.startswith(f"{item.modifier}=")]
    if len(columns) != 1:
        raise InputError(
            f"The modifier {item.modifier!r} has {len(columns) + 1} values; two, or a number, are "
            "needed."
        )
    return columns[0]


def combine_layers(
    found: Gathered, item: EvidenceSettings, matrix: Matrix, context: Context
) -> Result:
    """Return an [[evidence]] analysis."""
    from radgen.associate import EvidenceResult, evidence

    table, covariates = sides(found, matrix, item)
    layers = [found.layers[name] for name in item.layers]
    return stored(
        context,
        "evidence",
        EvidenceResult,
        params=item.model_dump(mode="json"),
        inputs=[content(table), content(covariates), *map(content, layers)],
        compute=lambda: evidence(
            table, layers, covariates, method=item.method, test=item.test, transform=item.transform
        ),
    )


def _as_layer(found: Gathered, item: AssociateSettings) -> OmicsTable:
    """Return clinical columns as a layer; the first level of a category is the reference."""
    table = found.sheet.covariates(item.variables)
    assert table is not None
    return OmicsTable(table.samples, table.names, table.values, "other", "mixed")
