"""Visits in order: best response, its confirmation, and progression that must be confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radgen.errors import InputError

__all__ = ["Visit", "best_response", "immune_responses"]

_CONFIRM_DAYS = 28.0
_GROWS_MM = 5.0


def best_response(
    responses: Sequence[str],
    days: Sequence[float],
    *,
    confirm: bool = True,
    stable_days: float = 42.0,
) -> str:
    """Return the best overall response from baseline to progression.

    Parameters
    ----------
    responses : sequence of str
        Overall response of each visit after baseline, in order.
    days : sequence of float
        Days from baseline; NaN = unknown, which confirms nothing.
    confirm : bool, default True
        Complete and partial responses count only where a later visit, four weeks or more after,
        shows them again, with nothing but unevaluable visits in between.
    stable_days : float, default 42
        Shortest time from baseline for stable disease.

    Returns
    -------
    str
        "CR", "PR", "MR" (minor, of RANO 2.0), "SD", "Non-CR/Non-PD", "PD" or "NE".

    Raises
    ------
    InputError
        If responses and days differ in number.

    References
    ----------
    Eisenhauer et al. 2009, doi:10.1016/j.ejca.2008.10.026, table 3.

    Examples
    --------
    >>> best_response(["PR", "SD", "PD"], [42, 84, 126])
    'SD'
    >>> best_response(["PR", "NE", "CR"], [42, 84, 126])
    'PR'
    """
    if len(responses) != len(days):
        raise InputError(f"{len(responses)} responses and {len(days)} days.")
    stop = next((k for k, item in enumerate(responses) if item == "PD"), len(responses))
    seen = list(responses[:stop])
    when = np.asarray(days, dtype=np.float64)
    for wanted, also in (
        ("CR", ("CR",)), ("PR", ("CR", "PR")), ("MR", ("CR", "PR", "MR")),
    ):  # fmt: skip
        for k, item in enumerate(seen):
            if item in also and (not confirm or _confirmed(seen, when, k, also)):
                return wanted
    stable = ("CR", "PR", "MR", "SD", "Non-CR/Non-PD")
    late = [k for k, item in enumerate(seen) if item in stable and when[k] >= stable_days]
    if late:
        return "Non-CR/Non-PD" if all(seen[k] == "Non-CR/Non-PD" for k in late) else "SD"
    return "PD" if stop < len(responses) else "NE"


def _confirmed(seen: Sequence[str], when: np.ndarray, first: int, also: Sequence[str]) -> bool:
    for k in range(first + 1, len(seen)):
        if seen[k] == "NE":
            continue
        if seen[k] not in also:
            return False
        if when[k] - when[first] >= _CONFIRM_DAYS:
            return True
    return False


@dataclass(frozen=True)
class Visit:
    """What iRECIST asks of a visit after baseline.

    Attributes
    ----------
    day : float
        From baseline; NaN = unknown.
    target, non_target, overall : str
        By RECIST 1.1.
    sum_mm : float
        Of the target lesions.
    new_lesions : int
        Unequivocal new lesions so far.
    new_mm : float
        Sum of the diameters of new lesions; NaN where they are not measured.
    """

    day: float
    target: str
    non_target: str
    overall: str
    sum_mm: float
    new_lesions: int = 0
    new_mm: float = float("nan")


def immune_responses(visits: Sequence[Visit]) -> tuple[str, ...]:
    """Return the response of each visit by iRECIST: progression counts once it is confirmed.

    Parameters
    ----------
    visits : sequence of Visit
        In order, with their responses by RECIST 1.1.

    Returns
    -------
    tuple of str
        "iCR", "iPR", "iSD", "iNon-CR/Non-PD", "iUPD" (not confirmed), "iCPD" (confirmed; all
        later visits too) or "NE".

    Notes
    -----
    Confirmed is what, at the next visits and four weeks or more later, has grown on (target sum or
    new lesions by 5 mm, more new lesions) or progressed in a part that had not yet. Stable disease
    or response in between resets it.

    References
    ----------
    Seymour et al. 2017, doi:10.1016/S1470-2045(17)30074-8.

    Examples
    --------
    >>> first = Visit(42, "PD", "CR", "PD", 60.0)
    >>> immune_responses([first, Visit(84, "PD", "CR", "PD", 66.0)])
    ('iUPD', 'iCPD')
    >>> immune_responses([first, Visit(84, "PR", "CR", "PR", 30.0)])
    ('iUPD', 'iPR')
    """
    out: list[str] = []
    pending: Visit | None = None
    for visit in visits:
        if out and out[-1] == "iCPD":
            out.append("iCPD")
        elif visit.overall != "PD":
            if visit.overall != "NE":
                pending = None
            out.append("NE" if visit.overall == "NE" else f"i{visit.overall}")
        elif pending is not None and _grown_on(pending, visit):
            out.append("iCPD")
        else:
            pending = visit if pending is None else pending
            out.append("iUPD")
    return tuple(out)


def _grown_on(before: Visit, now: Visit) -> bool:
    if now.day - before.day < _CONFIRM_DAYS:
        return False
    other = (now.target == "PD" != before.target) or (now.non_target == "PD" != before.non_target)
    target = before.target == "PD" and now.sum_mm - before.sum_mm >= _GROWS_MM
    more = now.new_lesions > before.new_lesions
    return other or target or more or now.new_mm - before.new_mm >= _GROWS_MM
