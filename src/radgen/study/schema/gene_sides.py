"""Sections of the study file about gene modules, gene sets, surrogates and signatures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from radgen.study.schema._base import RankedSection, Section, Texts

__all__ = [
    "EnrichSettings",
    "MaskSettings",
    "ModuleSettings",
    "SignatureSettings",
    "SurrogateSettings",
    "TreeSettings",
]


class _GeneSection(RankedSection):
    """Image phenotypes and the genes of one layer."""

    name: str = Field(description="Name of the analysis, as the report prints it.")
    layer: str = Field(description="Name of an [omics.<name>] section.")
    phenotypes: Texts = Field(
        default_factory=list,
        description="Phenotypes: names, families or IBSI codes (* = any text); default: all.",
    )


class ModuleSettings(_GeneSection):
    """Gene modules against phenotypes: [[modules]]."""

    covariates: Texts = Field(default_factory=list, description="Clinical columns to adjust for.")
    adjust_phenotypes: Texts = Field(
        default_factory=list, description="Phenotypes to adjust for instead of testing them."
    )
    method: Literal["coexpression", "nmf", "ica"] = Field(
        default="coexpression",
        description="Co-expression network, non-negative metagenes, or independent programs.",
    )
    number: int = Field(default=5, ge=1, description="Modules of nmf and ica.")
    min_size: int = Field(default=20, ge=3, description="Fewest genes of a co-expressed module.")
    permutations: int = Field(
        default=0, ge=0, description="Permutations for family-wise error (max-T)."
    )


class TreeSettings(_GeneSection):
    """Trees of phenotypes for gene modules: [[tree]]."""

    transform: Literal["none", "rank"] = Field(
        default="none", description="rank: thresholds of normal scores instead of units."
    )
    gene_sets: str | None = Field(
        default=None, description="GMT file of modules; default: co-expressed modules of the layer."
    )
    min_size: int = Field(default=20, ge=3, description="Fewest genes of a co-expressed module.")
    max_depth: int = Field(default=3, ge=1, description="Most splits one after another.")
    min_leaf: int = Field(default=8, ge=2, description="Fewest samples of a leaf.")
    alpha: float = Field(
        default=0.05, gt=0, le=1, description="Largest permutation p of a split, over all traits."
    )


class EnrichSettings(_GeneSection):
    """Gene sets against phenotypes: [[enrich]]."""

    gene_sets: str = Field(description="GMT file of gene sets.")
    covariates: Texts = Field(default_factory=list, description="Clinical columns to adjust for.")
    adjust_phenotypes: Texts = Field(
        default_factory=list, description="Phenotypes to adjust for instead of testing them."
    )
    method: Literal["mean", "contrast", "camera", "ranks", "gsea"] = Field(
        default="contrast",
        description="Mean of the members; the members' mean less the others'; limma's camera, by "
        "values or by ranks; enrichment scores against permuted samples.",
    )
    permutations: int = Field(default=1000, ge=1, description='Permutations of "gsea".')
    min_genes: int = Field(default=5, ge=2, description="Smaller sets are left out.")


class MaskSettings(_GeneSection):
    """What one gene set alone predicts: [[mask]]."""

    gene_sets: str = Field(description="GMT file of gene sets.")
    folds: int = Field(default=5, ge=2, description="Folds of the cross-validation.")
    n_random: int = Field(default=200, ge=1, description="Random sets for each set.")
    permutations: int = Field(default=200, ge=0, description="Models of permuted phenotypes.")
    min_genes: int = Field(default=5, ge=2, description="Smaller sets are left out.")


class SurrogateSettings(_GeneSection):
    """Phenotypes learned from genes, tested where there are no images: [[surrogate]]."""

    predict: Literal["phenotypes", "layer"] = Field(
        default="phenotypes",
        description="phenotypes: from the layer; layer: its features (pathway scores, say) from "
        "the phenotypes, without a second cohort.",
    )
    carry: str | None = Field(
        default=None,
        description="[omics.<name>] section of the second cohort; default: the samples of layer "
        "that have no images.",
    )
    paired: dict[str, Texts] = Field(
        default_factory=dict,
        description='Samples that train, {centre = ["A"]}; the others are the second cohort.',
    )
    outcome: str | None = Field(
        default=None, description="A [clinical.survival.<name>] section; default: predict only."
    )
    covariates: Texts = Field(
        default_factory=list, description="Clinical columns to adjust the hazard ratios for."
    )
    within: Literal["none", "rank", "quantile"] = Field(
        default="none", description="Harmonisation within samples."
    )
    by_cohort: bool = Field(
        default=True, description="Standardise each gene within its own cohort."
    )
    permutations: int = Field(default=199, ge=39, description="Permuted phenotypes.")
    bootstraps: int = Field(default=200, ge=20, description="Learners of resampled cohorts.")
    unpredictable: bool = Field(
        default=False, description="Carry phenotypes that are not predicted better than chance too."
    )

    @model_validator(mode="after")
    def _whole(self) -> SurrogateSettings:
        if self.outcome is None and (self.carry or self.covariates):
            raise ValueError("a second cohort needs an outcome")
        if self.outcome is not None and self.predict == "layer":
            raise ValueError('predict = "layer" has no second cohort: leave outcome out')
        return self


class SignatureSettings(Section):
    """A published score, computed as it stands and judged on an outcome: [[signature]]."""

    name: str = Field(description="Name of the analysis.")
    card: str = Field(description="Card that comes with radgen, or a TOML or JSON file.")
    layers: Texts = Field(default_factory=list, description="Molecular layers with its inputs.")
    images: bool = Field(default=False, description="Phenotypes are among its inputs.")
    clinical: Texts = Field(default_factory=list, description="Clinical columns among its inputs.")
    inputs: dict[str, str] = Field(
        default_factory=dict, description="Columns of inputs that are named otherwise."
    )
    outcome: str = Field(description="Clinical column or survival time.")
    positive: str | None = Field(
        default=None, description="Value of a category that counts as positive."
    )
    covariates: Texts = Field(
        default_factory=list, description="Clinical columns to adjust the effect for."
    )

    @model_validator(mode="after")
    def _some(self) -> SignatureSettings:
        if not (self.layers or self.images or self.clinical):
            raise ValueError("say where the inputs are: layers, images or clinical")
        return self
