"""RANO 2.0: response of gliomas from a scan after radiotherapy on, with progression confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.phenotype.response._lesions import course, is_there, patients, require_words
from radgen.phenotype.response.assess import ResponseResult
from radgen.phenotype.response.glioma import (
    CONFIRM_DAYS,
    LIMITS,
    TIE,
    UNITS,
    Measure,
    against,
    dose_at,
    lesion_table,
    share_of,
    sum_of,
    unmatched,
    visit_table,
)
from radgen.phenotype.response.rules import non_target_response
from radgen.phenotype.response.sequence import best_response
from radgen.types._frame import FrameLike

__all__ = ["Confirmation", "GliomaResponse2", "assess_glioma_response_2", "joint_response"]

Confirmation = Literal["growth", "persistence"]
Component = Literal["enhancing", "non-enhancing"]
_COMPONENTS: tuple[str, ...] = get_args(Component)
_MINOR: dict[str, float] = {"product": 0.25, "volume": 0.40}
_WINDOW_DAYS = 84.0


@dataclass(frozen=True, eq=False)
class GliomaResponse2(ResponseResult):
    """Response of gliomas by RANO 2.0: as `ResponseResult`.

    Attributes
    ----------
    visits : polars.DataFrame
        A row a patient and visit after baseline: ``sample, visit, day, size, reference,
        from_baseline, from_reference, enhancing, non_enhancing, new_lesions, steroids, clinical,
        overall, reason``. Sizes are of enhancing lesions, or of the others where there are none.
    """

    plots: ClassVar[tuple[str, ...]] = ("waterfall",)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        falls, grows = LIMITS[p["measure"]]
        size = "products of perpendicular diameters" if p["measure"] == "product" else "volumes"
        wait = "No radiotherapy was declared, so that progression needed no confirmation."
        if p["radiotherapy_day"] is not None:
            how = (
                f"grew by another {grows:.0%} from the scan that first showed it"
                if p["confirmation"] == "growth"
                else "was still there"
            )
            wait = (
                f"Until twelve weeks after radiotherapy (day {p['radiotherapy_day']:g}) "
                f"progression on images counted where it {how} on a scan four weeks later or "
                "more; otherwise it counted as pseudoprogression, and the scan that first showed "
                "it became the reference."
            )
        return (
            f"Response was assessed by RANO 2.0 from sums of the {size}, the first scan as "
            f"baseline: partial response from a fall of {falls:.0%}, of non-enhancing tumour "
            f"minor response from {_MINOR[p['measure']]:.0%}, progression from growth of "
            f"{grows:.0%} over the smallest sum, new lesions, unequivocal growth of others or a "
            f"worse clinical state; T2/FLAIR around enhancing tumour was not judged. {wait}"
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "waterfall" of best changes and return the Axes."""
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen import plot

        falls, grows = LIMITS[self.params["measure"]]
        known = self.frame.drop_nulls("best_change")
        return plot.waterfall(
            known["best_change"], known["best"].to_list(), lines=(grows, -falls), ax=ax
        )


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
class _Part:
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
class _Seen:
    """What one visit shows of one component."""

    size: float
    word: str
    reason: str
    signs: list[str]
    new: set[str]
    extent: float


def assess_glioma_response_2(
    lesions: FrameLike,
    visits: FrameLike | None = None,
    *,
    measure: Measure = "product",
    radiotherapy_day: float | None = None,
    confirmation: Confirmation = "growth",
    confirm: bool = True,
    stable_days: float = 0.0,
) -> GliomaResponse2:
    """Return the response of each glioma at each visit, and the best of all, by RANO 2.0.

    Parameters
    ----------
    lesions : data frame
        Columns of `GLIOMA_COLUMNS`, a row a lesion and visit; ``component``: "enhancing"
        (default) or "non-enhancing" (T2/FLAIR), which are judged side by side. The first visit is
        baseline: of newly diagnosed tumours the first scan after radiotherapy.
    visits : data frame or None
        Columns of `GLIOMA_VISIT_COLUMNS`; ``flair`` is not asked for. ``outside_field``: "yes"
        where new enhancement lies mostly outside the field of radiation, which needs no
        confirmation.
    measure : {"product", "volume"}
        Products of perpendicular diameters (limits 50, 25 and 25 %), or volumes (65, 40 and 40 %).
    radiotherapy_day : float or None
        Day of the end of radiotherapy on the clock of the table (-28, say); None = none, or long
        ago. Progression on images until twelve weeks later must be confirmed.
    confirmation : {"growth", "persistence"}
        By a scan four weeks later or more that shows further growth of 25 % (volumes: 40 %) over
        the one that first showed it; or that shows progression still.
    confirm : bool, default True
        Complete, partial and minor responses must be seen again four weeks later.
    stable_days : float, default 0
        Shortest time from baseline for stable disease.

    Returns
    -------
    GliomaResponse2
        With the reason of each visit. Early growth that no scan confirms is stable disease
        ("pseudoprogression"), and its scan the reference for what comes after; without a later
        scan it is not evaluable. The day of confirmed progression is the first one.

    Raises
    ------
    InputError
        If columns are missing, a word is unknown, a size is missing at baseline, or a patient has
        no lesion there.
    AlignmentError
        If a lesion or a visit stands twice.

    Notes
    -----
    Limits of products, new lesions, steroids and the joining of both parts follow the paper as
    open tools quote it; its text was not at hand. Not confirmed by a second source are the window
    of twelve weeks and its new reference, that T2/FLAIR no longer counts around enhancing tumour,
    the volume limit of a minor response (40 %), a partial beside a minor response (taken as
    minor), and whether a confirming scan must grow further or only stay large: `confirmation`
    has both. Compare them with the protocol of a trial before its endpoints rest on them.

    References
    ----------
    Wen et al. 2023, doi:10.1200/JCO.23.01059; Ellingson et al. 2017,
    doi:10.1007/s13311-016-0507-6.
    """
    require_choice(measure, tuple(LIMITS), what="measure")
    require_choice(confirmation, get_args(Confirmation), what="confirmation")
    table = lesion_table(lesions, measure)
    table = table.with_columns(pl.col("component").fill_null("enhancing"))
    require_words(table, {"component": _COMPONENTS})
    state = visit_table(visits)
    until = None if radiotherapy_day is None else radiotherapy_day + _WINDOW_DAYS
    rules = _Rules(measure, until, confirmation)
    rows: list[dict[str, Any]] = []
    people: list[tuple[Any, ...]] = []
    for (sample,), own in table.group_by(["sample"], maintain_order=True):
        one = _Patient(str(sample), own, state, rules)
        found = one.judged()
        words, days = [row["overall"] for row in found], [row["day"] for row in found]
        best = [
            best_response(words, days, confirm=c, stable_days=stable_days) for c in (confirm, False)
        ]
        changes = [row["from_baseline"] for row in found]
        onset = words.index("PD") if "PD" in words else None
        measured = sum(len(part.targets) for part in one.parts)
        rows += found
        people.append(
            (sample, *best, *course(words, changes, days, onset=onset), len(found), measured)
        )
    frame = patients(people)
    return GliomaResponse2(
        frame=frame,
        params={
            "criteria": "RANO 2.0", "measure": measure, "unit": UNITS[measure], "confirm": confirm,
            "stable_days": stable_days, "radiotherapy_day": radiotherapy_day,
            "confirmation": confirmation,
        },
        n_used=frame.height,
        warnings=unmatched(table, state),
        provenance={"step": "phenotype.assess_glioma_response_2", "version": 1},
        visits=pl.DataFrame(rows, schema=_VISITS, orient="row").with_columns(
            pl.col(pl.Float64).fill_nan(None)
        ),
    )  # fmt: skip


