"""Local binary patterns in slices and in space."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.image.filters._engine import Boundary, Keep, pad_boundary
from radgen.image.filters.settings import FilterSettings, positive, register

__all__ = ["LocalBinaryPattern2D", "LocalBinaryPattern3D"]


@register("lbp-2d")
@dataclass(frozen=True, kw_only=True)
class LocalBinaryPattern2D(FilterSettings):
    """Local binary pattern of each axial slice.

    Attributes
    ----------
    radius : float
        Radius of the circle in voxels.
    n_points : int
        Points on the circle, read by bilinear interpolation.
    method : {"uniform", "rotation-invariant", "plain"}
        "uniform": the number of points not below the centre where they form one arc, otherwise
        n_points + 1. "rotation-invariant": the smallest code over rotations. "plain": the code.

    References
    ----------
    Ojala et al. 2002, doi:10.1109/TPAMI.2002.1017623.
    """

    dimensions: Literal[2, 3] = 2
    boundary: Boundary = "nearest"
    radius: float = 1.0
    n_points: int = 8
    method: Literal["uniform", "rotation-invariant", "plain"] = "uniform"

    def check(self) -> None:
        """Raise `InputError` where a setting is not allowed."""
        positive(self.radius, "radius")
        if self.dimensions != 2:
            raise InputError("lbp-2d filters slices; dimensions is 2.")
        if not 3 <= self.n_points <= 24:
            raise InputError(f"n_points is a whole number from 3 to 24, not {self.n_points}.")

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the codes."""
        angles = 2 * np.pi * np.arange(self.n_points) / self.n_points
        offsets = np.stack(
            [0 * angles, -self.radius * np.sin(angles), self.radius * np.cos(angles)], axis=1
        )
        bits = _bits(array, offsets, self.boundary, keep)
        if self.method == "plain":
            return _code(bits).astype(array.dtype)
        if self.method == "rotation-invariant":
            turned = [_code(np.roll(bits, turn, axis=0)) for turn in range(self.n_points)]
            return np.min(turned, axis=0).astype(array.dtype)
        changes = (bits != np.roll(bits, 1, axis=0)).sum(axis=0)
        return np.where(changes <= 2, bits.sum(axis=0), self.n_points + 1).astype(array.dtype)


@register("lbp-3d")
@dataclass(frozen=True, kw_only=True)
class LocalBinaryPattern3D(FilterSettings):
    """Rotation-invariant local binary pattern in space.

    Attributes
    ----------
    radius : float
        Radius of the sphere in voxels.
    degree : int
        Degree of the spherical harmonics whose power is returned.

    Notes
    -----
    Lebedev's 26 points on the sphere are compared with the centre (1 where not below, else 0);
    the result is the square root of the power of the pattern in one degree l of the spherical
    harmonics, by the addition theorem
    ``sqrt((2 l + 1) / (4 pi) sum_ij w_i w_j b_i b_j P_l(x_i . x_j))``. It does not change when
    the volume is turned by right angles, and hardly under other rotations.

    References
    ----------
    Banerjee et al. 2013, doi:10.1007/978-3-642-37410-4_3 (rotation-invariant LBP in 3D).
    """

    boundary: Boundary = "nearest"
    radius: float = 1.0
    degree: int = 1

    def check(self) -> None:
        """Raise `InputError` where a setting is not allowed."""
        positive(self.radius, "radius")
        if self.dimensions != 3:
            raise InputError("lbp-3d filters volumes; dimensions is 3.")
        if not 0 <= self.degree <= 3:
            raise InputError(f"degree is a whole number from 0 to 3, not {self.degree}.")

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the root of the power."""
        points, weights = _sphere()
        bits = _bits(array, points * self.radius, self.boundary, keep).astype(np.float32)
        cosines = np.clip(points @ points.T, -1.0, 1.0)
        gram = legendre.legval(cosines, np.eye(self.degree + 1)[-1])
        gram *= (2 * self.degree + 1) / (4 * np.pi) * np.outer(weights, weights)
        values, vectors = np.linalg.eigh(gram)
        top = values > 1e-9 * values.max()
        factor = (vectors[:, top] * np.sqrt(values[top])).T.astype(np.float32)
        parts = np.tensordot(factor, bits, axes=1)
        return np.sqrt((parts**2).sum(axis=0)).astype(array.dtype)


def _bits(
    array: NDArray[Any], offsets: NDArray[np.float64], boundary: Boundary, keep: Keep
) -> NDArray[np.bool_]:
    """Return (n_points, …): whether the image at each offset is not below the centre."""
    from scipy import ndimage

    reach = [int(np.ceil(np.abs(offsets[:, axis]).max() - 1e-9)) + 1 for axis in range(3)]
    wide = pad_boundary(array, keep, reach, boundary).astype(np.float64)
    inner = tuple(slice(extra, size - extra) for extra, size in zip(reach, wide.shape, strict=True))
    centre = wide[inner]
    out = np.empty((len(offsets), *centre.shape), dtype=bool)
    for point, offset in enumerate(np.round(offsets, 9)):
        shifted = ndimage.shift(wide, -offset, order=1, mode="nearest")
        # interpolation rounds: a flat neighbourhood must not fall below its centre
        out[point] = shifted[inner] >= centre - 1e-9 * np.abs(centre)
    return out


def _code(bits: NDArray[np.bool_]) -> NDArray[np.int64]:
    weights = (1 << np.arange(len(bits), dtype=np.int64)).reshape(-1, 1, 1, 1)
    return np.asarray((bits * weights).sum(axis=0))


def _sphere() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Lebedev's 26 points (z, y, x) on the unit sphere and their weights, sum 4 pi."""
    points = np.array([item for item in product((-1.0, 0.0, 1.0), repeat=3) if any(item)])
    n_axes = np.abs(points).sum(axis=1).astype(int)
    weights = np.array([0.0, 1 / 21, 4 / 105, 9 / 280])[n_axes]
    return points / np.sqrt(n_axes)[:, None], 4 * np.pi * weights
