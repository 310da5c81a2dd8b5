"""Functional maps in a study: what the functions give, per sample, cached, and the two visits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import ConfigError, FormatError
from radgen.features import ExtractionSettings, extract
from radgen.functional import active_region, diffusion_maps, dsc_maps, enhancement_maps
from radgen.io import read_image, read_masks, read_series, write_image
from radgen.study import Study
from radgen.study.measure import reason_of
from radgen.types import Geometry, ImageVolume, Mask, PhenotypeTable

GRID = Geometry.from_spacing((6, 9, 9), (4.0, 2.0, 2.0))
B = np.array([0.0, 400.0, 800.0])
N = 9

HEAD = """
[study]
name = "Maps"

[images]
table = "scans.csv"
id = "patient"
mask = "mask"
modality = "MR"
regions = { tumour = [1, 2], core = 2 }

[features]
families = ["morphology", "intensity_statistics"]
spatial_autocorrelation = false
enclosing_shapes = false

[report]
scans = 0
"""
ADC = """
[images.functional.dwi]
technique = "diffusion"
series = "dwi"
b_values = [0, 400, 800]
maps = ["ADC"]
"""


def _labels() -> np.ndarray:
    labels = np.zeros(GRID.shape, np.float32)
    labels[1:5, 2:7, 2:7] = 1
    labels[2:4, 3:6, 3:6] = 2
    return labels


def _adc(k: int) -> np.ndarray:
    rng = np.random.default_rng(k)
    return 1e-3 * (0.6 + 0.1 * k + 0.2 * rng.random(GRID.shape))


def _dwi(path: Path, adc: np.ndarray) -> None:
    array = 1000.0 * np.exp(-B[:, None, None, None] * adc)
    write_image(ImageVolume(array.astype(np.float32), GRID, times_s=np.arange(3.0)), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write diffusion series of twelve patients, one of them cut short."""
    write_image(ImageVolume(_labels(), GRID), tmp_path / "mask.nii.gz")
    for k in range(N):
        _dwi(tmp_path / f"d{k}.nii.gz", _adc(k))
    bad = ImageVolume(np.ones((2, *GRID.shape), np.float32), GRID, times_s=np.arange(2.0))
    write_image(bad, tmp_path / "d3.nii.gz")
    pl.DataFrame(
        {
            "patient": [f"P{k}" for k in range(N)],
            "dwi": [f"d{k}.nii.gz" for k in range(N)],
            "mask": ["mask.nii.gz"] * N,
        }
    ).write_csv(tmp_path / "scans.csv")
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the page out, which takes longer than all the rest."""
    monkeypatch.setattr("radgen.study.study.write_study_report", lambda *_: Path("none"))


def _study(folder: Path, text: str) -> Study:
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return Study.load(folder / "study.toml")


@pytest.mark.usefixtures("quick")
def test_maps_are_measured_as_the_functions_do(folder: Path) -> None:
    study = _study(folder, HEAD + ADC)
    assert study.check() == []
    run = study.run(folder / "out")
    table = run.phenotypes
    assert run.n_failed_scans == 1
    assert not run.complete

    scan = read_series(folder / "d5.nii.gz", timed=False)
    masks = read_masks(folder / "mask.nii.gz", labels={"tumour": [1, 2], "core": 2})
    whole = Mask(_labels() > 0, GRID, "tumour")
    volume = diffusion_maps(scan, whole, b_values=B)["ADC"]
    settings = ExtractionSettings.from_mapping(
        {"families": ["morphology", "intensity_statistics"], "spatial_autocorrelation": False,
         "enclosing_shapes": False, "discretisation": {"method": "number", "value": 32}}
    )  # fmt: skip
    expected = extract(volume, masks, settings=settings).filter(pl.col("ibsi_code") == "Q4LE")
    row = table.samples.index("P5")
    for region, value in expected.select("region", "value").iter_rows():
        spec = table.specs.filter(
            (pl.col("region") == region) & (pl.col("ibsi_code") == "Q4LE")
        )  # fmt: skip
        assert spec["image"].to_list() == ["dwi-ADC"]
        assert spec["unit"].to_list() == ["mm2/s"]
        assert table.values[row, table.names.index(spec["name"][0])] == pytest.approx(
            value, rel=1e-6
        )
    # the mean of the truth, without any of our fits
    inside = _adc(5)[_labels() == 2]
    name = table.specs.filter((pl.col("region") == "core") & (pl.col("ibsi_code") == "Q4LE"))
    found = table.values[row, table.names.index(name["name"][0])]
    assert found == pytest.approx(inside.mean(), rel=1e-5)


def _mean_of_core(table: PhenotypeTable) -> str:
    chosen = table.specs.filter(
        (pl.col("region") == "core")
        & (pl.col("ibsi_code") == "Q4LE")
        & pl.col("name").str.starts_with("delta ")
    )
    return str(chosen["name"][0])


def test_a_series_that_fails_is_a_row_with_its_reason(folder: Path) -> None:
    run = _study(folder, HEAD + ADC).run(folder / "out")
    assert "P3" not in run.phenotypes.samples
    status = pl.read_parquet(folder / "out" / "tables" / "status.parquet")
    reason = status.filter(pl.col("sample") == "P3")["reason"].to_list()
    assert len(reason) == 1
    assert reason[0].startswith("dwi-ADC: ")
    assert "2" in reason[0]
    assert str(folder) not in reason[0]
    error = FormatError("Cut off. See ./x.nii and /a/b/y.nii. Copy it.")
    told = reason_of(error, {"series": ["x.nii"], "mask": ["/a/b/y.nii"]})
    assert told == "Cut off. See ./series and mask. Copy it."
    page = run.report.read_text(encoding="utf-8")
    assert "Functional maps" in page
    assert "one exponential (apparent diffusion coefficient)" in page
    assert "Maps kept their unit" in page


@pytest.mark.usefixtures("quick")
def test_maps_are_cached_and_restored(folder: Path) -> None:
    study = _study(folder, HEAD + ADC)
    first = study.run(folder / "out")
    place = folder / "out" / "maps" / "dwi" / "P5"
    told = json.loads((place / "maps.json").read_text(encoding="utf-8"))
    assert told["maps"] == {"ADC": "mm2/s", "S0": "a.u."}
    write_image(ImageVolume(np.zeros(GRID.shape, np.float32), GRID), place / "ADC.nii.gz")
    again = study.run(folder / "out")
    assert again.outputs == first.outputs
    assert np.nanmax(read_image(place / "ADC.nii.gz").array) > 0
    steps = json.loads((folder / "out" / "provenance.json").read_text(encoding="utf-8"))["steps"]
    made = {item["step"]: item for item in steps}
    assert made["functional"]["computed"] == 1  # the one that fails is tried again
    other = (HEAD + ADC).replace('maps = ["ADC"]', 'maps = ["ADC"]\nmodel = "kurtosis"')
    changed = _study(folder, other.replace("maps", "#maps")).run(folder / "out")
    assert changed.outputs != first.outputs


def test_two_visits_give_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(N):
        _dwi(folder / f"d{k}.nii.gz", _adc(k))
        _dwi(folder / f"e{k}.nii.gz", _adc(k) * (1.0 + 0.05 * k))
    rows = [
        (f"P{k}", visit, f"{letter}{k}.nii.gz", "mask.nii.gz", day)
        for k in range(N)
        for visit, letter, day in ((1, "d", "2024-01-01"), (2, "e", f"2024-02-{k + 1:02d}"))
        if (k, visit) != (7, 2)
    ]
    pl.DataFrame(
        rows, schema=["patient", "visit", "dwi", "mask", "day"], orient="row"
    ).write_csv(folder / "scans.csv")  # fmt: skip
    text = HEAD.replace('mask = "mask"', 'mask = "mask"\ndate = "day"') + ADC
    change = '\n[change]\nvisit = "visit"\nbefore = "1"\nafter = "2"\n'
    run = _study(folder, text + change).run(folder / "out")
    table = run.phenotypes
    assert "P7" not in table.samples
    lost = run.flow.filter(pl.col("step") == "both visits measured")
    assert lost["n"].to_list() == [N - 1]
    assert "no scan of visit 2" in lost["reason"].to_list()[0]
    name = _mean_of_core(table)
    column = table.values[:, table.names.index(name)]
    truth = np.array([0.05 * int(sample[1:]) for sample in table.samples])
    assert column == pytest.approx(truth, abs=1e-5)
    assert "changes from visit 1 to visit 2, as a share" in run.report.read_text(encoding="utf-8")
    monkeypatch.setattr("radgen.study.study.write_study_report", lambda *_: Path("none"))

    rate = change + 'how = "difference"\nalso = ["before"]\nper_days = 10\n'
    run = _study(folder, text + rate).run(folder / "out")
    table = run.phenotypes
    row = table.samples.index("P4")
    core = _labels() == 2
    inside = _adc(4)[core].mean()
    name = _mean_of_core(table)
    days = 31 + 4
    assert table.values[row, table.names.index(name)] == pytest.approx(
        0.2 * inside * 10 / days, rel=1e-4
    )
    own = table.values[row, table.names.index(name.replace("delta", "before"))]
    assert own == pytest.approx(inside, rel=1e-5)


@pytest.mark.usefixtures("quick")
def test_masks_of_another_grid_are_refused_or_resampled(folder: Path) -> None:
    fine = Geometry.from_spacing((12, 18, 18), (2.0, 1.0, 1.0))
    labels = np.kron(_labels(), np.ones((2, 2, 2), np.float32))
    affine = fine.affine.copy()
    affine[:3, 3] = GRID.affine[:3, 3] - np.array([0.5, 0.5, 1.0])
    moved = Geometry(affine, fine.shape)
    write_image(ImageVolume(labels, moved), folder / "mask.nii.gz")
    study = _study(folder, HEAD + ADC)
    with pytest.raises(Exception, match="grid"):
        study.run(folder / "out")
    run = _study(folder, HEAD + ADC + 'other_grid = "resample"\n').run(folder / "out")
    folder_of_maps = folder / "out" / "maps" / "dwi" / "P5"
    labels_back = json.loads((folder_of_maps / "maps.json").read_text(encoding="utf-8"))["labels"]
    masks = read_masks(folder_of_maps / "regions.nii.gz", labels=labels_back)
    assert np.array_equal(masks["tumour"].array, _labels() > 0)
    assert np.array_equal(masks["core"].array, _labels() == 2)
    assert "P5" in run.phenotypes.samples


@pytest.mark.usefixtures("quick")
def test_dynamic_series_and_uptake(folder: Path) -> None:
    rng = np.random.default_rng(2)
    times = np.arange(12.0) * 15.0
    for k in range(N):
        base = 100 + 5 * rng.random(GRID.shape)
        rise = np.where(times < 45, 0.0, 1.0 - np.exp(-(times - 45) / 40.0))
        gain = 0.3 + 0.05 * k + 0.1 * rng.random(GRID.shape)
        array = base * (1 + gain * rise[:, None, None, None])
        write_image(ImageVolume(array.astype(np.float32), GRID, times_s=times),
                    folder / f"t{k}.nii.gz")  # fmt: skip
        fall = np.exp(-0.5 * ((times - 75) / 15.0) ** 2)
        dip = base * np.exp(-0.03 * (8 + k + rng.random(GRID.shape)) * fall[:, None, None, None])
        write_image(ImageVolume(dip.astype(np.float32), GRID, times_s=times),
                    folder / f"s{k}.nii.gz")  # fmt: skip
        pet = (1 + 5 * rng.random(GRID.shape)).astype(np.float32)
        write_image(ImageVolume(pet, GRID, modality="PT"), folder / f"p{k}.nii.gz")
    table = pl.read_csv(folder / "scans.csv").with_columns(
        pl.Series(letter, [f"{letter}{k}.nii.gz" for k in range(N)]) for letter in "tsp"
    )
    table.write_csv(folder / "scans.csv")
    text = (
        HEAD
        + """
