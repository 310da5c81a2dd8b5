"""Tracer kinetics: how fast contrast agent enters and leaves tissue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radgen._core.naming import require_choice
from radgen._core.progress import progress
from radgen.errors import InputError
from radgen.functional._convolve import delayed, exponential_convolution
from radgen.functional._least_squares import CurveFit, fit_curves

__all__ = ["TRACER_UNITS", "TracerFit", "TracerModel", "fit_tracer", "tissue_curve"]

Floats = NDArray[np.float64]
TracerModel = Literal["tofts", "extended-tofts", "patlak", "uptake", "exchange"]

TRACER_UNITS: Mapping[str, str] = {
    "Ktrans": "1/min", "kep": "1/min", "ve": "mL/mL", "vp": "mL/mL", "PS": "1/min",
    "Fp": "mL/100mL/min", "delay": "s",
}  # fmt: skip
"""Unit of each parameter."""

_PERFUSION = 100.0
_SMALLEST_RATE, _RATES, _PAIR_RATES, _DELAYS, _TRIES = 1e-3, 40, 18, 21, 3
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class _Shape:
    """A residue function: plasma at once, decaying terms, and a term that stays."""

    plasma: bool
    decaying: int
    staying: bool
    physical: Callable[[Floats], dict[str, Floats]]

    @property
    def n_linear(self) -> int:
        return int(self.plasma) + self.decaying + int(self.staying)


def _tofts(p: Floats) -> dict[str, Floats]:
    return {"Ktrans": p[0], "kep": p[1], "ve": _ratio(p[0], p[1])}


def _extended(p: Floats) -> dict[str, Floats]:
    return {"Ktrans": p[1], "kep": p[2], "ve": _ratio(p[1], p[2]), "vp": p[0]}


def _patlak(p: Floats) -> dict[str, Floats]:
    return {"PS": p[1], "vp": p[0]}


def _uptake(p: Floats) -> dict[str, Floats]:
    lost, kept, rate = p
    flow = lost + kept
    exchange = _ratio(kept * flow, lost)
    return {
        "Fp": flow * _PERFUSION, "PS": exchange, "vp": _ratio(flow + exchange, rate),
        "Ktrans": kept,
    }  # fmt: skip


def _exchange(p: Floats) -> dict[str, Floats]:
    """Return flow, exchange and volumes of two compartments from two exponentials.

    With R(s) = Fp (s + z) / ((s + a) (s + b)), the zero is z = PS/vp + PS/ve, the product of the
    poles Fp PS / (vp ve) and their sum (Fp + PS) / vp + PS / ve.
    """
    first, second, a, b = p
    flow = first + second
    zero = _ratio(first * b + second * a, flow)
    volume = _ratio(flow, a + b - zero)
    outside = _ratio(a * b * volume, flow)
    exchange = (zero - outside) * volume
    return {
        "Fp": flow * _PERFUSION, "PS": exchange, "vp": volume, "ve": _ratio(exchange, outside),
        "Ktrans": _ratio(flow * exchange, flow + exchange),
    }  # fmt: skip


def _ratio(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(bottom > 0, top / bottom, np.nan)
    return found


_MODELS: dict[str, _Shape] = {
    "tofts": _Shape(plasma=False, decaying=1, staying=False, physical=_tofts),
    "extended-tofts": _Shape(plasma=True, decaying=1, staying=False, physical=_extended),
    "patlak": _Shape(plasma=True, decaying=0, staying=True, physical=_patlak),
    "uptake": _Shape(plasma=False, decaying=1, staying=True, physical=_uptake),
    "exchange": _Shape(plasma=False, decaying=2, staying=False, physical=_exchange),
}


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
    shape = _MODELS[model]
    basis = _basis(shape, times, source, np.array([rates]), np.array([delay_s / 60.0]))
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
    flow, exchange = given["Fp"] / _PERFUSION, given["PS"]
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
    shape = _MODELS[model]
    names = ["delay"] if delay_s == "fit" else []
    size = shape.n_linear + shape.decaying + len(names)
    if len(times) <= size:
        raise InputError(f"{len(times)} frames cannot determine {size} parameters: measure more.")
    estimates = np.full((len(data), size), np.nan)
    covariance = np.full((len(data), size, size), np.nan)
    residual = np.full(len(data), np.nan)
    converged = np.zeros(len(data), dtype=bool)
    problem = _Problem(model, times, source, delay_s, max_delay_s / 60.0)
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


def _basis(
    shape: _Shape, times: Floats, source: Floats, rates: Floats, delays: Floats | None
) -> Floats:
    """Return the curves that amplitudes multiply, (n_rows, n_linear, n_times)."""
    n_rows = len(rates)
    inputs = source[None, :] if delays is None else delayed(times, source, delays)
    inputs = np.broadcast_to(inputs, (n_rows, len(times)))
    columns = [inputs] if shape.plasma else []
    columns += [exponential_convolution(times, inputs, rates[:, j]) for j in range(shape.decaying)]
    if shape.staying:
        columns.append(exponential_convolution(times, inputs, np.zeros(n_rows)))
    return np.stack(columns, axis=1)


def _points(shape: _Shape, n_rates: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return which curves of the grid each point takes, and which rates these have."""
    skip = int(shape.plasma)
    if shape.decaying == 0:
        return [((0, 1), ())]
    if shape.decaying == 2:
        return [((fast, slow), (fast, slow)) for slow, fast in combinations(range(n_rates), 2)]
    first = (0,) if shape.plasma else ()
    last = (n_rates + skip,) if shape.staying else ()
    return [((*first, skip + rate, *last), (rate,)) for rate in range(n_rates)]


