"""Voxel-wise maps equal the features of each window measured alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.errors import InputError
from radgen.features import Discretisation, ExtractionSettings, extract, feature_maps
from radgen.features.maps import MAP_FAMILIES
from radgen.types import Geometry, ImageVolume, Mask

FLAT = ("BTW3", "SUJT", "8QNN")
DEEP = ("ITBB", "IAZD", "KOBO")


def scan() -> tuple[ImageVolume, Mask]:
    rng = np.random.default_rng(4)
    geometry = Geometry.from_spacing((5, 6, 7))
    values = rng.integers(1, 7, geometry.shape).astype(np.float32)
    return ImageVolume(values, geometry), Mask(rng.random(geometry.shape) < 0.7, geometry)


@pytest.mark.parametrize("by_slice", [False, True])
@pytest.mark.parametrize("radius", [1, 2])
def test_maps_are_features_of_windows(by_slice: bool, radius: int) -> None:
    image, mask = scan()
    settings = ExtractionSettings(
        by_slice=by_slice,
        discretisation=Discretisation(),
        aggregations=FLAT if by_slice else DEEP,
        families=tuple(MAP_FAMILIES),
    )
    maps = feature_maps(
        image, mask, features=dict.fromkeys(MAP_FAMILIES), settings=settings, radius=radius
    )
    assert all(np.isnan(found.array[~mask.array]).all() for found in maps.values())
    voxels = np.argwhere(mask.array)
    for at in voxels[:: 1 + len(voxels) // 12]:
        window = np.zeros(mask.array.shape, dtype=bool)
        reach = (0 if by_slice else radius, radius, radius)
        window[tuple(slice(max(0, c - r), c + r + 1) for c, r in zip(at, reach, strict=True))] = (
            True
        )
        alone = extract(
            image, Mask(window & mask.array, mask.geometry), settings=settings, threads=1
        )
        for row in alone.filter(pl.col("family").is_in(list(MAP_FAMILIES))).iter_rows(named=True):
            name = "|".join(p for p in (row["family"], row["feature"], row["aggregation"]) if p)
            # Inverse differences are normed by the levels of the whole region in maps.
            if row["feature"].startswith("Normalised inverse"):
                continue
            found = maps[name].array[tuple(at)]
            np.testing.assert_allclose(found, row["value"], rtol=3e-6, atol=1e-6, err_msg=name)


def test_maps_do_not_depend_on_threads_and_blocks(monkeypatch) -> None:
    image, mask = scan()
    settings = ExtractionSettings(discretisation=Discretisation("number", 4))
    features = {"glcm": ["Contrast", "Joint entropy"], "ngldm": None}
    one = feature_maps(image, mask, features=features, settings=settings, threads=1)
    monkeypatch.setattr("radgen.features.maps._FAST_BLOCK", 7)
    many = feature_maps(image, mask, features=features, settings=settings, threads=3)
    assert list(one) == list(many)
    for name, found in one.items():
        np.testing.assert_array_equal(found.array, many[name].array)


def test_maps_refuse_what_they_cannot_do() -> None:
    image, mask = scan()
    settings = ExtractionSettings()
    with pytest.raises(InputError, match="Did you mean 'Contrast'"):
        feature_maps(image, mask, features={"glcm": ["Contras"]}, settings=settings)
    with pytest.raises(InputError, match="mapped family 'glmc'"):
        feature_maps(image, mask, features={"glmc": None}, settings=settings)
    with pytest.raises(InputError, match="radius"):
        feature_maps(image, mask, features={"glcm": None}, settings=settings, radius=0)
