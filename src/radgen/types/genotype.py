"""Genotypes as alternate-allele dosages, read block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.digest import digest
from radgen.errors import InputError, shown
from radgen.types._seal import seal, seal_samples, set_field
from radgen.types.align import check_unique

__all__ = ["VARIANT_COLUMNS", "ArrayDosages", "DosageReader", "GenotypeMatrix", "VariantFile"]

VARIANT_COLUMNS = ("chrom", "pos", "id", "ref", "alt")
"""Columns of `GenotypeMatrix.variants`: text, int64 (1-based), text, text, text."""


@runtime_checkable
class DosageReader(Protocol):
    """What a genotype file offers: blocks of dosages of its own samples, in its own order."""

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return dosages float32 (stop - start, n_file_samples) of ALT in [0, 2], NaN = missing."""
        ...


@runtime_checkable
class VariantFile(Protocol):
    """Variants of a file that are read whole when they are first asked for.

    Attributes
    ----------
    n_variants : int
        Number of variants.
    runs : sequence of (str, int)
        Chromosomes in file order, each with its number of variants that follow each other.
    """

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        ...

    @property
    def runs(self) -> Sequence[tuple[str, int]]:
        """Chromosomes with their numbers of variants."""
        ...

    def read(self) -> pl.DataFrame:
        """Return all variants, columns `VARIANT_COLUMNS`."""
        ...

    def digest(self) -> str:
        """Return a text that differs where the variants differ."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class ArrayDosages:
    """Dosages held in memory, float32 (n_variants, n_samples)."""

    array: NDArray[np.float32]

    def __post_init__(self) -> None:
        set_field(self, "array", seal(self.array, np.float32, ndim=2, what="dosages"))

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows start to stop."""
        return self.array[start:stop]


@dataclass(frozen=True, eq=False)
class GenotypeMatrix:
    """Variants by samples; nothing is read until a block is asked for.

    Attributes
    ----------
    samples : tuple of str (n_samples,)
        Unique ids of the samples in use.
    variants : polars.DataFrame
        A row a variant, columns `VARIANT_COLUMNS` (more may follow); positions are 1-based. Given
        as a `VariantFile`, it is read when it is first asked for.
    reader : DosageReader
        Where dosages come from. Dosage counts ALT in [0, 2]; NaN = missing.
    build : str
        Genome build, "GRCh37" or "GRCh38"; "" where unknown.
    columns : ndarray of int64 (n_samples,) or None
        Which of the reader's samples are in use; None = all, in file order.
    rows : ndarray of int64 (n_variants,) or None
        Which of the reader's variants are in use; None = all, in file order.
    """

    samples: tuple[str, ...]
    variants: pl.DataFrame
    reader: DosageReader
    build: str = ""
    columns: NDArray[np.int64] | None = None
    rows: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        samples = seal_samples(self.samples, what="Genotypes")
        check_unique(samples, what="Genotypes")
        set_field(self, "samples", samples)
        if isinstance(self.variants, VariantFile):
            set_field(self, "_file", self.__dict__.pop("variants"))
        else:
            missing = [name for name in VARIANT_COLUMNS if name not in self.variants.columns]
            if missing:
                raise InputError(f"The variant table lacks the columns {shown(missing)}.")
        for name, length in (("columns", len(samples)), ("rows", self.n_variants)):
            index = getattr(self, name)
            if index is not None:
                index = seal(index, np.int64, ndim=1, what=name)
                if len(index) != length:
                    raise InputError(f"{name} names {len(index)} positions; needed are {length}.")
                set_field(self, name, index)

    @property
    def n_samples(self) -> int:
        """Number of samples in use."""
        return len(self.samples)

    def __getattr__(self, name: str) -> Any:
        # Only what is not set comes here: variants that are still in their file.
        if name != "variants" or "_file" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
        set_field(self, "variants", self._file.read())
        return self.variants

    @property
    def n_variants(self) -> int:
        """Number of variants in use."""
        return int(self._file.n_variants if "_file" in self.__dict__ else self.variants.height)

    @property
    def chromosome_runs(self) -> list[tuple[str, int]]:
        """Chromosomes in order, each with its number of variants that follow each other."""
        if "_file" in self.__dict__:
            return list(self._file.runs)
        runs = self.variants["chrom"].rle()
        return list(zip(runs.struct.field("value"), runs.struct.field("len"), strict=True))

    def variants_digest(self) -> str:
        """Return a text that differs where the variants differ, the same on another day."""
        if "_file" in self.__dict__:
            return str(self._file.digest())
        return digest(self.variants.hash_rows().to_numpy())

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return dosages float32 (stop - start, n_samples) of ALT, NaN = missing."""
        if self.rows is None:
            block = self.reader.read(start, stop)
        else:
            wanted = self.rows[start:stop]
            if not len(wanted):
                return np.empty((0, self.n_samples), np.float32)
            low, high = int(wanted.min()), int(wanted.max()) + 1
            if high - low <= 4 * len(wanted):
                block = self.reader.read(low, high)[wanted - low]
            else:
                block = np.concatenate([self.reader.read(int(i), int(i) + 1) for i in wanted])
        return block if self.columns is None else np.ascontiguousarray(block[:, self.columns])

    def blocks(self, size: int = 1024) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield (first variant, dosages) of consecutive blocks of at most `size` variants."""
        for start, stop in block_ranges(self.n_variants, size):
            yield start, self.read(start, stop)

    def take_samples(self, index: Sequence[int] | NDArray[np.int64]) -> GenotypeMatrix:
        """Return the same variants in some of the samples, by position."""
        index = np.asarray(index, dtype=np.int64)
        columns = index if self.columns is None else self.columns[index]
        return GenotypeMatrix(
            tuple(self.samples[i] for i in index),
            self.__dict__.get("_file") or self.variants,
            self.reader,
            self.build,
            columns,
            self.rows,
        )

    def take_variants(self, index: Sequence[int] | NDArray[np.int64]) -> GenotypeMatrix:
        """Return the same samples with some of the variants, by position."""
        index = np.asarray(index, dtype=np.int64)
        rows = index if self.rows is None else self.rows[index]
        return GenotypeMatrix(
            self.samples, self.variants[index.tolist()], self.reader, self.build, self.columns, rows
        )
