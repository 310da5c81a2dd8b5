"""Send variant blocks to workers, and take their tests back in order."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import accumulate
from typing import Protocol

import numpy as np

from radgen._core.blocks import block_ranges
from radgen._core.later import load_beside
from radgen._core.progress import progress
from radgen._core.threads import n_threads
from radgen.associate.genomewide._backend import one_thread_each
from radgen.associate.genomewide._rows import TestRows
from radgen.genome._blocks import BlockSource, is_sequential, read_source
from radgen.types import GenotypeMatrix

__all__ = ["Scan", "cut", "run_blocks"]


class Scan(Protocol):
    """A model that is ready to test blocks."""

    def scan(self, source: BlockSource) -> TestRows:
        """Return the kept tests of one block."""
        ...


def cut(
    genotypes: GenotypeMatrix,
    block_size: int | None,
    runs: Sequence[tuple[str, int]] | None = None,
) -> list[tuple[int, int]]:
    """Return blocks of variants that do not cross a chromosome, about 32 MiB each decoded.

    `runs` stand for `GenotypeMatrix.chromosome_runs` where they are given.
    """
    size = block_size or int(np.clip((8 << 20) // max(genotypes.n_samples, 1), 16, 4096))
    lengths = [length for _, length in (genotypes.chromosome_runs if runs is None else runs)]
    blocks: list[tuple[int, int]] = []
    at = 0
    for length in lengths:
        blocks += [(at + low, at + high) for low, high in block_ranges(length, size)]
        at += length
    return blocks


def _scan_source(scan: Scan, source: BlockSource) -> TestRows:
    return scan.scan(source)


def _scan_file(scan: Scan, genotypes: GenotypeMatrix, start: int, stop: int) -> TestRows:
    return scan.scan(read_source(genotypes, start, stop))


def run_blocks(
    scan_of: Callable[[str], Scan],
    genotypes: GenotypeMatrix,
    blocks: Sequence[tuple[int, int]],
    *,
    jobs: int | None,
    executor: Executor | None,
    runs: Sequence[tuple[str, int]] | None = None,
) -> Iterator[TestRows]:
    """Yield the tests of each block, in the order of `blocks`.

    Parameters
    ----------
    scan_of : callable
        Gives the model of a chromosome.
    genotypes : GenotypeMatrix
        Samples as the model knows them.
    blocks : sequence of (int, int)
        From `cut`.
    jobs : int or None
        Threads of this process, used where `executor` is None.
    executor : concurrent.futures.Executor or None
        Any executor whose workers see the genotype file.
    runs : sequence of (str, int) or None
        What `scan_of` is asked for, with numbers of variants; None = the chromosomes.
    """
    workers = n_threads(jobs)
    runs = genotypes.chromosome_runs if runs is None else runs
    starts = [0, *accumulate(length for _, length in runs)]
    ahead = is_sequential(genotypes)
    bare = genotypes

    def submit(pool: Executor, start: int, stop: int) -> Future[TestRows]:
        scan = scan_of(str(runs[bisect_right(starts, start) - 1][0]))
        if ahead:
            return pool.submit(_scan_source, scan, read_source(genotypes, start, stop))
        return pool.submit(_scan_file, scan, bare, start, stop)

    with progress("Scanning variants", genotypes.n_variants) as tick:
        if executor is not None:
            yield from _in_order(executor, submit, blocks, 64, tick)
            return
        with one_thread_each(True), ThreadPoolExecutor(workers) as pool:
            yield from _in_order(pool, submit, blocks, workers + 1, tick)


def _in_order(
    pool: Executor,
    submit: Callable[[Executor, int, int], Future[TestRows]],
    blocks: Sequence[tuple[int, int]],
    ahead: int,
    tick: Callable[[int], None],
) -> Iterator[TestRows]:
    waiting: deque[tuple[int, Future[TestRows]]] = deque()
    todo, first = iter(blocks), True
    try:
        while True:
            while len(waiting) < ahead:
                block = next(todo, None)
                if block is None:
                    break
                waiting.append((block[1] - block[0], submit(pool, *block)))
            if first:
                load_beside("polars")  # blocks are on their way; their rows will need it
                first = False
            if not waiting:
                return
            size, future = waiting.popleft()
            rows = future.result()
            tick(size)
            yield rows
    finally:
        for _, future in waiting:
            future.cancel()
