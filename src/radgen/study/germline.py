"""Steps of a run that make genotypes ready for a scan: quality control and components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen.study.cache import Codec, codec_of
from radgen.study.context import Context, collected_warnings
from radgen.study.gather import Gathered
from radgen.study.matrix import Matrix
from radgen.study.schema.germline import GermlineSection
from radgen.study.select import choose_phenotypes, ranked
from radgen.types import Covariates, GenotypeMatrix, PhenotypeTable, Result

__all__ = ["Germline", "genotype_files", "germline", "joined_covariates", "traits_of"]


@dataclass(frozen=True, eq=False)
class Germline:
    """Genotypes after quality control.

    Attributes
    ----------
    genotypes : GenotypeMatrix
        What is left.
    quality : Result
        What was taken out at each step.
    components : Covariates or None
        Principal components of pruned variants.
    key : str
        Digest of what made them.
    """

    genotypes: GenotypeMatrix
    quality: Result
    components: Covariates | None
    key: str


def genotype_files(path: Path) -> list[Path]:
    """Return a genotype file and its companions."""
    stem = path.name.removesuffix(path.suffix)
    names = {path.name, *(f"{stem}{end}" for end in (".bim", ".fam", ".pvar", ".psam", ".sample"))}
    return [path.parent / name for name in sorted(names) if (path.parent / name).exists()]


def germline(
    found: Gathered,
    n_components: int,
    context: Context,
    *,
    changes: Mapping[str, Any] | None = None,
    source: tuple[GenotypeMatrix, Path] | None = None,
) -> Germline:
    """Return genotypes after quality control, and their components.

    Parameters
    ----------
    found : Gathered
        The study.
    n_components : int
        Components wanted.
    context : Context
        The run.
    changes : mapping or None
        Limits other than those of [genotypes], by its keys.
    source : (GenotypeMatrix, Path) or None
        Other genotypes and their file.

    Raises
    ------
    InputError
        If quality control leaves nothing, or there are too few samples for the components.
    """
    from radgen.genome import GenotypeQC, genotype_qc

    settings = found.settings.genotypes
    assert found.genotypes is not None
    assert settings is not None
    settings = settings.model_copy(update=dict(changes or {}))
    genotypes, path = source or (found.genotypes, found.files["genotypes.path"])
    files = [context.files.of(item) for item in genotype_files(path)]
    params = settings.model_dump(mode="json")
    with collected_warnings(context.limits):
        quality, key = context.step(
            "genotype-qc",
            2,
            params=params,
            inputs=files,
            compute=lambda: genotype_qc(
                genotypes,
                sample_call_rate=settings.sample_call_rate,
                variant_call_rate=settings.variant_call_rate,
                min_maf=settings.maf,
                hwe_p=settings.hwe_p,
                heterozygosity_sd=settings.heterozygosity_sd,
                max_kinship=settings.max_kinship,
            ),
            codec=codec_of(GenotypeQC),
        )
        passed = quality.apply(genotypes)
        components = None
        if n_components:
            components, key = context.step(
                "genotype-components",
                1,
                params={"n_components": n_components},
                inputs=key,
                compute=lambda: _components(passed, n_components),
                codec=_covariate_codec(),
            )
    return Germline(passed, quality, components, key)


def _components(genotypes: GenotypeMatrix, n_components: int) -> Covariates:
    from radgen.genome import GenotypePCA, prune

    thin = genotypes.take_variants(prune(genotypes))
    scores: Covariates = GenotypePCA(n_components).fit_transform(thin)
    return scores


def _covariate_codec() -> Codec[Covariates]:
    def encode(table: Covariates) -> tuple[dict[str, pl.DataFrame], dict[str, object]]:
        columns = {name: table.values[:, j] for j, name in enumerate(table.names)}
        return {"frame": pl.DataFrame({"sample": list(table.samples), **columns})}, {}

    def decode(tables: dict[str, pl.DataFrame], _plain: dict[str, object]) -> Covariates:
        frame = tables["frame"]
        names = tuple(name for name in frame.columns if name != "sample")
        samples = tuple(frame["sample"].to_list())
        return Covariates(samples, names, frame.select(names).to_numpy())

    return Codec("covariates", 1, encode, decode)


def traits_of(matrix: Matrix, item: GermlineSection) -> PhenotypeTable:
    """Return the phenotypes that an analysis names, as normal scores where it asks for them."""
    table = choose_phenotypes(
        matrix.table(harmonised=item.harmonised, reliable=item.reliable), item.phenotypes
    )
    return ranked(table) if item.transform == "rank" else table


def joined_covariates(first: Covariates | None, second: Covariates | None) -> Covariates | None:
    """Return the columns of two tables for the samples that both hold."""
    if first is None or second is None:
        return first if second is None else second
    row = {sample: i for i, sample in enumerate(second.samples)}
    keep = [i for i, sample in enumerate(first.samples) if sample in row]
    samples = tuple(first.samples[i] for i in keep)
    right = second.values[[row[sample] for sample in samples]]
    return Covariates(
        samples, (*first.names, *second.names), np.hstack([first.values[keep], right])
    )
