"""A table of ids and numbers as arrays: what a data frame would hold, before one is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["NumberTable"]


@dataclass(frozen=True, eq=False, slots=True)
class NumberTable:
    """A row a sample; every table function takes it as it takes a data frame.

    Attributes
    ----------
    columns : tuple of str
        Names of all columns, in order.
    texts : mapping of str to list of str
        Cells of the columns that are text; none is missing.
    values : ndarray of float64 (n_rows, n_numbers)
        The other columns, in order; NaN = missing.
    """

    columns: tuple[str, ...]
    texts: Mapping[str, list[str]]
    values: NDArray[np.float64]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the columns of numbers."""
        return tuple(name for name in self.columns if name not in self.texts)

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.values)

    def to_frame(self) -> pl.DataFrame:
        """Return a polars frame; missing numbers are null."""
        place = {name: at for at, name in enumerate(self.numbers)}
        columns: dict[str, Any] = {
            name: pl.Series(self.texts[name], dtype=pl.String)
            if name in self.texts
            else pl.Series(np.ascontiguousarray(self.values[:, place[name]]), nan_to_null=True)
            for name in self.columns
        }
        return pl.DataFrame(columns)
