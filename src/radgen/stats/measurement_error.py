"""Effects of a quantity that was measured with error, from repeated measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = ["Calibration", "calibrate", "simulation_extrapolation"]

FloatArray = NDArray[np.float64]
_LEVELS = (0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The expected true value of each subject, given its readings and covariates.

    Attributes
    ----------
    expected : float64 (n,)
        Expected true value; enters a model in place of the mean reading.
    mean : float64 (n,)
        Mean reading.
    true_variance, error_variance : float
        Variance of the true values between subjects, and of one reading about the true value.
    reliability : float
        Share of the variance of the mean of `k` readings that is true, where k is the mean
        number of readings.
    """

    expected: FloatArray
    mean: FloatArray
    true_variance: float
    error_variance: float
    reliability: float


def calibrate(readings: Any, covariates: Any = None) -> Calibration:
    """Return the best linear predictor of true values from replicate readings.

    Parameters
    ----------
    readings : float (n, k)
        Readings of each subject; NaN = not read. One or more in each row, two in some.
    covariates : float (n, q) or None
        Covariates that are measured without error and belong to the same model.

    Returns
    -------
    Calibration
        Linear regression calibration; rows may differ in their number of readings.

    Raises
    ------
    InputError
        If no subject has two readings, one has none, or the readings hold no true variance.

    Notes
    -----
    Exact for linear models, and good for logistic and Cox models where effects times error are
    not large. Errors are assumed alike and independent of everything.

    References
    ----------
    Carroll, Ruppert, Stefanski & Crainiceanu 2006, Measurement Error in Nonlinear Models,
    section 4.4.2, doi:10.1201/9781420010138.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=2000)
    >>> found = calibrate(truth[:, None] + rng.normal(size=(2000, 2)))
    >>> round(found.error_variance, 1), round(found.reliability, 2)
    (1.0, 0.65)
    """
    w = np.asarray(readings, dtype=np.float64)
    if w.ndim != 2:
        raise InputError(f"Readings have shape {w.shape}; needed is (subjects, readings).")
    known = np.isfinite(w)
    k = known.sum(axis=1).astype(np.float64)
    if (k < 1).any() or k.max() < 2:
        raise InputError("Every subject needs one reading or more, and some need two.")
    n = len(w)
    z = np.empty((n, 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
    if len(z) != n or not np.isfinite(z).all():
        raise InputError("Covariates must be complete, a row a subject.")
    middle = np.where(known, w, 0.0).sum(axis=1) / k
    error = float((np.where(known, w - middle[:, None], 0.0) ** 2).sum() / (k - 1).sum())
    centre = float((k * middle).sum() / k.sum())
    weight = float(k.sum() - (k**2).sum() / k.sum())
    gap, z0 = middle - centre, z - z.mean(axis=0)
    true = float(((k * gap**2).sum() - (n - 1) * error) / weight)
    if not true > 0:
        raise InputError(
            "Readings of a subject differ as much as those of different subjects: there is no "
            "true variance left to relate to anything."
        )
    cross = (k * gap) @ z0 / weight
    spread = z0.T @ z0 / (n - 1)
    expected = np.empty(n)
    for count in np.unique(k):
        rows = k == count
        inner = np.block([[np.array([[true + error / count]]), cross[None, :]],
                          [cross[:, None], spread]])  # fmt: skip
        coefficients = np.linalg.lstsq(inner, np.concatenate(([true], cross)), rcond=None)[0]
        expected[rows] = centre + np.column_stack((gap[rows], z0[rows])) @ coefficients
    share = true / (true + error / float(k.mean()))
    return Calibration(expected, middle, true, error, share)


def simulation_extrapolation(
    fit: Callable[[FloatArray], float],
    readings: Any,
    *,
    rng: np.random.Generator,
    draws: int = 50,
) -> tuple[float, FloatArray, FloatArray]:
    """Return an effect extrapolated to no measurement error (SIMEX), and what it came from.

    Parameters
    ----------
    fit : callable
        Takes a predictor (n,) and returns its effect.
    readings : float (n, k)
        As in `calibrate`; the mean reading is the predictor.
    rng : numpy.random.Generator
        Of the added errors.
    draws : int, default 50
        Simulated predictors at each level.

    Returns
    -------
    effect : float
        Quadratic extrapolation to error -1.
    levels, effects : float64 (5,)
        Added error variance (times that of the mean reading; 0 first) and mean effect.

    Raises
    ------
    InputError
        As `calibrate`.

    References
    ----------
    Cook & Stefanski 1994, doi:10.1080/01621459.1994.10476871.
    """
    found = calibrate(readings)
    known = np.isfinite(np.asarray(readings, dtype=np.float64))
    sd = np.sqrt(found.error_variance / known.sum(axis=1))
    levels, effects = [0.0], [fit(found.mean)]
    for level in _LEVELS:
        noise = rng.normal(size=(draws, len(sd))) * sd * np.sqrt(level)
        effects.append(float(np.mean([fit(found.mean + row) for row in noise])))
        levels.append(level)
    x, y = np.array(levels), np.array(effects)
    return float(np.polyval(np.polyfit(x, y, 2), -1.0)), x, y
