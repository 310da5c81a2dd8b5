"""Image filters of IBSI 2 and others; one file each."""

from radgen.image.filters.apply import apply_filter
from radgen.image.filters.laws import LawsFilter
from radgen.image.filters.mean import MeanFilter
from radgen.image.filters.settings import FILTERS, FilterSettings, filter_from_mapping

__all__ = [
    "FILTERS",
    "FilterSettings",
    "LawsFilter",
    "MeanFilter",
    "apply_filter",
    "filter_from_mapping",
]
