"""Dynamic susceptibility contrast: blood volume, flow and transit time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.naming import require_choice
from radgen.errors import InputError

__all__ = [
    "Deconvolution",
    "DeconvolutionMethod",
    "LeakageFit",
    "correct_leakage",
    "deconvolve",
    "relaxation_change",
]

Floats = NDArray[np.float64]
Solver = Callable[[Floats], Floats]
DeconvolutionMethod = Literal["osvd", "csvd", "ssvd"]

_BLOCK = 8192


def relaxation_change(signals: ArrayLike, *, echo_s: float, baseline: tuple[int, int]) -> Floats:
    """Return the change of R2* (or R2, of spin echoes) that contrast makes.

    Parameters
    ----------
    signals : array_like of float (n_voxels, n_times)
        Dynamic series.
    echo_s : float
        Echo time in seconds.
    baseline : tuple of int (2,)
        Frames before contrast: the first, and the one after the last.

    Returns
    -------
    ndarray of float64 (n_voxels, n_times)
        -ln(S / S0) / TE in 1/s, proportional to the concentration; NaN where S or S0 is not
        positive.

    Raises
    ------
    InputError
        If the echo time is not positive or the baseline holds no frame.

    Examples
    --------
    >>> change = relaxation_change([[100.0, 100.0, 50.0]], echo_s=0.03, baseline=(0, 2))
    >>> [round(float(x), 2) + 0.0 for x in change[0]]
    [0.0, 0.0, 23.1]
    """
    data = np.atleast_2d(np.asarray(signals, dtype=np.float64))
    first, stop = baseline
    if not echo_s > 0:
        raise InputError(f"The echo time is {echo_s} s; it must be positive.")
    if not 0 <= first < stop <= data.shape[1]:
        raise InputError(
            f"The baseline is frames {first} to {stop - 1} of {data.shape[1]}: it holds no frame, "
            "or one that is not there."
        )
    before = data[:, first:stop].mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(before > 0, data / before, np.nan)
        found: Floats = np.where(share > 0, -np.log(share) / echo_s, np.nan)
    return found


@dataclass(frozen=True, eq=False, slots=True)
class LeakageFit:
    """Susceptibility curves without the effect of leaking contrast.

    Attributes
    ----------
    corrected : ndarray of float64 (n_voxels, n_times)
        Curves as an intact barrier would give them.
    k1, k2 : ndarray of float64 (n_voxels,)
        Share of the reference curve, and leakage per second (positive: T1 effects, which hide
        blood volume; negative: T2* effects).
    """

    corrected: Floats
    k1: Floats
    k2: Floats


def correct_leakage(curves: ArrayLike, times_s: ArrayLike, reference: ArrayLike) -> LeakageFit:
    """Return susceptibility curves corrected for contrast that leaks out of vessels.

    Parameters
    ----------
    curves : array_like of float (n_voxels, n_times)
        Change of R2*, see `relaxation_change`.
    times_s : array_like of float (n_times,)
        Rising times in seconds.
    reference : array_like of float (n_times,)
        Mean curve of tissue with an intact barrier.

    Returns
    -------
    LeakageFit
        A curve with a value that is not finite gives NaN.

    Raises
    ------
    InputError
        If shapes do not fit or the reference is constant.

    References
    ----------
    Boxerman, Schmainda and Weisskoff 2006, AJNR 27:859-867: the curve is K1 times the reference
    minus K2 times its running integral, by least squares.
    """
    data = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    times, mean = np.asarray(times_s, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if times.shape != (data.shape[1],) or mean.shape != times.shape:
        raise InputError(
            f"Curves of {data.shape[1]} frames need as many times and reference values; found "
            f"{times.shape} and {mean.shape}."
        )
    if not np.isfinite(mean).all() or np.ptp(mean) == 0:
        raise InputError("The reference curve is constant, or holds values that are not finite.")
    steps = np.diff(times) * (mean[1:] + mean[:-1]) / 2
    running = np.concatenate([[0.0], np.cumsum(steps)])
    design = np.column_stack([mean, -running])
    weights = data @ np.linalg.pinv(design).T
    return LeakageFit(data + weights[:, 1:] * running, weights[:, 0], weights[:, 1])


@dataclass(frozen=True, eq=False, slots=True)
class Deconvolution:
    """Perfusion of many curves.

    Attributes
    ----------
    cbv : ndarray of float64 (n_voxels,)
        Blood volume, mL/100mL.
    cbf : ndarray of float64 (n_voxels,)
        Blood flow, mL/100mL/min.
    mtt : ndarray of float64 (n_voxels,)
        Mean transit time, seconds: volume over flow.
    tmax : ndarray of float64 (n_voxels,)
        When the residue function is highest, seconds.
    """

    cbv: Floats
    cbf: Floats
    mtt: Floats
    tmax: Floats


def deconvolve(
    curves: ArrayLike,
    times_s: ArrayLike,
    arterial: ArrayLike,
    *,
    method: DeconvolutionMethod = "osvd",
    threshold: float | None = None,
    oscillation: float = 0.035,
    haematocrit: tuple[float, float] = (0.45, 0.25),
    density: float = 1.04,
) -> Deconvolution:
    """Return blood volume, flow and transit time of curves and their arterial input.

    Parameters
    ----------
    curves : array_like of float (n_voxels, n_times)
        Change of R2* or concentration of tissue.
    times_s : array_like of float (n_times,)
        Evenly spaced times in seconds.
    arterial : array_like of float (n_times,)
        The same quantity in an artery.
    method : {"osvd", "csvd", "ssvd"}
        "osvd": block-circulant with as much truncation as keeps oscillation low, for each curve;
        insensitive to delay. "csvd": the same with one threshold. "ssvd": the standard
        one, which a delay biases.
    threshold : float or None
        Share of the largest singular value below which values are cut off; None: 0.1 for
        "csvd", 0.2 for "ssvd". Not for "osvd".
    oscillation : float
        Largest oscillation index of "osvd".
    haematocrit : tuple of float (2,)
        In large vessels and in capillaries; equal values switch the correction off.
    density : float
        Of tissue, g/mL; 1 gives values per volume.

    Returns
    -------
    Deconvolution
        NaN where a curve holds a value that is not finite.

    Raises
    ------
    InputError
        If times are not evenly spaced, shapes do not fit, or the arterial curve is empty.

    Notes
    -----
    A block-circulant matrix has the Fourier transform as its singular vectors, so the
    block-circulant methods are spectral division with small values cut off: all curves at the
    cost of two transforms.

    References
    ----------
    Ostergaard et al. 1996, doi:10.1002/mrm.1910360510; Wu et al. 2003, doi:10.1002/mrm.10522.
    """
    require_choice(method, get_args(DeconvolutionMethod), what="deconvolution")
    data = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    times, artery = np.asarray(times_s, dtype=np.float64), np.asarray(arterial, dtype=np.float64)
    step = _even_step(times, data.shape[1])
    if artery.shape != times.shape or not np.isfinite(artery).all():
        raise InputError(f"The arterial curve needs {len(times)} finite values, one a frame.")
    area = float(np.trapezoid(artery, times))
    if not area > 0:
        raise InputError("The arterial curve has no positive area: is the bolus in it?")
    if method == "osvd" and threshold is not None:
        raise InputError("The osvd method sets its own threshold; give oscillation instead.")
    cut = threshold if threshold is not None else {"csvd": 0.1, "ssvd": 0.2, "osvd": 0.0}[method]
    share = (1 - haematocrit[0]) / (1 - haematocrit[1]) / density
    peak, when = np.full(len(data), np.nan), np.full(len(data), np.nan)
    finite = np.flatnonzero(np.isfinite(data).all(axis=1))
    solve = _standard(artery, step, cut) if method == "ssvd" else _circular(artery, step, cut)
    for at in range(0, len(finite), _BLOCK):
        rows = finite[at : at + _BLOCK]
        residue = solve(data[rows])
        if method == "osvd":
            residue = _smooth_enough(data[rows], artery, step, oscillation)
        peak[rows], when[rows] = _highest(residue, step, len(times))
    volume: Floats = np.asarray(np.trapezoid(data, times, axis=1)) / area * share * 100.0
    flow = peak * share * 6000.0
    with np.errstate(divide="ignore", invalid="ignore"):
        transit = np.where(flow > 0, volume / flow * 60.0, np.nan)
    return Deconvolution(volume, flow, transit, when)


def _even_step(times: Floats, count: int) -> float:
    if times.shape != (count,) or count < 4:
        raise InputError(f"Needed are {count} times, one a frame, and four frames or more.")
    steps = np.diff(times)
    if not (steps > 0).all() or np.ptp(steps) > 1e-3 * steps.mean():
        raise InputError(
            "Deconvolution needs evenly spaced times. Interpolate the curves onto even times."
        )
    return float(steps.mean())


def _standard(artery: Floats, step: float, cut: float) -> Solver:
    n = len(artery)
    index = np.arange(n)[:, None] - np.arange(n)[None, :]
    around = np.concatenate([[0.0], artery, [0.0]])
    weighted = (around[:-2] + 4 * around[1:-1] + around[2:]) / 6
    matrix = np.where(index >= 0, weighted[np.maximum(index, 0)], 0.0) * step
    left, size, right = np.linalg.svd(matrix)
    inverse = np.where(size > cut * size[0], 1.0 / np.maximum(size, 1e-300), 0.0)
    solver = (right.T * inverse) @ left.T
    return lambda data: data @ solver.T


def _circular(artery: Floats, step: float, cut: float) -> Solver:
    length = 2 * len(artery)
    spectrum = np.fft.rfft(artery, length) * step
    size = np.abs(spectrum)
    inverse = np.where(size > cut * size.max(), 1.0 / np.where(size > 0, spectrum, 1.0), 0.0)
    return lambda data: np.fft.irfft(np.fft.rfft(data, length, axis=1) * inverse, length, axis=1)


def _smooth_enough(data: Floats, artery: Floats, step: float, limit: float) -> Floats:
    """Return each residue function with the least truncation that keeps its oscillation low."""
    length = 2 * len(artery)
    size = np.abs(np.fft.rfft(artery, length))
    ladder = np.unique(np.sort(size / size.max())[:-1])
    chosen = np.zeros((len(data), length))
    left = np.arange(len(data))
    for cut in (*ladder[:: max(1, len(ladder) // 64)], ladder[-1]):
        residue = _circular(artery, step, float(cut))(data[left])
        bends = np.abs(np.diff(residue, n=2, axis=1)).sum(axis=1)
        top = residue.max(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            calm = bends / (length * top) <= limit
        chosen[left] = residue
        left = left[~calm]
        if not len(left):
            break
    return chosen


def _highest(residue: Floats, step: float, n_times: int) -> tuple[Floats, Floats]:
    """Return the maximum and its time; a wrapped time is a tissue that is ahead of the artery."""
    at = residue.argmax(axis=1)
    top = residue[np.arange(len(residue)), at]
    wrapped = np.where(at < n_times, at, at - residue.shape[1])
    return top, wrapped * step
