"""Broken input is always a RadgenError that names the file: never a traceback, never a value."""

from __future__ import annotations

import gzip
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from radgen.errors import FormatError, InputError, RadgenError, RadgenWarning
from radgen.io import read_image, read_masks, write_image, write_mask
from radgen.types import Geometry, ImageVolume, Mask

GRID = Geometry.from_spacing((5, 6, 7), (2.0, 1.0, 1.0))
FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")


def volume() -> ImageVolume:
    rng = np.random.default_rng(1)
    return ImageVolume(rng.normal(size=GRID.shape).astype(np.float32), GRID)


def read_or_refuse(read: Callable[[], object], path: Path) -> object | None:
    """Return what was read, or None after an error that names the file."""
    told = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RadgenWarning)
        try:
            return read()
        except RadgenError as error:
            told = str(error)
    assert path.name in told or path.parent.name in told, told
    assert len(told) > 30
    return None


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_image_is_refused_at_every_length(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    write_image(volume(), whole)
    data = whole.read_bytes()
    path = tmp_path / f"cut{suffix}"
    for length in sorted({0, 1, 2, 10, 100, 200, 347, 348, 352, *range(0, len(data) - 8, 53)}):
        if length >= len(data) - 8:
            continue
        path.write_bytes(data[:length])
        assert read_or_refuse(lambda: read_image(path), path) is None, length
        assert read_or_refuse(lambda: read_masks(path), path) is None, length


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_mutated_image_never_escapes(tmp_path: Path, suffix: str, capfd) -> None:
    whole = tmp_path / f"whole{suffix}"
    write_image(volume(), whole)
    data = whole.read_bytes()
    path = tmp_path / f"mutated{suffix}"
    rng = random.Random(5)
    for _ in range(60):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 3, 10))):
            changed[rng.randrange(min(len(changed), 400))] = rng.randrange(256)
        path.write_bytes(bytes(changed))
        read_or_refuse(lambda: read_image(path), path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [*FORMATS, ".dcm"])
def test_wrong_content_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"wrong{suffix}"
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, 3000, dtype=np.uint8).tobytes()
    for content in (
        noise,
        b"PK\x03\x04" + noise,
        b"\x1f\x8b" + noise,
        b"\0" * 500,
        b"PAR1" + noise,
    ):
        path.write_bytes(content)
        assert read_or_refuse(lambda: read_image(path), path) is None
    with pytest.raises(FormatError, match="No such"):
        read_image(tmp_path / f"none{suffix}")


def test_header_that_promises_too_much(tmp_path: Path) -> None:
    import nibabel

    path = tmp_path / "huge.nii.gz"
    header = nibabel.Nifti1Header()
    header.set_data_shape((3000, 3000, 100))
    header.set_data_dtype(np.float64)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header.set_sform(np.eye(4), 1)
    path.write_bytes(gzip.compress(header.binaryblock + b"\0" * 1000))
    with pytest.raises(FormatError, match="cannot hold"):
        read_image(path)
    header.set_data_shape((30000, 30000, 100))
    path.write_bytes(gzip.compress(header.binaryblock + b"\0" * 1000))
    with pytest.raises(FormatError, match="GiB"):
        read_image(path)
    nrrd = tmp_path / "huge.nrrd"
    nrrd.write_bytes(
        b"NRRD0004\ntype: float\ndimension: 3\nsizes: 100000 100000 1000\nencoding: raw\n\n1234"
    )
    with pytest.raises(FormatError, match="GiB|cut off"):
        read_image(nrrd)


@pytest.mark.parametrize("number", ["1e308", "inf", "nan", "-2e9"])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_grids_that_no_scan_has_are_refused_at_once(
    tmp_path: Path, suffix: str, number: str
) -> None:
    """ITK looks for the orientation of some of these for ever."""
    path = tmp_path / f"far{suffix}"
    write_image(volume(), path)
    data = path.read_bytes()
    fields = [b"space directions: (", b"space origin: ("]
    if suffix == ".mha":
        fields = [b"TransformMatrix = ", b"Offset = ", b"ElementSpacing = "]
    for field in fields:
        start = data.index(field) + len(field)
        end = min(data.find(mark, start) for mark in (b",", b" ", b"\n") if mark in data[start:])
        path.write_bytes(data[:start] + number.encode() + data[end:])
        with pytest.raises(FormatError, match=r"far.*grid is unusable"):
            read_image(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["<i2", ">i2", "<u1", "<f4"])
