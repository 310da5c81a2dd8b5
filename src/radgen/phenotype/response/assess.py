"""Response of every patient at every visit from a table of lesions, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import polars as pl

from radgen._core.naming import counted, require_choice
from radgen.errors import InputError, shown
from radgen.phenotype.response._lesions import Lesion, checked, course, is_there, patients
from radgen.phenotype.response.rules import (
    MEASURABLE_MM,
    non_target_response,
    overall_response,
    target_response,
)
from radgen.phenotype.response.sequence import Visit, best_response, immune_responses
from radgen.types import Result
from radgen.types._frame import FrameLike

__all__ = ["LESION_COLUMNS", "ResponseResult", "assess_response"]

Criteria = Literal["RECIST 1.1", "iRECIST", "mRECIST"]
LESION_COLUMNS = {
    "sample": pl.String, "lesion": pl.String, "role": pl.String, "visit": pl.Float64,
    "day": pl.Float64, "node": pl.Boolean, "diameter_mm": pl.Float64, "state": pl.String,
}  # fmt: skip
"""Columns of a table of lesions: a row a lesion and visit."""

_ROLES = ("target", "non-target", "new")
_NUMBERS = ("day", "sum_mm", "baseline_mm", "nadir_mm", "from_baseline", "from_nadir")
_VISITS = {
    "sample": pl.String, "visit": pl.Float64, **dict.fromkeys(_NUMBERS, pl.Float64),
    "target": pl.String, "non_target": pl.String, "new_lesions": pl.Int64, "overall": pl.String,
    "immune": pl.String, "reason": pl.String,
}  # fmt: skip
_MOST_TARGETS = 5
_MANY = "many: "


def _empty() -> pl.DataFrame:
    return pl.DataFrame()


@dataclass(frozen=True, eq=False)
class ResponseResult(Result):
    """Response to treatment.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a patient: ``sample, best, best_unconfirmed, best_change, progressed,
        progression_day, last_day, visits, targets``. `best_change`: smallest change of the sum
        from baseline until progression, as a share; `progression_day`: first day of progression
        (confirmed, by iRECIST, dated back to its first sign), null = none until `last_day`, or its
        day is unknown.
    visits : polars.DataFrame
        A row a patient and visit after baseline: ``sample, visit, day, sum_mm, baseline_mm,
        nadir_mm, from_baseline, from_nadir, target, non_target, new_lesions, overall, immune,
        reason``; `immune` is "" by RECIST 1.1.
    """

    kind: ClassVar[str] = "response"
    plots: ClassVar[tuple[str, ...]] = ("waterfall",)

    visits: pl.DataFrame = field(default_factory=_empty)

    def statements(self) -> tuple[str, ...]:
        """Return how many patients responded, and how many progressed."""
        n = self.frame.height
        best = self.frame["best"]
        known = int((best != "NE").sum())
        good = int(best.is_in(["CR", "PR"]).sum())
        loose = int(self.frame["best_unconfirmed"].is_in(["CR", "PR"]).sum())
        gone = int(self.frame["progressed"].sum())
        counts = ", ".join(
            f"{int((best == item).sum())} {item}"
            for item in ("CR", "PR", "SD", "Non-CR/Non-PD", "PD", "NE")
            if (best == item).any()
        )
        out = [
            f"Objective response ({self.params['criteria']}): {good} of {counted(n, 'patient')} "
            f"({good / n:.0%}); {known} were evaluable. Best responses: {counts}."
        ]
        if self.params["confirm"] and loose != good:
            out.append(f"Without confirmation four weeks later there would be {loose} responders.")
        out.append(f"{gone} of {counted(n, 'patient')} progressed on study.")
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        confirmed = (
            "complete and partial responses were confirmed four weeks later or more"
            if p["confirm"]
            else "responses were not confirmed"
        )
        viable = p["criteria"] == "mRECIST"
        what = "longest diameters of the enhancing part" if viable else "longest diameters"
        growth = "20 %" if viable else "20 % and 5 mm"
        return (
            f"Response was assessed by {p['criteria']} from measured lesions: sums of {what} "
            "(short axes of lymph nodes), partial response from a fall of 30 % from baseline, "
            f"progression from growth of {growth} over the smallest sum on study, new lesions or "
            f"unequivocal growth of others; {confirmed}, and stable disease lasted "
            f"{p['stable_days']:g} days or more."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "waterfall" of best changes and return the Axes."""
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen import plot

        known = self.frame.drop_nulls("best_change")
        return plot.waterfall(
            known["best_change"], known["best"].to_list(), lines=(0.2, -0.3), ax=ax
        )


