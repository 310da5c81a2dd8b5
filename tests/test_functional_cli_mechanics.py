"""``radgen functional`` from files to maps, with what users give it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen import functional as fn
from radgen.cli.app import app
from radgen.errors import FormatError, InputError
from radgen.io import read_image, read_numbers, read_series

RNG = np.random.default_rng(0)


def _save(array: np.ndarray, path: Path, step: float = 0.0) -> Path:
    image = nibabel.Nifti1Image(np.asarray(array, dtype=np.float32), np.diag([2.0, 2.0, 4.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec" if step else "unknown")
    if array.ndim == 4:
        image.header["pixdim"][4] = step
    image.to_filename(path)
    return path


def _run(*words: object) -> str:
    found = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_diffusion_from_files_without_times(tmp_path: Path) -> None:
    b = np.array([0.0, 400.0, 800.0])
    adc = RNG.uniform(5e-4, 2e-3, (6, 5, 3))
    series = _save(1000 * np.exp(-adc[..., None] * b), tmp_path / "dwi.nii.gz")
    (tmp_path / "dwi.bval").write_text("0 400 800\n", encoding="utf-8")
    text = _run("functional", "diffusion", series, "--bvals", tmp_path / "dwi.bval", "--out",
                tmp_path / "adc")  # fmt: skip
    assert "2 maps of 90 voxels" in text
    got = read_image(tmp_path / "adc" / "ADC.nii.gz")
    np.testing.assert_allclose(got.array.T, adc, rtol=1e-4)  # float32
    assert (tmp_path / "adc" / "ADC.png").stat().st_size > 5000
    about = json.loads((tmp_path / "adc" / "maps.json").read_text(encoding="utf-8"))
    assert about["settings"]["b_values"] == [0.0, 400.0, 800.0]
    assert about["maps"][0]["unit"] == "mm2/s"
    each = [_save(1000 * np.exp(-adc * x), tmp_path / f"b{x:.0f}.nii.gz") for x in b]
    _run("functional", "diffusion", *each, "--bvals", "0,400,800", "--out", tmp_path / "again",
         "--no-overlay")  # fmt: skip
    again = read_image(tmp_path / "again" / "ADC.nii.gz")
    np.testing.assert_array_equal(again.array, got.array)
    assert not (tmp_path / "again" / "ADC.png").exists()


def test_dynamic_series_with_an_artery_and_a_t1_map(tmp_path: Path) -> None:
    times = np.arange(0.0, 240.0, 3.0)
    blood = fn.population_input("parker", times, arrival_s=15.0)
    tissue = fn.tissue_curve("tofts", times, blood / 0.58, Ktrans=0.15, ve=0.25)
    frames = np.empty((4, 4, 2, len(times)))
    for at, (t1, c) in enumerate(((1.6, blood), (1.2, tissue))):
        frames[:, :, at] = fn.spoiled_signal(
            1 / t1 + 4.5 * c, flip_deg=20.0, repetition_s=0.004, s0=500.0
        )
    series = _save(frames, tmp_path / "dce.nii.gz", step=3.0)
    where = np.zeros((4, 4, 2))
    where[..., 0] = 1
    artery, mask = _save(where, tmp_path / "a.nii.gz"), _save(1 - where, tmp_path / "m.nii.gz")
    t1 = _save(np.full((4, 4, 2), 1.2), tmp_path / "t1.nii.gz")
    out = tmp_path / "dce"
    common = ("functional", "dce", series, "--artery", artery, "--mask", mask, "--flip", 20, "--tr",
              0.004, "--model", "tofts", "--no-overlay")  # fmt: skip
    text = _run(*common, "--t1", t1, "--out", out, "--baseline", "0:5")
    assert "Ktrans" in text
    got = read_image(out / "Ktrans.nii.gz").array[1]
    np.testing.assert_allclose(got, 0.15, rtol=1e-3)
    found = CliRunner().invoke(app, [str(w) for w in (*common, "--t1", -1, "--out", out)])
    assert isinstance(found.exception, InputError)
    assert "must be positive" in str(found.exception)


def test_uptake_writes_a_row_a_lesion(tmp_path: Path) -> None:
    values = np.ones((8, 8, 4))
    values[2:4, 2:4, 1], values[5:7, 5:7, 2] = 8.0, 3.0
    labels = np.zeros((8, 8, 4))
    labels[1:5, 1:5, 1], labels[4:8, 4:8, 2] = 1, 2
    pet, mask = _save(values, tmp_path / "pet.nii.gz"), _save(labels, tmp_path / "m.nii.gz")
    table = tmp_path / "uptake.csv"
    _run("functional", "uptake", pet, mask, "--out", table, "--region-out", tmp_path / "r.nii.gz")
    rows = pl.read_csv(table)
    assert rows["suv_max"].to_list() == [8.0, 3.0]
    assert rows["metabolic_volume_ml"].to_list() == pytest.approx([4 * 16 / 1000] * 2)
    active = read_image(tmp_path / "r.nii.gz").array
    assert sorted(np.unique(active)) == [0.0, 1.0, 2.0]


def test_series_say_what_is_missing(tmp_path: Path) -> None:
    untimed = _save(np.ones((3, 3, 2, 4)), tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match="times of the 4 frames are not stated"):
        read_series(untimed)
    with pytest.raises(InputError, match="as many rising times"):
        read_series(untimed, times_s=[0.0, 1.0, 1.0, 2.0])
    assert read_series(untimed, times_s=[0.0, 1.0, 2.0, 5.0]).array.shape == (4, 2, 3, 3)
    single = _save(np.ones((3, 3, 2)), tmp_path / "y.nii.gz")
    with pytest.raises(FormatError, match="one volume"):
        read_series(single)
    words = tmp_path / "b.bval"
    words.write_text("0 400 b800\n", encoding="utf-8")
    with pytest.raises(FormatError, match="b800"):
        read_numbers(words)
    words.write_text("# comment\n1 0 0\n0 1 0\n", encoding="utf-8")
    assert read_numbers(words).shape == (2, 3)
