"""Sections of the study file about treatment: who responded, and what tells whom to treat."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from radgen.study.schema._base import PhenotypeSection, Section, Texts
from radgen.study.schema.sources import IdRule

__all__ = ["RESPONSE_COLUMNS", "RESPONSE_TIME", "ResponseSettings", "TreatmentSettings"]

RESPONSE_COLUMNS = ("responder", "disease_control", "best_response", "best_change")
RESPONSE_TIME = "progression"
"""What [response] makes of lesions: clinical columns, and a survival time."""


class ResponseSettings(Section):
    """Response to treatment from measured lesions: [response].

    It makes the outcomes responder, disease_control, best_response and best_change, and the
    survival time progression, which analyses name as they name clinical columns.
    """

    lesions: str | None = Field(
        default=None, description="Table with a row a lesion and visit (see radgen response)."
    )
    sdtm_tr: str | None = Field(default=None, description="Or: SDTM table of tumour results (TR).")
    sdtm_tu: str | None = Field(
        default=None, description="SDTM table of tumour identification (TU)."
    )
    evaluator: str | None = Field(default=None, description="Reader of the SDTM tables.")
    masks: str | None = Field(
        default=None,
        description="Or: table of masks, a row a patient and visit (see radgen response --masks).",
    )
    labels: str | None = Field(
        default=None,
        description="Of masks: which label is which lesion (label, lesion, patient, visit, role, "
        "node).",
    )
    plane: Literal["axial", "coronal", "sagittal"] = Field(
        default="axial", description="Of masks: where diameters are measured."
    )
    id_rule: IdRule = Field(default_factory=IdRule, description="How ids become sample ids.")
    criteria: Literal["RECIST 1.1", "iRECIST", "mRECIST", "RANO", "RANO 2.0", "PERCIST"] = Field(
        default="RECIST 1.1",
        description="By iRECIST progression must be confirmed; mRECIST is for liver cell cancer, "
        "RANO and RANO 2.0 for gliomas, PERCIST for PET.",
    )
    visits: str | None = Field(
        default=None,
        description="Of RANO, RANO 2.0: table with a row a visit (T2/FLAIR, steroids, state).",
    )
    volumes: bool = Field(
        default=False,
        description="Of RANO, RANO 2.0: volumes in place of products of diameters.",
    )
    unsure_days: float = Field(
        default=0.0,
        ge=0,
        description="Of RANO: until this day growth counts only where a later scan bears it out "
        "(84 after radiotherapy).",
    )
    radiotherapy_day: float | None = Field(
        default=None,
        description="Of RANO 2.0: day of the end of radiotherapy, on the lesions' clock (-28); "
        "progression on images until twelve weeks later must be confirmed.",
    )
    confirmation: Literal["growth", "persistence"] = Field(
        default="growth", description="Of RANO 2.0: what a confirming scan must show."
    )
    unconfirmed: bool = Field(
        default=False, description="Count responses that no later scan confirmed."
    )
    stable_days: float | None = Field(
        default=None,
        ge=0,
        description="Shortest days from baseline for stable disease; default 42, of RANO and "
        "PERCIST 0.",
    )
    not_evaluable: Literal["missing", "no"] = Field(
        default="missing",
        description="Patients whose best response is not evaluable: without outcome, or no "
        "responders (as trials count them).",
    )

    @model_validator(mode="after")
    def _one_source(self) -> ResponseSettings:
        if sum(item is not None for item in (self.lesions, self.sdtm_tr, self.masks)) != 1:
            raise ValueError("set one of lesions, sdtm_tr and masks")
        if self.masks is None and (self.labels is not None or self.plane != "axial"):
            raise ValueError("labels and plane belong to masks")
        if (self.sdtm_tr is None) != (self.sdtm_tu is None):
            raise ValueError("sdtm_tr and sdtm_tu go together")
        if not self.criteria.startswith("RANO") and (self.visits or self.volumes):
            raise ValueError("visits and volumes belong to RANO and RANO 2.0")
        if self.criteria != "RANO" and self.unsure_days:
            raise ValueError('unsure_days belongs to criteria = "RANO"')
        if self.criteria != "RANO 2.0" and (
            self.radiotherapy_day is not None or self.confirmation != "growth"
        ):
            raise ValueError('radiotherapy_day and confirmation belong to criteria = "RANO 2.0"')
        return self


class TreatmentSettings(PhenotypeSection):
    """Markers that tell whom to treat, apart from those that tell the course: [[treatment]]."""

    name: str = Field(description="Name of the analysis, as the report prints it.")
    outcome: str = Field(
        description="Clinical column, survival time, or an outcome of [response] (responder, "
        "progression …)."
    )
    positive: str | None = Field(
        default=None, description="Value of a category that counts as positive."
    )
    arm: str = Field(description="Clinical column of the treatment: a category of two values.")
    control: str | None = Field(
        default=None, description="The arm that is the reference; default: the first."
    )
    phenotypes: Texts = Field(
        default_factory=list,
        description="Phenotypes that are markers: names, families or IBSI codes (* = any text).",
    )
    clinical: Texts = Field(default_factory=list, description="Clinical columns that are markers.")
    layers: Texts = Field(
        default_factory=list, description="Molecular layers whose features are markers."
    )
    covariates: Texts = Field(
        default_factory=list,
        description="Clinical columns to adjust every marker for; where treatment was not "
        "randomised, what it was chosen by.",
    )
    where: dict[str, Texts] = Field(
        default_factory=dict, description='Samples to use: {stage = ["III"]}.'
    )
    rule: bool = Field(
        default=False,
        description="Also learn whom to treat by models of both arms, and value the rule in "
        "patients left out. It uses phenotypes before harmonisation.",
    )
    better: Literal["auto", "higher", "lower"] = Field(
        default="auto",
        description="Which outcome is good (rule): auto is the negative class, and survival.",
    )
    confounders: Texts = Field(
        default_factory=list,
        description="Clinical columns that treatment was chosen by, where it was not randomised "
        "(rule).",
    )
    horizon: float | None = Field(
        default=None, gt=0, description="Time at which survival is valued (rule)."
    )
    folds: int = Field(default=5, ge=2, description="Folds (rule).")
    repeats: int = Field(default=3, ge=1, description="Repeats of the folds (rule).")

    @model_validator(mode="after")
    def _markers(self) -> TreatmentSettings:
        if not (self.phenotypes or self.clinical or self.layers):
            raise ValueError("name markers: phenotypes, clinical or layers")
        if not self.rule and (self.confounders or self.horizon or self.better != "auto"):
            raise ValueError("better, confounders and horizon belong to rule = true")
        return self
