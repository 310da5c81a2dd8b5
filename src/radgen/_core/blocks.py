"""Cut work into blocks and send units through one executor-shaped door."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, TypeVar

from radgen._core.progress import progress

__all__ = ["block_ranges", "iter_units", "map_units"]

T = TypeVar("T")
R = TypeVar("R")


def block_ranges(n_items: int, block_size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of consecutive blocks.

    Examples
    --------
    >>> list(block_ranges(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, n_items, block_size):
        yield start, min(start + block_size, n_items)


def map_units(
    function: Callable[..., R],
    units: Sequence[T] | Iterable[T],
    *,
    executor: Executor | None = None,
    what: str = "Working",
    ahead: int = 64,
    on_done: Callable[[int, R], Any] | None = None,
) -> list[R]:
    """Return ``[function(unit) for unit in units]``, computed wherever the executor runs.

    Parameters
    ----------
    function : callable
        A module-level function of one unit.
    units : sequence
        What is to be done, one argument each.
    executor : concurrent.futures.Executor or None
        Serial in this process where it is None. Any object with ``submit`` whose futures are
        `concurrent.futures.Future` serves: processes, threads, ``dask.distributed``.
    what : str
        Title of the progress bar.
    ahead : int, default 64
        How many units may be queued at a time, so that a million units need no million futures.
    on_done : callable or None
        Called in this process as ``on_done(index, result)`` when a unit ends, in any order.

    Returns
    -------
    list
        Results in the order of `units`, whatever order they ended in.
    """
    todo = list(units)
    results: list[Any] = [None] * len(todo)
    with progress(what, len(todo)) as tick:
        if executor is None:
            for index, unit in enumerate(todo):
                results[index] = function(unit)
                if on_done is not None:
                    on_done(index, results[index])
                tick(1)
            return results
        running: dict[Future[R], int] = {}
        queue = iter(enumerate(todo))
        exhausted = False
        try:
            while running or not exhausted:
                while not exhausted and len(running) < ahead:
                    item = next(queue, None)
                    if item is None:
                        exhausted = True
                        break
                    running[executor.submit(function, item[1])] = item[0]
                if not running:
                    break
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    index = running.pop(future)
                    results[index] = future.result()
                    if on_done is not None:
                        on_done(index, results[index])
                    tick(1)
        finally:
            for future in running:
                future.cancel()
    return results


def iter_units(
    function: Callable[..., R],
    units: Iterable[T],
    *,
    executor: Executor | None = None,
    ahead: int = 4,
) -> Iterator[R]:
    """Yield ``function(unit)`` for each unit, in order; few units and results exist at a time.

    Parameters
    ----------
    function : callable
        A module-level function of one unit.
    units : iterable
        What is to be done; made when it is needed.
    executor : concurrent.futures.Executor or None
        Serial in this process where it is None.
    ahead : int, default 4
        How many units may be under way: the bound of the memory.

    Yields
    ------
    Any
        Results in the order of `units`.
    """
    if executor is None:
        yield from map(function, units)
        return
    waiting: deque[Future[R]] = deque()
    try:
        for unit in units:
            waiting.append(executor.submit(function, unit))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
