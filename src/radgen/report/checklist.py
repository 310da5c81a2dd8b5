"""Fill the reporting checklists from a run: what is proven, what to confirm, what to declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from radgen._core.naming import did_you_mean
from radgen.catalog import FACTS, Checklist, ChecklistItem, checklist, checklist_names
from radgen.errors import InputError

__all__ = ["Answer", "Filled", "Score", "fill_checklist", "metrics_score"]

State = Literal["filled", "confirm", "declared", "declare", "missing", "not applicable"]

_WORDS = {
    "filled": "Filled from the run",
    "confirm": "Pre-filled: please confirm",
    "declared": "Declared",
    "declare": "To be declared by a person",
    "missing": "Not recorded by this run",
    "not applicable": "Not applicable",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one checklist item: the item, the state of the answer and its text."""

    item: ChecklistItem
    state: State
    text: str

    @property
    def words(self) -> str:
        """The state in words."""
        return _WORDS[self.state]


@dataclass(frozen=True, slots=True)
class Score:
    """METRICS arithmetic: points as they stand, and if everything pre-filled is confirmed.

    Attributes
    ----------
    proven, possible : float
        Share of the weight of the active items, in [0, 1]: answered yes by the run or a
        declaration; and with all pre-filled items confirmed.
    active : float
        Sum of the weights of the active items.
    """

    proven: float
    possible: float
    active: float


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled checklist; `score` is None where the checklist has no weights."""

    checklist: Checklist
    answers: tuple[Answer, ...]
    score: Score | None

    def count(self, *states: State) -> int:
        """Return how many answers are in one of these states."""
        return sum(answer.state in states for answer in self.answers)


def fill_checklist(
    name: str, facts: Mapping[str, str], declarations: Mapping[str, str] | None = None
) -> Filled:
    """Return a checklist filled from the facts of a run and a person's declarations.

    Parameters
    ----------
    name : str
        A name of `radgen.catalog.checklist_names`.
    facts : mapping of str to str
        Texts by the keys of `radgen.catalog.FACTS`; an empty text counts as absent.
    declarations : mapping of str to str or None
        Texts by checklist and item ("clear.8"); other checklists' entries are ignored. A
        declaration stands before a fact. One that starts with "not applicable" takes the item
        out, and for METRICS one that starts with "no" answers no.

    Returns
    -------
    Filled
        An answer for every item.

    Raises
    ------
    InputError
        If a fact or declaration has an unknown key.
    """
    declared = dict(declarations or {})
    _check_keys(facts, declared)
    chosen = checklist(name)
    answers = tuple(
        _answer(item, facts, declared.get(f"{name}.{item.item}", "").strip())
        for item in chosen.items
    )
    score = metrics_score(answers) if chosen.kind == "score" else None
    return Filled(chosen, answers, score)


def metrics_score(answers: tuple[Answer, ...]) -> Score:
    """Return the weighted score of answers: weights answered yes over weights active.

    Notes
    -----
    score = sum of the weights answered yes / sum of the weights of the active items. The item
    on deep models is inactive unless it is answered, and so are the items on automatic
    segmentation; hand-crafted features are what this software measures, so those items are
    active.

    References
    ----------
    Kocak B et al. Insights Imaging 2024;15:8, doi:10.1186/s13244-023-01572-w.
    """
    active = [answer for answer in answers if answer.state != "not applicable"]
    total = sum(answer.item.weight for answer in active)
    yes = sum(a.item.weight for a in active if a.state in ("filled", "declared") and not _no(a))
    confirm = sum(a.item.weight for a in active if a.state == "confirm")
    if not total:
        return Score(0.0, 0.0, 0.0)
    return Score(yes / total, (yes + confirm) / total, total)


def _no(answer: Answer) -> bool:
    words = answer.text.lower().replace(",", " ").replace(".", " ").replace(":", " ").split()
    return bool(words) and words[0] in ("no", "not", "none")


def _answer(item: ChecklistItem, facts: Mapping[str, str], declared: str) -> Answer:
    if declared:
        out = declared.lower().startswith(("not applicable", "n/a"))
        return Answer(item, "not applicable" if out else "declared", declared)
    fact = facts.get(item.fact, "").strip() if item.fact else ""
    if fact:
        return Answer(item, "filled" if item.fill == "A" else "confirm", fact)
    if item.conditional in ("end-to-end DL", "fully automatic"):
        return Answer(item, "not applicable", f"Active for studies that are {item.conditional}.")
    if item.fill == "A":
        return Answer(item, "missing", "")
    return Answer(item, "declare", "")


def _check_keys(facts: Mapping[str, str], declared: Mapping[str, str]) -> None:
    for key in facts:
        if key not in FACTS:
            raise InputError(f"Unknown fact {key!r}. {did_you_mean(key, FACTS)}")
    for key in declared:
        name, _, item = key.partition(".")
        if name not in checklist_names():
            raise InputError(
                f"Unknown declaration {key!r}: it starts with no checklist. "
                f"Write '<checklist>.<item>', such as 'clear.8'. "
                f"{did_you_mean(name, checklist_names())}"
            )
        checklist(name).get(item)
