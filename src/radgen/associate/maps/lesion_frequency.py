"""Probability atlases of lesions, and both hemispheres folded into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen.associate.maps._points import PointMap, place_of, write_points
from radgen.associate.maps.voxelwise import point_columns, space_facts
from radgen.errors import AlignmentError, InputError
from radgen.types import ImageStack, VoxelSpace

__all__ = ["AtlasResult", "fold_hemispheres", "lesion_atlas"]


@dataclass(frozen=True, eq=False)
class AtlasResult(PointMap):
    """How often each point lies in a lesion.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a point: point, x, y, z (RAS millimetres), frequency, n_lesions, ci_low, ci_high
        (Wilson), and frequency_LEVEL for each group.
    space : mapping
        The grid or surface, as plain values.
    """

    kind: ClassVar[str] = "lesion_atlas"
    shown: ClassVar[str] = "frequency"

    @property
    def heading(self) -> str:
        """Title of the picture."""
        return "Lesion frequency"

    def write_maps(self, folder: str | Path) -> list[Path]:
        """Write the frequency of all people and of each group, and return the files."""
        names = [name for name in self.frame.columns if name.startswith("frequency")]
        maps = ((name, self.frame[name].to_numpy(), 0.0) for name in names)
        return write_points(folder, place_of(self.space, self.frame["point"].to_numpy()), maps)

    def statements(self) -> tuple[str, ...]:
        """Return the findings in plain words."""
        row = self.frame.row(int(self.frame["frequency"].arg_max()), named=True)  # type: ignore[arg-type]
        words = [
            f"Lesions of {self.n_used} people cover {self.frame.height:,} points; most often "
            f"({100 * row['frequency']:.0f} %, {row['n_lesions']} people) the one at "
            f"({row['x']:.0f}, {row['y']:.0f}, {row['z']:.0f}) mm."
        ]
        words += [f"{name}: {count} people." for name, count in self.params["groups"].items()]
        return tuple(words)

    def methods(self) -> str:
        """Return the methods paragraph, generated from the parameters."""
        return (
            "The probability atlas gives the share of people whose lesion covers a point, with "
            f"Wilson {100 * self.params['confidence']:g} % intervals."
        )


def lesion_atlas(
    lesions: ImageStack, groups: Mapping[str, object] | None = None, *, confidence: float = 0.95
) -> AtlasResult:
    """Return how often each point lies in a lesion, of all people and by group.

    Parameters
    ----------
    lesions : ImageStack
        Masks on one grid (0 = no lesion).
    groups : mapping of str to object or None
        Group of each sample (mutated or not, subtype, site), by id; people without a group count
        in the whole only.
    confidence : float, default 0.95
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    AtlasResult

    Raises
    ------
    InputError
        If a mask has missing values or the confidence is out of range.
    AlignmentError
        If no sample has a group.

    References
    ----------
    Wilson (1927), J. Am. Stat. Assoc. 22, 209-212.

    Examples
    --------
    >>> from radgen.types import Geometry
    >>> space = VoxelSpace(Geometry.from_spacing((1, 1, 2)), np.array([0, 1]))
    >>> masks = ImageStack(("a", "b"), np.array([[1, 0], [1, 1]], np.float32), space)
    >>> lesion_atlas(masks, {"a": "IDH", "b": "wt"}).table["frequency"].to_list()
    [1.0, 0.5]
    """
    from scipy.special import ndtri

    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; needed is a share in (0, 1).")
    n = lesions.n_samples
    count = np.zeros(lesions.n_points, np.int64)
    label = np.array(["" if groups is None else str(groups.get(s, "")) for s in lesions.samples])
    levels = sorted(set(label) - {""})
    if groups is not None and not levels:
        raise AlignmentError("None of the samples has a group.", missing=list(lesions.samples))
    by_level = np.zeros((len(levels), lesions.n_points), np.int64)
    for row in range(n):
        values = lesions.values[row]
        if np.isnan(values).any():
            raise InputError(f"The mask of {lesions.samples[row]!r} has missing values.")
        count += values != 0
        if label[row]:
            by_level[levels.index(label[row])] += values != 0
    z = float(ndtri(0.5 + confidence / 2))
    share = count / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    columns: dict[str, NDArray[Any]] = {
        "frequency": share,
        "n_lesions": count,
        "ci_low": np.maximum(middle - half, 0.0),
        "ci_high": np.minimum(middle + half, 1.0),
    }
    sizes = {level: int((label == level).sum()) for level in levels}
    for level, found in zip(levels, by_level, strict=True):
        columns[f"frequency_{level}"] = found / sizes[level]
    frame = pl.DataFrame(point_columns(lesions.space, np.arange(lesions.n_points))).with_columns(
        pl.Series(name, item) for name, item in columns.items()
    )
    params = {"groups": sizes, "confidence": confidence}
    return AtlasResult(frame, params, n, warnings=lesions.notes, space=space_facts(lesions.space))


def fold_hemispheres(
    images: ImageStack, how: Literal["any", "mean", "difference"] = "any"
) -> ImageStack:
    """Return images of one hemisphere, made of both.

    Parameters
    ----------
    images : ImageStack
        On a grid that is symmetric about the mid-sagittal plane (x = 0 in millimetres, as in
        MNI space).
    how : {"any", "mean", "difference"}
        "any": the larger value of a point and its mirror image (lesions of either side).
        "mean": their mean. "difference": left minus right (asymmetry).

    Returns
    -------
    ImageStack
        Points of the left hemisphere whose mirror image is in use; points of the midline stay
        for "any" and "mean".

    Raises
    ------
    InputError
        If the images lie on a surface, or no point has a mirror image within half a voxel.
    """
    require_choice(how, ("any", "mean", "difference"), what="how")
    space = images.space
    if not isinstance(space, VoxelSpace):
        raise InputError("Only voxels are folded; surfaces have a mesh for each hemisphere.")
    mirror = _mirror(space)
    x = -space.positions_mm[:, 0]  # to the right
    reach = 0.25 * min(space.geometry.spacing_mm)
    left = np.flatnonzero((mirror >= 0) & (x <= (reach if how != "difference" else -reach)))
    if not len(left):
        raise InputError(
            "No point has a mirror image on the grid: resample the images onto a grid that is "
            "symmetric about x = 0."
        )
    values = np.empty((images.n_samples, len(left)), np.float32)
    for row in range(images.n_samples):
        one = images.values[row]
        here, there = one[left], one[mirror[left]]
        if how == "any":
            values[row] = np.maximum(here, there)
        else:
            values[row] = (here + there) / 2 if how == "mean" else here - there
    values.setflags(write=False)
    note = f"Both hemispheres were folded into the left one ({how})."
    lost = images.n_points - len(np.union1d(left, mirror[left]))
    notes = (*images.notes, note, *((f"{lost:,} points have no mirror image.",) if lost else ()))
    return ImageStack(images.samples, values, VoxelSpace(space.geometry, space.index[left]), notes)


def _mirror(space: VoxelSpace) -> NDArray[np.int64]:
    """Return the point at the mirrored position of each point; -1 where there is none."""
    mirrored = space.positions_mm * (-1.0, 1.0, 1.0)
    index = space.geometry.to_index(mirrored)
    whole = np.rint(index)
    shape = np.array(space.geometry.shape)
    inside = ((whole >= 0) & (whole < shape)).all(axis=1) & (np.abs(index - whole) < 0.5).all(
        axis=1
    )
    place = np.full(int(np.prod(shape)), -1, np.int64)
    place[space.index] = np.arange(space.n_points)
    out = np.full(space.n_points, -1, np.int64)
    flat = np.ravel_multi_index(tuple(whole[inside].astype(np.int64).T), tuple(shape))
    out[inside] = place[flat]
    return out
