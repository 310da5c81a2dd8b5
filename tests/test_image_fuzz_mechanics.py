"""Odd shapes, oblique grids, missing voxels, empty and full masks: an answer or a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from radgen.errors import RadgenError
from radgen.image import (
    PerturbationSettings,
    adapt_volume,
    closing,
    contour_agreement,
    correct_bias_field,
    depth_mm,
    discretise,
    grow,
    largest_component,
    move,
    normalise,
    opening,
    perturbations,
    randomise_contour,
    resample,
    resample_mask,
    resample_to,
    resegment,
    ring,
    shells,
    shrink,
    to_canonical,
)
from radgen.types import Geometry, ImageVolume, Mask

METHODS = ["nearest", "linear", "cubic", "cubic-convolution"]
ALL_ON = PerturbationSettings(rotation_deg=5, translation=1, noise=1, volume=0.2, contour=True)


def grid(rng: np.random.Generator, shape: tuple[int, ...]) -> Geometry:
    affine = np.eye(4)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    affine[:3, :3] = turn * rng.uniform(0.3, 5, 3)
    affine[:3, 3] = rng.normal(size=3) * 20
    return Geometry(affine, (shape[0], shape[1], shape[2]))


def calls(rng: np.random.Generator) -> list[Callable[[], Any]]:
    shape = tuple(int(size) for size in rng.integers(1, 9, 3))
    geometry = grid(rng, shape)
    masks = [np.zeros(shape, bool), np.ones(shape, bool), rng.random(shape) < rng.random()]
    mask = Mask(masks[int(rng.integers(3))], geometry)
    other = Mask(rng.random(shape) < 0.4, geometry)
    values = rng.normal(size=shape).astype(rng.choice([np.float32, np.float64]))
    if rng.random() < 0.3:
        values[rng.random(shape) < 0.3] = np.nan
    image = ImageVolume(values, geometry)
    method, spacing = str(rng.choice(METHODS)), tuple(rng.uniform(0.3, 6, 3))
    scale = str(rng.choice(["zscore", "robust", "percentile", "white-stripe", "reference"]))
    distance = float(rng.uniform(0, 9))
    return [
        lambda: grow(mask, distance),
        lambda: shrink(mask, distance),
        lambda: ring(mask, distance, inner_mm=float(rng.uniform(-5, 5))),
        lambda: shells(mask, n=int(rng.integers(1, 6))),
        lambda: opening(mask, 2.0),
        lambda: closing(mask, 2.0),
        lambda: depth_mm(mask),
        lambda: largest_component(mask),
        lambda: adapt_volume(mask, float(rng.uniform(-0.9, 2))),
        lambda: contour_agreement(mask, other),
        lambda: resample(image, spacing, method=method, align="corner"),  # type: ignore[arg-type]
        lambda: resample_mask(mask, spacing, method=method),  # type: ignore[arg-type]
        lambda: resample_to(image, grid(rng, (3, 4, 5)), method=method),  # type: ignore[arg-type]
        lambda: to_canonical(image),
        lambda: normalise(image, mask, method=scale),  # type: ignore[arg-type]
        lambda: resegment(image, mask, range=(-1, 1), outlier_sigma=2),
        lambda: discretise(image.array, bin_number=8),
        lambda: move(image, mask, angle_deg=10),
        lambda: randomise_contour(image, mask, rng=rng),
        lambda: list(perturbations(image, mask, ALL_ON, n=1, seed=1)),
    ]


@pytest.mark.parametrize("seed", range(40))
def test_an_answer_or_a_reason(seed: int) -> None:
    # warnings are errors here, so a silent division by zero fails too
    reasons = []
    for call in calls(np.random.default_rng(seed)):
        try:
            call()
        except RadgenError as error:
            reasons.append(str(error))
    assert all(len(reason) > 20 for reason in reasons)


def test_bias_correction_of_small_or_empty_regions_is_explained() -> None:
    image = ImageVolume(np.ones((5, 5, 5)), Geometry.from_spacing((5, 5, 5)))
    with pytest.raises(RadgenError, match="empty"):
        correct_bias_field(image, Mask(np.zeros((5, 5, 5)), image.geometry))
    with pytest.raises(RadgenError, match="finite"):
        correct_bias_field(image.with_array(np.full((5, 5, 5), np.nan)))
