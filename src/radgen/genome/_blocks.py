"""Centred dosage blocks: what every kernel of the genome floor eats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._native import _genotype
from radgen.io.plink import BedReader
from radgen.types import GenotypeMatrix

__all__ = [
    "BlockProduct",
    "BlockSource",
    "CentredBlock",
    "WholeWeights",
    "centre",
    "is_sequential",
    "read_centred",
    "read_source",
]

_MOST_WHOLE = 8_000_000
"""Samples up to which sums of digits fit 32 bits."""
_RARE = 40
"""A variant with fewer than 1 / _RARE of its calls unlike the common one is taken as sparse."""


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
        return _sums_at(self.missing, self.ends, weights)


@dataclass(frozen=True, eq=False, slots=True)
class BlockProduct:
    """Products of a block's centred dosages with weights of the samples.

    Attributes
    ----------
    product : ndarray of float32 (n_variants, n_columns)
        Centred dosage times weights; a missing call counts minus `left`.
    n_known, mean, squares, missing, ends
        As in `CentredBlock`.
    left : ndarray of float64 (n_variants,)
        At most 1/128 in size; 0 throughout where products are in single precision.
    """

    product: NDArray[np.float32]
    n_known: NDArray[np.float64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    missing: NDArray[np.int32]
    ends: NDArray[np.int64]
    left: NDArray[np.float64]

    def lost(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return for each variant the sum of `weights` (n_samples,) over its missing calls."""
        return _sums_at(self.missing, self.ends, weights)

    def basis(
        self, columns: slice, q: NDArray[np.float64], *, mend: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the products b with a basis among the columns, and more.

        Parameters
        ----------
        columns : slice
            Where the basis stands.
        q : ndarray of float64 (n_samples, rank)
            The basis.
        mend : bool, default True
            Whether missing calls count 0 in b, or what they count in the product.

        Returns
        -------
        b : ndarray of float64 (n_variants, rank)
        squares : ndarray of float64 (n_variants,)
            Sum of (q b)^2 over the missing calls of each variant.
        """
        b, squares = self.product[:, columns].astype(np.float64), np.zeros(len(self.product))
        if len(self.missing):
            where = self.missing, self.ends
            left = self.left if mend else np.zeros(len(b))
            _genotype.missing_basis(*where, np.ascontiguousarray(q), left, b, squares)
        return b, squares


@dataclass(frozen=True, eq=False, slots=True)
class WholeWeights:
    """Weights of the samples rounded to whole numbers, for processors that multiply tiles of them.

    A dosage is a whole number, so that products are exact but for the rounding of the weights: to
    22 bits of the largest one of a column. In the sum of squares that loses a column of length 1
    at most 2.4e-7 times the root of the number of samples, half of what sums in single precision
    may lose.

    Attributes
    ----------
    digits : ndarray of int8
        Digits of the weights, in the order of the kernel.
    scale, sums : ndarray of float64 (n_columns,)
        Steps of a weight of 1, and sums of the whole numbers.
    """

    digits: NDArray[np.int8]
    scale: NDArray[np.float64]
    sums: NDArray[np.float64]

    @classmethod
    def of(cls, weights: NDArray[np.float32]) -> WholeWeights | None:
        """Return weights float32 (n_samples, n_columns), rounded; None where it is of no use."""
        n, k = weights.shape
        if not k or not 64 <= n <= _MOST_WHOLE or not _genotype.integer_ready():
            return None
        digits = _aligned(_genotype.integer_size(n, k))
        scale, sums = np.empty(k), np.empty(k)
        _genotype.integer_pack(weights, n, digits, scale, sums)
        return cls(digits, scale, sums)


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
        missing, ends = self._missing(self.bed, raw, stats, n)
        return CentredBlock(self.start, g, *_moments(stats), missing, ends)

    def dosages(self) -> NDArray[np.float32]:
        """Return the dosages as they are, float32 (n_variants, n_samples), NaN = missing."""
        if self.bed is None:
            return np.asarray(self.raw, np.float32)
        block = self.centred(np.float64)
        out = np.rint(block.g + block.mean[:, None]).astype(np.float32)
        row = np.repeat(np.arange(len(out)), np.diff(block.ends, prepend=0))
        out[row, block.missing] = np.nan
        return out

    def product(
        self,
        weights: NDArray[np.float32],
        totals: NDArray[np.float64],
        multiply: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]],
        whole: WholeWeights | None = None,
        take: Callable[[tuple[int, int], Any], NDArray[Any]] = np.empty,
    ) -> BlockProduct:
        """Return the products of the centred dosages with weights, rare variants by carriers.

        Parameters
        ----------
        weights : ndarray of float32 (n_samples, n_columns)
            C-contiguous.
        totals : ndarray of float64 (n_columns,)
            Column sums of `weights`.
        multiply : callable
            Gives g @ weights for the variants that are not rare.
        whole : WholeWeights or None
            The same weights, where packed genotypes may be multiplied as whole numbers instead.
        take : callable
            Gives memory of a shape and a type, for decoded genotypes.
        """
        bed, raw = self.bed, self.raw
        if bed is None:
            block = centre(raw, self.start, dtype=np.float32)
            moments = block.n_known, block.mean, block.squares
            product = multiply(block.g, weights)
            return BlockProduct(product, *moments, block.missing, block.ends, np.zeros(len(raw)))
        n, k = weights.shape
        out, stats = np.empty((len(raw), k), np.float32), np.empty((len(raw), 3))
        dense = np.empty(len(raw), np.uint8)
        left = np.zeros(len(raw))
        packed = raw, bed.n_samples, self.columns, bed.alt_last
        _genotype.bed_products(*packed, n // _RARE, weights, totals, out, stats, dense)
        rows = np.flatnonzero(dense).astype(np.int32)
        if len(rows) and whole is not None:
            digits = weights, whole.digits, whole.scale, whole.sums
            _genotype.bed_integer_products(*packed, rows, stats, *digits, left, out)
        elif len(rows):
            g = take((len(rows), n), np.float32)
            _genotype.bed_rows(*packed, rows, stats, g)
            if len(rows) == len(raw):
                out = multiply(g, weights)
            else:
                out[rows] = multiply(g, weights)
        missing, ends = self._missing(bed, raw, stats, n)
        return BlockProduct(out, *_moments(stats), missing, ends, left)

    def weighted_squares(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return sums of squares of the centred dosages, weighted (n_variants, n_columns).

        Parameters
        ----------
        weights : ndarray of float32 (n_columns, n_samples)
            C-contiguous. The sums are good to about single precision.
        """
        bed, raw = self.bed, self.raw
        if bed is None:
            g = centre(raw, self.start, dtype=np.float32).g
            return np.asarray((g * g) @ weights.T, np.float64)
        stats, dense = np.empty((len(raw), 3)), np.empty(len(raw), np.uint8)
        out = np.empty((len(raw), len(weights)))
        packed = raw, bed.n_samples, self.columns, bed.alt_last
        none = np.empty(0, np.float32)
        _genotype.bed_products(*packed, 0, none, np.empty(0), none, stats, dense)
        _genotype.bed_squares(*packed, stats, weights, out)
        return out

    def _missing(
        self, bed: BedReader, raw: NDArray[Any], stats: NDArray[np.float64], n: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        absent = int(n * len(raw) - stats[:, 0].sum())
        missing, ends = np.empty(absent, np.int32), np.zeros(len(raw), np.int64)
        if absent:
            _genotype.bed_missing(raw, bed.n_samples, self.columns, missing, ends)
        return missing, ends

    def among(self, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return calls, sum and sum of squares of the dosage of some samples (n_variants, 3)."""
        stats = np.empty((len(self.raw), 3))
        if self.bed is None:
            some = self.raw[:, samples].astype(np.float64)
            stats[:, 0] = np.isfinite(some).sum(axis=1)
            stats[:, 1], stats[:, 2] = np.nansum(some, axis=1), np.nansum(some * some, axis=1)
            return stats
        own = samples if self.columns is None else self.columns[samples]
        packed = self.raw, self.bed.n_samples, np.ascontiguousarray(own), self.bed.alt_last
        none, dense = np.empty(0, np.float32), np.empty(len(self.raw), np.uint8)
        _genotype.bed_products(*packed, 0, none, np.empty(0), none, stats, dense)
        return stats


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
    return CentredBlock(start, g, *_moments(stats), missing, ends)


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


def _aligned(size: int) -> NDArray[np.int8]:
    """Return bytes that begin on a cache line: tiles that lie across lines load four times slower.

    Their values are not set.
    """
    room = np.empty(size + 63, np.int8)
    first = -room.__array_interface__["data"][0] % 64
    return room[first : first + size]


def _moments(
    stats: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return calls, mean, and sum of squares about it, of (calls, sum, sum of squares)."""
    n_known = stats[:, 0]
    mean = stats[:, 1] / np.maximum(n_known, 1.0)
    return n_known, mean, np.maximum(stats[:, 2] - stats[:, 1] * mean, 0.0)


def _sums_at(
    missing: NDArray[np.int32], ends: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.empty(len(ends))
    _genotype.sums_at(missing, ends, np.ascontiguousarray(weights, np.float64), out)
    return out
