"""Radiotherapy dose: uniform and linear doses by hand, RTDOSE, change by dose."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, generate_uid
from scipy import stats
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.errors import FormatError, GeometryError, InputError
from radgen.image import (
    DoseVolume,
    complication_probability,
    dose_change,
    dose_volume,
    equivalent_dose,
    equivalent_uniform_dose,
)
from radgen.io import read_image
from radgen.types import Geometry, ImageVolume, Mask

GRID = Geometry.from_spacing((10, 20, 30), (2.0, 2.0, 3.0))


def _dose(array: np.ndarray) -> ImageVolume:
    return ImageVolume(array, GRID, modality="RTDOSE", quantity="dose", unit="Gy")


def _region(where: np.ndarray) -> Mask:
    return Mask(where, GRID, "organ")


def test_uniform_dose() -> None:
    found = dose_volume(_dose(np.full(GRID.shape, 40.0)), _region(np.ones(GRID.shape, bool)))
    row = found.summary()
    assert row["volume_ml"] == pytest.approx(10 * 20 * 30 * 12 / 1000)
    assert {row[k] for k in ("mean_gy", "min_gy", "max_gy", "D2_gy", "D98_gy")} == {40.0}
    assert (row["V30_percent"], found.volume_at(40.0), found.volume_at(40.1)) == (100, 100, 0)
    axis, share = found.curve(10.0)
    assert axis.tolist() == [0, 10, 20, 30, 40, 50]
    assert share.tolist() == [100, 100, 100, 100, 100, 0]
    for a in (-10.0, 0.5, 1.0, 30.0):
        assert equivalent_uniform_dose(found.doses, a) == pytest.approx(40.0, rel=1e-12)


def test_linear_dose() -> None:
    ramp = DoseVolume("x", np.linspace(60.0, 0.0, 60001), 1.0)
    assert ramp.dose_at(95) == pytest.approx(3.0, abs=1e-3)
    assert ramp.dose_at(2) == pytest.approx(58.8, abs=1e-3)
    assert ramp.volume_at(20.0) == pytest.approx(100 * 2 / 3, abs=2e-3)
    for a in (1.0, 2.0, 8.0):
        want = 60.0 / (a + 1) ** (1 / a)  # of a uniform law
        assert equivalent_uniform_dose(ramp.doses, a) == pytest.approx(want, rel=1e-4)
    assert equivalent_uniform_dose(ramp.doses, 200.0) > 57
    assert equivalent_uniform_dose(ramp.doses, -5.0) == 0.0


def test_complications_and_equivalent_doses_by_their_formulas() -> None:
    assert complication_probability(36.0, td50_gy=30.0, m=0.2) == pytest.approx(stats.norm.cdf(1))
    assert equivalent_dose(54.0, fractions=18, alpha_beta_gy=10.0) == pytest.approx(54 * 13 / 12)
    assert equivalent_dose(50.0, fractions=25, alpha_beta_gy=3.0) == pytest.approx(50.0)
    with pytest.raises(InputError, match="positive"):
        equivalent_dose(50.0, fractions=0, alpha_beta_gy=3.0)


def test_density_change_by_dose_is_recovered() -> None:
    rng = np.random.default_rng(0)
    dose = np.broadcast_to(np.linspace(0, 59.9, 30), GRID.shape).copy()
    before = rng.normal(-800, 20, GRID.shape)
    after = before + 2.0 * np.floor(dose / 10)
    organ = _region(rng.random(GRID.shape) < 0.5)
    rows = dose_change(
        ImageVolume(before, GRID), ImageVolume(after, GRID), _dose(dose), organ,
        edges_gy=[0, 10, 20, 30, 40, 50],
    )  # fmt: skip
    assert [row["change"] for row in rows] == pytest.approx([0, 2, 4, 6, 8, 10])
    assert sum(row["n_voxels"] for row in rows) == organ.n_voxels
    with pytest.raises(InputError, match="must rise"):
        dose_change(
            ImageVolume(before, GRID), ImageVolume(after, GRID), _dose(dose), organ, edges_gy=[5, 5]
        )


def test_regions_outside_of_the_dose_and_other_units_are_refused() -> None:
    dose = _dose(np.ones(GRID.shape))
    far = np.eye(4)
    far[:3, 3] = 25.0, 0.0, 0.0
    away = Mask(np.ones((10, 20, 30), bool), Geometry(GRID.affine + far - np.eye(4), (10, 20, 30)))
    with pytest.raises(InputError, match="outside of the dose grid"):
        dose_volume(dose, away)
    with pytest.raises(InputError, match="needed is Gy"):
        dose_volume(
            dose.with_array(dose.array, unit="relative"), _region(np.ones(GRID.shape, bool))
        )


def _rtdose(path: Path, stored: np.ndarray, offsets: list[float], **tags: object) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = RTDoseStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = RTDoseStorage, meta.MediaStorageSOPInstanceUID
    ds.SeriesInstanceUID, ds.StudyInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.DoseUnits, ds.DoseType, ds.DoseSummationType = (
        "RTDOSE",
        "GY",
        "PHYSICAL",
        "PLAN",
    )
    ds.NumberOfFrames, ds.Rows, ds.Columns = stored.shape
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-10.0, -20.0, 50.0], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.GridFrameOffsetVector = [2.0, 2.5], offsets
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.DoseGridScaling = 32, 32, 31, 0.001
    for name, value in tags.items():
        setattr(ds, name, value)
    ds.PixelData = stored.astype("<u4").tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("offsets", [[0.0, 3.0, 6.0], [50.0, 53.0, 56.0], [0.0, -3.0, -6.0]])
def test_planes_of_rtdose_lie_where_their_offsets_say(tmp_path: Path, offsets: list[float]) -> None:
    stored = np.arange(3 * 4 * 5).reshape(3, 4, 5) * 1000
    dose = read_image(_rtdose(tmp_path / "d.dcm", stored, offsets))
    assert (dose.modality, dose.quantity, dose.unit) == ("RTDOSE", "dose", "Gy")
    falling = offsets[1] < offsets[0]
    want = stored[::-1] / 1000 if falling else stored / 1000
    np.testing.assert_allclose(dose.array, want)
    lowest = 44.0 if falling else 50.0
    np.testing.assert_allclose(dose.geometry.origin_mm, [-10.0, -20.0, lowest])
    np.testing.assert_allclose(dose.geometry.spacing_mm, [3.0, 2.0, 2.5])


def test_broken_rtdose_is_an_error_not_a_dose(tmp_path: Path) -> None:
    stored = np.ones((3, 4, 5))
    with pytest.raises(FormatError, match="3 planes, 2 offsets"):
        read_image(_rtdose(tmp_path / "a.dcm", stored, [0.0, 3.0]))
    with pytest.raises((FormatError, GeometryError)):
        read_image(_rtdose(tmp_path / "b.dcm", stored, [0.0, 3.0, 7.0]))
    path = _rtdose(tmp_path / "c.dcm", stored, [0.0, 3.0, 6.0])
    header = pydicom.dcmread(path)
    del header.DoseGridScaling
    header.save_as(path)
    with pytest.raises(FormatError, match="scaling"):
        read_image(path)


def test_from_files_on_another_grid(tmp_path: Path) -> None:
    stored = np.full((3, 20, 20), 20000)
    stored[:, :, 10:] = 40000
    rtdose = _rtdose(tmp_path / "d.dcm", stored, [0.0, 3.0, 6.0])
    mask = np.zeros((20, 20, 3), np.uint8)
    mask[2:6, 4:10], mask[14:18, 4:10] = 1, 2  # voxels of 2 mm from LPS -10, -20, 50
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    affine[:3, 3] = 10.0, 20.0, 50.0
    nibabel.Nifti1Image(mask, affine).to_filename(tmp_path / "m.nii.gz")
    words = ["dose", rtdose, tmp_path / "m.nii.gz", "--out", tmp_path / "dvh.csv", "--curve",
             tmp_path / "c.csv", "--eud", 1, "--td50", 40, "--fractions", 10]  # fmt: skip
    run = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    rows = pl.read_csv(tmp_path / "dvh.csv")
    want = [20 * (2 + 3) / 5, 40 * (4 + 3) / 5]
    assert rows["mean_gy"].to_list() == pytest.approx(want)
    assert rows["uniform_gy"].to_list() == pytest.approx(want)
    assert 0 < rows["complication"][0] < 0.5 < rows["complication"][1]
    assert pl.read_csv(tmp_path / "c.csv")["volume_percent"].max() == 100
