"""The visits of a glioma by RANO 2.0: two components side by side, progression that must wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from radgen.errors import InputError, shown
from radgen.phenotype.response._lesions import is_there
from radgen.phenotype.response.glioma import (
    CONFIRM_DAYS,
    LIMITS,
    TIE,
    against,
    dose_at,
    share_of,
    sum_of,
)
from radgen.phenotype.response.rules import non_target_response

__all__ = ["COMPONENTS", "MINOR", "Confirmation", "Rules", "Visits", "joint_response"]

Confirmation = Literal["growth", "persistence"]
Component = Literal["enhancing", "non-enhancing"]
COMPONENTS: tuple[str, ...] = get_args(Component)
"""Parts of a tumour that are judged side by side."""
MINOR: dict[str, float] = {"product": 0.25, "volume": 0.40}
"""Fall of non-enhancing tumour that is a minor response."""


def joint_response(enhancing: str, other: str) -> str:
    """Return the response of a tumour with enhancing and non-enhancing lesions.

    Parameters
    ----------
    enhancing, other : {"CR", "PR", "MR", "SD", "PD", "NE"}
        Of either part.

    Returns
    -------
    str
        PD where either progresses, PR or MR where the other is stable, the lesser where either is
        complete or both respond; NE where either is not evaluable and none progresses.

    Examples
    --------
    >>> joint_response("PR", "SD"), joint_response("CR", "SD"), joint_response("CR", "PD")
    ('PR', 'SD', 'PD')
    """
    both = {enhancing, other}
    if "PD" in both or "NE" in both:
        return "PD" if "PD" in both else "NE"
    if len(both) == 1:
        return enhancing
    if "SD" in both:
        return "SD" if "CR" in both else next(iter(both - {"SD"}))
    return "MR" if "MR" in both else "PR"


@dataclass
class Part:
    """One component of a patient's tumour on its way through the visits."""

    name: str
    targets: list[str]
    others: list[str]
    baseline: float
    reference: float
    fresh: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    extent: float = 0.0
    early: float = float("nan")


@dataclass
class Seen:
    """What one visit shows of one component."""

    size: float
    word: str
    reason: str
    signs: list[str]
    new: set[str]
    extent: float


@dataclass(frozen=True)
class Rules:
    """How visits are judged: until which day progression must be confirmed, and by what."""

    measure: str
    until: float | None
    confirmation: str

    def grown(self, size: float, reference: float) -> bool:
        """Return whether a sum has grown to progression."""
        if reference == 0:
            return size > 0
        return size >= (1 + LIMITS[self.measure][1]) * reference * (1 - TIE)


