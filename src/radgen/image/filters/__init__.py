"""Image filters of IBSI 2 and others; one file each."""

from radgen.image.filters.apply import apply_filter, apply_filters
from radgen.image.filters.binary_pattern import LocalBinaryPattern2D, LocalBinaryPattern3D
from radgen.image.filters.entropy import LocalEntropy
from radgen.image.filters.gabor import GaborFilter
from radgen.image.filters.gradient import GradientMagnitude
from radgen.image.filters.laplacian import LaplacianOfGaussian
from radgen.image.filters.laws import LawsFilter
from radgen.image.filters.mean import MeanFilter
from radgen.image.filters.pointwise import Exponential, Logarithm, Square, SquareRoot
from radgen.image.filters.presets import (
    FilteredImage,
    ImageConfiguration,
    filter_preset,
    filter_preset_names,
    image_configuration,
    image_configuration_names,
    prepare,
)
from radgen.image.filters.pyradiomics import PyradiomicsLoG, PyradiomicsWavelet
from radgen.image.filters.settings import FILTERS, FilterSettings, filter_from_mapping
from radgen.image.filters.simoncelli import NonSeparableWavelet
from radgen.image.filters.wavelet import SeparableWavelet, wavelet_bands

__all__ = [
    "FILTERS",
    "Exponential",
    "FilterSettings",
    "FilteredImage",
    "GaborFilter",
    "GradientMagnitude",
    "ImageConfiguration",
    "LaplacianOfGaussian",
    "LawsFilter",
    "LocalBinaryPattern2D",
    "LocalBinaryPattern3D",
    "LocalEntropy",
    "Logarithm",
    "MeanFilter",
    "NonSeparableWavelet",
    "PyradiomicsLoG",
    "PyradiomicsWavelet",
    "SeparableWavelet",
    "Square",
    "SquareRoot",
    "apply_filter",
    "apply_filters",
    "filter_from_mapping",
    "filter_preset",
    "filter_preset_names",
    "image_configuration",
    "image_configuration_names",
    "prepare",
    "wavelet_bands",
]
