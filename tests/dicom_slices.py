"""Single DICOM slices for tests, full of secrets that must not come out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

__all__ = ["SECRETS", "slice_file"]

SECRETS = ("SECRET^NAME", "SECRET-ID-77", "19511231", "SECRETHOSPITAL", "1.2.826.0.1.3680043.8.498")
_STUDY = generate_uid()
_FRAME = generate_uid()


def slice_file(  # noqa: PLR0917
    path: Path,
    array: np.ndarray,
    position: np.ndarray,
    orientation: np.ndarray | None = None,
    spacing: tuple[float, float] = (0.8, 0.7),
    series: str = "1.2.826.0.1.3680043.8.498.1",
    change: Callable[[FileDataset], None] | None = None,
    **tags: object,
) -> Path:
    """Write one slice of a CT, or of what `tags` make of it, and return its file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = series, _STUDY, _FRAME
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = SECRETS[:3]
    ds.PatientSex, ds.StudyID, ds.AccessionNumber = "F", "", ""
    ds.StudyDate, ds.StudyTime, ds.ReferringPhysicianName = "20200101", "120000", ""
    ds.InstitutionName = SECRETS[3]
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "ACME", "One"
    ds.KVP, ds.ConvolutionKernel, ds.SliceThickness = 120, "B40f", 2.0
    ds.Rows, ds.Columns = array.shape
    ds.ImagePositionPatient = [float(x) for x in position]
    orientation = np.array([1, 0, 0, 0, 1, 0]) if orientation is None else orientation
    ds.ImageOrientationPatient = [float(x) for x in orientation]
    ds.PixelSpacing = list(spacing)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1000
    ds.InstanceNumber, ds.SeriesNumber = 1, 1
    for tag, value in tags.items():
        if value is None:
            delattr(ds, tag)
        else:
            setattr(ds, tag, value)
    if change is not None:
        change(ds)
    ds.PixelData = array.astype("<i2").tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path
