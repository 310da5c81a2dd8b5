"""Results with a row a point of a grid or surface: places, files and picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.types import Geometry, Result, SurfaceSpace, VoxelSpace

__all__ = ["PointMap", "place_of", "write_points"]


def place_of(space: Mapping[str, Any], points: NDArray[np.int64]) -> VoxelSpace | SurfaceSpace:
    """Return where points lie, without the mesh of a surface.

    Parameters
    ----------
    space : mapping
        The grid or surface as plain values (`radgen.associate.maps.voxelwise.space_facts`).
    points : int64 (n_points,)
        Their numbers in it.
    """
    if space["kind"] == "grid":
        affine = np.array(space["affine_lps"]).reshape(4, 4)
        return VoxelSpace(Geometry(affine, tuple(space["shape"])), points)
    return SurfaceSpace(int(space["n_vertices"]), points)


def write_points(
    folder: str | Path,
    place: VoxelSpace | SurfaceSpace,
    maps: Iterable[tuple[str, NDArray[np.float64], float]],
) -> list[Path]:
    """Write maps as NIfTI or GIFTI, and return the files.

    Parameters
    ----------
    folder : str or Path
        Made where it is missing.
    place : VoxelSpace or SurfaceSpace
        Where the points lie.
    maps : iterable of (str, float64 (n_points,), float)
        Name of the file without its ending, values, and the value of points that are not in use;
        maps without any value are left out.
    """
    from radgen.io import write_map

    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    end = ".nii.gz" if isinstance(place, VoxelSpace) else ".func.gii"
    written = []
    for name, values, outside in maps:
        if np.isnan(values).all():
            continue
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
        written.append(where / f"{safe}{end}")
        write_map(values, place, written[-1], outside=outside)
    return written


@dataclass(frozen=True, eq=False)
class PointMap(Result):
    """A table with a row a point, drawn over anatomy.

    Attributes
    ----------
    space : mapping
        The grid or surface, as plain values.
    """

    plots: ClassVar[tuple[str, ...]] = ("map",)
    shown: ClassVar[str] = ""
    """The column that is drawn unless another is asked for."""
    signed: ClassVar[tuple[str, ...]] = ()
    """Columns whose values have a sign."""

    space: dict[str, Any] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """Title of the picture."""
        return ""

    def plot(self, kind: str, *, ax: Any = None, what: str = "", **options: Any) -> Any:
        """Draw a map over anatomy and return the matplotlib Axes.

        Parameters
        ----------
        kind : str
            "map".
        ax : matplotlib Axes or None
            Where to draw; None = a new figure.
        what : str
            A column of the table; "" = the main one.
        **options : object
            background (ImageVolume on the same grid), plane, n_slices, threshold, limit; surface
            and views for surface data.

        Raises
        ------
        InputError
            If this result has no such plot or column.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen.associate.genomewide import plot

        column = what or self.shown
        require_choice(column, self.frame.columns, what="map")
        return plot.draw_map(
            self.frame, self.space, column, title=self.heading, label=column, ax=ax,
            options=options, signed=column in self.signed,
        )  # fmt: skip
