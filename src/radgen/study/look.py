"""Look at a folder: which scans, tables, molecules and genotypes lie there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from radgen._core.naming import counted
from radgen.errors import RadgenError, shown
from radgen.io import read_table
from radgen.study.look_columns import Clock, Column, clocks_of, column_of
from radgen.study.look_scans import (
    MASK_NAME,
    VOLUME_NAME,
    ScanPatterns,
    dicom_patterns,
    safe_name,
    volume_patterns,
)
from radgen.study.look_tables import Matrix, Seen, is_of_lesions, matrix_of, see
from radgen.types.align import longer_barcodes

__all__ = ["Found", "Patients", "look_at"]

_TABLE = re.compile(r"\.(csv|tsv|txt|xlsx|parquet)(\.gz)?$", re.I)
_AT_MOST = 3000


@dataclass
class Patients:
    """A table with a row a patient.

    Attributes
    ----------
    path, key : str
        The file, and its id column.
    columns : list of Column
        Its other columns, without those of `clocks`.
    clocks : list of Clock
        Its times to events.
    rows : int
    """

    path: str
    key: str
    columns: list[Column]
    clocks: list[Clock]
    rows: int


@dataclass
class Found:
    """What lies in a folder; blank where there is nothing of the kind.

    Attributes
    ----------
    image, mask : str
        File patterns with {id}, or columns of `scan_table`.
    modality : str
        DICOM code, where the scans tell it.
    sequences : dict of str to str
        Pattern or column of each image, where a patient has several.
    scan_table, scan_id : str
        Table with a row a scan, and its id column.
    features, feature_id : str
        A feature table, and its id column.
    no_features : list of str
        Columns of it that are no features.
    visit : tuple of str
        Its column of visits and the first of them, where patients have several.
    region : str
        Its column of regions, where patients have several rows.
    patients : list of Patients
        Clinical tables, the largest first.
    matrices : list of Matrix
    mafs, genotypes : list of str
        Molecular and genotype files.
    lesions : str
        A table of lesions at visits, as [response] judges.
    notes : list of str
        What was found, as sentences.
    """

    image: str = ""
    mask: str = ""
    modality: str = ""
    sequences: dict[str, str] = field(default_factory=dict)
    scan_table: str = ""
    scan_id: str = ""
    features: str = ""
    feature_id: str = ""
    no_features: list[str] = field(default_factory=list)
    visit: tuple[str, str] = ("", "")
    region: str = ""
    patients: list[Patients] = field(default_factory=list)
    matrices: list[Matrix] = field(default_factory=list)
    mafs: list[str] = field(default_factory=list)
    genotypes: list[str] = field(default_factory=list)
    lesions: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[Column]:
        """Columns of all clinical tables."""
        return [column for table in self.patients for column in table.columns]

    @property
    def clocks(self) -> list[Clock]:
        """Times to events of all clinical tables."""
        return [clock for table in self.patients for clock in table.clocks]


def look_at(folder: Path) -> Found:
    """Return what lies in a folder and below it (the first few thousand files)."""
    found = Found()
    names = _names(folder)
    tables: list[Seen] = []
    for name in names:
        low = name.lower()
        if re.search(r"\.maf(\.gz)?$", low):
            found.mafs.append(name)
        elif low.endswith((".bed", ".pgen", ".vcf", ".vcf.gz", ".bcf", ".bgen")):
            found.genotypes.append(name)
        elif low.endswith((".gct", ".gct.gz")):
            found.matrices.append(Matrix(name, "expression", "", "", 0, False))
            found.notes.append(f"{name}: a molecular matrix")
        elif _TABLE.search(low) and "/" not in name:
            tables += _look_at_table(folder, name, found)
    _sort(tables, found)
    if not found.scan_table:
        known = {id_ for item in tables for id_ in item.ids}
        scans = volume_patterns([name for name in names if VOLUME_NAME.search(name)], known)
        _take_scans(scans or dicom_patterns(folder), found)
    for what, items in (("mutations", found.mafs), ("genotypes", found.genotypes)):
        found.notes += [f"{item}: {what}" for item in items[:1]]
    if not found.notes:
        found.notes.append(
            f"{folder}: no scans or tables were recognised; fill in the file by hand."
        )
    return found


def _names(folder: Path) -> list[str]:
    names: list[str] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            names.append(relative.as_posix())
        if len(names) >= _AT_MOST:
            break
    return names


def _take_scans(scans: ScanPatterns | None, found: Found) -> None:
    if scans is not None:
        found.image, found.sequences, found.mask, found.modality, note = scans
        found.notes.append(note)


def _look_at_table(folder: Path, name: str, found: Found) -> list[Seen]:
    """Return a table to be sorted later; those of lesions and of scans are taken at once."""
    try:
        table = read_table(folder / name)
    except RadgenError as error:
        found.notes.append(f"{name}: passed over ({' '.join(str(error).split())[:120]})")
        return []
    if table.width < 2 or not table.height:
        return []
    if is_of_lesions(folder / name, table):
        if not found.lesions:
            found.lesions = name
            found.notes.append(f"{name}: lesions at visits, {table.height} rows")
        return []
    seen = see(name, table)
    files = [c for c in table.columns if _names_files(folder, table[c])]
    if len(files) >= 2 and seen.key and not found.scan_table:
        _scan_table(name, seen.key, files, found)
        return []
    return [seen]


def _sort(tables: Sequence[Seen], found: Found) -> None:
    """Give each table its role; ids of patients tell how molecular matrices lie."""
    kinds = {item.name: item.kind for item in tables}
    clinical = [item for item in tables if kinds[item.name] in ("patients", "both")]
    measured = [item for item in tables if kinds[item.name] in ("features", "both")]
    people = {id_ for item in clinical for id_ in item.ids}
    measured.sort(
        key=lambda item: (
            not item.named, -len(people & set(item.ids)), -item.table.height, item.name
        )
    )  # fmt: skip
    for item in measured[:1]:
        found.features, found.feature_id = item.name, item.key
        visit, found.region = item.repeats
        if visit:
            found.visit = (visit, str(item.table[visit].drop_nulls().sort()[0]))
        found.no_features = [name for name in item.others if name in item.numbers and name != visit]
        found.notes.append(
            f"{item.name}: {len(item.features):,} image features of {item.table.height} samples"
        )
    for item in measured[1:]:
        found.notes.append(f"{item.name}: more image features, passed over ([features.table])")
    scans = {id_ for item in measured[:1] for id_ in item.ids}
    for item in sorted(clinical, key=lambda item: _rank(item, scans)):
        if scans and not _shared(item.ids, scans):
            found.notes.append(f"{item.name}: passed over (no patient of {found.features})")
        else:
            _take_patients(item, found)
    for item in tables:
        if kinds[item.name] == "matrix":
            _take_matrix(item, scans or people, found)
        elif not kinds[item.name]:
            found.notes.append(f"{item.name}: passed over (no column of sample ids was recognised)")


def _shared(ids: Sequence[str], scans: set[str]) -> int:
    """Return how many ids are of patients with scans, as they are or as longer barcodes."""
    return max(len(scans & set(ids)), len(longer_barcodes(scans, ids)))


def _rank(item: Seen, scans: set[str]) -> tuple[int, int, int, str]:
    """Return what puts the table that knows most of the samples, and has most columns, first."""
    return (-_shared(item.ids, scans), -item.table.height, -len(item.others), item.name)


def _take_matrix(item: Seen, known: set[str], found: Found) -> None:
    matrix = matrix_of(item, known)
    if matrix is None:
        found.notes.append(f"{item.name}: passed over (no column of sample ids was recognised)")
        return
    if known and not matrix.samples:
        found.notes.append(f"{item.name}: passed over (no sample of the other tables)")
        return
    found.matrices.append(matrix)
    lie = f", samples in {matrix.samples_in}" if matrix.samples_in else ""
    size = f"{item.table.height} x {item.table.width - 1}"
    found.notes.append(f"{item.name}: a molecular matrix ({matrix.layer}), {size}{lie}")


def _take_patients(item: Seen, found: Found) -> None:
    table = item.table
    columns = [column_of(table[name]) for name in item.others]
    clocks = clocks_of(table, columns)
    timed = {name for clock in clocks for name in (clock.time, clock.event)}
    taken = {column.header for column in found.columns} | {clock.name for clock in found.clocks}
    kept = [c for c in columns if c.header not in timed and c.header not in taken]
    clocks = [clock for clock in clocks if clock.name not in taken]
    if not kept and not clocks:
        return
    found.patients.append(Patients(item.name, item.key, kept, clocks, table.height))
    words = "the clinical table" if len(found.patients) == 1 else "more of the patients"
    times = f", times to {shown(clock.event for clock in clocks)}" if clocks else ""
    found.notes.append(f"{item.name}: {words}, {counted(table.height, 'row')}{times}")


def _names_files(folder: Path, column: pl.Series) -> bool:
    cells = [str(cell) for cell in column.drop_nulls().to_list()[:20]]
    return bool(cells) and all(_exists(folder / cell) for cell in cells)


def _exists(path: Path) -> bool:
    try:
        return len(path.name) > 2 and path.exists() and path.name != path.parent.name
    except OSError:
        return False


def _scan_table(name: str, key: str, files: Sequence[str], found: Found) -> None:
    masks = [column for column in files if MASK_NAME.search(column)]
    images = [column for column in files if column not in masks]
    if not masks or not images:
        return
    found.scan_table, found.scan_id, found.mask = name, key, masks[0]
    if len(images) == 1:
        found.image = images[0]
    else:
        found.sequences = {safe_name(column): column for column in images}
    found.notes.append(f"{name}: a table of scans and masks")
