"""Bring images, predictors and covariates onto the same people, by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._native import _genotype
from radgen.associate.genomewide._design import TraitGroup, basis, group_traits
from radgen.associate.genomewide._input import to_covariates
from radgen.errors import AlignmentError, InputError
from radgen.genome._blocks import CentredBlock, read_source
from radgen.types import Covariates, FrameLike, GenotypeMatrix, ImageStack, align

__all__ = ["Predictors", "VoxelInput", "prepare_images"]

Array = NDArray[np.float64]
_EPS32 = float(np.finfo(np.float32).eps)
_TOGETHER = 64


@dataclass(frozen=True, eq=False, slots=True)
class TableSource:
    """Some predictors of a table, as `radgen.genome._blocks.BlockSource` offers variants."""

    start: int
    raw: Array

    def centred(self, dtype: Any = np.float64, rows: NDArray[Any] | None = None) -> CentredBlock:
        """Return all predictors of the block, or some of them, centred."""
        raw = self.raw if rows is None else self.raw[rows]
        known = np.isfinite(raw)
        count = known.sum(axis=1).astype(np.float64)
        mean = np.where(known, raw, 0.0).sum(axis=1) / np.maximum(count, 1.0)
        g = np.where(known, raw - mean[:, None], 0.0)
        row, column = np.nonzero(~known)
        ends = np.searchsorted(row, np.arange(len(raw)), side="right").astype(np.int64)
        squares = np.einsum("mn,mn->m", g, g)
        return CentredBlock(
            self.start, g.astype(dtype), count, mean, squares, column.astype(np.int32), ends
        )


@dataclass(frozen=True, eq=False, slots=True)
class Predictors:
    """Variants of a genotype file, or numeric columns of a table.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a predictor: id, and chrom, pos, ref, alt of variants.
    genotypes : GenotypeMatrix or None
        Where variants are read from.
    values : ndarray of float64 (n_predictors, n_samples) or None
        Columns of a table.
    """

    frame: pl.DataFrame
    genotypes: GenotypeMatrix | None
    values: Array | None

    @property
    def n(self) -> int:
        """Number of predictors."""
        return self.frame.height

    def source(self, start: int, stop: int) -> Any:
        """Return predictors start to stop, to be centred."""
        if self.genotypes is not None:
            return read_source(self.genotypes, start, stop)
        assert self.values is not None
        return TableSource(start, self.values[start:stop])

    def frequency(self, mean: Array) -> Array:
        """Return ALT frequencies of mean dosages; the means of other predictors."""
        return mean / 2.0 if self.genotypes is not None else mean


@dataclass(frozen=True, eq=False, slots=True)
class VoxelInput:
    """Matched input of a voxel-wise analysis.

    Attributes
    ----------
    predictors : Predictors
        Of the samples in use.
    images : ImageStack
        As given.
    rows : ndarray of int64 (n_samples,)
        Row of the images of each sample in use.
    covariates : ndarray of float64 (n_samples, n_covariates)
        Without intercept, no missing value.
    covariate_names : tuple of str
        Names of the covariates.
    samples : tuple of str (n_samples,)
        Ids in use, in the order of the predictors.
    dropped : polars.DataFrame
        Columns sample, reason.
    notes : tuple of str
        What a reader must know.
    """

    predictors: Predictors
    images: ImageStack
    rows: NDArray[np.int64]
    covariates: Array
    covariate_names: tuple[str, ...]
    samples: tuple[str, ...]
    dropped: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """Number of people in use."""
        return len(self.rows)

    def tile(self, low: int, high: int) -> Array:
        """Return points low to high of the samples in use, float64 (n_samples, high - low)."""
        part = np.asarray(self.images.values[:, low:high])
        everyone = len(self.rows) == len(part) and (np.diff(self.rows) == 1).all()
        return np.asarray(part if everyone else part[self.rows], np.float64)

    def groups(
        self, low: int, high: int, dtype: Any = np.float64, *, by_point: bool = False
    ) -> list[TraitGroup]:
        """Return points low to high as groups of traits that miss the same people.

        Where nobody is missing, a few points are residualised at a time, so that they stay in
        the cache, and stored as `dtype`; with `by_point` each point's people side by side.
        """
        n, k = self.n_samples, high - low
        q = basis(self.covariates)
        y = np.empty((k, n), dtype).T if by_point else np.empty((n, k), dtype)
        norm = np.empty(k)
        for first in range(0, k, _TOGETHER):
            part = self.tile(low + first, min(low + first + _TOGETHER, high))
            if by_point:
                part = np.asfortranarray(part)
            total = np.einsum("nk,nk->k", part, part)
            if not np.isfinite(total).all():
                return group_traits(self.tile(low, high), self.covariates)
            part = _less(part, q)
            size = np.einsum("nk,nk->k", part, part)
            if (size < 1e-6 * total).any():  # once more, where much was taken off
                part = _less(part, q)
                size = np.einsum("nk,nk->k", part, part)
            # Images are stored in single precision: what is left below it is rounding.
            flat = size <= np.square(4 * _EPS32) * total
            size = np.where(flat, 0.0, np.sqrt(size))
            last = first + part.shape[1]
            scale = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, size))
            np.multiply(part, scale, out=y[:, first:last], casting="same_kind")
            norm[first:last] = size
        traits = np.arange(k)
        return [TraitGroup(traits, np.empty(0, np.int64), q, y, norm, n)]


def _less(part: Array, q: Array) -> Array:
    """Return columns without what the basis explains, in the order of memory that they had."""
    if part.flags.f_contiguous:
        return np.asarray((part.T - (part.T @ q) @ q.T).T)
    return np.asarray(part - q @ (q.T @ part))


def prepare_images(
    images: ImageStack,
    predictors: GenotypeMatrix | Covariates | FrameLike,
    covariates: Covariates | FrameLike | None,
    *,
    need: int = 5,
) -> VoxelInput:
    """Return the input of a voxel-wise analysis on the samples that stand in every table.

    Raises
    ------
    InputError
        If there is no predictor.
    AlignmentError
        If fewer than `need` samples are common with complete covariates.
    """
    table = None if isinstance(predictors, GenotypeMatrix) else to_covariates(predictors)
    names = predictors.samples if isinstance(predictors, GenotypeMatrix) else table.samples  # type: ignore[union-attr]
    tables: dict[str, Any] = {"predictors": names, "images": images.samples}
    extra = None if covariates is None else to_covariates(covariates)
    if extra is not None:
        tables["covariates"] = extra.samples
    found = align(tables, need=need)
    reasons = [
        (row["sample"], f"absent from {row['absent_from']}")
        for row in found.dropped.iter_rows(named=True)
    ]
    x = np.empty((found.n_samples, 0)) if extra is None else extra.values[found.rows["covariates"]]
    whole = np.isfinite(x).all(axis=1)
    if table is not None:
        seen = np.isfinite(table.values[found.rows["predictors"]]).any(axis=1)
    else:
        seen = np.ones(found.n_samples, bool)
    for sample, ok, some in zip(found.samples, whole, seen, strict=True):
        if not (ok and some):
            why = "every predictor is missing" if ok else "a covariate is missing"
            reasons.append((sample, why))
    keep = np.flatnonzero(whole & seen)
    if len(keep) < need:
        raise AlignmentError(
            f"{found.describe()}; only {len(keep)} of them are complete; needed are {need}.",
            missing=[sample for sample, _ in reasons],
        )
    chosen = _predictors(predictors, table, found.rows["predictors"][keep])
    if not chosen.n:
        raise InputError("There is no predictor: the table has an id column only.")
    schema = {"sample": pl.String, "reason": pl.String}
    notes = (*images.notes, *((found.describe(),) if reasons else ()))
    return VoxelInput(
        chosen,
        images,
        found.rows["images"][keep],
        x[keep],
        () if extra is None else extra.names,
        tuple(found.samples[row] for row in keep),
        pl.DataFrame(reasons, schema=schema, orient="row"),
        notes,
    )


def _predictors(
    given: GenotypeMatrix | Covariates | FrameLike,
    table: Covariates | None,
    rows: NDArray[np.int64],
) -> Predictors:
    if isinstance(given, GenotypeMatrix):
        everyone = len(rows) == given.n_samples and (rows == np.arange(len(rows))).all()
        view = given if everyone else given.take_samples(rows)
        return Predictors(view.variants.select("chrom", "pos", "id", "ref", "alt"), view, None)
    assert table is not None
    frame = pl.DataFrame({"id": list(table.names)}, schema={"id": pl.String})
    return Predictors(frame, None, np.ascontiguousarray(table.values[rows].T))


def missing_squares(
    block: CentredBlock, weights: NDArray[np.float32], first: int, count: int
) -> NDArray[np.float32]:
    """Return of each row the sum of squares of some columns of `weights` at its missing calls."""
    out = np.empty((len(block.g), count), np.float32)
    size, stride = weights.shape
    _genotype.missing_sums(block.missing, block.ends, size, stride, first, count, weights, out)
    return out
