"""Image processing in PyRadiomics' order and conventions, by SimpleITK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from radgen.errors import GeometryError, InputError, shown
from radgen.features.pyradiomics.patterns import patterns_2d, patterns_3d
from radgen.features.pyradiomics.recursive import recursive_laplacian
from radgen.image.grid import bounding_box

__all__ = ["Crop", "crop_to", "label_mask", "prepare", "resegment_mask", "responses", "roi_box"]

Array = NDArray[Any]
Box = tuple[slice, slice, slice]


class Crop:
    """Values and mask within the bounding box, with the voxel size (z, y, x)."""

    def __init__(self, values: Array, mask: Array, spacing_mm: tuple[float, ...]) -> None:
        self.values = values
        self.mask = mask
        self.spacing_mm = spacing_mm


def label_mask(mask: sitk.Image, settings: Mapping[str, Any]) -> sitk.Image:
    """Return the mask (of the channel wanted); raise where the label does not occur in it."""
    if mask.GetNumberOfComponentsPerPixel() > 1:
        channel = int(settings.get("label_channel", 0))
        if not 0 <= channel < mask.GetNumberOfComponentsPerPixel():
            raise InputError(f"The mask has no channel {channel}.")
        mask = sitk.VectorIndexSelectionCast(mask, channel)
    label = int(settings.get("label", 1))
    values = sitk.GetArrayViewFromImage(mask)
    if not (values == label).any():
        found = np.unique(values)
        raise InputError(
            f"Label {label} does not occur in the mask. It holds: {shown(found[found > 0])}."
        )
    return mask


def prepare(
    image: sitk.Image, mask: sitk.Image, settings: Mapping[str, Any]
) -> tuple[sitk.Image, sitk.Image]:
    """Return image and mask after normalisation and resampling (or the crop before filters)."""
    if image.GetDimension() == 2:
        image, mask = sitk.JoinSeries(image), sitk.JoinSeries(mask)
    if settings.get("normalize", False):
        image = _normalised(image, settings)
    if settings.get("resampledPixelSpacing") is not None and settings.get("interpolator"):
        return _resampled(image, mask, settings)
    _same_grid(image, mask, settings)
    if _corrects(image, mask):
        mask = sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    if settings.get("preCrop", False):
        box = roi_box(_inside(mask, settings), settings)
        pad = int(settings.get("padDistance", 5))
        size = image.GetSize()[::-1]
        low = [max(0, part.start - pad) for part in box]
        high = [min(n, part.stop + pad) for part, n in zip(box, size, strict=True)]
        index = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
        image, mask = image[index], mask[index]
    return image, mask


def _corrects(image: sitk.Image, mask: sitk.Image) -> bool:
    return image.GetSize() != mask.GetSize() or not _near(image, mask, 1e-12)


def _near(image: sitk.Image, mask: sitk.Image, tolerance: float) -> bool:
    slack = tolerance * max(image.GetSpacing())
    return (
        image.GetSize() == mask.GetSize()
        and np.allclose(image.GetOrigin(), mask.GetOrigin(), rtol=0, atol=slack)
        and np.allclose(image.GetSpacing(), mask.GetSpacing(), rtol=0, atol=slack)
        and np.allclose(image.GetDirection(), mask.GetDirection(), rtol=0, atol=tolerance)
    )


def _same_grid(image: sitk.Image, mask: sitk.Image, settings: Mapping[str, Any]) -> None:
    if settings.get("correctMask", False):
        return
    tolerance = settings.get("geometryTolerance") or 1e-6
    if not _near(image, mask, tolerance):
        raise GeometryError(
            "Mask and image lie on different grids: image size "
            f"{image.GetSize()}, origin {image.GetOrigin()}, spacing {image.GetSpacing()}; mask "
            f"size {mask.GetSize()}, origin {mask.GetOrigin()}, spacing {mask.GetSpacing()}. "
            "Set correctMask to resample the mask, or geometryTolerance where they are one grid.",
            left=image.GetSize(),
            right=mask.GetSize(),
        )


def _normalised(image: sitk.Image, settings: Mapping[str, Any]) -> sitk.Image:
    done = sitk.Normalize(image)
    limit = settings.get("removeOutliers")
    if limit is not None:
        array = np.clip(sitk.GetArrayFromImage(done), -limit, limit)
        clipped = sitk.GetImageFromArray(array)
        clipped.CopyInformation(done)
        done = clipped
    return done * settings.get("normalizeScale", 1)


def _inside(mask: sitk.Image, settings: Mapping[str, Any]) -> Array:
    return np.asarray(sitk.GetArrayViewFromImage(mask) == int(settings.get("label", 1)))


def roi_box(inside: Array, settings: Mapping[str, Any]) -> Box:
    """Return the bounding box of a region that meets the settings' least size.

    Raises
    ------
    InputError
        If it has too few voxels or too few dimensions.
    """
    n_voxels = int(np.count_nonzero(inside))
    if not n_voxels:
        raise InputError("The region is empty.")
    box = bounding_box(inside)
    long = sum(part.stop - part.start > 1 for part in box)
    if long == 0:
        raise InputError("The region is a single voxel; PyRadiomics measures no such region.")
    least = settings.get("minimumROIDimensions", 2)
    if long < least:
        raise InputError(f"The region has {long} dimensions; minimumROIDimensions is {least}.")
    size = settings.get("minimumROISize")
    if size is not None and n_voxels <= size:
        raise InputError(f"The region has {n_voxels} voxels; minimumROISize is {size}.")
    return box


def _resampled(
    image: sitk.Image, mask: sitk.Image, settings: Mapping[str, Any]
) -> tuple[sitk.Image, sitk.Image]:
    """Resample onto a grid that starts at the mask's corner and covers region and padding."""
    old = np.array(mask.GetSpacing())
    new = np.array(settings["resampledPixelSpacing"], dtype=np.float64)
    if new.shape != old.shape:
        raise InputError(f"resampledPixelSpacing has {new.size} sizes; needed are {old.size}.")
    size = np.array(mask.GetSize())
    # 0 keeps a spacing, and a mask of one slice is not resampled across it.
    new = np.where((new == 0) | (size == 1), old, new)
    box = roi_box(_inside(mask, settings), {**settings, "minimumROIDimensions": 0})
    start = np.array([part.start for part in box])[::-1]
    stop = np.array([part.stop for part in box])[::-1]
    ratio, pad = old / new, settings.get("padDistance", 5)
    low = np.maximum(np.floor((start - 0.5) * ratio - pad), 0)
    high = np.minimum(np.ceil((stop - 0.5) * ratio + pad), np.ceil(size * ratio) - 1)
    origin = mask.TransformContinuousIndexToPhysicalPoint(
        (0.5 * (new - old) / old + low / ratio).tolist()
    )
    resampler = sitk.ResampleImageFilter()
    resampler.SetOutputSpacing(new.tolist())
    resampler.SetOutputDirection(mask.GetDirection())
    resampler.SetSize((high - low + 1).astype(int).tolist())
    resampler.SetOutputOrigin(origin)
    resampler.SetOutputPixelType(image.GetPixelID())
    resampler.SetInterpolator(_interpolator(settings["interpolator"]))
    done = resampler.Execute(image)
    resampler.SetOutputPixelType(mask.GetPixelID())
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    return done, resampler.Execute(mask)


