"""Sections of the study file between a scan and its features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from radgen.study.schema._base import Section

__all__ = ["DiscretiseSettings", "PreprocessChanges", "PreprocessSettings"]

NormaliseName = Literal["none", "zscore", "robust", "percentile", "white-stripe", "reference"]


class DiscretiseSettings(Section):
    """How intensities become grey levels."""

    method: Literal["none", "width", "number"] = Field(description="Fixed width or fixed number.")
    value: float = Field(
        default=0.0, ge=0, description="Width in units of the image, or number of bins."
    )
    minimum: float | None = Field(
        default=None, description="Lower edge of the first bin of fixed width."
    )


class PreprocessChanges(Section):
    """Steps between the scan and its features; a key that is not set keeps its default."""

    spacing_mm: list[float] | None = Field(
        default=None,
        min_length=3,
        max_length=3,
        description="Voxel size [z, y, x] after resampling; default: as scanned.",
    )
    by_slice: bool | None = Field(
        default=None, description="Resample and measure within slices alone."
    )
    interpolation: Literal["nearest", "linear", "cubic", "cubic-convolution"] | None = Field(
        default=None, description="How the image is resampled."
    )
    mask_interpolation: Literal["nearest", "linear", "cubic", "cubic-convolution"] | None = Field(
        default=None, description="How the mask is resampled."
    )
    mask_threshold: float | None = Field(
        default=None, gt=0, le=1, description="A resampled mask voxel is inside from this value on."
    )
    round_input: bool | None = Field(
        default=None, description="Round intensities to whole numbers before anything else (CT)."
    )
    round_resampled: bool | None = Field(
        default=None, description="Round intensities to whole numbers after resampling (CT)."
    )
    normalise: NormaliseName | None = Field(
        default=None, description="Common intensity scale; never use it for CT or SUV."
    )
    normalise_within: Literal["image", "mask", "background"] | None = Field(
        default=None,
        description="Voxels that set the scale: all, the region's, or all but the region's.",
    )
    normalise_scale: float | None = Field(
        default=None, gt=0, description="Normalised intensities are multiplied by this."
    )
    resegment_range: list[float] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="Intensities outside [lowest, highest] are left out; inf = open end.",
    )
    outlier_sigma: float | None = Field(
        default=None, gt=0, description="Intensities so many SD from the mean are left out."
    )
    discretise: DiscretiseSettings | None = Field(
        default=None, description='Grey levels: {method = "width", value = 25}.'
    )


class PreprocessSettings(PreprocessChanges):
    """Preprocessing of all scans, and changes for one modality."""

    by_modality: dict[Literal["CT", "MR", "PT", "US", "MG"], PreprocessChanges] = Field(
        default_factory=dict,
        description="Other values for one modality: [preprocess.by_modality.CT].",
    )
