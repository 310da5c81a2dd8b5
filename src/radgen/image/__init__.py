"""Floor 5: resample, normalise, discretise, filter."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from radgen.image.bias import correct_bias_field
from radgen.image.discretise import Discretised, discretise
from radgen.image.filters import FilterSettings, apply_filter, apply_filters
from radgen.image.grid import bounding_box, crop, crop_geometry, pad, to_canonical
from radgen.image.normalise import normalise
from radgen.image.resample import (
    resample,
    resample_mask,
    resample_to,
    resampled_geometry,
    round_intensities,
)
from radgen.image.resegment import resegment

if TYPE_CHECKING:
    from radgen.image.standardise import HistogramStandardiser

_LAZY = {"HistogramStandardiser": "radgen.image.standardise"}

__all__ = [
    "Discretised",
    "FilterSettings",
    "HistogramStandardiser",
    "apply_filter",
    "apply_filters",
    "bounding_box",
    "correct_bias_field",
    "crop",
    "crop_geometry",
    "discretise",
    "normalise",
    "pad",
    "resample",
    "resample_mask",
    "resample_to",
    "resampled_geometry",
    "resegment",
    "round_intensities",
    "to_canonical",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'radgen.image' has no attribute {name!r}")
