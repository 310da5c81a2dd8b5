"""Words that several methods paragraphs share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["repeated"]


def repeated(params: Mapping[str, Any], after: str = ", ") -> str:
    """Return "3 times repeated" and what comes after it, or "" where folds were drawn once.

    Examples
    --------
    >>> repeated({"repeats": 3}), repeated({"repeats": 1})
    ('3 times repeated, ', '')
    """
    return "" if params["repeats"] == 1 else f"{params['repeats']} times repeated{after}"
