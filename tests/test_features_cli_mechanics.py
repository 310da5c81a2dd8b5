"""`radgen extract` and `radgen maps`, run as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import RadgenError
from radgen.features import ExtractionSettings, extract, extract_cohort, feature_maps
from radgen.features.cohort import ResultStore
from radgen.features.files import described
from radgen.features.quality import draw_cohort
from radgen.io import read_image, read_masks, write_image, write_mask
from radgen.types import Geometry, ImageVolume, Mask

FILTERS = (
    {"filter": "mean", "size": 3},
    {"filter": "wavelet", "wavelet": "haar", "band": "all"},
)
SETTINGS = ExtractionSettings(
    families=("morphology", "intensity_statistics", "glcm"), filters=FILTERS
)


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    if isinstance(result.exception, RadgenError):
        assert code == 2
        return str(result.exception)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def write_scan(folder: Path, name: str, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    geometry = Geometry.from_spacing((9, 12, 14), (2.0, 1.0, 1.0))
    write_image(
        ImageVolume(rng.normal(100, 20, geometry.shape).astype(np.float32), geometry),
        folder / f"{name}.nii.gz",
    )
    labels = np.zeros(geometry.shape, np.uint16)
    labels[2:7, 2:9, 3:8], labels[2:7, 3:9, 9:12] = 1, 300
    write_image(ImageVolume(labels.astype(np.float32), geometry), folder / f"{name}-mask.nrrd")


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    rows = ["sample,image,mask,labels"]
    for seed, name in enumerate(("a", "b/1", "c")):
        stem = name.replace("/", "")
        write_scan(tmp_path, stem, seed)
        rows.append(f"{name},{stem}.nii.gz,{stem}-mask.nrrd,core=1;rim=300;all=1+300")
    rows.append("lost,none.nii.gz,none.nrrd,")
    (tmp_path / "scans.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "scans.csv"


@pytest.mark.parametrize("test", ["1.a.1", "3.b.2", "8.a.2"])
def test_response_map_from_the_command_line_is_the_reference(
    test: str, data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = data("ibsi")
    phantom = {"1": "checkerboard", "3": "checkerboard", "8": "checkerboard"}[test[0]]
    image = folder / "ibsi_2_digital_phantom" / f"{phantom}.nii.gz"
    text = call("extract", image, "--preset", f"ibsi2-p1-{test}", "--out", tmp_path / "r.nii.gz")
    assert text.startswith("Response ")
    found = read_image(tmp_path / "r.nii.gz")
    assert found.geometry.same_as(read_image(image).geometry)
    reference = read_image(
        folder / "ibsi_2_response_maps" / f"{test.replace('.', '_')}-ValidCRM.nii.gz"
    ).array
    # 1 % of the range of the reference map, the tolerance of the standard
    assert np.abs(found.array - reference).max() <= 0.01 * np.ptp(reference)


def test_statistics_of_a_response_and_settings_beside_the_table(
    data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = data("ibsi") / "ibsi_2_digital_phantom"
    given = (folder / "checkerboard.nii.gz", folder / "mask.nii.gz")
    for out in ("t.csv", "t.parquet"):
        call("extract", *given, "--preset", "ibsi2-p1-1.a.1", "--out", tmp_path / out)
    table = pl.read_parquet(tmp_path / "t.parquet")
    response = call("extract", given[0], "--preset", "ibsi2-p1-1.a.1", "--out", tmp_path / "r.nrrd")
    assert table.filter(feature="Mean intensity")["value"][0] == pytest.approx(
        read_image(tmp_path / "r.nrrd").array.mean(), rel=1e-6
    )
    about = json.loads((tmp_path / "t.csv.json").read_text())
    assert about == json.loads(pl.read_parquet_metadata(tmp_path / "t.parquet")["radgen"])
    assert about["settings_digest"][:12] in response
    again = ExtractionSettings.from_mapping(about["settings"])
    assert again.digest() == about["settings_digest"] == described(again)["settings_digest"]


def test_one_response_a_file(tmp_path: Path) -> None:
    write_scan(tmp_path, "s")
    image, mask = tmp_path / "s.nii.gz", tmp_path / "s-mask.nrrd"
    text = call("extract", image, mask, "--preset", "ibsi-a", "--out", tmp_path / "r.nrrd", code=2)
    assert "0 filter responses" in text
    (tmp_path / "many.toml").write_text(
        'filters = [{filter = "mean", size = 3}, {filter = "wavelet", wavelet = "haar", '
        'band = "all"}]\n'
    )
    options = ("--settings", tmp_path / "many.toml")
    text = call("extract", image, *options, "--out", tmp_path / "r.nrrd", code=2)
    assert "9 filter responses" in text
    call("maps", image, "--responses", *options, "--out", tmp_path / "r", "--no-overlay")
    assert len(list((tmp_path / "r").glob("*.nii.gz"))) == 9


def test_maps_are_written_on_the_grid_of_the_image(tmp_path: Path) -> None:
    write_scan(tmp_path, "s")
    image, mask = tmp_path / "s.nii.gz", tmp_path / "s-mask.nrrd"
    (tmp_path / "how.toml").write_text('spacing_mm = [2, 2, 2]\naggregations = ["ITBB", "KOBO"]\n')
    call(
        "maps", image, mask, "--features", "glcm:ACUI,joint entropy", "--features", "ngtdm",
        "--settings", tmp_path / "how.toml", "--label", "rim=300", "--format", ".nrrd",
        "--out", tmp_path / "maps",
    )  # fmt: skip
    about = json.loads((tmp_path / "maps" / "maps.json").read_text())
    assert len(about) == 7
    scan, region = read_image(image), read_masks(mask, labels={"rim": 300})["rim"]
    how = ExtractionSettings.from_mapping(about[0]["settings"])
    expected = feature_maps(scan, region, features={"glcm": ["Contrast"]}, settings=how)
    written = read_image(tmp_path / "maps" / "glcm-contrast-itbb.nrrd")
    assert written.geometry.same_as(scan.geometry)
    np.testing.assert_array_equal(written.array, expected["glcm|Contrast|ITBB"].array)
    assert all((tmp_path / "maps" / row["picture"]).exists() for row in about)
    one = ("--features", "glcm:contrast", "--settings", tmp_path / "how.toml")
    call("maps", image, mask, *one, "--label", "300", "--out", tmp_path / "one.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "one.nii.gz").array, written.array)
    assert (tmp_path / "one.png").exists()
    assert "holds one" in call("maps", image, mask, *one, "--out", tmp_path / "o.nrrd", code=2)
    assert "need a mask" in call("maps", image, *one, "--out", tmp_path / "o", code=2)
    assert "Did you mean 'Contrast'" in call(
        "maps", image, mask, "--features", "glcm:contras", "--out", tmp_path / "o", code=2
    )


def test_mask_on_another_grid_is_used_on_request_alone(tmp_path: Path) -> None:
    write_scan(tmp_path, "s")
    coarse = Geometry.from_spacing((9, 6, 7), (2.0, 2.0, 2.0))
    inside = np.zeros(coarse.shape, bool)
    inside[2:7, 1:5, 2:6] = True
    write_mask(Mask(inside, coarse), tmp_path / "coarse.nii.gz")
    given = ("extract", tmp_path / "s.nii.gz", tmp_path / "coarse.nii.gz")
    text = call(*given, "--out", tmp_path / "t.csv", code=2)
    assert "9 x 6 x 7" in text
    assert "9 x 12 x 14" in text
    call(*given, "--out", tmp_path / "t.csv", "--fit-mask")
    table = pl.read_csv(tmp_path / "t.csv")
    volume = table.filter(feature="Volume (voxel counting)")["value"][0]
    assert volume == pytest.approx(inside.sum() * 8.0, rel=0.25)


def test_cohort_goes_on_where_it_was_and_draws(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    given = ("extract", "--cohort", cohort, "--out", out, "--jobs", 1, "--preset", "ibsi2-p1-2.b")
    text = call(*given, "--qc", tmp_path / "qc", code=3)
    assert "lost: FormatError" in text
    assert {p.name for p in (tmp_path / "qc").iterdir()} == {
        "a.png", "b-1.png", "c.png", "overview-001.png",
    }  # fmt: skip
    first = pl.read_parquet(out)
    assert first.columns[:3] == ["sample", "region", "filter"]
    assert first.filter(sample="b/1")["region"].unique(maintain_order=True).to_list() == [
        "core", "rim", "all",
    ]  # fmt: skip
    before = {p: p.stat().st_mtime_ns for p in Path(f"{out}.scans").iterdir()}
    assert len(before) == 3
    call(*given, code=3)
    assert {p: p.stat().st_mtime_ns for p in Path(f"{out}.scans").iterdir()} == before
    assert pl.read_parquet(out).equals(first, null_equal=True)


@pytest.mark.parametrize("parts", [3, 40])
def test_table_does_not_depend_on_the_parts(cohort: Path, parts: int) -> None:
    rows, folder = pl.read_csv(cohort), cohort.parent
    whole = extract_cohort(rows, settings=SETTINGS, folder=folder)
    kept = ResultStore(folder / "store")
    with ThreadPoolExecutor(3) as pool:
        cut = extract_cohort(
            rows, settings=SETTINGS, folder=folder, parts=parts, executor=pool, on_done=kept.put
        )
    assert cut.equals(whole, null_equal=True)
    again = extract_cohort(rows, settings=SETTINGS, folder=folder, parts=parts, done=kept.get)
    assert again.equals(whole, null_equal=True)


def test_part_must_be_one_of_the_parts(cohort: Path) -> None:
    image = read_image(cohort.parent / "a.nii.gz")
    masks = read_masks(cohort.parent / "a-mask.nrrd")
    with pytest.raises(RadgenError, match="0 <= k < n"):
        extract(image, masks, settings=SETTINGS, part=(2, 2))


def test_pictures_are_kept_while_they_are_newer_than_the_scan(cohort: Path) -> None:
    rows, out = pl.read_csv(cohort), cohort.parent / "qc"
    failed = draw_cohort(rows, out, folder=cohort.parent)
    assert [sample for sample, _ in failed] == ["lost"]
    before = (out / "a.png").stat().st_mtime_ns
    draw_cohort(rows, out, folder=cohort.parent)
    assert (out / "a.png").stat().st_mtime_ns == before


def test_requests_that_cannot_be_met(tmp_path: Path) -> None:
    write_scan(tmp_path, "s")
    image, mask = tmp_path / "s.nii.gz", tmp_path / "s-mask.nrrd"
    assert "suffix of a table" in call("extract", image, mask, "--out", "x.xlsx", code=2)
    assert "Give an image and a mask" in call("extract", image, "--out", "x.csv", code=2)
    assert "Unknown format" in call("extract", image, mask, "--format", "tall", code=2)
    text = call("extract", image, mask, "--preset", "ibsi2-p1-1a", "--out", "x.csv", code=2)
    assert "Did you mean 'ibsi2-p1-1.a" in text
