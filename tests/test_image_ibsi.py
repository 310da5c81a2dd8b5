"""Image processing against the diagnostics of the IBSI reference (CT phantom, A to E)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from radgen.image import resample, resample_mask, resegment, round_intensities
from radgen.types import Geometry, ImageVolume, Mask

CONFIGS = {
    "A": {"spacing": None, "method": None, "range": (-500, 400), "sigma": None},
    "B": {"spacing": (None, 2, 2), "method": "linear", "range": (-500, 400), "sigma": None},
    "C": {"spacing": (2, 2, 2), "method": "linear", "range": (-1000, 400), "sigma": None},
    "D": {"spacing": (2, 2, 2), "method": "linear", "range": None, "sigma": 3},
    "E": {"spacing": (2, 2, 2), "method": "cubic", "range": (-1000, 400), "sigma": 3},
}


def volume(path: Path) -> tuple[np.ndarray, Geometry]:
    read = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(read.GetDirection()).reshape(3, 3) * np.array(read.GetSpacing())
    affine[:3, 3] = read.GetOrigin()
    array = sitk.GetArrayFromImage(read)
    return array, Geometry(affine, array.shape)


@pytest.fixture(scope="module")
def ct(data: Callable[[str], Path]) -> tuple[ImageVolume, Mask]:
    folder = data("ibsi") / "ct_phantom"
    array, geometry = volume(folder / "image.nii.gz")
    image = ImageVolume(np.rint(array.astype(np.float32)), geometry, "CT", "HU", "HU")
    return image, Mask(volume(folder / "mask.nii.gz")[0] > 0, geometry)


def boxes(mask: np.ndarray) -> list[int]:
    return [int(np.ptp(where)) + 1 for where in np.nonzero(mask)]


def image_tags(image: ImageVolume, step: str) -> Iterator[tuple[str, float]]:
    for axis, size, spacing in zip(
        "zyx", image.geometry.shape, image.geometry.spacing_mm, strict=True
    ):
        yield f"img_dim_{axis}_{step}_img", size
        yield f"vox_dim_{axis}_{step}_img", spacing
    values = image.array.astype(np.float64)
    yield f"mean_int_{step}_img", values.mean()
    yield f"min_int_{step}_img", values.min()
    yield f"max_int_{step}_img", values.max()


def roi_tags(image: ImageVolume, morph: Mask, kept: Mask, step: str) -> Iterator[tuple[str, float]]:
    for name, mask in (("int", kept), ("morph", morph)):
        for axis, size, box in zip("zyx", mask.array.shape, boxes(mask.array), strict=True):
            yield f"{name}_mask_dim_{axis}_{step}_roi", size
            yield f"{name}_mask_bb_dim_{axis}_{step}_roi", box
        yield f"{name}_mask_vox_count_{step}_roi", mask.n_voxels
    values = image.array[kept.array].astype(np.float64)
    yield f"int_mask_mean_int_{step}_roi", values.mean()
    yield f"int_mask_min_int_{step}_roi", values.min()
    yield f"int_mask_max_int_{step}_roi", values.max()


def three_digits(value: float) -> float:
    return float(f"{value:.3g}")


@pytest.mark.parametrize("config", list(CONFIGS))
def test_ct_phantom_diagnostics(
    config: str, ct: tuple[ImageVolume, Mask], data: Callable[[str], Path]
) -> None:
    settings = CONFIGS[config]
    image, mask = ct
    found = dict(image_tags(image, "init")) | dict(roi_tags(image, mask, mask, "init"))
    if settings["spacing"] is not None:
        image = round_intensities(resample(image, settings["spacing"], method=settings["method"]))
        mask = resample_mask(mask, settings["spacing"], threshold=0.5)
    found |= dict(image_tags(image, "interp")) | dict(roi_tags(image, mask, mask, "interp"))
    kept = resegment(image, mask, range=settings["range"], outlier_sigma=settings["sigma"])
    found |= dict(roi_tags(image, mask, kept, "reseg"))
    with (data("ibsi") / "reference/ibsi1_diagnostic_values.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["config"] == config]
    assert len(rows) == 60
    wrong = [
        (row["tag"], found[row["tag"]], row["value"], row["tolerance"])
        for row in rows
        if min(
            abs(found[row["tag"]] - float(row["value"])),
            abs(three_digits(found[row["tag"]]) - float(row["value"])),
        )
        > float(row["tolerance"]) + 1e-9
    ]
    assert wrong == []