def assess_response(
    lesions: FrameLike,
    *,
    criteria: Criteria = "RECIST 1.1",
    confirm: bool = True,
    stable_days: float = 42.0,
) -> ResponseResult:
    """Return the response of each patient at each visit, and the best of all.

    Parameters
    ----------
    lesions : data frame
        Columns of `LESION_COLUMNS`, a row a lesion and visit; the first visit of a patient is
        baseline. ``role``: "target", "non-target" or "new"; ``diameter_mm``: longest diameter, of
        lymph nodes (``node``) the short axis, 0 = gone, NaN = not assessed; ``state``: one of
        `radgen.phenotype.response.STATES`, of lesions that are not measured; a target lesion with
        the state "absent" is 0 mm. ``day``: from baseline, NaN = unknown.
    criteria : {"RECIST 1.1", "iRECIST", "mRECIST"}
        By iRECIST progression counts once confirmed. By mRECIST (liver cell cancer) the diameters
        are of the part that enhances in the arterial phase, and growth by 20 % is progression
        however small in millimetres. Gliomas: `assess_glioma_response`; PET:
        `assess_metabolic_response`.
    confirm : bool, default True
        Best responses must be confirmed, see `best_response`.
    stable_days : float, default 42
        Shortest time from baseline for stable disease.

    Returns
    -------
    ResponseResult
        With the reason of each target response.

    Raises
    ------
    InputError
        If columns are missing, a role or state is unknown, or a patient has no baseline lesion.
    AlignmentError
        If a lesion stands twice in a visit.

    Notes
    -----
    A target lesion of baseline without a row at a visit was not assessed there. Equivocal new
    lesions are no progression; they are counted once a later visit calls them present.
    """
    require_choice(criteria, get_args(Criteria), what="criteria")
    table = _checked(lesions)
    visits: list[tuple[Any, ...]] = []
    people: list[tuple[Any, ...]] = []
    faults: list[str] = []
    cohort: dict[str, list[dict[str, Any]]] = {}
    for row in table.iter_rows(named=True):
        cohort.setdefault(row["sample"], []).append(row)
    for sample, own in cohort.items():
        rows, targets = _patient(sample, own, criteria, faults)
        visits += rows
        best, onset = _best(rows, criteria == "iRECIST", confirm, stable_days)
        told, changes, days = ([row[k] for row in rows] for k in (11, 6, 2))
        people.append(
            (sample, *best, *course(told, changes, days, onset=onset), len(rows), targets)
        )
    frame = patients(people)
    return ResponseResult(
        frame=frame,
        params={"criteria": criteria, "confirm": confirm, "stable_days": stable_days},
        n_used=frame.height,
        warnings=_warnings(faults),
        provenance={"step": "phenotype.assess_response", "version": 1},
        visits=pl.DataFrame(visits, schema=_VISITS, orient="row").with_columns(
            pl.col(pl.Float64).fill_nan(None)
        ),
    )


def _checked(lesions: FrameLike) -> pl.DataFrame:
    gone = pl.col("diameter_mm").is_null() & (pl.col("state") == "absent")
    return (
        checked(lesions, LESION_COLUMNS)
        .with_columns(pl.col("node").fill_null(False), pl.col("diameter_mm").fill_nan(None))
        .with_columns(pl.when(gone).then(0.0).otherwise("diameter_mm").alias("diameter_mm"))
    )