def test_stored_numbers_are_scaled(tmp_path: Path, suffix: str, kind: str) -> None:
    import nibabel

    stored = np.random.default_rng(2).integers(0, 200, GRID.shape).astype(kind)
    header = nibabel.Nifti1Header(endianness=kind[0].replace("|", "<"))
    header.set_data_dtype(stored.dtype)
    image = nibabel.Nifti1Image(stored.T, np.eye(4), header)
    image.header.set_slope_inter(0.25, -1000.0)
    path = tmp_path / f"scaled{suffix}"
    image.to_filename(path)
    # nibabel writes what gives these values back; put the stored ones under the scale instead
    packed = suffix.endswith("gz")
    opened = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    whole = opened[: len(opened) - stored.nbytes] + stored.tobytes()
    path.write_bytes(gzip.compress(whole) if packed else whole)
    np.testing.assert_array_equal(read_image(path).array, stored * 0.25 - 1000.0)


def mask_file(path: Path, array: np.ndarray) -> Path:
    import nibabel

    nibabel.Nifti1Image(array.T, np.eye(4)).to_filename(path)
    return path


def test_wrong_masks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.nii.gz"
    base = np.zeros(GRID.shape, dtype=np.float32)
    base[1:3, 2:4, 2:5] = 1
    for value, match in ((0.5, "nearest neighbour"), (-1, "negative"), (np.nan, "NaN")):
        wrong = base.copy()
        wrong[1, 1, 1] = value
        with pytest.raises(RadgenError, match=match):
            read_masks(mask_file(path, wrong))
    with pytest.raises(FormatError, match="empty"):
        read_masks(mask_file(path, base * 0))
    many = np.arange(base.size, dtype=np.int16).reshape(base.shape)
    with pytest.raises(FormatError, match="looks like an image"):
        read_masks(mask_file(path, many))
    assert read_masks(path, labels={"x": 205})["x"].n_voxels == 1
    mask_file(path, base)
    with pytest.raises(InputError, match="Labels found: 1"):
        read_masks(path, labels={"tumour": 4})
    for wrong_label in ({"x": 0}, {"x": -1}, {"x": True}, {"x": 1.5}, {"x": []}, {}):
        with pytest.raises(InputError):
            read_masks(path, labels=wrong_label)


def test_a_mask_on_another_grid_is_not_moved(tmp_path: Path) -> None:
    write_mask(
        Mask(np.ones((5, 6, 7), bool), Geometry.from_spacing((5, 6, 7))), tmp_path / "m.nrrd"
    )
    mask = read_masks(tmp_path / "m.nrrd", reference=volume())["region"]
    assert mask.geometry.spacing_mm == (1, 1, 1)
    with pytest.raises(RadgenError, match="grids differ"):
        mask.require_on(volume())


def test_garbage_among_dicom_is_refused(tmp_path: Path) -> None:
    from test_io_dicom_mechanics import series

    series(tmp_path / "s")
    data = (tmp_path / "s" / "f3.dcm").read_bytes()
    file = tmp_path / "s" / "f3.dcm"
    for length in (0, 100, 132, 140, 400, len(data) // 2, len(data) - 20):
        file.write_bytes(data[:length])
        assert read_or_refuse(lambda: read_image(tmp_path / "s"), tmp_path / "s" / "f3.dcm") is None
    rng = random.Random(2)
    good = data
    for _ in range(60):
        changed = bytearray(good)
        for _ in range(5):
            changed[rng.randrange(132, len(changed))] = rng.randrange(256)
        file.write_bytes(bytes(changed))
        read_or_refuse(lambda: read_image(tmp_path / "s"), tmp_path / "s")
    (tmp_path / "none").mkdir()
    with pytest.raises(FormatError, match="No DICOM"):
        read_image(tmp_path / "none")
    assert pydicom.config.settings.reading_validation_mode is not None
