"""Pictures of scans for the report: for quality control, and with voxel maps over them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.study.cache import Codec
from radgen.study.measure import BAD_SCAN, Unit, prepared_scan
from radgen.types import ImageVolume

__all__ = ["DRAW", "MAP", "draw", "draw_map", "drawn", "map_names", "map_text", "picture_codec"]

DRAW = ("picture", 1)
"""Name and version of the step that draws scans for quality control."""

MAP = ("map", 1)
"""Name and version of the step that draws voxel maps over scans."""


def draw(unit: Unit) -> str:
    """Return a picture for quality control as base64 text; "" where the scan cannot be read."""
    from radgen.io import read_image, read_masks
    from radgen.report import thumbnail

    try:
        image = read_image(unit.image, modality=unit.modality)
        masks = read_masks(unit.mask, labels=unit.regions, reference=image)
        return base64.b64encode(thumbnail(image, masks)).decode()
    except BAD_SCAN:
        return ""


def map_names(asked: Sequence[str]) -> list[str]:
    """Return each map asked for as ``family:feature``."""
    from radgen.features import chosen_maps
    from radgen.features.maps import MAP_FAMILIES

    if not asked:
        return []
    found = chosen_maps(asked).items()
    return [f"{family}:{name}" for family, names in found for name in names or MAP_FAMILIES[family]]


def draw_map(unit: Unit) -> str:
    """Return a voxel map of all regions over their scan, as base64 text; "" for none.

    Where regions overlap, the smaller one is seen.
    """
    from radgen.features import ExtractionSettings, chosen_maps, iter_feature_maps

    wanted = chosen_maps([unit.map])
    try:
        raw, image, masks = prepared_scan(unit)
        settings = ExtractionSettings.from_mapping(unit.extraction)
        values = np.full(raw.array.shape, np.nan, np.float32)
        for mask in sorted(masks.values(), key=lambda mask: -mask.n_voxels):
            if not mask.n_voxels:
                continue
            found = iter_feature_maps(
                image, mask, features=wanted, settings=settings, threads=unit.threads
            )
            _, volume = next(found)
            np.copyto(values, volume.array, where=np.isfinite(volume.array))
        return map_text(raw, values, unit.map.partition(":")[2])
    except BAD_SCAN:
        return ""


def map_text(scan: ImageVolume, values: NDArray[Any], label: str) -> str:
    """Return a map over its scan as a picture in base64 text; "" where it has no value."""
    from radgen.plot.images import feature_map

    if not np.isfinite(values).any():
        return ""
    whole = feature_map(scan, values, label=label).get_figure(root=True)
    assert whole is not None
    stream = io.BytesIO()
    whole.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return base64.b64encode(stream.getvalue()).decode()


def picture_codec() -> Codec[str]:
    """Return how pictures are stored."""
    return Codec("picture", 1, lambda text: ({}, {"png": text}), lambda _, plain: str(plain["png"]))


def drawn(units: Sequence[Unit], at_most: int) -> list[Unit]:
    """Return at most so many units, spread evenly over the cohort, for pictures."""
    if at_most <= 0:
        return []
    return list(units[:: max(1, -(-len(units) // at_most))])
