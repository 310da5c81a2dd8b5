"""Benjamini-Hochberg values of more p-values than fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radgen.stats.multiplicity import PI0_GRID, bh, pi0_of_counts, two_level

__all__ = ["Ledger", "Steps"]

Array = NDArray[np.float64]

_CHUNK = 1 << 20
_SAMPLED = 1 << 14


class Steps:
    """The BH value as a step function of log10 p: constant up to each of its points.

    Parameters
    ----------
    points, values : ndarray of float64
        Ascending log10 p, and the BH value of all that lie at or below a point and above the
        one before. They may be memory maps.
    """

    def __init__(self, points: Array, values: Array) -> None:
        self.points, self.values = points, values

    def __call__(self, ascending: Array) -> Array:
        """Return the BH values of ascending log10 p that are all among those collected."""
        place = np.searchsorted(self.points, ascending, side="left")
        return np.asarray(self.values[place])

    @property
    def least(self) -> float:
        """Smallest value, Simes' p; NaN without a test."""
        return float(self.values[0]) if len(self.values) else float("nan")


class Ledger:
    """Collect log10 p by family on disk; then adjust blocks of them again in bounded memory.

    Parameters
    ----------
    folder : Path
        An existing folder for temporary files.
    n_families : int
        Number of families.
    """

    def __init__(self, folder: Path, n_families: int) -> None:
        self.folder = folder
        self.count = np.zeros(n_families, dtype=np.int64)
        self.above = np.zeros(len(PI0_GRID), dtype=np.int64)
        self._within: list[Steps] = []
        self._across = np.zeros(0)
        self._all = Steps(np.zeros(0), np.zeros(0))

    def add(self, log10p: Array, family: NDArray[np.int64]) -> None:
        """Take the tests of a block; NaN is no test."""
        known = ~np.isnan(log10p)
        log10p, family = log10p[known], family[known]
        limits = np.log10(PI0_GRID)
        bins = np.searchsorted(limits, log10p, side="right")
        below = np.bincount(bins, minlength=len(limits) + 1)
        self.above += len(log10p) - np.cumsum(below)[:-1]
        order = np.argsort(family, kind="stable")
        bounds = np.searchsorted(family[order], np.arange(len(self.count) + 1))
        for number in np.flatnonzero(np.diff(bounds)):
            part = log10p[order[bounds[number] : bounds[number + 1]]]
            self.count[number] += len(part)
            with self._file(int(number)).open("ab") as stream:
                stream.write(part.tobytes())

    def close(self) -> None:
        """Work out the step functions of each family and of all tests together."""
        files = [self._file(number) for number in range(len(self.count))]
        for number, file in enumerate(files):
            self._within.append(_steps([file], self.folder / f"within-{number}"))
        self._all = _steps(files, self.folder / "all")
        self._across = bh(np.array([item.least for item in self._within]))

    @property
    def n_tests(self) -> int:
        """Number of tests."""
        return int(self.count.sum())

    @property
    def pi0(self) -> float:
        """Estimated share of true nulls."""
        return pi0_of_counts(self.n_tests, self.above)

    def adjusted(self, log10p: Array, family: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return BH values over all tests, and two-level q-values; NaN where there is no test."""
        whole, within = np.full(log10p.shape, np.nan), np.full(log10p.shape, np.nan)
        # Ascending values walk through the steps instead of jumping about in them.
        order = np.argsort(log10p)
        order = order[: np.count_nonzero(~np.isnan(log10p))]
        whole[order] = self._all(log10p[order])
        for number in np.unique(family):
            here = order[family[order] == number]
            if len(here):
                within[here] = self._within[number](log10p[here])
        return whole, two_level(within, family, self._across)

    def release(self) -> None:
        """Let go of the temporary files, which some systems cannot remove before."""
        self._within, self._all = [], Steps(np.zeros(0), np.zeros(0))

    def _file(self, number: int) -> Path:
        return self.folder / f"family-{number}.f64"


def _steps(files: Sequence[Path], stem: Path) -> Steps:
    """Sort the values of files bucket by bucket, largest first, and keep where BH changes."""
    files = [file for file in files if file.exists()]
    total = sum(file.stat().st_size for file in files) // 8
    if not total:
        return Steps(np.zeros(0), np.zeros(0))
    rank, carried = total, np.inf
    n_kept = 0
    with Path(f"{stem}.points").open("wb") as points, Path(f"{stem}.values").open("wb") as values:
        for bucket in _descending(files, total, stem):
            bucket.sort()
            ranks = np.arange(rank - len(bucket) + 1, rank + 1)
            scaled = 10.0**bucket * (total / ranks)
            running = np.minimum.accumulate(scaled[::-1])
            running = np.minimum(running, carried)
            # Descending: a point is kept where the running minimum falls below what it was.
            before = np.concatenate([[carried], running[:-1]])
            fell = running < before
            points.write(bucket[::-1][fell].tobytes())
            values.write(running[fell].tobytes())
            n_kept += int(fell.sum())
            rank -= len(bucket)
            carried = float(running[-1])
    both = [
        np.memmap(f"{stem}.{name}", dtype=np.float64, mode="r", shape=(n_kept,))[::-1]
        for name in ("points", "values")
    ]
    return Steps(*both)


def _descending(files: Sequence[Path], total: int, stem: Path) -> Iterator[Array]:
    """Yield the values in buckets, each about `_CHUNK` long, from the largest to the smallest."""
    if total <= _CHUNK:
        yield np.concatenate([np.fromfile(file) for file in files])
        return
    n_buckets = -(-total // (_CHUNK // 2))
    sample = np.concatenate([chunk[:: max(total // _SAMPLED, 1)] for chunk in _chunks(files)])
    edges = np.unique(np.quantile(sample, np.arange(1, n_buckets) / n_buckets))
    parts = [Path(f"{stem}.bucket-{number}") for number in range(len(edges) + 1)]
    for chunk in _chunks(files):
        # A value on an edge goes to the bucket above it, so that ties stay together.
        bucket = np.searchsorted(edges, chunk, side="right")
        order = np.argsort(bucket, kind="stable")
        bounds = np.searchsorted(bucket[order], np.arange(len(parts) + 1))
        for number in np.flatnonzero(np.diff(bounds)):
            with parts[number].open("ab") as stream:
                stream.write(chunk[order[bounds[number] : bounds[number + 1]]].tobytes())
    for part in reversed(parts):
        if part.exists():
            yield np.fromfile(part)
            part.unlink()


def _chunks(files: Sequence[Path]) -> Iterator[Array]:
    for file in files:
        with file.open("rb") as stream:
            while data := stream.read(8 * _CHUNK):
                yield np.frombuffer(data)