class Visits:
    """The visits of one patient in order."""

    def __init__(
        self,
        sample: str,
        own: pl.DataFrame,
        state: Mapping[tuple[str, float], Mapping[str, Any]],
        rules: Rules,
    ) -> None:
        self.sample, self.state, self.rules = sample, state, rules
        self.progressed = False
        self.visits: dict[float, dict[str, Mapping[str, Any]]] = {}
        for row in own.iter_rows(named=True):
            self.visits.setdefault(row["visit"], {})[row["lesion"]] = row
        self.order = sorted(self.visits)
        self.first = self.visits[self.order[0]]
        self.parts = [part for name in COMPONENTS if (part := self._part(name)) is not None]
        if not self.parts:
            raise InputError(f"{sample} has no target or non-target lesion at the first visit.")
        self.waiting: int | None = None

    def _part(self, name: str) -> Part | None:
        own = [row for row in self.first.values() if row["component"] == name]
        targets = [row["lesion"] for row in own if row["role"] == "target"]
        others = [row["lesion"] for row in own if row["role"] == "non-target"]
        blank = [lesion for lesion in targets if self.first[lesion]["size"] is None]
        if blank:
            raise InputError(f"{self.sample}: no size at baseline of {shown(blank)}.")
        if not targets and not others:
            return None
        size = sum_of(self.first, targets)
        return Part(name, targets, others, size, size)

    def judged(self) -> list[dict[str, Any]]:
        """Return a row a visit after baseline."""
        rows: list[dict[str, Any]] = []
        for visit in self.order[1:]:
            rows.append(self._visit(visit, rows))
        if self.waiting is not None:
            rows[self.waiting] |= {
                "overall": "NE",
                "reason": f"no later scan confirms or refutes: {rows[self.waiting]['reason']}",
            }
        return rows

    def _visit(self, visit: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
        now, about = self.visits[visit], self.state.get((self.sample, visit), {})
        dose = dose_at(self.state, self.sample, visit)
        steroids = against(dose, dose_at(self.state, self.sample, self.order[0]))
        day = next((r["day"] for r in now.values() if r["day"] is not None), float("nan"))
        clinical = about.get("clinical")
        # More steroids forbid a response, any at all a complete one.
        drugs = (steroids == "worse", dose is not None and dose > 0)
        seen = [self._look(part, now, drugs) for part in self.parts]
        if self._settled(rows, seen, day, clinical):
            seen = [self._look(part, now, drugs) for part in self.parts]
        word, reason = seen[0].word, seen[0].reason
        for part, one in zip(self.parts[1:], seen[1:], strict=True):
            word, reason = joint_response(word, one.word), f"{reason}; {part.name}: {one.reason}"
        if clinical == "worse":
            signs = [sign for one in seen for sign in one.signs]
            word, reason = "PD", "; ".join([*signs, "clinically worse"])
        pairs = list(zip(self.parts, seen, strict=True))
        lead, part = seen[0], self.parts[0]
        row = {
            "sample": self.sample, "visit": visit, "day": day, "size": lead.size,
            "reference": part.reference, "from_baseline": share_of(lead.size, part.baseline),
            "from_reference": share_of(lead.size, part.reference),
            **{
                name.replace("-", "_"): next((one.word for p, one in pairs if p.name == name), None)
                for name in COMPONENTS
            },
            "new_lesions": sum(len(p.fresh | one.new) for p, one in pairs),
            "steroids": steroids, "clinical": clinical, "overall": word, "reason": reason,
        }  # fmt: skip
        sure = clinical == "worse" or about.get("outside_field") == "yes"
        self._keep(row, seen, sure=sure, place=len(rows))
        return row

    def _look(
        self, part: Part, now: Mapping[str, Mapping[str, Any]], drugs: tuple[bool, bool]
    ) -> Seen:
        """Return what a visit shows of a component, against its reference."""
        size = sum_of(now, part.targets)
        others = non_target_response([now[k]["state"] if k in now else None for k in part.others])
        there = {
            k: row["size"] or 0.0
            for k, row in now.items()
            if row["role"] == "new" and row["component"] == part.name and is_there(row, row["size"])
        }
        new = set(there) - part.fresh
        signs = []
        known = np.isfinite(size) and np.isfinite(part.reference)
        if known and self.rules.grown(size, part.reference):
            share = f"{size / part.reference - 1:+.1%}" if part.reference > 0 else "came back"
            signs.append(f"{part.name} lesions {share} from the reference")
        if others == "PD":
            signs.append("unequivocal progression of lesions that are not measured")
        if new:
            signs.append("new lesion")
        word, why = self._response(part, size, others, (*drugs, bool(there)))
        if signs:
            word, why = "PD", "; ".join(signs)
        extent = (size if np.isfinite(size) else 0.0) + sum(there.values())
        return Seen(size, word, why, signs, new, extent)

    def _response(
        self, part: Part, size: float, others: str, held: tuple[bool, bool, bool]
    ) -> tuple[str, str]:
        """Return the response of a component without progression, against baseline."""
        more, some, new_there = held
        measured = bool(np.isfinite(part.baseline))
        if (measured and np.isnan(size)) or others == "NE":
            return "NE", f"{part.name} lesions not assessed"
        share = share_of(size, part.baseline) if measured else float("nan")
        why = f"{share:+.1%} from baseline" if np.isfinite(share) else f"others {others}"
        gone = (size == 0 if measured else True) and others in ("CR", "ND") and not new_there
        if more or new_there:
            return "SD", f"{why}, {'more steroids' if more else 'a new lesion before'}"
        if gone:
            return ("PR", f"{why}, on steroids") if some else ("CR", f"no {part.name} tumour")
        if share <= -LIMITS[self.rules.measure][0] + TIE:
            return "PR", why
        if part.name == "non-enhancing" and share <= -MINOR[self.rules.measure] + TIE:
            return "MR", why
        return "SD", why

    def _settled(
        self, rows: list[dict[str, Any]], seen: Sequence[Seen], day: float, clinical: str | None
    ) -> bool:
        """Say of progression that waits whether this visit confirms it; return whether it did not.

        The scan that first showed it is then the reference.
        """
        if self.waiting is None:
            return False
        first = rows[self.waiting]
        late = day - first["day"] >= CONFIRM_DAYS
        if clinical != "worse" and (not late or all(one.word == "NE" for one in seen)):
            return False
        sure = clinical == "worse" or self._confirmed(seen)
        first |= (
            {"overall": "PD", "reason": f"{first['reason']} (confirmed)"}
            if sure
            else {"overall": "SD", "reason": f"pseudoprogression: {first['reason']}"}
        )
        for row in rows[self.waiting + 1 :]:
            row |= {"overall": first["overall"], "reason": f"as at visit {first['visit']:g}"}
        self.waiting = None
        self.progressed = sure
        if sure:
            return False
        for part in self.parts:
            part.fresh |= part.doubtful
            if np.isfinite(part.early):
                part.reference = part.early
        return True

    def _confirmed(self, seen: Sequence[Seen]) -> bool:
        """Return whether progression is there again: larger still, or there still."""
        for part, one in zip(self.parts, seen, strict=True):
            if self.rules.confirmation == "persistence" and one.signs:
                return True
            if one.extent > 0 and self.rules.grown(one.extent, part.extent):
                return True
            if one.new - part.doubtful or any("not measured" in sign for sign in one.signs):
                return True
        return False

    def _keep(self, row: dict[str, Any], seen: Sequence[Seen], *, sure: bool, place: int) -> None:
        """Remember the smallest sizes, and progression that must be confirmed."""
        until = self.rules.until
        early = until is not None and row["day"] <= until
        if self.waiting is not None:
            row |= {"overall": "NE", "reason": f"waits for confirmation: {row['reason']}"}
            return
        if row["overall"] == "PD":
            if early and not sure and not self.progressed:
                self.waiting = place
                for part, one in zip(self.parts, seen, strict=True):
                    part.extent, part.early, part.doubtful = one.extent, one.size, set(one.new)
            else:
                self.progressed = True
            return
        for part, one in zip(self.parts, seen, strict=True):
            if np.isfinite(one.size):
                part.reference = min(part.reference, one.size)
