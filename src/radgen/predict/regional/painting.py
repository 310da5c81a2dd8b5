"""Maps of what a local model predicts in a tumour, with its uncertainty."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from radgen.errors import InputError, shown
from radgen.features.local_files import measure_points, open_images
from radgen.image.resample import resample_to
from radgen.io.biopsies import CoregisteredImages
from radgen.predict.regional.biopsies import LocalModel
from radgen.types import ImageVolume

__all__ = ["PaintedMaps", "paint_sample", "write_painted"]


@dataclass(frozen=True, eq=False, slots=True)
class PaintedMaps:
    """Maps of one sample, on the grid of its first image.

    Attributes
    ----------
    sample : str
        Its id.
    scan : ImageVolume
        The first image.
    predicted : ImageVolume
        Probability of the state, or the quantity; NaN outside the mask and where undefined.
    uncertainty : ImageVolume
        Of a state the probability that it lies on the other side of 0.5 (0 to 0.5); of a quantity
        the standard deviation.
    certain : ImageVolume
        1 where the side is certain, 0 where not.
    n_measured, n_undefined : int
        Places that were measured, and those among them without values.
    """

    sample: str
    scan: ImageVolume
    predicted: ImageVolume
    uncertainty: ImageVolume
    certain: ImageVolume
    n_measured: int
    n_undefined: int


def paint_sample(
    model: LocalModel,
    scan: CoregisteredImages,
    *,
    every: int = 2,
    executor: Executor | None = None,
) -> PaintedMaps:
    """Return maps of the predicted label over the tumour of a sample.

    Parameters
    ----------
    model : LocalModel
        Of `biopsies`.
    scan : CoregisteredImages
        With a mask, and the images that the model knows.
    every : int
        Every second, third … voxel along each axis is measured; the voxels between take the value
        of the nearest measured one.
    executor : concurrent.futures.Executor or None
        Where places are measured; None = this process.

    Returns
    -------
    PaintedMaps
        On the grid of the first image.

    Raises
    ------
    InputError
        If there is no mask, an image is missing, or no place has values.
    """
    if not scan.mask:
        raise InputError(f"Sample {scan.sample!r} has no mask: say where to paint.")
    if every < 1:
        raise InputError(f"every is a number of voxels from 1 on, not {every}.")
    given = dict(scan.images)
    lost = [name for name in model.images if name not in given]
    if lost:
        raise InputError(f"Sample {scan.sample!r} lacks the images {shown(lost)} of the model.")
    own = CoregisteredImages(
        scan.sample, tuple((name, given[name]) for name in model.images), scan.mask
    )
    images, region = open_images(own.images[:1], own.mask)
    first = next(iter(images.values()))
    assert region is not None
    if not region.geometry.same_as(first.geometry):
        region = resample_to(region, first.geometry)
    places = _places(region.array, every)
    unit = model.settings.unit(
        own, first.geometry.to_world(places), np.full(len(places), model.settings.radius_mm)
    )
    (found,) = measure_points([unit], executor=executor, what=f"Painting {scan.sample}")
    good = np.array([not reason for reason in found.reasons])
    if not good.any():
        raise InputError(
            f"No place of sample {scan.sample!r} has values: {shown(set(found.reasons), 2)}."
        )
    if found.names != model.names:
        raise InputError(f"Sample {scan.sample!r} has other features than the model.")
    said = model.process.explain(found.values[good])
    wrong = 1 - said.side if model.process.kind == "state" else said.sd
    sure = (said.side >= model.confidence).astype(np.float64)
    at = places[good]
    nearest = _nearest(region.array, at, first.geometry.spacing_mm)
    unit_of = "1" if model.process.kind == "state" else ""
    predicted, uncertainty, certain = (
        first.with_array(_spread(values, nearest, region.array), quantity=what, unit=unit_of)
        for values, what in (
            (said.value, model.label), (wrong, f"{model.label} uncertainty"),
            (sure, f"{model.label} certain"),
        )
    )  # fmt: skip
    return PaintedMaps(
        scan.sample, first, predicted, uncertainty, certain, len(places), int((~good).sum())
    )


def _places(region: NDArray[np.bool_], every: int) -> NDArray[np.int64]:
    """Return indices (n, 3) of a lattice in the region, which begins at the region's own corner."""
    where = np.argwhere(region)
    if not len(where):
        raise InputError("The mask is empty.")
    start = where.min(axis=0)
    chosen = where[((where - start) % every == 0).all(axis=1)]
    return chosen if len(chosen) else where


def _nearest(
    region: NDArray[np.bool_], at: NDArray[np.int64], spacing_mm: tuple[float, float, float]
) -> NDArray[np.int64]:
    """Return for each voxel of the region the number of the nearest place."""
    number = np.full(region.shape, -1, dtype=np.int64)
    number[tuple(at.T)] = np.arange(len(at))
    index = distance_transform_edt(
        number < 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    return np.asarray(number[tuple(index)][region])


def _spread(
    values: NDArray[np.float64], nearest: NDArray[np.int64], region: NDArray[np.bool_]
) -> NDArray[np.float32]:
    out = np.full(region.shape, np.nan, dtype=np.float32)
    out[region] = values[nearest]
    return out


def write_painted(maps: PaintedMaps, folder: Path, *, label: str) -> list[Path]:
    """Write the maps of a sample as NIfTI, with a picture of prediction and uncertainty.

    Parameters
    ----------
    maps : PaintedMaps
        Of `paint_sample`.
    folder : Path
        Where.
    label : str
        What is predicted, for the pictures.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        If a map holds no value.
    """
    from radgen.io import write_image
    from radgen.plot.images import write_overlay

    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in maps.sample)
    out = []
    share = maps.predicted.unit == "1"
    for name, volume, text, limits in (
        ("predicted", maps.predicted, f"Probability of {label}" if share else label,
         (0.0, 1.0) if share else None),
        ("uncertainty", maps.uncertainty, "Probability of the other state" if share else "SD",
         (0.0, 0.5) if share else None),
        ("certain", maps.certain, "", None),
    ):  # fmt: skip
        path = folder / f"{stem}-{name}.nii.gz"
        write_image(volume, path)
        out.append(path)
        if text:
            out.append(write_overlay(maps.scan, volume.array, path, label=text, limits=limits))
    return out
