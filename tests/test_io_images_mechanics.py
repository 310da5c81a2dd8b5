"""Scans and masks come in as they are stored, or are refused with a reason."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from radgen.errors import FormatError, InputError, RadgenError, RadgenWarning
from radgen.io import read_image, read_masks, write_image, write_mask
from radgen.types import Geometry, ImageVolume, Mask

PRIVATE = ("DOE^JANE", "MRN-4711", "19500101", "1.2.826.0.1")


def _oblique(shape: tuple[int, int, int] = (4, 5, 6)) -> Geometry:
    angle = np.deg2rad(20)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.8, 0.9, 2.5])
    affine[:3, 3] = (5, -7, 11)
    return Geometry(affine, shape)


def _series(folder: Path, geometry: Geometry, values: np.ndarray, **tags: object) -> list[Path]:
    """Write a CT series with a slope, in shuffled file order, naming a patient."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for k in range(geometry.shape[0]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        item.SOPClassUID, item.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        item.PatientName, item.PatientID, item.PatientBirthDate = PRIVATE[:3]
        item.PatientSex, item.StudyDate, item.StudyTime = "F", "20200101", "120000"
        item.AccessionNumber, item.StudyID, item.ReferringPhysicianName = "", "", ""
        item.SeriesInstanceUID, item.StudyInstanceUID = series, study
        item.FrameOfReferenceUID = frame
        item.Modality, item.Manufacturer, item.ConvolutionKernel = "CT", "Maker", "B30f"
        item.SeriesNumber, item.InstanceNumber = 3, k + 1
        item.Rows, item.Columns = geometry.shape[1:]
        item.PixelSpacing = [f"{geometry.spacing_mm[1]:.6f}", f"{geometry.spacing_mm[2]:.6f}"]
        direction = geometry.direction
        item.ImageOrientationPatient = [f"{v:.10f}" for v in (*direction[:, 0], *direction[:, 1])]
        item.ImagePositionPatient = [
            f"{v:.8f}" for v in geometry.to_world(np.array([[k, 0, 0]]))[0]
        ]
        item.SliceThickness = geometry.spacing_mm[0]
        item.RescaleSlope, item.RescaleIntercept = 2, -1000
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated = item.BitsStored = 16
        item.HighBit, item.PixelRepresentation = 15, 1
        item.PixelData = ((values[k] + 1000) / 2).astype(np.int16).tobytes()
        for tag, value in tags.items():
            setattr(item, tag, value)
        path = folder / f"{(k * 7) % 11:02d}.dcm"
        item.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_volume_keeps_its_values_and_oblique_grid_in_every_format(
    tmp_path: Path, suffix: str
) -> None:
    grid = _oblique()
    image = ImageVolume(np.arange(120, dtype=np.float32).reshape(grid.shape), grid)
    write_image(image, tmp_path / f"scan{suffix}")
    again = read_image(tmp_path / f"scan{suffix}", modality="CT")
    assert np.array_equal(again.array, image.array)
    assert again.geometry.distance_mm(grid) < 1e-4
    assert (again.quantity, again.unit) == ("HU", "HU")
    mask = Mask(image.array > 60, grid, "tumour")
    write_mask(mask, tmp_path / f"mask{suffix}")
    found = read_masks(tmp_path / f"mask{suffix}", labels={"tumour": 1})["tumour"]
    assert np.array_equal(found.array, mask.array)
    found.require_on(again)


def test_nifti_and_simpleitk_agree_on_where_voxels_lie(tmp_path: Path) -> None:
    grid = _oblique()
    write_image(ImageVolume(np.zeros(grid.shape), grid), tmp_path / "a.nii.gz")
    itk = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    here = itk.TransformIndexToPhysicalPoint((3, 2, 1))
    assert np.allclose(here, grid.to_world(np.array([[1, 2, 3]]))[0], atol=1e-4)


