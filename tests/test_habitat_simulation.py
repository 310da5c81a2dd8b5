"""Habitats: a known mixture is found; order of voxels and scale of sequences do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from radgen.errors import GeometryError, InputError
from radgen.image import HabitatMap, HabitatModel, heterogeneity
from radgen.types import Geometry, ImageVolume, Mask

GRID = Geometry.from_spacing((8, 20, 20), (2.0, 1.0, 1.0))
MEANS = np.array([(0.0, 5.0), (4.0, 0.0), (8.0, 6.0)])


def patient(seed: int) -> tuple[list[ImageVolume], Mask, np.ndarray]:
    """Two sequences of a tumour in three layers of tissue, whose order along x is drawn."""
    rng = np.random.default_rng(seed)
    truth = np.broadcast_to(np.arange(20) * 3 // 20, GRID.shape)
    truth = rng.permutation(3)[truth]
    values = MEANS[truth] + rng.normal(0, 0.7, (*GRID.shape, 2))
    mask = np.zeros(GRID.shape, bool)
    mask[1:7, 2:18, 1:19] = True
    images = [ImageVolume(values[..., k], GRID) for k in range(2)]
    return images, Mask(mask, GRID, "tumour"), truth


@parametrize_with_checks([HabitatModel(2, random_state=0), HabitatModel(2, method="kmeans")])
def test_it_is_an_estimator(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("method", ["gmm", "kmeans"])
def test_a_known_mixture_is_found(method: str) -> None:
    cohort = [patient(seed) for seed in range(4)]
    model = HabitatModel(3, method=method, random_state=1, max_voxels=400)
    model.fit_images([images for images, _, _ in cohort], [mask for _, mask, _ in cohort])
    np.testing.assert_allclose(model.centres_, MEANS, atol=0.2)
    images, mask, truth = patient(99)
    found = model.label(images, mask)
    agree = found.labels[mask.array] == truth[mask.array] + 1
    assert agree.mean() > 0.99
    assert (found.labels[~mask.array] == 0).all()
    again = HabitatModel(3, method=method, random_state=1, max_voxels=400)
    again.fit_images([images for images, _, _ in cohort], [mask for _, mask, _ in cohort])
    np.testing.assert_array_equal(again.label(images, mask).labels, found.labels)


def test_scale_of_a_sequence_does_not_matter() -> None:
    images, mask, _ = patient(5)
    scaled = [images[0], images[1].with_array(images[1].array * 1000 - 7)]
    first = HabitatModel(3, random_state=0).fit_images([images], [mask]).label(images, mask)
    second = HabitatModel(3, random_state=0).fit_images([scaled], [mask]).label(scaled, mask)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_missing_voxels_and_other_grids() -> None:
    images, mask, _ = patient(6)
    array = np.array(images[0].array)
    array[3, 5, 5] = np.nan
    holed = [images[0].with_array(array), images[1]]
    model = HabitatModel(3, random_state=0).fit_images([holed], [mask])
    assert model.label(holed, mask).labels[3, 5, 5] == 0
    small = Mask(np.ones((2, 2, 2)), Geometry.from_spacing((2, 2, 2)))
    with pytest.raises(GeometryError):
        model.label(images, small)
    with pytest.raises(InputError, match="at least one patient"):
        HabitatModel().fit_images([], [])
    with pytest.raises(InputError, match="no voxel"):
        HabitatModel().fit_images([images], [Mask(np.zeros(GRID.shape), GRID)])


def test_indices_of_known_patterns() -> None:
    def indices(labels: np.ndarray, count: int = 2) -> dict[str, float]:
        labels = labels.astype(np.uint8)
        return heterogeneity(HabitatMap(labels, Geometry.from_spacing(labels.shape), count))

    index = np.indices((6, 6, 6)).sum(axis=0)
    board = indices(index % 2 + 1)
    assert board["mixing"] == pytest.approx(1 / (0.5 * 216 / 215))
    assert (board["share_1"], board["simpson"], board["entropy"]) == (0.5, 0.5, 1.0)
    assert board["parts_1"] == 1  # corners touch
    halves = indices(np.where(np.arange(6) < 3, 1, 2) * np.ones((6, 6, 1)))
    assert halves["mixing"] < 0.15
    shuffled = np.random.default_rng(0).integers(1, 3, (20, 20, 20))
    assert indices(shuffled)["mixing"] == pytest.approx(1.0, abs=0.03)
    single = indices(np.ones((3, 3, 3)))
    assert single["entropy"] == 0
    assert np.isnan(single["mixing"])
    empty = indices(np.zeros((3, 3, 3)))
    assert np.isnan(empty["share_1"])
    assert empty["parts_1"] == 0
