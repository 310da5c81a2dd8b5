"""RANO 2.0: response of gliomas from a scan after radiotherapy on, with progression confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import polars as pl

from radgen._core.naming import require_choice
from radgen.phenotype.response._lesions import course, patients, require_words
from radgen.phenotype.response.assess import ResponseResult
from radgen.phenotype.response.glioma import (
    LIMITS,
    UNITS,
    Measure,
    lesion_table,
    unmatched,
    visit_table,
)
from radgen.phenotype.response.glioma2_visits import COMPONENTS, MINOR, Confirmation, Rules, Visits
from radgen.phenotype.response.sequence import best_response
from radgen.types._frame import FrameLike

__all__ = ["GliomaResponse2", "assess_glioma_response_2"]

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
            f"minor response from {MINOR[p['measure']]:.0%}, progression from growth of "
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
    require_words(table, {"component": COMPONENTS})
    state = visit_table(visits)
    until = None if radiotherapy_day is None else radiotherapy_day + _WINDOW_DAYS
    rules = Rules(measure, until, confirmation)
    rows: list[dict[str, Any]] = []
    people: list[tuple[Any, ...]] = []
    for (sample,), own in table.group_by(["sample"], maintain_order=True):
        one = Visits(str(sample), own, state, rules)
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
