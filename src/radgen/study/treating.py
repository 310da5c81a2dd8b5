"""Steps of a run about treatment: predictive markers, and what a rule would be worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from radgen._core.digest import digest
from radgen._core.rng import derive_seed
from radgen.study.context import Context
from radgen.study.gather import Gathered
from radgen.study.matrix import Matrix, reliability_of
from radgen.study.outcomes import chosen_samples, outcome_of, some
from radgen.study.schema.treatment import TreatmentSettings
from radgen.study.select import choose_phenotypes
from radgen.study.stored import content, stored
from radgen.types import Outcome, PhenotypeTable, Result

__all__ = ["rule", "treatment"]


def treatment(found: Gathered, item: TreatmentSettings, matrix: Matrix, context: Context) -> Result:
    """Return prognostic and predictive effects of the markers of a [[treatment]] analysis."""
    from radgen.predict import TreatmentResult, treatment_effects

    arm, outcome = _arms(found, item)
    table = None
    if item.phenotypes:
        whole = matrix.table(harmonised=item.harmonised, reliable=item.reliable)
        table = choose_phenotypes(whole, item.phenotypes)
    blocks = _blocks(found, item, table)
    covariates = found.sheet.covariates(item.covariates)
    return stored(
        context,
        "treatment",
        TreatmentResult,
        params=item.model_dump(mode="json", include=_OWN),
        inputs=[content(outcome), digest(arm), _contents(blocks), content(covariates)],
        compute=lambda: treatment_effects(
            blocks, arm, outcome, control=item.control, covariates=covariates
        ),
    )


def rule(found: Gathered, item: TreatmentSettings, matrix: Matrix, context: Context) -> Result:
    """Return whom a rule would treat and what it would be worth, in patients left out."""
    from radgen.predict import RuleResult, treatment_rule

    arm, outcome = _arms(found, item)
    table = choose_phenotypes(matrix.raw, item.phenotypes) if item.phenotypes else None
    blocks = _blocks(found, item, table)
    confounders = found.sheet.covariates(item.confounders)
    reliable = None
    if item.reliable and table is not None:
        reliable = reliability_of(found.settings.reliability, matrix.repeats)
    seed = derive_seed(found.settings.study.seed, "treatment", item.name) % 2**32
    settings = found.settings.reliability
    return stored(
        context,
        "rule",
        RuleResult,
        params=item.model_dump(mode="json") | {"seed": seed},
        inputs=[
            content(outcome), digest(arm), _contents(blocks), content(confounders),
            {} if reliable is None else _contents(matrix.repeats),
            None if settings is None else settings.model_dump(mode="json"),
        ],
        compute=lambda: treatment_rule(
            blocks,
            arm,
            outcome,
            seed=seed,
            control=item.control,
            better=item.better,
            confounders=confounders,
            horizon=item.horizon,
            folds=item.folds,
            repeats=item.repeats,
            selection="correlation",
            reliability=reliable,
            executor=context.pool,
        ),
    )  # fmt: skip


_OWN = {
    "outcome", "positive", "arm", "control", "phenotypes", "clinical", "layers", "covariates",
    "where", "harmonised", "reliable",
}  # fmt: skip


def _arms(found: Gathered, item: TreatmentSettings) -> tuple[dict[str, str], Outcome]:
    """Return the arm of each sample, and the outcome of those who have one."""
    cells = found.sheet.frame.select("sample", pl.col(item.arm).cast(pl.String)).drop_nulls()
    wanted = chosen_samples(found, item.where)
    arm = {sample: word for sample, word in cells.iter_rows() if wanted is None or sample in wanted}
    return arm, some(outcome_of(found, item), set(arm))


def _blocks(
    found: Gathered, item: TreatmentSettings, table: PhenotypeTable | None
) -> dict[str, Any]:
    blocks: dict[str, Any] = {} if table is None else {"imaging": table}
    clinical = found.sheet.covariates(item.clinical)
    if clinical is not None:
        blocks["clinical"] = clinical
    return blocks | {name: found.layers[name] for name in item.layers}


def _contents(tables: Mapping[str, Any]) -> dict[str, str]:
    return {name: content(table) for name, table in tables.items()}
