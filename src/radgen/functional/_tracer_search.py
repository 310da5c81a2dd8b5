"""Fit of one tracer model to many curves: first values from a grid, then refinement."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from radgen.functional._convolve import delayed, exponential_convolution
from radgen.functional._least_squares import CurveFit, fit_curves
from radgen.functional._residues import RESIDUES, Residue

__all__ = ["TracerSearch", "basis_curves"]

Floats = NDArray[np.float64]

_SMALLEST_RATE, _RATES, _PAIR_RATES, _DELAYS, _TRIES = 1e-3, 48, 24, 21, 3


def basis_curves(
    shape: Residue, times: Floats, source: Floats, rates: Floats, delays: Floats | None
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


_Point = tuple[tuple[int, ...], tuple[int, ...]]
"""Which curves of the grid are taken, and which rates these have."""


def _families(shape: Residue, n_rates: int) -> list[list[_Point]]:
    """Return the points of the grid; those of two rates in three families by the faster one.

    The residual of two exponentials has minima in more than one family, so the best point of each
    is refined.
    """
    skip = int(shape.plasma)
    if shape.decaying == 0:
        return [[((0, 1), ())]]
    if shape.decaying == 2:
        pairs = [((fast, slow), (fast, slow)) for slow, fast in combinations(range(n_rates), 2)]
        third = n_rates // 3
        return [[point for point in pairs if point[1][0] // third == k] for k in range(3)]
    first = (0,) if shape.plasma else ()
    last = (n_rates + skip,) if shape.staying else ()
    return [[((*first, skip + rate, *last), (rate,)) for rate in range(n_rates)]]


class TracerSearch:
    """One model, one clock and one input: first values from a grid, then refinement."""

    def __init__(
        self, name: str, times: Floats, source: Floats, delay_s: float | str, reach: float
    ) -> None:
        self.name, self.times, self.source = name, times, source
        shape = self.shape = RESIDUES[name]
        self.free_delay = delay_s == "fit"
        self.fixed = 0.0 if self.free_delay else float(delay_s) / 60.0
        self.reach = reach
        fastest = 20.0 / np.diff(times).min()
        n_rates = _RATES if shape.decaying < 2 else _PAIR_RATES
        self.ladder = np.geomspace(_SMALLEST_RATE, fastest, n_rates)
        self.delays = np.linspace(-reach, reach, _DELAYS) if self.free_delay else [self.fixed]
        self.families = _families(shape, n_rates)
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
        for start in self.starts(data):
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
        basis = basis_curves(self.shape, self.times, self.source, rates, None if plain else delays)
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

    def starts(self, data: Floats) -> list[Floats]:
        """Return first values of each curve: the best points of families and delays."""
        clean = np.where(np.isfinite(data), data, 0.0)
        found = []
        for delay in self.delays:
            basis = self._grid_curves(delay)
            onto, gram = clean @ basis.T, basis @ basis.T
            for points in self.families:
                gain, amplitudes, rates = _best_point(gram, onto, points)
                parts = [amplitudes, np.log(self.ladder[rates])]
                if self.free_delay:
                    parts.append(np.full((len(data), 1), delay))
                found.append((gain, np.concatenate(parts, axis=1)))
        gains = np.stack([gain for gain, _ in found])
        order = np.argsort(-gains, axis=0)[:_TRIES]
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
    gram: Floats, onto: Floats, points: list[_Point]
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return what the best point explains of each curve, its amplitudes and its rates."""
    best = np.full(len(onto), -np.inf)
    amplitudes = np.zeros((len(onto), len(points[0][0])))
    rates = np.zeros((len(onto), len(points[0][1])), dtype=np.intp)
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
