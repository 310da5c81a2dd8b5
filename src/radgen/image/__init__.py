"""Floor 5: resample, normalise, discretise, filter."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from radgen.image.agreement import ContourAgreement, contour_agreement, dice
from radgen.image.bias import correct_bias_field
from radgen.image.discretise import Discretised, discretise
from radgen.image.dose import (
    DoseVolume,
    complication_probability,
    dose_change,
    dose_volume,
    equivalent_dose,
    equivalent_uniform_dose,
)
from radgen.image.filters import FilterSettings, apply_filter, apply_filters
from radgen.image.grid import bounding_box, crop, crop_geometry, pad, to_canonical
from radgen.image.heart import heart_measures, wall_thickness
from radgen.image.normalise import normalise
from radgen.image.perturb import (
    PerturbationSettings,
    adapt_volume,
    add_noise,
    move,
    noise_sigma,
    perturbations,
    randomise_contour,
)
from radgen.image.region import (
    closing,
    combine,
    components,
    depth_mm,
    fill_holes,
    grow,
    largest_component,
    opening,
    ring,
    shells,
    shrink,
    subregion_ratios,
)
from radgen.image.register import Registration, register
from radgen.image.resample import (
    resample,
    resample_mask,
    resample_to,
    resampled_geometry,
    round_intensities,
)
from radgen.image.resegment import resegment

if TYPE_CHECKING:
    from radgen.image.habitat import HabitatMap, HabitatModel, heterogeneity
    from radgen.image.standardise import HistogramStandardiser

_LAZY = {
    "HabitatMap": "radgen.image.habitat",
    "HabitatModel": "radgen.image.habitat",
    "HistogramStandardiser": "radgen.image.standardise",
    "heterogeneity": "radgen.image.habitat",
}

__all__ = [
    "ContourAgreement",
    "Discretised",
    "DoseVolume",
    "FilterSettings",
    "HabitatMap",
    "HabitatModel",
    "HistogramStandardiser",
    "PerturbationSettings",
    "Registration",
    "adapt_volume",
    "add_noise",
    "apply_filter",
    "apply_filters",
    "bounding_box",
    "closing",
    "combine",
    "complication_probability",
    "components",
    "contour_agreement",
    "correct_bias_field",
    "crop",
    "crop_geometry",
    "depth_mm",
    "dice",
    "discretise",
    "dose_change",
    "dose_volume",
    "equivalent_dose",
    "equivalent_uniform_dose",
    "fill_holes",
    "grow",
    "heart_measures",
    "heterogeneity",
    "largest_component",
    "move",
    "noise_sigma",
    "normalise",
    "opening",
    "pad",
    "perturbations",
    "randomise_contour",
    "register",
    "resample",
    "resample_mask",
    "resample_to",
    "resampled_geometry",
    "resegment",
    "ring",
    "round_intensities",
    "shells",
    "shrink",
    "subregion_ratios",
    "to_canonical",
    "wall_thickness",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'radgen.image' has no attribute {name!r}")
