"""Work on units, scan by scan: what is stored is taken, what is computed is stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from radgen._core.digest import digest
from radgen._core.executors import map_surviving
from radgen.study.cache import Codec
from radgen.study.context import Context
from radgen.study.measure import MEASURE, lost_unit
from radgen.study.provenance import StepRecord

__all__ = ["stored_or_computed", "unit_key"]

T = TypeVar("T")


def unit_key(unit: Any, context: Context) -> str:
    """Return the key of a unit: recipe and content of the files, not their names."""
    image, mask = (context.files.of(Path(p)) for p in (unit.image, unit.mask))
    return digest(MEASURE[0], MEASURE[1], unit.recipe(), image, mask)


def stored_or_computed(
    units: Sequence[Any],
    results: list[T | None],
    context: Context,
    *,
    step: tuple[str, int],
    codec: Codec[T],
    function: Callable[[Any], Any],
    convert: Callable[[Any], T],
    what: str,
    failed: Callable[[T], bool],
    key_of: Callable[[Any, Context], str] | None = None,
) -> list[T]:
    """Return a result for each unit; what is computed is stored as soon as it is there."""
    named = unit_key if key_of is None else key_of
    begun = time.perf_counter()
    keys: dict[int, str] = {}
    for place, unit in enumerate(units):
        if results[place] is None:
            keys[place] = named(unit, context)
            results[place] = context.cache.load(step[0], keys[place], codec)
    todo = [place for place in keys if results[place] is None]

    def keep(index: int, plain: Any) -> None:
        place = todo[index]
        value = convert(plain)
        if not failed(value):
            context.cache.store(step[0], keys[place], value, codec)
            value = context.cache.load(step[0], keys[place], codec) or value
        results[place] = value

    map_surviving(
        function,
        [units[place] for place in todo],
        pool=context.pool,
        lost=lost_unit,
        what=what,
        on_done=keep,
    )
    done = [item for item in results if item is not None]
    n_failed = sum(failed(item) for item in done)
    seconds = time.perf_counter() - begun
    whole = digest(sorted(keys.values()))
    context.recorder.add(
        StepRecord(step[0], step[1], whole, len(units), len(todo), n_failed, seconds)
    )
    return done
