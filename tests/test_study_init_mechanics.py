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
