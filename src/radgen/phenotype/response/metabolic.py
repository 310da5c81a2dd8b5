"""PERCIST: metabolic response of lesions in FDG-PET."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import counted, require_choice
from radgen.errors import InputError, shown
from radgen.phenotype.response._lesions import checked, course, is_there, patients
from radgen.phenotype.response.assess import ResponseResult
from radgen.phenotype.response.rules import non_target_response
from radgen.phenotype.response.sequence import best_response
from radgen.types._frame import FrameLike

__all__ = [
    "METABOLIC_COLUMNS",
    "METABOLIC_RESPONSES",
    "MetabolicResponse",
    "assess_metabolic_response",
    "metabolic_response",
]

Lesions = Literal["hottest", "sum"]
METABOLIC_COLUMNS = {
    "sample": pl.String, "lesion": pl.String, "role": pl.String, "visit": pl.Float64,
    "day": pl.Float64, "sul_peak": pl.Float64, "glycolysis": pl.Float64, "liver": pl.Float64,
    "liver_sd": pl.Float64, "state": pl.String,
}  # fmt: skip
"""Columns of a table of PET lesions: a row a lesion and visit."""
METABOLIC_RESPONSES = {"CMR": "CR", "PMR": "PR", "SMD": "SD", "PMD": "PD", "NE": "NE"}
"""Metabolic responses, and the word of RECIST that stands at the same place."""

_CHANGES, _CHANGES_SUL, _SPREADS = 0.30, 0.8, 0.75
_MOST = 5
_TIE = 1e-9
_BACK = {plain: word for word, plain in METABOLIC_RESPONSES.items()}


@dataclass(frozen=True, eq=False)
class MetabolicResponse(ResponseResult):
    """Metabolic response: as `ResponseResult`, in the words and with the columns of PERCIST.

    Attributes
    ----------
    visits : polars.DataFrame
        A row a patient and visit after baseline: ``sample, visit, day, sul_peak, baseline,
        change, glycolysis_change, new_lesions, overall, reason``.
    """

    plots: ClassVar[tuple[str, ...]] = ("waterfall",)

    def statements(self) -> tuple[str, ...]:
        """Return how many patients responded, and how many progressed."""
        n, best = self.frame.height, self.frame["best"]
        good = int(best.is_in(["CMR", "PMR"]).sum())
        each = ", ".join(
            f"{int((best == word).sum())} {word}" for word in METABOLIC_RESPONSES
            if (best == word).any()
        )  # fmt: skip
        return (
            f"Metabolic response (PERCIST): {good} of {counted(n, 'patient')} ({good / n:.0%}). "
            f"Best responses: {each}.",
            f"{int(self.frame['progressed'].sum())} of {counted(n, 'patient')} progressed.",
        )

    def methods(self) -> str:
        """Return the methods paragraph."""
        which = (
            "the hottest lesion of each scan, not necessarily the same one"
            if self.params["lesions"] == "hottest"
            else "the sum over the same lesions, five at most"
        )
        return (
            "Metabolic response was assessed by PERCIST 1.0 from the peak uptake corrected for "
            f"lean body mass (SULpeak) of {which}: partial response from a fall of 30 % and 0.8 "
            "units from baseline, progression from a rise of 30 % and 0.8 units, a rise of total "
            "lesion glycolysis of 75 %, or new lesions, complete response where all lesions had "
            "fallen to the liver's mean or were gone."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "waterfall" of best changes of SULpeak and return the Axes."""
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen import plot

        known = self.frame.drop_nulls("best_change")
        words = [METABOLIC_RESPONSES[word] for word in known["best"]]
        return plot.waterfall(known["best_change"], words, lines=(_CHANGES, -_CHANGES), ax=ax)


