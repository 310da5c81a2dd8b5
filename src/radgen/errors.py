"""The error tree: every failure that radgen can explain is a `RadgenError`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "AlignmentError",
    "Approximation",
    "ConfigError",
    "DroppedSamples",
    "FitError",
    "FormatError",
    "GeometryError",
    "InputError",
    "MissingDependencyError",
    "RadgenError",
    "RadgenWarning",
    "SmallSample",
    "shown",
]

_AT_MOST = 5


def shown(items: Iterable[object], at_most: int = _AT_MOST) -> str:
    """Return the first few items as text, and how many more there are.

    Parameters
    ----------
    items : iterable
        Ids, names or paths to print.
    at_most : int, default 5
        How many are printed before the rest is only counted.

    Returns
    -------
    str
        For example ``"a, b, c, d, e and 7 more"``.

    Examples
    --------
    >>> shown(range(7))
    '0, 1, 2, 3, 4 and 2 more'
    """
    texts = [str(item) for item in items]
    head = ", ".join(texts[:at_most])
    more = len(texts) - at_most
    return f"{head} and {more} more" if more > 0 else head


class RadgenError(Exception):
    """Base of all errors that radgen raises on purpose."""


class InputError(RadgenError, ValueError):
    """A bad argument or value."""


class ConfigError(RadgenError, ValueError):
    """A study file or a settings file that cannot be used as it stands."""

    def __init__(self, message: str, *, problems: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class AlignmentError(RadgenError, ValueError):
    """Samples of two tables do not match, or an id is repeated."""

    def __init__(
        self, message: str, *, missing: Iterable[str] = (), repeated: Iterable[str] = ()
    ) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.repeated = tuple(repeated)


class GeometryError(RadgenError, ValueError):
    """Two grids (image and mask, say) disagree."""

    def __init__(self, message: str, *, left: Any = None, right: Any = None) -> None:
        super().__init__(message)
        self.left = left
        self.right = right


class FormatError(RadgenError, ValueError):
    """A file breaks its format."""

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None
    ) -> None:
        where = "" if path is None else f"{path}{'' if line is None else f':{line}'}: "
        super().__init__(f"{where}{message}")
        self.path = None if path is None else Path(path)
        self.line = line


class FitError(RadgenError, RuntimeError):
    """A model could not be fitted: no convergence, separation, lost rank."""

    def __init__(self, message: str, *, diagnostics: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.diagnostics = dict(diagnostics or {})


class MissingDependencyError(RadgenError, ImportError):
    """An optional package is needed; the message names the pip extra."""


class RadgenWarning(UserWarning):
    """Base of all warnings that radgen raises."""


class DroppedSamples(RadgenWarning):
    """Samples were left out; the message says how many and why."""


class SmallSample(RadgenWarning):
    """Too few samples or events for what is asked."""


class Approximation(RadgenWarning):
    """An exact answer was not possible; the message names the approximation."""
