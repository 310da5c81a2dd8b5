"""[response] of a study from masks: what the functions give, patient by patient, cached."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import ConfigError
from radgen.io import write_image
from radgen.io.lesion_tables import read_lesion_labels, read_lesion_scans
from radgen.phenotype.response import assess_by, measure_lesions
from radgen.study import Study
from radgen.types import Geometry, ImageVolume

N = 12
GRID = Geometry.from_spacing((4, 40, 40), (4.0, 1.0, 1.0))
STUDY = """
[study]
name = "Masks"

[features.table]
path = "features.csv"
id = "id"

[response]
masks = "scans.csv"
labels = "labels.csv"
id_rule = { strip_prefix = "T-" }
"""


def _mask(path: Path, radii: dict[int, float]) -> None:
    y, x = np.mgrid[:40, :40]
    plane = np.zeros((40, 40), np.float32)
    for label, radius in radii.items():
        plane[(y - 10 * label) ** 2 + (x - 10 * label) ** 2 <= radius**2] = label
    array = np.zeros(GRID.shape, np.float32)
    array[1:3] = plane
    write_image(ImageVolume(array, GRID), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write masks of three visits; the lesions of even patients shrink; one mask is not there."""
    rng = np.random.default_rng(4)
    rows = []
    for k in range(N):
        for visit, day in ((1, 0), (2, 50), (3, 100)):
            name = f"m{k}-{visit}.nii.gz"
            shrink = (1.0, 0.6, 0.5)[visit - 1] if k % 2 == 0 else (1.0, 1.5, 1.5)[visit - 1]
            if (k, visit) != (5, 2):
                _mask(tmp_path / name, {1: 7.0 * shrink, 3: 5.5})
            rows.append((f"T-P{k}", visit, day, name))
    pl.DataFrame(rows, schema=["patient", "visit", "day", "mask"], orient="row").write_csv(
        tmp_path / "scans.csv"
    )
    pl.DataFrame(
        {"label": [1, 3], "lesion": ["liver", "lung"], "role": ["target", "non-target"],
         "node": ["no", "no"]}
    ).write_csv(tmp_path / "labels.csv")  # fmt: skip
    pl.DataFrame({"id": [f"P{k}" for k in range(N)], "f": rng.normal(size=N)}).write_csv(
        tmp_path / "features.csv"
    )
    return tmp_path


def _study(folder: Path, text: str = STUDY) -> Study:
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return Study.load(folder / "study.toml")


def test_lesions_are_measured_and_judged_as_the_functions_do(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 of 36 masks of \[response\] do not exist"):
        assert _study(folder).check() == []
    run = _study(folder).run(folder / "out")
    found = run.results["Response to treatment"]
    scans = read_lesion_scans(folder / "scans.csv").filter(pl.col("sample") != "T-P5")
    direct = measure_lesions(scans, read_lesion_labels(folder / "labels.csv"), folder=folder)
    expected = assess_by("RECIST 1.1", direct.table)
    own = expected.frame.with_columns(pl.col("sample").str.strip_prefix("T-"))
    assert found.frame.equals(own)
    assert dict(zip(own["sample"], own["best"], strict=True)) == {
        f"P{k}": "PR" if k % 2 == 0 else "PD" for k in range(N) if k != 5
    }
    lesions = pl.read_parquet(folder / "out" / "tables" / "response-lesions.parquet")
    assert lesions.equals(
        direct.table.with_columns(pl.col("sample").str.strip_prefix("T-")), null_equal=True
    )
    page = run.report.read_text(encoding="utf-8")
    assert "Lesions as they were measured in the masks" in page
    losses = pl.read_parquet(folder / "out" / "tables" / "losses.parquet")
    reason = losses.filter(pl.col("sample") == "P5").row(0)
    assert "visit 2 does not exist" in " ".join(map(str, reason))
    assert "The lesions of 1 patients could not be measured." in page


def test_only_patients_whose_masks_changed_are_measured_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("radgen.study.study.write_study_report", lambda *_: Path("none"))
    first = _study(folder).run(folder / "out")
    _mask(folder / "m3-3.nii.gz", {1: 3.0, 3: 5.5})
    again = _study(folder).run(folder / "out")
    steps = json.loads((folder / "out" / "provenance.json").read_text(encoding="utf-8"))["steps"]
    made = next(item for item in steps if item["step"] == "lesions")
    assert (made["computed"], made["failed"]) == (1, 1)
    assert again.outputs["response-lesions"] != first.outputs["response-lesions"]


def test_mistakes_of_masks_are_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match="set one of lesions, sdtm_tr and masks"):
        _study(folder, STUDY + 'lesions = "lesions.csv"\n')
    with pytest.raises(ConfigError, match="labels and plane belong to masks"):
        _study(folder, STUDY.replace('masks = "scans.csv"', 'lesions = "scans.csv"'))
    table = pl.read_csv(folder / "scans.csv").with_columns(
        ("elsewhere/" + pl.col("mask")).alias("mask")
    )
    table.write_csv(folder / "scans.csv")
    problems = [str(item) for item in _study(folder).check()]
    assert any("None of the 36 masks exists" in text for text in problems)
