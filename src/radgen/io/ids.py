"""Bring the ids of different tables to one spelling by a declared rule."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from radgen.errors import AlignmentError, InputError, shown

__all__ = ["IdRule", "normalise_ids"]


@dataclass(frozen=True, slots=True)
class IdRule:
    """How an id is cleaned; steps apply in the order of the fields.

    Attributes
    ----------
    strip_prefix, strip_suffix : str
        Removed where present.
    pattern : str
        Regular expression; the id is its first group, or the whole match where it has none.
    first : int
        Keep this many characters (12 for TCGA patient barcodes); 0 = all.
    case : str
        "keep", "upper" or "lower".
    strip_zeros : bool
        Remove zeros on the left.
    replace : mapping of str to str
        Text that becomes another, such as "_" to "-".
    """

    strip_prefix: str = ""
    strip_suffix: str = ""
    pattern: str = ""
    first: int = 0
    case: str = "keep"
    strip_zeros: bool = False
    replace: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.case not in ("keep", "upper", "lower"):
            raise InputError(f"case is {self.case!r}; it is 'keep', 'upper' or 'lower'.")
        if self.first < 0:
            raise InputError(f"An id rule keeps 0 (all) or more characters, not {self.first}.")
        if "" in self.replace:
            raise InputError("An id rule replaces text: the text to replace is empty.")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise InputError(
                f"The id pattern {self.pattern!r} is no regular expression: {error}."
            ) from error

    def clean(self, text: str) -> str:
        """Return one id after the rule.

        Raises
        ------
        InputError
            If the pattern does not match it.
        """
        out = text.strip().removeprefix(self.strip_prefix).removesuffix(self.strip_suffix)
        if self.pattern:
            match = re.search(self.pattern, out)
            if match is None:
                raise InputError(f"The id {text!r} does not match the pattern {self.pattern!r}.")
            out = (match.group(1) if match.re.groups else match.group(0)) or ""
        if self.first:
            out = out[: self.first]
        if self.case != "keep":
            out = out.upper() if self.case == "upper" else out.lower()
        out = out.lstrip("0") if self.strip_zeros else out
        for old, new in self.replace.items():
            out = out.replace(old, new)
        if not out:
            raise InputError(f"The id rule leaves nothing of the id {text!r}.")
        return out


def normalise_ids(ids: Sequence[str], rule: IdRule, *, what: str = "table") -> list[str]:
    """Return ids after a rule; raise where two different ids become one.

    Parameters
    ----------
    ids : sequence of str
        As they stand in the table; equal ids stay equal.
    rule : IdRule
        What is done to each.
    what : str
        Name of the table for messages.

    Returns
    -------
    list of str
        In the same order.

    Raises
    ------
    AlignmentError
        If different ids become equal.

    Examples
    --------
    >>> normalise_ids(["R01-001L", "R01-002"], IdRule(strip_suffix="L"))
    ['R01-001', 'R01-002']
    """
    cleaned = [rule.clean(item) for item in ids]
    source: dict[str, str] = {}
    clashes = []
    for before, after in zip(ids, cleaned, strict=True):
        if source.setdefault(after, before) != before:
            clashes.append(f"{source[after]} and {before} -> {after}")
    if clashes:
        raise AlignmentError(
            f"{what}: the id rule makes different ids equal: {shown(clashes)}. "
            "Change the rule, or leave out all but one of them.",
            repeated=clashes,
        )
    return cleaned
