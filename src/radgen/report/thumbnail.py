"""Small pictures for quality control: three planes with the outlines of the masks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types import ImageVolume, Mask

__all__ = ["OUTLINES", "thumbnail"]

OUTLINES = ((255, 176, 0), (64, 196, 255), (255, 96, 160), (128, 224, 96), (196, 160, 255))
"""Outline colours of the first, second, … region; they repeat."""

_GREYS = 250
_GAP_PX = 3


def thumbnail(
    image: ImageVolume,
    masks: Mapping[str, Mask],
    *,
    size_px: int = 128,
    window: tuple[float, float] | None = None,
) -> bytes:
    """Return a PNG with the axial, coronal and sagittal plane through the largest mask.

    Parameters
    ----------
    image : ImageVolume
        Three-dimensional image.
    masks : mapping of str to Mask
        Regions on the grid of the image; outlines take `OUTLINES` in this order.
    size_px : int, default 128
        Height and width of each plane in pixels.
    window : tuple of float or None
        Values shown black and white; where None, the 1st and 99th percentile of the planes.

    Returns
    -------
    bytes
        A palette PNG of height `size_px`, the three planes side by side.

    Raises
    ------
    InputError
        If the image is not three-dimensional or `size_px` is below 16.
    GeometryError
        If a mask is not on the grid of the image.

    Notes
    -----
    The plane of each axis is the one with most voxels of all masks together; without masks
    it is the middle one. Voxels are drawn in proportion to their spacing. Rows run so that
    anterior and superior are on top in LPS geometry with axis-aligned volumes.
    """
    array = np.asarray(image.array)
    if array.ndim != 3:
        raise InputError(f"A thumbnail needs a 3-D image; found {array.ndim} axes.")
    if size_px < 16:
        raise InputError(f"A plane of {size_px} px cannot be read; use at least 16.")
    for mask in masks.values():
        mask.require_on(image)
    regions = [np.asarray(mask.array) for mask in masks.values()]
    union = np.any(regions, axis=0) if regions else np.zeros(array.shape, bool)
    spacing = np.asarray(image.geometry.spacing_mm, float)
    sheet = np.zeros((size_px, 3 * size_px + 2 * _GAP_PX), np.uint8)
    for axis in range(3):
        index = _plane(union, axis)
        plane = np.take(array, index, axis=axis).astype(float)
        outlines = [np.take(region, index, axis=axis) for region in regions]
        pixels = np.delete(spacing, axis)
        drawn = _draw(plane, outlines, pixels, size_px, window)
        if axis > 0:
            drawn = drawn[::-1]
        left = axis * (size_px + _GAP_PX)
        sheet[:, left : left + size_px] = drawn
    return _png(sheet)


def _plane(union: NDArray[np.bool_], axis: int) -> int:
    others = tuple(a for a in range(3) if a != axis)
    counts = union.sum(axis=others)
    return int(counts.argmax()) if counts.any() else union.shape[axis] // 2


def _draw(
    plane: NDArray[np.float64],
    outlines: list[NDArray[np.bool_]],
    spacing: NDArray[np.float64],
    size_px: int,
    window: tuple[float, float] | None,
) -> NDArray[np.uint8]:
    extent = np.array(plane.shape) * spacing
    scale = size_px / extent.max()
    shape = np.maximum(1, np.round(extent * scale).astype(int))
    rows = np.minimum((np.arange(shape[0]) + 0.5) / scale / spacing[0], plane.shape[0] - 1)
    columns = np.minimum((np.arange(shape[1]) + 0.5) / scale / spacing[1], plane.shape[1] - 1)
    grid = np.ix_(rows.astype(int), columns.astype(int))
    finite = plane[np.isfinite(plane)]
    low, high = window or (np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0))
    width = max(high - low, np.finfo(float).tiny)
    grey = np.nan_to_num(np.clip((plane[grid] - low) / width, 0, 1))
    drawn = np.round(grey * (_GREYS - 1)).astype(np.uint8)
    for number, region in enumerate(outlines):
        inside = region[grid]
        inner = inside.copy()
        inner[1:] &= inside[:-1]
        inner[:-1] &= inside[1:]
        inner[:, 1:] &= inside[:, :-1]
        inner[:, :-1] &= inside[:, 1:]
        drawn[inside & ~inner] = _GREYS + number % len(OUTLINES)
    sheet = np.zeros((size_px, size_px), np.uint8)
    top, left = (size_px - shape[0]) // 2, (size_px - shape[1]) // 2
    sheet[top : top + shape[0], left : left + shape[1]] = drawn[:size_px, :size_px]
    return sheet


def _png(sheet: NDArray[np.uint8]) -> bytes:
    greys = np.round(np.linspace(0, 255, _GREYS)).astype(np.uint8)
    palette = np.repeat(greys, 3).tobytes() + bytes(v for c in OUTLINES for v in c)
    height, width = sheet.shape
    rows = b"".join(b"\0" + row.tobytes() for row in sheet)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
