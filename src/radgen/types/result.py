"""What an inference returns, and how it is stored without pickle."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import polars as pl

from radgen.errors import FormatError, InputError
from radgen.types.wording import plain_wording

__all__ = ["Result"]


@dataclass(frozen=True, eq=False)
class Result:
    """Base of all results.

    A subclass adds fields that are tables (`polars.DataFrame`) or plain values (numbers, text,
    tuples, mappings), so that `encode` can store every result as Parquet and JSON. It sets
    `kind`, and overrides `plot`, `statements` and `methods`.

    Attributes
    ----------
    frame : polars.DataFrame
        The main table; read it through `table`.
    params : mapping
        All parameters of the analysis as plain values.
    n_used : int
        Number of samples used.
    dropped : polars.DataFrame
        Columns ``sample, reason``: who was left out and why.
    warnings : tuple of str
        What a reader must know before trusting the numbers.
    provenance : mapping
        Step, version, seed, input digests.
    """

    kind: ClassVar[str] = "result"
    version: ClassVar[int] = 1
    plots: ClassVar[tuple[str, ...]] = ()

    frame: pl.DataFrame
    params: Mapping[str, Any]
    n_used: int
    dropped: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={"sample": pl.String, "reason": pl.String})
    )
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> pl.DataFrame:
        """A fresh copy of the main table."""
        return self.frame.clone()

    def to_pandas(self) -> Any:
        """Return the main table as pandas (needs the pandas extra)."""
        from radgen._core.require import require

        pandas = require("pandas", extra="pandas")
        return pandas.DataFrame(self.frame.to_dict(as_series=False))

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw one of `plots` and return the matplotlib Axes.

        Raises
        ------
        InputError
            If this result has no such plot.
        """
        raise InputError(
            f"A {self.kind} result has no plot {kind!r}; it has {self.plots or 'none'}."
        )

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words, generated from the numbers."""
        return ()

    def findings(self) -> tuple[str, ...]:
        """Return the statements for a reader: feature names are phrases, not column names."""
        tables = (getattr(self, item.name) for item in dataclasses.fields(self))
        return plain_wording(
            self.statements(), (table for table in tables if isinstance(table, pl.DataFrame))
        )

    def methods(self) -> str:
        """Return the methods paragraph of this analysis, generated from `params`."""
        return ""

    def encode(self) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
        """Return the tables and the plain values that store this result."""
        tables: dict[str, pl.DataFrame] = {}
        plain: dict[str, Any] = {"encoding_type": self.kind, "encoding_version": self.version}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, pl.DataFrame):
                tables[item.name] = value
            else:
                plain[item.name] = _plain(value)
        return tables, plain

    @classmethod
    def decode(cls, tables: Mapping[str, pl.DataFrame], plain: Mapping[str, Any]) -> Self:
        """Return the result that `encode` described.

        Raises
        ------
        FormatError
            If it was stored by another kind or version of result.
        """
        stored = plain.get("encoding_type"), plain.get("encoding_version")
        if stored != (cls.kind, cls.version):
            raise FormatError(f"Stored is {stored}; this code reads {(cls.kind, cls.version)}.")
        values: dict[str, Any] = dict(tables)
        for item in dataclasses.fields(cls):
            if item.name in plain:
                value = plain[item.name]
                is_tuple = str(item.type).startswith("tuple")
                values[item.name] = tuple(value) if is_tuple and value is not None else value
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(f"A result field of type {type(value).__name__} cannot be stored.")
