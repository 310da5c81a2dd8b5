"""Sections of the study file about functional maps and about two visits."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from radgen.study.schema._base import Labels, Section, Texts
from radgen.study.schema.preprocess import PreprocessChanges

__all__ = ["ChangeSettings", "FunctionalSettings"]

_ARTERY = {"auto", "parker", "georgiou", "preclinical"}
_FILES = (
    "mask", "within", "artery", "normal", "intact", "reference", "t1", "b1", "times", "b_values",
    "directions",
)  # fmt: skip
_BELONG: dict[str, set[str]] = {
    "dce": {
        "within", "artery", "t1", "b1", "times", "flip_deg", "repetition_s", "t1_blood_s",
        "relaxivity", "haematocrit", "baseline", "model", "delay_s",
    },
    "enhancement": {"within", "times", "baseline", "early_s", "area_s"},
    "dsc": {
        "within", "artery", "normal", "intact", "times", "echo_s", "baseline", "leakage", "method",
    },
    "diffusion": {"within", "b_values", "directions", "model"},
    "t1": {"within", "b1", "flip_angles_deg", "repetition_s", "method"},
    "uptake": {"rule", "value", "reference"},
}  # fmt: skip
_CHOICES = {
    ("dce", "model"): ("tofts", "extended-tofts", "patlak", "uptake", "exchange"),
    ("diffusion", "model"): ("adc", "ivim", "kurtosis", "tensor"),
    ("dsc", "method"): ("osvd", "csvd", "ssvd"),
    ("t1", "method"): ("nonlinear", "linear"),
}
_EVERY = {"technique", "series", "mask", "regions", "maps", "other_grid", "preprocess"}


class FunctionalSettings(Section):
    """Maps made of a series of each patient, and measured: [images.functional.<name>].

    Keys that name a file hold a column of the scan table, or a pattern with {id} as image does, or
    one file for all patients.
    """

    technique: Literal["dce", "enhancement", "dsc", "diffusion", "t1", "uptake"] = Field(
        description="Which maps, as radgen functional makes them."
    )
    series: Texts = Field(
        min_length=1,
        description="The series: one file with four axes or a DICOM folder; or a file a frame.",
    )
    mask: str | None = Field(
        default=None,
        description="Regions on the grid of the series; default: the mask of [images].",
    )
    regions: Labels | None = Field(
        default=None, description="Names of labels; default: the regions of [images]."
    )
    other_grid: Literal["refuse", "resample"] = Field(
        default="refuse",
        description="Masks on another grid than the series: refused, or resampled to it, which is "
        "right only where the scans are aligned.",
    )
    maps: Texts = Field(
        default_factory=list, description="Maps to measure (Ktrans, ADC …); default: all."
    )
    within: str | None = Field(
        default=None,
        description="Mask of the voxels to fit; default: the regions, of dsc the whole image.",
    )
    artery: str | None = Field(
        default=None,
        description="Of dce and dsc: mask of an artery or file of a curve, auto, parker, georgiou "
        "or preclinical.",
    )
    normal: str | None = Field(
        default=None, description="Of dsc: mask of normal-appearing white matter."
    )
    intact: str | None = Field(default=None, description="Of dsc: mask of tissue without leakage.")
    reference: str | None = Field(
        default=None, description='Of uptake: mask of the liver, for rule = "reference".'
    )
    t1: float | str | None = Field(
        default=None, description="Of dce: T1 of tissue before contrast, seconds or a map."
    )
    b1: str | None = Field(
        default=None, description="Of dce and t1: map of true over nominal flip angle."
    )
    times: float | str | None = Field(
        default=None,
        description="Seconds between frames, or a file of times; default: what the scan says.",
    )
    b_values: list[float] | str | None = Field(
        default=None,
        description="Of diffusion: a list, or a .bval file; default: what DICOM says.",
    )
    directions: str | None = Field(
        default=None, description="Of the tensor: a .bvec file; default: what DICOM says."
    )
    flip_deg: float | None = Field(
        default=None, gt=0, description="Of dce: flip angle; default: what DICOM says."
    )
    flip_angles_deg: list[float] | None = Field(
        default=None, description="Of t1: flip angle of each frame."
    )
    repetition_s: float | None = Field(
        default=None,
        gt=0,
        description="Of dce and t1: repetition time, seconds; default: what DICOM says.",
    )
    echo_s: float | None = Field(
        default=None, gt=0, description="Of dsc: echo time, seconds; default: what DICOM says."
    )
    t1_blood_s: float | None = Field(default=None, gt=0, description="Of dce: T1 of blood.")
    relaxivity: float | None = Field(default=None, gt=0, description="Of dce: r1, 1/(s mM).")
    haematocrit: float | None = Field(default=None, ge=0, lt=1, description="Of dce.")
    baseline: list[int] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="Frames before contrast: the first, and one after the last; default: found.",
    )
    model: str | None = Field(
        default=None,
        description="Of dce: tofts, extended-tofts, patlak, uptake or exchange; of diffusion: adc, "
        "ivim, kurtosis or tensor.",
    )
    delay_s: float | Literal["fit"] | None = Field(
        default=None, description="Of dce: from artery to tissue, seconds or fit."
    )
    early_s: float | None = Field(
        default=None, gt=0, description="Of enhancement: until when enhancement is early."
    )
    area_s: float | None = Field(
        default=None, gt=0, description="Of enhancement: area under the curve until then."
    )
    leakage: bool | None = Field(
        default=None, description="Of dsc: correct for leaking contrast; default: yes."
    )
    method: str | None = Field(
        default=None,
        description="Of dsc: osvd, csvd or ssvd; of t1: nonlinear or linear.",
    )
    rule: Literal["share", "fixed", "reference"] | None = Field(
        default=None, description="Of uptake: which voxels are active, see radgen functional."
    )
    value: float | None = Field(
        default=None, gt=0, description="Of uptake: threshold; default 0.41, 4.0 and 1.5 by rule."
    )
    preprocess: PreprocessChanges = Field(
        default_factory=PreprocessChanges,
        description="Steps of these maps. Voxel size and interpolation are those of [preprocess]; "
        "intensities keep their unit, and are cut into 32 grey levels, unless set here.",
    )

    @model_validator(mode="after")
    def _belongs(self) -> FunctionalSettings:
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        foreign = sorted(given - _EVERY - _BELONG[self.technique])
        if foreign:
            known = ", ".join(sorted(_BELONG[self.technique]))
            raise ValueError(f"{foreign[0]} does not belong to {self.technique}, which has {known}")
        for key in ("model", "method"):
            allowed = _CHOICES.get((self.technique, key), ())
            if getattr(self, key) is not None and getattr(self, key) not in allowed:
                raise ValueError(f"{key} of {self.technique} is one of {', '.join(allowed)}")
        if self.technique == "dce" and (self.artery is None or self.t1 is None):
            raise ValueError("dce needs artery and t1")
        if self.technique == "t1" and self.flip_angles_deg is None:
            raise ValueError("t1 needs flip_angles_deg, one a frame")
        if (self.rule == "reference") != (self.reference is not None):
            raise ValueError('reference belongs to rule = "reference", which needs it')
        if self.directions is not None and self.model != "tensor":
            raise ValueError('directions belong to model = "tensor"')
        return self

    def files(self) -> dict[str, list[str]]:
        """Return what names files, by its key: columns, patterns or paths."""
        found = {"series": list(self.series)}
        for key in _FILES:
            text = getattr(self, key)
            if isinstance(text, str) and not (key == "artery" and text in _ARTERY):
                found[key] = [text]
        return found

    def options(self) -> dict[str, Any]:
        """Return everything that is no file, as plain values."""
        names = {"t1": "t1_s", "times": "times_s"}
        plain = self.model_dump(
            exclude={"technique", "series", "mask", "regions", "maps", "other_grid", "preprocess"},
            exclude_none=True,
        )
        files = self.files()
        return {names.get(key, key): value for key, value in plain.items() if key not in files}


class ChangeSettings(Section):
    """Two visits of each patient, and the change between them: [change]."""

    visit: str = Field(description="Column of the scan table that tells the visits apart.")
    before: str = Field(description="Its value at the first visit.")
    after: str = Field(description="Its value at the second visit.")
    how: Literal["relative", "difference", "log_ratio"] = Field(
        default="relative", description="How the change is expressed."
    )
    also: list[Literal["before", "after"]] = Field(
        default_factory=list, description="Visits whose own values are phenotypes, too."
    )
    per_days: float | None = Field(
        default=None,
        gt=0,
        description="Changes per so many days, by the dates of the scans (images.date).",
    )

    @model_validator(mode="after")
    def _two(self) -> ChangeSettings:
        if self.before == self.after:
            raise ValueError("before and after are the same visit")
        return self
