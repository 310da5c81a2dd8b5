"""Cells of lesion tables as readers write them: visits in words, sizes with units, sites."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["is_node_site", "plain_sizes", "plain_visits"]

_BASELINE = re.compile(r"(base ?line|screening|bl|pre|pre-?treatment|pre-?op)", re.I)
_WORDED = re.compile(r"([a-z][a-z ._-]*?)[ ._-]*(\d+(?:\.\d+)?)", re.I)
_SIZE = re.compile(r"(\d+(?:[.,]\d{1,2})?)\s*(mm|cm)?", re.I)
_NODE = re.compile(r"\b(lymph|node|nodes|nodal|ln|lymphadenopathy)\b", re.I)


def plain_visits(cells: Sequence[str]) -> list[str]:
    """Return visits as numbers, where all are: "baseline", "C3", "Visit 2", "week 8".

    Parameters
    ----------
    cells : sequence of str
        A column.

    Returns
    -------
    list of str
        Baseline is 0, or one less than the smallest visit where that is 0 or less. Words are
        dropped only if all visits but the baseline bear the same one (weeks and months together
        have no order); a cell that stays as it is, is for the caller to refuse.

    Examples
    --------
    >>> plain_visits(["Baseline", "week 8", "Week 16", ""])
    ['0', '8', '16', '']
    >>> plain_visits(["week 8", "month 6"])
    ['week 8', 'month 6']
    """
    rest = {cell for cell in cells if cell and not _BASELINE.fullmatch(cell)}
    found = {cell: _WORDED.fullmatch(cell) for cell in rest}
    worded = {match[1].strip(" ._-").casefold() for match in found.values() if match}
    plain = {cell: cell for cell in rest}
    if len(worded) == 1 and all(found.values()):
        plain = {cell: match[2] for cell, match in found.items() if match}
    numbers = [float(text) for text in plain.values() if re.fullmatch(r"-?\d+(\.\d+)?", text)]
    first = f"{min(0.0, min(numbers, default=1.0) - 1):g}"
    return [plain.get(cell, first if cell else "") for cell in cells]


def plain_sizes(cells: Sequence[str]) -> list[str]:
    """Return sizes in mm with decimal points: "45,5", "12 mm", "4.5 cm"; others stay.

    Examples
    --------
    >>> plain_sizes(["45,5", "12 mm", "4.5 cm", "NE"])
    ['45.5', '12', '45', 'NE']
    """
    out = []
    for cell in cells:
        found = _SIZE.fullmatch(cell)
        if found is None:
            out.append(cell)
            continue
        number = float(found[1].replace(",", "."))
        factor = 10.0 if (found[2] or "").lower() == "cm" else 1.0
        out.append(f"{number * factor:.10g}")
    return out


def is_node_site(text: str) -> bool:
    """Return whether a site of the body is a lymph node.

    Examples
    --------
    >>> [is_node_site(site) for site in ("LYMPH NODE, AXILLARY", "left axillary LN", "liver")]
    [True, True, False]
    """
    return _NODE.search(text) is not None
