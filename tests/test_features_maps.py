"""Voxel-wise maps equal the features of each window measured alone."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from radgen._native import _image
from radgen.errors import InputError
from radgen.features import Discretisation, ExtractionSettings, extract, feature_maps
from radgen.features._view import directions
from radgen.features._windows import window_pairs
from radgen.features.maps import MAP_FAMILIES, chosen_maps
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
            # Levels are those of the whole region in maps: inverse differences are normed by
            # them, and histogram gradients see the empty levels above a window's highest.
            if row["feature"].startswith("Normalised inverse") or "gradient" in row["feature"]:
                continue
            found = maps[name].array[tuple(at)]
            np.testing.assert_allclose(found, row["value"], rtol=3e-6, atol=1e-6, err_msg=name)


def test_maps_that_norm_by_the_levels_of_the_region() -> None:
    image, mask = scan()
    settings = ExtractionSettings(discretisation=Discretisation(), aggregations=("IAZD",))
    asked = {"glcm": None, "intensity_histogram": None}
    maps = feature_maps(image, mask, features=asked, settings=settings)
    padded = np.pad(np.where(mask.array, image.array, 0), 1).astype(int)
    n = int(padded.max())
    steps = directions(in_plane=False)
    for z, y, x in np.argwhere(mask.array)[::9]:
        window = padded[z : z + 3, y : y + 3, x : x + 3]
        gaps = [
            abs(window[tuple(at)] - window[tuple(at + step)])
            for at in np.argwhere(window)
            for step in steps
            if (at + step >= 0).all() and (at + step < 3).all() and window[tuple(at + step)]
        ]
        slope = np.gradient(np.bincount(window[window > 0], minlength=n + 1)[1:].astype(float))
        expected = {
            "glcm|Normalised inverse difference|IAZD": np.mean([1 / (1 + g / n) for g in gaps]),
            "glcm|Normalised inverse difference moment|IAZD": np.mean(
                [1 / (1 + (g / n) ** 2) for g in gaps]
            ),
            "intensity_histogram|Maximum histogram gradient": slope.max(),
            "intensity_histogram|Maximum histogram gradient intensity": slope.argmax() + 1,
            "intensity_histogram|Minimum histogram gradient": slope.min(),
            "intensity_histogram|Minimum histogram gradient intensity": slope.argmin() + 1,
        }
        for name, value in expected.items():
            assert maps[name].array[z, y, x] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("how", [("width", 7.0), ("number", 5)])
def test_distance_zones_and_volume_curves_of_resegmented_windows(how: tuple[str, float]) -> None:
    """Distances count from the outside of the drawn mask; steps are those of the region."""
    rng = np.random.default_rng(1)
    geometry = Geometry.from_spacing((5, 6, 7))
    image = ImageVolume(rng.integers(1, 61, geometry.shape).astype(np.float32), geometry)
    mask = Mask(rng.random(geometry.shape) < 0.97, geometry)
    settings = ExtractionSettings(
        discretisation=Discretisation(),
        ivh_discretisation=Discretisation(*how),
        resegment_range=(20.0, 60.0),
    )
    asked = {"gldzm": ["Large distance emphasis"], "intensity_volume_histogram": None}
    maps = feature_maps(image, mask, features=asked, settings=settings, radius=2)
    large = maps["gldzm|Large distance emphasis|KOBO"].array
    kept = mask.array & (image.array >= 20) & (image.array <= 60)
    assert (np.isfinite(large) == kept).all()
    by_width = how[0] == "width"
    low, high = image.array[kept].min(), image.array[kept].max()
    low, width = (20.0, 7.0) if by_width else (low, (high - low) / 5)
    grid = np.arange(1.0, 7.0 if by_width else 6.0)
    for z, y, x in np.argwhere(kept)[::13]:
        window = np.zeros(mask.array.shape, bool)
        window[tuple(slice(max(0, c - 2), c + 3) for c in (z, y, x))] = True
        own = Mask(window & mask.array, geometry)
        alone = extract(image, own, settings=settings, threads=1)
        zones = alone.filter(pl.col("feature") == "Large distance emphasis")
        assert large[z, y, x] == pytest.approx(zones["value"].item(), rel=1e-6)
        level = np.floor((image.array[window & kept] - low) / width) + 1
        level = np.minimum(level, 5) if not by_width else level
        volume = np.array([np.mean(level >= step) for step in grid])
        below = grid[volume <= 0.9 + 1e-12]
        at = below[0] if below.size else grid[-1]
        at = low + (at - 0.5) * width if by_width else at
        found = maps["intensity_volume_histogram|intensity at 90% volume"].array
        assert found[z, y, x] == pytest.approx(at, rel=1e-6)


def test_maps_do_not_depend_on_threads_and_blocks(monkeypatch) -> None:
    image, mask = scan()
    settings = ExtractionSettings(discretisation=Discretisation("number", 4))
    features = {"glcm": ["Contrast", "Joint entropy"], "ngldm": None}
    one = feature_maps(image, mask, features=features, settings=settings, threads=1)
    monkeypatch.setattr("radgen.features._windows._FAST_BLOCK", 7)
    many = feature_maps(image, mask, features=features, settings=settings, threads=3)
    assert list(one) == list(many)
    for name, found in one.items():
        np.testing.assert_array_equal(found.array, many[name].array)


def second_root(window: np.ndarray, steps: np.ndarray) -> float:
    """The definition: root of the second eigenvalue of Q = D^-1 P D^-1 P', mean of directions."""
    found = []
    for step in steps:
        n = int(window.max()) + 1
        p = np.zeros((n, n))
        for at in np.argwhere(window):
            to = at + step
            if (to >= 0).all() and (to < window.shape).all() and window[tuple(to)]:
                a, b = window[tuple(at)], window[tuple(to)]
                p[a, b] += 1
                p[b, a] += 1
        p = p[p.any(axis=1)][:, p.any(axis=1)]
        if len(p) > 1:
            share = p / p.sum(axis=1, keepdims=True)
            roots = np.sort(np.linalg.eigvals(share @ share).real)
            found.append(np.sqrt(max(0.0, roots[-2])))
    return float(np.mean(found)) if found else float("nan")