class _Problem:
    """One model, one clock and one input: first values from a grid, then refinement."""

    def __init__(
        self, name: str, times: Floats, source: Floats, delay_s: float | str, reach: float
    ) -> None:
        self.name, self.times, self.source = name, times, source
        shape = self.shape = _MODELS[name]
        self.free_delay = delay_s == "fit"
        self.fixed = 0.0 if self.free_delay else float(delay_s) / 60.0
        self.reach = reach
        fastest = 4.0 / np.diff(times).min()
        n_rates = _RATES if shape.decaying < 2 else _PAIR_RATES
        self.ladder = np.geomspace(_SMALLEST_RATE, fastest, n_rates)
        self.delays = np.linspace(-reach, reach, _DELAYS) if self.free_delay else [self.fixed]
        self.points = _points(shape, n_rates)
        self.lower = np.concatenate([
            np.zeros(shape.n_linear), np.full(shape.decaying, np.log(_SMALLEST_RATE * 1e-2)),
            np.full(int(self.free_delay), -reach),
        ])  # fmt: skip
        self.upper = np.concatenate([
            np.full(shape.n_linear, np.inf), np.full(shape.decaying, np.log(fastest * 10)),
            np.full(int(self.free_delay), reach),
        ])  # fmt: skip

    def fit(self, data: Floats) -> CurveFit:
        """Return amplitudes, logarithms of rates and delays of each curve."""
        best: CurveFit | None = None
        for start in self.starts(data, _TRIES if self.free_delay else 1):
            found = fit_curves(self.model, start, data, lower=self.lower, upper=self.upper)
            best = found if best is None else best.or_better(found)
        assert best is not None
        return best

    def split(self, parameters: Floats) -> tuple[Floats, Floats, Floats]:
        """Return amplitudes, rates and delays of rows of parameters."""
        a, b = self.shape.n_linear, self.shape.n_linear + self.shape.decaying
        delays = parameters[:, b] if self.free_delay else np.full(len(parameters), self.fixed)
        return parameters[:, :a], np.exp(parameters[:, a:b]), delays

    def curves(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Return predictions and the basis that the amplitudes multiply."""
        amplitudes, rates, delays = self.split(parameters)
        plain = not self.free_delay and self.fixed == 0.0
        basis = _basis(self.shape, self.times, self.source, rates, None if plain else delays)
        return (amplitudes[:, None] @ basis)[:, 0], basis

    def model(self, parameters: Floats, _rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        fitted, basis = self.curves(parameters)
        slopes = [basis]
        for column in range(self.shape.n_linear, parameters.shape[1]):
            step = 1e-6 * np.maximum(np.abs(parameters[:, column]), 1e-2)
            moved = parameters.copy()
            moved[:, column] += step
            slopes.append(((self.curves(moved)[0] - fitted) / step[:, None])[:, None])
        return fitted, np.concatenate(slopes, axis=1)

    def starts(self, data: Floats, count: int) -> list[Floats]:
        """Return first values of each curve: the best grid point of each of the best delays."""
        clean = np.where(np.isfinite(data), data, 0.0)
        found = []
        for delay in self.delays:
            basis = self._grid_curves(delay)
            gain, amplitudes, rates = _best_point(basis, clean, self.points)
            parts = [amplitudes, np.log(self.ladder[rates])]
            if self.free_delay:
                parts.append(np.full((len(data), 1), delay))
            found.append((gain, np.concatenate(parts, axis=1)))
        gains = np.stack([gain for gain, _ in found])
        order = np.argsort(-gains, axis=0)[:count]
        values = np.stack([start for _, start in found])
        rows = np.arange(len(data))
        return [values[chosen, rows] for chosen in order]

    def _grid_curves(self, delay: float) -> Floats:
        """Return the curves that grid points choose from, (n_curves, n_times)."""
        shifts = np.full(len(self.ladder), delay)
        inputs = delayed(self.times, self.source, shifts)
        rows = []
        if self.shape.plasma:
            rows.append(inputs[:1])
        if self.shape.decaying:
            rows.append(exponential_convolution(self.times, inputs, self.ladder))
        if self.shape.staying:
            rows.append(exponential_convolution(self.times, inputs[:1], np.zeros(1)))
        return np.concatenate(rows)


def _best_point(
    curves: Floats, data: Floats, points: list[tuple[tuple[int, ...], tuple[int, ...]]]
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return what the best point explains of each curve, its amplitudes and its rates.

    A point names one or two of the curves, and which rates these are.
    """
    onto = data @ curves.T
    gram = curves @ curves.T
    best = np.full(len(data), -np.inf)
    amplitudes = np.zeros((len(data), len(points[0][0])))
    rates = np.zeros((len(data), len(points[0][1])), dtype=np.intp)
    for chosen, at in points:
        pick = list(chosen)
        gain, found = _positive(gram[np.ix_(pick, pick)], onto[:, pick])
        ahead = gain > best
        best[ahead], amplitudes[ahead], rates[ahead] = gain[ahead], found[ahead], at
    return best, amplitudes, rates


def _positive(gram: Floats, onto: Floats) -> tuple[Floats, Floats]:
    """Return what one or two amplitudes that are not negative explain of each curve, and them."""
    size = np.maximum(np.diag(gram), 1e-300)
    alone = np.maximum(onto, 0.0) / size
    each = alone * onto
    pick = each.argmax(axis=1)
    rows = np.arange(len(onto))
    gain = each[rows, pick]
    amplitudes = np.zeros_like(alone)
    amplitudes[rows, pick] = alone[rows, pick]
    if len(size) == 2:
        cross = gram[0, 1]
        rest = size[0] * size[1] - cross**2
        if rest > 1e-12 * size[0] * size[1]:
            first = (size[1] * onto[:, 0] - cross * onto[:, 1]) / rest
            second = (size[0] * onto[:, 1] - cross * onto[:, 0]) / rest
            both = (first > 0) & (second > 0)
            gain[both] = (first * onto[:, 0] + second * onto[:, 1])[both]
            amplitudes[both] = np.column_stack([first, second])[both]
    return gain, amplitudes


def _named(problem: _Problem, data: Floats, fit: CurveFit) -> TracerFit:
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
