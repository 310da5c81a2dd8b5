"""RECIST 1.1: the response of target lesions, of the others, and of the patient, at one visit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError, shown

__all__ = [
    "MEASURABLE_MM",
    "NODE_NORMAL_MM",
    "RESPONSES",
    "STATES",
    "non_target_response",
    "overall_response",
    "target_response",
]

FloatArray = NDArray[np.float64]

RESPONSES = ("CR", "PR", "SD", "Non-CR/Non-PD", "PD", "NE", "ND")
"""Complete, partial, stable, neither complete nor progression, progression, not evaluable, no
disease at baseline."""
STATES = ("absent", "present", "progression", "equivocal", "not evaluable")
"""What is said of a lesion that is not measured."""
NODE_NORMAL_MM = 10.0
"""A lymph node with a shorter axis below this is normal."""
MEASURABLE_MM = {"lesion": 10.0, "node": 15.0}
_SHRINKS, _GROWS = 0.30, 0.20
_TIE = 1e-9


def target_response(
    diameters: Any,
    nodes: Any,
    *,
    baseline_mm: float,
    nadir_mm: float,
    after_complete: bool = False,
    grows_mm: float = 5.0,
) -> tuple[str, str]:
    """Return the response of the target lesions and why.

    Parameters
    ----------
    diameters : float64 (n_lesions,), mm
        Longest diameter, of lymph nodes the short axis. 0 = gone, NaN = not assessed; 5 for what
        is seen and too small to measure.
    nodes : bool (n_lesions,)
        Lymph nodes.
    baseline_mm, nadir_mm : float
        Sum at baseline, and the smallest sum before this visit, baseline included.
    after_complete : bool, default False
        All were gone at an earlier visit: a lesion that comes back is progression.
    grows_mm : float, default 5
        Least growth of progression beside 20 %; mRECIST asks for none.

    Returns
    -------
    response : str
        "CR", "PR", "SD", "PD", "NE", or "ND" without target lesions.
    reason : str
        The numbers that decide.

    Raises
    ------
    InputError
        If lengths differ or a diameter is negative.

    Notes
    -----
    Progression is growth by 20 % and 5 mm over the smallest sum on study, not over baseline, and
    precedes partial response. With lesions that were not assessed only progression can be said, and
    only where those that were assessed show it by themselves.

    References
    ----------
    Eisenhauer et al. 2009, doi:10.1016/j.ejca.2008.10.026, section 4.3.

    Examples
    --------
    >>> target_response([50.0], [False], baseline_mm=100.0, nadir_mm=40.0)[0]
    'PD'
    >>> target_response([0.0, 9.0], [False, True], baseline_mm=60.0, nadir_mm=30.0)[0]
    'CR'
    """
    d = np.asarray(diameters, dtype=np.float64)
    node = np.asarray(nodes, dtype=bool)
    if d.shape != node.shape:
        raise InputError(f"{d.size} diameters and {node.size} entries of nodes.")
    if np.any(d < 0):
        raise InputError(f"Diameters cannot be negative: {shown(d[d < 0].tolist())}.")
    if not len(d):
        return "ND", "no target lesion"
    total = float(np.nansum(d))
    lost = int(np.isnan(d).sum())
    grown = total - nadir_mm
    share = grown / nadir_mm if nadir_mm > 0 else np.inf if grown > 0 else 0.0
    worse = grown > 0 and grown >= grows_mm - _TIE and share >= _GROWS - _TIE
    told = f"{grown:+.1f} mm ({share:+.1%}) from the nadir of {nadir_mm:.1f} mm"
    if lost:
        some = f"{lost} of {len(d)} target lesions not assessed"
        if worse:
            return "PD", f"{some}; the others alone are {told}"
        return "NE", some
    if np.all(np.where(node, d < NODE_NORMAL_MM, d == 0)):
        nodal = ", nodes below 10 mm" if node.any() else ""
        return "CR", f"all target lesions gone{nodal}"
    if after_complete and np.any(d[~node] > 0):
        return "PD", "a target lesion came back after complete response"
    if worse:
        return "PD", told
    fall = (total - baseline_mm) / baseline_mm if baseline_mm > 0 else np.nan
    why = f"{fall:+.1%} from the baseline of {baseline_mm:.1f} mm"
    if total <= (1 - _SHRINKS) * baseline_mm + _TIE:
        return "PR", why
    return "SD", f"{why}, {told}"


def non_target_response(states: Sequence[str | None]) -> str:
    """Return the response of the lesions that are not measured.

    Parameters
    ----------
    states : sequence of str or None
        One of `STATES` a lesion; None = not assessed.

    Returns
    -------
    str
        "CR", "Non-CR/Non-PD", "PD", "NE", or "ND" without such lesions.

    Raises
    ------
    InputError
        If a state is unknown.

    Examples
    --------
    >>> non_target_response(["absent", "present"])
    'Non-CR/Non-PD'
    """
    odd = [item for item in states if item is not None and item not in STATES]
    if odd:
        raise InputError(f"Unknown states {shown(dict.fromkeys(odd))}; known: {shown(STATES)}.")
    if not states:
        return "ND"
    if "progression" in states:
        return "PD"
    if any(item is None or item == "not evaluable" for item in states):
        return "NE"
    if all(item == "absent" for item in states):
        return "CR"
    return "Non-CR/Non-PD"


def overall_response(target: str, non_target: str, *, new_lesion: bool) -> str:
    """Return the response of the patient at a visit.

    Parameters
    ----------
    target, non_target : str
        Of `target_response` and `non_target_response`.
    new_lesion : bool
        An unequivocal new lesion was seen.

    Returns
    -------
    str
        One of `RESPONSES`.

    Raises
    ------
    InputError
        If a response is unknown.

    References
    ----------
    Eisenhauer et al. 2009, doi:10.1016/j.ejca.2008.10.026, tables 1 and 2.

    Examples
    --------
    >>> overall_response("CR", "NE", new_lesion=False)
    'PR'
    """
    odd = {target, non_target} - set(RESPONSES)
    if odd:
        raise InputError(f"Unknown responses {shown(sorted(odd))}; known: {shown(RESPONSES, 9)}.")
    if new_lesion or "PD" in (target, non_target):
        return "PD"
    if target == "ND":
        return non_target
    if target == "CR":
        return "CR" if non_target in ("CR", "ND") else "PR"
    return target
