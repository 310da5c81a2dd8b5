"""What must not change features: turns, flips, padding, types, orientation, units."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen.features import Discretisation, ExtractionSettings, extract
from radgen.types import Geometry, ImageVolume, Mask

VOLUME = ExtractionSettings(discretisation=Discretisation("width", 7.0, 0.0))
ALL = ExtractionSettings(
    discretisation=Discretisation("number", 6),
    aggregations=("BTW3", "SUJT", "JJUI", "ZW7Z", "ITBB", "IAZD", "8QNN", "62GR", "KOBO"),
)


def scan(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = np.round(rng.gamma(4.0, 10.0, (7, 9, 8)))
    inside = rng.random(values.shape) < 0.75
    inside[0] = inside[:, 0] = False
    return values, inside


def measure(
    values: np.ndarray,
    inside: np.ndarray,
    spacing: tuple[float, float, float],
    how: ExtractionSettings = VOLUME,
) -> pl.DataFrame:
    geometry = Geometry.from_spacing(values.shape, spacing)
    image = ImageVolume(np.ascontiguousarray(values), geometry)
    mask = Mask(np.ascontiguousarray(inside), geometry)
    return extract(image, mask, settings=how, threads=1)


def same(a: pl.DataFrame, b: pl.DataFrame, rtol: float = 1e-9) -> None:
    assert a.drop("value").equals(b.drop("value"))
    for name, x, y in zip(a["feature"], a["value"], b["value"], strict=True):
        # The smallest ellipsoid is found by iteration, within 0.01 % of its volume.
        slack = 1e-3 if "minimum volume enclosing" in name else rtol
        assert x == pytest.approx(y, rel=slack, abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize("axes", [(2, 1, 0), (0, 2, 1), (1, 0, 2), (1, 2, 0)])
def test_order_of_axes(axes: tuple[int, int, int]) -> None:
    values, inside = scan()
    spacing = (3.0, 1.0, 2.0)
    turned = tuple(spacing[axis] for axis in axes)
    same(
        measure(values, inside, spacing),
        measure(values.transpose(axes), inside.transpose(axes), turned),
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flips(axis: int) -> None:
    values, inside = scan()
    flipped = np.flip(values, axis), np.flip(inside, axis)
    same(measure(values, inside, (3.0, 1.0, 2.0), ALL), measure(*flipped, (3.0, 1.0, 2.0), ALL))


def test_turns_within_the_slice() -> None:
    values, inside = scan()
    turned = np.rot90(values, axes=(1, 2)), np.rot90(inside, axes=(1, 2))
    same(measure(values, inside, (3.0, 1.5, 1.5), ALL), measure(*turned, (3.0, 1.5, 1.5), ALL))


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.float32, np.float64])
def test_type_of_the_voxels(dtype: type) -> None:
    values, inside = scan()
    expected = measure(values, inside, (3.0, 1.0, 2.0))
    same(expected, measure(values.astype(dtype), inside, (3.0, 1.0, 2.0)))


def test_orientation_of_the_grid() -> None:
    values, inside = scan()
    expected = measure(values, inside, (3.0, 1.0, 2.0))
    affine = np.diag([-2.0, -1.0, 3.0, 1.0])
    affine[:3, 3] = 40.0, 50.0, -7.0
    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    for grid in (affine, turn @ affine):
        geometry = Geometry(grid, values.shape)
        found = extract(
            ImageVolume(values, geometry), Mask(inside, geometry), settings=VOLUME, threads=1
        )
        same(expected, found)


def test_length_unit_scales_shape_by_its_power() -> None:
    values, inside = scan()
    small = measure(values, inside, (3.0, 1.0, 2.0))
    large = measure(values, inside, (30.0, 10.0, 20.0))
    power = {"mm": 1, "mm^2": 2, "mm^3": 3, "1/mm": -1, "(a.u.) mm^3": 3}
    for a, b in zip(small.iter_rows(named=True), large.iter_rows(named=True), strict=True):
        if a["family"] == "local_intensity":
            continue
        factor = 10.0 ** power.get(a["unit"], 0)
        slack = 1e-3 if "minimum volume" in a["feature"] else 1e-9
        assert b["value"] == pytest.approx(a["value"] * factor, rel=slack), a["feature"]


def test_intensities_outside_the_region_do_not_matter() -> None:
    values, inside = scan()
    how = ExtractionSettings(
        families=tuple(name for name in VOLUME.families if name != "local_intensity")
    )
    other = np.where(inside, values, 1e6)
    same(measure(values, inside, (3, 1, 2), how), measure(other, inside, (3, 1, 2), how))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    share=st.floats(0.1, 1.0),
    n_levels=st.integers(1, 300),
)
def test_any_small_region_gives_numbers_or_reasons(
    seed: int, shape: tuple[int, int, int], share: float, n_levels: int
) -> None:
    rng = np.random.default_rng(seed)
    inside = rng.random(shape) < share
    how = ExtractionSettings(
        discretisation=Discretisation("number", n_levels), aggregations=ALL.aggregations
    )
    table = measure(rng.normal(size=shape), inside, (2.0, 1.0, 1.0), how)
    missing = table["value"].is_nan()
    assert (table.filter(missing)["status"] == "undefined").all()
    assert (table.filter(missing)["reason"] != "").all()
    assert (table.filter(~missing)["status"] == "ok").all()
    assert table.filter(~missing)["value"].is_finite().all()
