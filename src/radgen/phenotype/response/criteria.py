"""One door to all criteria of response."""

from __future__ import annotations

from typing import Literal, get_args

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.phenotype.response.assess import ResponseResult, assess_response
from radgen.phenotype.response.glioma import assess_glioma_response
from radgen.phenotype.response.glioma2 import assess_glioma_response_2
from radgen.phenotype.response.glioma2_visits import Confirmation
from radgen.phenotype.response.metabolic import assess_metabolic_response
from radgen.types._frame import FrameLike

__all__ = ["ResponseCriteria", "assess_by"]

ResponseCriteria = Literal["RECIST 1.1", "iRECIST", "mRECIST", "RANO", "RANO 2.0", "PERCIST"]


def assess_by(
    criteria: ResponseCriteria,
    lesions: FrameLike,
    visits: FrameLike | None = None,
    *,
    confirm: bool | None = None,
    stable_days: float | None = None,
    volumes: bool = False,
    unsure_days: float = 0.0,
    radiotherapy_day: float | None = None,
    confirmation: Confirmation = "growth",
) -> ResponseResult:
    """Return the response of each patient by named criteria.

    Parameters
    ----------
    criteria : {"RECIST 1.1", "iRECIST", "mRECIST", "RANO", "RANO 2.0", "PERCIST"}
        See `assess_response`, `assess_glioma_response` (RANO of 2010),
        `assess_glioma_response_2` (RANO 2.0), `assess_metabolic_response` (PERCIST).
    lesions : data frame
        A row a lesion and visit.
    visits : data frame or None
        Of RANO and RANO 2.0.
    confirm : bool or None
        Responses must be seen again four weeks later; None = as the criteria have it (all but
        PERCIST).
    stable_days : float or None
        Shortest time for stable disease; None = 42 days, of RANO and PERCIST 0.
    volumes : bool
        Of RANO and RANO 2.0: volumes in place of products of diameters.
    unsure_days : float
        Of RANO: until this day growth counts only where a later scan bears it out.
    radiotherapy_day : float or None
        Of RANO 2.0: day of the end of radiotherapy.
    confirmation : {"growth", "persistence"}
        Of RANO 2.0: what a confirming scan must show.

    Returns
    -------
    ResponseResult
        Of the criteria.

    Raises
    ------
    InputError
        If the criteria are unknown, an option belongs to others, or the table cannot be judged.
    AlignmentError
        If a lesion stands twice in a visit.
    """
    require_choice(criteria, get_args(ResponseCriteria), what="criteria")
    if not criteria.startswith("RANO") and (visits is not None or volumes):
        raise InputError(f"visits and volumes belong to RANO and RANO 2.0, not to {criteria}.")
    if criteria != "RANO" and unsure_days:
        raise InputError(f"unsure_days belongs to RANO, not to {criteria}.")
    if criteria != "RANO 2.0" and (radiotherapy_day is not None or confirmation != "growth"):
        raise InputError(
            f"radiotherapy_day and confirmation belong to RANO 2.0, not to {criteria}."
        )
    asked = confirm if confirm is not None else criteria != "PERCIST"
    days = stable_days if stable_days is not None else 0.0
    if criteria == "RANO":
        return assess_glioma_response(
            lesions, visits, measure="volume" if volumes else "product", confirm=asked,
            stable_days=days, unsure_days=unsure_days,
        )  # fmt: skip
    if criteria == "RANO 2.0":
        return assess_glioma_response_2(
            lesions, visits, measure="volume" if volumes else "product", confirm=asked,
            stable_days=days, radiotherapy_day=radiotherapy_day, confirmation=confirmation,
        )  # fmt: skip
    if criteria == "PERCIST":
        return assess_metabolic_response(lesions, confirm=asked, stable_days=days)
    return assess_response(
        lesions, criteria=criteria, confirm=asked,
        stable_days=42.0 if stable_days is None else stable_days,
    )  # fmt: skip
