"""Gabor filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.image.filters._engine import Keep, Pooling, pad_boundary
from radgen.image.filters.settings import FilterSettings, positive, register

__all__ = ["GaborFilter"]

_TAIL = 1e-5
"""The kernel ends where its envelope has fallen to this share."""
_BLOCK_BYTES = 1 << 26


@register("gabor")
@dataclass(frozen=True, kw_only=True)
class GaborFilter(FilterSettings):
    """Response of a 2D Gabor filter, in the axial plane or averaged over three planes.

    Attributes
    ----------
    dimensions : {2, 3}
        2: axial slices. 3: the mean of the responses in the three orthogonal planes.
    sigma_mm : float
        Standard deviation of the envelope along the wave, in millimetres.
    lambda_mm : float
        Wavelength in millimetres.
    gamma : float
        Aspect ratio: the envelope across the wave has standard deviation sigma / gamma.
    theta_deg : float
        Direction of the wave in degrees from the first to the second in-plane axis (x to y,
        clockwise on the screen), where no `theta_step_deg` is given.
    theta_step_deg : float or None
        Pool over directions in such steps from 0 to 360 degrees.
    pooling : {"mean", "max", "min"}
        How directions (and planes) are pooled.
    part : {"modulus", "real", "imaginary", "angle"}
        What of the complex response is returned.

    Notes
    -----
    The kernel ends where its envelope has fallen to 1e-5; on anisotropic planes lengths are
    millimetres.

    References
    ----------
    IBSI 2 reference manual, arXiv:2006.05470: Q88H.
    """

    dimensions: Literal[2, 3] = 2
    sigma_mm: float = 5.0
    lambda_mm: float = 2.0
    gamma: float = 1.0
    theta_deg: float = 0.0
    theta_step_deg: float | None = None
    pooling: Pooling = "mean"
    part: Literal["modulus", "real", "imaginary", "angle"] = "modulus"

    def check(self) -> None:
        """Raise `InputError` where a setting is not allowed."""
        positive(self.sigma_mm, "sigma_mm")
        positive(self.lambda_mm, "lambda_mm")
        positive(self.gamma, "gamma")
        if not np.isfinite(self.theta_deg):
            raise InputError(f"theta_deg is a finite angle, not {self.theta_deg}.")
        if self.theta_step_deg is not None:
            positive(self.theta_step_deg, "theta_step_deg")

    @property
    def angles_deg(self) -> list[float]:
        """Directions in degrees; those that give the same modulus count once."""
        if self.theta_step_deg is None:
            return [self.theta_deg]
        count = max(1, round(360.0 / self.theta_step_deg))
        angles = [step * self.theta_step_deg for step in range(count)]
        if self.part == "modulus" and count % 2 == 0 and np.isclose(angles[count // 2], 180.0):
            return angles[: count // 2]
        return angles

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the pooled response."""
        normals = (0,) if self.dimensions == 2 else (0, 1, 2)
        out: NDArray[Any] | None = None
        for normal in normals:
            plane = self._plane(array, normal, spacing_mm, keep)
            out = plane if out is None else self._pool(out, plane)
        assert out is not None
        return out / out.dtype.type(len(normals)) if self.pooling == "mean" else out

    def _pool(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
        pick = {"mean": np.add, "max": np.maximum, "min": np.minimum}[self.pooling]
        return np.asarray(pick(first, second, out=first))

    def _plane(
        self,
        array: NDArray[Any],
        normal: int,
        spacing_mm: tuple[float, float, float],
        keep: Keep,
    ) -> NDArray[Any]:
        """Return the response in the planes across one axis, pooled over directions."""
        from scipy import fft

        rows, columns = (axis for axis in range(3) if axis != normal)
        steps = spacing_mm[rows], spacing_mm[columns]
        radius = self.sigma_mm / min(self.gamma, 1.0) * np.sqrt(-2.0 * np.log(_TAIL))
        reach = [0, 0, 0]
        reach[rows], reach[columns] = (int(np.ceil(radius / step)) for step in steps)
        wide = np.moveaxis(pad_boundary(array, keep, reach, self.boundary), normal, 0)
        kernels = [
            self._kernel(angle, steps, reach[rows], reach[columns]) for angle in self.angles_deg
        ]
        sizes = [stop - start for start, stop in keep]
        out = np.empty((len(wide), sizes[rows], sizes[columns]), dtype=array.dtype)
        window = tuple(
            slice(2 * reach[axis], 2 * reach[axis] + sizes[axis]) for axis in (rows, columns)
        )
        shape = tuple(fft.next_fast_len(size) for size in wide.shape[1:])
        block = max(1, _BLOCK_BYTES // (shape[0] * shape[1] * 16))
        complex_type = np.complex64 if array.dtype == np.float32 else np.complex128
        transfers = [fft.fft2(kernel, shape).astype(complex_type) for kernel in kernels]
        for start in range(0, len(wide), block):
            spectrum = fft.fft2(wide[start : start + block], shape)
            out[start : start + block] = self._pooled(spectrum, transfers, window)
        return np.ascontiguousarray(np.moveaxis(out, 0, normal))

    def _pooled(
        self, spectrum: NDArray[Any], transfers: list[NDArray[Any]], window: tuple[slice, ...]
    ) -> NDArray[Any]:
        from scipy import fft

        take = {"modulus": np.abs, "real": np.real, "imaginary": np.imag, "angle": np.angle}
        total: NDArray[Any] | None = None
        for transfer in transfers:
            response = fft.ifft2(spectrum * transfer)
            part = take[self.part](response[(slice(None), *window)])
            total = np.array(part) if total is None else self._pool(total, part)
        assert total is not None
        return total / total.dtype.type(len(transfers)) if self.pooling == "mean" else total

    def _kernel(
        self, angle_deg: float, steps: tuple[float, float], half_rows: int, half_columns: int
    ) -> NDArray[np.complex128]:
        theta = np.deg2rad(angle_deg)
        y = (np.arange(-half_rows, half_rows + 1) * steps[0])[:, None]
        x = np.arange(-half_columns, half_columns + 1) * steps[1]
        along = x * np.cos(theta) + y * np.sin(theta)
        across = x * np.sin(theta) - y * np.cos(theta)
        envelope = np.exp(-(along**2 + (self.gamma * across) ** 2) / (2 * self.sigma_mm**2))
        return np.asarray(envelope * np.exp(2j * np.pi * along / self.lambda_mm))
