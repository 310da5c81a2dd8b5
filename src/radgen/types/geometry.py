"""Where voxels lie in the patient: one affine in LPS millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import GeometryError, InputError
from radgen.types._seal import seal, set_field

__all__ = ["TOLERANCE_MM", "Geometry"]

TOLERANCE_MM = 1e-3
"""Two grids are the same where no corner voxel moves by more than this many millimetres."""


@dataclass(frozen=True, eq=False, slots=True)
class Geometry:
    """A voxel grid.

    Attributes
    ----------
    affine : ndarray of float64 (4, 4)
        Maps (x, y, z) voxel indices to LPS millimetres. Note the order: index 0 of the affine
        is the fastest axis x, while arrays are indexed (z, y, x).
    shape : tuple of int (3,)
        Array shape (n_z, n_y, n_x).
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        affine = seal(self.affine, np.float64, ndim=2, what="affine")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise InputError("The affine must be a finite 4 x 4 matrix.")
        if not np.allclose(affine[3], (0, 0, 0, 1)):
            raise InputError("The last row of an affine is 0 0 0 1.")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise GeometryError("The affine is singular: a voxel has no volume.", left=affine)
        shape = tuple(int(size) for size in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"A grid has three positive sizes, not {shape}.")
        set_field(self, "affine", affine)
        set_field(self, "shape", shape)

    @classmethod
    def from_spacing(
        cls,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
        origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> Geometry:
        """Return an axis-aligned grid; `spacing_mm` is (z, y, x) and `origin_mm` (x, y, z)."""
        affine = np.diag([*spacing_mm[::-1], 1.0])
        affine[:3, 3] = origin_mm
        return cls(affine, shape)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size in millimetres, in array order (z, y, x)."""
        size = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(size[2]), float(size[1]), float(size[0])

    @property
    def direction(self) -> NDArray[np.float64]:
        """Unit vectors of the x, y and z axes as columns, (3, 3)."""
        columns = self.affine[:3, :3]
        return np.asarray(columns / np.linalg.norm(columns, axis=0))

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """LPS position of the centre of voxel (0, 0, 0), as (x, y, z)."""
        x, y, z = self.affine[:3, 3]
        return float(x), float(y), float(z)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in cubic millimetres."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def to_world(self, index_zyx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return LPS millimetres (n, 3) as (x, y, z) of array indices (n, 3) as (z, y, x)."""
        index = np.asarray(index_zyx, dtype=np.float64)[..., ::-1]
        return np.asarray(index @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, world_xyz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return array indices (n, 3) as (z, y, x) of LPS millimetres (n, 3) as (x, y, z)."""
        inverse = np.linalg.inv(self.affine)
        world = np.asarray(world_xyz, dtype=np.float64)
        return np.asarray((world @ inverse[:3, :3].T + inverse[:3, 3])[..., ::-1])

    def distance_mm(self, other: Geometry) -> float:
        """Return how far the furthest corner voxel moves; inf where the shapes differ."""
        if self.shape != other.shape:
            return float("inf")
        corners = np.array(np.meshgrid(*[(0, size - 1) for size in self.shape])).reshape(3, -1).T
        gap = self.to_world(corners) - other.to_world(corners)
        return float(np.linalg.norm(gap, axis=1).max())

    def same_as(self, other: Geometry, tolerance_mm: float = TOLERANCE_MM) -> bool:
        """Return whether the two grids are one grid within `tolerance_mm`."""
        return self.distance_mm(other) <= tolerance_mm

    def require_same(
        self, other: Geometry, *, what: str, tolerance_mm: float = TOLERANCE_MM
    ) -> None:
        """Raise where the grids differ; the message shows both.

        Raises
        ------
        GeometryError
            With the two grids as ``.left`` and ``.right``.
        """
        if not self.same_as(other, tolerance_mm):
            raise GeometryError(
                f"{what}: the grids differ.\n  first:  {self.describe()}\n"
                f"  second: {other.describe()}\nResample one onto the other on purpose "
                "(nearest neighbour for a mask), or use the mask drawn on this image.",
                left=self,
                right=other,
            )

    def describe(self) -> str:
        """Return shape, spacing, origin and direction in one line."""
        shape = " x ".join(str(size) for size in self.shape)
        spacing = " x ".join(f"{size:.4g}" for size in self.spacing_mm)
        origin = ", ".join(f"{value:.4g}" for value in self.origin_mm)
        direction = np.array2string(self.direction.ravel(), precision=3, suppress_small=True)
        return (
            f"shape (z y x) {shape}, spacing {spacing} mm, origin ({origin}), direction {direction}"
        )