[images.functional.dynamic]
technique = "enhancement"
series = "t"
maps = ["peak enhancement"]
baseline = [0, 3]
area_s = 40
early_s = 60

[images.functional.perfusion]
technique = "dsc"
series = "s"
echo_s = 0.03
leakage = false
normal = "normal.nii.gz"
maps = ["rCBV"]

[images.functional.pet]
technique = "uptake"
series = "p"
rule = "fixed"
value = 3.0
"""
    )
    normal = np.zeros(GRID.shape, bool)
    normal[0, :3, :3] = True
    write_image(ImageVolume(normal.astype(np.float32), GRID), folder / "normal.nii.gz")
    run = _study(folder, text).run(folder / "out")
    assert run.complete
    table = run.phenotypes

    def value(image: str, code: str, region: str = "tumour") -> float:
        spec = table.specs.filter(
            (pl.col("image") == image) & (pl.col("ibsi_code") == code)
            & (pl.col("region") == region)
        )  # fmt: skip
        return float(table.values[table.samples.index("P2"), table.names.index(spec["name"][0])])

    whole = Mask(_labels() > 0, GRID, "tumour")
    scan = read_series(folder / "t2.nii.gz")
    peak = enhancement_maps(scan, whole, baseline=(0, 3), area_s=40, early_s=60)["peak enhancement"]
    assert value("dynamic-peak enhancement", "Q4LE") == pytest.approx(
        peak.array[whole.array].mean(), rel=1e-5
    )
    series = read_series(folder / "s2.nii.gz")
    volume = dsc_maps(series, echo_s=0.03, leakage=False, normal=Mask(normal, GRID, "n"))["rCBV"]
    assert value("perfusion-rCBV", "Q4LE") == pytest.approx(
        volume.array[whole.array].mean(), rel=1e-5
    )
    pet = read_image(folder / "p2.nii.gz", modality="PT")
    active = active_region(pet, whole, rule="fixed", value=3.0)
    assert value("pet-SUV", "Q4LE") == pytest.approx(active.mean_uptake, rel=1e-5)
    # integrated intensity (99N0) is mean uptake times the mesh's volume; TLG takes voxels
    assert value("pet-SUV", "YEKZ") == pytest.approx(1000 * active.volume_ml, rel=1e-6)


def test_mistakes_are_told_before_the_run(folder: Path) -> None:
    wrong = HEAD + ADC.replace('"ADC"', '"ACD"').replace('series = "dwi"', 'series = "dwj"')
    problems = [str(item) for item in _study(folder, wrong).check()]
    assert any("no column 'dwj'" in text and "dwi" in text for text in problems)
    only = HEAD + ADC.replace('"ADC"', '"ACD"')
    assert any("no map 'ACD'" in str(item) for item in _study(folder, only).check())
    with pytest.raises(ConfigError, match="echo_s does not belong to diffusion"):
        _study(folder, HEAD + ADC + "echo_s = 0.03\n")
    change = '\n[change]\nvisit = "v"\nbefore = "1"\nafter = "2"\nper_days = 30\n'
    with pytest.raises(ConfigError, match="needs the dates of scans"):
        _study(folder, HEAD + ADC + change)
