"""Lesions measured from masks of successive visits, as a table that RECIST 1.1 can judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.naming import counted, did_you_mean
from radgen._core.progress import progress
from radgen.errors import InputError, shown
from radgen.image.caliper import Plane, slice_diameters
from radgen.io import read_image
from radgen.io.masks import read_labelled_masks
from radgen.phenotype.response.rules import MEASURABLE_MM
from radgen.types import Mask, to_polars
from radgen.types._frame import FrameLike

__all__ = ["MEASURED_COLUMNS", "MeasuredLesions", "joined_lesions", "measure_lesions"]

MEASURED_COLUMNS = {
    "sample": pl.String, "lesion": pl.String, "role": pl.String, "visit": pl.Float64,
    "day": pl.Float64, "node": pl.Boolean, "diameter_mm": pl.Float64, "state": pl.String,
    "longest_mm": pl.Float64, "short_mm": pl.Float64, "volume_ml": pl.Float64,
    "slice": pl.Int64, "slice_mm": pl.Float64, "parts": pl.Int64, "label": pl.String,
}  # fmt: skip
_MOST_TARGETS = 5
_THICK_MM = 5.0


@dataclass(frozen=True, eq=False)
class MeasuredLesions:
    """Diameters of lesions at every visit.

    Attributes
    ----------
    table : polars.DataFrame
        A row a lesion and visit: columns of `assess_response`, and ``longest_mm, short_mm,
        volume_ml, slice, slice_mm, parts, label``. `diameter_mm` is the longest diameter, of lymph
        nodes the short axis, 0 where a scan was segmented and the lesion is not on it.
    notes : tuple of str
        What a reader must know: roles that were chosen, thick slices, lesions in pieces.
    chosen : tuple of str
        Patients with lesions whose role was not given.
    """

    table: pl.DataFrame
    notes: tuple[str, ...]
    chosen: tuple[str, ...] = ()


def joined_lesions(parts: Iterable[MeasuredLesions]) -> MeasuredLesions:
    """Return the lesions of several groups of patients as one table, with the notes of all.

    Parameters
    ----------
    parts : iterable of MeasuredLesions
        Of different patients.

    Returns
    -------
    MeasuredLesions
        Empty without parts.
    """
    items = list(parts)
    table = pl.concat([pl.DataFrame(schema=MEASURED_COLUMNS), *(_ordered(i.table) for i in items)])
    chosen = tuple(sample for item in items for sample in item.chosen)
    return MeasuredLesions(table, (*_summed(list(chosen)), *_warned(table)), chosen)


def _ordered(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(pl.col(name).cast(kind) for name, kind in MEASURED_COLUMNS.items())


@dataclass(frozen=True)
class _Known:
    """What is declared of a lesion."""

    lesion: str
    role: str | None
    node: bool


def measure_lesions(
    scans: FrameLike | Iterable[Mapping[str, Any]],
    lesions: FrameLike | None = None,
    *,
    plane: Plane = "axial",
    folder: str | Path = ".",
) -> MeasuredLesions:
    """Return the diameters of every lesion at every visit, from masks.

    Parameters
    ----------
    scans : data frame or iterable of mapping
        ``sample, visit, mask`` (a label map, DICOM SEG or RTSTRUCT), ``day`` from baseline where it
        is known, ``image`` where the mask needs it (RTSTRUCT). A row a scan.
    lesions : data frame or None
        Which label is which lesion: ``label`` (value or segment name), ``lesion``, and, where
        wanted, ``sample`` and ``visit`` (blank = all), ``role`` (target, non-target, new) and
        ``node``. None = a label is the same lesion at all visits of a patient.
    plane : {"axial", "coronal", "sagittal"}
        In which diameters are measured.
    folder : str or Path
        Where relative paths start.

    Returns
    -------
    MeasuredLesions
        `assess_response` takes its table.

    Raises
    ------
    InputError
        If a column is missing, a visit of a patient stands twice, or a mask holds a label that
        `lesions` does not name.
    FormatError
        If a file cannot be read.

    Notes
    -----
    Roles that are not given: lesions seen first after baseline are new; at baseline the five
    largest of measurable size (10 mm, twice the distance of slices where that is above 5 mm, nodes
    15 mm in the short axis) are targets, the others non-target. RECIST 1.1 takes two an organ at
    most, which a mask does not tell. A lesion is gone (0 mm) where the scan has a mask without it;
    a visit without a row was not assessed. Growth of a non-target lesion is never called
    unequivocal.

    References
    ----------
    Eisenhauer et al. 2009, doi:10.1016/j.ejca.2008.10.026, sections 3 and 4.
    """
    records = _scans(scans)
    known = _declared(lesions)
    base = Path(folder)
    rows: list[dict[str, Any]] = []
    cohort: dict[str, list[dict[str, Any]]] = {}
    with progress("Measuring lesions", len(records)) as tick:
        for record in records:
            cohort.setdefault(record["sample"], []).append(record)
            record["found"] = _measured(record, known, base, plane)
            tick(1)
    notes: list[str] = []
    for sample, visits in cohort.items():
        rows += _patient(sample, sorted(visits, key=lambda row: row["visit"]), notes)
    table = pl.DataFrame(rows, schema=MEASURED_COLUMNS)
    return MeasuredLesions(table, (*_summed(notes), *_warned(table)), tuple(notes))


def _scans(scans: FrameLike | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    frame = (
        to_polars(scans, what="table of scans")  # type: ignore[arg-type]
        if hasattr(scans, "columns")
        else pl.DataFrame([dict(row) for row in scans])  # type: ignore[union-attr]
    )
    lost = [name for name in ("sample", "visit", "mask") if name not in frame.columns]
    if lost:
        raise InputError(f"The table of scans lacks {shown(lost)}; it has {shown(frame.columns)}.")
    more = [name for name in ("day", "image") if name in frame.columns]
    frame = frame.select("sample", "visit", "mask", *more).with_columns(
        pl.col("sample").cast(pl.String), pl.col("visit").cast(pl.Float64)
    )
    if frame.select("sample", "visit", "mask").null_count().sum_horizontal().item():
        raise InputError("The table of scans has rows without patient, visit or mask.")
    twice = frame.filter(frame.select("sample", "visit").is_duplicated())
    if twice.height:
        texts = [
            f"{s} visit {v:g}" for s, v in twice.select("sample", "visit").unique().iter_rows()
        ]
        raise InputError(f"Visits with more than one mask: {shown(sorted(texts))}.")
    return frame.to_dicts()


def _declared(lesions: FrameLike | None) -> dict[tuple[str, float | None, str], _Known] | None:
    """Return what is declared by (sample or "", visit or None, label)."""
    if lesions is None:
        return None
    frame = to_polars(lesions, what="table of labels")
    lost = [name for name in ("label", "lesion") if name not in frame.columns]
    if lost:
        raise InputError(f"The table of labels lacks {shown(lost)}; it has {shown(frame.columns)}.")
    found: dict[tuple[str, float | None, str], _Known] = {}
    for row in frame.iter_rows(named=True):
        visit = row.get("visit")
        key = (str(row.get("sample") or ""), None if visit is None else float(visit),
               str(row["label"]))  # fmt: skip
        if key in found:
            raise InputError(f"The table of labels names label {key[2]!r} twice for one scan.")
        found[key] = _Known(str(row["lesion"]), row.get("role"), bool(row.get("node")))
    return found


def _measured(
    record: Mapping[str, Any],
    known: Mapping[tuple[str, float | None, str], _Known] | None,
    base: Path,
    plane: Plane,
) -> dict[str, tuple[_Known, dict[str, Any]]]:
    """Return the lesions of one scan by id."""
    image = record.get("image")
    scan = None if not image else read_image(base / image)
    masks = read_labelled_masks(base / record["mask"], reference=scan)
    found: dict[str, tuple[_Known, dict[str, Any]]] = {}
    for label, mask in masks.items():
        if not mask.n_voxels:
            continue
        item = _named(record, label, known)
        if item.lesion in found:
            raise InputError(
                f"{record['sample']} visit {record['visit']:g}: two labels are lesion "
                f"{item.lesion!r}. Put them together in the mask."
            )
        found[item.lesion] = item, _numbers(mask, label, plane)
    return found


def _named(
    record: Mapping[str, Any],
    label: str,
    known: Mapping[tuple[str, float | None, str], _Known] | None,
) -> _Known:
    if known is None:
        return _Known(label, None, False)
    sample, visit = record["sample"], record["visit"]
    for key in (
        (sample, visit, label),
        (sample, None, label),
        ("", visit, label),
        ("", None, label),
    ):
        if key in known:
            return known[key]
    labels = sorted({key[2] for key in known})
    raise InputError(
        f"{record['mask']}: label {label!r} of {sample} at visit {visit:g} is no lesion of the "
        f"table of labels. {did_you_mean(label, labels)}".strip()
    )


def _numbers(mask: Mask, label: str, plane: Plane) -> dict[str, Any]:
    found = slice_diameters(mask, plane=plane)
    return {
        "longest_mm": found.longest_mm, "short_mm": found.short_mm,
        "volume_ml": mask.n_voxels * mask.geometry.voxel_volume_mm3 / 1000,
        "slice": found.slice_index, "slice_mm": found.slice_mm, "parts": found.n_parts,
        "label": label,
    }  # fmt: skip


def _size(item: _Known, numbers: Mapping[str, Any]) -> float:
    return float(numbers["short_mm" if item.node else "longest_mm"])


def _patient(sample: str, visits: list[dict[str, Any]], notes: list[str]) -> list[dict[str, Any]]:
    first = visits[0]["found"]
    roles = {name: item.role for name, (item, _) in first.items()}
    free = [name for name, role in roles.items() if role is None]
    large = [
        name
        for name in free
        if _size(*first[name]) >= _measurable(first[name][0].node, first[name][1]["slice_mm"])
    ]
    room = _MOST_TARGETS - sum(role == "target" for role in roles.values())
    chosen = sorted(large, key=lambda name: -_size(*first[name]))[: max(room, 0)]
    roles |= {name: "target" if name in chosen else "non-target" for name in free}
    notes += [sample] * bool(free)
    whole: dict[str, _Known] = {}
    for visit in visits:
        for name, (item, _) in visit["found"].items():
            if name in whole and whole[name].node != item.node:
                raise InputError(f"{sample}: lesion {name!r} is a node at some visits only.")
            whole.setdefault(name, item)
    rows = []
    seen: set[str] = set()
    for visit in visits:
        seen |= set(visit["found"])
        for name in (name for name in whole if name in seen):
            here = visit["found"].get(name)
            role = roles.get(name, "new")
            rows.append(_row(sample, visit, whole[name], role, here))
    return rows


def _row(
    sample: str,
    visit: Mapping[str, Any],
    item: _Known,
    role: str,
    here: tuple[_Known, dict[str, Any]] | None,
) -> dict[str, Any]:
    day = visit.get("day")
    row = dict.fromkeys(MEASURED_COLUMNS) | {
        "sample": sample, "lesion": item.lesion, "role": role, "visit": visit["visit"],
        "day": None if day is None else float(day), "node": item.node,
    }  # fmt: skip
    if here is None:
        return row | {"diameter_mm": 0.0, "state": "absent"}
    return row | here[1] | {
        "diameter_mm": _size(item, here[1]), "state": None if role == "target" else "present"
    }  # fmt: skip


def _measurable(node: bool, slice_mm: float) -> float:
    """Return the smallest baseline diameter that RECIST 1.1 calls measurable."""
    if node:
        return MEASURABLE_MM["node"]
    return max(MEASURABLE_MM["lesion"], 2 * slice_mm if slice_mm > _THICK_MM else 0.0)


def _summed(free: list[str]) -> tuple[str, ...]:
    if not free:
        return ()
    return (
        f"No role was given for lesions of {counted(len(free), 'patient')}: at baseline the "
        "largest of measurable size, five at most, were taken as targets, the others as "
        "non-target; two an organ at most is for you to see to.",
    )


def _warned(table: pl.DataFrame) -> tuple[str, ...]:
    out = []
    pieces = table.filter(pl.col("parts") > 1).sort("sample", "visit")
    if pieces.height:
        texts = [f"{s} {lesion} visit {v:g}" for s, lesion, v in
                 pieces.select("sample", "lesion", "visit").iter_rows()]  # fmt: skip
        out.append(
            f"{counted(pieces.height, 'lesion')} in several pieces, whose diameters were added: "
            f"{shown(texts)}. Stray voxels count as pieces."
        )
    thick = table.filter((pl.col("slice_mm") > _THICK_MM) & (pl.col("role") == "target"))
    if thick.height:
        out.append(
            f"{counted(thick.height, 'measurement')} of target lesions in slices thicker than 5 "
            "mm, where RECIST 1.1 asks for lesions twice as large as a slice."
        )
    return tuple(out)
