"""Floor 5: resample, normalise, discretise, filter."""

from radgen.image.discretise import Discretised, discretise
from radgen.image.resample import (
    resample,
    resample_mask,
    resample_to,
    resampled_geometry,
    round_intensities,
)
from radgen.image.resegment import resegment

__all__ = [
    "Discretised",
    "discretise",
    "resample",
    "resample_mask",
    "resample_to",
    "resampled_geometry",
    "resegment",
    "round_intensities",
]
