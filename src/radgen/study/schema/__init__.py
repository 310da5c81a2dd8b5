"""The schema of ``study.toml``: one pydantic model a section, every key described."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from radgen.study.schema._base import Section
from radgen.study.schema.analyses import (
    AssociateSettings,
    EvidenceSettings,
    FeatureSettings,
    LinkSettings,
    PredictSettings,
    ReportSettings,
    SurvivalAnalysisSettings,
)
from radgen.study.schema.functional import ChangeSettings
from radgen.study.schema.gene_sides import (
    EnrichSettings,
    MaskSettings,
    ModuleSettings,
    SignatureSettings,
    SurrogateSettings,
    TreeSettings,
)
from radgen.study.schema.germline import BurdenSettings, GwasSettings
from radgen.study.schema.preprocess import PreprocessSettings
from radgen.study.schema.sources import (
    ClinicalSettings,
    GenotypeSettings,
    IdRule,
    ImageSettings,
    OmicsSettings,
)
from radgen.study.schema.treatment import ResponseSettings, TreatmentSettings
from radgen.study.schema.trust import (
    EnvironmentsSettings,
    HarmoniseSettings,
    ReadersSettings,
    ReliabilitySettings,
)

__all__ = ["IdRule", "StudyInfo", "StudySettings", "json_schema"]


class StudyInfo(Section):
    """What the study is called and what it asks."""

    name: str = Field(min_length=1, description="Name of the study.")
    question: str = Field(default="", description="The question it answers, one sentence.")
    seed: int = Field(
        default=1, ge=0, description="Seed of everything random (folds, permutations)."
    )


class StudySettings(Section):
    """A whole ``study.toml``."""

    study: StudyInfo = Field(description="Name, question and seed.")
    images: ImageSettings | None = Field(default=None, description="Scans and masks.")
    preprocess: PreprocessSettings = Field(
        default_factory=PreprocessSettings, description="From scan to measured image."
    )
    features: FeatureSettings = Field(
        default_factory=FeatureSettings, description="What is measured, or a finished table."
    )
    clinical: ClinicalSettings | None = Field(default=None, description="The table of patients.")
    omics: dict[str, OmicsSettings] = Field(
        default_factory=dict, description="Molecular layers: [omics.<name>]."
    )
    genotypes: GenotypeSettings | None = Field(default=None, description="Germline genotypes.")
    link: LinkSettings = Field(
        default_factory=LinkSettings, description="Rules that match scan, specimen and outcome."
    )
    change: ChangeSettings | None = Field(
        default=None, description="Change between two visits of each patient, as phenotypes."
    )
    response: ResponseSettings | None = Field(
        default=None, description="Response to treatment (RECIST) from measured lesions."
    )
    reliability: ReliabilitySettings | None = Field(
        default=None, description="Phenotypes that can be relied on, by repeated measurements."
    )
    harmonise: HarmoniseSettings | None = Field(
        default=None, description="Removal of site effects."
    )
    associate: list[AssociateSettings] = Field(
        default_factory=list, description="Phenotypes against molecular layers."
    )
    evidence: list[EvidenceSettings] = Field(
        default_factory=list, description="Genes over several molecular layers."
    )
    modules: list[ModuleSettings] = Field(
        default_factory=list, description="Gene modules against phenotypes."
    )
    tree: list[TreeSettings] = Field(
        default_factory=list, description="Trees of phenotypes for gene modules."
    )
    enrich: list[EnrichSettings] = Field(
        default_factory=list, description="Gene sets against phenotypes."
    )
    mask: list[MaskSettings] = Field(
        default_factory=list, description="What single gene sets predict of phenotypes."
    )
    surrogate: list[SurrogateSettings] = Field(
        default_factory=list,
        description="Phenotypes learned from genes, tested in a cohort without images.",
    )
    signature: list[SignatureSettings] = Field(
        default_factory=list, description="Published scores judged on an outcome."
    )
    gwas: list[GwasSettings] = Field(default_factory=list, description="Genome-wide scans.")
    burden: list[BurdenSettings] = Field(
        default_factory=list, description="Sets of rare variants against phenotypes."
    )
    survival: list[SurvivalAnalysisSettings] = Field(
        default_factory=list, description="Hazard ratios of named variables."
    )
    treatment: list[TreatmentSettings] = Field(
        default_factory=list, description="Markers that tell whom to treat."
    )
    predict: list[PredictSettings] = Field(
        default_factory=list, description="Models of outcomes with validation."
    )
    readers: list[ReadersSettings] = Field(
        default_factory=list, description="Effects corrected for the error of readings."
    )
    environments: list[EnvironmentsSettings] = Field(
        default_factory=list, description="What predicts alike at all sites."
    )
    report: ReportSettings = Field(
        default_factory=ReportSettings, description="What the report shows."
    )

    @model_validator(mode="after")
    def _has_phenotypes(self) -> StudySettings:
        if self.images is None and self.features.table is None:
            raise ValueError(
                "no image data: add [images], or [features.table] for finished features"
            )
        if self.images is not None and self.features.table is not None:
            raise ValueError("set [images] or [features.table], not both")
        if self.change is not None:
            if self.images is None or self.images.table is None:
                raise ValueError("[change] needs [images] with a table, a row a visit")
            if self.change.per_days is not None and self.images.date is None:
                raise ValueError("change.per_days needs the dates of scans: set images.date")
            if self.link.several_scans != "refuse":
                raise ValueError("link.several_scans does not go with [change]: both visits count")
            if self.reliability is not None and self.reliability.perturb is not None:
                raise ValueError("reliability.perturb does not go with [change]")
        return self


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of study files, for editors that complete and check TOML."""
    schema = StudySettings.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "radgen study file"
    return schema
