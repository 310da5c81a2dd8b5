"""One door to all criteria of response."""

from __future__ import annotations

from typing import Literal, get_args

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.phenotype.response.assess import ResponseResult, assess_response
from radgen.phenotype.response.glioma import assess_glioma_response
from radgen.phenotype.response.metabolic import assess_metabolic_response
from radgen.types._frame import FrameLike

__all__ = ["ResponseCriteria", "assess_by"]

ResponseCriteria = Literal["RECIST 1.1", "iRECIST", "mRECIST", "RANO", "PERCIST"]


def assess_by(
    criteria: ResponseCriteria,
    lesions: FrameLike,
    visits: FrameLike | None = None,
    *,
    confirm: bool | None = None,
    stable_days: float | None = None,
    volumes: bool = False,
    unsure_days: float = 0.0,
) -> ResponseResult:
    """Return the response of each patient by named criteria.

    Parameters
    ----------
    criteria : {"RECIST 1.1", "iRECIST", "mRECIST", "RANO", "PERCIST"}
        See `assess_response`, `assess_glioma_response` (RANO), `assess_metabolic_response`
        (PERCIST).
    lesions : data frame
        A row a lesion and visit.
    visits : data frame or None
        Of RANO.
    confirm : bool or None
        Responses must be seen again four weeks later; None = as the criteria have it (all but
        PERCIST).
    stable_days : float or None
        Shortest time for stable disease; None = 42 days, RANO and PERCIST 0.
    volumes : bool
        Of RANO: volumes in place of products of diameters.
    unsure_days : float
        Of RANO: until this day growth counts only where a later scan bears it out.

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
    if criteria != "RANO" and (visits is not None or volumes or unsure_days):
        raise InputError(f"visits, volumes and unsure_days belong to RANO, not to {criteria}.")
    asked = confirm if confirm is not None else criteria != "PERCIST"
    days = stable_days if stable_days is not None else 0.0
    if criteria == "RANO":
        return assess_glioma_response(
            lesions, visits, measure="volume" if volumes else "product", confirm=asked,
            stable_days=days, unsure_days=unsure_days,
        )  # fmt: skip
    if criteria == "PERCIST":
        return assess_metabolic_response(lesions, confirm=asked, stable_days=days)
    return assess_response(
        lesions, criteria=criteria, confirm=asked,
        stable_days=42.0 if stable_days is None else stable_days,
    )  # fmt: skip
