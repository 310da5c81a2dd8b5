"""The b-values and gradient directions of DICOM frames: standard and vendors' tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["b_values_of", "direction_of"]

_GE_OFFSET = 1e5

# Group, element within the block, private creator, word in the manufacturer's name.
_PRIVATE_B = (
    (0x0019, 0x0C, "SIEMENS MR HEADER", "SIEMENS"),
    (0x0043, 0x39, "GEMS_PARM_01", "GE"),
    (0x2001, 0x03, "PHILIPS IMAGING DD 001", "PHILIPS"),
)
_PRIVATE_AXES = (
    ((0x0019, 0x0E),), "SIEMENS MR HEADER", "SIEMENS",
), (
    ((0x0019, 0xBB), (0x0019, 0xBC), (0x0019, 0xBD)), "GEMS_ACQU_01", "GE",
), (
    ((0x2005, 0xB0), (0x2005, 0xB1), (0x2005, 0xB2)), "PHILIPS MR IMAGING DD 001", "PHILIPS",
)  # fmt: skip


def b_values_of(places: Sequence[Any]) -> dict[str, float]:
    """Return every b-value that a frame states, s/mm2, by the tag that states it.

    Parameters
    ----------
    places : sequence of pydicom.Dataset
        Where tags of the frame stand, the nearest first; the whole header is last.

    Notes
    -----
    (0018,9087) of the standard, (0019,xx0C) of Siemens, (0043,xx39) of GE (the first of its
    numbers, to which 10^9 may be added) and (2001,xx03) of Philips. A private tag counts under its
    creator alone, or, where no creator is declared, in the first block of a file of that vendor.
    """
    found = {}
    standard = _number(_first(places, "DiffusionBValue"))
    if standard is not None:
        found["0018,9087"] = standard
    for group, element, creator, vendor in _PRIVATE_B:
        value = _private(places, group, element, creator, vendor)
        number = _number(value)
        if number is None:
            continue
        if vendor == "GE":
            number %= _GE_OFFSET
        found[f"{group:04x},10{element:02x}"] = number
    return found


def direction_of(places: Sequence[Any]) -> tuple[float, float, float] | None:
    """Return the gradient direction of a frame; None where it states none.

    Notes
    -----
    (0018,9089) of the standard, (0019,xx0E) of Siemens, (0019,xxBB..BD) of GE, which writes them
    along the axes of the acquisition, and (2005,xxB0..B2) of Philips.
    """
    for place in places:
        inner = place.get("DiffusionGradientDirectionSequence")
        holder = inner[0] if inner else place
        axes = _vector(holder.get("DiffusionGradientOrientation"))
        if axes is not None:
            return axes
    for tags, creator, vendor in _PRIVATE_AXES:
        values = [_private(places, group, element, creator, vendor) for group, element in tags]
        axes = _vector(values[0] if len(values) == 1 else values)
        if axes is not None:
            return axes
    return None


def _first(places: Sequence[Any], tag: str) -> Any:
    for place in places:
        value = place.get(tag)
        if value not in (None, ""):
            return value
    return None


def _private(places: Sequence[Any], group: int, element: int, creator: str, vendor: str) -> Any:
    """Return the value of a private tag; None where it is not there, or another creator's."""
    maker = str(_first(places, "Manufacturer") or "").upper()
    for place in places:
        for block in _blocks(place, group, creator, vendor in maker):
            item = place.get((group, (block << 8) | element))
            value = getattr(item, "value", None)
            if value not in (None, "", b""):
                return _decoded(value)
    return None


def _blocks(place: Any, group: int, creator: str, of_vendor: bool) -> Iterator[int]:
    declared = {
        block: str(getattr(place.get((group, block)), "value", "") or "").strip().upper()
        for block in range(0x10, 0x20)
    }
    yield from (block for block, name in declared.items() if name == creator)
    if of_vendor and not any(declared.values()):
        yield 0x10


def _decoded(value: Any) -> Any:
    """Return numbers of bytes: private tags read without a dictionary are text or doubles."""
    if not isinstance(value, bytes):
        return value
    text = value.rstrip(b"\0 ")
    try:
        return [float(word) for word in text.decode("ascii").split("\\")]
    except (UnicodeDecodeError, ValueError):
        pass
    for kind, size in (("<f8", 8), ("<f4", 4), ("<i4", 4)):
        if len(value) in (size, 3 * size):
            return np.frombuffer(value, kind).tolist()
    return None


def _number(value: Any) -> float | None:
    try:
        single = value[0] if isinstance(value, list | tuple) or _many(value) else value
        number = float(single)
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) and number >= 0 else None


def _many(value: Any) -> bool:
    return hasattr(value, "__getitem__") and not isinstance(value, str | bytes)


def _vector(value: Any) -> tuple[float, float, float] | None:
    try:
        numbers = [float(_number_of(item)) for item in value]
    except (TypeError, ValueError, IndexError):
        return None
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        return None
    return numbers[0], numbers[1], numbers[2]


def _number_of(item: Any) -> Any:
    return item[0] if isinstance(item, list) else item
