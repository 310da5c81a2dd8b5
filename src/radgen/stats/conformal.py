"""Conformal prediction of classes: sets that hold the truth as often as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = ["class_p_values", "conformal_quantile"]

FloatArray = NDArray[np.float64]


def conformal_quantile(scores: Any, level: float) -> float:
    """Return the nonconformity up to which a class belongs to the set at an error level.

    Parameters
    ----------
    scores : float64 (n,)
        Nonconformity of calibration samples (how strange their true class looks).
    level : float
        Allowed share of errors.

    Returns
    -------
    float
        The ⌈(n + 1)(1 - level)⌉-th smallest score; inf where n is too small for the level.

    Raises
    ------
    InputError
        If the level is not strictly between 0 and 1.

    References
    ----------
    Vovk, Gammerman & Shafer 2005, doi:10.1007/b106715. Sadinle, Lei & Wasserman 2019,
    doi:10.1080/01621459.2017.1395341.

    Examples
    --------
    >>> conformal_quantile([0.1, 0.2, 0.3, 0.4], 0.25)
    0.4
    >>> conformal_quantile([0.1, 0.2, 0.3, 0.4], 0.1)
    inf
    """
    if not 0 < level < 1:
        raise InputError(f"An error level lies between 0 and 1, as {level:g} does not.")
    known = np.sort(np.asarray(scores, dtype=np.float64))
    rank = int(np.ceil((len(known) + 1) * (1 - level) - 1e-9))
    return float(known[rank - 1]) if rank <= len(known) else float("inf")


def class_p_values(y: Any, calibration: Any, new: Any, *, by_class: bool = True) -> FloatArray:
    """Return the conformal p-value of each of two classes for new samples.

    Parameters
    ----------
    y : float64 (n,)
        Classes 0 and 1 of the calibration samples.
    calibration, new : float64 (n,) and (m,)
        Probability of class 1 of calibration and new samples; no calibration sample trained the
        model behind it.
    by_class : bool, default True
        Compare with calibration samples of the class in question alone: then the sets hold the
        truth as often as promised in each class, and so over all. False = with all of them.

    Returns
    -------
    float64 (m, 2)
        A class is in the set at level α where its p-value is above α. The true class is left out
        with a probability of α at most where calibration and new samples are exchangeable. 1
        where a class has no calibration sample.

    Raises
    ------
    InputError
        If lengths differ.

    References
    ----------
    Vovk 2013, doi:10.1007/s10994-013-5355-6 (label-conditional inductive conformal predictors).

    Examples
    --------
    >>> y, p = np.array([0, 0, 0, 1, 1, 1]), np.array([0.1, 0.2, 0.6, 0.5, 0.8, 0.9])
    >>> class_p_values(y, p, np.array([0.05, 0.7]))
    array([[1.  , 0.25],
           [0.25, 0.5 ]])
    """
    truth = np.asarray(y, dtype=np.float64) > 0.5
    known, score = (np.asarray(item, dtype=np.float64) for item in (calibration, new))
    if len(truth) != len(known):
        raise InputError(f"{len(truth)} classes and {len(known)} calibration scores.")
    strange = np.where(truth, 1 - known, known)
    out = np.empty((len(score), 2))
    for level, of_new in ((0, score), (1, 1 - score)):
        own = np.sort(strange[truth == bool(level)] if by_class else strange)
        # At least as strange as the new sample; a hair's breadth of rounding counts as equal.
        as_strange = len(own) - np.searchsorted(own, of_new - 1e-12, side="left")
        out[:, level] = (1 + as_strange) / (len(own) + 1)
    return out
