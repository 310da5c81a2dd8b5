"""Square, square root, logarithm, exponential: the value of a voxel alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.image.filters._engine import Keep
from radgen.image.filters.settings import FilterSettings, register

__all__ = ["Exponential", "Logarithm", "Square", "SquareRoot"]


class _Pointwise(FilterSettings):
    """A function of the voxel and of the largest absolute value of the whole image."""

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the transformed values; an image of zeros stays zero."""
        top = float(np.abs(array).max())
        part = array[tuple(slice(*side) for side in keep)].astype(np.float64)
        out = self._map(part, top) if top > 0 else np.zeros_like(part)
        return out.astype(array.dtype)

    def _map(self, x: NDArray[np.float64], top: float) -> NDArray[np.float64]:
        raise NotImplementedError


@register("square")
@dataclass(frozen=True, kw_only=True)
class Square(_Pointwise):
    """Squared values, scaled so that the largest absolute value stays: x^2 / max|x|.

    References
    ----------
    Same scaling as PyRadiomics.
    """

    def _map(self, x: NDArray[np.float64], top: float) -> NDArray[np.float64]:
        return x**2 / top


@register("squareroot")
@dataclass(frozen=True, kw_only=True)
class SquareRoot(_Pointwise):
    """Signed square root, scaled so that the largest absolute value stays.

    Notes
    -----
    sign(x) sqrt(|x| max|x|), as in PyRadiomics.
    """

    def _map(self, x: NDArray[np.float64], top: float) -> NDArray[np.float64]:
        return np.sign(x) * np.sqrt(np.abs(x) * top)


@register("logarithm")
@dataclass(frozen=True, kw_only=True)
class Logarithm(_Pointwise):
    """Signed logarithm, scaled so that the largest absolute value stays.

    Notes
    -----
    sign(x) log(|x| + 1) max|x| / log(max|x| + 1), as in PyRadiomics.
    """

    def _map(self, x: NDArray[np.float64], top: float) -> NDArray[np.float64]:
        return np.asarray(np.sign(x) * np.log1p(np.abs(x)) * (top / np.log1p(top)))


@register("exponential")
@dataclass(frozen=True, kw_only=True)
class Exponential(_Pointwise):
    """Exponential, scaled so that the largest absolute value stays: max|x|^(x / max|x|).

    Notes
    -----
    As in PyRadiomics: exp(c x) with c = log(max|x|) / max|x|.
    """

    def _map(self, x: NDArray[np.float64], top: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(x * (np.log(top) / top)))
