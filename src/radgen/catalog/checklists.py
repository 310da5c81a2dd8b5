"""Reporting checklists: items, who can fill each, and which fact of a run answers it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

from radgen._core.naming import did_you_mean
from radgen.errors import FormatError, InputError

__all__ = ["FACTS", "Checklist", "ChecklistItem", "Fill", "checklist", "checklist_names"]

Fill = Literal["A", "P", "D"]
"""A = filled from the run, P = pre-filled for a person to confirm, D = declared by a person."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One item of a reporting checklist.

    Attributes
    ----------
    item : str
        Number within the checklist ("12a").
    text : str
        What is asked, in the words of this project; the published guideline decides.
    fill : {"A", "P", "D"}
        Who can fill it.
    group : str
        Category or domain, "" where the checklist has none.
    fact : str
        Key of the fact of a run that answers it, "" where only a person can.
    weight : float
        Weight of a scored item, 0.0 elsewhere.
    applies_to : str
        "D;E", "D" or "E" (development, evaluation), "" where the checklist does not say.
    evidence : str
        Where the answer comes from.
    """

    item: str
    text: str
    fill: Fill
    group: str = ""
    fact: str = ""
    weight: float = 0.0
    applies_to: str = ""
    evidence: str = ""

    @property
    def conditional(self) -> str:
        """Condition under which a scored item is active, "" where it always is."""
        _, mark, rest = self.group.partition("(cond.")
        return rest.strip(": )") or "segmentation" if mark else ""


@dataclass(frozen=True, slots=True)
class Checklist:
    """A reporting checklist.

    Attributes
    ----------
    name : str
        "clear", "metrics", "tripod_ai" or "radgen".
    short, title, reference, doi : str
        How it is named and cited.
    kind : {"guideline", "score", "draft"}
        A score has weights.
    items : tuple of ChecklistItem
        In the order of the checklist.
    """

    name: str
    short: str
    title: str
    reference: str
    doi: str
    kind: Literal["guideline", "score", "draft"]
    items: tuple[ChecklistItem, ...]

    def get(self, item: str) -> ChecklistItem:
        """Return the item of this number.

        Raises
        ------
        InputError
            If there is none.
        """
        for found in self.items:
            if found.item == item:
                return found
        raise InputError(
            f"{self.short} has no item {item!r}. {did_you_mean(item, [i.item for i in self.items])}"
        )


def checklist_names() -> tuple[str, ...]:
    """Return the names of all checklists."""
    return tuple(_stored()["checklists"])


@cache
def checklist(name: str) -> Checklist:
    """Return one checklist.

    Parameters
    ----------
    name : str
        "clear" (58 items), "metrics" (30), "tripod_ai" (52) or "radgen" (46).

    Returns
    -------
    Checklist
        Items in the order of the checklist.

    Raises
    ------
    InputError
        If there is no such checklist.

    Examples
    --------
    >>> len(checklist("clear").items)
    58
    """
    known = _stored()["checklists"]
    if name not in known:
        raise InputError(f"Unknown checklist {name!r}. {did_you_mean(name, known)}")
    stored = dict(known[name])
    items = tuple(ChecklistItem(**item) for item in stored.pop("items"))
    return Checklist(name=name, items=items, **stored)


@cache
def _stored() -> dict[str, Any]:
    text = files("radgen.catalog").joinpath("checklists.json").read_text(encoding="utf-8")
    stored: dict[str, Any] = json.loads(text)
    found = stored.get("encoding_type"), stored.get("encoding_version")
    if found != ("radgen.checklists", _VERSION):
        raise FormatError(f"The checklist file is {found}; needed is version {_VERSION}.")
    return stored


FACTS: Mapping[str, str] = MappingProxyType(_stored()["facts"])
"""Keys of the facts that a run can state, and what each means."""
