"""Time and memory of image filters as ratios to what PyRadiomics calls, on the same values.

PyRadiomics computes its wavelet images with PyWavelets (``swtn``) and its LoG images with
SimpleITK (``LaplacianRecursiveGaussian``). Both are timed here on the same scan and region, in
this process, with the values compared first. Run: ``python benchmarks/bench_filters.py``.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pywt
import SimpleITK as sitk
from scipy import ndimage

from radgen.image import apply_filters, bounding_box
from radgen.image.filters import LaplacianOfGaussian, SeparableWavelet
from radgen.types import Geometry, ImageVolume, Mask

SIGMAS = (1.0, 2.0, 3.0, 4.0, 5.0)
BANDS = ["".join(letters) for letters in product("LH", repeat=3)]


def synth(size: int, radius: float) -> tuple[ImageVolume, Mask]:
    """A smooth random scan with a ball of the given radius (36.3: about 200,000 voxels)."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(size,) * 3), 1.0).astype(np.float32)
    grid = Geometry.from_spacing(noise.shape)
    index = np.indices(noise.shape) - (size - 1) / 2
    return ImageVolume(1000 * noise, grid), Mask((index**2).sum(axis=0) <= radius**2, grid)


def best(call: Callable[[], Any], repeats: int = 5) -> tuple[float, Any]:
    """Return the shortest of some runs in seconds, and the value."""
    times, value = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        value = call()
        times.append(time.perf_counter() - start)
    return min(times), value


def peak_mb(call: Callable[[], Any]) -> float:
    """Return the largest memory that Python and NumPy held during a call, in MB."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    """Print the table."""
    print(f"{'what':34s}{'voxels':>10s}{'radgen':>11s}{'peer':>11s}{'ratio':>8s}{'peak MB':>9s}")
    for size, radius in ((48, 13.0), (128, 36.3), (200, 79.4)):
        compare(*synth(size, radius))


def compare(image: ImageVolume, mask: Mask) -> None:
    """Time both sides on one scan, after comparing what they computed."""
    box = bounding_box(mask)
    wavelets = [SeparableWavelet(band=band, boundary="periodic") for band in BANDS]
    logs = [LaplacianOfGaussian(sigma_mm=sigma) for sigma in SIGMAS]

    ours, found = best(lambda: apply_filters(image, wavelets, box=box, n_threads=2))
    theirs, bands = best(lambda: pywt.swtn(image.array, "coif1", 1, axes=(2, 1, 0))[0], 2)
    for band, response in zip(BANDS, found, strict=True):
        expected = bands[band.replace("L", "a").replace("H", "d")][box]
        np.testing.assert_allclose(response.array, expected, atol=2e-3)
    memory = peak_mb(lambda: apply_filters(image, wavelets, box=box))
    report("8 coif1 bands / PyWavelets", mask, ours, theirs, memory)

    ours, found = best(lambda: apply_filters(image, logs, box=box, n_threads=2))
    theirs, expected = best(lambda: [recursive_log(image, sigma) for sigma in SIGMAS], 2)
    for response, sigma, other in zip(found, SIGMAS, expected, strict=True):
        scaled, inner = response.array * sigma**2, other[box]
        # the recursive filter is an approximation: close, not equal
        assert np.corrcoef(scaled.ravel(), inner.ravel())[0, 1] > 0.99
    memory = peak_mb(lambda: apply_filters(image, logs, box=box))
    report("5 LoG, sigma 1-5 mm / SimpleITK", mask, ours, theirs, memory)

    theirs, dense = best(lambda: [scipy_log(image, sigma) for sigma in SIGMAS], 1)
    for response, other in zip(found, dense, strict=True):
        np.testing.assert_allclose(response.array, other[box], atol=2e-3)
    report("5 LoG, sigma 1-5 mm / SciPy", mask, ours, theirs, memory)


def recursive_log(image: ImageVolume, sigma: float) -> np.ndarray:
    """The LoG image of PyRadiomics."""
    laplacian = sitk.LaplacianRecursiveGaussianImageFilter()
    laplacian.SetNormalizeAcrossScale(True)
    laplacian.SetSigma(sigma)
    return sitk.GetArrayFromImage(laplacian.Execute(sitk.GetImageFromArray(image.array)))


def scipy_log(image: ImageVolume, sigma: float) -> np.ndarray:
    """The same sum of separable kernels by ``scipy.ndimage``, over the whole scan."""
    radius = int(np.floor(4 * sigma + 0.5))
    x = np.arange(-radius, radius + 1) / sigma
    gauss = np.exp(-0.5 * x**2) / (np.sqrt(2 * np.pi) * sigma)
    second = gauss * (x**2 - 1) / sigma**2
    total = np.zeros(image.array.shape)
    for which in range(3):
        part = image.array.astype(np.float64)
        for axis in range(3):
            kernel = second if axis == which else gauss
            part = ndimage.correlate1d(part, kernel, axis=axis, mode="reflect")
        total += part
    return total


def report(what: str, mask: Mask, ours: float, theirs: float, memory: float) -> None:
    """Print one row; ratio = peer / radgen."""
    print(
        f"{what:34s}{mask.n_voxels:10,d}{ours * 1e3:9.1f}ms{theirs * 1e3:9.1f}ms"
        f"{theirs / ours:8.1f}{memory:9.1f}"
    )


if __name__ == "__main__":
    main()
