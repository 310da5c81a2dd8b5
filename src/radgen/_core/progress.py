"""One progress hook: silent by default; the command line draws bars with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

__all__ = ["Tick", "progress", "progress_hook", "use_progress"]

Tick = Callable[[int], None]
Hook = Callable[[str, int | None], AbstractContextManager[Tick]]


@contextmanager
def _silent(_what: str, _total: int | None) -> Iterator[Tick]:
    yield lambda _n: None


_HOOK: ContextVar[Hook] = ContextVar("radgen_progress", default=_silent)


def progress_hook() -> Hook:
    """Return the hook in force."""
    return _HOOK.get()


def progress(what: str, total: int | None = None) -> AbstractContextManager[Tick]:
    """Return a context that gives ``tick(n)``: n more units are done.

    Parameters
    ----------
    what : str
        What is being done, as a person reads it: "Extracting features".
    total : int or None
        Number of units, where it is known.

    Returns
    -------
    context manager of callable
        Call it with the number of finished units.

    Examples
    --------
    >>> with progress("Counting", 2) as tick:
    ...     tick(1)
    ...     tick(1)
    """
    return _HOOK.get()(what, total)


@contextmanager
def use_progress(hook: Hook) -> Iterator[None]:
    """Set the progress hook within a ``with`` block."""
    token = _HOOK.set(hook)
    try:
        yield
    finally:
        _HOOK.reset(token)
