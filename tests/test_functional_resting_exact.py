"""Resting-state fMRI: sines of known size, Kendall's W by its definition, correlations."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pytest
from scipy import stats
from typer.testing import CliRunner

from radgen import functional as fn
from radgen.cli.app import app
from radgen.errors import InputError
from radgen.io import read_image
from radgen.io.sample_table import read_sample_table
from radgen.types import Geometry, ImageVolume, Mask

TIMES = 2.0 * np.arange(200)


def _sine(hertz: float, size: float) -> np.ndarray:
    return size * np.sin(2 * np.pi * hertz * TIMES + 0.4)


def test_amplitudes_of_sines() -> None:
    curve = _sine(0.02, 3.0) + _sine(0.05, 1.0) + _sine(0.2, 4.0)  # whole periods in 400 s
    alff, falff = fn.fluctuation_amplitude(curve[None], repetition_s=2.0)
    n_bins = int(((np.fft.rfftfreq(200, 2.0) >= 0.01) & (np.fft.rfftfreq(200, 2.0) <= 0.08)).sum())
    assert alff[0] == pytest.approx(4.0 / n_bins, rel=1e-10)
    assert falff[0] == pytest.approx(0.5, rel=1e-10)
    assert np.isnan(fn.fluctuation_amplitude(np.ones((1, 200)), repetition_s=2.0)[1][0])


def test_trends_and_confounds_are_taken_away_within_the_band() -> None:
    rng = np.random.default_rng(0)
    motion = rng.normal(size=(200, 3))
    slow = _sine(0.03, 1.0)
    curve = slow + 500 + 0.3 * np.arange(200) + motion @ [2.0, -1.0, 0.5]
    clean = fn.cleaned_curves(curve[None], repetition_s=2.0, confounds=motion)[0]
    design = np.column_stack([np.ones(200), np.arange(200), motion])
    want = slow - design @ np.linalg.lstsq(design, slow, rcond=None)[0]
    np.testing.assert_allclose(clean, want, atol=1e-9)
    band = fn.cleaned_curves(curve[None], repetition_s=2.0, confounds=motion, band_hz=(0.01, 0.08))[
        0
    ]
    power = np.abs(np.fft.rfft(band)) ** 2
    outside = np.fft.rfftfreq(200, 2.0) > 0.081
    assert power[outside].sum() < 1e-18 * power.sum()
    assert np.corrcoef(band, slow)[0, 1] > 0.9


@pytest.mark.parametrize(("neighbours", "reach"), [(7, 1), (19, 2), (27, 3)])
def test_homogeneity_is_kendalls_w(neighbours: int, reach: int) -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(size=60)
    array = rng.normal(size=(60, 5, 6, 4)) + shared[:, None, None, None]
    where = np.ones((5, 6, 4), dtype=bool)
    where[0, :2] = False
    geometry = Geometry.from_spacing((5, 6, 4), (3.0, 3.0, 3.0))
    series = ImageVolume(array, geometry, modality="MR", times_s=np.arange(60.0))
    got = fn.regional_homogeneity(series, Mask(where, geometry), neighbours=neighbours)  # type: ignore[arg-type]
    for value, voxel in zip(got, np.argwhere(where), strict=True):
        near = [
            array[:, *other] for other in np.argwhere(where)
            if np.abs(other - voxel).max() <= 1 and np.abs(other - voxel).sum() <= reach
        ]  # fmt: skip
        if len(near) < neighbours / 2:
            assert np.isnan(value)
            continue
        chi2 = stats.friedmanchisquare(*np.array(near).T[:, :, None].squeeze(-1)).statistic
        assert value == pytest.approx(chi2 / (len(near) * 59), rel=1e-9)


def test_correlations_equal_numpy_and_constant_regions_are_unknown() -> None:
    rng = np.random.default_rng(2)
    curves = np.vstack([rng.normal(size=(3, 50)), np.full(50, 7.0)])
    found = fn.region_correlations(curves, ("a", "b", "c", "flat"))
    np.testing.assert_allclose(found.r[:3, :3], np.corrcoef(curves[:3]), rtol=1e-12)
    assert found.traits()["a~b"] == pytest.approx(np.arctanh(np.corrcoef(curves[:2])[0, 1]))
    assert np.isnan(found.traits()["a~flat"])
    assert len(found.traits()) == 6


def test_maps_and_correlations_from_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frames = rng.normal(size=(6, 5, 4, 100)) + 1000
    frames[:3] += 3 * np.sin(2 * np.pi * 0.04 * 2.0 * np.arange(100))
    image = nibabel.Nifti1Image(frames.astype(np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    image.to_filename(tmp_path / "rest.nii.gz")
    labels = np.ones((6, 5, 4), dtype=np.int16)
    labels[3:] = 2
    nibabel.Nifti1Image(labels, image.affine).to_filename(tmp_path / "atlas.nii.gz")
    (tmp_path / "confounds.tsv").write_text(
        "trans_x\tdvars\n" + "\n".join(f"{x:.4f}\t{'n/a' if i == 0 else abs(x):}"
        for i, x in enumerate(rng.normal(size=100))) + "\n", encoding="utf-8",
    )  # fmt: skip
    words = ["functional", "resting", tmp_path / "rest.nii.gz", "--regions",
             tmp_path / "atlas.nii.gz", "--confounds", tmp_path / "confounds.tsv", "--out",
             tmp_path / "out", "--no-overlay"]  # fmt: skip
    run = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    assert "taken as 0: dvars" in run.output
    falff = read_image(tmp_path / "out" / "fALFF.nii.gz").array
    homogeneity = read_image(tmp_path / "out" / "ReHo.nii.gz").array
    assert np.nanmin(falff[:, :, :3]) > np.nanmax(falff[:, :, 3:])
    assert np.nanmedian(homogeneity[:, :, :3]) > 2 * np.nanmedian(homogeneity[:, :, 3:])
    assert pl.read_csv(tmp_path / "out" / "correlations.csv").height == 1
    table = (tmp_path / "confounds.tsv").read_text("utf-8")
    (tmp_path / "confounds.tsv").write_text(table.replace("n/a", "#NAME?", 1), encoding="utf-8")
    bad = CliRunner().invoke(app, [str(w) for w in words])
    assert "#NAME? in dvars" in str(bad.exception)


def test_bands_and_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="holds no frequency"):
        fn.fluctuation_amplitude(np.ones((1, 200)), repetition_s=2.0, band_hz=(0.3, 0.4))
    with pytest.raises(InputError, match="leave nothing"):
        fn.cleaned_curves(np.ones((1, 5)), repetition_s=2.0, confounds=np.eye(5))
    geometry = Geometry.from_spacing((2, 2, 2), (1.0, 1.0, 1.0))
    whole = Mask(np.ones((2, 2, 2), dtype=bool), geometry)
    with pytest.raises(InputError, match="7, 19 or 27"):
        fn.regional_homogeneity(np.ones((8, 5)), whole, neighbours=8)  # type: ignore[arg-type]


def test_tables_of_freesurfer_know_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "aseg.tsv"
    path.write_text("Measure:volume\tLeft-Hippocampus\n001\t4000.5\n002\t3900\n", "utf-8")
    table = read_sample_table(path)
    assert table["Measure:volume"].to_list() == ["001", "002"]
    assert table["Left-Hippocampus"].to_list() == [4000.5, 3900.0]
