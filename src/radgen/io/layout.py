"""Recognise what lies in a folder: scans, masks, tables and genotypes, and their likely roles."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from radgen._core.id_names import is_id_name
from radgen.errors import InputError, RadgenError
from radgen.io._feature_names import LONG_COLUMNS, name_spec
from radgen.io._guard import existing

__all__ = ["FoundScan", "FoundTable", "Layout", "discover"]

Role = Literal[
    "clinical", "features", "expression", "mutations", "genotypes", "gene_sets", "scans", "other"
]

_IMAGES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".csv.gz", ".tsv.gz", ".txt.gz")
_GENOTYPES = (".bed", ".pgen", ".vcf", ".vcf.gz", ".bcf", ".bgen")
_MASK_WORD = re.compile(
    r"(?:^|[_\-.\s])(?:mask|masks|label|labels|seg|segm|segmentation|roi|gtv|dseg|lesion|tumou?r|"
    r"tumou?r[_\-]?mask)\d*(?=$|[_\-.\s])",
    re.IGNORECASE,
)
_IMAGE_WORD = re.compile(
    r"(?:^|[_\-.\s])(?:image|img|scan|volume|vol)(?=$|[_\-.\s])", re.IGNORECASE
)
_MODALITIES = {
    "ct": "CT",
    "t1": "MR",
    "t1w": "MR",
    "t1c": "MR",
    "t1ce": "MR",
    "t1gd": "MR",
    "t2": "MR",
    "t2w": "MR",
    "flair": "MR",
    "dwi": "MR",
    "adc": "MR",
    "mr": "MR",
    "mri": "MR",
    "pet": "PT",
    "pt": "PT",
}
_MOST_FILES = 200_000
_OTHER_NAMES = frozenset(
    {
        "ids", "subjectids", "sampleids", "matchednormsamplebarcode", "fid", "mrn", "key", "clc",
        "scan", "scanid", "session", "sessionid", "specimen", "specimenid", "gene", "geneid",
        "genename", "genesymbol", "symbol", "hugosymbol", "entrezgeneid", "ensemblgeneid",
        "probe", "probeid", "studyid",
    }
)  # fmt: skip
"""Names of columns that name something else than a sample."""


@dataclass(frozen=True, slots=True)
class FoundScan:
    """One scan and the mask that seems to belong to it.

    Attributes
    ----------
    sample : str
        Id that the name or the folder suggests.
    image : Path
        Image file, or DICOM folder.
    mask : Path or None
        Mask file or folder; None = none found.
    name : str
        What tells several scans of one sample apart ("T1w", "ct", ""), with the session.
    modality : str
        DICOM code, "" where unknown.
    """

    sample: str
    image: Path
    mask: Path | None
    name: str
    modality: str


@dataclass(frozen=True, slots=True)
class FoundTable:
    """One table, gene set file or genotype set with its likely role.

    Attributes
    ----------
    path : Path
        The file.
    role : str
        "clinical", "features", "expression", "mutations", "genotypes", "gene_sets", "scans" or
        "other".
    id_column : str
        Column of sample ids, "" where none is recognised.
    columns : tuple of str
        The first column names.
    """

    path: Path
    role: Role
    id_column: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a folder holds.

    Attributes
    ----------
    root : Path
        The folder.
    kind : str
        "bids", "folder_per_sample", "flat", "dicom" or "tables" (no images).
    scans : tuple of FoundScan
        By sample.
    tables : tuple of FoundTable
        By path.
    notes : tuple of str
        What could not be settled, in words.
    """

    root: Path
    kind: str
    scans: tuple[FoundScan, ...]
    tables: tuple[FoundTable, ...]
    notes: tuple[str, ...]

    def of_role(self, role: str) -> tuple[FoundTable, ...]:
        """Return the tables of one role."""
        return tuple(table for table in self.tables if table.role == role)


def discover(folder: str | Path) -> Layout:
    """Return what a folder seems to hold; nothing is written and no pixel is read.

    Parameters
    ----------
    folder : str or Path
        The folder that holds the data of a study.

    Returns
    -------
    Layout
        A suggestion, to be looked at by a person: roles are told by names and headers alone.

    Raises
    ------
    FormatError
        If there is no such folder.
    InputError
        If it is a file, or holds more than 200,000 files.
    """
    root = existing(folder, what="folder", folder=True)
    if not root.is_dir():
        raise InputError(f"{root} is a file; give the folder that holds it.")
    files = _files(root)
    images = [path for path in files if _suffix(path, _IMAGES)]
    tables = [table for path in files if (table := _table(path)) is not None]
    taken = {table.path for table in tables} | set(images)
    series = _dicom_folders(files, taken)
    notes: list[str] = []
    if images:
        kind, scans = _image_layout(root, images, notes)
    elif series:
        kind, scans = "dicom", _dicom_scans(root, series, notes)
    else:
        kind, scans = "tables", []
    return Layout(
        root,
        kind,
        tuple(sorted(scans, key=lambda scan: (scan.sample, scan.name, str(scan.image)))),
        tuple(sorted(tables, key=lambda table: table.path)),
        tuple(notes),
    )


