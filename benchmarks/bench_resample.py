"""Time of resampling as ratios to SciPy and SimpleITK, on the same values.

A CT-like scan (60 x 256 x 256 voxels of 3 x 0.977 x 0.977 mm) is put on 2 mm voxels by linear and
by cubic spline interpolation, as IBSI configurations C and E ask, and once only the part
around a region. Run: ``python benchmarks/bench_resample.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from radgen.image import crop_geometry, resample, resample_to
from radgen.types import Geometry, ImageVolume

SPACING = (3.0, 0.977, 0.977)
ORDER = {"linear": 1, "cubic": 3}
ITK = {"linear": sitk.sitkLinear, "cubic": sitk.sitkBSpline}


def scan() -> ImageVolume:
    """A smooth random scan."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(60, 256, 256)), 1.5).astype(np.float32)
    return ImageVolume(1000 * noise, Geometry.from_spacing(noise.shape, SPACING))


def best(call: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Return the shortest of some runs in seconds, and the value."""
    times, value = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        value = call()
        times.append(time.perf_counter() - start)
    return min(times), value


def by_scipy(image: ImageVolume, target: Geometry, method: str) -> np.ndarray:
    """Sample point by point with ``map_coordinates``."""
    index = np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij"), axis=-1)
    at = image.geometry.to_index(target.to_world(index))
    return ndimage.map_coordinates(
        image.array, np.moveaxis(at, -1, 0), order=ORDER[method], mode="nearest"
    )


def by_itk(image: ImageVolume, target: Geometry, method: str) -> np.ndarray:
    """Resample with SimpleITK, as PyRadiomics does."""
    source = sitk.GetImageFromArray(image.array)
    source.SetSpacing(SPACING[::-1])
    size = target.shape[::-1]
    out = sitk.Resample(
        source, size, sitk.Transform(), ITK[method], target.origin_mm, target.spacing_mm[::-1]
    )
    return sitk.GetArrayFromImage(out)


def main() -> None:
    """Print the table."""
    image = scan()
    print(f"{'what':30s}{'radgen':>11s}{'SciPy':>11s}{'ratio':>8s}{'SimpleITK':>12s}{'ratio':>8s}")
    for method in ORDER:
        ours, found = best(lambda how=method: resample(image, 2.0, method=how))
        target = found.geometry
        scipy_s, slow = best(lambda how=method, at=target: by_scipy(image, at, how), 1)
        np.testing.assert_allclose(found.array, slow, atol=2e-2)
        itk_s, other = best(lambda how=method, at=target: by_itk(image, at, how))
        inner = (slice(12, -12),) * 3
        np.testing.assert_allclose(found.array[inner], other[inner], atol=5e-2)
        report(f"whole scan, {method}", ours, scipy_s, itk_s)
        box = (slice(30, 60), slice(40, 90), slice(40, 90))
        part = crop_geometry(target, box)
        ours, cut = best(lambda how=method, at=part: resample_to(image, at, method=how))
        np.testing.assert_allclose(cut.array, found.array[box], atol=1e-3)
        scipy_s, _ = best(lambda how=method, at=part: by_scipy(image, at, how), 1)
        itk_s, _ = best(lambda how=method, at=part: by_itk(image, at, how))
        report(f"30 x 50 x 50 of it, {method}", ours, scipy_s, itk_s)


def report(what: str, ours: float, scipy_s: float, itk_s: float) -> None:
    """Print one row; ratio = peer / radgen."""
    print(
        f"{what:30s}{ours * 1e3:9.1f}ms{scipy_s * 1e3:9.1f}ms{scipy_s / ours:8.1f}"
        f"{itk_s * 1e3:10.1f}ms{itk_s / ours:8.1f}"
    )


if __name__ == "__main__":
    main()