def test_a_dicom_series_is_sorted_scaled_and_anonymous(tmp_path: Path) -> None:
    grid = _oblique((5, 4, 3))
    values = np.arange(60).reshape(grid.shape) * 2 - 1000
    _series(tmp_path / "ct", grid, values)
    (tmp_path / "ct" / "notes.txt").write_text("not an image")
    image = read_image(tmp_path / "ct")
    assert np.array_equal(image.array, values)
    assert image.geometry.distance_mm(grid) < 1e-3
    assert (image.modality, image.unit) == ("CT", "HU")
    assert image.meta["manufacturer"] == "Maker"
    assert not any(secret in str(dict(image.meta)) for secret in PRIVATE)


def test_missing_doubled_and_mixed_slices_are_refused_by_name(tmp_path: Path) -> None:
    grid = _oblique((5, 4, 3))
    values = np.zeros(grid.shape)
    paths = _series(tmp_path / "gap", grid, values)
    paths[2].unlink()
    with pytest.raises(FormatError, match=f"missing.*{paths[1].name} and {paths[3].name}"):
        read_image(tmp_path / "gap")
    paths = _series(tmp_path / "twice", grid, values)
    (tmp_path / "twice" / "copy.dcm").write_bytes(paths[2].read_bytes())
    with pytest.raises(FormatError, match="same place"):
        read_image(tmp_path / "twice")
    _series(tmp_path / "two" / "a", grid, values, SeriesDescription="thin")
    _series(tmp_path / "two" / "b", grid, values + 2, SeriesDescription="thick", SeriesNumber=4)
    with pytest.raises(InputError, match="holds 2 series") as caught:
        read_image(tmp_path / "two")
    assert "thick" in str(caught.value)
    assert "1.2.826" not in str(caught.value)
    assert read_image(tmp_path / "two", series=2).array.max() == 2


def test_broken_dicom_says_what_to_do(tmp_path: Path) -> None:
    grid = _oblique((3, 4, 3))
    paths = _series(tmp_path / "cut", grid, np.zeros(grid.shape))
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    with pytest.raises(FormatError, match="cut off"):
        read_image(tmp_path / "cut")
    paths = _series(tmp_path / "lost", grid, np.zeros(grid.shape))
    item = pydicom.dcmread(paths[0])
    del item.ImagePositionPatient
    item.save_as(paths[0])
    with pytest.raises(FormatError, match="ImagePositionPatient is missing"):
        read_image(tmp_path / "lost")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="No DICOM"):
        read_image(tmp_path / "empty")
    (tmp_path / "text.dat").write_text("hello")
    with pytest.raises(FormatError, match="Unknown image format"):
        read_image(tmp_path / "text.dat")


def test_label_maps_are_split_by_name(tmp_path: Path) -> None:
    grid = Geometry.from_spacing((2, 3, 4))
    labels = np.zeros(grid.shape, dtype=np.float32)
    labels[0, 0, 0], labels[0, 0, 1], labels[1] = 1, 2, 300
    write_image(ImageVolume(labels, grid), tmp_path / "labels.nrrd")
    named = read_masks(tmp_path / "labels.nrrd", labels={"core": [1, 2], "oedema": 300})
    assert {name: mask.n_voxels for name, mask in named.items()} == {"core": 2, "oedema": 12}
    assert set(read_masks(tmp_path / "labels.nrrd")) == {"label_1", "label_2", "label_300"}
    with pytest.raises(InputError, match=r"label 7, which no voxel has. Labels found: 1, 2, 300"):
        read_masks(tmp_path / "labels.nrrd", labels={"x": 7})
    write_image(ImageVolume(labels * 0.5, grid), tmp_path / "p.nii.gz")
    with pytest.raises(InputError, match="Threshold a probability map"):
        read_masks(tmp_path / "p.nii.gz")
    write_image(ImageVolume(np.full(grid.shape, np.nan), grid), tmp_path / "n.nii.gz")
    with pytest.raises(FormatError, match="without a value"):
        read_masks(tmp_path / "n.nii.gz")


