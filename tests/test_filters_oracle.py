"""Filters against independent tools: PyWavelets and SimpleITK (as PyRadiomics calls them)."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import SimpleITK as sitk

from radgen.image.filters import (
    GradientMagnitude,
    PyradiomicsLoG,
    PyradiomicsWavelet,
    SeparableWavelet,
    apply_filter,
)
from radgen.image.filters._coefficients import LOW_PASS
from radgen.image.filters.wavelet import wavelet_kernels
from radgen.types import Geometry, ImageVolume


def volume(shape: tuple[int, int, int], dtype: type = np.float64) -> ImageVolume:
    noise = np.random.default_rng(7).normal(size=shape).astype(dtype)
    return ImageVolume(noise, Geometry.from_spacing(shape, (2.5, 0.8, 1.1)))


@pytest.mark.parametrize("name", ["haar", *LOW_PASS])
def test_wavelet_filters_are_those_of_pywavelets(name: str) -> None:
    low, high = wavelet_kernels(name)
    np.testing.assert_allclose(low, pywt.Wavelet(name).dec_lo, rtol=0, atol=1e-15)
    np.testing.assert_allclose(high, pywt.Wavelet(name).dec_hi, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", list(LOW_PASS))
def test_wavelet_filters_are_orthonormal(name: str) -> None:
    low = np.array(wavelet_kernels(name)[0])
    assert low.sum() == pytest.approx(np.sqrt(2), abs=1e-9)
    for shift in range(0, len(low), 2):
        inner = low[shift:] @ low[: len(low) - shift]
        # published coefficients are rounded: coiflets to about 1e-9
        assert inner == pytest.approx(1.0 if shift == 0 else 0.0, abs=1e-8)


@pytest.mark.parametrize("wavelet", ["coif1", "db3", "haar"])
@pytest.mark.parametrize("level", [1, 2])
def test_stationary_transform_equals_pywavelets(wavelet: str, level: int) -> None:
    image = volume((8, 12, 16))
    bands = pywt.swtn(image.array, wavelet, level=level, axes=(2, 1, 0))[0]
    for name, expected in bands.items():
        band = name.replace("a", "L").replace("d", "H")
        settings = SeparableWavelet(wavelet=wavelet, band=band, level=level, boundary="periodic")
        np.testing.assert_allclose(apply_filter(image, settings).array, expected, atol=1e-12)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db3", "coif1"])
def test_decimated_transform_equals_pywavelets(wavelet: str) -> None:
    image = volume((32, 32, 32))
    data = np.array(image.array)
    for level in (1, 2):
        bands = pywt.dwtn(data, wavelet, mode="periodization", axes=(2, 1, 0))
        for name, expected in bands.items():
            band = name.replace("a", "L").replace("d", "H")
            settings = SeparableWavelet(
                wavelet=wavelet, band=band, level=level, boundary="periodic", decimated=True
            )
            step = 2**level
            found = apply_filter(image, settings).array
            np.testing.assert_allclose(found[::step, ::step, ::step], expected, atol=1e-12)
            np.testing.assert_array_equal(found, np.repeat(found[::step], step, axis=0))
        data = bands["aaa"]


def pyradiomics_wavelet(array: np.ndarray, band: str, level: int) -> np.ndarray:
    """The steps of PyRadiomics: pad odd axes by wrapping, one level at a time, crop."""
    data = np.pad(array, [(0, size % 2) for size in array.shape], mode="wrap")
    for at in range(level):
        found = pywt.swtn(data, "coif1", level=1, start_level=at, axes=(2, 1, 0))[0]
        data = found["aaa"]
    out = found[band.replace("L", "a").replace("H", "d")]
    return out[tuple(slice(0, size) for size in array.shape)]


@pytest.mark.parametrize("shape", [(12, 16, 20), (11, 16, 13), (7, 9, 15)])
@pytest.mark.parametrize(("band", "level"), [("LLH", 1), ("HHH", 1), ("HLL", 1), ("LLL", 1)])
def test_pyradiomics_wavelet(shape: tuple[int, int, int], band: str, level: int) -> None:
    image = volume(shape)
    found = apply_filter(image, PyradiomicsWavelet(band=band, level=level)).array
    np.testing.assert_allclose(found, pyradiomics_wavelet(image.array, band, level), atol=1e-12)


def itk(image: ImageVolume) -> sitk.Image:
    out = sitk.GetImageFromArray(image.array)
    out.SetSpacing(image.geometry.spacing_mm[::-1])
    return out


def test_gradient_equals_simpleitk() -> None:
    image = volume((9, 11, 13))
    expected = sitk.GetArrayFromImage(sitk.GradientMagnitude(itk(image), True))
    np.testing.assert_allclose(apply_filter(image, GradientMagnitude()).array, expected, rtol=2e-6)
    per_voxel = sitk.GetArrayFromImage(sitk.GradientMagnitude(itk(image), False))
    found = apply_filter(image, GradientMagnitude(use_spacing=False)).array
    np.testing.assert_allclose(found, per_voxel, rtol=2e-6)


def test_pyradiomics_log_equals_simpleitk() -> None:
    image = volume((20, 24, 28), np.float32)
    laplacian = sitk.LaplacianRecursiveGaussianImageFilter()
    laplacian.SetNormalizeAcrossScale(True)
    laplacian.SetSigma(3.0)
    expected = sitk.GetArrayFromImage(laplacian.Execute(itk(image)))
    found = apply_filter(image, PyradiomicsLoG(sigma_mm=3.0)).array
    np.testing.assert_array_equal(found, expected)
