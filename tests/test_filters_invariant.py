"""Filters: the C kernel against its definition, parts against wholes, turns, refusals."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radgen._native._filter import correlate_axis, gather_axis, spline_axis

from radgen.errors import InputError
from radgen.image import apply_filters
from radgen.image.filters import (
    FILTERS,
    Exponential,
    GaborFilter,
    GradientMagnitude,
    LaplacianOfGaussian,
    LawsFilter,
    LocalBinaryPattern2D,
    LocalBinaryPattern3D,
    LocalEntropy,
    Logarithm,
    MeanFilter,
    NonSeparableWavelet,
    PyradiomicsLoG,
    PyradiomicsWavelet,
    SeparableWavelet,
    Square,
    SquareRoot,
    apply_filter,
    filter_from_mapping,
    filter_preset,
    filter_preset_names,
    image_configuration,
)
from radgen.image.filters._engine import BOUNDARIES, convolve_axis, full, rotations
from radgen.types import Geometry, ImageVolume

PAD = {"zero": "constant", "nearest": "edge", "periodic": "wrap", "mirror": "symmetric"}

EVERY = [
    MeanFilter(size=5),
    MeanFilter(size=3, dimensions=2, boundary="zero"),
    LaplacianOfGaussian(sigma_mm=1.5),
    LaplacianOfGaussian(sigma_mm=1.5, dimensions=2, boundary="periodic"),
    LaplacianOfGaussian(sigma_mm=1.5, riesz_order=(1, 0, 1)),
    LaplacianOfGaussian(sigma_mm=1.5, riesz_order=(1, 0), dimensions=2),
    LaplacianOfGaussian(sigma_mm=1.5, riesz_order=(2, 0, 0), steering_sigma_mm=2.0),
    LawsFilter(kernel="L5E5S5", rotation_invariant=True, energy_distance=2),
    LawsFilter(kernel="E3W5", dimensions=2, rotation_invariant=True, pooling="min"),
    LawsFilter(kernel="S3L3R5", rotation_invariant=True, pooling="mean", boundary="periodic"),
    LawsFilter(kernel="E5L5R5", energy_distance=3, boundary="periodic"),
    GaborFilter(sigma_mm=1.5, lambda_mm=3.0, theta_step_deg=45.0),
    GaborFilter(sigma_mm=1.2, lambda_mm=3.0, gamma=1.5, theta_step_deg=90.0, dimensions=3),
    GaborFilter(sigma_mm=1.2, lambda_mm=3.0, theta_deg=30.0, part="real", boundary="zero"),
    SeparableWavelet(wavelet="db2", band="LHL"),
    SeparableWavelet(wavelet="db3", band="LLH", level=2, rotation_invariant=True),
    SeparableWavelet(wavelet="coif1", band="HL", dimensions=2, boundary="nearest"),
    SeparableWavelet(wavelet="haar", band="HLH", level=2, decimated=True),
    SeparableWavelet(wavelet="db2", band="HHL", rotation_invariant=True, pooling="max"),
    NonSeparableWavelet(level=2),
    NonSeparableWavelet(level=1, boundary="mirror", riesz_order=(0, 1, 0)),
    NonSeparableWavelet(wavelet="shannon", level=1, dimensions=2),
    PyradiomicsLoG(sigma_mm=1.5),
    PyradiomicsWavelet(band="LHH"),
    GradientMagnitude(),
    GradientMagnitude(dimensions=2, boundary="mirror", use_spacing=False),
    Square(), SquareRoot(), Logarithm(), Exponential(),
    LocalBinaryPattern2D(), LocalBinaryPattern3D(degree=2),
    LocalEntropy(size=3, bin_number=8), LocalEntropy(size=3, bin_number=4, boundary="zero"),
]  # fmt: skip


def volume(shape: tuple[int, int, int] = (13, 14, 16)) -> ImageVolume:
    noise = np.random.default_rng(11).normal(10.0, 3.0, size=shape)
    return ImageVolume(noise, Geometry.from_spacing(shape))


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 40)),
    st.integers(1, 19),
    st.integers(0, 2),
    st.tuples(st.sampled_from(sorted(BOUNDARIES)), st.sampled_from([np.float32, np.float64])),
    st.data(),
)
def test_kernel_equals_its_definition(shape, n_taps, axis, options, draw) -> None:
    boundary, dtype = options
    rng = np.random.default_rng(draw.draw(st.integers(0, 99)))
    array = rng.normal(size=shape).astype(dtype)
    kernel = rng.normal(size=n_taps)
    size = shape[axis]
    start = draw.draw(st.integers(0, size - 1))
    stop = draw.draw(st.integers(start + 1, size))
    found = convolve_axis(array, kernel, axis, boundary, (start, stop))
    wide = np.pad(np.moveaxis(array, axis, 0).astype(float), [(20, 20), (0, 0), (0, 0)],
                  mode=PAD[boundary])  # fmt: skip
    slow = [
        sum(kernel[k] * wide[20 + at + n_taps // 2 - k] for k in range(n_taps))
        for at in range(start, stop)
    ]
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(np.moveaxis(found, axis, 0), slow, atol=tolerance)


@settings(max_examples=80, deadline=None)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 40)),
    st.integers(1, 5),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 99),
)
def test_reading_at_positions_equals_its_definition(shape, n_taps, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(size=shape).astype(dtype)
    n_out = int(rng.integers(1, 9))
    first = rng.integers(-4, shape[1] + 4, size=n_out)
    weights = rng.normal(size=(n_out, n_taps))
    out = np.empty((shape[0], n_out, shape[2]), dtype)
    gather_axis(source, out, first, weights, *shape, n_out)
    slow = sum(
        weights[:, tap, None] * source[:, np.clip(first + tap, 0, shape[1] - 1)].astype(float)
        for tap in range(n_taps)
    )
    np.testing.assert_allclose(out, slow, atol=1e-4 if dtype is np.float32 else 1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 20), st.integers(0, 99))
def test_spline_coefficients_solve_the_interpolation(size: int, inner: int, seed: int) -> None:
    source = np.random.default_rng(seed).normal(size=(2, size, inner))
    out = np.empty((2, size + 10, inner))
    spline_axis(source, out, 2, size, inner, size + 10, -5)
    wide = np.pad(source, [(0, 0), (5, 5), (0, 0)], mode="edge")
    again = (out[:, :-2] + 4 * out[:, 1:-1] + out[:, 2:]) / 6
    np.testing.assert_allclose(again, wide[:, 1:-1], atol=1e-12)


def test_kernel_refuses_bad_arguments() -> None:
    a, b, w = np.zeros(12, np.float32), np.zeros(12, np.float32), np.ones(3)
    good = (1, 4, 3, 0, 4, 1, 0)
    correlate_axis(a, b, w, *good)
    bad = [
        (a, b.astype(float), w, *good), (a, b, w.astype(np.float32), *good),
        (a, b, w[:0], *good), (a, a, w, *good), (a.astype(int), b.astype(int), w, *good),
        (a, b, w, 1, 5, 3, 0, 4, 1, 0), (a, b, w, 1, 4, 3, 1, 4, 1, 0),
        (a, b, w, 1, 4, 3, -1, 4, 1, 0), (a, b, w, 1, 4, 3, 0, 4, 3, 0),
        (a, b, w, 1, 4, 3, 0, 4, 1, 4), (a, b, w, 0, 4, 3, 0, 4, 1, 0),
        (a, b, w, 1 << 62, 4, 3, 0, 4, 1, 0), (a, b, w, 1, 4, 3, 0, 3, 1, 0),
    ]  # fmt: skip
    for arguments in bad:
        with pytest.raises(ValueError, match="must|does not"):
            correlate_axis(*arguments)
    first, taps = np.zeros(4, np.int64), np.ones((4, 2))
    gather_axis(a, b, first, taps, 1, 4, 3, 4)
    for wrong in [
        (a, b, first[:3], taps, 1, 4, 3, 4), (a, b, first.astype(float), taps, 1, 4, 3, 4),
        (a, b, first, taps[:3], 1, 4, 3, 4), (a, b, first, taps[:0], 1, 4, 3, 4),
        (a, a, first, taps, 1, 4, 3, 4), (a, b, first, taps, 2, 4, 3, 4),
        (a, b, first + 2**50, taps, 1, 4, 3, 4), (a, b, first, taps, 1, 4, 3, 0),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match="must|does not"):
            gather_axis(*wrong)
    spline_axis(a, b, 1, 4, 3, 4, -2)
    for sizes in [(1, 4, 3, 5, 0), (1, 4, 3, 4, 2**40), (0, 4, 3, 4, 0), (1, 4, -3, 4, 0)]:
        with pytest.raises(ValueError, match="must|does not"):
            spline_axis(a, b, *sizes)
    with pytest.raises((BufferError, ValueError)):
        correlate_axis(a[::2], b, w, *good)
    sealed = np.zeros(12, np.float32)
    sealed.setflags(write=False)
    with pytest.raises((BufferError, ValueError)):
        correlate_axis(a, sealed, w, *good)


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.label)
def test_a_box_of_the_response_equals_that_part_of_the_whole(one) -> None:
    image = volume()
    whole = apply_filter(image, one)
    assert whole.array.shape == image.array.shape
    for box in (
        (slice(4, 9), slice(5, 8), slice(6, 11)),
        (slice(0, 2), slice(9, 14), slice(0, 16)),
    ):
        part = apply_filter(image, one, box=box)
        np.testing.assert_allclose(part.array, whole.array[box], atol=1e-8)
        corner = part.geometry.origin_mm
        assert corner == (box[2].start, box[1].start, box[0].start)


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.label)
def test_settings_survive_a_mapping_and_label_is_one_word(one) -> None:
    assert filter_from_mapping(one.to_mapping()) == one
    assert " " not in one.label


def test_every_registered_filter_is_tried() -> None:
    assert {one.name for one in EVERY} == set(FILTERS.names())


def test_single_precision_is_kept_and_close() -> None:
    image = volume()
    single = image.with_array(image.array.astype(np.float32))
    for one in EVERY:
        if one.name.startswith("lbp") or one.name == "entropy":
            continue
        wide, narrow = apply_filter(image, one).array, apply_filter(single, one).array
        assert narrow.dtype == np.float32
        scale = np.abs(wide).max()
        np.testing.assert_allclose(narrow, wide, atol=2e-4 * scale)


@pytest.mark.parametrize(
    "one",
    [
        LawsFilter(kernel="L5E5W5", rotation_invariant=True),
        LawsFilter(kernel="E3W5R5", rotation_invariant=True, pooling="mean"),
        SeparableWavelet(wavelet="db3", band="LHH", level=2, rotation_invariant=True),
        LaplacianOfGaussian(sigma_mm=1.3),
        NonSeparableWavelet(level=1),
        LocalBinaryPattern3D(degree=1),
    ],
    ids=lambda one: one.label,
)
def test_turning_the_image_turns_the_response(one) -> None:
    shape = (13, 13, 13)
    image = volume(shape)
    straight = apply_filter(image, one).array
    for axes in ((0, 1), (1, 2), (0, 2)):
        turned = image.with_array(np.rot90(image.array, axes=axes))
        np.testing.assert_allclose(
            apply_filter(turned, one).array, np.rot90(straight, axes=axes), atol=2e-6
        )


def test_pooling_equals_turning_the_image_by_hand() -> None:
    image = volume((12, 12, 12))
    base = SeparableWavelet(wavelet="db2", band="LHH")
    turns = []
    for order, flips in rotations(3):
        array = image.array.transpose(order)
        for axis, flip in enumerate(flips):
            array = np.flip(array, axis) if flip else array
        response = apply_filter(image.with_array(array), base).array
        for axis, flip in enumerate(flips):
            response = np.flip(response, axis) if flip else response
        turns.append(response.transpose(np.argsort(order)))
    assert len(turns) == 24
    for pooling in ("mean", "max", "min"):
        expected = getattr(np, pooling)(turns, axis=0)
        found = apply_filter(image, replace(base, rotation_invariant=True, pooling=pooling))
        np.testing.assert_allclose(found.array, expected, atol=1e-10)


def test_log_is_the_laplacian_of_a_quadratic() -> None:
    z, y, x = np.meshgrid(*[np.arange(41.0) - 20] * 3, indexing="ij")
    image = ImageVolume(1.5 * x**2 + y**2 - 0.25 * z**2, Geometry.from_spacing(x.shape))
    response = apply_filter(image, LaplacianOfGaussian(sigma_mm=2.0, cutoff=6.0)).array
    # 2 (1.5 + 1 - 0.25); a sampled, cut kernel sums to zero only to about 1e-3
    assert response[20, 20, 20] == pytest.approx(4.5, abs=5e-3)


def test_log_on_anisotropic_voxels_follows_millimetres() -> None:
    def blob(spacing: tuple[float, float, float]) -> ImageVolume:
        shape = tuple(int(40 / step) | 1 for step in spacing)
        grid = np.meshgrid(
            *[(np.arange(n) - n // 2) * step for n, step in zip(shape, spacing, strict=True)],
            indexing="ij",
        )
        return ImageVolume(
            np.exp(-sum(axis**2 for axis in grid) / 50.0), Geometry.from_spacing(shape, spacing)
        )

    settings_ = LaplacianOfGaussian(sigma_mm=3.0)
    fine, flat = blob((1.0, 1.0, 1.0)), blob((2.0, 1.0, 0.5))
    centres = [
        apply_filter(image, settings_).array[tuple(n // 2 for n in image.array.shape)]
        for image in (fine, flat)
    ]
    assert centres[0] == pytest.approx(centres[1], rel=0.01)


def test_riesz_orders_add_up_to_the_response() -> None:
    image = volume((12, 12, 12))
    plain = NonSeparableWavelet(level=2)
    energy = sum(
        (apply_filter(image, replace(plain, riesz_order=order)).array ** 2).sum()
        for order in product(range(3), repeat=3)
        if sum(order) == 2
    )
    # the transform is a tight frame; the half-sample grid of even sizes makes it nearly one
    assert energy == pytest.approx((apply_filter(image, plain).array ** 2).sum(), rel=0.05)


def test_steering_finds_the_direction_of_a_wave() -> None:
    _, y, x = np.meshgrid(*[np.arange(33.0)] * 3, indexing="ij")
    for wave in (x, y, (x + y) / np.sqrt(2)):
        image = ImageVolume(np.sin(wave * 2 * np.pi / 8), Geometry.from_spacing(x.shape))
        settings_ = NonSeparableWavelet(level=2, riesz_order=(2, 0, 0), steering_sigma_mm=2.0)
        along = apply_filter(image, settings_).array[8:-8, 8:-8, 8:-8]
        across = apply_filter(image, replace(settings_, riesz_order=(0, 2, 0)))
        assert np.abs(across.array[8:-8, 8:-8, 8:-8]).max() < 0.15 * np.abs(along).max()


def test_bands_together_equal_bands_alone_and_threads_change_nothing() -> None:
    image = volume()
    bands = [SeparableWavelet(band="".join(b)) for b in product("LH", repeat=3)]
    wanted = [*bands, LaplacianOfGaussian(sigma_mm=1.0), MeanFilter(), bands[3]]
    together = apply_filters(image, wanted)
    threaded = apply_filters(image, wanted, n_threads=3)
    for one, first, second in zip(wanted, together, threaded, strict=True):
        np.testing.assert_array_equal(first.array, second.array)
        np.testing.assert_allclose(first.array, apply_filter(image, one).array, atol=1e-12)


def test_local_entropy_equals_its_definition() -> None:
    image = volume((5, 6, 7))
    found = apply_filter(image, LocalEntropy(size=3, bin_number=4, boundary="mirror")).array
    low, high = image.array.min(), image.array.max()
    levels = np.minimum(np.floor(4 * (image.array - low) / (high - low)), 3)
    wide = np.pad(levels, 1, mode="symmetric")
    for at in np.ndindex(levels.shape):
        window = wide[tuple(slice(i, i + 3) for i in at)]
        share = np.unique(window, return_counts=True)[1] / 27
        assert found[at] == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-9)


def test_binary_patterns_hand_values() -> None:
    ramp = np.tile(np.arange(7.0), (1, 7, 1))
    image = ImageVolume(ramp, Geometry.from_spacing(ramp.shape))
    inner = apply_filter(image, LocalBinaryPattern2D()).array[0, 2:-2, 2:-2]
    assert (inner == 5).all()  # right half and the column itself: 5 of 8, one arc
    flat = image.with_array(np.full(ramp.shape, 0.1))
    assert (apply_filter(flat, LocalBinaryPattern2D()).array == 8).all()
    assert (apply_filter(flat, LocalBinaryPattern2D(method="plain")).array == 255).all()
    cube = ImageVolume(np.full((5, 5, 5), 0.1), Geometry.from_spacing((5, 5, 5)))
    constant = apply_filter(cube, LocalBinaryPattern3D(degree=0)).array
    np.testing.assert_allclose(constant, np.sqrt(4 * np.pi))
    assert apply_filter(cube, LocalBinaryPattern3D(degree=1)).array.max() < 1e-3


def test_pointwise_hand_values() -> None:
    image = ImageVolume(np.array([[[-4.0, 0.0, 1.0, 4.0]]]), Geometry.from_spacing((1, 1, 4)))

    def values(one) -> list[float]:
        return apply_filter(image, one).array.ravel().round(6).tolist()

    assert values(Square()) == [4.0, 0.0, 0.25, 4.0]
    assert values(SquareRoot()) == [-4.0, 0.0, 2.0, 4.0]
    assert values(Logarithm()) == [-4.0, 0.0, round(4 * np.log(2) / np.log(5), 6), 4.0]
    assert values(Exponential()) == [0.25, 1.0, round(4**0.25, 6), 4.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "needs the key 'filter'"),
        ({"filter": "lawss"}, "Did you mean 'laws'"),
        ({"filter": "mean", "sise": 3}, "Did you mean 'size'"),
        ({"filter": "mean", "size": 4}, "odd size"),
        ({"filter": "mean", "boundary": "wrap"}, "Unknown mean: boundary"),
        ({"filter": "log", "sigma_mm": -1}, "positive"),
        ({"filter": "log", "sigma_mm": "2"}, "needed is float"),
        ({"filter": "log", "sigma_mm": True}, "needed is float"),
        ({"filter": "mean", "dimensions": 4}, "dimensions is 4"),
        ({"filter": "mean", "size": 3.0}, "needed is int"),
        ({"filter": "laws", "rotation_invariant": "yes"}, "needed is bool"),
        ({"filter": "gabor", "part": "modulous"}, "Did you mean 'modulus'"),
        ({"filter": "log", "sigma_mm": 1.0, "riesz_order": [1, 0]}, "3 whole numbers"),
        ({"filter": "log", "steering_sigma_mm": 1.0}, "give riesz_order"),
        ({"filter": "laws", "kernel": "L5E5"}, "needs 3"),
        ({"filter": "laws", "kernel": "L5E5X5"}, "Unknown Laws kernel"),
        ({"filter": "wavelet", "band": "LH"}, "3 letters"),
        ({"filter": "wavelet", "wavelet": "dbb3"}, "Did you mean"),
        ({"filter": "wavelet", "level": 0}, "from 1 to 10"),
        ({"filter": "gabor", "gamma": 0}, "positive"),
        ({"filter": "entropy", "bin_width": 5.0}, "exactly one"),
    ],
)
def test_bad_settings_are_explained(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        filter_from_mapping(values)


def test_unknown_presets_name_the_nearest_and_nan_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'ibsi2-p1-"):
        filter_preset("ibsi2-p1-1.a")
    with pytest.raises(InputError, match="ibsi2-3.B"):
        image_configuration("ibsi2-3.b")
    image = volume()
    array = np.array(image.array)
    array[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        apply_filter(image.with_array(array), MeanFilter())
    with pytest.raises(InputError, match="beyond the image"):
        apply_filter(image, MeanFilter(), box=(slice(0, 99), slice(0, 1), slice(0, 1)))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 2), (3, 1, 7), (2, 2, 2), (1, 3, 3)])
@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.label)
def test_tiny_and_flat_images_give_finite_responses(one, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(2)
    for array in (rng.normal(size=shape), np.zeros(shape), np.full(shape, np.float32(1e30))):
        image = ImageVolume(array.astype(np.float32), Geometry.from_spacing(shape))
        if one.name == "pyradiomics-log":
            with pytest.raises(InputError, match="at least 4 voxels"):
                apply_filter(image, one)
            continue
        response = apply_filter(image, one).array
        assert response.shape == shape
        assert np.isfinite(response).all()


def test_preset_names_are_unique_settings() -> None:
    seen = {filter_preset(name).digest() for name in filter_preset_names()}
    assert len(seen) == len(filter_preset_names())
    assert full((3, 4, 5)) == ((0, 3), (0, 4), (0, 5))
