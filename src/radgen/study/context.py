"""What the steps of one run share: cache, provenance, workers, log."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from radgen.errors import RadgenWarning
from radgen.study.cache import Cache, Codec, FileDigests
from radgen.study.provenance import Recorder, StepRecord

__all__ = ["Context", "collected_warnings", "log_to"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass
class Context:
    """One run at work.

    Attributes
    ----------
    out : Path
        Output folder.
    cache : Cache
        Stored results.
    files : FileDigests
        Digests of input files.
    recorder : Recorder
        Provenance.
    pool : Executor or None
        Where units run; None = in this process.
    limits : list of str
        Limits that the run found, as sentences of the report.
    failures : list of str
        Analyses that could not be done, with the reason.
    """

    out: Path
    cache: Cache
    files: FileDigests
    recorder: Recorder
    pool: Executor | None
    limits: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def step(
        self,
        name: str,
        version: int,
        *,
        params: Any,
        inputs: Any,
        compute: Callable[[], T],
        codec: Codec[T],
    ) -> tuple[T, str]:
        """Return the result of a step, stored or computed, and its key.

        Notes
        -----
        A computed result is stored and read back, so that a run that computes and a run that
        finds it stored go on with the same values.
        """
        begun = time.perf_counter()
        key = self.cache.key(name, version, params, inputs)
        value = self.cache.load(name, key, codec)
        computed = value is None
        if value is None:
            _log.info("Step %s: computing.", name)
            self.cache.store(name, key, compute(), codec)
            value = self.cache.load(name, key, codec)
            assert value is not None
        else:
            _log.info("Step %s: taken from an earlier run.", name)
        seconds = time.perf_counter() - begun
        self.recorder.add(StepRecord(name, version, key, 1, int(computed), 0, seconds))
        return value, key


@contextmanager
def collected_warnings(limits: list[str]) -> Iterator[None]:
    """Keep radgen's warnings as limits of the run instead of printing them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for item in caught:
        text = str(item.message)
        if issubclass(item.category, RadgenWarning) and text not in limits:
            limits.append(text)
        else:
            _log.info("A %s was raised.", item.category.__name__)


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Write radgen's log to a file while a run lasts; it holds no ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("radgen")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
        handler.close()
