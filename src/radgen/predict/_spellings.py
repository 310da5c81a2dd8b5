"""Which values of an outcome column are one class, however people spelt them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from radgen._core.naming import counted, did_you_mean
from radgen.errors import InputError, shown
from radgen.io.calls import BINARY_WORDS, UNKNOWN_WORDS
from radgen.io.tables import is_spreadsheet_error

__all__ = ["PARTED", "Sides", "state_of", "take_sides", "two_states"]

PARTED = "|"
"""Parts the values where several are named."""

_STATES = {
    "".join(ch for ch in word if ch.isalnum()): code
    for code, words in BINARY_WORDS.items()
    for word in words
    if word != "+"
} | {
    "codeletion": 1.0, "methylation": 1.0, "amplification": 1.0, "expressed": 1.0,
    "detected": 1.0, "notdetected": 0.0, "nomutation": 0.0,
}  # fmt: skip
_NOT = re.compile(r"(non|not|un|no)(?=\w{3})")
_AMINO = r"([A-Z]|[A-Z][a-z]{2})"
_CHANGE = re.compile(rf"(p\.)?{_AMINO}\d+({_AMINO}|\*|_\S+|fs\S*|del\S*|ins\S*)")
_QUALIFIERS = {"nos", "relative", "partial", "status", "ihc", "ngs"}
# These can be an outcome in their own right ("responded", "failed").
_RATHER_KNOWN = {"failed", "np", "ns", "nos"}
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Sides:
    """Values of a column that are the named class, the other class, and no value at all.

    Attributes
    ----------
    named, other, missing : frozenset of str
    notes : tuple of str
        What was taken together or left out.
    """

    named: frozenset[str]
    other: frozenset[str]
    missing: frozenset[str]
    notes: tuple[str, ...] = ()


def _key(text: str) -> str:
    return "".join(ch for ch in text.casefold() if ch.isalnum()) or text.strip()


def state_of(cell: str, header: str) -> tuple[float | None, bool]:
    """Return 0, 1 or None (not known) of a call, and whether it is a single protein change.

    Parameters
    ----------
    cell : str
        As written; the words of the header may stand in it.
    header : str
        Name of its column.

    Examples
    --------
    >>> state_of("IDH-wild type", "IDH status")
    (0.0, False)
    >>> state_of("IDH1 R132H", "IDH status")
    (1.0, True)
    >>> state_of("codeleted, grade 3", "IDH status")
    (None, False)
    """
    text = cell.strip()
    if text == "+":
        return 1.0, False
    own = {word.casefold() for word in _WORD.findall(header)}
    parts = [w for w in re.split(r"[\s\-:,/()]+", text) if w and not _is_own(w.casefold(), own)]
    if len(parts) == 1 and _CHANGE.fullmatch(parts[0]):
        return 1.0, True
    kept = [w for w in parts if w.casefold().strip(".") not in _QUALIFIERS]
    if not kept:
        return None, False
    key = _key("".join(kept))
    if key not in _STATES and _STATES.get(_NOT.sub("", key, count=1)) == 1.0 and _NOT.match(key):
        return 0.0, False
    return _STATES.get(key), False


def _is_own(word: str, own: set[str]) -> bool:
    return any(word == name or re.fullmatch(rf"{re.escape(name)}\d", word) for name in own)


def _unknown(cell: str, readable: bool) -> bool:
    key = " ".join(cell.split()).casefold()
    words = UNKNOWN_WORDS if readable else UNKNOWN_WORDS - _RATHER_KNOWN
    return key in words or is_spreadsheet_error(cell)


def two_states(levels: Sequence[str], header: str) -> dict[str, float]:
    """Return the state of each value that has one; empty unless all known values have."""
    known = [level for level in levels if not _unknown(level, True)]
    states = {level: state_of(level, header)[0] for level in known}
    found = {level: state for level, state in states.items() if state is not None}
    return found if len(found) == len(states) else {}


def take_sides(levels: Sequence[str], counts: Mapping[str, int], named: str, header: str) -> Sides:
    """Return which values of a column belong to the class that the user named.

    Parameters
    ----------
    levels : sequence of str
        All values of the column.
    counts : mapping of str to int
        How often each stands there.
    named : str
        A value ("mutant": every spelling of it, where all values of the column can be read), or
        several parted by ``|`` (these and no others).
    header : str
        Name of the column.

    Returns
    -------
    Sides
        The two classes.

    Raises
    ------
    InputError
        If there is no such value, or others seem to mean the same and would be the other class.
    """
    states = two_states(levels, header)
    alone = named in levels or PARTED not in named
    asked = [named] if alone else [part.strip() for part in named.split(PARTED) if part.strip()]
    blank = {level for level in levels if _unknown(level, bool(states)) and level not in asked}
    rest = [level for level in levels if level not in blank]
    taken: set[str] = set()
    for part in asked:
        taken |= _matching(part, rest, states, header, alone=alone)
    notes = []
    if blank:
        cells = sum(counts[level] for level in blank)
        told = shown(sorted(blank), 4)
        notes.append(f"{counted(cells, 'cell')} of {header!r} ({told}) taken as missing")
    if len(taken) > len(asked):
        told = shown([f"{level!r} ({counts[level]})" for level in sorted(taken)], 12)
        notes.append(f"{header!r}: taken together as {named!r} are {told}")
    return Sides(frozenset(taken), frozenset(set(rest) - taken), frozenset(blank), tuple(notes))


def _matching(
    part: str, levels: Sequence[str], states: Mapping[str, float], header: str, *, alone: bool
) -> set[str]:
    state, single = state_of(part, header)
    found = {level for level in levels if level == part}
    if found and not alone:
        return found
    if not found or alone:
        found |= {level for level in levels if _key(level) == _key(part)}
    if states and state is not None and not single:
        return found | {level for level, own in states.items() if own == state}
    if not found:
        raise InputError(f"{header!r}: no value {part!r}. {did_you_mean(part, list(levels))}")
    same = []
    for level in levels:
        own, one = state_of(level, header)
        if level not in found and own is not None and own == state and not (single and one):
            same.append(level)
    if same and alone:
        both = PARTED.join([*sorted(found), *sorted(same)])
        raise InputError(
            f"{header!r}: {shown(sorted(same))} seem to mean the same as {part!r} and would be "
            f"counted against it. Name all that belong together ({both!r}), or {part + PARTED!r} "
            "for this value alone."
        )
    return found
