"""Look at a folder: which scans, tables, molecules and genotypes lie there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from radgen.errors import FormatError, RadgenError
from radgen.io import read_table, to_numbers
from radgen.io.layout import discover
from radgen.io.states import code_states
from radgen.io.tables import BLANKS

__all__ = ["Column", "Found", "look_at"]

_VOLUME = re.compile(r"\.(nii|nii\.gz|nrrd|mha|mhd)$", re.I)
_MASK = re.compile(r"(mask|seg|label|roi|dseg|tumou?r|lesion|annotation)", re.I)
_TABLE = re.compile(r"\.(csv|tsv|txt|xlsx|parquet)(\.gz)?$", re.I)
_ID = re.compile(
    r"^(sample|subject|patient|case|participant|id)([ _-]?(id|barcode))?$|^(subject|patient)id$",
    re.I,
)
_FEATURE = re.compile(
    r"(original|wavelet|log-sigma)[-_]|_(GLCM|glcm|GLRLM|firstorder|shape)_", re.I
)
_AT_MOST = 3000
_FEW = 12


@dataclass(frozen=True, slots=True)
class Column:
    """A clinical column as it looks.

    Attributes
    ----------
    header : str
        As the file has it.
    kind : str
        "number", "binary", "category" or "text" (too many values to be a category).
    values : tuple of str
        The values of a binary column, negative and positive where words tell, or of a category.
    spellings : mapping of str to tuple of str
        Other spellings of the values of a binary column.
    missing : tuple of str
        Its words for what is not known.
    """

    header: str
    kind: str
    values: tuple[str, ...] = ()
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


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
    features : str
        A feature table.
    clinical, clinical_id : str
        The clinical table, and its id column.
    columns : list of Column
        Its other columns.
    matrices, mafs, genotypes : list of str
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
    clinical: str = ""
    clinical_id: str = ""
    columns: list[Column] = field(default_factory=list)
    matrices: list[str] = field(default_factory=list)
    mafs: list[str] = field(default_factory=list)
    genotypes: list[str] = field(default_factory=list)
    lesions: str = ""
    notes: list[str] = field(default_factory=list)


def look_at(folder: Path) -> Found:
    """Return what lies in a folder and below it (the first few thousand files)."""
    found = Found()
    names = _names(folder)
    for name in names:
        low = name.lower()
        if re.search(r"\.maf(\.gz)?$", low):
            found.mafs.append(name)
        elif low.endswith((".bed", ".pgen", ".vcf", ".vcf.gz", ".bcf", ".bgen")):
            found.genotypes.append(name)
        elif low.endswith((".gct", ".gct.gz")):
            found.matrices.append(name)
        elif _TABLE.search(low) and "/" not in name:
            _look_at_table(folder, name, found)
    if not found.scan_table:
        _look_for_scans([name for name in names if _VOLUME.search(name)], found)
        if not found.mask:
            _look_for_dicom(folder, found)
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


def _look_at_table(folder: Path, name: str, found: Found) -> None:
    try:
        table = read_table(folder / name)
    except RadgenError as error:
        found.notes.append(f"{name}: passed over ({' '.join(str(error).split())[:120]})")
        return
    if table.width < 2 or not table.height:
        return
    if _is_of_lesions(folder / name, table):
        if not found.lesions:
            found.lesions = name
            found.notes.append(f"{name}: lesions at visits, {table.height} rows")
        return
    files = [c for c in table.columns if _names_files(folder, table[c])]
    key = _id_column(table)
    if len(files) >= 2 and key and not found.scan_table:
        _scan_table(name, key, files, found)
    elif sum(bool(_FEATURE.search(c)) for c in table.columns) >= 10 and not found.features:
        found.features = name
        found.notes.append(f"{name}: a feature table of {table.height} samples")
    elif table.width > 60 or _mostly_numbers(table):
        found.matrices.append(name)
        found.notes.append(f"{name}: a molecular matrix, {table.height} x {table.width - 1}")
    elif key and not found.clinical and table[key].n_unique() == table.height:
        found.clinical, found.clinical_id = name, key
        found.columns = [_column(table[c]) for c in table.columns if c != key]
        found.notes.append(f"{name}: the clinical table, {table.height} patients")


def _is_of_lesions(path: Path, table: pl.DataFrame) -> bool:
    """Return whether a table holds lesions at visits: it says lesion and visit, and can be read."""
    words = {name.strip().lower().partition(" ")[0].partition("_")[0] for name in table.columns}
    if not ({"lesion", "tumour", "tumor"} & words and {"visit", "visitnum", "timepoint"} & words):
        return False
    from radgen.io.lesion_tables import read_lesions

    try:
        read_lesions(path)
    except RadgenError:
        return False
    return True


def _names_files(folder: Path, column: pl.Series) -> bool:
    cells = [str(cell) for cell in column.drop_nulls().to_list()[:20]]
    return bool(cells) and all(_exists(folder / cell) for cell in cells)


def _exists(path: Path) -> bool:
    try:
        return len(path.name) > 2 and path.exists() and path.name != path.parent.name
    except OSError:
        return False


def _id_column(table: pl.DataFrame) -> str:
    named = [name for name in table.columns if _ID.match(name.strip())]
    if named:
        return named[0]
    first = table.columns[0]
    texts = table[first].cast(pl.String)
    return first if texts.n_unique() == table.height and to_numbers(texts)[1] else ""


def _scan_table(name: str, key: str, files: Sequence[str], found: Found) -> None:
    masks = [column for column in files if _MASK.search(column)]
    images = [column for column in files if column not in masks]
    if not masks or not images:
        return
    found.scan_table, found.scan_id, found.mask = name, key, masks[0]
    if len(images) == 1:
        found.image = images[0]
    else:
        found.sequences = {_safe(column): column for column in images}
    found.notes.append(f"{name}: a table of scans and masks")


def _mostly_numbers(table: pl.DataFrame) -> bool:
    if table.height < 50 or table.width < 8:
        return False
    numeric = [not to_numbers(table[c].cast(pl.String))[1] for c in table.columns[1:]]
    return all(numeric)


def _column(column: pl.Series) -> Column:
    texts = [str(c).strip() for c in column.drop_nulls().to_list()]
    known = [text for text in texts if text.lower() not in BLANKS]
    values = tuple(sorted(set(known)))
    states = _states(column.name, known) if 2 <= len(values) <= _FEW else None
    if states is not None:
        return states
    if len(values) == 2:
        return Column(column.name, "binary", values)
    if known and not to_numbers(pl.Series(column.name, known))[1]:
        return Column(column.name, "number")
    if 0 < len(values) <= _FEW:
        return Column(column.name, "category", values)
    return Column(column.name, "text")


def _states(name: str, texts: list[str]) -> Column | None:
    """Return a column of two states in words, each by its commonest spelling; None if it is none.

    Words are those of `radgen.io.states`: mutant and wild-type, methylated, yes and no …
    """
    counts = Counter(texts).most_common()
    words = [text for text, _ in counts]
    try:
        coded = code_states(pl.DataFrame({name: words}), [name], what=name)[0][name]
    except FormatError:
        return None
    if not coded.dtype.is_numeric():
        return None
    pairs = list(zip(words, coded.to_list(), strict=True))
    both = [[word for word, state in pairs if state == wanted] for wanted in (0.0, 1.0)]
    if not all(both):
        return None
    others = {some[0]: tuple(some[1:]) for some in both if len(some) > 1}
    missing = tuple(word for word, state in pairs if state is None)
    return Column(name, "binary", (both[0][0], both[1][0]), others, missing)


def _look_for_scans(volumes: Sequence[str], found: Found) -> None:
    """Find a pattern for images and masks: BIDS, a folder a patient, or two folders."""
    patterns: dict[str, int] = {}
    for name in volumes:
        for pattern in _patterns(name):
            patterns[pattern] = patterns.get(pattern, 0) + 1
    best = {p: n for p, n in patterns.items() if n >= 2}
    masks = sorted((p for p in best if _MASK.search(p)), key=lambda p: (-best[p], p))
    images = sorted((p for p in best if not _MASK.search(p)), key=lambda p: (-best[p], p))
    if not masks or not images:
        return
    style = _style(masks[0])
    images = [p for p in images if _style(p) == style]
    if not images:
        return
    found.mask = masks[0]
    most = best[images[0]]
    chosen = [p for p in images if best[p] >= 0.5 * most][:6]
    if len(chosen) == 1:
        found.image = chosen[0]
    else:
        found.sequences = {_safe(_sequence(p)): p for p in chosen}
    found.notes.append(f"{len(chosen)} images each of about {most} patients, such as {chosen[0]}")


def _look_for_dicom(folder: Path, found: Found) -> None:
    """Find a pattern of DICOM folders: a folder a patient with its series and its regions."""
    layout = discover(folder)
    patterns: Counter[tuple[str, str, str]] = Counter()
    for scan in layout.scans:
        if layout.kind == "dicom" and scan.mask is not None:
            image, mask = (
                "{id}/" + "/".join(path.relative_to(folder).parts[1:])
                for path in (scan.image, scan.mask)
            )
            patterns[image, mask, scan.modality] += 1
    if not patterns:
        return
    (found.image, found.mask, found.modality), count = patterns.most_common(1)[0]
    found.notes.append(f"DICOM series of {count} patients, such as {found.image}")


def _patterns(name: str) -> list[str]:
    parts = name.split("/")
    found = []
    if len(parts) >= 2:
        head = parts[0]
        rest = "/".join(parts[1:])
        found.append("{id}/" + rest.replace(head, "{id}"))
    if len(parts) == 2:
        stem = _VOLUME.sub("", parts[1])
        ending = parts[1][len(stem) :]
        found.append(f"{parts[0]}/{{id}}{ending}")
        base, mark, tail = stem.rpartition("_")
        if mark:
            found.append(f"{parts[0]}/{{id}}_{tail}{ending}")
    if len(parts) == 1:
        stem = _VOLUME.sub("", name)
        for mark in ("_", "-"):
            base, found_mark, tail = stem.rpartition(mark)
            if found_mark and base:
                found.append(f"{{id}}{mark}{tail}{name[len(stem) :]}")
    return found


def _style(pattern: str) -> str:
    return "folder a patient" if pattern.startswith("{id}/") else "files"


def _sequence(pattern: str) -> str:
    stem = _VOLUME.sub("", pattern.rsplit("/", 1)[-1])
    return stem.replace("{id}", "").strip("_-") or stem


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "image"