def _patient(
    sample: str, own: Sequence[Lesion], criteria: str, faults: list[str]
) -> tuple[list[tuple[Any, ...]], int]:
    visits: dict[float, dict[str, Lesion]] = {}
    for row in own:
        visits.setdefault(row["visit"], {})[row["lesion"]] = row
    order = sorted(visits)
    first = visits[order[0]].values()
    targets = [row for row in first if row["role"] == "target"]
    others = [row["lesion"] for row in first if row["role"] == "non-target"]
    if not targets and not others:
        raise InputError(f"{sample} has no target or non-target lesion at the first visit.")
    faults += _baseline_faults(sample, targets)
    names, nodes = [row["lesion"] for row in targets], [row["node"] for row in targets]
    baseline = float(sum(row["diameter_mm"] for row in targets)) if names else float("nan")
    nadir, complete = baseline, False
    fresh: set[str] = set()
    rows: list[tuple[Any, ...]] = []
    for visit in order[1:]:
        now = visits[visit]
        d = np.array([_size(now.get(name)) for name in names])
        target, reason = target_response(
            d, nodes, baseline_mm=baseline, nadir_mm=nadir, after_complete=complete,
            grows_mm=0.0 if criteria == "mRECIST" else 5.0,
        )  # fmt: skip
        non_target = non_target_response([now[k]["state"] if k in now else None for k in others])
        fresh |= {
            name
            for name, row in now.items()
            if row["role"] == "new" and is_there(row, row["diameter_mm"])
        }
        overall = overall_response(target, non_target, new_lesion=bool(fresh))
        reason += f"; {counted(len(fresh), 'new lesion')}" if fresh else ""
        if non_target == "PD":
            reason += "; unequivocal progression of non-target lesions"
        whole = bool(len(d)) and not np.isnan(d).any()
        total = float(d.sum()) if whole else float("nan")
        day = next((row["day"] for row in now.values() if row["day"] is not None), float("nan"))
        grown = [_size(now.get(name)) for name in fresh]
        rows.append(
            (
                sample, visit, day, total, baseline, nadir, _share(total, baseline),
                _share(total, nadir), target, non_target, len(fresh), overall,
                float(np.nansum(grown)) if np.isfinite(grown).any() else float("nan"), reason,
            )
        )  # fmt: skip
        nadir = min(nadir, total) if whole else nadir
        complete = complete or target == "CR"
    immune = criteria == "iRECIST"
    words = immune_responses([_visit(row) for row in rows]) if immune else ("",) * len(rows)
    return [(*row[:12], word, row[13]) for row, word in zip(rows, words, strict=True)], len(names)


def _size(row: Lesion | None) -> float:
    return float("nan") if row is None or row["diameter_mm"] is None else row["diameter_mm"]


def _share(now: float, before: float) -> float:
    return now / before - 1 if before > 0 else float("nan")


def _visit(row: Sequence[Any]) -> Visit:
    return Visit(row[2], row[8], row[9], row[11], row[3], row[10], row[12])


def _baseline_faults(sample: str, targets: Sequence[Lesion]) -> list[str]:
    """Return what RECIST 1.1 would not take at baseline.

    Raises
    ------
    InputError
        If a target lesion has no diameter there.
    """
    blank = [row["lesion"] for row in targets if row["diameter_mm"] is None]
    if blank:
        raise InputError(
            f"{sample}: target lesions without a diameter at baseline: {shown(blank)}."
        )
    small = [
        f"{row['lesion']} of {sample}"
        for row in targets
        if row["diameter_mm"] < MEASURABLE_MM["node" if row["node"] else "lesion"]
    ]
    return [*small, *([_MANY + sample] if len(targets) > _MOST_TARGETS else [])]


def _warnings(faults: Sequence[str]) -> tuple[str, ...]:
    many = [item.removeprefix(_MANY) for item in faults if item.startswith(_MANY)]
    small = [item for item in faults if not item.startswith(_MANY)]
    out = []
    if small:
        out.append(
            f"{counted(len(small), 'target lesion')} too small at baseline (RECIST 1.1 asks for 10 "
            f"mm, of lymph nodes 15 mm in the short axis): {shown(small)}."
        )
    if many:
        out.append(
            f"{counted(len(many), 'patient')} with more than five target lesions: {shown(many)}."
        )
    return tuple(out)


def _best(
    rows: Sequence[tuple[Any, ...]], immune: bool, confirm: bool, stable_days: float
) -> tuple[list[str], int | None]:
    """Return the best response, the same without confirmation, and the visit of progression."""
    days, words = [row[2] for row in rows], [row[11] for row in rows]
    onset = next((k for k, item in enumerate(words) if item == "PD"), None)
    if immune:
        marks = [row[12] for row in rows]
        onset = next((k for k, item in enumerate(marks) if item == "iCPD"), None)
        while onset is not None and onset > 0 and marks[onset - 1] == "iUPD":
            onset -= 1
        plain = {"iUPD": "NE", "iCPD": "PD"}
        words = [plain.get(item, item.removeprefix("i")) for item in marks]
    options = {"stable_days": stable_days}
    return [best_response(words, days, confirm=c, **options) for c in (confirm, False)], onset