def metabolic_response(
    peak: float,
    *,
    baseline: float,
    gone: bool = False,
    others: str = "ND",
    new_lesion: bool = False,
    glycolysis_change: float = float("nan"),
) -> tuple[str, str]:
    """Return the metabolic response at one visit and why.

    Parameters
    ----------
    peak, baseline : float
        SULpeak now and at baseline: of the hottest lesion of each scan, or sums over lesions. NaN
        now = not assessed.
    gone : bool
        All measured lesions have fallen to the liver's mean, or are not told from their
        surroundings.
    others : str
        Of lesions that are not measured, see `non_target_response`.
    new_lesion : bool
        A new lesion that is typical of cancer.
    glycolysis_change : float
        Change of total lesion glycolysis since baseline, as a share; NaN = unknown.

    Returns
    -------
    response : {"CMR", "PMR", "SMD", "PMD", "NE"}
    reason : str
        What decides.

    Raises
    ------
    InputError
        If uptake is negative, or that of baseline not positive.

    References
    ----------
    Wahl et al. 2009, doi:10.2967/jnumed.108.057307; O and Wahl 2016,
    doi:10.1148/radiol.2016142043.

    Examples
    --------
    >>> metabolic_response(2.0, baseline=3.0)[0], metabolic_response(1.0, baseline=1.5)[0]
    ('PMR', 'SMD')
    """
    if not baseline > 0 or peak < 0:
        raise InputError(f"SULpeak is {peak} now and {baseline} at baseline: it is positive.")
    share, step = peak / baseline - 1, peak - baseline
    told = f"SULpeak {share:+.1%} ({step:+.2f})"
    signs = []
    if share >= _CHANGES - _TIE and step >= _CHANGES_SUL - _TIE:
        signs.append(told)
    if glycolysis_change >= _SPREADS - _TIE and not step < 0:
        signs.append(f"total lesion glycolysis {glycolysis_change:+.0%}")
    if others == "PD":
        signs.append("unequivocal progression of lesions that are not measured")
    if new_lesion:
        signs.append("new lesion")
    if signs:
        return "PMD", "; ".join(signs)
    if np.isnan(peak) and not gone:
        return "NE", "uptake not assessed"
    if gone and others in ("CR", "ND"):
        return "CMR", "all lesions at the level of the liver or gone"
    if gone or (share <= -_CHANGES + _TIE and step <= -_CHANGES_SUL + _TIE):
        return "PMR", told
    return "SMD", told


def assess_metabolic_response(
    lesions: FrameLike,
    *,
    which: Lesions = "hottest",
    confirm: bool = False,
    stable_days: float = 0.0,
) -> MetabolicResponse:
    """Return the metabolic response of each patient at each visit, and the best of all.

    Parameters
    ----------
    lesions : data frame
        Columns of `METABOLIC_COLUMNS`, a row a lesion and visit; the first visit of a patient is
        baseline. ``role``: "target", "non-target" or "new"; ``sul_peak``: 0 or the state "absent" =
        gone; ``glycolysis``: SUL times mL; ``liver``, ``liver_sd``: mean and standard deviation of
        the liver's SUL in that scan.
    which : {"hottest", "sum"}
        The hottest target lesion of each scan, or the sum over the (five) hottest of baseline.
    confirm : bool, default False
        Complete and partial responses must be seen again four weeks later.
    stable_days : float, default 0
        Shortest time from baseline for stable disease.

    Returns
    -------
    MetabolicResponse
        With the reason of each visit.

    Raises
    ------
    InputError
        If columns are missing, a word is unknown, or a patient has no measured lesion at baseline.
    AlignmentError
        If a lesion stands twice in a visit.

    Notes
    -----
    Measurable at baseline is what reaches 1.5 times the liver's mean and two standard deviations;
    lesions below are named in a warning. Progression is judged from baseline, as published.
    """
    require_choice(which, ("hottest", "sum"), what="lesions")
    table = _checked(lesions)
    rows: list[dict[str, Any]] = []
    people: list[tuple[Any, ...]] = []
    faint: list[str] = []
    for (sample,), own in table.group_by(["sample"], maintain_order=True):
        found, targets = _patient(str(sample), own, which, faint)
        plain = [METABOLIC_RESPONSES[row["overall"]] for row in found]
        days = [row["day"] for row in found]
        best = [
            _BACK[best_response(plain, days, confirm=c, stable_days=stable_days)]
            for c in (confirm, False)
        ]
        rows += found
        words, changes = ([row[key] for row in found] for key in ("overall", "change"))
        onset = words.index("PMD") if "PMD" in words else None
        people.append(
            (sample, *best, *course(words, changes, days, onset=onset), len(found), targets)
        )
    frame = patients(people)
    warned = (
        f"{counted(len(faint), 'target lesion')} below 1.5 times the liver's mean and two standard "
        f"deviations at baseline, which PERCIST does not measure: {shown(faint)}.",
    )
    return MetabolicResponse(
        frame=frame,
        params={
            "criteria": "PERCIST", "lesions": which, "confirm": confirm, "stable_days": stable_days,
        },
        n_used=frame.height,
        warnings=warned if faint else (),
        provenance={"step": "phenotype.assess_metabolic_response", "version": 1},
        visits=pl.DataFrame(rows, schema=_VISITS, orient="row").with_columns(
            pl.col(pl.Float64).fill_nan(None)
        ),
    )  # fmt: skip


