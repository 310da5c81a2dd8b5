"""Published files against independent readings of the same content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radgen.io import discover, read_image, read_masks, write_image, write_mask

Data = Callable[[str], Path]


def test_dicom_series_equals_nifti(data: Data) -> None:
    folder = data("ibsi/ct_phantom")
    nifti, dicom = read_image(folder / "image.nii.gz"), read_image(folder / "dicom" / "image")
    assert nifti.geometry.same_as(dicom.geometry)
    np.testing.assert_array_equal(nifti.array, dicom.array)


def test_rtstruct_equals_nifti_mask(data: Data) -> None:
    """IBSI publishes the contours and the mask of one region: no voxel differs."""
    folder = data("ibsi/ct_phantom")
    image = read_image(folder / "dicom" / "image")
    drawn = read_masks(folder / "dicom" / "mask", reference=image)["GTV-1"]
    published = read_masks(folder / "mask.nii.gz")["region"]
    drawn.require_on(image)
    published.require_on(image)
    np.testing.assert_array_equal(drawn.array, published.array)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_round_trip_is_exact(data: Data, tmp_path: Path, suffix: str) -> None:
    cases = data("pyradiomics_cases")
    image = read_image(cases / "brain1_image.nrrd")
    mask = read_masks(cases / "brain1_label.nrrd")["region"]
    write_image(image, tmp_path / f"i{suffix}")
    write_mask(mask, tmp_path / f"m{suffix}")
    again = read_image(tmp_path / f"i{suffix}")
    np.testing.assert_array_equal(again.array, image.array)
    assert again.geometry.distance_mm(image.geometry) < 1e-4  # NIfTI stores float32
    found = read_masks(tmp_path / f"m{suffix}")["region"]
    np.testing.assert_array_equal(found.array, mask.array)
    found.require_on(image)


@pytest.mark.parametrize("name", ["brain1", "brain2", "breast1", "lung1", "lung2"])
def test_masks_lie_on_their_images(data: Data, name: str) -> None:
    cases = data("pyradiomics_cases")
    image = read_image(cases / f"{name}_image.nrrd")
    read_masks(cases / f"{name}_label.nrrd")["region"].require_on(image)


def test_layout_of_published_folders(data: Data) -> None:
    found = discover(data("simulated_cohort"))
    assert {table.path.name: table.role for table in found.tables} == {
        "clinical_outcome.csv": "clinical",
        "expression.csv.gz": "expression",
        "gene_sets.gmt": "gene_sets",
        "imaging_features.csv.gz": "features",
        "imaging_features_retest60.csv.gz": "features",
        "mutations.csv": "mutations",
    }
    cases = discover(data("pyradiomics_cases"))
    assert [s.sample for s in cases.scans][:3] == ["brain1", "brain2", "breast1"]
    assert all(scan.mask is not None for scan in cases.scans)
