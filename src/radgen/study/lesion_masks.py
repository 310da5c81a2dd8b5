"""Step of a run that measures lesions in the masks of successive visits, patient by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from radgen._core.digest import digest
from radgen.errors import shown
from radgen.study.cache import Codec
from radgen.study.context import Context
from radgen.study.measure import BAD_SCAN, reason_of
from radgen.study.unit_work import stored_or_computed

if TYPE_CHECKING:
    from radgen.phenotype.response import MeasuredLesions
    from radgen.study.gather import Gathered
    from radgen.study.responding import LesionScans

__all__ = ["LESIONS", "measured_lesions"]

LESIONS = ("lesions", 1)
"""Name and version of the step."""


@dataclass(frozen=True, slots=True)
class LesionUnit:
    """The scans of one patient: plain values only.

    Attributes
    ----------
    sample : str
        The patient.
    scans : tuple of mapping
        ``visit, day, mask, image`` of each scan; files as text, image "" for none.
    labels : tuple of mapping or None
        Rows of the table of labels that may concern the patient.
    plane : str
        Where diameters are measured.
    """

    sample: str
    scans: tuple[Mapping[str, Any], ...]
    labels: tuple[Mapping[str, Any], ...] | None
    plane: str


@dataclass(frozen=True, eq=False)
class _Measured:
    """What a unit gave; the table lacks the patient's id."""

    table: pl.DataFrame
    chosen: bool = False
    reason: str = ""


def measured_lesions(
    found: Gathered, scans: LesionScans, context: Context
) -> tuple[MeasuredLesions, dict[str, str]]:
    """Return the lesions of all patients, and why those who are missing could not be measured.

    Parameters
    ----------
    found : Gathered
        The study.
    scans : LesionScans
        The table of masks and of labels, by the ids of the study.
    context : Context
        The run.
    """
    from radgen.phenotype.response import MeasuredLesions, joined_lesions

    settings = found.settings.response
    assert settings is not None
    units = [
        LesionUnit(str(sample), tuple(_scan(row, scans.folder) for row in own.to_dicts()),
                   _labels_of(scans.labels, str(sample)), settings.plane)
        for (sample,), own in scans.table.group_by(["sample"], maintain_order=True)
    ]  # fmt: skip
    absent = [_absent(unit) for unit in units]
    done = stored_or_computed(
        units,
        [_Measured(pl.DataFrame(), reason=text) if text else None for text in absent],
        context,
        step=LESIONS,
        codec=_codec(),
        function=measure_patient,
        convert=_as_measured,
        what="Measuring lesions",
        failed=lambda item: bool(item.reason),
        key_of=_key,
    )
    parts, lost = [], {}
    for unit, item in zip(units, done, strict=True):
        if item.reason:
            lost[unit.sample] = item.reason
            continue
        table = item.table.with_columns(pl.lit(unit.sample).alias("sample"))
        parts.append(MeasuredLesions(table, (), (unit.sample,) if item.chosen else ()))
    return joined_lesions(parts), lost


def _scan(row: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    image = row.get("image")
    return {
        "visit": row["visit"], "day": row["day"], "mask": str(folder / row["mask"]),
        "image": str(folder / image) if image else "",
    }  # fmt: skip


def _labels_of(labels: pl.DataFrame | None, sample: str) -> tuple[Mapping[str, Any], ...] | None:
    """Return the rows of the table of labels of a patient, and those of all patients."""
    if labels is None:
        return None
    own = labels.filter(pl.col("sample").is_null() | (pl.col("sample") == sample))
    return tuple(
        {**row, "sample": None if row["sample"] is None else "patient"} for row in own.to_dicts()
    )


def _absent(unit: LesionUnit) -> str:
    lost = [
        f"visit {scan['visit']:g}" for scan in unit.scans
        if not all(Path(scan[key]).exists() for key in ("mask", "image") if scan[key])
    ]  # fmt: skip
    return f"the mask or image of {shown(lost)} does not exist" if lost else ""


def _key(unit: LesionUnit, context: Context) -> str:
    scans = [
        [scan["visit"], scan["day"],
         *(context.files.of(Path(scan[key])) for key in ("mask", "image") if scan[key])]
        for scan in unit.scans
    ]  # fmt: skip
    return digest(*LESIONS, scans, unit.labels, unit.plane)


def measure_patient(unit: LesionUnit) -> dict[str, Any]:
    """Return the lesions of one patient as plain values; a bad scan gives its reason.

    Notes
    -----
    This is what runs in workers. Neither the patient's id nor paths are in what is stored.
    """
    from radgen.phenotype.response import measure_lesions

    try:
        found = measure_lesions(
            [{"sample": "patient", **scan} for scan in unit.scans],
            None if unit.labels is None else _frame(unit.labels),
            plane=unit.plane,  # type: ignore[arg-type]
        )
    except BAD_SCAN as error:
        files = {
            f"{key} of visit {scan['visit']:g}": [scan[key]]
            for scan in unit.scans
            for key in ("mask", "image")
        }
        return {"reason": reason_of(error, files)}
    return {
        "table": found.table.drop("sample").to_dict(as_series=False), "chosen": bool(found.chosen)
    }  # fmt: skip


def _frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    kinds = {
        "sample": pl.String, "visit": pl.Float64, "label": pl.String, "lesion": pl.String,
        "role": pl.String, "node": pl.Boolean,
    }  # fmt: skip
    return pl.DataFrame(list(rows), schema=kinds)


def _as_measured(plain: Mapping[str, Any]) -> _Measured:
    from radgen.phenotype.response import MEASURED_COLUMNS

    if plain.get("reason"):
        return _Measured(pl.DataFrame(), reason=str(plain["reason"]))
    kinds = {name: kind for name, kind in MEASURED_COLUMNS.items() if name != "sample"}
    return _Measured(pl.DataFrame(plain["table"], schema=kinds), bool(plain["chosen"]))


def _codec() -> Codec[_Measured]:
    return Codec(
        "lesions-of-a-patient", 1, lambda value: ({"table": value.table}, {"chosen": value.chosen}),
        lambda tables, plain: _Measured(tables["table"], bool(plain["chosen"])),
    )  # fmt: skip
