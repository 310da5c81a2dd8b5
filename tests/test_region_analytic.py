"""Regions, contours and registration against solids whose values are known."""

from __future__ import annotations

import numpy as np
import pytest

from radgen.errors import GeometryError, InputError
from radgen.image import (
    adapt_volume,
    closing,
    combine,
    components,
    contour_agreement,
    depth_mm,
    dice,
    fill_holes,
    grow,
    largest_component,
    move,
    noise_sigma,
    opening,
    perturbations,
    randomise_contour,
    register,
    ring,
    shells,
    shrink,
    subregion_ratios,
)
from radgen.image.perturb import PerturbationSettings
from radgen.types import Geometry, ImageVolume, Mask

SPACING = (2.0, 1.0, 0.5)
GRID = Geometry.from_spacing((31, 61, 121), SPACING)


def radius_mm(geometry: Geometry = GRID) -> np.ndarray:
    axes = [
        (np.arange(n) - (n - 1) / 2) * s
        for n, s in zip(geometry.shape, geometry.spacing_mm, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.sqrt(x**2 + y**2 + z**2)


def ball(radius: float, geometry: Geometry = GRID) -> Mask:
    return Mask(radius_mm(geometry) <= radius, geometry, "ball")


def volume(mask: Mask) -> float:
    return mask.n_voxels * mask.geometry.voxel_volume_mm3


def sphere(radius: float) -> float:
    return 4 / 3 * np.pi * radius**3


def test_grown_and_shrunk_balls_on_anisotropic_voxels() -> None:
    start = ball(12.0)
    for distance in (3.0, 6.0):
        assert volume(grow(start, distance)) == pytest.approx(sphere(12 + distance), rel=0.05)
        assert volume(shrink(start, distance)) == pytest.approx(sphere(12 - distance), rel=0.08)
    np.testing.assert_array_equal(grow(start, 0.0).array, start.array)


def test_ring_is_the_difference_of_grown_regions() -> None:
    start = ball(8.0)
    outside = ring(start, 6.0, inner_mm=2.0)
    expected = grow(start, 6.0).array & ~grow(start, 2.0).array
    np.testing.assert_array_equal(outside.array, expected)
    rim = ring(start, 2.0, inner_mm=-2.0)
    np.testing.assert_array_equal(rim.array, grow(start, 2.0).array & ~shrink(start, 2.0).array)
    organ = Mask(np.broadcast_to(np.arange(GRID.shape[2]) < 60, GRID.shape), GRID)
    inside = ring(start, 6.0, within=organ)
    assert not inside.array[..., 60:].any()
    with pytest.raises(InputError, match="must exceed"):
        ring(start, 1.0, inner_mm=2.0)


def test_shells_share_the_region_out() -> None:
    start = ball(14.0)
    for parts in (shells(start, n=4), shells(start, [2.0, 5.0])):
        total = np.sum([part.array for part in parts], axis=0)
        np.testing.assert_array_equal(total, start.array)
        deep = [depth_mm(start)[part.array].mean() for part in parts]
        assert deep == sorted(deep)
    fine = ball(14.0, Geometry.from_spacing((61, 61, 61), (0.5, 0.5, 0.5)))
    volumes = [part.n_voxels for part in shells(fine, n=4)]
    assert max(volumes) < 1.35 * min(volumes)


def test_opening_closing_holes_and_components() -> None:
    array = np.array(ball(8.0).array)
    array[15, 30, 60] = False
    array[2, 2, 2] = True
    holed = Mask(array, GRID)
    assert fill_holes(holed).n_voxels == holed.n_voxels + 1
    assert closing(holed, 1.0).array[15, 30, 60]
    assert not opening(holed, 2.0).array[2, 2, 2]
    parts = components(holed)
    assert [part.n_voxels for part in parts] == [holed.n_voxels - 1, 1]
    assert largest_component(holed).n_voxels == holed.n_voxels - 1
    diagonal = Mask(np.eye(3, dtype=bool)[None], Geometry.from_spacing((1, 3, 3)))
    assert len(components(diagonal)) == 1
    assert len(components(diagonal, connectivity=6)) == 3


def test_closing_at_the_border_of_the_grid_takes_nothing_away() -> None:
    array = np.zeros(GRID.shape, bool)
    array[:3, :10, :20] = True
    mask = Mask(array, GRID)
    assert (closing(mask, 4.0).array & mask.array).sum() == mask.n_voxels


def test_ratios_of_subregions() -> None:
    inner, outer = ball(5.0), ball(10.0)
    rest = Mask(outer.array & ~inner.array, GRID)
    found = subregion_ratios({"core": inner, "oedema": rest})
    assert found["share_core"] + found["share_oedema"] == pytest.approx(1)
    assert found["ratio_core_oedema"] == pytest.approx(1 / 7, rel=0.05)
    assert combine([inner, rest], region="all").n_voxels == outer.n_voxels
    empty = Mask(np.zeros(GRID.shape), GRID)
    assert np.isnan(subregion_ratios({"a": inner, "b": empty})["ratio_a_b"])


def test_agreement_of_shifted_boxes() -> None:
    array = np.zeros((20, 20, 20), bool)
    array[5:15, 5:15, 5:15] = True
    grid = Geometry.from_spacing(array.shape, (3.0, 1.0, 1.0))
    first = Mask(array, grid)
    second = Mask(np.roll(array, 2, axis=0), grid)
    found = contour_agreement(first, second, tolerance_mm=1.0)
    assert found.dice == pytest.approx(0.8)
    assert found.jaccard == pytest.approx(8 / 12)
    assert found.hausdorff_mm == pytest.approx(6.0)
    assert found.volume_difference == 0
    same = contour_agreement(first, first)
    assert (same.dice, same.hausdorff_95_mm, same.surface_dice) == (1.0, 0.0, 1.0)
    empty = Mask(np.zeros(array.shape), grid)
    assert contour_agreement(first, empty).hausdorff_95_mm == np.inf
    assert np.isnan(contour_agreement(empty, empty).dice)
    with pytest.raises(GeometryError):
        dice(first, ball(3.0))


def test_agreement_of_concentric_balls() -> None:
    found = contour_agreement(ball(8.0), ball(12.0), tolerance_mm=2.0)
    # Steps of voxels reach inwards: less than the 4 mm between smooth balls, by half a voxel.
    assert 4.0 - 0.6 < found.mean_distance_mm < 4.0
    assert found.hausdorff_95_mm == pytest.approx(4.0, abs=0.9)
    assert found.surface_dice == 0.0


def test_adapted_volume_is_exact() -> None:
    start = ball(10.0)
    for share in (-0.3, -0.05, 0.0, 0.1, 0.4):
        assert adapt_volume(start, share).n_voxels == round(start.n_voxels * (1 + share))
    assert (adapt_volume(start, 0.1).array & start.array).sum() == start.n_voxels


def test_moving_a_scan_by_nothing_changes_nothing_and_turns_undo() -> None:
    image = ImageVolume(np.exp(-(radius_mm() ** 2) / 100), GRID)
    mask = ball(9.0)
    same, kept = move(image, mask)
    np.testing.assert_allclose(same.array, image.array, atol=1e-9)
    assert dice(kept, mask) == 1.0
    turned, region = move(image, mask, angle_deg=25.0, shift_voxels=(0.4, 0.3, 0.7))
    assert region.n_voxels == pytest.approx(mask.n_voxels, rel=0.03)
    assert turned.array[region.array].mean() == pytest.approx(
        image.array[mask.array].mean(), rel=0.02
    )


def test_noise_level_is_found() -> None:
    rng = np.random.default_rng(0)
    smooth = 100 * np.exp(-(radius_mm() ** 2) / 400)
    image = ImageVolume(smooth + rng.normal(0, 3.0, smooth.shape), GRID)
    assert noise_sigma(image) == pytest.approx(3.0, rel=0.03)


def test_perturbations_depend_on_seed_unit_and_copy_only() -> None:
    rng = np.random.default_rng(1)
    grid = Geometry.from_spacing((12, 24, 24), (2.0, 1.0, 1.0))
    mask = ball(7.0, grid)
    image = ImageVolume(mask.array * 50.0 + rng.normal(0, 2.0, grid.shape), grid)
    all_on = PerturbationSettings(
        rotation_deg=10, translation=1.0, noise=1.0, volume=0.15, contour=True
    )
    first = list(perturbations(image, mask, all_on, n=3, seed=5, unit="a"))
    again = list(perturbations(image, mask, all_on, n=2, seed=5, unit="a"))
    other = list(perturbations(image, mask, all_on, n=2, seed=5, unit="b"))
    for (left, region), (right, same) in zip(first, again, strict=False):
        np.testing.assert_array_equal(left.array, right.array)
        np.testing.assert_array_equal(region.array, same.array)
    assert not np.array_equal(first[0][0].array, other[0][0].array)
    assert not np.array_equal(first[0][0].array, first[1][0].array)
    for _, region in first:
        assert 0.6 < region.n_voxels / mask.n_voxels < 1.5
    none = next(iter(perturbations(image, mask, PerturbationSettings(), n=1, seed=0)))
    np.testing.assert_array_equal(none[0].array, image.array)
    np.testing.assert_array_equal(none[1].array, mask.array)


def test_random_contours_follow_the_image_and_stay_close() -> None:
    grid = Geometry.from_spacing((16, 32, 32), (2.0, 1.0, 1.0))
    truth = ball(10.0, grid)
    # Without noise supervoxels end exactly at the border, and there is nothing to redraw.
    noise = 20 * np.random.default_rng(0).normal(size=grid.shape)
    image = ImageVolume(truth.array * 100.0 + noise, grid)
    drawn = ball(10.6, grid)
    scores = [
        dice(randomise_contour(image, drawn, rng=np.random.default_rng(k)), drawn) for k in range(5)
    ]
    assert min(scores) > 0.85
    assert len(set(scores)) > 1


@pytest.mark.parametrize("kind", ["translation", "rigid", "affine"])
def test_registration_finds_a_known_move(kind: str) -> None:
    grid = Geometry.from_spacing((24, 40, 44), (2.0, 1.5, 1.5), (-30.0, -28.0, -20.0))
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    world = grid.to_world(index)

    def scene(points: np.ndarray) -> np.ndarray:
        centres = np.array([(-8.0, -6.0, -4.0), (9.0, 4.0, 6.0), (-2.0, 10.0, -8.0)])
        widths, heights = (60.0, 110.0, 40.0), (100.0, 60.0, 140.0)
        return sum(
            h * np.exp(-((points - c) ** 2).sum(axis=-1) / w)
            for c, w, h in zip(centres, widths, heights, strict=True)
        )

    angle = 0.0 if kind == "translation" else np.deg2rad(8.0)
    truth = np.eye(4)
    truth[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    if kind == "affine":
        truth[0, 0] *= 1.06
    truth[:3, 3] = (3.0, -2.0, 1.5)
    fixed = ImageVolume(scene(world), grid)
    back = (world - truth[:3, 3]) @ np.linalg.inv(truth[:3, :3]).T
    moving = ImageVolume(scene(back), grid)
    metric = "correlation" if kind == "affine" else "mutual-information"
    found = register(fixed, moving, transform=kind, metric=metric, seed=3)
    corners = np.array([(x, y, z, 1.0) for x in (-12, 12) for y in (-12, 12) for z in (-10, 10)])
    gap = np.linalg.norm(((found.matrix - truth) @ corners.T)[:3], axis=0)
    assert gap.max() < 0.75  # half a voxel
    again = register(fixed, moving, transform=kind, metric=metric, seed=3)
    np.testing.assert_array_equal(found.matrix, again.matrix)
    carried = found.apply(moving, fill=0.0).array
    assert np.abs(carried - fixed.array)[4:-4, 6:-6, 6:-6].max() < 12.0
    mask = Mask(moving.array > 30, grid)
    assert dice(found.apply(mask), Mask(fixed.array > 30, grid)) > 0.9