def _files(root: Path) -> list[Path]:
    found = []
    for path in root.rglob("*"):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if path.is_file():
            found.append(path)
        if len(found) > _MOST_FILES:
            raise InputError(f"{root} holds more than {_MOST_FILES} files. Point to a subfolder.")
    return sorted(found)


def _suffix(path: Path, known: Iterable[str]) -> str:
    name = path.name.lower()
    return next((s for s in sorted(known, key=len, reverse=True) if name.endswith(s)), "")


def _stem(path: Path) -> str:
    return path.name[: len(path.name) - len(_suffix(path, _IMAGES))]


def _is_mask(path: Path) -> bool:
    stem = _stem(path)
    return bool(_MASK_WORD.search(stem)) or path.parent.name.lower() in ("masks", "labels")


def _image_layout(root: Path, images: list[Path], notes: list[str]) -> tuple[str, list[FoundScan]]:
    if any(path.relative_to(root).parts[0].startswith("sub-") for path in images) or any(
        "derivatives" in path.relative_to(root).parts for path in images
    ):
        kind = "bids"
    elif all(len(path.relative_to(root).parts) > 1 for path in images) and not {
        path.relative_to(root).parts[0].lower() for path in images
    } <= {"images", "masks", "labels", "imagestr", "labelstr", "image", "label"}:
        kind = "folder_per_sample"
    else:
        kind = "flat"
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        groups[_sample(path, root, kind)].append(path)
    scans = []
    for sample, paths in groups.items():
        masks = [path for path in paths if _is_mask(path)]
        volumes = [path for path in paths if path not in masks]
        if not volumes:
            notes.append(f"{sample}: a mask, but no image.")
        for volume in volumes:
            mask = _mask_of(volume, masks)
            if mask is None:
                notes.append(
                    f"{sample}: {volume.name} has "
                    + ("several possible masks." if len(masks) > 1 else "no mask.")
                )
            name = _name(volume, sample, kind)
            scans.append(FoundScan(sample, volume, mask, name, _modality(volume)))
    return kind, scans


def _sample(path: Path, root: Path, kind: str) -> str:
    parts = path.relative_to(root).parts
    if kind == "bids":
        found = re.search(r"sub-[A-Za-z0-9]+", str(path.relative_to(root)))
        return found[0] if found else _stem(path)
    if kind == "folder_per_sample":
        return parts[0]
    stem = _IMAGE_WORD.sub("", _MASK_WORD.sub("", _stem(path)))
    stem = re.sub(r"_0000$", "", stem)
    return _drop_modality(stem.strip("_-. ")) or path.parent.name


def _drop_modality(stem: str) -> str:
    parts = re.split(r"([_\-.\s])", stem)
    while len(parts) > 2 and parts[-1].lower() in _MODALITIES:
        parts = parts[:-2]
    return "".join(parts)


def _mask_of(volume: Path, masks: list[Path]) -> Path | None:
    if len(masks) == 1:
        return masks[0]
    words = _words(volume)
    session = next((word for word in words if word.startswith("ses-")), "")
    same = [mask for mask in masks if not session or session in _words(mask)]
    if len(same) == 1:
        return same[0]
    scores = sorted(((len(words & _words(mask)), mask) for mask in same), reverse=True)
    if scores and (len(scores) == 1 or scores[0][0] > scores[1][0]):
        return scores[0][1]
    return None


def _words(path: Path) -> set[str]:
    return {word for word in re.split(r"[_.\s]", _stem(path).lower()) if word}


def _name(volume: Path, sample: str, kind: str) -> str:
    stem = _stem(volume)
    if kind == "bids":
        session = re.search(r"ses-[A-Za-z0-9]+", str(volume))
        suffix = stem.split("_")[-1]
        return f"{session[0]}_{suffix}" if session else suffix
    return _IMAGE_WORD.sub("", stem.replace(sample, "", 1)).strip("_-. ")


def _modality(volume: Path) -> str:
    words = re.split(r"[_\-.\s]", _stem(volume).lower())
    return next((_MODALITIES[word] for word in reversed(words) if word in _MODALITIES), "")


