"""DICOM segmentations through highdicom: binary, fractional, label maps, overlaps."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from radgen.errors import FormatError, GeometryError, InputError, RadgenError
from radgen.io._guard import BROKEN, image_size
from radgen.io._lattice import onto
from radgen.io.dicom import quiet
from radgen.io.masks import Labels, choose_named
from radgen.types import Geometry, ImageVolume, Mask

__all__ = ["read_seg"]


def read_seg(
    path: Path,
    *,
    labels: Labels | None = None,
    reference: ImageVolume | None = None,
    threshold: float = 0.5,
) -> dict[str, Mask]:
    """Return the segments of a DICOM SEG as masks; see `radgen.io.read_masks`.

    Parameters
    ----------
    path : Path
        The file.
    labels : mapping or None
        Region name -> segment number(s) or segment label(s).
    reference : ImageVolume or None
        The scan whose lattice the segmentation lies on.
    threshold : float
        Fractional segments: inside at this fraction or above.

    Returns
    -------
    dict of str to Mask
        Segments may overlap: each has an array of its own.

    Raises
    ------
    FormatError
        If the file is broken, or its frames make no volume.
    InputError
        If a segment is not there, or the threshold is outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise InputError(f"The threshold of a fraction lies in (0, 1], not {threshold}.")
    import highdicom

    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = highdicom.seg.segread(path)
            known = {
                int(number): str(source.get_segment_description(number).segment_label)
                for number in source.segment_numbers
            }
            chosen = choose_named(labels, known, path, what="segment")
            numbers = sorted({number for wanted in chosen.values() for number in wanted})
            shape = (source.Rows, source.Columns, int(source.get("NumberOfFrames", 1)))
            image_size(shape, 4, path, gzipped=False)
            volume = source.get_volume(segment_numbers=numbers, combine_segments=False)
    except RadgenError:
        raise
    except BROKEN as error:
        raise FormatError(
            f"The segmentation cannot be read as a volume ({type(error).__name__}): it is broken, "
            "cut off, or its slices are unequally spaced. Export it again.",
            path=path,
        ) from error
    return _masks(volume, chosen, numbers, reference, threshold, path)


def _masks(  # noqa: PLR0917
    volume: Any,
    chosen: dict[str, list[int]],
    numbers: list[int],
    reference: ImageVolume | None,
    threshold: float,
    path: Path,
) -> dict[str, Mask]:
    array = np.asarray(volume.array)
    if array.ndim == 3:
        array = array[..., np.newaxis]
    try:
        geometry = Geometry(np.asarray(volume.affine)[:, [2, 1, 0, 3]], array.shape[:3])
    except (InputError, GeometryError) as error:
        raise FormatError(f"The grid is unusable: {error}", path=path) from error
    cut = threshold if array.dtype.kind == "f" else 1
    column = {number: k for k, number in enumerate(numbers)}
    masks = {}
    for region, wanted in chosen.items():
        inside = np.zeros(geometry.shape, dtype=np.bool_)
        for number in wanted:
            inside |= array[..., column[number]] >= cut
        mask = Mask(inside, geometry, region)
        masks[region] = mask if reference is None else onto(mask, reference.geometry)
    return masks
