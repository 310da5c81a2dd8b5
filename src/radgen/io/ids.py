"""Sample ids that tables spell differently: declared rules, never a guess."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from radgen.errors import AlignmentError, InputError, shown

__all__ = ["IdRule", "normalise_ids"]


@dataclass(frozen=True, slots=True)
class IdRule:
    """How an id becomes the name that joins tables; applied in the order of the fields.

    Attributes
    ----------
    trim : bool
        Remove blanks at both ends.
    strip_prefix, strip_suffix : str
        Removed where present: ``strip_suffix="L"`` turns ``AMC-008L`` into ``AMC-008``.
    pattern : str
        Regular expression; the id becomes its first group, or the whole match where it has
        none. An id that does not match is an error.
    replace : tuple of (str, str)
        Regular expressions and what replaces them, in order.
    first : int or None
        Keep the first characters: 12 for the patient part of a TCGA barcode.
    case : {"keep", "upper", "lower"}
        Letter case.
    """

    trim: bool = True
    strip_prefix: str = ""
    strip_suffix: str = ""
    pattern: str = ""
    replace: tuple[tuple[str, str], ...] = ()
    first: int | None = None
    case: Literal["keep", "upper", "lower"] = "keep"

    def __post_init__(self) -> None:
        for pattern in (self.pattern, *(old for old, _ in self.replace)):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(
                    f"{pattern!r} is no regular expression: {error}. Correct the id rule."
                ) from error
        if self.first is not None and self.first < 1:
            raise InputError(f"An id rule keeps at least 1 character, not first={self.first}.")
        if self.case not in ("keep", "upper", "lower"):
            raise InputError(f"case is 'keep', 'upper' or 'lower', not {self.case!r}.")

    def apply(self, sample: str) -> str:
        """Return one id under this rule.

        Raises
        ------
        InputError
            If the pattern does not match, or nothing is left.
        """
        out = sample.strip() if self.trim else sample
        out = out.removeprefix(self.strip_prefix)
        if self.strip_suffix:
            out = out.removesuffix(self.strip_suffix)
        if self.pattern:
            found = re.search(self.pattern, out)
            if found is None:
                raise InputError(f"The id {sample!r} does not match {self.pattern!r}.")
            out = (found.group(1) if found.re.groups else found.group(0)) or ""
        for old, new in self.replace:
            out = re.sub(old, new, out)
        if self.first is not None:
            out = out[: self.first]
        out = {"upper": out.upper(), "lower": out.lower()}.get(self.case, out)
        if not out:
            raise InputError(f"The id rule leaves nothing of the id {sample!r}.")
        return out


def normalise_ids(ids: Iterable[str], rule: IdRule | None = None) -> tuple[str, ...]:
    """Return the ids under a rule; two ids that become one are refused.

    Parameters
    ----------
    ids : iterable of str
        Ids as a table spells them.
    rule : IdRule or None
        None trims blanks alone.

    Returns
    -------
    tuple of str
        One per id, in order.

    Raises
    ------
    AlignmentError
        If ids are the same after the rule; ``.repeated`` names them.
    InputError
        If the rule does not apply to an id.

    Examples
    --------
    >>> normalise_ids(["AMC-008L", "AMC-009"], IdRule(strip_suffix="L"))
    ('AMC-008', 'AMC-009')
    """
    chosen = rule or IdRule()
    sources: dict[str, list[str]] = defaultdict(list)
    out = []
    for sample in ids:
        new = chosen.apply(str(sample))
        sources[new].append(str(sample))
        out.append(new)
    repeated = {new: old for new, old in sources.items() if len(old) > 1}
    if repeated:
        raise AlignmentError(
            "Ids are the same after the id rule: "
            + shown(f"{' and '.join(old[:3])} -> {new}" for new, old in repeated.items())
            + ". Choose one row each, or a rule that keeps them apart.",
            repeated=repeated,
        )
    return tuple(out)
