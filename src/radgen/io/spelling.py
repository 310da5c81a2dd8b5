"""Map the many spellings of one category to one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from radgen.errors import InputError
from radgen.io.tables import BLANKS

__all__ = ["apply_spellings"]


def apply_spellings(
    values: Iterable[object], spellings: Mapping[str, Sequence[str]]
) -> tuple[list[str | None], list[str]]:
    """Return each value's category, and the values that no spelling covers.

    Parameters
    ----------
    values : iterable
        Cells of a column.
    spellings : mapping of str to sequence of str
        For each category the ways it is written; its own name counts always. Upper and lower
        case and spaces do not matter. A category named "" holds
        spellings that mean missing.

    Returns
    -------
    categories : list of str or None
        None where the cell is blank or means missing, or is not covered.
    unmapped : list of str
        Each uncovered spelling once, in order of appearance.

    Raises
    ------
    InputError
        If one spelling stands under two categories.

    Examples
    --------
    >>> apply_spellings(["R132H", " mutant", "WT", "?"], {"mutant": ["r132h"], "wild-type": ["wt"]})
    (['mutant', 'mutant', 'wild-type', None], ['?'])
    """
    home: dict[str, str] = {}
    for category, written in spellings.items():
        for spelling in (category, *written):
            key = _key(spelling)
            if home.get(key, category) != category:
                raise InputError(
                    f"The spelling {spelling!r} stands under {home[key]!r} and {category!r}."
                )
            home[key] = category
    found: list[str | None] = []
    unmapped: dict[str, None] = {}
    for value in values:
        key = "" if value is None else _key(str(value))
        if key in home:
            found.append(home[key] or None)
        else:
            found.append(None)
            if key and " ".join(str(value).split()).lower() not in BLANKS:
                unmapped[str(value).strip()] = None
    return found, list(unmapped)


def _key(text: str) -> str:
    return "".join(text.split()).casefold()