def _interpolator(name: Any) -> Any:
    if isinstance(name, str):
        if not name.startswith("sitk") or not hasattr(sitk, name):
            raise InputError(f"Unknown interpolator {name!r}: a SimpleITK name, sitkBSpline say.")
        return getattr(sitk, name)
    return name


def resegment_mask(values: Array, inside: Array, settings: Mapping[str, Any]) -> Array:
    """Return the region within the settings' range (lower end, or lower and upper)."""
    span = settings.get("resegmentRange")
    if span is None:
        return inside
    if not 1 <= len(span) <= 2:
        raise InputError(f"resegmentRange has one or two ends, not {span}.")
    ends = sorted(span)
    mode = settings.get("resegmentMode", "absolute")
    found = values[inside]
    if mode == "relative":
        ends = [found.max() * end for end in ends]
    elif mode == "sigma":
        ends = [found.mean() + found.std() * end for end in ends]
    keep = inside & (values >= ends[0])
    if len(ends) == 2:
        keep &= values <= ends[1]
    if np.count_nonzero(keep) <= 1:
        raise InputError("Resegmentation leaves fewer than two voxels of the region.")
    return keep


def responses(
    image: sitk.Image,
    inside: Array,
    types: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    box: Box,
    *,
    threads: int,
) -> Iterator[tuple[str, Array, Mapping[str, Any]]]:
    """Yield (name, values within the box, settings) of each enabled image type."""
    for kind, own in types.items():
        merged = {**settings, **own}
        if kind == "LoG":
            yield from _laplacians(image, merged, box, threads)
            continue
        for name, array in _whole(kind, image, inside, merged):
            yield name, array[box], merged


