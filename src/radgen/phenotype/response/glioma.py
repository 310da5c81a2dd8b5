"""RANO: response of gliomas from size, oedema, steroids and the state of the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import counted, require_choice
from radgen.errors import InputError, shown
from radgen.phenotype.response._lesions import (
    checked,
    course,
    is_there,
    once,
    patients,
    require_words,
)
from radgen.phenotype.response.assess import ResponseResult
from radgen.phenotype.response.rules import non_target_response
from radgen.phenotype.response.sequence import best_response
from radgen.types import to_polars
from radgen.types._frame import FrameLike

__all__ = [
    "GLIOMA_COLUMNS",
    "GLIOMA_VISIT_COLUMNS",
    "GliomaResponse",
    "assess_glioma_response",
    "glioma_response",
]

Measure = Literal["product", "volume"]
GLIOMA_COLUMNS = {
    "sample": pl.String, "lesion": pl.String, "role": pl.String, "visit": pl.Float64,
    "day": pl.Float64, "longest_mm": pl.Float64, "short_mm": pl.Float64, "volume_ml": pl.Float64,
    "state": pl.String, "component": pl.String,
}  # fmt: skip
"""Columns of a table of enhancing lesions: a row a lesion and visit."""
GLIOMA_VISIT_COLUMNS = {
    "sample": pl.String, "visit": pl.Float64, "flair": pl.String, "steroids_mg": pl.Float64,
    "clinical": pl.String, "outside_field": pl.String,
}  # fmt: skip
"""What is known of a visit beside the lesions."""

_COURSES = ("better", "stable", "worse")
LIMITS = {"product": (0.50, 0.25), "volume": (0.65, 0.40)}
UNITS = {"product": "mm2", "volume": "mL"}
CONFIRM_DAYS = 28.0
TIE = 1e-9


@dataclass(frozen=True, eq=False)
class GliomaResponse(ResponseResult):
    """Response of gliomas: as `ResponseResult`, with the columns of RANO in `visits`.

    Attributes
    ----------
    visits : polars.DataFrame
        A row a patient and visit after baseline: ``sample, visit, day, size, baseline, nadir,
        from_baseline, from_nadir, enhancing, others, new_lesions, flair, steroids, clinical,
        overall, reason``; sizes in mm2 (sum of products) or mL.
    """

    plots: ClassVar[tuple[str, ...]] = ("waterfall",)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        falls, grows = LIMITS[p["measure"]]
        size = "products of perpendicular diameters" if p["measure"] == "product" else "volumes"
        seen = ", ".join(p["known"]) or "neither of them here"
        wait = (
            f" Growth until day {p['unsure_days']:g} counted as progression only where a scan four "
            "weeks later or more had not fallen below it."
            if p["unsure_days"]
            else ""
        )
        return (
            f"Response was assessed by RANO from sums of the {size} of enhancing lesions: partial "
            f"response from a fall of {falls:.0%} from baseline, progression from growth of "
            f"{grows:.0%} over the smallest sum, new lesions, unequivocal growth of others, worse "
            "T2/FLAIR or a worse clinical state; responses asked for steroids and states that had "
            f"not become worse, complete response for no steroids (known: {seen})." + wait
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


def glioma_response(
    size: float,
    *,
    baseline: float,
    nadir: float,
    others: str = "ND",
    new_lesion: bool = False,
    flair: str | None = None,
    steroids: str | None = None,
    no_steroids: bool | None = None,
    clinical: str | None = None,
    measure: Measure = "product",
) -> tuple[str, str]:
    """Return the response of a glioma at one visit and why.

    Parameters
    ----------
    size, baseline, nadir : float
        Sum of measured enhancing lesions now, at baseline, and the smallest before this visit. NaN
        = not assessed, or nothing measurable.
    others : str
        Of enhancing lesions that are not measured, see `non_target_response`.
    new_lesion : bool
        An unequivocal new lesion was seen.
    flair : {"better", "stable", "worse"} or None
        T2/FLAIR against baseline or the best since; None = unknown, and then not asked for.
    steroids : {"better", "stable", "worse"} or None
        Dose: lower, equal, higher than at baseline.
    no_steroids : bool or None
        None are taken (beyond physiological replacement).
    clinical : {"better", "stable", "worse"} or None
        State of the patient.
    measure : {"product", "volume"}
        Products of perpendicular diameters (limits 50 and 25 %), or volumes (65 and 40 %).

    Returns
    -------
    response : {"CR", "PR", "SD", "PD", "NE"}
    reason : str
        What decides.

    Raises
    ------
    InputError
        If a word is unknown or a size negative.

    Notes
    -----
    Complete and partial response ask for all of their conditions, progression for one of its own. A
    higher dose of steroids alone is no progression, but forbids response.

    References
    ----------
    Wen et al. 2010, doi:10.1200/JCO.2009.26.3541, table 4; volumes: Ellingson et al. 2017,
    doi:10.1007/s13311-016-0507-6.

    Examples
    --------
    >>> glioma_response(450.0, baseline=1000.0, nadir=1000.0, clinical="stable")[0]
    'PR'
    >>> glioma_response(450.0, baseline=1000.0, nadir=360.0)[0]
    'PD'
    >>> glioma_response(450.0, baseline=1000.0, nadir=1000.0, steroids="worse")[0]
    'SD'
    """
    require_choice(measure, tuple(LIMITS), what="measure")
    for what, word in (("T2/FLAIR", flair), ("clinical state", clinical), ("steroids", steroids)):
        if word is not None:
            require_choice(word, _COURSES, what=what)
    if any(np.isfinite(x) and x < 0 for x in (size, baseline, nadir)):
        raise InputError("A size cannot be negative.")
    falls, grows = LIMITS[measure]
    worse = _progressions(
        size, nadir, grows, others=others, new_lesion=new_lesion, flair=flair, clinical=clinical
    )
    if worse:
        return "PD", "; ".join(worse)
    if np.isnan(size) or others == "NE":
        if not (np.isnan(baseline) and others not in ("NE", "ND")):
            return "NE", "enhancing lesions not assessed"
        gone, share = others == "CR", float("nan")
    else:
        gone = size == 0 and others in ("CR", "ND")
        share = size / baseline - 1 if baseline > 0 else float("nan")
    why = f"{share:+.1%} from baseline" if np.isfinite(share) else f"others {others}"
    held = ["more steroids"] if steroids == "worse" else []
    if gone and not held and no_steroids is not False:
        return "CR", "no enhancing tumour"
    if (gone or share <= -falls + TIE) and not held:
        return "PR", why + (", on steroids" if gone else "")
    return "SD", ", ".join([why, *held])


def _progressions(
    size: float,
    nadir: float,
    grows: float,
    *,
    others: str,
    new_lesion: bool,
    flair: str | None,
    clinical: str | None,
) -> list[str]:
    """Return each sign of progression; none where there is none."""
    signs = []
    if np.isfinite(size) and np.isfinite(nadir):
        grown = size > 0 if nadir == 0 else size >= (1 + grows) * nadir * (1 - TIE)
        if grown:
            share = f"{size / nadir - 1:+.1%} from the smallest" if nadir > 0 else "came back"
            signs.append(f"enhancing lesions {share}")
    if others == "PD":
        signs.append("unequivocal progression of lesions that are not measured")
    if new_lesion:
        signs.append("new lesion")
    if flair == "worse":
        signs.append("T2/FLAIR worse")
    if clinical == "worse":
        signs.append("clinically worse")
    return signs


def assess_glioma_response(
    lesions: FrameLike,
    visits: FrameLike | None = None,
    *,
    measure: Measure = "product",
    confirm: bool = True,
    stable_days: float = 0.0,
    unsure_days: float = 0.0,
) -> GliomaResponse:
    """Return the response of each glioma at each visit, and the best of all, by RANO.

    Parameters
    ----------
    lesions : data frame
        Columns of `GLIOMA_COLUMNS`, a row an enhancing lesion and visit; the first visit of a
        patient is baseline (after radiotherapy, where that was given). ``role``: "target",
        "non-target" or "new"; ``longest_mm`` and ``short_mm``: perpendicular diameters, 0 = gone;
        or ``volume_ml``; ``state``: see `radgen.phenotype.response.STATES`.
    visits : data frame or None
        Columns of `GLIOMA_VISIT_COLUMNS`, a row a patient and visit, baseline included for
        steroids (mg a day). Words: better, stable, worse. None, or a blank, is not asked for.
    measure : {"product", "volume"}
        See `glioma_response`.
    confirm : bool, default True
        Complete and partial responses must be seen again four weeks later.
    stable_days : float, default 0
        Shortest time from baseline for stable disease.
    unsure_days : float, default 0
        Until this day, growth of measured lesions alone may be pseudoprogression (84 = twelve weeks
        after radiotherapy): it counts as progression only where a scan four weeks later or more is
        not smaller; else it counts as stable.

    Returns
    -------
    GliomaResponse
        With the reason of each visit.

    Raises
    ------
    InputError
        If columns are missing, a word is unknown, a size is missing at baseline, or a patient has
        no lesion there.
    AlignmentError
        If a lesion or a visit stands twice.
    """
    require_choice(measure, tuple(LIMITS), what="measure")
    table = lesion_table(lesions, measure)
    state = visit_table(visits)
    rows: list[dict[str, Any]] = []
    people: list[tuple[Any, ...]] = []
    for (sample,), own in table.group_by(["sample"], maintain_order=True):
        found, targets = _patient(str(sample), own, state, measure)
        words = _settled(found, unsure_days)
        days = [row["day"] for row in found]
        best = [
            best_response(words, days, confirm=c, stable_days=stable_days) for c in (confirm, False)
        ]
        rows += [{**row, "overall": word} for row, word in zip(found, words, strict=True)]
        changes = [row["from_baseline"] for row in found]
        onset = words.index("PD") if "PD" in words else None
        people.append(
            (sample, *best, *course(words, changes, days, onset=onset), len(found), targets)
        )
    known = [
        name for name, column in (
            ("T2/FLAIR", "flair"), ("steroids", "steroids"), ("clinical state", "clinical"),
        )
        if any(row[column] is not None for row in rows)
    ]  # fmt: skip
    frame = patients(people)
    return GliomaResponse(
        frame=frame,
        params={
            "criteria": "RANO", "measure": measure, "unit": UNITS[measure], "confirm": confirm,
            "stable_days": stable_days, "unsure_days": unsure_days, "known": tuple(known),
        },
        n_used=frame.height,
        warnings=(*_unknown(known), *unmatched(table, state)),
        provenance={"step": "phenotype.assess_glioma_response", "version": 1},
        visits=pl.DataFrame(rows, schema=_VISITS, orient="row").with_columns(
            pl.col(pl.Float64).fill_nan(None)
        ),
    )  # fmt: skip


_VISITS = {
    "sample": pl.String, "visit": pl.Float64,
    **dict.fromkeys(
        ("day", "size", "baseline", "nadir", "from_baseline", "from_nadir"), pl.Float64
    ),
    "enhancing": pl.String, "others": pl.String, "new_lesions": pl.Int64, "flair": pl.String,
    "steroids": pl.String, "clinical": pl.String, "overall": pl.String, "reason": pl.String,
}  # fmt: skip


def unmatched(
    table: pl.DataFrame, state: Mapping[tuple[str, float], Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return which rows of the table of visits go with no lesions."""
    seen = set(table.select("sample", "visit").iter_rows())
    lost = [f"{sample} visit {visit:g}" for sample, visit in state if (sample, visit) not in seen]
    if not lost:
        return ()
    return (
        f"{counted(len(lost), 'visit')} of the table of visits without lesions, left out: "
        f"{shown(lost)}. Are the ids those of the lesions?",
    )


