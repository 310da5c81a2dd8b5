"""Give `radgen extract` hostile scans and masks: each ends in a table or in a plain message.

    python verification/fuzz_scans.py 3000 [SEED]

Files of NIfTI, NRRD, MetaImage and DICOM series are cut off, flipped in some bytes, or changed
in the fields that hurt: affines of NaN, spacings that are zero, negative or infinite, sizes
that are huge, negative or zero, unknown voxel types, wild scale factors. The command runs in a
process of its own for each. Wrong are: a traceback, a signal, an exit code that is not
documented, a message that names neither file nor region, more than 20 s of work, and a table
whose volume or mean intensity is not what nibabel (NIfTI) or SimpleITK (the others) reads from
the same files.
Prints counts; exit 1 where anything is wrong.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import SimpleITK as sitk

SHAPE = (6, 9, 8)
KINDS = (".nii", ".nii.gz", ".nrrd", ".mha", "dicom")
BAD_NUMBERS = (0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e30, -3.5, 1e-30, 3.0)
BAD_SIZES = (0, -1, -6, 1, 2, 5, 7, 300, 30000, 32767)
BAD_WORDS = ("0", "-1", "nan", "inf", "1e308", "-3", "", "x", "99999999999", "1\\2", "0.5")
ELEMENTS = (
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelData",
    "SeriesInstanceUID",
    "Modality",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "InstanceNumber",
)
SETTINGS = """
families = ["morphology", "intensity_statistics", "glcm"]
discretisation = {method = "number", value = 8}
"""


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Return a scan and a mask."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 200, SHAPE).astype(np.int16)
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:5, 2:7, 1:6] = 1
    return values, mask


def write(folder: Path, name: str, array: np.ndarray, kind: str) -> Path:
    """Write an array in one format and return its path."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.5, 2.0))
    image.SetOrigin((-10.0, 5.0, 30.0))
    if kind != "dicom":
        path = folder / f"{name}{kind}"
        sitk.WriteImage(image, str(path))
        return path
    return write_series(folder / name, array)


