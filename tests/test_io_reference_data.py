"""Published files against independent readings of the same content."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radgen.errors import RadgenWarning
from radgen.io import (
    IdRule,
    discover,
    read_clinical,
    read_feature_table,
    read_gmt,
    read_image,
    read_masks,
    read_omics,
    read_table,
    table_problems,
    write_image,
    write_mask,
)

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
    published = read_masks(folder / "mask.nii.gz")["1"]
    drawn.require_on(image)
    published.require_on(image)
    np.testing.assert_array_equal(drawn.array, published.array)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_round_trip_is_exact(data: Data, tmp_path: Path, suffix: str) -> None:
    cases = data("pyradiomics_cases")
    image = read_image(cases / "brain1_image.nrrd")
    mask = read_masks(cases / "brain1_label.nrrd")["1"]
    write_image(image, tmp_path / f"i{suffix}")
    write_mask(mask, tmp_path / f"m{suffix}")
    again = read_image(tmp_path / f"i{suffix}")
    np.testing.assert_array_equal(again.array, image.array)
    assert again.geometry.distance_mm(image.geometry) < 1e-4  # NIfTI stores float32
    found = read_masks(tmp_path / f"m{suffix}")["1"]
    np.testing.assert_array_equal(found.array, mask.array)
    found.require_on(image)


@pytest.mark.parametrize("name", ["brain1", "brain2", "breast1", "lung1", "lung2"])
def test_masks_lie_on_their_images(data: Data, name: str) -> None:
    cases = data("pyradiomics_cases")
    image = read_image(cases / f"{name}_image.nrrd")
    read_masks(cases / f"{name}_label.nrrd")["1"].require_on(image)


@pytest.mark.parametrize(
    ("name", "n", "p", "n_coded", "drop"),
    [
        ("nsclc_radiogenomics/features_pyradiomics_ct_144.csv", 144, 105, 100, ["EGFR_mutant"]),
        ("nsclc_radiogenomics/features_pyradiomics_ct_60_log_wavelet.csv.gz", 60, 1764, 1723, []),
        ("ucsf_pdgm/features_t1gd_wholetumour_pyradiomics.csv", 501, 100, 95, []),
        ("ucsf_pdgm/features_multiseq_grade4_60subj.csv.gz", 60, 856, 808, []),
        ("ispy1/features_dce_captk_161.csv.gz", 161, 370, 35, ["HR_positive"]),
        ("genotype_benchmarks/LGG1p19q__codeleted.csv.gz", 159, 2030, 1980, ["Target"]),
        ("genotype_benchmarks/Wang2024__EGFR_mutant.csv.gz", 67, 280, 0, ["Target"]),
        ("simulated_cohort/imaging_features.csv.gz", 600, 120, 0, []),
    ],
)
def test_published_feature_tables(  # noqa: PLR0917
    data: Data, name: str, n: int, p: int, n_coded: int, drop: list[str]
) -> None:
    table = read_feature_table(data(name), drop=drop)
    assert (table.n_samples, table.n_phenotypes) == (n, p)
    assert int(table.specs["ibsi_code"].ne("").sum()) == n_coded


def test_spreadsheet_errors_of_a_published_table(data: Data) -> None:
    path = data("nsclc_radiogenomics/features_captk.csv")
    with pytest.warns(RadgenWarning, match="8 cells of 8"):
        table = read_feature_table(path)
    assert (table.n_samples, table.n_phenotypes) == (206, 102)
    assert table.status["status"].to_list() == ["failed"] * 8
    assert len(table_problems(path)) == 8


def test_ids_that_are_spelled_differently_join(data: Data) -> None:
    folder = data("nsclc_radiogenomics")
    rna = read_omics(folder / "rnaseq_zscore_1000genes.csv.gz", layer="expression", scale="zscore")
    assert (rna.n_samples, rna.n_features) == (130, 1000)
    assert int(np.isnan(rna.values).sum()) == 4519
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RadgenWarning)
        scans = read_clinical(
            folder / "ct_acquisition.csv", id="clc", id_rule=IdRule(strip_suffix="L")
        )
        features = read_feature_table(folder / "features_captk.csv")
    assert scans.height == 207
    assert not scans["sample"].str.ends_with("L").any()
    assert len(set(rna.samples) & set(features.samples)) == 127


def test_leading_zeros_visits_and_regions(data: Data) -> None:
    path = data("prostate_test_retest/features_t2_raw_bin10.csv.gz")
    table = read_feature_table(path, region="segmentedStructure", where={"visit": 1})
    assert table.samples[0].startswith("00")
    assert table.n_samples == 15


def test_expression_with_annotation_columns(data: Data) -> None:
    table = read_omics(
        data("tcga_glioma/gbm_expression_840genes_173samples.csv.gz"),
        layer="expression",
        scale="log2",
        id_rule=IdRule(first=12),
    )
    assert (table.n_samples, table.n_features) == (173, 840)


def test_gene_sets_of_msigdb(data: Data) -> None:
    sets = read_gmt(data("gene_sets/h.all.v6.2.symbols.gmt"))
    assert len(sets) == 50
    assert len(sets["HALLMARK_TNFA_SIGNALING_VIA_NFKB"]) == 200


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


def test_clinical_table_types(data: Data) -> None:
    frame = read_table(data("ucsf_pdgm/clinical_molecular.csv"))
    assert frame.height == 501
    assert frame["IDH"].null_count() == 0
    assert (frame["IDH"] == "wildtype").sum() == 398