def _unknown(known: Sequence[str]) -> tuple[str, ...]:
    lost = [name for name in ("T2/FLAIR", "steroids", "clinical state") if name not in known]
    if not lost:
        return ()
    return (
        f"Nothing is known of {shown(lost, 3)}: RANO asks for it, and the responses here rest on "
        "the rest alone.",
    )


def lesion_table(lesions: FrameLike, measure: str) -> pl.DataFrame:
    if measure == "product":
        needed, hint = ("longest_mm", "short_mm"), " Give both diameters, or take volumes."
        values = pl.col("longest_mm") * pl.col("short_mm")
    else:
        needed, hint, values = ("volume_ml",), "", pl.col("volume_ml")
    table = checked(lesions, GLIOMA_COLUMNS, needed, hint=hint)
    gone = (pl.col("state") == "absent") & values.is_null()
    return table.with_columns(
        pl.when(gone).then(0.0).otherwise(values).fill_nan(None).alias("size")
    ).sort("sample", "visit", maintain_order=True)


def visit_table(visits: FrameLike | None) -> dict[tuple[str, float], Mapping[str, Any]]:
    if visits is None:
        return {}
    table = to_polars(visits, what="table of visits")
    lost = [name for name in ("sample", "visit") if name not in table.columns]
    if lost:
        raise InputError(f"The table of visits lacks {shown(lost)}.")
    missing = [name for name in GLIOMA_VISIT_COLUMNS if name not in table.columns]
    table = table.with_columns(pl.lit(None).alias(name) for name in missing)
    table = table.select(pl.col(name).cast(kind) for name, kind in GLIOMA_VISIT_COLUMNS.items())
    require_words(table, {"flair": _COURSES, "clinical": _COURSES, "outside_field": ("yes", "no")})
    once(table, ["sample", "visit"], "Visits that stand twice")
    return {(row["sample"], row["visit"]): row for row in table.iter_rows(named=True)}


