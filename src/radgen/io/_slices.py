"""From single frames to one volume: order, gaps, duplicates and times."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FormatError, GeometryError, InputError, shown
from radgen.io._diffusion import b_values_of, direction_of
from radgen.io._guard import safe_name
from radgen.types import Geometry

__all__ = ["SAME_PLACE_MM", "Frame", "frames_of", "stack"]

_SAME_DIRECTION = 1e-3
SAME_PLACE_MM = 1e-2
"""Frames nearer than this lie at the same place."""

_EVEN = 0.01


@dataclass(frozen=True, slots=True)
class Frame:
    """One image plane: where it lies and how its stored numbers become values."""

    path: Path
    index: int
    position: NDArray[np.float64]
    row: NDArray[np.float64]
    column: NDArray[np.float64]
    spacing: tuple[float, float]
    shape: tuple[int, int]
    slope: float
    intercept: float
    time_index: int | None
    time_s: float | None
    clocks: Mapping[str, float] = field(default_factory=dict)
    b_values: Mapping[str, float] = field(default_factory=dict)
    direction: tuple[float, float, float] | None = None
    contrast: Mapping[str, float] = field(default_factory=dict)
    order: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """Name for messages."""
        name = safe_name(self.path)
        return name if self.index == 0 else f"{name} frame {self.index + 1}"


def frames_of(header: Any, path: Path) -> list[Frame]:
    """Return the frames of one DICOM file, classic or enhanced.

    Raises
    ------
    FormatError
        If a tag that places the image is missing.
    """
    number = int(header.get("NumberOfFrames", 1) or 1)
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if groups is None and header.get("GridFrameOffsetVector") is not None:
        return _dose_planes(header, path, number)
    if groups is None:
        if number > 1:
            raise FormatError(
                "A multi-frame image without positions of its frames. Export it as an enhanced "
                "or as a classic series.",
                path=path,
            )
        return [_frame([header], header, path, 0)]
    if len(groups) != number:
        raise FormatError(
            f"{number} frames are declared, {len(groups)} are described. Copy it again.", path=path
        )
    shared = header.get("SharedFunctionalGroupsSequence") or [{}]
    return [
        _frame([*_inner(group), *_inner(shared[0]), header], header, path, index)
        for index, group in enumerate(groups)
    ]


def stack(
    frames: Sequence[Frame], path: Path, volumes: Sequence[Sequence[Frame]] | None = None
) -> tuple[Geometry, list[list[Frame]], NDArray[np.float64] | None]:
    """Return the grid, the frames of each time point by position, and the times (or None).

    Parameters
    ----------
    frames : sequence of Frame
        All of the series.
    path : Path
        For messages.
    volumes : sequence of sequence of Frame or None
        The frames of each volume, where they are known; None finds time points.

    Raises
    ------
    FormatError
        If slices are missing, there twice, or of different sizes.
    GeometryError
        If slices are unequally spaced, turned against each other, or sheared.
    """
    first = frames[0]
    _require_alike(frames, path)
    normal = np.cross(first.row, first.column)
    groups: Sequence[Sequence[Frame]]
    if volumes is None:
        groups, times = _time_points(frames, normal, path)
    else:
        groups, times = volumes, None
    ordered = [sorted(group, key=lambda frame: float(frame.position @ normal)) for group in groups]
    places = np.array([float(frame.position @ normal) for frame in ordered[0]])
    for group in ordered:
        _require_single(group, normal, path)
        other = np.array([float(frame.position @ normal) for frame in group])
        if other.shape != places.shape or np.abs(other - places).max() > SAME_PLACE_MM:
            raise FormatError("Time points do not cover the same slices.", path=path)
    step = _step(ordered[0], normal, places, path)
    affine = np.eye(4)
    affine[:3, 0] = first.row * first.spacing[1]
    affine[:3, 1] = first.column * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = ordered[0][0].position
    try:
        geometry = Geometry(affine, (len(places), *first.shape))
    except (InputError, GeometryError) as error:
        raise FormatError(f"The grid is unusable: {error}", path=path) from error
    return geometry, ordered, times


def _dose_planes(header: Any, path: Path, number: int) -> list[Frame]:
    """Return the planes of an RTDOSE: one position, and how far the others lie along the normal."""
    try:
        offsets = np.array([float(x) for x in header.GridFrameOffsetVector])
        scaling = float(header.DoseGridScaling)
    except (TypeError, ValueError, AttributeError) as error:
        raise FormatError(
            "The planes or the scaling of the dose cannot be read. Export it again.", path=path
        ) from error
    if len(offsets) != number or not np.isfinite([*offsets, scaling]).all() or scaling <= 0:
        raise FormatError(
            f"The dose has {number} planes, {len(offsets)} offsets and the scaling {scaling:g}. "
            "Export it again.",
            path=path,
        )
    first = _frame([header], header, path, 0)
    normal = np.cross(first.row, first.column)
    # The first offset is 0, or the place of the first plane itself (axial grids).
    along = offsets - offsets[0]
    return [
        replace(first, index=k, position=first.position + step * normal, slope=scaling)
        for k, step in enumerate(along)
    ]


def _frame(places: list[Any], header: Any, path: Path, index: int) -> Frame:
    try:
        position = np.array([float(x) for x in _need(places, "ImagePositionPatient", path)])
        cosines = np.array([float(x) for x in _need(places, "ImageOrientationPatient", path)])
        spacing = [float(x) for x in _need(places, "PixelSpacing", path)]
        slope = float(_find(places, "RescaleSlope", 1.0))
        intercept = float(_find(places, "RescaleIntercept", 0.0))
        shape = (int(header.Rows), int(header.Columns))
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            "A tag that places the image cannot be read as numbers. Export it again.", path=path
        ) from error
    numbers = np.array([*position, *cosines, *spacing, slope, intercept])
    row, column = cosines[:3], cosines[3:]
    if (
        len(numbers) != 13
        or not np.isfinite(numbers).all()
        or min(spacing) <= 0
        or slope == 0
        or min(shape) < 1
        or np.abs([row @ row - 1, column @ column - 1, row @ column]).max() > _EVEN
    ):
        raise FormatError(
            "Position, orientation, pixel spacing or rescale slope is impossible. Export it again.",
            path=path,
        )
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    b_values = b_values_of(places) if header.get("Modality") == "MR" else {}
    time_index = _find(places, "TemporalPositionIndex", None)
    if time_index is None:
        time_index = _find(places, "TemporalPositionIdentifier", None)
    return Frame(
        path,
        index,
        position,
        row,
        column / np.linalg.norm(column),
        (spacing[0], spacing[1]),
        shape,
        slope,
        intercept,
        None if time_index is None else int(time_index),
        _clock(places),
        clocks=_clocks(places),
        b_values=b_values,
        direction=direction_of(places) if b_values else None,
        contrast=_contrast(places, b_values),
        order=(
            _number(places, "AcquisitionNumber"),
            _number(places, "InstanceNumber"),
            float(index),
        ),
    )


_CONTRASTS = {"echo time": "EchoTime", "flip angle": "FlipAngle"}


def _number(places: list[Any], tag: str) -> float:
    """Return a number that orders frames; 0 where there is none."""
    try:
        return float(_find(places, tag, 0.0))
    except (TypeError, ValueError):
        return 0.0


def _contrast(places: list[Any], b_values: Mapping[str, float]) -> dict[str, float]:
    """Return what makes frames at one place no points in time, where it differs."""
    found = {}
    for what, tag in _CONTRASTS.items():
        try:
            found[what] = float(_find(places, tag, None))
        except (TypeError, ValueError):
            continue
    if b_values:
        found["b-value"] = round(next(iter(b_values.values())))
    return found


def _clocks(places: list[Any]) -> dict[str, float]:
    """Return every clock of a frame, in seconds: since the first frame, or of the day."""
    found = {}
    for name, tag, per in (
        ("offset", "TemporalPositionTimeOffset", 1.0), ("trigger", "TriggerTime", 1000.0),
    ):  # fmt: skip
        try:
            found[name] = float(_find(places, tag, None)) / per
        except (TypeError, ValueError):
            continue
    for name, tags in (
        ("acquisition", ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime")),
        ("content", ("ContentTime",)),
    ):
        for tag in tags:
            moment = _time_of_day(str(_find(places, tag, "") or ""), dated=tag.endswith("DateTime"))
            if moment is not None:
                found[name] = moment
                break
    return found


def _time_of_day(text: str, *, dated: bool) -> float | None:
    """Return seconds since midnight of a DICOM time, or of a date and time."""
    clock = text.replace(":", "")
    if dated:
        clock = re.split(r"[+-]", clock[8:], maxsplit=1)[0]
    try:
        return int(clock[:2]) * 3600 + int(clock[2:4] or 0) * 60 + float(clock[4:] or 0)
    except ValueError:
        return None


def _clock(places: list[Any]) -> float | None:
    trigger = _find(places, "TriggerTime", None)
    if trigger is not None:
        return float(trigger) / 1000.0
    return _time_of_day(str(_find(places, "AcquisitionTime", "") or ""), dated=False)


def _inner(group: Any) -> list[Any]:
    found = []
    for element in group:
        value = getattr(element, "value", None)
        if getattr(element, "VR", "") == "SQ" and value:
            found.append(value[0])
    return found


def _find(places: list[Any], tag: str, default: Any) -> Any:
    for place in places:
        value = place.get(tag)
        if value not in (None, ""):
            return value
    return default


def _need(places: list[Any], tag: str, path: Path) -> Any:
    value = _find(places, tag, None)
    if value is None:
        raise FormatError(
            f"The tag {tag} is missing, so the image has no place in the patient. Export the "
            "series again, as primary axial images.",
            path=path,
        )
    return value


def _require_alike(frames: Sequence[Frame], path: Path) -> None:
    first = frames[0]
    for what, differ in (
        ("size", lambda f: f.shape != first.shape),
        ("pixel spacing", lambda f: not np.allclose(f.spacing, first.spacing, rtol=1e-4)),
        (
            "orientation",
            lambda f: (
                max(np.abs(f.row - first.row).max(), np.abs(f.column - first.column).max())
                > _SAME_DIRECTION
            ),
        ),
    ):
        odd = [frame.label for frame in frames if differ(frame)]
        if odd:
            kind = GeometryError if what == "orientation" else FormatError
            raise kind(
                f"{path}: {what} differs within the series: {len(odd)} images are unlike "
                f"{first.label}: {shown(odd)}. Move scouts and secondary images away."
            )


def _time_points(
    frames: Sequence[Frame], normal: NDArray[np.float64], path: Path
) -> tuple[list[list[Frame]], NDArray[np.float64] | None]:
    indices = Counter(frame.time_index for frame in frames)
    if None in indices or len(indices) == 1:
        return [list(frames)], None
    if len(set(indices.values())) != 1:
        raise FormatError(
            "Time points have different numbers of slices: "
            + shown(f"{count} at time {index}" for index, count in sorted(indices.items()))
            + ". Slices are missing: export the series again.",
            path=path,
        )
    groups = defaultdict(list)
    for frame in frames:
        groups[frame.time_index].append(frame)
    ordered = [groups[index] for index in sorted(groups, key=int)]  # type: ignore[arg-type]
    clocks = [[f.time_s for f in group if f.time_s is not None] for group in ordered]
    if not all(clocks):
        raise FormatError("A dynamic series without times of its frames.", path=path)
    times = np.array([min(group) for group in clocks])
    if not (np.diff(times) > 0).all():
        raise FormatError("The times of the dynamic series do not increase.", path=path)
    return ordered, times - times[0]


def _require_single(group: Sequence[Frame], normal: NDArray[np.float64], path: Path) -> None:
    twice = [
        f"{left.label} and {right.label}"
        for left, right in pairwise(group)
        if abs(float((right.position - left.position) @ normal)) < SAME_PLACE_MM
    ]
    if twice:
        raise FormatError(
            f"{len(twice)} slices lie at the same place: {shown(twice)}. Remove the duplicates, or "
            "split echoes, b-values and time points into series of their own.",
            path=path,
        )


def _step(
    ordered: Sequence[Frame], normal: NDArray[np.float64], places: NDArray[np.float64], path: Path
) -> NDArray[np.float64]:
    """Return the vector from one slice to the next."""
    if len(ordered) == 1:
        return normal
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    tolerance = max(SAME_PLACE_MM, _EVEN * usual)
    uneven = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    times = gaps[uneven] / usual
    if len(uneven) and len(ordered) > 2:
        between = [
            f"{ordered[i].label} and {ordered[i + 1].label} ({gaps[i]:.3g} mm)" for i in uneven
        ]
        if np.all((np.abs(times - np.round(times)) < 0.05) & (times > 1.5)):
            raise FormatError(
                f"Slices are missing between {shown(between)}; the others are {usual:.3g} mm "
                "apart. Export the complete series.",
                path=path,
            )
        raise GeometryError(
            f"{path}: slices are unequally spaced: {shown(between)}, the others {usual:.3g} mm. "
            "Radiomics needs an even grid: export one reconstruction, or resample it."
        )
    span = ordered[-1].position - ordered[0].position
    step = np.asarray(span / (len(ordered) - 1))
    sideways = step - (step @ normal) * normal
    if np.linalg.norm(sideways) > _EVEN * usual:
        raise GeometryError(
            f"{path}: each slice is shifted sideways by {np.linalg.norm(sideways):.3g} mm (gantry "
            "tilt). Resample the scan onto an orthogonal grid first."
        )
    return normal * float(step @ normal)
