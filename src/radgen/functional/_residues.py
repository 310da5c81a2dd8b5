"""Residue functions of tracer models, and what their amplitudes and rates mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PERFUSION", "RESIDUES", "Residue"]

Floats = NDArray[np.float64]

PERFUSION = 100.0
"""Flow is given per 100 mL."""


@dataclass(frozen=True, slots=True)
class Residue:
    """A residue function: plasma at once, decaying terms, and a term that stays."""

    plasma: bool
    decaying: int
    staying: bool
    physical: Callable[[Floats], dict[str, Floats]]

    @property
    def n_linear(self) -> int:
        return int(self.plasma) + self.decaying + int(self.staying)


def _tofts(p: Floats) -> dict[str, Floats]:
    return {"Ktrans": p[0], "kep": p[1], "ve": ratio(p[0], p[1])}


def _extended(p: Floats) -> dict[str, Floats]:
    return {"Ktrans": p[1], "kep": p[2], "ve": ratio(p[1], p[2]), "vp": p[0]}


def _patlak(p: Floats) -> dict[str, Floats]:
    return {"PS": p[1], "vp": p[0]}


def _uptake(p: Floats) -> dict[str, Floats]:
    lost, kept, rate = p
    flow = lost + kept
    exchange = ratio(kept * flow, lost)
    return {
        "Fp": flow * PERFUSION, "PS": exchange, "vp": ratio(flow + exchange, rate),
        "Ktrans": kept,
    }  # fmt: skip


def _exchange(p: Floats) -> dict[str, Floats]:
    """Return flow, exchange and volumes of two compartments from two exponentials.

    With R(s) = Fp (s + z) / ((s + a) (s + b)), the zero is z = PS/vp + PS/ve, the product of the
    poles Fp PS / (vp ve) and their sum (Fp + PS) / vp + PS / ve.
    """
    first, second, a, b = p
    flow = first + second
    zero = ratio(first * b + second * a, flow)
    volume = ratio(flow, a + b - zero)
    outside = ratio(a * b * volume, flow)
    exchange = (zero - outside) * volume
    return {
        "Fp": flow * PERFUSION, "PS": exchange, "vp": volume, "ve": ratio(exchange, outside),
        "Ktrans": ratio(flow * exchange, flow + exchange),
    }  # fmt: skip


def ratio(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(bottom > 0, top / bottom, np.nan)
    return found


RESIDUES: dict[str, Residue] = {
    "tofts": Residue(plasma=False, decaying=1, staying=False, physical=_tofts),
    "extended-tofts": Residue(plasma=True, decaying=1, staying=False, physical=_extended),
    "patlak": Residue(plasma=True, decaying=0, staying=True, physical=_patlak),
    "uptake": Residue(plasma=False, decaying=1, staying=True, physical=_uptake),
    "exchange": Residue(plasma=False, decaying=2, staying=False, physical=_exchange),
}