_VISITS = {
    "sample": pl.String, "visit": pl.Float64,
    **dict.fromkeys(("day", "size", "reference", "from_baseline", "from_reference"), pl.Float64),
    "enhancing": pl.String, "non_enhancing": pl.String, "new_lesions": pl.Int64,
    "steroids": pl.String, "clinical": pl.String, "overall": pl.String, "reason": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class _Rules:
    """How visits are judged: until which day progression must be confirmed, and by what."""

    measure: str
    until: float | None
    confirmation: str

    def grown(self, size: float, reference: float) -> bool:
        """Return whether a sum has grown to progression."""
        if reference == 0:
            return size > 0
        return size >= (1 + LIMITS[self.measure][1]) * reference * (1 - TIE)


class _Patient:
    """The visits of one patient in order."""

    def __init__(
        self,
        sample: str,
        own: pl.DataFrame,
        state: Mapping[tuple[str, float], Mapping[str, Any]],
        rules: _Rules,
    ) -> None:
        self.sample, self.state, self.rules = sample, state, rules
        self.progressed = False
        self.visits: dict[float, dict[str, Mapping[str, Any]]] = {}
        for row in own.iter_rows(named=True):
            self.visits.setdefault(row["visit"], {})[row["lesion"]] = row
        self.order = sorted(self.visits)
        self.first = self.visits[self.order[0]]
        self.parts = [part for name in _COMPONENTS if (part := self._part(name)) is not None]
        if not self.parts:
            raise InputError(f"{sample} has no target or non-target lesion at the first visit.")
        self.waiting: int | None = None

    def _part(self, name: str) -> _Part | None:
        own = [row for row in self.first.values() if row["component"] == name]
        targets = [row["lesion"] for row in own if row["role"] == "target"]
        others = [row["lesion"] for row in own if row["role"] == "non-target"]
        blank = [lesion for lesion in targets if self.first[lesion]["size"] is None]
        if blank:
            raise InputError(f"{self.sample}: no size at baseline of {shown(blank)}.")
        if not targets and not others:
            return None
        size = sum_of(self.first, targets)
        return _Part(name, targets, others, size, size)

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
                for name in _COMPONENTS
            },
            "new_lesions": sum(len(p.fresh | one.new) for p, one in pairs),
            "steroids": steroids, "clinical": clinical, "overall": word, "reason": reason,
        }  # fmt: skip
        sure = clinical == "worse" or about.get("outside_field") == "yes"
        self._keep(row, seen, sure=sure, place=len(rows))
        return row

    def _look(
        self, part: _Part, now: Mapping[str, Mapping[str, Any]], drugs: tuple[bool, bool]
    ) -> _Seen:
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
        return _Seen(size, word, why, signs, new, extent)

    def _response(
        self, part: _Part, size: float, others: str, held: tuple[bool, bool, bool]
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
        if part.name == "non-enhancing" and share <= -_MINOR[self.rules.measure] + TIE:
            return "MR", why
        return "SD", why

    def _settled(
        self, rows: list[dict[str, Any]], seen: Sequence[_Seen], day: float, clinical: str | None
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

    def _confirmed(self, seen: Sequence[_Seen]) -> bool:
        """Return whether progression is there again: larger still, or there still."""
        for part, one in zip(self.parts, seen, strict=True):
            if self.rules.confirmation == "persistence" and one.signs:
                return True
            if one.extent > 0 and self.rules.grown(one.extent, part.extent):
                return True
            if one.new - part.doubtful or any("not measured" in sign for sign in one.signs):
                return True
        return False

    def _keep(self, row: dict[str, Any], seen: Sequence[_Seen], *, sure: bool, place: int) -> None:
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