_VISITS = {
    "sample": pl.String, "visit": pl.Float64,
    **dict.fromkeys(("day", "sul_peak", "baseline", "change", "glycolysis_change"), pl.Float64),
    "new_lesions": pl.Int64, "overall": pl.String, "reason": pl.String,
}  # fmt: skip


def _checked(lesions: FrameLike) -> pl.DataFrame:
    table = checked(lesions, METABOLIC_COLUMNS, ("sul_peak",))
    gone = (pl.col("state") == "absent") & pl.col("sul_peak").is_null()
    peak = pl.when(gone).then(0.0).otherwise(pl.col("sul_peak")).fill_nan(None)
    return table.with_columns(peak.alias("sul_peak")).sort("sample", "visit", maintain_order=True)


def _patient(
    sample: str, own: pl.DataFrame, which: str, faint: list[str]
) -> tuple[list[dict[str, Any]], int]:
    by_visit: dict[float, dict[str, Mapping[str, Any]]] = {}
    for row in own.iter_rows(named=True):
        by_visit.setdefault(row["visit"], {})[row["lesion"]] = row
    order = sorted(by_visit)
    first = by_visit[order[0]]
    targets = [k for k, row in first.items() if row["role"] == "target"]
    others = [k for k, row in first.items() if row["role"] == "non-target"]
    blank = [k for k in targets if not (first[k]["sul_peak"] or 0.0) > 0]
    if not targets or blank:
        raise InputError(f"{sample}: no SULpeak at baseline of {shown(blank) or 'any target'}.")
    faint += [f"{k} of {sample}" for k in targets if _below(first[k])]
    if which == "sum":
        targets = sorted(targets, key=lambda k: -first[k]["sul_peak"])[:_MOST]
    baseline = _peak(first, targets, which)
    burden = _burden(first, targets)
    fresh: set[str] = set()
    rows = []
    for visit in order[1:]:
        now = by_visit[visit]
        peak, load = _peak(now, targets, which), _burden(now, targets)
        unmeasured = non_target_response([now[k]["state"] if k in now else None for k in others])
        fresh |= {
            k for k, row in now.items() if row["role"] == "new" and is_there(row, row["sul_peak"])
        }
        spread = load / burden - 1 if burden > 0 else float("nan")
        word, reason = metabolic_response(
            peak, baseline=baseline, gone=all(_cold(now.get(k)) for k in targets),
            others=unmeasured, new_lesion=bool(fresh), glycolysis_change=spread,
        )  # fmt: skip
        day = next((r["day"] for r in now.values() if r["day"] is not None), float("nan"))
        rows.append({
            "sample": sample, "visit": visit, "day": day, "sul_peak": peak, "baseline": baseline,
            "change": peak / baseline - 1, "glycolysis_change": spread,
            "new_lesions": len(fresh), "overall": word, "reason": reason,
        })  # fmt: skip
    return rows, len(targets)


def _below(row: Mapping[str, Any]) -> bool:
    """Return whether a lesion is too faint to be measured; unknown where the liver is."""
    if row["liver"] is None:
        return False
    return float(row["sul_peak"]) < 1.5 * row["liver"] + 2.0 * (row["liver_sd"] or 0.0)


def _peak(now: Mapping[str, Mapping[str, Any]], targets: Sequence[str], which: str) -> float:
    peaks = [now[k]["sul_peak"] if k in now else None for k in targets]
    if any(peak is None for peak in peaks):
        return float("nan")
    return float(max(peaks) if which == "hottest" else sum(peaks))


def _burden(now: Mapping[str, Mapping[str, Any]], targets: Sequence[str]) -> float:
    loads = [now[k]["glycolysis"] if k in now else None for k in targets]
    if any(load is None for load in loads):
        return float("nan")
    return float(sum(loads))


def _cold(row: Mapping[str, Any] | None) -> bool:
    """Return whether a lesion is gone, or not hotter than the liver."""
    if row is None or row["sul_peak"] is None:
        return False
    return row["sul_peak"] == 0 or (row["liver"] is not None and row["sul_peak"] < row["liver"])
