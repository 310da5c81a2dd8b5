"""Centred dosage blocks: what every kernel of the genome floor eats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._native import _genotype
from radgen.io.plink import BedReader
from radgen.types import GenotypeMatrix

__all__ = ["BlockSource", "CentredBlock", "centre", "is_sequential", "read_centred", "read_source"]


@dataclass(frozen=True, eq=False, slots=True)
class CentredBlock:
    """Dosages minus their mean over the known calls; a missing call is exactly 0.

    Attributes
    ----------
    start : int
        First variant of the block.
    g : ndarray of float32 or float64 (n_variants, n_samples)
        Centred dosage.
    n_known : ndarray of float64 (n_variants,)
        Number of calls that are not missing.
    mean : ndarray of float64 (n_variants,)
        Mean ALT dosage of the known calls, 0 where there is none.
    squares : ndarray of float64 (n_variants,)
        Sum of squares of the centred dosage.
    missing : ndarray of int32
        Positions of the missing calls, variant after variant.
    ends : ndarray of int64 (n_variants,)
        Where each variant's positions end in `missing`.
    """

    start: int
    g: NDArray[Any]
    n_known: NDArray[np.float64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    missing: NDArray[np.int32]
    ends: NDArray[np.int64]

    @property
    def any_missing(self) -> bool:
        """Whether a call of the block is missing."""
        return len(self.missing) > 0

    def lost(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return for each variant the sum of `weights` (n_samples,) over its missing calls."""
        total = np.concatenate([[0.0], np.cumsum(weights[self.missing])])
        begins = np.concatenate([[0], self.ends[:-1]])
        return np.asarray(total[self.ends] - total[begins])


@dataclass(frozen=True, eq=False, slots=True)
class BlockSource:
    """The raw calls of a block of variants, decoded as often as is asked for.

    Attributes
    ----------
    start : int
        First variant of the block.
    raw : ndarray
        uint8 (n_variants, bytes) of a PLINK 1 file, or float32 dosages (n_variants, n_samples).
    bed : BedReader or None
        The reader where `raw` is packed.
    columns : ndarray of int64 or None
        Samples of a packed block that are in use.
    """

    start: int
    raw: NDArray[Any]
    bed: BedReader | None = None
    columns: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.raw)

    def centred(self, dtype: Any = np.float64, rows: NDArray[Any] | None = None) -> CentredBlock:
        """Return all variants of the block, or some rows of it, centred."""
        raw = self.raw if rows is None else np.ascontiguousarray(self.raw[rows])
        if self.bed is None:
            return centre(raw, self.start, dtype=dtype)
        kind = np.dtype(dtype)
        n_file = self.bed.n_samples
        n = n_file if self.columns is None else len(self.columns)
        g = np.empty((len(raw), n), kind)
        stats = np.empty((len(raw), 3))
        _genotype.bed_centre(raw, n_file, self.columns, self.bed.alt_last, kind.itemsize, g, stats)
        absent = int(n * len(raw) - stats[:, 0].sum())
        missing, ends = np.empty(absent, np.int32), np.zeros(len(raw), np.int64)
        if absent:
            _genotype.bed_missing(raw, n_file, self.columns, missing, ends)
        return _block(self.start, g, stats, missing, ends)


def is_sequential(genotypes: GenotypeMatrix) -> bool:
    """Return whether the file is only cheap to read from front to back (VCF)."""
    return bool(getattr(genotypes.reader, "sequential", False))


def read_source(genotypes: GenotypeMatrix, start: int, stop: int) -> BlockSource:
    """Return the raw calls of variants start to stop; PLINK 1 files stay packed."""
    reader = genotypes.reader
    if isinstance(reader, BedReader):
        packed = _packed(genotypes, reader, start, stop)
        return BlockSource(start, packed, reader, genotypes.columns)
    return BlockSource(start, np.ascontiguousarray(genotypes.read(start, stop), np.float32))


def read_centred(
    genotypes: GenotypeMatrix, start: int, stop: int, *, dtype: Any = np.float64
) -> CentredBlock:
    """Return variants start to stop of `genotypes`, centred."""
    return read_source(genotypes, start, stop).centred(dtype)


def centre(dosage: NDArray[np.float32], start: int = 0, *, dtype: Any = np.float64) -> CentredBlock:
    """Return dosages float32 (n_variants, n_samples), NaN = missing, as a centred block."""
    values = np.ascontiguousarray(dosage, np.float32)
    kind = np.dtype(dtype)
    g = np.empty(values.shape, kind)
    stats = np.empty((len(values), 3))
    _genotype.centre(values, len(values), kind.itemsize, g, stats)
    if stats[:, 0].sum() == values.size:
        missing, ends = np.empty(0, np.int32), np.zeros(len(values), np.int64)
    else:
        row, column = np.nonzero(np.isnan(values))
        missing = column.astype(np.int32)
        ends = np.searchsorted(row, np.arange(len(values)), side="right").astype(np.int64)
    return _block(start, g, stats, missing, ends)


def _packed(
    genotypes: GenotypeMatrix, reader: BedReader, start: int, stop: int
) -> NDArray[np.uint8]:
    if genotypes.rows is None:
        return reader.packed(start, stop)
    rows = genotypes.rows[start:stop]
    if not len(rows):
        return np.empty((0, reader.stride), np.uint8)
    low, high = int(rows.min()), int(rows.max()) + 1
    if high - low == len(rows) and (np.diff(rows) == 1).all():
        return reader.packed(low, high)
    if high - low <= 16 * len(rows):
        return np.ascontiguousarray(reader.packed(low, high)[rows - low])
    return np.concatenate([reader.packed(int(row), int(row) + 1) for row in rows])


def _block(
    start: int,
    g: NDArray[Any],
    stats: NDArray[np.float64],
    missing: NDArray[np.int32],
    ends: NDArray[np.int64],
) -> CentredBlock:
    n_known = stats[:, 0]
    mean = stats[:, 1] / np.maximum(n_known, 1.0)
    squares = np.maximum(stats[:, 2] - stats[:, 1] * mean, 0.0)
    return CentredBlock(start, g, n_known, mean, squares, missing, ends)
