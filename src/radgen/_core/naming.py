"""Words of messages: the nearest known name, counted things."""

from __future__ import annotations

from collections.abc import Iterable

from radgen.errors import InputError, shown

__all__ = ["counted", "did_you_mean", "nearest", "require_choice"]


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, "1 cell" or "2 cells".

    Examples
    --------
    >>> counted(1, "cell"), counted(1200, "cell")
    ('1 cell', '1,200 cells')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, or None where none is close."""
    from difflib import get_close_matches

    candidates = list(known)
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    found = get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.55)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the closing sentence of an error about an unknown name."""
    candidates = sorted(known)
    near = nearest(name, candidates)
    if near is not None:
        return f"Did you mean {near!r}?"
    return f"Known: {shown(candidates, at_most=20)}." if candidates else "None is known."


def require_choice(value: str, known: Iterable[str], *, what: str) -> str:
    """Return `value` where it is one of `known`; otherwise raise and name the nearest.

    Raises
    ------
    InputError
        If `value` is not among `known`.
    """
    candidates = list(known)
    if value not in candidates:
        raise InputError(f"Unknown {what} {value!r}. {did_you_mean(value, candidates)}")
    return value
