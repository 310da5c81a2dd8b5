"""Tracer kinetics: how fast contrast agent enters and leaves tissue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.errors import InputError
from radgen.functional._least_squares import CurveFit
from radgen.functional._residues import PERFUSION, RESIDUES
from radgen.functional._tracer_search import TracerSearch, basis_curves

__all__ = ["TRACER_UNITS", "TracerFit", "TracerModel", "fit_tracer", "tissue_curve"]

Floats = NDArray[np.float64]
TracerModel = Literal["tofts", "extended-tofts", "patlak", "uptake", "exchange"]

TRACER_UNITS: Mapping[str, str] = {
    "Ktrans": "1/min", "kep": "1/min", "ve": "mL/mL", "vp": "mL/mL", "PS": "1/min",
    "Fp": "mL/100mL/min", "delay": "s",
}  # fmt: skip
"""Unit of each parameter."""

_BLOCK = 4096


@dataclass(frozen=True, eq=False, slots=True)
class TracerFit:
    """Tracer kinetics of many curves.

    Attributes
    ----------
    model : str
        Which model was fitted.
    parameters : mapping of str to ndarray of float64 (n_voxels,)
        By name, in the units of `TRACER_UNITS`; NaN where the curve does not determine it.
    standard_errors : mapping of str to ndarray of float64 (n_voxels,)
        Of the same; NaN where a bound was met.
    r_squared : ndarray of float64 (n_voxels,)
        Share of the curve's variation that the model explains.
    converged : ndarray of bool (n_voxels,)
        Whether the fit came to an end.
    """

    model: str
    parameters: Mapping[str, Floats]
    standard_errors: Mapping[str, Floats]
    r_squared: Floats
    converged: NDArray[np.bool_]


def tissue_curve(
    model: TracerModel,
    times_s: ArrayLike,
    plasma: ArrayLike,
    *,
    delay_s: float = 0.0,
    **parameters: float,
) -> Floats:
    """Return the tissue concentration that a model makes of a plasma curve.

    Parameters
    ----------
    model : {"tofts", "extended-tofts", "patlak", "uptake", "exchange"}
        Which model; see `fit_tracer`.
    times_s : array_like of float (n_times,)
        Rising times in seconds.
    plasma : array_like of float (n_times,)
        Plasma concentration, mM; linear between samples.
    delay_s : float
        From the artery to the tissue, seconds.
    **parameters : float
        "tofts": Ktrans, ve. "extended-tofts": Ktrans, ve, vp. "patlak": PS, vp. "uptake": Fp,
        PS, vp. "exchange": Fp, PS, vp, ve. Units as in `TRACER_UNITS`.

    Returns
    -------
    ndarray of float64 (n_times,)
        Tissue concentration, mM.

    Raises
    ------
    InputError
        If a parameter is missing, unknown or not positive where it must be.

    Examples
    --------
    >>> curve = tissue_curve("patlak", [0.0, 60.0], [1.0, 1.0], PS=0.1, vp=0.05)
    >>> curve.round(3).tolist()
    [0.05, 0.15]
    """
    require_choice(model, get_args(TracerModel), what="tracer model")
    linear, rates = _residue(model, parameters)
    times, source = _clock(times_s, plasma)
    shape = RESIDUES[model]
    basis = basis_curves(shape, times, source, np.array([rates]), np.array([delay_s / 60.0]))
    found: Floats = linear @ basis[0]
    return found


def _residue(model: str, given: Mapping[str, float]) -> tuple[Floats, list[float]]:
    needs = {
        "tofts": ("Ktrans", "ve"), "extended-tofts": ("Ktrans", "ve", "vp"),
        "patlak": ("PS", "vp"), "uptake": ("Fp", "PS", "vp"),
        "exchange": ("Fp", "PS", "vp", "ve"),
    }[model]  # fmt: skip
    if set(given) != set(needs):
        raise InputError(f"The {model} model has parameters {', '.join(needs)}; found {[*given]}.")
    for name in needs:
        value = given[name]
        low = 0.0 if name in ("Ktrans", "PS") or (name == "vp" and model != "exchange") else 1e-12
        if not (np.isfinite(value) and value >= low):
            raise InputError(
                f"{name} is {value}; it must be {'positive' if low else 'not negative'}."
            )
    if model == "tofts":
        return np.array([given["Ktrans"]]), [given["Ktrans"] / given["ve"]]
    if model == "extended-tofts":
        return np.array([given["vp"], given["Ktrans"]]), [given["Ktrans"] / given["ve"]]
    if model == "patlak":
        return np.array([given["vp"], given["PS"]]), []
    flow, exchange = given["Fp"] / PERFUSION, given["PS"]
    if model == "uptake":
        kept = flow * exchange / (flow + exchange)
        return np.array([flow - kept, kept]), [(flow + exchange) / given["vp"]]
    return _two_compartments(flow, exchange, given["vp"], given["ve"])


def _two_compartments(
    flow: float, exchange: float, plasma: float, outside: float
) -> tuple[Floats, list[float]]:
    total = (flow + exchange) / plasma + exchange / outside
    product = flow * exchange / (plasma * outside)
    fast = (total + np.sqrt(max(total**2 - 4 * product, 0.0))) / 2
    slow = product / fast
    zero = exchange / plasma + exchange / outside
    if fast - slow <= 1e-12 * fast:
        raise InputError("Both exponentials of the exchange model have one rate; change Fp or PS.")
    first = flow * (fast - zero) / (fast - slow)
    return np.array([first, flow - first]), [fast, slow]


def fit_tracer(
    curves: ArrayLike,
    times_s: ArrayLike,
    plasma: ArrayLike,
    *,
    model: TracerModel = "extended-tofts",
    delay_s: float | Literal["fit"] = 0.0,
    max_delay_s: float = 10.0,
) -> TracerFit:
    r"""Return the tracer kinetics that fit each tissue curve best.

    Parameters
    ----------
    curves : array_like of float (n_voxels, n_times)
        Tissue concentration, mM. A curve with a value that is not finite gives NaN.
    times_s : array_like of float (n_times,)
        Rising times in seconds.
    plasma : array_like of float (n_times,)
        Arterial plasma concentration, mM: whole blood over 1 - haematocrit.
    model : {"tofts", "extended-tofts", "patlak", "uptake", "exchange"}
        "tofts": transfer constant and extravascular volume. "extended-tofts": and the plasma
        volume. "patlak": leakage without return. "uptake": plasma flow, exchange without return
        (2CUM). "exchange": two compartments (2CXM).
    delay_s : float or "fit"
        From the artery to the tissue; "fit" estimates it for each curve.
    max_delay_s : float
        With "fit": delays between minus and plus this are tried.

    Returns
    -------
    TracerFit
        Parameters with standard errors.

    Raises
    ------
    InputError
        If shapes do not fit, times do not rise, or the plasma curve is empty.

    Notes
    -----
    All models are :math:`C = c_0 c_p + \sum_j A_j (c_p * e^{-k_j t})` with amplitudes that are
    not negative. A grid of rates (and delays) is tried with the best amplitudes, so no start
    values are asked for and no local minimum near them is taken; the best grid point is refined by
    Levenberg-Marquardt on all frames with equal weight. Folding is exact for a plasma curve
    that is linear between its samples. Volumes are not cut off at 1: a value above says that
    the model does not fit.

    References
    ----------
    Tofts et al. 1999, doi:10.1002/(SICI)1522-2586(199909)10:3<223::AID-JMRI2>3.0.CO;2-S;
    Patlak et al. 1983, doi:10.1038/jcbfm.1983.1; Sourbron and Buckley 2012,
    doi:10.1088/0031-9155/57/2/R1.
    """
    require_choice(model, get_args(TracerModel), what="tracer model")
    times, source = _clock(times_s, plasma)
    data = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    if data.shape[1] != len(times):
        raise InputError(f"The curves have {data.shape[1]} frames and the clock {len(times)}.")
    if delay_s == "fit" and not max_delay_s > 0:
        raise InputError(f"The largest delay is {max_delay_s} s; it must be positive.")
    shape = RESIDUES[model]
    names = ["delay"] if delay_s == "fit" else []
    size = shape.n_linear + shape.decaying + len(names)
    if len(times) <= size:
        raise InputError(f"{len(times)} frames cannot determine {size} parameters: measure more.")
    estimates = np.full((len(data), size), np.nan)
    covariance = np.full((len(data), size, size), np.nan)
    residual = np.full(len(data), np.nan)
    converged = np.zeros(len(data), dtype=bool)
    problem = TracerSearch(model, times, source, delay_s, max_delay_s / 60.0)
    with progress("Fitting tracer kinetics", len(data)) as tick:
        for at in range(0, len(data), _BLOCK):
            part = slice(at, at + _BLOCK)
            found = problem.fit(data[part])
            estimates[part], covariance[part] = found.parameters, found.covariance
            residual[part], converged[part] = found.residual, found.converged
            tick(len(data[part]))
    return _named(problem, data, CurveFit(estimates, covariance, residual, converged))


def _clock(times_s: ArrayLike, plasma: ArrayLike) -> tuple[Floats, Floats]:
    times = np.asarray(times_s, dtype=np.float64) / 60.0
    source = np.asarray(plasma, dtype=np.float64)
    if times.ndim != 1 or source.shape != times.shape:
        raise InputError(f"The plasma curve has shape {source.shape} and the clock {times.shape}.")
    if len(times) < 2 or not (np.diff(times) > 0).all():
        raise InputError("The times must rise from frame to frame.")
    if not np.isfinite(source).all() or not source.max(initial=0.0) > 0:
        raise InputError("The plasma curve holds no contrast, or values that are not finite.")
    return times, source


def _named(problem: TracerSearch, data: Floats, fit: CurveFit) -> TracerFit:
    shape, estimates, covariance = problem.shape, fit.parameters, fit.covariance
    first, last = shape.n_linear, shape.n_linear + shape.decaying
    plain = np.concatenate([estimates[:, :first], np.exp(estimates[:, first:last])], axis=1).T
    values = shape.physical(plain)
    known = np.isfinite(np.einsum("npp->np", covariance))
    full = np.where(np.isfinite(covariance), covariance, 0.0)
    slopes: dict[str, list[Floats]] = {name: [] for name in values}
    for j in range(last):
        step = 1e-6 * np.maximum(np.abs(plain[j]), 1e-9)
        moved = plain.copy()
        moved[j] += step
        chain = 1.0 if j < first else plain[j]
        for name, value in shape.physical(moved).items():
            slopes[name].append((value - values[name]) / step * chain)
    deviations = {}
    for name, columns in slopes.items():
        slope = np.stack(columns, axis=1)
        variance = np.einsum("np,npq,nq->n", slope, full[:, :last, :last], slope)
        needed = ((slope == 0) | known[:, :last]).all(axis=1)
        deviations[name] = np.where(needed, np.sqrt(np.maximum(variance, 0.0)), np.nan)
    if problem.free_delay:
        values["delay"] = estimates[:, last] * 60.0
        deviations["delay"] = np.sqrt(covariance[:, last, last]) * 60.0
    around = ((data - data.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = np.where(around > 0, 1.0 - fit.residual / around, np.nan)
    return TracerFit(problem.name, values, deviations, explained, fit.converged)
