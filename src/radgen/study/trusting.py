"""Steps of a run about what can be relied on: repeats, readers' error, environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from radgen._core.rng import derive_seed
from radgen.errors import InputError, shown
from radgen.study.cache import codec_of
from radgen.study.context import Context, collected_warnings
from radgen.study.gather import Gathered
from radgen.study.matrix import Matrix, narrowed
from radgen.study.measure import Unit
from radgen.study.outcomes import chosen_samples, outcome_of, some
from radgen.study.perturbing import perturbed_repeats
from radgen.study.schema.trust import EnvironmentsSettings, ReadersSettings
from radgen.study.select import choose_phenotypes
from radgen.study.stored import VERSIONS, content, stored
from radgen.types import PhenotypeTable, Result

if TYPE_CHECKING:
    from radgen.phenotype import RepeatabilityResult

__all__ = ["invariance", "left_out", "measured_repeats", "readers"]


def measured_repeats(
    found: Gathered, table: PhenotypeTable, context: Context, maps: Sequence[Unit] = ()
) -> tuple[dict[str, PhenotypeTable], RepeatabilityResult | None]:
    """Return the repeats of the study's phenotypes, and how reliable each phenotype is.

    Raises
    ------
    InputError
        If the repeats hold none of the phenotypes.
    """
    from radgen.phenotype import RepeatabilityResult, measure_repeatability

    settings = found.settings.reliability
    if settings is None:
        return {}, None
    whole = found.repeats or perturbed_repeats(found, context, maps)
    repeats = {name: narrowed(one, table.names) for name, one in whole.items()}
    empty = [name for name, one in repeats.items() if not one.n_phenotypes]
    if empty:
        some_names = next(iter(whole.values())).names
        raise InputError(
            f"[reliability]: {shown(empty)} holds none of the study's phenotypes. It has "
            f"{shown(some_names, 3)}; the study has {shown(table.names, 3)}."
        )
    source = (
        "repeated measurements" if settings.perturb is None else "perturbed copies of each scan"
    )
    with collected_warnings(context.limits):
        result, _ = context.step(
            "reliability",
            VERSIONS["reliability"],
            params=settings.model_dump(mode="json", exclude={"table"}),
            inputs={name: content(one) for name, one in repeats.items()},
            compute=lambda: measure_repeatability(
                repeats, form=settings.form, threshold=settings.threshold,
                confidence=settings.confidence, interval=settings.interval,
                source=f"{len(repeats)} {source}",
            ),
            codec=codec_of(RepeatabilityResult),
        )  # fmt: skip
    return repeats, result


def readers(found: Gathered, item: ReadersSettings, matrix: Matrix, context: Context) -> Result:
    """Return a [[readers]] analysis."""
    from radgen.associate import ReaderResult, reader_effects

    outcome = some(found.sheet.outcome(item.outcome, positive=item.positive),
                   chosen_samples(found, item.where))  # fmt: skip
    first = next(iter(matrix.repeats.values()))
    names = choose_phenotypes(first, item.phenotypes).names
    covariates = found.sheet.covariates(item.covariates)
    seed = derive_seed(found.settings.study.seed, "readers", item.name) % 2**32
    return stored(
        context,
        "readers",
        ReaderResult,
        params=item.model_dump(mode="json") | {"seed": seed},
        inputs=[
            content(outcome), content(covariates),
            {name: content(one) for name, one in matrix.repeats.items()},
        ],
        compute=lambda: reader_effects(
            matrix.repeats, outcome, covariates, seed=seed, phenotypes=names,
            bootstrap=item.bootstrap,
        ),
    )  # fmt: skip


def _parts(
    found: Gathered, item: EnvironmentsSettings, matrix: Matrix
) -> tuple[dict[str, Any], Any, dict[str, str], list[Any]]:
    """Return blocks, outcome, environments and the digests of all."""
    outcome = some(outcome_of(found, item), chosen_samples(found, item.where))
    blocks: dict[str, Any] = {}
    if item.images:
        blocks["imaging"] = matrix.table(harmonised=False, reliable=item.reliable)
    clinical = found.sheet.covariates(item.clinical)
    if clinical is not None:
        blocks["clinical"] = clinical
    for name in item.layers:
        blocks[name] = found.layers[name]
    cells = found.sheet.frame.select("sample", pl.col(item.by).cast(pl.String)).drop_nulls()
    places: dict[str, str] = dict(cells.iter_rows())
    inputs = [content(outcome), {n: content(b) for n, b in blocks.items()}, places]
    return blocks, outcome, places, inputs


def invariance(
    found: Gathered, item: EnvironmentsSettings, matrix: Matrix, context: Context
) -> Result:
    """Return which features predict alike in all environments."""
    from radgen.predict import InvarianceResult, invariant_prediction

    blocks, outcome, places, inputs = _parts(found, item, matrix)
    return stored(
        context,
        "invariance",
        InvarianceResult,
        params=item.model_dump(mode="json", exclude={"methods"}),
        inputs=inputs,
        compute=lambda: invariant_prediction(
            blocks, outcome, places, alpha=item.alpha, max_candidates=item.candidates
        ),
    )


def left_out(
    found: Gathered, item: EnvironmentsSettings, matrix: Matrix, context: Context
) -> Result:
    """Return how ways of selection do in environments that were left out."""
    from radgen.predict import EnvironmentResult, leave_environment_out

    blocks, outcome, places, inputs = _parts(found, item, matrix)
    seed = derive_seed(found.settings.study.seed, "environments", item.name) % 2**32
    return stored(
        context,
        "environments",
        EnvironmentResult,
        params=item.model_dump(mode="json") | {"seed": seed},
        inputs=inputs,
        compute=lambda: leave_environment_out(
            blocks, outcome, places, seed=seed, methods=item.methods, alpha=item.alpha
        ),
    )