def test_rtstruct_of_the_ibsi_phantom_is_its_label_map_voxel_for_voxel(data) -> None:
    root = data("ibsi") / "ct_phantom"
    image = read_image(root / "dicom" / "image")
    nifti = read_image(root / "image.nii.gz")
    assert np.array_equal(image.array, nifti.array)
    drawn = read_masks(root / "dicom" / "mask", reference=image)["GTV-1"]
    stored = read_masks(root / "mask.nii.gz")["region"]
    assert np.array_equal(drawn.array, stored.array)
    with pytest.raises(InputError, match="need the scan"):
        read_masks(root / "dicom" / "mask")


def test_segmentation_objects_round_trip(tmp_path: Path) -> None:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    grid = Geometry.from_spacing((4, 6, 5), (2.0, 1.0, 1.5))
    paths = _series(tmp_path / "ct", grid, np.zeros(grid.shape))
    source = sorted((pydicom.dcmread(p) for p in paths), key=lambda d: d.ImagePositionPatient[2])
    array = np.zeros((*grid.shape, 2), dtype=np.uint8)
    array[1:3, 2:5, 1:3, 0] = 1
    array[2:4, 3:6, 2:5, 1] = 1  # overlaps the first

    def describe(number: int, label: str) -> hd.seg.SegmentDescription:
        return hd.seg.SegmentDescription(
            number, label, codes.SCT.Organ, codes.SCT.Lung, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )

    seg = hd.seg.Segmentation(
        source,
        array,
        hd.seg.SegmentationTypeValues.BINARY,
        [describe(1, "core"), describe(2, "rim")],
        generate_uid(),
        9,
        generate_uid(),
        1,
        "Maker",
        "Model",
        "1",
        "0",
    )
    seg.save_as(tmp_path / "seg.dcm")
    image = read_image(tmp_path / "ct")
    masks = read_masks(tmp_path / "seg.dcm")
    for k, name in enumerate(("core", "rim")):
        placed = np.zeros(grid.shape, dtype=bool)
        index = np.rint(
            image.geometry.to_index(
                masks[name].geometry.to_world(np.argwhere(masks[name].array).astype(float))
            )
        ).astype(int)
        placed[tuple(index.T)] = True
        assert np.array_equal(placed, array[..., k] == 1)
    with pytest.raises(InputError, match="1: core, 2: rim"):
        read_masks(tmp_path / "seg.dcm", labels={"x": 5})


@pytest.mark.filterwarnings("ignore::radgen.errors.RadgenWarning")
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_truncated_and_mutated_files_are_errors_not_tracebacks(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    grid = Geometry.from_spacing((6, 7, 8))
    path = tmp_path / f"scan{suffix}"
    write_image(ImageVolume(rng.standard_normal(grid.shape).astype(np.float32), grid), path)
    good = path.read_bytes()
    cases = [good[: len(good) * k // 8] for k in range(8)]
    for _ in range(25):
        spoilt = bytearray(good)
        for place in rng.integers(0, min(len(good), 400), 4):
            spoilt[place] = rng.integers(256)
        cases.append(bytes(spoilt))
    refused = []
    for content in cases:
        path.write_bytes(content)
        try:
            read_image(path)
        except RadgenError as error:
            refused.append(error)
    assert len(refused) >= 7
    assert all(str(path) in str(e) for e in refused if isinstance(e, FormatError))


def test_two_orientations_in_one_header_are_told(tmp_path: Path) -> None:
    nifti = nib.Nifti1Image(np.zeros((4, 4, 4), dtype=np.float32), np.eye(4))
    nifti.set_qform(np.diag([1.0, 1, 1, 1]), 1)
    nifti.set_sform(np.diag([-1.0, 1, 1, 1]), 1)
    nib.save(nifti, tmp_path / "x.nii")
    with pytest.warns(RadgenWarning, match="two orientations"):
        read_image(tmp_path / "x.nii")
    series = nib.Nifti1Image(np.zeros((4, 4, 4, 3), dtype=np.float32), np.eye(4))
    nib.save(series, tmp_path / "t.nii")
    with pytest.raises(FormatError, match="no times"):
        read_image(tmp_path / "t.nii")
