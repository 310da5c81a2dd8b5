"""Step of a run that tests sets of rare variants against phenotypes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from radgen.errors import InputError
from radgen.study.context import Context
from radgen.study.gather import Gathered
from radgen.study.germline import genotype_files, germline, joined_covariates, traits_of
from radgen.study.matrix import Matrix
from radgen.study.schema.germline import BurdenSettings
from radgen.study.schema.sources import IdRule
from radgen.study.set_files import SET_FILES, members_of, path_of
from radgen.study.sheet import clean_ids
from radgen.study.stored import content, stored
from radgen.types import Kinship, Result

__all__ = ["rare_variant_sets"]


def rare_variant_sets(
    found: Gathered, item: BurdenSettings, matrix: Matrix, context: Context
) -> Result:
    """Return a [[burden]] analysis.

    Raises
    ------
    InputError
        If quality control leaves nothing, or the sets cannot be tested.
    """
    from radgen.associate import BurdenResult, burden

    table = traits_of(matrix, item)
    place = found.settings.burden.index(item)
    paths: dict[str, Path | None] = {
        key: found.files[f"burden.{place}.{key}"]
        for key in SET_FILES
        if getattr(item, key) is not None
    }
    # Common variants tell outliers and relatives; these stay where the model knows of them.
    related = item.kinship is not None or item.loco is not None
    kin: dict[str, Any] = {"max_kinship": None} if related else {}
    common = germline(found, item.principal_components, context, changes=kin)
    exomes = found.exomes.get(item.name)
    ready = germline(
        found,
        0,
        context,
        changes={"maf": 0.0, "max_kinship": None, "heterozygosity_sd": None},
        source=None if exomes is None else (exomes, path_of(paths, "genotypes")),
    )
    passed = set(common.genotypes.samples)
    kept = [k for k, name in enumerate(ready.genotypes.samples) if name in passed]
    genotypes = ready.genotypes.take_samples(kept)
    covariates = joined_covariates(found.sheet.covariates(item.covariates), common.components)
    assert found.settings.genotypes is not None
    rule = found.settings.genotypes.id_rule
    digests = {
        key: [context.files.of(one) for one in genotype_files(path_of(paths, key))] for key in paths
    }
    return stored(
        context,
        "burden",
        BurdenResult,
        params=item.model_dump(mode="json", exclude=set(SET_FILES)),
        inputs=[content(table), content(covariates), ready.key, common.key, digests],
        compute=lambda: burden(
            genotypes,
            table,
            members_of(item, paths),
            covariates,
            model=item.model,
            max_maf=item.max_maf,
            allele=item.allele,
            kinship=_kinship(item, paths, rule),
            loco=_background(item, paths, rule),
        ),
    )


def _kinship(
    item: BurdenSettings, paths: Mapping[str, Path | None], rule: IdRule
) -> Kinship | dict[str, Kinship] | None:
    """Return the kinship of the study's samples."""
    from radgen.genome.kinship_files import read_kinship

    if item.kinship is None:
        return None
    path = path_of(paths, "kinship")
    found = read_kinship(path, each_chromosome=item.loco_kinship)
    if isinstance(found, Kinship):
        return replace(found, samples=tuple(clean_ids(found.samples, rule, what=str(path))))
    return {
        chrom: replace(one, samples=tuple(clean_ids(one.samples, rule, what=str(path))))
        for chrom, one in found.items()
    }


def _background(
    item: BurdenSettings, paths: Mapping[str, Path | None], rule: IdRule
) -> pl.DataFrame | None:
    """Return the predictions of the other chromosomes, by the ids of the study."""
    from radgen.associate import read_background

    if item.loco is None:
        return None
    path = path_of(paths, "loco")
    table: pl.DataFrame = read_background(path, model=item.model)
    ids = table["sample"].unique(maintain_order=True).to_list()
    names = clean_ids(ids, rule, what=str(path))
    if len(set(names)) < len(names):
        raise InputError(f"{path}: the id rule makes two samples one.")
    return table.with_columns(pl.col("sample").replace_strict(ids, names))
