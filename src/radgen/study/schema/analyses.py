"""Sections of the study file that say what is done with the data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from radgen._core.naming import did_you_mean
from radgen.study.schema._base import RankedSection, Section, Texts
from radgen.study.schema.sources import FeatureTableSettings

__all__ = [
    "AssociateSettings",
    "EvidenceSettings",
    "FeatureSettings",
    "LinkSettings",
    "PredictSettings",
    "ReportSettings",
    "SurvivalAnalysisSettings",
]


Fusion = Literal["early", "stacked", "vote"]
Selection = Literal[
    "none", "correlation", "univariate", "mrmr", "lasso", "elastic_net", "stability", "boruta",
    "invariant",
    "correlation+univariate", "correlation+mrmr", "correlation+lasso", "correlation+elastic_net",
    "correlation+stability", "correlation+boruta", "correlation+invariant",
]  # fmt: skip
SeveralScans = Literal["refuse", "first", "last", "nearest", "largest", "mean", "worst"]


class FeatureSettings(Section):
    """Which numbers are measured in the images."""

    preset: str | None = Field(
        default=None,
        description='Settings by name ("ibsi-a" …); what else is set here changes them.',
    )
    families: Texts | None = Field(
        default=None, description="Feature families; default: all IBSI families."
    )
    aggregations: Texts | None = Field(
        default=None, description="IBSI aggregation codes of texture families."
    )
    distance: int | None = Field(
        default=None, ge=1, description="Distance of neighbours in voxels."
    )
    filters: list[dict[str, Any]] = Field(
        default_factory=list, description="Filters whose responses are measured too (IBSI 2)."
    )
    spatial_autocorrelation: bool | None = Field(
        default=None, description="Measure Moran's I and Geary's C (slow for large regions)."
    )
    enclosing_shapes: bool | None = Field(
        default=None, description="Measure oriented bounding box and minimum enclosing ellipsoid."
    )
    table: FeatureTableSettings | None = Field(
        default=None, description="Use features that were extracted before: [features.table]."
    )
    volume: str | None = Field(
        default=None,
        description="Phenotype that is the volume; default: recognised by its IBSI code.",
    )
    max_missing: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Phenotypes with a larger share of missing values are left out.",
    )


class LinkSettings(Section):
    """Rules that match scans, specimens and outcomes; each loss is counted and explained."""

    same_lesion: bool = Field(
        default=False, description="Specimen and scan must name the same lesion."
    )
    max_days: float | None = Field(
        default=None, ge=0, description="Largest distance between scan and specimen in days."
    )
    before: str | None = Field(
        default=None, description="Clinical date column; scans after that date are left out."
    )
    several_scans: SeveralScans = Field(
        default="refuse",
        description="Which scan counts where a patient has several: the first or last by date, "
        "the one nearest in time to a specimen, the one of the largest volume or worst value "
        "(see worst), or the mean of all.",
    )
    worst: str | None = Field(
        default=None,
        description='With several_scans = "worst": the phenotype that decides.',
    )
    worst_is: Literal["highest", "lowest"] = Field(
        default="highest", description="Which end of it is bad."
    )
    several_specimens: Literal["refuse", "first", "nearest", "mean"] = Field(
        default="refuse", description="Which specimen counts where a patient has several."
    )

    @model_validator(mode="after")
    def _decides(self) -> LinkSettings:
        if (self.several_scans == "worst") != (self.worst is not None):
            raise ValueError('several_scans = "worst" and worst (a phenotype) go together')
        return self

    @property
    def aggregates(self) -> bool:
        """Whether all scans are measured, and become one row a patient afterwards."""
        return self.several_scans in ("largest", "mean", "worst")


class AssociateSettings(RankedSection):
    """Phenotypes against a molecular layer or clinical variables: [[associate]]."""

    name: str = Field(description="Name of the analysis, as the report prints it.")
    layer: str | None = Field(default=None, description="Name of an [omics.<name>] section.")
    variables: Texts = Field(
        default_factory=list, description="Or: clinical columns to test as if they were genes."
    )
    phenotypes: Texts = Field(
        default_factory=list,
        description="Phenotypes to test: names, families or IBSI codes (* = any text); "
        "default: all.",
    )
    covariates: Texts = Field(default_factory=list, description="Clinical columns to adjust for.")
    adjust_phenotypes: Texts = Field(
        default_factory=list,
        description="Phenotypes to adjust for instead of testing them: the volume, say.",
    )
    by: str | None = Field(
        default=None, description="Clinical column: each of its values is tested by itself."
    )
    modifier: str | None = Field(
        default=None,
        description="One of the covariates: does the association change with it? A category of "
        "two values, or a number.",
    )
    test: str = Field(default="auto", description="Test; auto chooses by the declared types.")
    permutations: int = Field(
        default=0, ge=0, description="Permutations for family-wise error (max-T)."
    )
    fdr: float = Field(
        default=0.05, gt=0, lt=1, description="False-discovery rate of what is called found."
    )
    genes: str | None = Field(
        default=None,
        description="Where genes lie (GTF, GFF3 or BED): chromosomes in the circle of links.",
    )

    @model_validator(mode="after")
    def _one_side(self) -> AssociateSettings:
        if (self.layer is None) == (not self.variables):
            raise ValueError("set either layer or variables")
        if self.modifier is not None and self.modifier not in self.covariates:
            raise ValueError("modifier is one of the covariates")
        if self.modifier is not None and self.permutations:
            raise ValueError("permutations go with no modifier")
        return self


class EvidenceSettings(RankedSection):
    """Genes over several molecular layers: [[evidence]]."""

    name: str = Field(description="Name of the analysis.")
    layers: Texts = Field(min_length=2, description="Names of [omics.<name>] sections.")
    phenotypes: Texts = Field(
        default_factory=list, description="Phenotypes to test (* = any text); default: all."
    )
    covariates: Texts = Field(default_factory=list, description="Clinical columns to adjust for.")
    adjust_phenotypes: Texts = Field(
        default_factory=list, description="Phenotypes to adjust for instead of testing them."
    )
    method: Literal[
        "cauchy", "harmonic", "joint", "brown", "empirical_brown", "stouffer", "fisher"
    ] = Field(default="cauchy", description="How the p-values of a gene's layers are combined.")
    test: str = Field(default="auto", description="Test of each layer.")


class PredictSettings(Section):
    """One model of an outcome, validated beside simple baselines: [[predict]]."""

    name: str = Field(description="Name of the analysis.")
    outcome: str = Field(
        description='Clinical column, survival time, or "layer:feature" of a molecular layer.'
    )
    positive: str | None = Field(
        default=None,
        description="Value of a category that counts as positive; the others are negative.",
    )
    images: bool = Field(default=True, description="Use the image phenotypes.")
    clinical: Texts = Field(default_factory=list, description="Clinical columns to use.")
    layers: Texts = Field(default_factory=list, description="Molecular layers to use.")
    arrays: Texts = Field(
        default_factory=list,
        description="Files of crops or bags (radgen deep crops), for the models that read them.",
    )
    model: str = Field(
        default="auto",
        description="auto: ridge logistic, Cox or linear regression; elastic_net, lasso, forest, "
        "boosting; blocks, blocks_lasso: a penalty of its own for each block; weibull, lognormal, "
        "loglogistic: survival. Networks (extra deep): deep_survival, image_network, "
        "slice_network (crops), attention, bag_of_cells (bags).",
    )
    fusion: list[Fusion] = Field(
        default_factory=lambda: list[Fusion](("early",)),
        min_length=1,
        description="How blocks are joined: one model of all columns, weights of the blocks' "
        "held-out scores, or the majority of their decisions.",
    )
    missing_blocks: Literal["drop", "keep"] = Field(
        default="drop",
        description="Samples that lack images, clinical data or a layer: left out, or kept and "
        "imputed there.",
    )
    selection: Selection = Field(
        default="correlation",
        description="Selection of features, inside the folds; a + joins two, the first first. "
        "invariant: the set that predicts alike over the batches of [harmonise].",
    )
    n_selected: int = Field(
        default=20, ge=1, description="Features that univariate and mrmr keep at most."
    )
    max_errors: float = Field(
        default=1.0,
        gt=0,
        description="Of stability: bound of the expected number of features kept by error.",
    )
    reliable: bool = Field(
        default=True,
        description="Leave out phenotypes that are not reliable by [reliability], where set. "
        "Repeats of patients who are tested take no part.",
    )
    harmonise: bool = Field(
        default=False, description="Harmonise inside the folds, as [harmonise] says."
    )
    scheme: Literal["kfold", "leave-site-out", "temporal"] = Field(
        default="kfold", description="Outer splits; temporal tests the later patients."
    )
    order: str | None = Field(
        default=None, description="Clinical date or number that orders patients (temporal)."
    )
    folds: int = Field(default=5, ge=2, description="Outer folds.")
    repeats: int = Field(default=5, ge=1, description="Repeats of the outer folds.")
    inner_folds: int = Field(
        default=5, ge=2, description="Folds for tuning within training samples."
    )
    permutations: int = Field(default=0, ge=0, description="Permutations of the whole pipeline.")
    horizon: float | None = Field(
        default=None, gt=0, description="Time of the predicted risk (survival)."
    )
    abstain: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of patients whose true class may be left out: models of two classes "
        "then abstain where both are plausible.",
    )
    where: dict[str, Texts] = Field(
        default_factory=dict, description='Samples to use: {grade = ["4"]}.'
    )
    freeze: bool = Field(
        default=False,
        description="Write the fullest model, fitted to all samples, to models/NAME.json.",
    )

    @field_validator("model")
    @classmethod
    def _known(cls, value: str) -> str:
        from radgen.predict.learners import MODELS, installed_models

        own = {"auto", *(name for names in MODELS.values() for name in names)}
        if value not in own and value not in installed_models():
            known = sorted(own | set(installed_models()))
            raise ValueError(f"No model {value!r}. {did_you_mean(value, known)}")
        return value


class SurvivalAnalysisSettings(Section):
    """Hazard ratios of named variables: [[survival]]."""

    name: str = Field(description="Name of the analysis.")
    outcome: str = Field(description="A [clinical.survival.<name>] section.")
    variables: Texts = Field(
        default_factory=list, description="Clinical columns whose hazard ratio is asked."
    )
    phenotypes: Texts = Field(
        default_factory=list, description="Phenotypes whose hazard ratio (per SD) is asked."
    )
    reliable: bool = Field(
        default=True, description="Use phenotypes that [reliability] keeps alone, where set."
    )
    covariates: Texts = Field(
        default_factory=list, description="Clinical columns to adjust each of them for."
    )
    where: dict[str, Texts] = Field(
        default_factory=dict, description='Samples to use: {IDH = ["wildtype"]}.'
    )

    @model_validator(mode="after")
    def _something(self) -> SurvivalAnalysisSettings:
        if not self.variables and not self.phenotypes:
            raise ValueError("name variables or phenotypes")
        return self


class ReportSettings(Section):
    """The report."""

    title: str | None = Field(default=None, description="Heading; default: the study's name.")
    scans: int = Field(default=12, ge=0, description="At most so many scans are shown as pictures.")
    maps: tuple[str, ...] = Field(
        default=(),
        description='Voxel maps drawn over those scans: "glcm:Contrast", or a family.',
    )
    declarations: dict[str, str] = Field(
        default_factory=dict,
        description='Checklist items only a person can answer: {"clear.8" = "IRB 12/345"}.',
    )

    @field_validator("declarations")
    @classmethod
    def _keys(cls, value: dict[str, str]) -> dict[str, str]:
        for key in value:
            if "." not in key:
                raise ValueError(f"{key!r} is no checklist item; write it as in clear.8")
        return value

    @field_validator("maps")
    @classmethod
    def _mapped(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from radgen.features import chosen_maps

        if value:
            chosen_maps(value)
        return value
