"""Sections of germline variants: common ones one at a time, rare ones in sets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from radgen.study.schema._base import RankedSection, Texts

__all__ = ["BurdenSettings", "GermlineSection", "GwasSettings"]


class GermlineSection(RankedSection):
    """Phenotypes against genotypes, whoever counts them."""

    name: str = Field(description="Name of the analysis.")
    phenotypes: Texts = Field(
        min_length=1, description="Phenotypes: names, families or IBSI codes (* = any text)."
    )
    covariates: Texts = Field(default_factory=list, description="Clinical columns to adjust for.")
    principal_components: int = Field(
        default=0, ge=0, le=50, description="Principal components of [genotypes] to adjust for."
    )
    model: Literal["linear", "logistic"] = Field(default="linear", description="The regression.")


class GwasSettings(GermlineSection):
    """Genome-wide scan of phenotypes: [[gwas]]."""

    threshold: float | None = Field(
        default=None, gt=0, le=1, description="Store tests with p at most this; default: all."
    )
    genes: str | None = Field(
        default=None,
        description="Where genes lie (GTF, GFF3 or BED): names of loci, genes of regional plots.",
    )


class BurdenSettings(GermlineSection):
    """Sets of rare variants against phenotypes: [[burden]]."""

    sets: str = Field(
        description="Set and variant a line, or REGENIE's set list (see radgen burden)."
    )
    annotations: str | None = Field(
        default=None, description="Variant, set, annotation; needs masks."
    )
    masks: str | None = Field(default=None, description="Mask and its annotations a line.")
    genotypes: str | None = Field(
        default=None,
        description="Genotypes of the rare variants (exomes); default: those of [genotypes].",
    )
    max_maf: list[float] = Field(
        default_factory=lambda: [0.01],
        min_length=1,
        description="Largest frequency of a variant; several give a row each.",
    )
    allele: Literal["minor", "alt"] = Field(
        default="minor", description="Whose frequency counts and which is counted."
    )
    kinship: str | None = Field(
        default=None,
        description="Relatives, by a mixed model: a matrix of radgen genotypes grm, or genotypes "
        "to compute it from. Relatives then stay in.",
    )
    loco_kinship: bool = Field(
        default=False, description="Leave each chromosome out of the kinship."
    )
    loco: str | None = Field(
        default=None,
        description="Or: predictions of radgen background, or a REGENIE _pred.list. Relatives "
        "then stay in.",
    )

    @model_validator(mode="after")
    def _together(self) -> BurdenSettings:
        if (self.annotations is None) != (self.masks is None):
            raise ValueError("masks need annotations, and annotations masks")
        if self.kinship is not None and self.loco is not None:
            raise ValueError("kinship and loco stand for the same background: set one of them")
        if self.loco_kinship and self.kinship is None:
            raise ValueError("loco_kinship leaves chromosomes out of a kinship: set kinship")
        if not all(0 < bound <= 1 for bound in self.max_maf):
            raise ValueError("max_maf holds frequencies above 0, at most 1")
        return self
