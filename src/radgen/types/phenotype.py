"""The phenotype matrix: what was measured in the images, a row a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen.errors import InputError, shown
from radgen.types._frame import FrameLike, to_polars
from radgen.types._seal import seal, seal_samples, set_field
from radgen.types.align import check_unique

__all__ = ["SPEC_COLUMNS", "STATUS_COLUMNS", "PhenotypeTable"]

SPEC_COLUMNS = (
    "name",
    "region",
    "image",
    "filter",
    "family",
    "feature",
    "aggregation",
    "ibsi_code",
    "unit",
)
"""Columns of `PhenotypeTable.specs`, all text, "" where it does not apply."""

STATUS_COLUMNS = ("sample", "phenotype", "status", "reason")
"""Columns of `PhenotypeTable.status`: one row per value that is not ok."""

_ROWS = 4096


@dataclass(frozen=True, eq=False, slots=True)
class PhenotypeTable:
    """Image phenotypes of samples.

    Attributes
    ----------
    samples : tuple of str (n_samples,)
        Unique ids.
    values : ndarray of float64 (n_samples, n_phenotypes)
        NaN = undefined or failed; `status` says which and why.
    specs : polars.DataFrame
        A row per column of `values`, columns `SPEC_COLUMNS`; ``name`` is unique.
    status : polars.DataFrame
        Columns `STATUS_COLUMNS`: one row per value that is not ok, with status "undefined"
        or "failed" and the reason. phenotype "" = the whole sample.
    """

    samples: tuple[str, ...]
    values: NDArray[np.float64]
    specs: pl.DataFrame
    status: pl.DataFrame

    def __post_init__(self) -> None:
        samples = seal_samples(self.samples, what="Phenotype table")
        check_unique(samples, what="Phenotype table")
        values = seal(self.values, np.float64, ndim=2, what="phenotype values")
        if values.shape != (len(samples), self.specs.height):
            raise InputError(
                f"Phenotype values have shape {values.shape}; "
                f"{len(samples)} samples x {self.specs.height} specs are named."
            )
        missing = [name for name in SPEC_COLUMNS if name not in self.specs.columns]
        if missing:
            raise InputError(f"specs lacks the columns {shown(missing)}.")
        names = self.specs["name"]
        if names.n_unique() != names.len():
            twice = self.specs.filter(names.is_duplicated())["name"].unique().to_list()
            raise InputError(f"Phenotypes of the same name: {shown(twice)}.")
        set_field(self, "samples", samples)
        set_field(self, "values", values)

    @classmethod
    def from_frame(
        cls, frame: FrameLike, *, sample: str = "sample", specs: FrameLike | None = None
    ) -> PhenotypeTable:
        """Return a phenotype table of a wide data frame.

        Parameters
        ----------
        frame : data frame
            One row a sample, one numeric column a phenotype.
        sample : str, default "sample"
            Name of the id column.
        specs : data frame or None
            Descriptions of the columns; where None, ``name`` and ``feature`` are the column
            names and the rest is blank.

        Raises
        ------
        InputError
            If the id column is missing or a column is not numeric.
        AlignmentError
            If a sample id is repeated.
        """
        table = to_polars(frame, what="phenotype table")
        if sample not in table.columns:
            raise InputError(f"The phenotype table has no column {sample!r}.")
        names = [name for name in table.columns if name != sample]
        kinds = dict(zip(table.columns, table.dtypes, strict=True))
        wrong = [
            name
            for name in names
            if not (kinds[name].is_numeric() or kinds[name] in (pl.Boolean, pl.Null))
        ]
        if wrong:
            raise InputError(f"These phenotype columns are not numeric: {shown(wrong)}.")
        values = np.empty((table.height, len(names)))
        # Some rows at a time: a wide table would be held three times.
        for low, high in block_ranges(table.height if names else 0, _ROWS):
            part = table[low:high].select(pl.col(names).cast(pl.Float64))
            values[low:high] = part.to_numpy(order="c")
        values.setflags(write=False)
        return cls(
            tuple(table[sample].cast(pl.String).to_list()),
            values,
            blank_specs(names) if specs is None else to_polars(specs, what="specs"),
            empty_status(),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Phenotype names, in column order."""
        return tuple(self.specs["name"].to_list())

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def n_phenotypes(self) -> int:
        """Number of phenotypes."""
        return self.specs.height

    def to_frame(self) -> pl.DataFrame:
        """Return a wide polars frame: ``sample`` and one column a phenotype."""
        columns: dict[str, Any] = {"sample": list(self.samples)}
        columns |= {name: self.values[:, j] for j, name in enumerate(self.names)}
        return pl.DataFrame(columns)

    def to_pandas(self) -> Any:
        """Return the wide table as pandas, the sample id as index (needs the pandas extra)."""
        from radgen._core.require import require

        pandas = require("pandas", extra="pandas")
        return pandas.DataFrame(
            np.array(self.values),
            index=pandas.Index(self.samples, name="sample"),
            columns=self.names,
        )

    def take(
        self,
        rows: Sequence[int] | NDArray[Any] | None = None,
        columns: Sequence[int] | NDArray[Any] | None = None,
    ) -> PhenotypeTable:
        """Return some rows and columns, by position; the status follows."""
        row_index = np.arange(self.n_samples) if rows is None else np.asarray(rows)
        column_index = np.arange(self.n_phenotypes) if columns is None else np.asarray(columns)
        if row_index.dtype == np.bool_:
            row_index = np.flatnonzero(row_index)
        if column_index.dtype == np.bool_:
            column_index = np.flatnonzero(column_index)
        samples = tuple(self.samples[i] for i in row_index)
        specs = self.specs[column_index.tolist()]
        names = [*specs["name"].to_list(), ""]
        status = self.status.filter(
            pl.col("sample").is_in(list(samples)) & pl.col("phenotype").is_in(names)
        )
        return PhenotypeTable(samples, self.values[np.ix_(row_index, column_index)], specs, status)


def blank_specs(names: Sequence[str]) -> pl.DataFrame:
    """Return specs that know the column names alone."""
    columns = {key: [""] * len(names) for key in SPEC_COLUMNS}
    columns["name"] = list(names)
    columns["feature"] = list(names)
    return pl.DataFrame(columns, schema=dict.fromkeys(SPEC_COLUMNS, pl.String))


def empty_status() -> pl.DataFrame:
    """Return a status table in which everything is ok."""
    return pl.DataFrame(schema=dict.fromkeys(STATUS_COLUMNS, pl.String))
