"""Floor 3: the frozen core types that all floors above speak."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from radgen.types._frame import FrameLike, to_polars
from radgen.types.align import Alignment, align, check_unique
from radgen.types.genotype import (
    VARIANT_COLUMNS,
    ArrayDosages,
    DosageReader,
    GenotypeMatrix,
    VariantFile,
)
from radgen.types.number_table import NumberTable
from radgen.types.outcomes import Covariates, Kinship, Outcome, OutcomeKind
from radgen.types.phenotype import (
    SPEC_COLUMNS,
    STATUS_COLUMNS,
    PhenotypeTable,
    blank_specs,
    empty_status,
)
from radgen.types.result import Result

if TYPE_CHECKING:
    from radgen.types.arrays import ArrayLayout, SampleArrays
    from radgen.types.geometry import TOLERANCE_MM, Geometry
    from radgen.types.image import ImageVolume, Mask
    from radgen.types.omics import LAYERS, OmicsTable
    from radgen.types.stack import ImageStack, SurfaceSpace, VoxelSpace

_LATER = {
    "LAYERS": "omics",
    "TOLERANCE_MM": "geometry",
    "ArrayLayout": "arrays",
    "Geometry": "geometry",
    "ImageStack": "stack",
    "ImageVolume": "image",
    "Mask": "image",
    "OmicsTable": "omics",
    "SampleArrays": "arrays",
    "SurfaceSpace": "stack",
    "VoxelSpace": "stack",
}
"""Types that are loaded when they are first named: a scan of genotypes needs none of them."""

__all__ = [
    "LAYERS",
    "SPEC_COLUMNS",
    "STATUS_COLUMNS",
    "TOLERANCE_MM",
    "VARIANT_COLUMNS",
    "Alignment",
    "ArrayDosages",
    "ArrayLayout",
    "Covariates",
    "DosageReader",
    "FrameLike",
    "GenotypeMatrix",
    "Geometry",
    "ImageStack",
    "ImageVolume",
    "Kinship",
    "Mask",
    "NumberTable",
    "OmicsTable",
    "Outcome",
    "OutcomeKind",
    "PhenotypeTable",
    "Result",
    "SampleArrays",
    "SurfaceSpace",
    "VariantFile",
    "VoxelSpace",
    "align",
    "blank_specs",
    "check_unique",
    "empty_status",
    "to_polars",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"radgen.types.{_LATER[name]}"), name)
    raise AttributeError(f"module 'radgen.types' has no attribute {name!r}")
