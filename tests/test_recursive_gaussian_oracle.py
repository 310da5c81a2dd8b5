"""The recursive Laplacian of Gaussian against its slow definition, and against SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest

from radgen._native import _filter
from radgen.features.pyradiomics.recursive import recursive_laplacian, recursive_weights


def slow(line: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Both parts of the filter, one value after the other, far beyond the ends."""
    n, m, d = weights.reshape(3, 4)
    far = 2000
    x = np.pad(line, far, "edge")
    forth, back = np.zeros_like(x), np.zeros_like(x)
    for i in range(4, len(x)):
        forth[i] = sum(n[k] * x[i - k] - d[k] * forth[i - 1 - k] for k in range(4))
    for i in range(len(x) - 5, -1, -1):
        back[i] = sum(m[k] * x[i + 1 + k] - d[k] * back[i + 1 + k] for k in range(4))
    return (forth + back)[far:-far]


@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize("shape", [(2, 9, 1), (1, 4, 3), (1, 23, 2)])
def test_kernel_is_its_definition(shape: tuple[int, int, int], order: int) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    weights = recursive_weights(1.7, order)
    out = np.empty((shape[0], shape[1] - 2, shape[2]))
    _filter.recursive_axis(values, out, weights, *shape, 1, shape[1] - 2)
    for outer, inner in np.ndindex(shape[0], shape[2]):
        expected = slow(values[outer, :, inner], weights)[1:-1]
        np.testing.assert_allclose(out[outer, :, inner], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sigma", [1.0, 3.5])
def test_weights_keep_moments(sigma: float) -> None:
    """A Gaussian keeps a constant; its second derivative turns x^2 / 2 into 1."""
    place = np.arange(-400.0, 401.0)
    spike = (place == 0).astype(np.float64)[None, :, None]
    for order, moments in ((0, (1.0, 0.0)), (2, (0.0, 0.0, 1.0))):
        out = np.empty_like(spike)
        _filter.recursive_axis(spike, out, recursive_weights(sigma, order), 1, 801, 1, 0, 801)
        for power, moment in enumerate(moments):
            found = float(out[0, :, 0] @ place**power) / (2.0 if power == 2 else 1.0)
            assert found == pytest.approx(moment, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("sigma", [0.7, 2.0, 5.0])
def test_laplacian_is_simpleitk(dtype: type, sigma: float) -> None:
    sitk = pytest.importorskip("SimpleITK")
    rng = np.random.default_rng(1)
    array = rng.normal(0, 300, size=(12, 25, 31)).round(0 if dtype is np.int16 else 3)
    spacing = (2.5, 0.9, 0.8)
    image = sitk.GetImageFromArray(array.astype(dtype))
    image.SetSpacing(spacing[::-1])
    laplacian = sitk.LaplacianRecursiveGaussianImageFilter()
    laplacian.SetNormalizeAcrossScale(True)
    laplacian.SetSigma(sigma)
    expected = sitk.GetArrayFromImage(laplacian.Execute(image))
    box = (slice(2, 10), slice(0, 25), slice(5, 30))
    found = recursive_laplacian(array.astype(dtype), spacing, sigma, box)
    assert found.dtype == expected.dtype
    # Both round each pass to single precision; a double a hair apart may round the other way.
    np.testing.assert_allclose(found, expected[box], rtol=0, atol=2e-7 * np.abs(expected).max())
    assert np.mean(found == expected[box]) > 0.999
