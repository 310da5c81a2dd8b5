"""Spellings of categories: declared, case-blind and blank-blind; the rest is listed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from radgen.errors import InputError

__all__ = ["apply_spellings"]


def apply_spellings(
    values: Iterable[object], mapping: Mapping[str, Sequence[str]]
) -> tuple[list[str | None], list[str]]:
    """Return the categories of values, and the values that no category names.

    Parameters
    ----------
    values : iterable of str or None
        Cells; None and blank cells are missing.
    mapping : mapping of str to sequence of str
        Category and its spellings. A category is a spelling of itself. Case, and the number of
        blanks, do not count.

    Returns
    -------
    mapped : list of str or None
        The category of each value; None = missing or not named.
    unmapped : list of str
        The distinct values that are not named, in order of appearance, as spelled.

    Raises
    ------
    InputError
        If one spelling belongs to two categories.

    Examples
    --------
    >>> apply_spellings(["WT", "mutated (NOS)", "?"], {"mutant": ["mutated (NOS)"], "wt": []})
    (['wt', 'mutant', None], ['?'])
    """
    known: dict[str, str] = {}
    for category, spellings in mapping.items():
        listed = [spellings] if isinstance(spellings, str) else list(spellings)
        for spelling in (category, *listed):
            key = _plain(spelling)
            if known.setdefault(key, category) != category:
                raise InputError(
                    f"The spelling {spelling!r} belongs to {known[key]!r} and to {category!r}. "
                    "Keep it in one."
                )
    mapped: list[str | None] = []
    unmapped: dict[str, None] = {}
    for value in values:
        text = (
            "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
        )
        found = known.get(_plain(text)) if text.strip() else None
        if found is None and text.strip():
            unmapped[text] = None
        mapped.append(found)
    return mapped, list(unmapped)


def _plain(text: object) -> str:
    return re.sub(r"\s+", "", str(text)).casefold()