def _dicom_folders(files: list[Path], taken: set[Path]) -> dict[Path, str]:
    """Return folder -> modality of the folders that hold DICOM files."""
    first: dict[Path, Path] = {}
    for path in files:
        if path in taken or path.parent in first or path.name.upper() == "DICOMDIR":
            continue
        try:
            with path.open("rb") as stream:
                if stream.read(132)[128:] == b"DICM":
                    first[path.parent] = path
        except OSError:
            continue
    if not first:
        return {}
    from radgen.io.dicom import scan_folder

    found = {}
    for folder, path in first.items():
        try:
            found[folder] = str(scan_folder(path)[0].header.get("Modality", ""))
        except RadgenError:
            found[folder] = ""
    return found


def _dicom_scans(root: Path, series: dict[Path, str], notes: list[str]) -> list[FoundScan]:
    groups: dict[str, list[Path]] = defaultdict(list)
    for folder in series:
        parts = folder.relative_to(root).parts
        groups[parts[0] if len(parts) > 1 or len(series) > 2 else root.name].append(folder)
    scans = []
    for sample, folders in groups.items():
        masks = [folder for folder in folders if series[folder] in ("SEG", "RTSTRUCT")]
        volumes = [folder for folder in folders if folder not in masks]
        for folder in volumes:
            mask = masks[0] if len(masks) == 1 else None
            if mask is None:
                notes.append(
                    f"{sample}: {folder.name} has "
                    + ("several segmentations." if masks else "no segmentation.")
                )
            name = folder.name if len(volumes) > 1 else ""
            scans.append(FoundScan(sample, folder, mask, name, series[folder]))
    return scans


def _table(path: Path) -> FoundTable | None:
    name = path.name.lower()
    if _suffix(path, _GENOTYPES):
        return FoundTable(path, "genotypes", "", ())
    if name.endswith((".gmt", ".gmt.gz")):
        return FoundTable(path, "gene_sets", "", ())
    if name.endswith((".gct", ".gct.gz")):
        return FoundTable(path, "expression", "", ())
    if name.endswith((".maf", ".maf.gz")):
        return FoundTable(path, "mutations", "Tumor_Sample_Barcode", ())
    if not _suffix(path, _TABLES):
        return None
    header = _header(path)
    if len(header) < 2:
        return FoundTable(path, "other", "", tuple(header))
    key = next((column for column in header if _names_something(column)), "")
    return FoundTable(path, _role(path, header), key, tuple(header[:20]))


def _header(path: Path) -> list[str]:
    """Return the column names of a table without reading all of it; [] where it has none."""
    from radgen.io._delimited import decode, sniff

    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".xlsx")):
            from radgen.io.tables import read_table

            return read_table(path).columns
        data = _first_bytes(path)
        text = decode(data, path).replace("\r", "")
    except (RadgenError, OSError, EOFError):
        return []
    lines = [line for line in text.split("\n") if not line.startswith("#")]
    if not lines or not lines[0].strip():
        return []
    return [cell.strip().strip('"') for cell in lines[0].split(sniff("\n".join(lines[:3])))]


def _first_bytes(path: Path) -> bytes:
    import gzip

    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as stream:
        data: bytes = stream.read(1 << 20)
    cut = data.rfind(b"\n")
    return data[:cut] if cut > 0 else data


def _role(path: Path, header: list[str]) -> Role:
    name = path.name.lower()
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()) for column in header}
    specs = sum(bool(name_spec(column)["family"]) for column in header)
    if {"Hugo_Symbol", "Tumor_Sample_Barcode"} <= set(header):
        return "mutations"
    if set(LONG_COLUMNS) <= set(header) or specs >= max(3, len(header) // 4):
        return "features"
    if {"image", "mask"} <= plain:
        return "scans"
    if re.search(r"mutat|somatic", name):
        return "mutations"
    if re.search(r"rna|express|fpkm|tpm|counts", name):
        return "expression"
    if re.search(r"radiomic|feature|imaging", name):
        return "features"
    if re.search(r"clinical|outcome|survival|patient|demograph|meta", name):
        return "clinical"
    if plain & {"age", "sex", "gender", "osdays", "os", "event", "timedays", "survival", "grade"}:
        return "clinical"
    if len(header) > 200 and re.sub(r"[^a-z0-9]", "", header[0].lower()) in (
        "gene",
        "genesymbol",
        "hugosymbol",
        "genename",
        "symbol",
    ):
        return "expression"
    return "other"


def _names_something(name: str) -> bool:
    return is_id_name(name) or re.sub(r"[^a-z0-9]", "", name.lower()) in _OTHER_NAMES
