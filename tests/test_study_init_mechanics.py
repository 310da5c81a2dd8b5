"""`radgen init` on folders as people have them: real cohorts, one table with everything."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from radgen.study import Study, scaffold
from radgen.study.look_columns import clocks_of, column_of


def _init(folder: Path) -> dict[str, Any]:
    return tomllib.loads(scaffold(folder).path.read_text(encoding="utf-8"))


REAL = {
    "nsclc_radiogenomics": (
        "features_captk.csv", "EGFR mutation status", {"expression"}, set(),
    ),
    "tcga_glioma": (
        "lgg_mri_density_pc_scores.csv", "1p/19q codeletion", {"pathway"},
        {"os", "dss", "dfi", "pfi"},
    ),
    "ucsf_pdgm": (
        "features_t1gd_wholetumour_pyradiomics.csv", "MGMT status", set(), {"overall"},
    ),
    "simulated_cohort": (
        "imaging_features.csv.gz", "response", {"expression", "mutation"}, {"overall"},
    ),
    "ispy1": ("features_dce_captk_161.csv.gz", None, set(), {"rfs"}),
}  # fmt: skip
"""Feature table, first predicted outcome, layers and survival times that init must find."""


@pytest.mark.parametrize("cohort", REAL)
def test_init_of_a_real_cohort_can_be_run(
    data: Callable[[str], Path], tmp_path: Path, cohort: str
) -> None:
    features, outcome, layers, clocks = REAL[cohort]
    for path in data(cohort).iterdir():
        if path.name.endswith((".csv", ".csv.gz")):
            shutil.copy(path, tmp_path)
    written = _init(tmp_path)
    assert written["features"]["table"]["path"] == features
    assert set(written.get("omics", {})) == layers
    tables = [written["clinical"], *written["clinical"].get("more", {}).values()]
    assert {name for table in tables for name in table.get("survival", {})} == clocks
    if outcome is not None:
        assert written["predict"][0]["outcome"] == outcome
    assert Study.load(tmp_path / "study.toml").check() == []


def test_repeated_rows_are_regions_and_visits(data: Callable[[str], Path], tmp_path: Path) -> None:
    for path in data("prostate_test_retest").glob("*normalised*"):
        shutil.copy(path, tmp_path)
    written = _init(tmp_path)
    assert written["features"]["table"]["region"] == "segmentedStructure"
    assert written["features"]["table"]["where"] == {"visit": "1"}
    assert written["reliability"]["repeat"] == "visit"
    study = Study.load(tmp_path / "study.toml")
    assert study.check() == []
    assert study._gather().table.n_samples == 15


def test_one_table_with_everything_is_read_as_features_and_patients(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    n = 60
    ids = [f"TCGA-02-{i:04d}" for i in range(n)]
    columns = {f"original_glcm_{name}": rng.normal(size=n)
               for name in ("Contrast", "Correlation", "Idm", "JointEnergy")}  # fmt: skip
    pl.DataFrame(
        {"Patient ID": ids, **columns, "OS_MONTHS": rng.exponential(20, n),
         "OS_STATUS": rng.choice(["1:DECEASED", "0:LIVING"], n), "age": rng.normal(60, 8, n),
         "EGFR": rng.choice(["MUT", "WT"], n)}
    ).write_csv(tmp_path / "all.csv")  # fmt: skip
    genes = {item + "-01A-11R": rng.normal(size=30) for item in ids[5:]}
    matrix = pl.DataFrame({"gene": [f"G{k}" for k in range(30)], **genes})
    matrix.write_csv(tmp_path / "rna.tsv", separator="\t")
    written = _init(tmp_path)
    assert written["features"]["table"]["drop"] == ["OS_MONTHS", "age"]
    assert list(written["clinical"]["columns"]) == ["age", "EGFR"]
    clock = written["clinical"]["survival"]["os"]
    assert (clock["time"], clock["event"], clock["unit"]) == ("OS_MONTHS", "OS_STATUS", "months")
    assert clock["event_values"] == ["1:DECEASED"]
    assert (
        written["omics"]["expression"] | {"tcga": True, "samples_in": "columns"}
        == written["omics"]["expression"]
    )
    study = Study.load(tmp_path / "study.toml")
    assert study.check() == []
    assert set(study._gather().table.names) == set(columns)


def test_times_and_events_are_paired_by_name() -> None:
    table = pl.DataFrame(
        {"OS.time": [5.0, 9.5, 3.0, 7.0], "OS": [0, 1, 1, 0], "PFI.time": [2.0, 4.0, 1.0, 3.0],
         "PFI": [1, 1, 0, 0], "age": [50.0, 61.0, 70.0, 44.0], "smoker": [0, 1, 0, 1]}
    )  # fmt: skip
    found = clocks_of(table, [column_of(column) for column in table])
    assert [(c.name, c.time, c.event) for c in found] == [
        ("os", "OS.time", "OS"),
        ("pfi", "PFI.time", "PFI"),
    ]
    alone = table.select("age", "smoker")
    assert clocks_of(alone, [column_of(column) for column in alone]) == []


def test_a_table_of_variants_is_no_table_of_patients(tmp_path: Path) -> None:
    pl.DataFrame({"snp": [f"rs{i}" for i in range(50)], "gene": ["APOE"] * 50}).write_csv(
        tmp_path / "snps.csv"
    )
    assert "clinical" not in _init(tmp_path)


LAYOUTS = {
    "brats": (["BraTS20_Training_{0}/BraTS20_Training_{0}_" + s + ".nii.gz"
               for s in ("flair", "t1", "t1ce", "t2", "seg")],
              "{id}/{id}_seg.nii.gz", {"flair", "t1", "t1ce", "t2"}, "MR"),
    "bids": (["sub-{0}/anat/sub-{0}_T1w.nii.gz", "sub-{0}/anat/sub-{0}_FLAIR.nii.gz",
              "derivatives/lesions/sub-{0}/anat/sub-{0}_label-lesion_mask.nii.gz"],
             "derivatives/lesions/{id}/anat/{id}_label-lesion_mask.nii.gz", {"FLAIR", "T1w"}, "MR"),
    "two masks": (["UCSF-PDGM-{0}_nifti/UCSF-PDGM-{0}_" + s + ".nii.gz"
                   for s in ("FLAIR", "brain_segmentation", "tumor_segmentation")],
                  "{id}_nifti/{id}_tumor_segmentation.nii.gz", set(), "MR"),
    "channels": (["imagesTr/case_{0}_0000.nii.gz", "imagesTr/case_{0}_0001.nii.gz",
                  "labelsTr/case_{0}.nii.gz"],
                 "labelsTr/{id}.nii.gz", {"0000", "0001"}, ""),
    "flat": (["P{0}_CT.nrrd", "P{0}_CT-label.nrrd"], "{id}_CT-label.nrrd", set(), "CT"),
    "slicer": (["{0}/PET.nrrd", "{0}/Segmentation.seg.nrrd"], "{id}/Segmentation.seg.nrrd",
               set(), "PT"),
    "hospitals": (["A/pat{0}/image.nii.gz", "A/pat{0}/mask_GTV.nii.gz"],
                  "A/{id}/mask_GTV.nii.gz", set(), ""),
    "dates": (["P{0}/2020-01-{0}/CT/image.nii.gz", "P{0}/2020-01-{0}/CT/tumor.nii.gz"],
              "{id}/*/CT/tumor.nii.gz", set(), "CT"),
}  # fmt: skip
"""Paths of a patient, and the pattern of masks, sequences and modality that they mean."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_scans_is_found(tmp_path: Path, layout: str) -> None:
    paths, mask, sequences, modality = LAYOUTS[layout]
    for patient in ("001", "002", "003", "014"):
        for name in paths:
            path = tmp_path / name.format(patient)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    written = _init(tmp_path)["images"]
    assert written["mask"] == mask
    assert set(written.get("sequences", {})) == sequences
    assert written["modality"] == (modality or "MR")
    study = Study.load(tmp_path / "study.toml")
    assert study.check() == []
    assert len({scan.sample for scan in study._gather().scans}) == 4


def test_the_id_in_a_path_is_that_of_the_table(tmp_path: Path) -> None:
    """The longest run of words is the id, unless a table knows a shorter one."""
    for number in ("001", "002", "003"):
        for name in ("ct", "gtv"):
            path = tmp_path / f"LUNG_{number}_{name}.nii.gz"
            path.touch()
    assert _init(tmp_path)["images"]["mask"] == "{id}_gtv.nii.gz"
    (tmp_path / "study.toml").unlink()
    (tmp_path / "clinical.csv").write_text("patient,age\n001,50\n002,60\n003,70\n")
    assert _init(tmp_path)["images"]["mask"] == "LUNG_{id}_gtv.nii.gz"
