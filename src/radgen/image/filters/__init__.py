"""Image filters of IBSI 2 and others; one file each."""

from radgen.image.filters.apply import apply_filter
from radgen.image.filters.gabor import GaborFilter
from radgen.image.filters.laplacian import LaplacianOfGaussian
from radgen.image.filters.laws import LawsFilter
from radgen.image.filters.mean import MeanFilter
from radgen.image.filters.presets import (
    FilteredImage,
    ImageConfiguration,
    filter_preset,
    filter_preset_names,
    image_configuration,
    image_configuration_names,
    prepare,
)
from radgen.image.filters.settings import FILTERS, FilterSettings, filter_from_mapping
from radgen.image.filters.simoncelli import NonSeparableWavelet
from radgen.image.filters.wavelet import SeparableWavelet, wavelet_bands

__all__ = [
    "FILTERS",
    "FilterSettings",
    "FilteredImage",
    "GaborFilter",
    "ImageConfiguration",
    "LaplacianOfGaussian",
    "LawsFilter",
    "MeanFilter",
    "NonSeparableWavelet",
    "SeparableWavelet",
    "apply_filter",
    "filter_from_mapping",
    "filter_preset",
    "filter_preset_names",
    "image_configuration",
    "image_configuration_names",
    "prepare",
    "wavelet_bands",
]
