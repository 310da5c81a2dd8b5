"""A table of ids, words and numbers as arrays: a data frame before its library is loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.id_names import FAMILY_NAMES, first_id_name

__all__ = ["NumberTable"]


@dataclass(frozen=True, eq=False, slots=True)
class NumberTable:
    """A row a sample; every table function takes it as it takes a data frame.

    Attributes
    ----------
    columns : tuple of str
        Names of all columns, in order.
    texts : mapping of str to list of str or None
        Cells of the columns that are text; None = missing, which no id is.
    values : ndarray of float64 (n_rows, n_numbers)
        The other columns, in order; NaN = missing.
    """

    columns: tuple[str, ...]
    texts: Mapping[str, Sequence[str | None]]
    values: NDArray[np.float64]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the columns of numbers."""
        return tuple(name for name in self.columns if name not in self.texts)

    def words(self, among: Collection[str] | None = None) -> list[str]:
        """Return the names of the columns of words that are no ids, of all or among some."""
        ids = {first_id_name(self.columns), *FAMILY_NAMES}
        return [name for name in among or self.columns if name in self.texts and name not in ids]

    def select(self, names: Collection[str]) -> NumberTable:
        """Return the columns of ids and some others, in order."""
        ids = {first_id_name(self.columns), *FAMILY_NAMES}
        kept = tuple(name for name in self.columns if name in ids or name in names)
        numbers = [at for at, name in enumerate(self.numbers) if name in kept]
        texts = {name: cells for name, cells in self.texts.items() if name in kept}
        return NumberTable(kept, texts, self.values[:, numbers])

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
