"""PyRadiomics' features, names and conventions, so that models trained on them go on working."""

from radgen.features.pyradiomics.extractor import RadiomicsFeatureExtractor, extract_pyradiomics
from radgen.features.pyradiomics.parameters import Parameters, read_parameters

__all__ = ["Parameters", "RadiomicsFeatureExtractor", "extract_pyradiomics", "read_parameters"]
