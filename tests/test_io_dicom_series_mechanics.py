"""b-values, directions and times of DICOM series: vendors' tags, mixed order, gaps, conflicts."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Sequence_
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from typer.testing import CliRunner

from dicom_slices import SECRETS, slice_file
from radgen.cli.functional import app
from radgen.errors import FormatError, InputError
from radgen.functional import dce_maps, diffusion_maps
from radgen.io import read_image, read_series

ADC = 1e-3


def write_slice(path: Path, array: np.ndarray, *, z: float, **tags: Any) -> None:
    """Write a slice of an MR scan."""
    more = {"Modality": "MR", "RescaleIntercept": 0, "KVP": None, "ConvolutionKernel": None}
    slice_file(path, array, np.array([0.0, 0.0, z]), spacing=(1.0, 1.0), **(more | tags))


def _siemens(ds: Dataset, b: float, axes: np.ndarray) -> None:
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", str(int(b)))
    if b:
        block.add_new(0x0E, "FD", [float(x) for x in axes])


def _ge(ds: Dataset, b: float, axes: np.ndarray) -> None:
    block = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
    block.add_new(0x39, "IS", [int(b) + (1_000_000_000 if b else 0), 8, 0, 0])
    other = ds.private_block(0x0019, "GEMS_ACQU_01", create=True)
    for element, x in zip((0xBB, 0xBC, 0xBD), axes, strict=True):
        other.add_new(element, "DS", f"{x:.6f}")


def _philips(ds: Dataset, b: float, axes: np.ndarray) -> None:
    ds.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", float(b))
    block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    for element, x in zip((0xB0, 0xB1, 0xB2), axes, strict=True):
        block.add_new(element, "FL", float(x))


def _standard(ds: Dataset, b: float, axes: np.ndarray) -> None:
    ds.DiffusionBValue = float(b)
    if b:
        ds.DiffusionGradientOrientation = [float(x) for x in axes]


VENDORS: dict[str, Callable[[Dataset, float, np.ndarray], None]] = {
    "SIEMENS": _siemens, "GE MEDICAL SYSTEMS": _ge, "Philips": _philips, "ACME": _standard,
}  # fmt: skip
B = (0, 800, 400, 800)
AXES = np.array([[0.0, 0, 0], [1, 0, 0], [0, 0.6, 0.8], [0, 1, 0]])


def _signal(b: float, k: int) -> np.ndarray:
    return np.full((4, 5), round(1000 * np.exp(-b * ADC)) + k)


def _diffusion(folder: Path, vendor: str, mark: Callable[..., None] | None = None) -> None:
    """Write three slices of four volumes under shuffled names."""
    folder.mkdir()
    tell = mark or VENDORS[vendor]
    for v, (b, axes) in enumerate(zip(B, AXES, strict=True)):
        for k in range(3):
            number = (v * 3 + k) * 7 % 13

            def change(ds: Dataset, b: float = b, axes: np.ndarray = axes) -> None:
                tell(ds, b, axes)

            write_slice(
                folder / f"f{number:02d}.dcm", _signal(b, k), z=3.0 * k, change=change,
                Manufacturer=vendor, InstanceNumber=v * 3 + k + 1, EchoTime=80,
            )  # fmt: skip


@pytest.mark.parametrize("vendor", VENDORS)
def test_b_values_and_directions_of_each_vendor(tmp_path: Path, vendor: str) -> None:
    _diffusion(tmp_path / "dwi", vendor)
    series = read_series(tmp_path / "dwi", timed=False)
    assert series.array.shape == (4, 3, 4, 5)
    assert series.meta["b_values"] == [0, 400, 800, 800]
    np.testing.assert_allclose(
        series.meta["directions"], [[0, 0, 0], [0, 0.6, 0.8], [0, 1, 0], [1, 0, 0]], atol=1e-6
    )
    for frame, b in zip(series.array, (0, 400, 800, 800), strict=True):
        for k in range(3):
            assert (frame[k] == _signal(b, k)).all()


def test_the_map_needs_no_table(tmp_path: Path) -> None:
    _diffusion(tmp_path / "dwi", "SIEMENS")
    done = CliRunner().invoke(
        app, ["diffusion", str(tmp_path / "dwi"), "--out", str(tmp_path / "o"), "--no-overlay"]
    )
    assert done.exit_code == 0, done.output
    series = read_series(tmp_path / "dwi", timed=False)
    expected = diffusion_maps(series, b_values=[0, 400, 800, 800])["ADC"].array
    np.testing.assert_array_equal(read_image(tmp_path / "o" / "ADC.nii.gz").array, expected)
    assert np.nanmedian(expected) == pytest.approx(ADC, rel=5e-3)
    wrong = CliRunner().invoke(
        app, ["diffusion", str(tmp_path / "dwi"), "--bvals", "0,400,800,1000", "--out", "o"]
    )
    assert isinstance(wrong.exception, InputError)
    assert "header of the series states b-values 0, 400, 800, 800" in str(wrong.exception)


def test_gaps_and_conflicts_name_the_file(tmp_path: Path) -> None:
    def gap(ds: Dataset, b: float, axes: np.ndarray) -> None:
        if b != 400:
            _standard(ds, b, axes)

    _diffusion(tmp_path / "gap", "ACME", gap)
    with pytest.raises(FormatError, match=r"3 of 12 frames state no b-value: f\d\d\.dcm") as told:
        read_series(tmp_path / "gap", timed=False)
    assert not any(secret in str(told.value) for secret in SECRETS)

    def conflict(ds: Dataset, b: float, axes: np.ndarray) -> None:
        _standard(ds, b, axes)
        _siemens(ds, 1000 if b == 400 else b, axes)

    _diffusion(tmp_path / "conflict", "SIEMENS", conflict)
    with pytest.raises(FormatError, match=r"400 in \(0018,9087\) and 1000 in \(0019,100c\)"):
        read_series(tmp_path / "conflict", timed=False)

    _diffusion(tmp_path / "lost", "ACME")
    lost = next(
        p for p in sorted((tmp_path / "lost").iterdir())
        if pydicom.dcmread(p).InstanceNumber == 5
    )  # fmt: skip
    lost.unlink()
    with pytest.raises(FormatError, match="Most slices are there 4 times, but 3 at"):
        read_series(tmp_path / "lost", timed=False)


def test_a_foreign_creator_is_no_b_value(tmp_path: Path) -> None:
    def foreign(ds: Dataset, b: float, axes: np.ndarray) -> None:
        ds.private_block(0x0019, "SOMEONE ELSE", create=True).add_new(0x0C, "IS", str(int(b)))

    _diffusion(tmp_path / "dwi", "SIEMENS", foreign)
    assert "b_values" not in read_series(tmp_path / "dwi", timed=False).meta


def _dynamic(
    folder: Path,
    tags: Callable[[int, int], dict[str, Any]],
    values: Sequence_[int] = (0, 100, 200, 300),
) -> None:
    folder.mkdir()
    for t, value in enumerate(values):
        for k in range(2):
            write_slice(
                folder / f"f{(t * 2 + k) * 5 % 17:02d}.dcm", np.full((4, 5), value + k),
                z=3.0 * k, InstanceNumber=t * 2 + k + 1, FlipAngle=12, RepetitionTime=5.0,
                **({"EchoTime": 2.0} | tags(t, k)),
            )  # fmt: skip


@pytest.mark.parametrize(
    ("tags", "step"),
    [
        (lambda t, k: {"AcquisitionTime": f"1000{10 + 7 * t:02d}.50"}, 7.0),
        (lambda t, k: {"AcquisitionTime": ("235950", "000005", "000020", "000035")[t]}, 15.0),
        (lambda t, k: {"AcquisitionDateTime": f"202401011000{10 + 7 * t:02d}+0100"}, 7.0),
        (lambda t, k: {"TriggerTime": 4500.0 * t + k, "TemporalPositionIdentifier": t + 1}, 4.5),
        (lambda t, k: {"ContentTime": f"1000{10 + 9 * t:02d}", "AcquisitionTime": "100000"}, 9.0),
    ],
    ids=["acquisition", "midnight", "datetime", "trigger", "content"],
)  # fmt: skip
def test_times_of_dynamic_series(
    tmp_path: Path, tags: Callable[[int, int], dict[str, Any]], step: float
) -> None:
    _dynamic(tmp_path / "d", tags)
    series = read_series(tmp_path / "d")
    assert series.times_s is not None
    np.testing.assert_allclose(series.times_s, step * np.arange(4))
    assert [float(v[0, 0, 0]) for v in series.array] == [0, 100, 200, 300]


def test_times_that_are_missing_or_contradict(tmp_path: Path) -> None:
    _dynamic(tmp_path / "none", lambda t, k: {"AcquisitionTime": "100000"})
    with pytest.raises(InputError, match="times of the 4 frames are not stated"):
        read_series(tmp_path / "none")
    given = read_series(tmp_path / "none", times_s=[0, 5, 10, 15])
    assert [float(v[0, 0, 0]) for v in given.array] == [0, 100, 200, 300]

    _dynamic(
        tmp_path / "two",
        lambda t, k: {"AcquisitionTime": f"1000{10 + 7 * t:02d}", "TriggerTime": 3000.0 * t},
    )
    with pytest.raises(FormatError, match=r"21 s have gone by its acquisition time and 9 s by its"):
        read_series(tmp_path / "two")
    assert read_series(tmp_path / "two", times_s=[0, 5, 10, 15]).array.shape[0] == 4

    _dynamic(tmp_path / "echo", lambda t, k: {"AcquisitionTime": f"10001{t}", "EchoTime": 5.0 * t})
    with pytest.raises(FormatError, match="no points in time: they differ in echo time"):
        read_series(tmp_path / "echo")


VALUES = (500, 500, 700, 850, 800, 780, 760)


def test_flip_angle_and_repetition_come_from_the_header(tmp_path: Path) -> None:
    _dynamic(tmp_path / "d", lambda t, k: {"AcquisitionTime": f"10{t:02d}00"}, VALUES)
    run = ["dce", str(tmp_path / "d"), "--artery", "parker", "--t1", "1.2", "--baseline", "0:2"]
    done = CliRunner().invoke(app, [*run, "--out", str(tmp_path / "o"), "--no-overlay"])
    assert done.exit_code == 0, done.output
    expected = dce_maps(
        read_series(tmp_path / "d"), arterial="parker", t1=1.2, flip_deg=12, repetition_s=0.005,
        baseline=(0, 2),
    )["Ktrans"].array  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "o" / "Ktrans.nii.gz").array, expected)
    assert np.isfinite(expected).all()


def _enhanced(path: Path, frames: list[tuple[float, float, dict[str, Any]]]) -> None:
    """Write one enhanced MR file; of each frame the position, the value and its groups."""
    write_slice(path, np.zeros((4, 5)), z=0.0)
    ds = pydicom.dcmread(path)
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                "RescaleSlope", "RescaleIntercept"):  # fmt: skip
        delattr(ds, tag)
    shared, groups = Dataset(), []
    orientation, measures, values = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1.0, 0, 0, 0, 1, 0]
    measures.PixelSpacing = [1.0, 1.0]
    values.RescaleSlope, values.RescaleIntercept = 1.0, 0.0
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PixelValueTransformationSequence = Sequence([values])
    for z, _, more in frames:
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0.0, 0.0, z]
        group.PlanePositionSequence = Sequence([place])
        for name, content in more.items():
            item = Dataset()
            for tag, value in content.items():
                setattr(item, tag, value)
            setattr(group, name, Sequence([item]))
        groups.append(group)
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    ds.NumberOfFrames = len(frames)
    ds.PixelData = np.stack([np.full((4, 5), v) for _, v, _ in frames]).astype("<i2").tobytes()
    ds.save_as(path)


def test_enhanced_diffusion_and_dynamic(tmp_path: Path) -> None:
    frames = []
    for b, axes in ((800, [0.0, 0, 1]), (0, None)):
        for z in (3.0, 0.0):
            diffusion: dict[str, Any] = {"DiffusionBValue": float(b)}
            if axes:
                inner = Dataset()
                inner.DiffusionGradientOrientation = axes
                diffusion["DiffusionGradientDirectionSequence"] = Sequence([inner])
            frames.append((z, b + z, {"MRDiffusionSequence": diffusion}))
    _enhanced(tmp_path / "dwi.dcm", frames)
    series = read_series(tmp_path / "dwi.dcm", timed=False)
    assert series.meta["b_values"] == [0, 800]
    assert series.meta["directions"] == [[0, 0, 0], [0, 0, 1]]
    assert series.array[:, :, 0, 0].tolist() == [[0, 3], [800, 803]]

    frames = [
        (z, 100 * t + z, {
            "FrameContentSequence": {
                "TemporalPositionIndex": t + 1,
                "FrameAcquisitionDateTime": f"2024010110000{2 * t}.250000",
            },
            "TemporalPositionSequence": {"TemporalPositionTimeOffset": 2.0 * t},
        })
        for t in (2, 0, 1)
        for z in (0.0, 3.0)
    ]  # fmt: skip
    _enhanced(tmp_path / "dce.dcm", frames)
    series = read_series(tmp_path / "dce.dcm")
    assert series.times_s is not None
    assert series.times_s.tolist() == [0, 2, 4]
    assert series.array[:, 0, 0, 0].tolist() == [0, 100, 200]
