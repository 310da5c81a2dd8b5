"""Fractal, moment, topology and orientation features on bodies with known answers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from radgen.features import Discretisation, ExtractionSettings, extract, pair_differences
from radgen.features.collage import orientations
from radgen.features.fractal import blanket_dimension, box_dimension, lacunarity
from radgen.features.moment_invariants import invariants
from radgen.features.topology import betti_numbers
from radgen.types import Geometry, ImageVolume, Mask

BEYOND = ("fractal", "moment_invariants", "topology", "collage")


def sierpinski(n: int) -> np.ndarray:
    """Pascal's triangle modulo 2: n & k == k."""
    row, column = np.indices((n, n))
    return ((row & column) == column)[None]


def test_box_dimension_of_known_sets() -> None:
    assert box_dimension(np.ones((32, 32, 32), bool)) == pytest.approx(3.0)
    assert box_dimension(np.ones((1, 64, 64), bool)) == pytest.approx(2.0)
    assert box_dimension(np.ones((1, 1, 64), bool)) == pytest.approx(1.0)
    assert box_dimension(sierpinski(128)) == pytest.approx(np.log(3) / np.log(2))
    assert np.isnan(box_dimension(np.ones((1, 1, 1), bool)))


def test_lacunarity() -> None:
    assert lacunarity(np.ones((9, 9, 9), bool), 3) == pytest.approx(1.0)
    mask = np.random.default_rng(1).random((6, 7, 8)) < 0.4
    boxes = [
        mask[z : z + 3, y : y + 3, x : x + 3].sum()
        for z in range(4)
        for y in range(5)
        for x in range(6)
    ]
    assert lacunarity(mask, 3) == pytest.approx(np.mean(np.square(boxes)) / np.mean(boxes) ** 2)
    assert np.isnan(lacunarity(mask, 9))


def test_blanket_dimension_of_a_plane_and_of_noise() -> None:
    tilted = (np.arange(40)[:, None] + np.zeros((1, 40)) + 1).astype(int)[None]
    assert blanket_dimension(tilted) == pytest.approx(2.0, abs=0.05)
    noise = np.random.default_rng(2).integers(1, 64, (1, 60, 60))
    assert blanket_dimension(noise) > 2.6
    assert np.isnan(blanket_dimension(np.ones((1, 9, 9), int)))


def test_invariants_of_a_ball_and_of_turned_bodies() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(-20.0, 21)] * 3, indexing="ij"), -1).reshape(-1, 3)
    ball = grid[np.linalg.norm(grid, axis=1) <= 20]
    # Each second moment of a ball is r^2 / 5 of its mass, which is 4/3 pi r^3.
    each = 20**2 / 5 / (4 / 3 * np.pi * 20**3) ** (2 / 3)
    first, second, third = invariants(ball, np.ones(len(ball)))
    assert first == pytest.approx(3 * each, rel=0.01)
    assert second == pytest.approx(3 * each**2, rel=0.01)
    assert third == pytest.approx(each**3, rel=0.01)
    rng = np.random.default_rng(3)
    body, mass = rng.normal(size=(50, 3)) * (1, 2, 3), rng.random(50)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = 7.0 * (body @ turn) + 5.0
    expected = invariants(body, mass)
    # Lengths times 7 mean masses times 7^3.
    assert invariants(moved, mass * 7.0**3) == pytest.approx(expected)


def test_betti_numbers_of_known_bodies() -> None:
    ball = np.ones((5, 5, 5), bool)
    assert betti_numbers(ball) == (1, 0, 0)
    hollow = ball.copy()
    hollow[2, 2, 2] = False
    assert betti_numbers(hollow) == (1, 0, 1)
    ring = ball.copy()
    ring[:, 2, 2] = False
    assert betti_numbers(ring) == (1, 1, 0)
    apart = np.zeros((5, 5, 9), bool)
    apart[:, :, :3] = apart[:, :, 6:] = True
    apart[:, 2, 1] = False
    assert betti_numbers(apart) == (2, 1, 0)
    assert betti_numbers(np.zeros((3, 3, 3), bool)) == (0, 0, 0)
    touching = np.zeros((2, 2, 2), bool)
    touching[0, 0, 0] = touching[1, 1, 1] = True
    assert betti_numbers(touching) == (1, 0, 0)


def test_orientations_of_stripes() -> None:
    y, x = np.indices((30, 30))
    for angle in (0.0, 0.6, 1.2, 2.5):
        stripes = np.sin(0.3 * (np.cos(angle) * x + np.sin(angle) * y))[None]
        found = orientations(stripes, (1.0, 1.0, 1.0))[0, 8:-8, 8:-8]
        away = np.abs((found - angle + np.pi / 2) % np.pi - np.pi / 2)
        assert away.max() < 0.02


def scan(kind: str) -> tuple[ImageVolume, Mask]:
    rng = np.random.default_rng(5)
    geometry = Geometry.from_spacing((4, 24, 24))
    noise = rng.normal(size=geometry.shape)
    stripes = np.sin(0.5 * np.indices(geometry.shape)[2])
    image = ImageVolume(noise if kind == "noise" else stripes + 0.01 * noise, geometry)
    return image, Mask(np.ones(geometry.shape, bool), geometry, kind)


def test_families_beyond_the_standard() -> None:
    settings = ExtractionSettings(families=BEYOND, discretisation=Discretisation("number", 16))
    entropy = {}
    for kind in ("noise", "stripes"):
        image, mask = scan(kind)
        table = extract(image, mask, settings=settings)
        assert table.filter(pl.col("status") != "ok")["feature"].to_list() == [
            "Lacunarity at 5 voxels",
            "Lacunarity at 9 voxels",
        ]
        name = "Mean of joint entropy of orientations"
        entropy[kind] = table.filter(pl.col("feature") == name)["value"][0]
    assert entropy["noise"] > entropy["stripes"] + 1


def test_differences_of_pairs_of_regions() -> None:
    image, _ = scan("noise")
    half = np.zeros(image.geometry.shape, bool)
    half[:, :12] = True
    masks = {"upper": Mask(half, image.geometry), "lower": Mask(~half, image.geometry)}
    settings = ExtractionSettings(families=("intensity_statistics",))
    table = extract(image, masks, settings=settings, sample="p")
    mean = table.filter(pl.col("feature") == "Mean intensity")["value"].to_list()
    for method, name, expected in (
        ("difference", "upper - lower", mean[0] - mean[1]),
        ("ratio", "upper / lower", mean[0] / mean[1]),
    ):
        pair = pair_differences(table, [("upper", "lower")], method=method)
        assert pair.height == 18
        assert pair.columns == table.columns
        row = pair.filter(pl.col("feature") == "Mean intensity")
        assert row["region"][0] == name
        assert row["value"][0] == pytest.approx(expected)
    logs = pair_differences(table, [("upper", "lower")], method="log ratio")
    low = logs.filter(pl.col("feature") == "Mean intensity")
    assert low["value"].is_nan()[0] == (mean[0] / mean[1] <= 0)
