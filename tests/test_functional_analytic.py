"""Functional maps on signals whose answer is known, and against independent definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import integrate, optimize

from radgen import functional as fn
from radgen._native import _tracer
from radgen.errors import GeometryError, InputError
from radgen.functional._convolve import exponential_convolution
from radgen.types import Geometry, ImageVolume, Mask

GOLDEN = Path(__file__).parent / "golden" / "diffusion"
TIMES = np.arange(0.0, 300.0, 2.0)
PLASMA = fn.population_input("parker", TIMES, arrival_s=14.0) / 0.58
TRUTHS = {
    "tofts": {"Ktrans": 0.2, "ve": 0.3},
    "extended-tofts": {"Ktrans": 0.1, "ve": 0.2, "vp": 0.05},
    "patlak": {"PS": 0.02, "vp": 0.05},
    "uptake": {"Fp": 30.0, "PS": 0.05, "vp": 0.05},
    "exchange": {"Fp": 40.0, "PS": 0.08, "vp": 0.06, "ve": 0.2},
}


@pytest.mark.parametrize("model", list(TRUTHS))
@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_curves_without_noise_give_their_parameters_back(model: Any, delay: float) -> None:
    curve = fn.tissue_curve(model, TIMES, PLASMA, delay_s=delay, **TRUTHS[model])
    fit = fn.fit_tracer(curve[None], TIMES, PLASMA, model=model, delay_s="fit" if delay else 0.0)
    for name, value in TRUTHS[model].items():
        assert fit.parameters[name][0] == pytest.approx(value, rel=1e-7)
    assert not delay or fit.parameters["delay"][0] == pytest.approx(delay, abs=1e-6)
    assert fit.r_squared[0] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("model", ["tofts", "exchange"])
def test_tissue_curves_solve_their_differential_equations(model: Any) -> None:
    p = TRUTHS[model]

    def plasma(t: float) -> float:
        return float(np.interp(t, TIMES / 60, PLASMA))

    def slope(t: float, c: np.ndarray) -> list[float]:
        if model == "tofts":
            return [p["Ktrans"] * (plasma(t) - c[0] / p["ve"])]
        inside, outside = c
        flow = p["Fp"] / 100
        gain = flow * (plasma(t) - inside) - p["PS"] * (inside - outside)
        return [gain / p["vp"], p["PS"] * (inside - outside) / p["ve"]]

    size = 1 if model == "tofts" else 2
    found = integrate.solve_ivp(
        slope, (0, TIMES[-1] / 60), np.zeros(size), t_eval=TIMES / 60, rtol=1e-9, atol=1e-11,
        max_step=1 / 60,
    )  # fmt: skip
    want = found.y[0] if model == "tofts" else p["vp"] * found.y[0] + p["ve"] * found.y[1]
    np.testing.assert_allclose(fn.tissue_curve(model, TIMES, PLASMA, **p), want, atol=1e-6)


@pytest.mark.parametrize("times", [np.arange(40) * 0.07, np.cumsum(np.linspace(0.01, 0.3, 40))])
def test_folds_equal_the_integral_piece_by_piece(times: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    source = rng.uniform(size=40)
    rates = np.array([0.0, 1e-9, 1e-3, 0.3, 9.0, 400.0])
    got = exponential_convolution(times, source, rates)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for row, rate in enumerate(rates):
        want = np.zeros(40)
        for i in range(1, 40):
            gap = times[i] - times[i - 1]
            at = (nodes + 1) * gap / 2
            value = source[i - 1] + (source[i] - source[i - 1]) * at / gap
            fresh = (weights * value * np.exp(-rate * (gap - at))).sum() * gap / 2
            want[i] = want[i - 1] * np.exp(-rate * gap) + fresh
        np.testing.assert_allclose(got[row], want, rtol=1e-10)
    each = exponential_convolution(times, np.tile(source, (6, 1)), rates)
    np.testing.assert_array_equal(each, got)


def test_the_kernel_of_folds_refuses_shapes_that_disagree() -> None:
    good = [np.zeros(5), np.zeros(5), np.zeros(2), np.zeros((2, 5))]
    for at, bad in ((0, np.zeros(4)), (1, np.zeros(6)), (2, np.zeros(3)), (3, np.zeros((2, 4)))):
        given = [*good[:at], bad, *good[at + 1 :]]
        with pytest.raises(ValueError, match="shapes disagree"):
            _tracer.convolve(*given)
    with pytest.raises(ValueError, match="float64"):
        _tracer.convolve(np.zeros(10, np.float32), *good[1:])


def test_standard_errors_are_those_of_repeated_noise() -> None:
    rng = np.random.default_rng(2)
    curve = fn.tissue_curve("extended-tofts", TIMES, PLASMA, **TRUTHS["extended-tofts"])
    noisy = curve + rng.normal(scale=0.02, size=(400, len(curve)))
    fit = fn.fit_tracer(noisy, TIMES, PLASMA)
    for name, truth in TRUTHS["extended-tofts"].items():
        spread = fit.parameters[name].std(ddof=1)
        assert fit.standard_errors[name].mean() == pytest.approx(spread, rel=0.12)  # 400 draws
        assert abs(fit.parameters[name].mean() - truth) < 4 * spread / 20
    rate = fit.parameters["kep"]
    assert fit.standard_errors["kep"].mean() == pytest.approx(rate.std(ddof=1), rel=0.12)


def test_no_better_fit_is_found_by_a_general_optimiser() -> None:
    rng = np.random.default_rng(5)
    curve = fn.tissue_curve("exchange", TIMES, PLASMA, **TRUTHS["exchange"])
    noisy = curve + rng.normal(scale=0.05, size=(3, len(curve)))
    fit = fn.fit_tracer(noisy, TIMES, PLASMA, model="exchange")

    def loss(x: np.ndarray, data: np.ndarray) -> np.ndarray:
        names = ("Fp", "PS", "vp", "ve")
        given = dict(zip(names, np.exp(x), strict=True))
        return fn.tissue_curve("exchange", TIMES, PLASMA, **given) - data

    for row, data in enumerate(noisy):
        start = np.log([30.0, 0.1, 0.05, 0.15])
        other = optimize.least_squares(loss, start, args=(data,), xtol=1e-12, ftol=1e-12)
        mine = ((data - data.mean()) ** 2).sum() * (1 - fit.r_squared[row])
        assert mine <= 2 * other.cost * (1 + 1e-8)


def test_a_curve_with_a_gap_is_unknown_and_leaves_others_alone() -> None:
    curve = fn.tissue_curve("tofts", TIMES, PLASMA, **TRUTHS["tofts"])
    gap = curve.copy()
    gap[10] = np.nan
    fit = fn.fit_tracer(np.array([gap, curve, np.zeros_like(curve)]), TIMES, PLASMA, model="tofts")
    assert np.isnan(fit.parameters["Ktrans"][0])
    assert fit.parameters["Ktrans"][1] == pytest.approx(0.2, rel=1e-7)
    assert fit.parameters["Ktrans"][2] == 0.0


def test_delay_changes_the_standard_solution_but_not_the_circular_one() -> None:
    times = np.arange(0.0, 100.0, 1.0)
    artery = np.where(times > 10, (times - 10) ** 3 * np.exp(-(times - 10) / 1.5), 0.0)
    fine = np.arange(0.0, 100.0, 0.01)
    smooth = np.interp(fine, times, artery)
    flow, transit = 0.6 / 60, 4.0

    def tissue(shift: float) -> np.ndarray:
        residue = np.where(fine >= shift, np.exp(-(fine - shift) / transit), 0.0)
        full = np.convolve(smooth, residue)[: len(fine)] * 0.01 * flow
        return full[::100]

    got = {
        (method, shift): fn.deconvolve(
            tissue(shift)[None], times, artery, method=method, haematocrit=(0, 0), density=1.0
        )
        for method in ("osvd", "ssvd") for shift in (0.0, 4.0)
    }  # fmt: skip
    assert got["osvd", 0.0].cbv[0] == pytest.approx(
        flow * transit * 100, rel=2e-3
    )  # steps of the fold
    ratio = got["osvd", 4.0].cbf[0] / got["osvd", 0.0].cbf[0]
    assert ratio == pytest.approx(1.0, abs=0.05)
    assert got["osvd", 4.0].tmax[0] - got["osvd", 0.0].tmax[0] == pytest.approx(4.0, abs=1.0)
    assert got["ssvd", 4.0].cbf[0] < 0.95 * got["ssvd", 0.0].cbf[0]


def test_circular_deconvolution_is_the_truncated_singular_value_solution() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(30.0)
    artery = np.exp(-(((times - 6) / 2) ** 2))
    curve = np.convolve(artery, np.exp(-times / 5))[:30] + rng.normal(scale=0.01, size=30)
    n = 60
    padded = np.concatenate([artery, np.zeros(30)])
    matrix = np.array([[padded[(i - j) % n] for j in range(n)] for i in range(n)])
    left, size, right = np.linalg.svd(matrix)
    keep = size > 0.1 * size[0]
    data = np.concatenate([curve, np.zeros(30)])
    residue = right.T[:, keep] @ ((left.T @ data)[keep] / size[keep])
    got = fn.deconvolve(curve[None], times, artery, method="csvd", haematocrit=(0, 0), density=1.0)
    assert got.cbf[0] == pytest.approx(residue.max() * 6000, rel=1e-9)


def test_leakage_that_was_added_is_taken_away() -> None:
    times = np.arange(0.0, 120.0, 1.5)
    mean = np.where(times > 15, (times - 15) ** 2 * np.exp(-(times - 15) / 4), 0.0)
    running = np.concatenate([[0.0], np.cumsum(1.5 * (mean[1:] + mean[:-1]) / 2)])
    curves = np.array([2.0 * mean - 0.01 * running, 0.7 * mean + 0.004 * running])
    fit = fn.correct_leakage(curves, times, mean)
    np.testing.assert_allclose(fit.k1, [2.0, 0.7], rtol=1e-10)
    np.testing.assert_allclose(fit.k2, [0.01, -0.004], rtol=1e-9)
    np.testing.assert_allclose(fit.corrected, [2.0 * mean, 0.7 * mean], atol=1e-9)


def test_enhancement_traits_of_a_curve_by_hand() -> None:
    times = np.array([0.0, 60.0, 120.0, 180.0, 360.0])
    rising, falling = [100, 100, 180, 200, 240], [100, 100, 260, 240, 160]
    got = fn.enhancement_traits(
        [rising, falling, [0, 0, 1, 1, 1]], times, baseline=(0, 2), early_s=90.0, area_s=60.0
    )
    np.testing.assert_allclose(got["peak enhancement"][:2], [1.4, 1.6])
    np.testing.assert_allclose(got["time to peak"][:2], [300.0, 60.0])
    np.testing.assert_allclose(got["early enhancement"][:2], [0.9, 1.5])
    np.testing.assert_allclose(got["signal enhancement ratio"][:2], [0.9 / 1.4, 1.5 / 0.6])
    np.testing.assert_allclose(got["wash-in"][:2], [0.8, 1.6])
    np.testing.assert_allclose(got["wash-out"][:2], [0.0, -0.25])
    np.testing.assert_allclose(got["area under the curve"][:2], [24.0, 48.0])
    np.testing.assert_allclose(got["curve type"], [1.0, 3.0, np.nan])
    assert all(np.isnan(value[2]) for value in got.values())


def test_tensors_equal_dipy() -> None:
    table = pl.read_csv(GOLDEN / "tensor.csv")
    gradients = pl.read_csv(GOLDEN / "gradients.csv")
    signals = table.select(c for c in table.columns if c.startswith("s")).to_numpy()
    got = fn.diffusion_tensor(
        signals, gradients["b"].to_numpy(), gradients.select("x", "y", "z").to_numpy()
    )
    for name in ("FA", "MD", "AD", "RD"):
        np.testing.assert_allclose(got[name], table[name].to_numpy(), rtol=1e-8)


def test_diffusion_models_give_their_parameters_back() -> None:
    b = np.array([0.0, 10, 30, 60, 100, 200, 400, 600, 800, 1000])
    one = fn.apparent_diffusion(900 * np.exp(-b * 1.1e-3)[None], b, method="nonlinear")
    assert one["ADC"][0] == pytest.approx(1.1e-3, rel=1e-9)
    two = 500 * (0.85 * np.exp(-b * 1e-3) + 0.15 * np.exp(-b * 2e-2))
    found = fn.incoherent_motion(two[None], b)
    for name, value in {"D": 1e-3, "D*": 2e-2, "f": 0.15, "S0": 500.0}.items():
        assert found[name][0] == pytest.approx(value, rel=1e-5)
    bent = np.exp(-b * 1e-3 + b**2 * 1e-6 * 0.8 / 6)
    curved = fn.diffusion_kurtosis(bent[None], b)
    assert curved["K"][0] == pytest.approx(0.8, rel=1e-8)
    assert curved["D"][0] == pytest.approx(1e-3, rel=1e-8)


def test_signals_that_are_not_positive_are_left_out_of_their_voxel() -> None:
    b = np.array([0.0, 400.0, 800.0, 1200.0])
    signal = 700 * np.exp(-b * 1.3e-3)
    gap = signal.copy()
    gap[2] = 0.0
    got = fn.apparent_diffusion(np.array([gap, [0.0, 0, 0, 5]]), b)["ADC"]
    assert got[0] == pytest.approx(1.3e-3, rel=1e-9)
    assert np.isnan(got[1])


def test_vessel_size_by_its_formula() -> None:
    size, density = fn.vessel_size([20.0, -1.0], [4.0, 4.0], [8e-4, 8e-4], field_t=3.0)
    frequency = 2.6752218744e8 * 9e-7 * 3.0
    assert size[0] == pytest.approx(0.425 * (8e-10 / frequency) ** 0.5 * 20 / 8 * 1e6, rel=1e-12)
    assert density[0] == pytest.approx(4 / 20 ** (2 / 3))
    assert np.isnan(size[1])
    assert np.isnan(density[1])


def _volume(values: Any, spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> ImageVolume:
    array = np.asarray(values, dtype=np.float64)
    return ImageVolume(array, Geometry.from_spacing(array.shape[-3:], spacing), modality="PT")


def test_active_volume_and_glycolysis_of_a_lesion_by_hand() -> None:
    values = np.zeros((3, 3, 3))
    values[1, 1] = [10.0, 5.0, 4.0]
    image = _volume(values)
    lesion = Mask(np.ones((3, 3, 3), dtype=bool), image.geometry, "lesion")
    got = fn.active_region(image, lesion)
    assert (got.threshold, got.volume_ml) == (pytest.approx(4.1), pytest.approx(2 * 8 / 1000))
    assert got.total_uptake == pytest.approx(15 * 8 / 1000)
    assert fn.active_region(image, lesion, rule="fixed", value=4.0).mask.n_voxels == 3
    empty = fn.active_region(image, lesion, rule="fixed", value=11.0)
    assert empty.volume_ml == 0
    assert np.isnan(empty.mean_uptake)
    liver = np.zeros((3, 3, 3), dtype=bool)
    liver[1, 1, 1:] = True
    found = fn.active_region(
        image, lesion, rule="reference", value=1.5, reference=Mask(liver, image.geometry)
    )
    assert found.threshold == pytest.approx(1.5 * 4.5 + 2 * np.sqrt(0.5))


def _phantom() -> tuple[ImageVolume, Mask, Mask]:
    """Return a series with an artery and tissue of known kinetics, T1 1.2 s, blood 1.6 s."""
    blood = fn.population_input("parker", TIMES, arrival_s=14.0)
    tissue = fn.tissue_curve("extended-tofts", TIMES, blood / 0.58, **TRUTHS["extended-tofts"])
    signal = {
        name: fn.spoiled_signal(1 / t1 + 4.5 * c, flip_deg=20.0, repetition_s=0.004, s0=1000.0)
        for name, t1, c in (("artery", 1.6, blood), ("tissue", 1.2, tissue))
    }
    frames = np.zeros((len(TIMES), 2, 4, 4))
    frames[:, 0] = signal["artery"][:, None, None]
    frames[:, 1] = signal["tissue"][:, None, None]
    series = ImageVolume(
        frames, Geometry.from_spacing((2, 4, 4), (1.0, 1.0, 3.0)), modality="MR", times_s=TIMES
    )
    where = np.zeros((2, 4, 4), dtype=bool)
    where[0] = True
    return series, Mask(where, series.geometry, "artery"), Mask(~where, series.geometry, "tissue")


def test_maps_of_a_dynamic_series_give_the_kinetics_of_its_tissue() -> None:
    series, artery, tissue = _phantom()
    found = fn.dce_maps(series, tissue, arterial=artery, flip_deg=20.0, repetition_s=0.004, t1=1.2)
    for name, value in TRUTHS["extended-tofts"].items():
        inside = found[name].array[tissue.array]
        np.testing.assert_allclose(inside, value, rtol=2e-3)  # the baseline's own exactness
        assert np.isnan(found[name].array[artery.array]).all()
    assert found["Ktrans"].unit == "1/min"
    assert found["Ktrans"].geometry.same_as(series.geometry)
    assert found.n_failed == 0


@pytest.mark.parametrize("falls", [False, True])
def test_the_artery_is_found_among_veins_and_tissue(falls: bool) -> None:
    rng = np.random.default_rng(6)
    artery, vein = (fn.population_input("parker", TIMES, arrival_s=t) for t in (14.0, 22.0))
    kinds = {
        "artery": artery, "vein": 0.9 * vein,
        "tissue": fn.tissue_curve("extended-tofts", TIMES, artery, Ktrans=0.3, ve=0.4, vp=0.08),
        "quiet": fn.tissue_curve("extended-tofts", TIMES, artery, Ktrans=0.01, ve=0.2, vp=0.02),
    }  # fmt: skip
    which = np.full((4, 30, 30), 3)
    which[:, 2:4, 2:4], which[:, 10:13, 2:5], which[:, 15:25, 15:25] = 0, 1, 2
    change = np.stack(list(kinds.values()))[which] + rng.normal(scale=0.02, size=(4, 30, 30, 150))
    signal = 500 * np.exp(-0.1 * change) if falls else 100 + 20 * change
    series = ImageVolume(
        np.moveaxis(signal, -1, 0), Geometry.from_spacing((4, 30, 30)), modality="MR", times_s=TIMES
    )
    found = fn.find_artery(series, falls=falls)
    assert found.n_voxels >= 5
    assert (which[found.array] == 0).all()


def test_a_mask_on_another_grid_and_impossible_numbers_are_refused() -> None:
    series, artery, tissue = _phantom()
    common: dict[str, Any] = {"flip_deg": 20.0, "repetition_s": 0.004, "t1": 1.2}
    moved = Mask(tissue.array, Geometry.from_spacing((2, 4, 4), (1.0, 1.0, 2.0)), "moved")
    with pytest.raises(GeometryError, match="moved"):
        fn.dce_maps(series, moved, arterial=artery, **common)
    with pytest.raises(InputError, match="haematocrit"):
        fn.dce_maps(series, tissue, arterial=artery, haematocrit=1.2, **common)
    bright = series.array.copy()
    bright[20, 0] *= 50.0
    with pytest.raises(InputError, match="In 1 frame of the artery"):
        fn.dce_maps(series.with_array(bright), tissue, arterial=artery, baseline=(0, 7), **common)
    with pytest.raises(InputError, match="Did you mean 'extended-tofts'"):
        fn.dce_maps(series, tissue, arterial=artery, model="extended_tofts", **common)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="No contrast arrives"):
        fn.bolus_arrival(np.ones(20))
    with pytest.raises(InputError, match="six directions"):
        fn.diffusion_tensor(np.ones((1, 4)), [0, 700, 700, 700], np.eye(4)[:, 1:])


def test_relative_blood_volume_of_a_series_with_leakage() -> None:
    times = np.arange(0.0, 120.0, 1.5)
    bolus = np.where(times > 15, (times - 15) ** 2 * np.exp(-(times - 15) / 4), 0.0)
    running = np.concatenate([[0.0], np.cumsum(1.5 * (bolus[1:] + bolus[:-1]) / 2)])
    frames = np.empty((len(times), 1, 4, 8))
    frames[:, 0, :, :4] = (0.5 * bolus)[:, None, None]
    frames[:, 0, :2, 4:] = (2.0 * bolus - 0.004 * running)[:, None, None]
    frames[:, 0, 2:, 4:] = (1.0 * bolus)[:, None, None]
    series = ImageVolume(
        1000.0 * np.exp(-0.03 * frames), Geometry.from_spacing((1, 4, 8), (2.0, 2.0, 5.0)),
        modality="MR", times_s=times,
    )  # fmt: skip
    white = np.zeros((1, 4, 8), dtype=bool)
    white[..., :4] = True
    normal = Mask(white, series.geometry, "white")
    found = fn.dsc_maps(series, echo_s=0.03, normal=normal, intact=normal)
    volume = found["rCBV"].array[0]
    np.testing.assert_allclose(volume[:, :4], 1.0, rtol=1e-5)
    np.testing.assert_allclose(volume[:2, 4:], 4.0, rtol=1e-5)
    np.testing.assert_allclose(volume[2:, 4:], 2.0, rtol=1e-5)
    assert (found["rCBV uncorrected"].array[0, :2, 4:] < 3.9).all()
    automatic = fn.dsc_maps(series, echo_s=0.03, normal=normal)
    assert "24 voxels" in automatic.notes[0]
    np.testing.assert_allclose(automatic["rCBV"].array[0, :2, 4:], 4.0, rtol=1e-4)
