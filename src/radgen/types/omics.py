"""Molecular layers: expression, mutation, copy number, methylation, protein."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.types._seal import seal, seal_samples, set_field
from radgen.types.align import check_unique

__all__ = ["LAYERS", "OmicsTable"]

LAYERS = ("expression", "mutation", "copy_number", "methylation", "protein", "pathway", "other")


@dataclass(frozen=True, eq=False, slots=True)
class OmicsTable:
    """One molecular layer.

    Attributes
    ----------
    samples : tuple of str (n_samples,)
        Unique ids.
    features : tuple of str (n_features,)
        Unique gene, probe or protein names.
    values : ndarray of float64 (n_samples, n_features)
        NaN = not measured. For mutations 1 = mutant, 0 = wild-type *and covered by the assay*,
        NaN = not tested.
    layer : str
        One of `LAYERS`.
    scale : str
        "counts", "log2", "TPM", "zscore", "beta", "binary", "ordinal", …
    """

    samples: tuple[str, ...]
    features: tuple[str, ...]
    values: NDArray[np.float64]
    layer: str
    scale: str

    def __post_init__(self) -> None:
        samples = seal_samples(self.samples, what=f"{self.layer} table")
        check_unique(samples, what=f"{self.layer} table")
        features = tuple(str(item) for item in self.features)
        if len(set(features)) < len(features):
            seen: set[str] = set()
            twice = [item for item in features if item in seen or seen.add(item)]  # type: ignore[func-returns-value]
            raise InputError(f"{self.layer} table: features of the same name: {shown(twice)}.")
        values = seal(self.values, np.float64, ndim=2, what=f"{self.layer} values")
        if values.shape != (len(samples), len(features)):
            raise InputError(
                f"{self.layer} values have shape {values.shape}; "
                f"{len(samples)} samples x {len(features)} features are named."
            )
        require_choice(self.layer, LAYERS, what="molecular layer")
        set_field(self, "samples", samples)
        set_field(self, "features", features)
        set_field(self, "values", values)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def n_features(self) -> int:
        """Number of molecular features."""
        return len(self.features)

    def to_frame(self) -> pl.DataFrame:
        """Return a wide polars frame: ``sample`` and one column a feature."""
        columns: dict[str, Any] = {"sample": list(self.samples)}
        columns |= {name: self.values[:, j] for j, name in enumerate(self.features)}
        return pl.DataFrame(columns)

    def take(
        self,
        rows: Sequence[int] | NDArray[Any] | None = None,
        columns: Sequence[int] | NDArray[Any] | None = None,
    ) -> OmicsTable:
        """Return some rows and columns, by position or by a boolean selection."""
        row_index = _positions(rows, self.n_samples)
        column_index = _positions(columns, self.n_features)
        return OmicsTable(
            tuple(self.samples[i] for i in row_index),
            tuple(self.features[j] for j in column_index),
            self.values[np.ix_(row_index, column_index)],
            self.layer,
            self.scale,
        )


def _positions(index: Any, length: int) -> NDArray[np.int64]:
    if index is None:
        return np.arange(length)
    found = np.asarray(index)
    return np.flatnonzero(found) if found.dtype == np.bool_ else found.astype(np.int64)
