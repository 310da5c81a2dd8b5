"""Images and masks on their grids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import GeometryError, InputError
from radgen.types._seal import seal, set_field
from radgen.types.geometry import Geometry

__all__ = ["ImageVolume", "Mask"]


@dataclass(frozen=True, eq=False, slots=True)
class ImageVolume:
    """A scan: voxel values with their grid, modality and unit.

    Attributes
    ----------
    array : ndarray of float32 or float64 (n_z, n_y, n_x)
        Voxel values, read-only; NaN = no measurement. A dynamic series has shape
        (n_times, n_z, n_y, n_x) and `times_s`. Other dtypes become float32 where that
        is exact for the values, otherwise float64.
    geometry : Geometry
        The grid of the last three axes.
    modality : str
        "CT", "MR", "PT", … (DICOM code) or "" where unknown.
    quantity : str
        What is measured: "HU", "SUV", "ADC", "signal", …
    unit : str
        Unit of the values: "HU", "g/mL", "mm2/s", "a.u.".
    times_s : ndarray of float64 (n_times,) or None
        Times of a dynamic series in seconds.
    meta : mapping
        Acquisition facts that are not identifying (manufacturer, kernel, slice thickness).
    """

    array: NDArray[Any]
    geometry: Geometry
    modality: str = ""
    quantity: str = "signal"
    unit: str = "a.u."
    times_s: NDArray[np.float64] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.dtype.kind not in "biuf":
            raise InputError(f"An image holds real numbers, not {array.dtype}.")
        if array.dtype.byteorder in "<>":
            array = array.astype(array.dtype.newbyteorder("="))
        if array.dtype not in (np.float32, np.float64):
            exact32 = array.dtype.itemsize <= 2 or not array.size or np.abs(array).max() < 2**24
            array = array.astype(np.float32 if exact32 else np.float64)
        array = seal(array, what="image")
        if array.ndim == 3 and self.times_s is not None:
            raise InputError("times_s is for dynamic series with four axes (t, z, y, x).")
        if array.ndim == 4:
            if self.times_s is None or len(self.times_s) != array.shape[0]:
                raise InputError("A series with four axes (t, z, y, x) needs one time a frame.")
            set_field(self, "times_s", seal(self.times_s, np.float64, ndim=1, what="times_s"))
        if array.ndim not in (3, 4):
            raise InputError(f"An image has axes (z, y, x); this one has {array.ndim} axes.")
        if array.shape[-3:] != self.geometry.shape:
            raise GeometryError(
                f"The array has shape {array.shape[-3:]}, its grid {self.geometry.shape}.",
                left=array.shape,
                right=self.geometry.shape,
            )
        set_field(self, "array", array)
        set_field(self, "meta", dict(self.meta))

    def with_array(self, array: NDArray[Any], **changes: Any) -> ImageVolume:
        """Return the same scan with other values (and other named fields)."""
        return replace(self, array=array, **changes)


@dataclass(frozen=True, eq=False, slots=True)
class Mask:
    """A region of interest on a grid.

    Attributes
    ----------
    array : ndarray of bool (n_z, n_y, n_x)
        True inside the region; read-only.
    geometry : Geometry
        The grid.
    region : str
        Name of the region, "tumour" say.
    """

    array: NDArray[np.bool_]
    geometry: Geometry
    region: str = "region"

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.dtype != np.bool_:
            values = np.unique(array)
            if not np.isin(values, (0, 1)).all():
                raise InputError(
                    f"A mask holds 0 and 1; this one holds {len(values)} values from "
                    f"{values.min():g} to {values.max():g}. Name the label that is the region, "
                    "or give a threshold."
                )
            array = array.astype(np.bool_)
        array = seal(array, np.bool_, ndim=3, what="mask")
        if array.shape != self.geometry.shape:
            raise GeometryError(
                f"The mask has shape {array.shape}, its grid {self.geometry.shape}.",
                left=array.shape,
                right=self.geometry.shape,
            )
        set_field(self, "array", array)

    @property
    def n_voxels(self) -> int:
        """Number of voxels inside."""
        return int(np.count_nonzero(self.array))

    def require_on(self, image: ImageVolume) -> None:
        """Raise `GeometryError` where the mask does not lie on the image's grid."""
        image.geometry.require_same(
            self.geometry, what=f"Mask {self.region!r} does not lie on the image's grid"
        )
