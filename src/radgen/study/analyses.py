"""Steps of a run that ask a question of the data; each gives a frozen result."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from radgen._core.rng import derive_seed
from radgen.errors import AlignmentError, FitError, InputError
from radgen.study.associating import associate, combine_layers
from radgen.study.context import Context, collected_warnings
from radgen.study.gather import Gathered
from radgen.study.gene_sides import enrichment, masking, modules, signature, surrogates, trees
from radgen.study.germline import germline, joined_covariates, traits_of
from radgen.study.matrix import Matrix, batch_table, harmonisation_of, reliability_of
from radgen.study.outcomes import chosen_samples, outcome_of, some
from radgen.study.rare import rare_variant_sets
from radgen.study.schema.analyses import PredictSettings, SurvivalAnalysisSettings
from radgen.study.schema.germline import GwasSettings
from radgen.study.select import (
    choose_phenotypes,
    restricted,
    volume_name,
)
from radgen.study.stored import MANY_TESTS, VERSIONS, content, frame_content, slug, stored
from radgen.study.treating import rule, treatment
from radgen.study.trusting import invariance, left_out, readers
from radgen.types import Covariates, PhenotypeTable, Result

__all__ = ["Analysed", "run_analyses", "tables_of"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Analysed:
    """One analysis of the study file and what came out.

    Attributes
    ----------
    section : str
        Section of the study file: "associate", "modules", "gwas", …; or "genotypes".
    name : str
        As the study file names it.
    result : Result or None
        None where it could not be done.
    reason : str
        Why it could not be done.
    """

    section: str
    name: str
    result: Result | None
    reason: str = ""


def run_analyses(found: Gathered, matrix: Matrix, context: Context) -> list[Analysed]:
    """Return the results of all analyses; one that cannot be done does not stop the others."""
    done: list[Analysed] = []
    plans: list[tuple[str, Any, Callable[..., Result]]] = []
    plans += [("associate", item, associate) for item in found.settings.associate]
    plans += [("evidence", item, combine_layers) for item in found.settings.evidence]
    plans += [("modules", item, modules) for item in found.settings.modules]
    plans += [("tree", item, trees) for item in found.settings.tree]
    plans += [("enrich", item, enrichment) for item in found.settings.enrich]
    plans += [("mask", item, masking) for item in found.settings.mask]
    plans += [("surrogate", item, surrogates) for item in found.settings.surrogate]
    plans += [("signature", item, signature) for item in found.settings.signature]
    plans += [("gwas", item, _gwas) for item in found.settings.gwas]
    plans += [("burden", item, rare_variant_sets) for item in found.settings.burden]
    plans += [("survival", item, _survival) for item in found.settings.survival]
    plans += [("treatment", item, treatment) for item in found.settings.treatment]
    plans += [("treatment", item, rule) for item in found.settings.treatment if item.rule]
    plans += [("predict", item, _predict) for item in found.settings.predict]
    plans += [("readers", item, readers) for item in found.settings.readers]
    plans += [
        ("environments", item, function)
        for item in found.settings.environments
        for function in (invariance, left_out)
    ]
    if found.response is not None:
        done.append(Analysed("response", "Response to treatment", found.response))
    if matrix.repeatability is not None:
        done.append(Analysed("reliability", "Reliability of phenotypes", matrix.repeatability))
    if found.settings.gwas or found.settings.burden:
        done.append(_quality(found, context))
    for section, item, function in plans:
        try:
            with collected_warnings(context.limits):
                result = function(found, item, matrix, context)
        except (InputError, AlignmentError, FitError) as error:
            _log.warning(
                "An analysis of [[%s]] could not be done: %s", section, type(error).__name__
            )
            context.failures.append(f"{item.name}: {error}")
            done.append(Analysed(section, _title(item, function), None, str(error)))
        else:
            done.append(Analysed(section, _title(item, function), result))
    return done


def _title(item: Any, function: Callable[..., Result]) -> str:
    more = {left_out: ": environments left out", rule: " (a rule)"}
    return f"{item.name}{more.get(function, '')}"


def _quality(found: Gathered, context: Context) -> Analysed:
    name = "Quality of genotypes"
    try:
        return Analysed("genotypes", name, germline(found, 0, context).quality)
    except (InputError, AlignmentError, FitError) as error:
        context.failures.append(f"{name}: {error}")
        return Analysed("genotypes", name, None, str(error))


def _gwas(found: Gathered, item: GwasSettings, matrix: Matrix, context: Context) -> Result:
    from radgen.associate import GwasResult, gwas

    table = traits_of(matrix, item)
    ready = germline(found, item.principal_components, context)
    genotypes = ready.genotypes
    covariates = joined_covariates(found.sheet.covariates(item.covariates), ready.components)
    params = item.model_dump(mode="json")
    inputs = [content(table), content(covariates), ready.key]
    places = None if item.genes is None else found.places[item.genes]
    inputs += [] if places is None else [frame_content(places)]
    stream = None
    if genotypes.n_variants * table.n_phenotypes > MANY_TESTS:
        key = context.cache.key("gwas", VERSIONS["gwas"], params, inputs)
        stream = context.out / "tables" / f"gwas-{slug(item.name)}-all-{key[:12]}.parquet"
        params |= {"stream": stream.exists()}
    return stored(
        context,
        "gwas",
        GwasResult,
        params=params,
        inputs=inputs,
        compute=lambda: (
            gwas(
                genotypes,
                table,
                covariates,
                model=item.model,
                threshold=item.threshold,
                out=stream,
            )
            .with_linkage(genotypes)
            .with_genes(places)
        ),
    )


def _survival(
    found: Gathered, item: SurvivalAnalysisSettings, matrix: Matrix, context: Context
) -> Result:
    from radgen.associate import HazardResult, hazards

    outcome = some(found.sheet.outcome(item.outcome), chosen_samples(found, item.where))
    predictors: list[Covariates | PhenotypeTable] = []
    variables = found.sheet.covariates(item.variables)
    if variables is not None:
        predictors.append(variables)
    if item.phenotypes:
        table = choose_phenotypes(matrix.table(harmonised=True), item.phenotypes)
        predictors.append(matrix.reliable(table) if item.reliable else table)
    covariates = found.sheet.covariates(item.covariates)
    return stored(
        context,
        "survival",
        HazardResult,
        params=item.model_dump(mode="json"),
        inputs=[content(outcome), [content(table) for table in predictors], content(covariates)],
        compute=lambda: hazards(outcome, predictors, covariates),
    )


def _predict(found: Gathered, item: PredictSettings, matrix: Matrix, context: Context) -> Result:
    from radgen.predict import PredictionResult, evaluate, fit_model, write_bundle
    from radgen.predict.inputs import named_arrays
    from radgen.study.settings import resolve

    outcome = some(outcome_of(found, item), chosen_samples(found, item.where))
    blocks: dict[str, Any] = {}
    table = matrix.raw
    sites: dict[str, str] | None = None
    groups: dict[str, str] | None = None
    harmonise = None
    settings = found.settings.harmonise
    needs = item.harmonise or item.scheme == "leave-site-out" or "invariant" in item.selection
    if settings is not None and needs:
        rows, _ = batch_table(found.sheet, table.samples, settings)
        sites = dict(rows.select("sample", settings.batch[0]).iter_rows())
        table = restricted(table, sites)
        harmonise = harmonisation_of(settings, rows) if item.harmonise else None
        if settings.subject is not None:
            groups = dict(
                rows.select("sample", pl.col(settings.subject).cast(pl.String)).iter_rows()
            )
    if item.images:
        blocks["imaging"] = table
    clinical = found.sheet.covariates(item.clinical)
    if clinical is not None:
        blocks["clinical"] = clinical
    for name in item.layers:
        blocks[name] = found.layers[name]
    blocks |= named_arrays([resolve(text, found.folder) for text in item.arrays])
    if sites is not None:
        known = set(sites)
        outcome = some(outcome, known)
    seed = derive_seed(found.settings.study.seed, "predict", item.name) % 2**32
    volume = volume_name(table, found.settings.features.volume) if item.images else None
    shared: dict[str, Any] = {
        "seed": seed,
        "sites": sites,
        "groups": groups,
        "model": item.model,
        "selection": _selection(item),
        "n_selected": item.n_selected,
        "harmonise": harmonise,
        "reliability": reliability_of(found.settings.reliability, matrix.repeats)
        if item.reliable and item.images
        else None,
        "inner_folds": item.inner_folds,
    }
    result = stored(
        context,
        "predict",
        PredictionResult,
        params=item.model_dump(mode="json", exclude={"freeze"}) | {"seed": seed, "volume": volume},
        inputs=[
            content(outcome),
            {n: content(b) for n, b in blocks.items()},
            sites or {},
            None if settings is None else settings.model_dump(mode="json"),
            None if harmonise is None else rows.to_dict(as_series=False),
            {n: content(t) for n, t in matrix.repeats.items()} if item.reliable else {},
            None
            if found.settings.reliability is None
            else found.settings.reliability.model_dump(mode="json"),
            {k: str(v) for k, v in (_order(found, item) or {}).items()},
        ],
        compute=lambda: evaluate(
            blocks,
            outcome,
            scheme=item.scheme,
            order=_order(found, item),
            fusion=item.fusion,
            missing_blocks=item.missing_blocks,
            folds=item.folds,
            repeats=item.repeats,
            volume=volume,
            permutations=item.permutations,
            horizon=item.horizon,
            abstain=item.abstain,
            executor=context.pool,
            **shared,
        ),
    )
    if item.freeze:
        texts = [n for n in item.clinical if found.sheet.frame[n].dtype == pl.String]
        levels = {"clinical": {name: found.sheet.levels(name) for name in texts}}
        model = fit_model(blocks, outcome, validation=result, levels=levels, **shared)
        write_bundle(model, context.out / "models" / f"{slug(item.name)}.json")
    return result


def _selection(item: PredictSettings) -> Any:
    """Return the selection by name, or as estimators where the study sets their options."""
    if item.selection == "none":
        return None
    if "stability" in item.selection and item.max_errors != 1.0:
        from radgen.phenotype import CorrelationFilter
        from radgen.predict.selection import StabilitySelector

        own = StabilitySelector(item.max_errors, random_state=0)
        return [CorrelationFilter(), own] if "+" in item.selection else [own]
    return item.selection


def _order(found: Gathered, item: PredictSettings) -> dict[str, Any] | None:
    if item.order is None:
        return None
    if item.order not in found.sheet.frame.columns:
        raise InputError(f"order = {item.order!r} is no clinical column.")
    return dict(found.sheet.frame.select("sample", item.order).iter_rows())


def tables_of(items: list[Analysed]) -> dict[str, pl.DataFrame]:
    """Return the main and side tables of all results by file name."""
    found: dict[str, pl.DataFrame] = {}
    for item in items:
        if item.result is None:
            continue
        stem = f"{item.section}-{slug(item.name)}"
        tables, _ = item.result.encode()
        for name, frame in tables.items():
            if frame.width:
                found[stem if name == "frame" else f"{stem}-{name}"] = frame
    return found
