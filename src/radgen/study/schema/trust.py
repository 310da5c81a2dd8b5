"""Sections of the study file about what can be relied on: repeats, sites, environments."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from radgen.study.schema._base import Section, Texts
from radgen.study.schema.sources import IdRule

__all__ = [
    "EnvironmentsSettings",
    "HarmoniseSettings",
    "PerturbSettings",
    "ReadersSettings",
    "ReliabilitySettings",
]

SomeTexts = Annotated[Texts, Field(min_length=1)]
Form = Literal["1,1", "2,1", "3,1", "1,k", "2,k", "3,k"]
ModelMethod = Literal["nothing", "ridge", "lasso", "stability", "invariant", "anchor"]


class PerturbSettings(Section):
    """How scans and contours are perturbed where no scan was repeated."""

    copies: int = Field(default=10, ge=2, description="Perturbed copies of each scan.")
    rotation_deg: float = Field(default=10.0, ge=0, description="Largest rotation in degrees.")
    translation: float = Field(default=0.5, ge=0, description="Largest shift in voxels.")
    noise: float = Field(default=1.0, ge=0, description="Noise, times the scan's own level.")
    volume: float = Field(
        default=0.15, ge=0, lt=1, description="Largest share of growth or shrinkage."
    )
    contour: bool = Field(default=True, description="Redraw contours along supervoxels.")


class ReliabilitySettings(Section):
    """Phenotypes that can be relied on, by repeated measurements: [reliability]."""

    table: Texts = Field(
        default_factory=list,
        description="Repeated measurements: one table with a column that tells repeats apart, or "
        "one table a repeat (visit, reader). Phenotypes are named as in the study.",
    )
    repeat: str | None = Field(
        default=None, description="Column of visit or reader, where there is one table."
    )
    id: str | None = Field(
        default=None, description="Id column; default: the one that is recognised."
    )
    id_rule: IdRule = Field(default_factory=IdRule, description="How ids become sample ids.")
    drop: Texts = Field(
        default_factory=list, description="Columns that are no features (* stands for any text)."
    )
    region: str | None = Field(
        default=None,
        description="Column of the table that names the region, where a patient has a row for "
        "each.",
    )
    where: dict[str, str | int | float] = Field(
        default_factory=dict, description="Rows of the table to use."
    )
    perturb: PerturbSettings | None = Field(
        default=None,
        description="Instead of tables: perturb the study's own scans, [reliability.perturb].",
    )
    form: Form = Field(
        default="1,1",
        description="ICC form: 1,1 where repeats are interchangeable, 2,1 for readers whose "
        "offsets are error, 3,1 for those whose offsets are not.",
    )
    threshold: float = Field(
        default=0.75, gt=-1, lt=1, description="Of the lower confidence bound, to keep a phenotype."
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Level of that bound.")
    interval: Literal["f", "modified"] = Field(
        default="f",
        description="Of ICC 2,1 and 2,k: f is McGraw and Wong's, as other programs have it; "
        "modified (large-sample) also covers where few readers' offsets differ much.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> ReliabilitySettings:
        if (self.perturb is None) == (not self.table):
            raise ValueError("set either table (repeated measurements) or perturb")
        if self.table and (len(self.table) == 1) == (self.repeat is None):
            raise ValueError(
                "one table needs repeat, the column that tells its repeats apart; several tables "
                "are one repeat each and take none"
            )
        return self


class HarmoniseSettings(Section):
    """Removal of site or scanner effects from the phenotypes."""

    method: Literal["combat", "location-scale", "covbat", "none"] = Field(
        default="combat",
        description="location-scale: ComBat without empirical Bayes; covbat: covariances too.",
    )
    batch: SomeTexts = Field(
        description="Clinical or carried column that names site or scanner; several columns are "
        "removed one after another, in the order that leaves least (nested ComBat)."
    )
    keep: Texts = Field(
        default_factory=list,
        description="Covariates whose effects are kept; never an outcome or what is tested.",
    )
    smooth: Texts = Field(
        default_factory=list, description="Numbers whose effects are kept as curves (age)."
    )
    subject: str | None = Field(
        default=None,
        description="Column that says whose scan a row is, where people were scanned repeatedly "
        "(longitudinal ComBat); rows of one person then never part in the folds of models.",
    )
    reference: str | None = Field(
        default=None, description="A batch to which the others are moved (M-ComBat)."
    )
    unseen: Literal["refuse", "adapt", "leave"] | None = Field(
        default=None,
        description="Batches that training rows do not have: refuse them, estimate their effect "
        "from the new rows without any outcome, or leave them as they are. Default: adapt where "
        "a site is left out or a model is frozen, refuse elsewhere.",
    )
    shrink: bool | None = Field(
        default=None,
        description="Empirical Bayes over phenotypes. Default: as the method has it for "
        "associations, and no in the folds of models, where a linear model can combine what "
        "shrinkage leaves.",
    )
    parametric: bool = Field(default=True, description="Normal and inverse-gamma priors.")
    mean_only: bool = Field(default=False, description="Shift only, no scale.")
    small: int = Field(
        default=3, ge=2, description='Batches with fewer samples are put together as "other".'
    )

    @model_validator(mode="after")
    def _fits(self) -> HarmoniseSettings:
        one = len(self.batch) == 1 and self.reference is None and self.method != "covbat"
        if len(self.batch) > 1 and (self.reference is not None or self.method == "covbat"):
            raise ValueError("several batch columns take no reference and no covbat")
        if self.subject is not None and (
            not one or self.smooth or self.mean_only or not self.parametric
        ):
            raise ValueError(
                "subject (longitudinal ComBat) takes one batch column, keep but not smooth, "
                "parametric shifts with scale, no reference and no covbat"
            )
        twice = set(self.keep) & {*self.smooth, *self.batch} | set(self.smooth) & set(self.batch)
        if twice:
            raise ValueError(f"{sorted(twice)[0]!r} stands in two of batch, keep and smooth")
        return self

    @property
    def columns(self) -> list[str]:
        """All columns that are named, each once."""
        more = [] if self.subject is None else [self.subject]
        return list(dict.fromkeys([*self.batch, *self.keep, *self.smooth, *more]))


class ReadersSettings(Section):
    """Effects of phenotypes on an outcome, corrected for the error of readings: [[readers]]."""

    name: str = Field(description="Name of the analysis.")
    outcome: str = Field(description="Clinical column or survival time.")
    positive: str | None = Field(
        default=None, description="Value of a category that counts as positive."
    )
    phenotypes: Texts = Field(
        default_factory=list,
        description="Phenotypes of the tables of [reliability] (* = any text); default: all.",
    )
    covariates: Texts = Field(default_factory=list, description="Clinical columns to adjust for.")
    where: dict[str, Texts] = Field(
        default_factory=dict, description='Samples to use: {IDH = ["wildtype"]}.'
    )
    bootstrap: int = Field(default=300, ge=0, description="Draws of the intervals.")


class EnvironmentsSettings(Section):
    """What predicts an outcome alike at all sites, and holds in a new one: [[environments]]."""

    name: str = Field(description="Name of the analysis.")
    outcome: str = Field(description="Clinical column of two values or a number.")
    positive: str | None = Field(
        default=None, description="Value of a category that counts as positive."
    )
    by: str = Field(description="Clinical or carried column of the site or scanner.")
    images: bool = Field(default=True, description="Use the image phenotypes.")
    clinical: Texts = Field(default_factory=list, description="Clinical columns to use.")
    layers: Texts = Field(default_factory=list, description="Molecular layers to use.")
    reliable: bool = Field(
        default=True, description="Use phenotypes that [reliability] keeps alone, where set."
    )
    methods: list[ModelMethod] = Field(
        default_factory=lambda: list[ModelMethod](
            ("nothing", "ridge", "lasso", "invariant", "anchor")
        ),
        min_length=1,
        description="Ways of selection that are compared in environments left out.",
    )
    candidates: int = Field(
        default=8, ge=1, le=15, description="Features of which all sets are tested for invariance."
    )
    alpha: float = Field(default=0.05, gt=0, lt=1, description="Level at which sets are rejected.")
    where: dict[str, Texts] = Field(default_factory=dict, description="Samples to use.")
