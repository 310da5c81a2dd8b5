"""Frames of one series in several volumes: by b-value and direction, or by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FormatError, shown
from radgen.io._slices import SAME_PLACE_MM, Frame

__all__ = ["FramesAs", "Ordered", "order_frames"]

FramesAs = Literal["time", "order", "diffusion"]
_DAY_S = 86400.0
_SAME_TIME_S = 1e-6
_CONFLICT_S = 0.5
_NO_DIRECTION = 5.0
_KEEP = "Export the whole series again, or convert it to NIfTI and give the values in a file."


@dataclass(frozen=True, eq=False, slots=True)
class Ordered:
    """The volumes of a series.

    Attributes
    ----------
    groups : list of list of Frame
        The frames of each volume.
    times_s : ndarray of float64 (n_volumes,) or None
        From the first; None where they are not stated.
    b_values : list of float
        s/mm2; empty where none are stated.
    directions : list of list of float
        A unit vector a volume (0, 0, 0 without gradient); empty where a volume has none.
    """

    groups: list[list[Frame]]
    times_s: NDArray[np.float64] | None = None
    b_values: list[float] = field(default_factory=list)
    directions: list[list[float]] = field(default_factory=list)


def order_frames(frames: Sequence[Frame], path: Path, what: FramesAs) -> Ordered:
    """Return the volumes of a series in order.

    Parameters
    ----------
    frames : sequence of Frame
        All frames of the series.
    path : Path
        For messages.
    what : {"time", "order", "diffusion"}
        What tells the volumes apart: time; time, of which the order alone is wanted; or b-values,
        and the order where none is stated.

    Raises
    ------
    FormatError
        If volumes have different slices, or b-values or times contradict each other, or are
        stated for some frames alone; names the files.
    """
    if what == "diffusion" and any(frame.b_values for frame in frames):
        return _by_b_value(frames, path)
    return _by_time(frames, path, timed=what == "time")


def _places(frames: Sequence[Frame], path: Path) -> list[list[Frame]]:
    """Return the frames of each slice position; all positions have as many."""
    first = frames[0]
    normal = np.cross(first.row, first.column)
    along = sorted(frames, key=lambda frame: float(frame.position @ normal))
    places: list[list[Frame]] = [[along[0]]]
    for left, right in pairwise(along):
        if float((right.position - left.position) @ normal) < SAME_PLACE_MM:
            places[-1].append(right)
        else:
            places.append([right])
    counts = np.array([len(place) for place in places])
    usual = int(np.bincount(counts).argmax())
    odd = [place for place, count in zip(places, counts, strict=True) if count != usual]
    if odd:
        names = shown(f"{len(place)} at {place[0].label}" for place in odd)
        raise FormatError(f"Most slices are there {usual} times, but {names}. {_KEEP}", path=path)
    return places


def _volumes(
    places: Sequence[Sequence[Frame]], key: Callable[[Frame], tuple[float, ...]]
) -> list[list[Frame]]:
    """Return the k-th frame of every position, for each k."""
    ordered = [sorted(place, key=key) for place in places]
    return [[place[k] for place in ordered] for k in range(len(ordered[0]))]


def _by_b_value(frames: Sequence[Frame], path: Path) -> Ordered:
    _require_one_b(frames, path)
    b_of = {id(frame): next(iter(frame.b_values.values())) for frame in frames}

    def key(frame: Frame) -> tuple[float, ...]:
        axes = frame.direction or (0.0, 0.0, 0.0)
        return (round(b_of[id(frame)]), *(round(x, 3) for x in axes), *frame.order)

    groups = _volumes(_places(frames, path), key)
    b_values, directions = [], []
    for group in groups:
        found = [round(b_of[id(frame)]) for frame in group]
        odd = [frame.label for frame, b in zip(group, found, strict=True) if b != found[0]]
        if odd:
            raise FormatError(
                f"The slices of b = {found[0]} do not cover all positions: {shown(odd)} has "
                f"another b-value. {_KEEP}",
                path=path,
            )
        b_values.append(float(np.mean([b_of[id(frame)] for frame in group])))
        directions.append(_direction(group, b_values[-1], path))
    known = all(axes is not None for axes in directions) and any(
        axes is not None and any(axes) for axes in directions
    )
    return Ordered(
        groups, np.arange(len(groups), dtype=np.float64), b_values,
        [axes for axes in directions if axes is not None] if known else [],
    )  # fmt: skip


def _require_one_b(frames: Sequence[Frame], path: Path) -> None:
    """Refuse frames without a b-value among others that have one, and tags that disagree."""
    mute = [frame.label for frame in frames if not frame.b_values]
    if mute:
        raise FormatError(
            f"{len(mute)} of {len(frames)} frames state no b-value: {shown(mute)}. {_KEEP}",
            path=path,
        )
    for frame in frames:
        values = frame.b_values
        if max(values.values()) - min(values.values()) > 1.0:
            said = " and ".join(f"{b:g} in ({tag})" for tag, b in values.items())
            raise FormatError(
                f"{frame.label} states two b-values: {said}. Correct the header, or convert the "
                "series to NIfTI and give the b-values in a file.",
                path=path,
            )


def _direction(group: Sequence[Frame], b_value: float, path: Path) -> list[float] | None:
    """Return the unit vector of a volume: 0 without gradient, None where it is not stated."""
    stated = [frame.direction for frame in group]
    if b_value <= _NO_DIRECTION:
        return [0.0, 0.0, 0.0]
    if any(axes is None for axes in stated):
        return None
    vectors = np.array(stated, dtype=np.float64)
    if np.abs(vectors - vectors[0]).max() > 0.01:
        odd = int(np.abs(vectors - vectors[0]).max(axis=1).argmax())
        raise FormatError(
            f"The slices of b = {b_value:g} have several gradient directions: {group[0].label} and "
            f"{group[odd].label}. {_KEEP}",
            path=path,
        )
    length = float(np.linalg.norm(vectors[0]))
    return None if length == 0 else (vectors[0] / length).tolist()


def _by_time(frames: Sequence[Frame], path: Path, *, timed: bool) -> Ordered:
    places = _places(frames, path)
    if len(places[0]) == 1:
        return Ordered([list(frames)])
    _require_one_contrast(places, path)
    indices = {frame.time_index for frame in frames}
    if None not in indices and len(indices) > 1:
        groups = _volumes(places, lambda frame: (float(frame.time_index or 0), *frame.order))
        _require_index(groups, path)
    else:
        groups = _volumes(places, _moment(frames))
    return Ordered(groups, _times(groups, path) if timed else None)


def _require_one_contrast(places: Sequence[Sequence[Frame]], path: Path) -> None:
    """Refuse series whose frames at one place differ in echo, flip angle or b-value."""
    for place in places:
        for what in sorted({name for frame in place for name in frame.contrast}):
            values = sorted({frame.contrast[what] for frame in place if what in frame.contrast})
            if len(values) > 1:
                raise FormatError(
                    f"The frames are no points in time: they differ in {what} "
                    f"({shown(f'{value:g}' for value in values)}), as in {place[0].label}. Split "
                    "the series.",
                    path=path,
                )


def _require_index(groups: Sequence[Sequence[Frame]], path: Path) -> None:
    for group in groups:
        odd = [frame.label for frame in group if frame.time_index != group[0].time_index]
        if odd:
            raise FormatError(
                f"Slices of time point {group[0].time_index} are missing or there twice: "
                f"{shown(odd)}. {_KEEP}",
                path=path,
            )


def _moment(frames: Sequence[Frame]) -> Callable[[Frame], tuple[float, ...]]:
    """Return what orders frames in time: a clock that all have, then their numbers."""
    for name in ("offset", "trigger", "acquisition", "content"):
        values = [frame.clocks.get(name) for frame in frames]
        known = [value for value in values if value is not None]
        if len(known) == len(frames) and max(known) - min(known) > _SAME_TIME_S:
            wraps = name in ("acquisition", "content") and max(known) - min(known) > _DAY_S / 2

            def key(frame: Frame, name: str = name, wraps: bool = wraps) -> tuple[float, ...]:
                value = frame.clocks[name]
                return (value + _DAY_S if wraps and value < _DAY_S / 2 else value, *frame.order)

            return key
    return lambda frame: frame.order


def _times(groups: Sequence[Sequence[Frame]], path: Path) -> NDArray[np.float64] | None:
    """Return the time of each volume from the first; None where no clock of the frames runs."""
    found: dict[str, NDArray[np.float64]] = {}
    for name in ("offset", "trigger", "acquisition", "content"):
        clocks = [[f.clocks[name] for f in group if name in f.clocks] for group in groups]
        lost = [k for k, clock in enumerate(clocks) if not clock]
        if len(lost) == len(groups):
            continue
        if lost:
            if found:
                continue
            raise FormatError(
                f"{len(lost)} of {len(groups)} time points state no {name} time: "
                f"{shown(groups[k][0].label for k in lost)}. {_KEEP}",
                path=path,
            )
        times = _unwrapped(np.array([min(clock) for clock in clocks]))
        if (np.diff(times) > _SAME_TIME_S).all():
            found[name] = times - times[0]
    _require_one_clock(found, groups, path)
    return next(iter(found.values()), None)


def _unwrapped(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return times of day that run past midnight without a fall."""
    falls = np.diff(times, prepend=times[0]) < -_DAY_S / 2
    return np.asarray(times + _DAY_S * np.cumsum(falls))


def _require_one_clock(
    found: dict[str, NDArray[np.float64]], groups: Sequence[Sequence[Frame]], path: Path
) -> None:
    """Refuse clocks that contradict each other; the time an image was made counts for none."""
    clocks = {name: times for name, times in found.items() if name != "content"}
    first = next(iter(clocks.items()), None)
    for name, times in clocks.items():
        assert first is not None
        apart = np.abs(times - first[1])
        allowed = max(_CONFLICT_S, 0.05 * float(first[1][-1]))
        if apart.max() > allowed:
            k = int(apart.argmax())
            raise FormatError(
                f"At {groups[k][0].label}, {times[k]:g} s have gone by its {name} time and "
                f"{first[1][k]:g} s by its {first[0]} time. Give the times in a file, or the "
                "interval between frames.",
                path=path,
            )