def _whole(
    kind: str, image: sitk.Image, inside: Array, settings: Mapping[str, Any]
) -> Iterator[tuple[str, Array]]:
    """Yield (name, array) of an image type that is computed everywhere."""
    if kind == "Original":
        yield "original", sitk.GetArrayViewFromImage(image)
    elif kind == "Wavelet":
        yield from _wavelets(sitk.GetArrayFromImage(image), settings)
    elif kind == "Gradient":
        gradient = sitk.GradientMagnitudeImageFilter()
        gradient.SetUseImageSpacing(settings.get("gradientUseSpacing", True))
        yield "gradient", sitk.GetArrayFromImage(gradient.Execute(image))
    elif kind == "LBP2D":
        yield "lbp-2D", patterns_2d(sitk.GetArrayFromImage(image), settings)
    elif kind == "LBP3D":
        yield from patterns_3d(sitk.GetArrayFromImage(image), inside, settings)
    else:
        array = sitk.GetArrayFromImage(image).astype(np.float64)
        yield kind.lower(), _POINTWISE[kind](array)


def _laplacians(
    image: sitk.Image, settings: Mapping[str, Any], box: Box, threads: int
) -> Iterator[tuple[str, Array, Mapping[str, Any]]]:
    size, spacing = np.array(image.GetSize()), np.array(image.GetSpacing())
    sigmas = settings.get("sigma") or ()
    for sigma in sigmas:
        if not sigma > 0:
            raise InputError(f"A LoG sigma is positive, not {sigma}.")
        if size.min() < 4 or (size < np.ceil(sigma / spacing) + 1).any():
            raise InputError(f"The image is too small for a LoG of {sigma} mm.")
    array = sitk.GetArrayViewFromImage(image)

    def filtered(sigma: float) -> NDArray[np.float32]:
        return recursive_laplacian(array, spacing[::-1].tolist(), sigma, box)

    with ThreadPoolExecutor(threads) as pool:
        for sigma, response in zip(sigmas, pool.map(filtered, sigmas), strict=True):
            yield f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D", response, settings


def _wavelets(array: Array, settings: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    """Yield the bands of a periodic stationary transform, levels and letters as PyRadiomics."""
    from radgen.features.pyradiomics.wavelet import stationary_bands

    flat = settings.get("force2Ddimension", 0) if settings.get("force2D", False) else None
    axes = [axis for axis in (2, 1, 0) if axis != flat]
    level, start = settings.get("level", 1), settings.get("start_level", 0)
    data = np.pad(array.astype(np.float64), [(0, size % 2) for size in array.shape], "wrap")
    inner = tuple(slice(0, size) for size in array.shape)
    low = "L" * len(axes)
    for step in range(start + level):
        bands = stationary_bands(data, settings.get("wavelet", "coif1"), axes)
        data = bands.pop(low)
        if step < start:
            continue
        number = step - start + 1
        prefix = "wavelet" if number == 1 else f"wavelet{number}"
        for name, band in bands.items():
            yield f"{prefix}-{name}", band[inner]
    yield f"wavelet{level if level > 1 else ''}-{low}", data[inner]


def _square(x: Array) -> Array:
    return np.asarray(x**2 / np.abs(x).max())


def _square_root(x: Array) -> Array:
    return np.asarray(np.sign(x) * np.sqrt(np.abs(x) * np.abs(x).max()))


def _logarithm(x: Array) -> Array:
    out = np.sign(x) * np.log1p(np.abs(x))
    return np.asarray(out * (np.abs(x).max() / np.abs(out).max()))


def _exponential(x: Array) -> Array:
    top = np.abs(x).max()
    return np.asarray(np.exp(np.log(top) / top * x))


_POINTWISE = {
    "Square": _square,
    "SquareRoot": _square_root,
    "Logarithm": _logarithm,
    "Exponential": _exponential,
}


def crop_to(values: Array, inside: Array, box: Box, spacing_mm: tuple[float, ...]) -> Crop:
    """Return values and mask within a box."""
    return Crop(values[box], np.ascontiguousarray(inside[box]), spacing_mm)
