"""DICOM series, segmentations and contours, made here so that every trap is known."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, generate_uid

from dicom_slices import SECRETS, slice_file
from radgen.errors import (
    FormatError,
    GeometryError,
    InputError,
    MissingDependencyError,
    RadgenError,
)
from radgen.io import read_image, read_masks, suv
from radgen.types import Geometry


def series(
    folder: Path, n: int = 6, *, gap: float = 2.0, oblique: bool = False, **tags: object
) -> np.ndarray:
    """Write a series with shuffled names; return its stored numbers by position."""
    folder.mkdir(parents=True, exist_ok=True)
    array = np.arange(n * 5 * 4).reshape(n, 5, 4)
    row, column = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    if oblique:
        row, column = np.array([0.8, 0.6, 0]), np.array([-0.36, 0.48, 0.8])
    normal = np.cross(row, column)
    for k in range(n):
        slice_file(
            folder / f"f{(k * 5) % 7}.dcm",
            array[k],
            np.array([10.0, 20, 30]) + k * gap * normal,
            np.concatenate([row, column]),
            **tags,
        )
    return array


def test_slices_are_sorted_by_place_and_rescaled(tmp_path: Path) -> None:
    stored = series(tmp_path / "s")
    image = read_image(tmp_path / "s")
    np.testing.assert_array_equal(image.array, stored - 1000)
    assert image.geometry.spacing_mm == pytest.approx((2.0, 0.8, 0.7))
    assert image.geometry.origin_mm == (10, 20, 30)
    assert (image.modality, image.unit) == ("CT", "HU")
    assert image.meta["kernel"] == "B40f"
    assert image.meta["kvp"] == 120.0


def test_oblique_orientation_is_kept(tmp_path: Path) -> None:
    series(tmp_path / "s", oblique=True)
    grid = read_image(tmp_path / "s").geometry
    np.testing.assert_allclose(
        grid.direction, [[0.8, -0.36, 0.48], [0.6, 0.48, -0.64], [0, 0.8, 0.6]], atol=1e-12
    )
    np.testing.assert_allclose(
        grid.to_world(np.array([[1.0, 0, 0]]))[0] - grid.origin_mm, [0.96, -1.28, 1.2], atol=1e-12
    )


def test_slope_differs_between_slices(tmp_path: Path) -> None:
    stored = series(tmp_path / "s", 3)
    file = sorted((tmp_path / "s").iterdir())[0]
    ds = pydicom.dcmread(file)
    ds.RescaleSlope = 3
    ds.save_as(file)
    image = read_image(tmp_path / "s")
    np.testing.assert_array_equal(image.array[0], stored[0] * 3 - 1000)
    np.testing.assert_array_equal(image.array[1:], stored[1:] - 1000)


def test_missing_slice_is_refused_by_name(tmp_path: Path) -> None:
    series(tmp_path / "s")
    (tmp_path / "s" / "f1.dcm").unlink()
    with pytest.raises(FormatError, match=r"missing between f3\.dcm and f6\.dcm|f5\.dcm"):
        read_image(tmp_path / "s")


def test_duplicate_slice_is_refused_by_name(tmp_path: Path) -> None:
    stored = series(tmp_path / "s")
    slice_file(tmp_path / "s" / "copy.dcm", stored[2], np.array([10.0, 20, 34]))
    with pytest.raises(FormatError, match=r"same place.*copy\.dcm"):
        read_image(tmp_path / "s")


def test_unequal_spacing_is_refused(tmp_path: Path) -> None:
    series(tmp_path / "s")
    slice_file(tmp_path / "s" / "more.dcm", np.zeros((5, 4)), np.array([10.0, 20, 43.1]))
    with pytest.raises(GeometryError, match="unequally spaced"):
        read_image(tmp_path / "s")


def test_gantry_tilt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for k in range(4):
        slice_file(tmp_path / "s" / f"{k}.dcm", np.zeros((5, 4)), np.array([0, 0.5 * k, 2.0 * k]))
    with pytest.raises(GeometryError, match="tilt"):
        read_image(tmp_path / "s")


def test_several_series_are_listed_and_chosen(tmp_path: Path) -> None:
    first = series(tmp_path / "s" / "a", 4, SeriesDescription="chest", SeriesNumber=2)
    series(
        tmp_path / "s" / "b",
        3,
        series="1.2.826.0.1.3680043.8.498.2",
        SeriesDescription="scout",
        SeriesNumber=1,
    )
    with pytest.raises(InputError, match=r"1: CT 'scout', 3 files; 2: CT 'chest', 4 files") as info:
        read_image(tmp_path / "s")
    assert not any(secret in str(info.value) for secret in SECRETS)
    for choice in (2, "chest"):
        np.testing.assert_array_equal(read_image(tmp_path / "s", series=choice).array, first - 1000)
    for wrong in (3, "brain"):
        with pytest.raises(InputError, match="There are: 1: CT"):
            read_image(tmp_path / "s", series=wrong)


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_missing_tag_is_named(tmp_path: Path, tag: str) -> None:
    series(tmp_path / "s", 3, **{tag: None})
    with pytest.raises(FormatError, match=tag):
        read_image(tmp_path / "s")


def test_compressed_pixels_say_what_to_install(tmp_path: Path) -> None:
    series(tmp_path / "s", 1)
    file = next((tmp_path / "s").iterdir())
    ds = pydicom.dcmread(file)
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    ds.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" + b"\0" * 98])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(file)
    with pytest.raises(
        (MissingDependencyError, FormatError), match="pip install pylibjpeg|pixels are broken"
    ):
        read_image(tmp_path / "s")


def test_rle_pixels_are_read(tmp_path: Path) -> None:
    stored = series(tmp_path / "s", 2)
    for file in (tmp_path / "s").iterdir():
        ds = pydicom.dcmread(file)
        ds.compress(pydicom.uid.RLELossless)
        ds.save_as(file)
    np.testing.assert_array_equal(read_image(tmp_path / "s").array, stored - 1000)


def test_nothing_identifying_leaves_the_reader(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    series(tmp_path / "s")
    image = read_image(tmp_path / "s")
    told = [str(dict(image.meta)), caplog.text]
    for spoil in ("ImagePositionPatient", "Rows"):
        file = tmp_path / "s" / "f0.dcm"
        ds = pydicom.dcmread(file)
        delattr(ds, spoil)
        ds.save_as(file)
        with pytest.raises(RadgenError) as info:
            read_image(tmp_path / "s")
        told += [str(info.value), caplog.text]
    assert not [secret for secret in SECRETS for text in told if secret in text]


def enhanced(path: Path, order: list[int]) -> np.ndarray:
    stored = np.arange(4 * 5 * 4).reshape(4, 5, 4)
    slice_file(path, stored[0], np.zeros(3))
    ds = pydicom.dcmread(path)
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(ds, tag)
    ds.RescaleSlope = ds.RescaleIntercept = None
    ds.NumberOfFrames = 4

    def item(**tags: object) -> Dataset:
        out = Dataset()
        for tag, value in tags.items():
            setattr(out, tag, value)
        return out

    shared = item(
        PixelMeasuresSequence=Sequence([item(PixelSpacing=[0.8, 0.7], SliceThickness=3.0)]),
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        PixelValueTransformationSequence=Sequence([item(RescaleSlope=2, RescaleIntercept=-5)]),
    )
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        [
            item(PlanePositionSequence=Sequence([item(ImagePositionPatient=[0, 0, 3.0 * k])]))
            for k in order
        ]
    )
    ds.PixelData = stored[order].astype("<i2").tobytes()
    ds.save_as(path)
    return stored


def test_multi_frame_is_sorted_by_place(tmp_path: Path) -> None:
    stored = enhanced(tmp_path / "e.dcm", [2, 0, 3, 1])
    image = read_image(tmp_path / "e.dcm")
    np.testing.assert_array_equal(image.array, stored * 2 - 5)
    assert image.geometry.spacing_mm == pytest.approx((3.0, 0.8, 0.7))
    assert image.meta["slice_thickness_mm"] in (2.0, 3.0)


def test_dynamic_series_has_times(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for t in range(3):
        for k in range(2):
            slice_file(
                tmp_path / "s" / f"{t}{k}.dcm",
                np.full((5, 4), 10 * t + k),
                np.array([0, 0, 2.0 * k]),
                TemporalPositionIdentifier=t + 1,
                AcquisitionTime=f"1200{t * 20:02d}.5",
            )
    image = read_image(tmp_path / "s")
    assert image.array.shape == (3, 2, 5, 4)
    np.testing.assert_allclose(image.times_s, [0, 20, 40])
    assert image.array[2, 1, 0, 0] == 21 - 1000


def test_suv_of_body_weight(tmp_path: Path) -> None:
    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = 3.5e8, 6586.2
    drug.RadiopharmaceuticalStartTime = "110000.0"
    stored = series(
        tmp_path / "s",
        Modality="PT",
        Units="BQML",
        DecayCorrection="START",
        PatientWeight=70,
        RescaleIntercept=0,
        SeriesDate="20200101",
        SeriesTime="120000",
        AcquisitionDate="20200101",
        AcquisitionTime="120000",
        RadiopharmaceuticalInformationSequence=Sequence([drug]),
    )
    image = read_image(tmp_path / "s", suv=True)
    expected = stored * 70000 / (3.5e8 * 2 ** (-3600 / 6586.2))
    np.testing.assert_allclose(image.array, expected, rtol=1e-6)
    assert (image.quantity, image.unit) == ("SUV", "g/mL")
    assert read_image(tmp_path / "s").unit == "Bq/mL"
    with pytest.raises(InputError, match="after the injection"):
        suv(1.0, weight_kg=70, dose_bq=1e8, half_life_s=6000, delay_s=-1)
    series(tmp_path / "ct")
    with pytest.raises(InputError, match="PET"):
        read_image(tmp_path / "ct", suv=True)


def seg_file(
    folder: Path, path: Path, arrays: np.ndarray, kind: str, names: tuple[str, ...]
) -> None:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    sources = sorted(
        (pydicom.dcmread(f) for f in folder.iterdir()),
        key=lambda ds: float(ds.ImagePositionPatient[2]),
    )
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=i + 1,
            segment_label=name,
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Bone,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for i, name in enumerate(names)
    ]
    hd.seg.Segmentation(
        source_images=sources,
        pixel_array=arrays,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
    ).save_as(path)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_seg_lies_on_the_scan(tmp_path: Path, kind: str) -> None:
    series(tmp_path / "s")
    image = read_image(tmp_path / "s")
    first = np.zeros((6, 5, 4), dtype=bool)
    first[1:3, 1:4, 1:3] = True
    second = np.zeros_like(first)
    second[3:5, 2:, :2] = True
    if kind != "LABELMAP":
        second[2, 2, 1:3] = True  # overlaps the first
    both = np.stack([first, second], axis=-1)
    if kind == "LABELMAP":
        pixels = (first + 2 * second).astype(np.uint8)
    else:
        pixels = both.astype(np.float32) * 0.8 if kind == "FRACTIONAL" else both.astype(np.uint8)
    seg_file(tmp_path / "s", tmp_path / "seg.dcm", pixels, kind, ("core", "rim"))
    masks = read_masks(tmp_path / "seg.dcm", reference=image)
    assert list(masks) == ["core", "rim"]
    masks["core"].require_on(image)
    np.testing.assert_array_equal(masks["core"].array, first)
    np.testing.assert_array_equal(masks["rim"].array, second)
    union = read_masks(tmp_path / "seg.dcm", labels={"all": ["core", 2]}, reference=image)
    np.testing.assert_array_equal(union["all"].array, first | second)
    with pytest.raises(InputError, match="1: core"):
        read_masks(tmp_path / "seg.dcm", labels={"x": 7}, reference=image)
    if kind == "FRACTIONAL":
        high = read_masks(tmp_path / "seg.dcm", reference=image, threshold=0.9)
        assert high["core"].n_voxels == 0


def rtstruct(path: Path, contours: list[list[np.ndarray]], names: list[str]) -> Path:
    slice_file(path, np.zeros((2, 2)), np.zeros(3))
    ds = pydicom.dcmread(path)
    del ds.PixelData
    ds.Modality = "RTSTRUCT"
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    ds.StructureSetROISequence, ds.ROIContourSequence = Sequence(), Sequence()
    for number, (name, drawn) in enumerate(zip(names, contours, strict=True), start=1):
        roi, item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        item.ReferencedROINumber = number
        item.ContourSequence = Sequence()
        for points in drawn:
            one = Dataset()
            one.ContourGeometricType = "CLOSED_PLANAR"
            one.NumberOfContourPoints = len(points)
            one.ContourData = [f"{x:.6f}" for x in np.ravel(points)]
            item.ContourSequence.append(one)
        ds.StructureSetROISequence.append(roi)
        ds.ROIContourSequence.append(item)
    ds.save_as(path)
    return path


def box(grid: Geometry, plane: int, low: float, high: float) -> np.ndarray:
    corners = np.array(
        [[plane, low, low], [plane, low, high], [plane, high, high], [plane, high, low]]
    )
    return grid.to_world(corners)


@pytest.mark.parametrize("oblique", [False, True])
def test_contours_with_holes_and_keyholes(tmp_path: Path, oblique: bool) -> None:
    row, column = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    if oblique:
        row, column = np.array([0.8, 0.6, 0]), np.array([-0.36, 0.48, 0.8])
    (tmp_path / "s").mkdir()
    for k in range(3):
        slice_file(
            tmp_path / "s" / f"{k}.dcm",
            np.zeros((12, 12)),
            2.0 * k * np.cross(row, column),
            np.concatenate([row, column]),
        )
    image = read_image(tmp_path / "s")
    grid = image.geometry
    keyhole = grid.to_world(
        np.array(
            [
                [1, y, x]
                for y, x in [
                    (0.5, 0.5), (0.5, 10.5), (10.5, 10.5), (10.5, 0.5), (0.5, 0.5),
                    (3.5, 3.5), (6.5, 3.5), (6.5, 6.5), (3.5, 6.5), (3.5, 3.5),
                ]
            ]
        )
    )  # fmt: skip
    ring = [box(grid, 1, 0.5, 10.5), box(grid, 1, 3.5, 6.5)]
    rtstruct(tmp_path / "rt.dcm", [ring, [keyhole], [box(grid, 0, 1.5, 3.5)]], ["a", "b", "c"])
    masks = read_masks(tmp_path / "rt.dcm", reference=image)
    expected = np.zeros(grid.shape, dtype=bool)
    expected[1, 1:11, 1:11] = True
    expected[1, 4:7, 4:7] = False
    np.testing.assert_array_equal(masks["a"].array, expected)
    np.testing.assert_array_equal(masks["b"].array, expected)
    assert masks["c"].n_voxels == 4
    with pytest.raises(InputError, match="reference"):
        read_masks(tmp_path / "rt.dcm")
    with pytest.raises(InputError, match="1: a, 2: b, 3: c"):
        read_masks(tmp_path / "rt.dcm", labels={"x": "d"}, reference=image)


def test_contours_of_another_scan_are_refused(tmp_path: Path) -> None:
    series(tmp_path / "s")
    image = read_image(tmp_path / "s")
    grid = image.geometry
    rtstruct(tmp_path / "a.dcm", [[box(grid, 9, 0.5, 2.5)]], ["x"])
    rtstruct(tmp_path / "b.dcm", [[box(grid, 1, 0.5, 2.5) + np.array([0, 0, 0.8])]], ["x"])
    for name in ("a.dcm", "b.dcm"):
        with pytest.raises(GeometryError, match="another"):
            read_masks(tmp_path / name, reference=image)
