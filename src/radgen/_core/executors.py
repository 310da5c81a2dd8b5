"""One door to parallel work: serial, processes of this machine, or a Dask cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from radgen._core._worker import limit_threads
from radgen._core.blocks import map_units
from radgen._core.require import require
from radgen._version import __version__
from radgen.errors import InputError, RadgenError

__all__ = ["executor", "map_surviving"]

T = TypeVar("T")
R = TypeVar("R")
_log = logging.getLogger(__name__)
_PATIENCE = "10s"


@contextmanager
def executor(jobs: int = 1, cluster: str | None = None) -> Iterator[Executor | None]:
    """Yield where units are computed, in the shape of `concurrent.futures.Executor`.

    Parameters
    ----------
    jobs : int, default 1
        Processes of this machine; 1 = this process, 0 = one a processor.
    cluster : str or None
        Address of a ``dask.distributed`` scheduler ("tcp://host:8786") or the path of its
        scheduler file. SLURM, Kubernetes and cloud clusters come from dask-jobqueue and
        dask-gateway. `jobs` is not used then.

    Yields
    ------
    Executor or None
        None = serial, in this process.

    Raises
    ------
    InputError
        If `jobs` is negative, the scheduler does not answer, or its workers bear another
        version of radgen.
    MissingDependencyError
        If `cluster` is given and ``distributed`` is not installed.

    Notes
    -----
    Processes are spawned, not forked, and their numerical libraries use one thread each.
    Results do not depend on where units run: random streams belong to the unit.
    """
    if jobs < 0:
        raise InputError(f"jobs is {jobs}; needed is a number of processes, 0 = all processors.")
    if cluster:
        with _dask(cluster) as pool:
            yield pool
        return
    n_jobs = jobs or os.cpu_count() or 1
    if n_jobs == 1:
        yield None
        return
    with _processes(n_jobs) as pool:
        yield pool


def _processes(n_jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        n_jobs, mp_context=multiprocessing.get_context("spawn"), initializer=limit_threads
    )


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    distributed = require("distributed", extra="cluster")
    target = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
    try:
        client = distributed.Client(**target, set_as_default=False, timeout=_PATIENCE)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at {address!r} ({type(error).__name__}). Start one with "
            "'dask scheduler' and 'dask worker', or leave --cluster out."
        ) from error
    try:
        others = {
            worker: version
            for worker, version in client.run(_installed_version).items()
            if version != __version__
        }
        if others:
            worker, version = next(iter(others.items()))
            raise InputError(
                f"This is radgen {__version__}, but the worker {worker} has {version}. "
                "Install the same version on all workers."
            )
        yield client.get_executor(pure=False, retries=3)
    finally:
        client.close()


def _installed_version() -> str:
    return __version__


def map_surviving(
    function: Callable[[T], R],
    units: Sequence[T],
    *,
    pool: Executor | None,
    lost: Callable[[T, str], R],
    what: str,
    on_done: Callable[[int, R], Any] | None = None,
) -> list[R]:
    """Return ``[function(unit) for unit in units]``, and go on when a worker process dies.

    Parameters
    ----------
    function : callable
        A module-level function of one unit.
    units : sequence
        What is to be done.
    pool : Executor or None
        From `executor`.
    lost : callable
        ``lost(unit, reason)`` is the result of a unit that killed its worker.
    what : str
        Title of the progress bar.
    on_done : callable or None
        Called as ``on_done(index, result)`` in this process when a unit ends.

    Returns
    -------
    list
        Results in the order of `units`.

    Notes
    -----
    When the pool of local processes breaks (out of memory, killed), the units that had not
    ended run one at a time in a process of their own, so that the unit that kills its worker
    is known and the others are not lost with it.
    """
    results: dict[int, R] = {}

    def keep(index: int, result: R) -> None:
        results[index] = result
        if on_done is not None:
            on_done(index, result)

    try:
        map_units(function, units, executor=pool, what=what, on_done=keep)
    except BrokenExecutor:
        left = [index for index in range(len(units)) if index not in results]
        _log.warning("A worker process died; %d units run one at a time now.", len(left))
        for index in left:
            keep(index, _alone(function, units[index], lost))
    except RadgenError:
        raise
    except Exception as error:
        if type(error).__name__ != "KilledWorker":
            raise
        raise RadgenError(
            f"{what}: a unit killed several workers of the cluster, most likely for memory. "
            "Give the workers more memory and run the same command again; what is finished is kept."
        ) from error
    return [results[index] for index in range(len(units))]


def _alone(function: Callable[[T], R], unit: T, lost: Callable[[T, str], R]) -> R:
    with warnings.catch_warnings(), _processes(1) as pool:
        try:
            return pool.submit(function, unit).result()
        except BrokenExecutor:
            return lost(unit, "the worker process was killed, most likely for memory")
