"""The images of many people on one grid or surface, a row a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.stats.maps import Neighbours, grid_neighbours, mesh_areas, mesh_neighbours
from radgen.types._seal import seal, seal_samples, set_field
from radgen.types.align import check_unique
from radgen.types.geometry import Geometry
from radgen.types.image import ImageVolume

__all__ = ["ImageStack", "SurfaceSpace", "VoxelSpace"]


@dataclass(frozen=True, eq=False, slots=True)
class VoxelSpace:
    """The voxels of a grid that are in use.

    Attributes
    ----------
    geometry : Geometry
        The grid.
    index : ndarray of int64 (n_points,)
        Positions in the flattened (z, y, x) grid, rising.
    """

    geometry: Geometry
    index: NDArray[np.int64]

    def __post_init__(self) -> None:
        set_field(self, "index", _rising(self.index, int(np.prod(self.geometry.shape))))

    @property
    def n_points(self) -> int:
        """Number of voxels in use."""
        return len(self.index)

    @property
    def extent(self) -> NDArray[np.float64]:
        """Volume of each voxel in cubic millimetres."""
        return np.full(self.n_points, self.geometry.voxel_volume_mm3)

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """LPS millimetres (n_points, 3) as (x, y, z)."""
        at = np.column_stack(np.unravel_index(self.index, self.geometry.shape))
        return self.geometry.to_world(at.astype(np.float64))

    def neighbours(self, connectivity: int = 26) -> Neighbours:
        """Return which voxels touch; connectivity 6, 18 or 26."""
        return grid_neighbours(self.index, self.geometry.shape, connectivity)

    def volume(self, values: NDArray[Any], *, outside: float = 0.0) -> ImageVolume:
        """Return values (n_points,) as an image; voxels not in use hold `outside`."""
        array = np.full(int(np.prod(self.geometry.shape)), outside, np.float32)
        array[self.index] = values
        return ImageVolume(array.reshape(self.geometry.shape), self.geometry)


@dataclass(frozen=True, eq=False, slots=True)
class SurfaceSpace:
    """The vertices of a triangle mesh that are in use.

    Attributes
    ----------
    n_vertices : int
        Vertices of the whole mesh.
    index : ndarray of int64 (n_points,)
        Vertices in use, rising.
    vertices : ndarray of float64 (n_vertices, 3) or None
        LPS millimetres; None where the mesh was not given.
    faces : ndarray of int64 (n_faces, 3) or None
        Vertices of each triangle.
    """

    n_vertices: int
    index: NDArray[np.int64]
    vertices: NDArray[np.float64] | None = None
    faces: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        set_field(self, "index", _rising(self.index, self.n_vertices))
        if (self.vertices is None) != (self.faces is None):
            raise InputError("A surface has vertices and faces, or neither.")
        if self.vertices is not None:
            vertices = seal(self.vertices, np.float64, ndim=2, what="vertices")
            faces = seal(self.faces, np.int64, ndim=2, what="faces")
            if vertices.shape != (self.n_vertices, 3) or faces.shape[1] != 3:
                raise InputError(
                    f"The surface has {vertices.shape[0]} vertices, the data "
                    f"{self.n_vertices}: they belong to different meshes."
                )
            set_field(self, "vertices", vertices)
            set_field(self, "faces", faces)

    @property
    def n_points(self) -> int:
        """Number of vertices in use."""
        return len(self.index)

    @property
    def extent(self) -> NDArray[np.float64]:
        """Area of each vertex in square millimetres; 1 each where the mesh was not given."""
        if self.vertices is None or self.faces is None:
            return np.ones(self.n_points)
        return mesh_areas(self.vertices, self.faces)[self.index]

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """LPS millimetres (n_points, 3); NaN where the mesh was not given."""
        if self.vertices is None:
            return np.full((self.n_points, 3), np.nan)
        return self.vertices[self.index]

    def neighbours(self, connectivity: int = 26) -> Neighbours:
        """Return which vertices share an edge; `connectivity` is for grids and not used.

        Raises
        ------
        InputError
            If the mesh was not given.
        """
        if self.faces is None:
            raise InputError(
                "Clusters on a surface need its mesh: give the .surf.gii (or the FreeSurfer "
                "surface) that the data lie on."
            )
        return mesh_neighbours(self.faces, self.index, self.n_vertices)


@dataclass(frozen=True, eq=False, slots=True)
class ImageStack:
    """The images of many people, point by point.

    Attributes
    ----------
    samples : tuple of str (n_samples,)
        Unique ids.
    values : ndarray of float32 (n_samples, n_points)
        NaN = no measurement. May lie on disk (a read-only memory map).
    space : VoxelSpace or SurfaceSpace
        Where the points lie.
    notes : tuple of str
        What a reader must know: points left out and why.
    """

    samples: tuple[str, ...]
    values: NDArray[np.float32]
    space: VoxelSpace | SurfaceSpace
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        samples = seal_samples(self.samples, what="Images")
        check_unique(samples, what="Images")
        set_field(self, "samples", samples)
        values = self.values
        on_disk = isinstance(values, np.memmap) and not values.flags.writeable
        if not on_disk or values.dtype != np.float32:
            values = seal(values, np.float32, ndim=2, what="image values")
            set_field(self, "values", values)
        if values.shape != (len(samples), self.space.n_points):
            raise InputError(
                f"The values have shape {values.shape}; needed are {len(samples)} samples by "
                f"{self.space.n_points} points."
            )

    @property
    def n_samples(self) -> int:
        """Number of people."""
        return len(self.samples)

    @property
    def n_points(self) -> int:
        """Number of voxels or vertices."""
        return self.space.n_points


def _rising(index: NDArray[Any], size: int) -> NDArray[np.int64]:
    out = seal(index, np.int64, ndim=1, what="index")
    if not len(out) or out[0] < 0 or out[-1] >= size or (np.diff(out) <= 0).any():
        raise InputError(f"Points are named by rising positions in 0 … {size - 1}, at least one.")
    return out
