"""An array a sample: crops of scans, or bags of tiles and cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types._seal import seal, seal_samples, set_field
from radgen.types.align import check_unique

__all__ = ["ArrayLayout", "SampleArrays"]

ArrayLayout = Literal["crops", "bags"]
_AXES = {"crops": ("channels", "z", "y", "x"), "bags": ("items", "columns")}


@dataclass(frozen=True, eq=False, slots=True)
class SampleArrays:
    """One array of the same shape for each sample.

    Attributes
    ----------
    samples : tuple of str (n_samples,)
        Unique ids.
    values : ndarray of float32 (n_samples, n_channels, n_z, n_y, n_x) or (n_samples, n_items, p)
        Crops without missing values; bags with NaN in places that a sample does not fill.
    layout : {"crops", "bags"}
        Which of the two.
    names : tuple of str
        Of the channels, or of the columns.
    volume_mm3 : ndarray of float64 (n_samples,) or None
        Volume of the region that crops were taken of: the simple model beside them.
    affines : ndarray of float64 (n_samples, 4, 4) or None
        Grids of crops as in `Geometry`.
    meta : mapping
        How they were made; nothing that identifies.
    """

    samples: tuple[str, ...]
    values: NDArray[np.float32]
    layout: ArrayLayout
    names: tuple[str, ...] = ()
    volume_mm3: NDArray[np.float64] | None = None
    affines: NDArray[np.float64] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        samples = seal_samples(self.samples, what="Arrays")
        check_unique(samples, what="Arrays")
        if self.layout not in get_args(ArrayLayout):
            raise InputError(f"Arrays are crops or bags, not {self.layout!r}.")
        axes = _AXES[self.layout]
        values = seal(self.values, np.float32, ndim=1 + len(axes), what=self.layout)
        if len(values) != len(samples):
            raise InputError(f"{len(samples)} samples have {len(values)} {self.layout}.")
        named = values.shape[1 if self.layout == "crops" else -1]
        names = tuple(str(name) for name in self.names) or tuple(str(k) for k in range(named))
        if len(names) != named:
            raise InputError(f"{named} {axes[0 if self.layout == 'crops' else -1]} have "
                             f"{len(names)} names.")  # fmt: skip
        if self.layout == "crops" and not np.isfinite(values).all():
            raise InputError("Crops may not hold missing values.")
        for name, shape in (("volume_mm3", (len(samples),)), ("affines", (len(samples), 4, 4))):
            given = getattr(self, name)
            if given is not None:
                sealed = seal(given, np.float64, ndim=len(shape), what=name)
                if sealed.shape != shape:
                    raise InputError(f"{name} has shape {sealed.shape}; needed is {shape}.")
                set_field(self, name, sealed)
        set_field(self, "samples", samples)
        set_field(self, "values", values)
        set_field(self, "names", names)
        set_field(self, "meta", dict(self.meta))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of one sample."""
        return tuple(int(side) for side in self.values.shape[1:])

    def flat(self) -> NDArray[np.float32]:
        """Return a row a sample, (n_samples, product of `shape`)."""
        return self.values.reshape(len(self.samples), -1)