def _patient(
    sample: str,
    own: pl.DataFrame,
    state: Mapping[tuple[str, float], Mapping[str, Any]],
    measure: str,
) -> tuple[list[dict[str, Any]], int]:
    """Return a row a visit after baseline, and the number of measured lesions."""
    by_visit: dict[float, dict[str, Mapping[str, Any]]] = {}
    for row in own.iter_rows(named=True):
        by_visit.setdefault(row["visit"], {})[row["lesion"]] = row
    order = sorted(by_visit)
    first = by_visit[order[0]].values()
    targets = [row["lesion"] for row in first if row["role"] == "target"]
    others = [row["lesion"] for row in first if row["role"] == "non-target"]
    if not targets and not others:
        raise InputError(f"{sample} has no target or non-target lesion at the first visit.")
    blank = [x for x in targets if by_visit[order[0]][x]["size"] is None]
    if blank:
        raise InputError(f"{sample}: no size at baseline of {shown(blank)}.")
    baseline = nadir = sum_of(by_visit[order[0]], targets)
    least = dose_at(state, sample, order[0])
    fresh: set[str] = set()
    rows = []
    for visit in order[1:]:
        now, about = by_visit[visit], state.get((sample, visit), {})
        size = sum_of(now, targets)
        unmeasured = non_target_response([now[k]["state"] if k in now else None for k in others])
        fresh |= {
            k for k, row in now.items() if row["role"] == "new" and is_there(row, row["size"])
        }
        dose = dose_at(state, sample, visit)
        steroids = against(dose, least)
        word, reason = glioma_response(
            size, baseline=baseline, nadir=nadir, others=unmeasured, new_lesion=bool(fresh),
            flair=about.get("flair"), clinical=about.get("clinical"), steroids=steroids,
            no_steroids=None if dose is None else dose == 0, measure=measure,  # type: ignore[arg-type]
        )  # fmt: skip
        day = next((r["day"] for r in now.values() if r["day"] is not None), float("nan"))
        rows.append({
            "sample": sample, "visit": visit, "day": day, "size": size, "baseline": baseline,
            "nadir": nadir, "from_baseline": share_of(size, baseline),
            "from_nadir": share_of(size, nadir), "enhancing": _enhancing(size, baseline, measure),
            "others": unmeasured, "new_lesions": len(fresh), "flair": about.get("flair"),
            "steroids": steroids, "clinical": about.get("clinical"), "overall": word,
            "reason": reason,
        })  # fmt: skip
        nadir = min(nadir, size) if np.isfinite(size) else nadir
    return rows, len(targets)