def write_series(folder: Path, array: np.ndarray) -> Path:
    """Write a CT series with pydicom."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    series, frame, study = (generate_uid(entropy_srcs=[word]) for word in "abc")
    for number, plane in enumerate(array):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(number)])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{number}.dcm"
        one = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.SeriesInstanceUID, one.FrameOfReferenceUID, one.StudyInstanceUID = series, frame, study
        one.Modality, one.PatientID = "CT", "x"
        one.Rows, one.Columns = plane.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit, one.PixelRepresentation = 15, 1
        one.RescaleSlope, one.RescaleIntercept = 1, 0
        one.PixelSpacing, one.SliceThickness = [1.5, 1.0], 2.0
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.ImagePositionPatient = [-10.0, 5.0, 30.0 + 2.0 * number]
        one.InstanceNumber = number + 1
        one.PixelData = plane.astype("<i2").tobytes()
        pydicom.dcmwrite(path, one, enforce_file_format=True)
    return folder


def damaged_nifti(data: bytearray, rng: random.Random) -> bytearray:
    """Change a field of the header that decides geometry, size, type or scale."""
    kind = rng.randrange(6)
    if kind == 0:  # pixdim
        struct.pack_into("<f", data, 76 + 4 * rng.randrange(8), rng.choice(BAD_NUMBERS))
    elif kind == 1:  # quaternion, offsets, srow
        struct.pack_into("<f", data, 256 + 4 * rng.randrange(18), rng.choice(BAD_NUMBERS))
    elif kind == 2:  # dim
        struct.pack_into("<h", data, 40 + 2 * rng.randrange(8), rng.choice(BAD_SIZES))
    elif kind == 3:  # datatype, bitpix
        place = rng.choice((70, 72))
        struct.pack_into(
            "<h", data, place, rng.choice((0, 1, 2, 8, 16, 32, 64, 128, 512, 1536, -5))
        )
    elif kind == 4:  # vox_offset, scl_slope, scl_inter
        struct.pack_into("<f", data, 108 + 4 * rng.randrange(3), rng.choice(BAD_NUMBERS))
    else:  # form codes, units
        struct.pack_into("<h", data, rng.choice((252, 254)), rng.choice((0, 1, 2, 9, -3)))
        data[123] = rng.randrange(256)
    return data


def damaged_text(data: bytearray, rng: random.Random) -> bytearray:
    """Change one number or word of a header that is text (NRRD, MetaImage)."""
    end = data.find(b"\n\n")
    end = end if end > 0 else data.find(b"LOCAL")
    head = data[:end].decode("latin-1")
    found = list(re.finditer(r"[-+0-9.eE]+|[A-Za-z]{3,}", head))
    if not found:
        return data
    one = rng.choice(found)
    word = rng.choice((*BAD_WORDS, "gzip", "float", "short", "none", "double", "LOCAL", "big"))
    return bytearray(
        (head[: one.start()] + word + head[one.end() :]).encode("latin-1") + data[end:]
    )


def damaged_dicom(folder: Path, rng: random.Random) -> None:
    """Change or remove elements of some slices, or the slices themselves."""
    import pydicom

    files = sorted(folder.iterdir())
    chosen = files if rng.random() < 0.4 else [rng.choice(files)]
    name, what = rng.choice(ELEMENTS), rng.randrange(3)
    value = rng.choice(BAD_WORDS)
    for path in chosen:
        one = pydicom.dcmread(path)
        if what == 0 and name in one:
            del one[name]
        elif name == "PixelData":
            one.PixelData = one.PixelData[: 2 * rng.randrange(len(one.PixelData) // 2)]
        elif name in one and one[name].VR == "US":
            one[name].value = abs(rng.choice(BAD_SIZES)) % 65536
        elif name in one:
            try:
                old = one[name].value
                many = isinstance(old, pydicom.multival.MultiValue)
                one[name].value = [value, *list(old)[1:]] if many else value
            except Exception:  # noqa: BLE001  pydicom refuses the value: leave the file whole
                continue
        try:
            one.save_as(path)
        except Exception:  # noqa: BLE001  pydicom refuses to write it
            path.write_bytes(b"DICM")


def damage(path: Path, kind: str, rng: random.Random) -> None:
    """Spoil a file in one way."""
    if kind == "dicom":
        if rng.random() < 0.6:
            damaged_dicom(path, rng)
            return
        path = rng.choice(sorted(path.iterdir()))
    data = bytearray(path.read_bytes())
    packed = kind == ".nii.gz"
    if packed and rng.random() < 0.85:
        data = bytearray(gzip.decompress(bytes(data)))
    else:
        packed = False
    way = rng.random()
    if way < 0.15:
        data = data[: rng.randrange(len(data))]
    elif way < 0.35:
        reach = rng.choice((400, len(data)))
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(min(reach, len(data)))] = rng.randrange(256)
    elif kind in (".nii", ".nii.gz") and (packed or kind == ".nii"):
        data = damaged_nifti(data, rng)
    elif kind in (".nrrd", ".mha"):
        data = damaged_text(data, rng)
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(gzip.compress(bytes(data), 1) if packed else bytes(data))


class Runner:
    """Runs the command in a fresh fork of a process that has imported radgen, but no thread."""

    def __init__(self) -> None:
        self.ask, self.answer = os.pipe(), os.pipe()
        if os.fork() == 0:
            os.close(self.ask[1])
            self._serve()
            os._exit(0)
        os.close(self.ask[0])
        self.requests = os.fdopen(self.ask[1], "w")
        self.replies = os.fdopen(self.answer[0])

    def _serve(self) -> None:
        import radgen.cli.extract
        import radgen.features.files
        import radgen.io.images  # noqa: F401  children start with everything imported

        for line in os.fdopen(self.ask[0]):
            arguments, log = json.loads(line)
            child = os.fork()
            if child == 0:
                _command(arguments, log)
            _, status = os.waitpid(child, 0)
            os.write(self.answer[1], f"{os.waitstatus_to_exitcode(status)}\n".encode())

    def __call__(self, arguments: list[str], log: Path) -> tuple[int, str, float]:
        """Return exit code (negative = signal), what the command said, and seconds."""
        start = time.perf_counter()
        self.requests.write(json.dumps([arguments, str(log)]) + "\n")
        self.requests.flush()
        code = int(self.replies.readline())
        return code, log.read_text(errors="replace"), time.perf_counter() - start


def _command(arguments: list[str], log: str) -> None:
    """Run `radgen` in this process, which ends with it."""
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    signal.setitimer(signal.ITIMER_VIRTUAL, 20.0)  # busy for ever
    signal.alarm(150)  # or waiting, on a machine that does other things too
    sys.argv = ["radgen", *arguments]
    code = 99
    try:
        from radgen.cli.app import run

        run()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def independent(path: Path, kind: str) -> tuple[np.ndarray, float] | None:
    """Return voxels (z, y, x) and the volume of one, as another reader sees them."""
    try:
        if kind in (".nii", ".nii.gz"):
            image = nibabel.load(path)
            array = np.squeeze(np.asarray(image.dataobj, np.float64))
            return array.T, abs(np.linalg.det(image.affine[:3, :3]))
        if kind == "dicom":
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path))
            image = sitk.ReadImage(names)
        else:
            image = sitk.ReadImage(str(path))
        return sitk.GetArrayFromImage(image).astype(np.float64), float(np.prod(image.GetSpacing()))
    except Exception:  # noqa: BLE001  the other reader refuses the file: nothing to compare
        return None


def silent_wrong(table: Path, image: Path, mask: Path, kinds: tuple[str, str]) -> str:
    """Return how a table contradicts another reader of the same files, "" where it does not."""
    frame = pl.read_csv(table)
    scan, region = independent(image, kinds[0]), independent(mask, kinds[1])
    if scan is None or region is None or scan[0].shape != region[0].shape:
        return ""
    for name, expected in (
        ("Mean intensity", lambda inside: float(np.nanmean(scan[0][inside]))),
        ("Volume (voxel counting)", lambda inside: float(inside.sum() * scan[1])),
    ):
        for row in frame.filter(pl.col("feature") == name).iter_rows(named=True):
            label = int(re.sub(r"\D", "", row["region"]) or 1)
            inside = region[0] == label
            if not inside.any() or row["value"] is None:
                continue
            if not np.isclose(row["value"], expected(inside), rtol=1e-4, atol=1e-4):
                return f"{name} {row['value']!r}, another reader {expected(inside)!r}"
    return ""


def one_case(folder: Path, rng: random.Random, settings: Path, run: Runner) -> tuple[str, str]:
    """Return what became of one hostile pair of files, and the detail where it is wrong."""
    kinds = (rng.choice(KINDS), rng.choice(KINDS[:4]))
    values, region = arrays()
    image, mask = write(folder, "scan", values, kinds[0]), write(folder, "mask", region, kinds[1])
    hurt = rng.choice(("image", "image", "mask", "both"))
    if hurt != "mask":
        damage(image, kinds[0], rng)
    if hurt != "image":
        damage(mask, kinds[1], rng)
    out = folder / "out.csv"
    arguments = ["extract", str(image), str(mask), "--settings", str(settings), "--out", str(out)]
    code, said, seconds = run(arguments, folder / "said.txt")
    if code == -signal.SIGALRM:  # nothing was computed: other work may have held the machine
        code, said, seconds = run(arguments, folder / "said.txt")
    what = f"{kinds} {hurt}: exit {code} after {seconds:.0f} s: {said[-600:]}"
    if code < 0:
        return ("hang" if -code in {signal.SIGALRM, signal.SIGVTALRM} else "crash"), what
    if "Traceback" in said or code not in {0, 2, 3}:
        return "traceback or undocumented exit", what
    if code == 2:
        named = image.name in said or mask.name in said or "scan" in said or "Error: Mask" in said
        return ("refused", "") if named and len(said) > 40 else ("refused without the file", what)
    wrong = silent_wrong(out, image, mask, kinds)
    return ("silent wrong value", f"{what}\n    {wrong}") if wrong else ("measured", "")


def main() -> int:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    run = Runner()
    count: Counter[str] = Counter()
    told: Counter[str] = Counter()
    keep = os.environ.get("FUZZ_KEEP")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name) / "settings.toml"
        settings.write_text(SETTINGS)
        for case in range(n):
            folder = Path(name) / "case"
            folder.mkdir()
            rng = random.Random(f"{seed}-{case}")
            result, detail = one_case(folder, rng, settings, run)
            count[result] += 1
            if detail:
                told[result] += 1
                if told[result] <= 8:
                    print(f"case {case}: {result}: {detail}\n")
                if keep and told[result] <= 8:
                    shutil.copytree(folder, Path(keep) / f"{case}", dirs_exist_ok=True)
            shutil.rmtree(folder)
    print(f"{n} hostile scans (seed {seed})")
    for result, times in count.most_common():
        print(f"  {result:34}{times:7}")
    return 0 if set(count) <= {"refused", "measured"} else 1


if __name__ == "__main__":
    sys.exit(main())