@pytest.mark.parametrize("top", [2, 4, 9])
def test_maximal_correlation_map(top: int) -> None:
    geometry = Geometry.from_spacing((4, 5, 6))
    rng = np.random.default_rng(top)
    levels = rng.integers(1, top + 1, geometry.shape)
    levels[:, :, :2] = 1
    mask = Mask(rng.random(geometry.shape) < 0.9, geometry)
    image = ImageVolume(levels.astype(np.float64), geometry)
    settings = ExtractionSettings(discretisation=Discretisation(), aggregations=("ITBB",))
    name = "Maximal correlation coefficient"
    found = feature_maps(image, mask, features={"glcm": [name]}, settings=settings)
    array = found[f"glcm|{name}|ITBB"].array
    padded = np.pad(np.where(mask.array, levels, 0), 1)
    steps = directions(in_plane=False)
    for z, y, x in np.argwhere(mask.array)[::7]:
        expected = second_root(padded[z : z + 3, y : y + 3, x : x + 3], steps)
        # eigvals of a matrix that is not symmetric has half the digits
        assert array[z, y, x] == pytest.approx(expected, abs=2e-7, nan_ok=True)


@pytest.mark.parametrize(("size", "top"), [((3, 3, 3), 30), ((5, 5, 5), 60), ((1, 9, 9), 60)])
def test_maximal_correlation_kernel_is_its_definition(size, top) -> None:
    """Windows of few and of many levels: eigenvalues of the symmetric form, to nine digits."""
    levels = np.random.default_rng(4).integers(0, top + 1, size).astype(np.uint16)
    levels = np.where(levels % 3 == 0, levels % 7, levels).astype(np.uint16)
    steps = directions(in_plane=size[0] == 1)
    pairs, first = window_pairs(size, size, steps)
    centre = np.full(9, levels.size // 2, np.int64)
    for merged in (0, 1):
        out = np.empty((26, 9))
        _image.glcm_maps(levels.ravel(), centre, pairs, first, top, merged, out)
        matrices = np.zeros((len(steps), top, top))
        for d, (start, stop) in enumerate(itertools.pairwise(first)):
            for a, b in levels.ravel()[levels.size // 2 + pairs[start:stop]]:
                if a and b:
                    matrices[d, a - 1, b - 1] += 1
                    matrices[d, b - 1, a - 1] += 1
        roots = []
        for p in [matrices.sum(axis=0)] if merged else matrices:
            filled = p.any(axis=0)
            root = np.sqrt(p.sum(axis=0)[filled])
            moduli = np.abs(np.linalg.eigvalsh(p[filled][:, filled] / np.outer(root, root)))
            roots.append(np.sort(moduli)[-2])
        np.testing.assert_allclose(out[25], np.mean(roots), rtol=0, atol=1e-9)


@pytest.mark.parametrize("n_voxels", [1, 15, 16, 17, 40])
def test_pairs_are_counted_alike_by_comparing_and_in_tables(n_voxels: int) -> None:
    """Pairs that are not there, of voxels outside, make a matrix one of many pairs."""
    rng = np.random.default_rng(n_voxels)
    levels = rng.integers(0, 6, 400).astype(np.uint16)
    levels[:111] = 0
    levels[300] = 9
    voxels = rng.integers(150, 260, n_voxels).astype(np.int64)
    pairs = rng.integers(-20, 41, (90, 2)).astype(np.int32)
    absent = np.full((40, 2), -150, np.int32)
    few, many = (np.empty((26, n_voxels)) for _ in range(2))
    first = np.array([0, 50, 90], np.int32)
    _image.glcm_maps(levels, voxels, pairs, first, 9, 0, few)
    whole = np.concatenate([pairs[:50], absent, absent, pairs[50:], absent, absent])
    first = np.array([0, 130, 250], np.int32)
    _image.glcm_maps(levels, voxels, whole, first, 9, 0, many)
    np.testing.assert_allclose(few, many, rtol=1e-12, atol=1e-13)


def test_maps_lie_on_the_grid_of_the_image() -> None:
    image, mask = scan()
    settings = ExtractionSettings(
        discretisation=Discretisation("number", 4), spacing_mm=(2.0, 2.0, 2.0)
    )
    asked = {"intensity_statistics": ["Mean intensity"]}
    own = feature_maps(image, mask, features=asked, settings=settings)
    there = feature_maps(image, mask, features=asked, settings=settings, grid="resampled")
    (name,) = own
    assert own[name].geometry.same_as(image.geometry)
    coarse = there[name]
    assert coarse.geometry.spacing_mm == pytest.approx((2.0, 2.0, 2.0))
    for at in [(0, 0, 0), (2, 3, 4), (4, 5, 6)]:
        where = coarse.geometry.to_index(image.geometry.to_world(np.array(at, float)))
        near = tuple(np.floor(where + 0.5).astype(int))
        np.testing.assert_array_equal(own[name].array[at], coarse.array[near])


def test_many_maps_go_through_a_file_and_stay_the_same(monkeypatch) -> None:
    image, mask = scan()
    settings = ExtractionSettings(discretisation=Discretisation("number", 4))
    asked = {"ngtdm": None, "intensity_statistics": None}
    plain = feature_maps(image, mask, features=asked, settings=settings)
    monkeypatch.setattr("radgen.features.maps._IN_MEMORY", 0)
    spilled = feature_maps(image, mask, features=asked, settings=settings)
    for name, found in plain.items():
        np.testing.assert_array_equal(found.array, spilled[name].array)


def test_features_are_chosen_by_name_or_code() -> None:
    assert chosen_maps(["glcm: contrast, TU9B", "NGTDM", "glcm:Joint entropy"]) == {
        "glcm": ("Contrast", "Joint entropy"),
        "ngtdm": None,
    }
    with pytest.raises(InputError, match="Did you mean 'Contrast'"):
        chosen_maps(["glcm:Contrasts"])
    with pytest.raises(InputError, match="No feature to map"):
        chosen_maps([])


def test_maps_refuse_what_they_cannot_do() -> None:
    image, mask = scan()
    settings = ExtractionSettings()
    with pytest.raises(InputError, match="Did you mean 'Contrast'"):
        feature_maps(image, mask, features={"glcm": ["Contras"]}, settings=settings)
    with pytest.raises(InputError, match="mapped family 'glmc'"):
        feature_maps(image, mask, features={"glmc": None}, settings=settings)
    with pytest.raises(InputError, match="radius"):
        feature_maps(image, mask, features={"glcm": None}, settings=settings, radius=0)