def sum_of(now: Mapping[str, Mapping[str, Any]], targets: Sequence[str]) -> float:
    """Return the sum over the measured lesions; NaN where one is not assessed or none is there."""
    sizes = [now[k]["size"] if k in now else None for k in targets]
    if not sizes or any(size is None for size in sizes):
        return float("nan")
    return float(sum(sizes))


def _enhancing(size: float, baseline: float, measure: str) -> str:
    """Return in words what measured lesions did since baseline."""
    if np.isnan(size):
        return "ND" if np.isnan(baseline) else "NE"
    if size == 0:
        return "gone"
    return "smaller" if size <= (1 - LIMITS[measure][0]) * baseline + TIE else "there"


def dose_at(
    state: Mapping[tuple[str, float], Mapping[str, Any]], sample: str, visit: float
) -> float | None:
    dose = state.get((sample, visit), {}).get("steroids_mg")
    return None if dose is None or np.isnan(dose) else float(dose)


def against(dose: float | None, before: float | None) -> str | None:
    if dose is None or before is None:
        return None
    return "stable" if dose == before else "worse" if dose > before else "better"


def share_of(now: float, before: float) -> float:
    return now / before - 1 if before > 0 else float("nan")


def _settled(rows: Sequence[Mapping[str, Any]], unsure_days: float) -> list[str]:
    """Return the responses, early growth that no later scan bears out taken back to stable."""
    words = [str(row["overall"]) for row in rows]
    for k, row in enumerate(rows):
        grown = row["reason"].startswith("enhancing lesions") and ";" not in row["reason"]
        borne_out = "PD" in words[:k]
        if words[k] != "PD" or borne_out or not grown or not row["day"] <= unsure_days:
            continue
        later = [
            other for other in rows[k + 1 :]
            if other["day"] - row["day"] >= CONFIRM_DAYS and np.isfinite(other["size"])
        ]  # fmt: skip
        if not later:
            words[k] = "NE"
        elif later[0]["size"] < row["size"] * (1 - TIE):
            words[k] = "SD"
    return words
