"""Read which scans a study has, and choose those that count."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import InputError, shown
from radgen.study.layers import read_specimens
from radgen.study.scans import Scan, ScanList, choose_scans, find_scans
from radgen.study.schema.sources import ColumnSettings
from radgen.study.sheet import Sheet

if TYPE_CHECKING:
    from radgen.study.gather import Gathered

__all__ = ["read_scans"]


def read_scans(found: Gathered) -> None:
    """Read the table or patterns of scans, choose which count, and carry columns along."""
    images = found.settings.images
    assert images is not None
    table = None
    if images.table is not None:
        table = found.find(images.table, "images", "table")
        if table is None:
            return
    listed = ScanList(())
    with found.noting(("images",), table):
        listed, problems = find_scans(images, found.folder, table, found.settings.change)
        found.problems += problems
    if not listed.scans:
        return
    found.losses.start("rows of the scan table" if table else "scans found", listed.n_rows)
    if images.where:
        chosen = len(listed.scans)
        found.losses.steps.append(
            ("rows chosen by [images] where", chosen, listed.n_rows - chosen, "")
        )
    with found.noting(("link",), None):
        scans = _before(found, list(listed.scans))
        how = found.settings.link.several_scans
        kept: list[Scan] = scans
        left: list[Scan] = []
        if found.settings.change is not None:
            _once_a_visit(scans)
        elif not found.settings.link.aggregates:
            days = _specimen_days(found) if how == "nearest" else None
            kept, left = choose_scans(scans, how, days)
        if left:
            found.losses.steps.append(
                ("one scan a patient", len(kept), len(left), f"the {how} scan counts")
            )
        found.scans = kept
    _carry(found, listed)
    _missing_files(found)


def _once_a_visit(scans: list[Scan]) -> None:
    """Refuse patients with several scans of one visit.

    Raises
    ------
    InputError
        With their ids.
    """
    counts = Counter((scan.sample, scan.visit) for scan in scans)
    twice = [f"{sample} ({visit})" for (sample, visit), count in counts.items() if count > 1]
    if twice:
        raise InputError(
            f"{len(twice)} patients have several scans of one visit of [change]: {shown(twice)}. "
            "Choose rows with [images] where."
        )


def _specimen_days(found: Gathered) -> dict[str, list[date]]:
    """Return the days of the specimens of each patient, of all layers."""
    days: dict[str, list[date]] = {}
    for name, settings in found.settings.omics.items():
        if settings.specimens is None:
            continue
        where = found.find(settings.specimens.table, "omics", name, "specimens", "table")
        if where is None:
            continue
        with found.noting(("omics", name, "specimens"), where):
            table = read_specimens(settings.specimens, where)
            for specimen, day in table.day.items():
                if day is not None:
                    days.setdefault(table.patient[specimen], []).append(day)
    if not days:
        found.complain(
            ("link", "several_scans"),
            'several_scans = "nearest" needs specimens with dates.',
            "Declare [omics.<name>.specimens] with a date.",
        )
    return days


def _before(found: Gathered, scans: list[Scan]) -> list[Scan]:
    """Leave out scans after the clinical date that link.before names."""
    name = found.settings.link.before
    if name is None:
        return scans
    if name not in found.sheet.frame.columns or found.sheet.columns[name].type != "date":
        found.complain(
            ("link", "before"),
            f"link.before = {name!r} is no clinical date column.",
            did_you_mean(name, [k for k, c in found.sheet.columns.items() if c.type == "date"]),
        )
        return scans
    limits: dict[str, date | None] = dict(
        zip(found.sheet.samples, found.sheet.frame[name].to_list(), strict=True)
    )
    kept, gone = [], {}
    for scan in scans:
        limit = limits.get(scan.sample)
        if limit is None or scan.day is None:
            gone[f"{scan.sample}, row {scan.row}"] = f"the date of the scan or {name} is not known"
        elif scan.day > limit:
            gone[f"{scan.sample}, row {scan.row}"] = f"the scan was taken after {name}"
        else:
            kept.append(scan)
    found.losses.note(f"scans before {name}", len(kept), gone)
    return kept


def _carry(found: Gathered, listed: ScanList) -> None:
    """Put carried columns of the scan table beside the clinical ones."""
    images = found.settings.images
    samples = list(dict.fromkeys(scan.sample for scan in found.scans))
    if found.settings.clinical is None:
        found.sheet = Sheet(pl.DataFrame({"sample": samples}, schema={"sample": pl.String}))
    if images is None or not images.carry:
        return
    twice = [name for name in images.carry if name in found.sheet.frame.columns]
    if twice:
        found.complain(
            ("images", "carry"),
            f"{shown(twice)} stand in the scan table and in the clinical table.",
            "Name each in one place only.",
        )
        return
    # Of several scans of a patient the first names site and scanner.
    first = {scan.sample: scan.row for scan in reversed(found.scans)}
    rows = pl.DataFrame(
        {"sample": samples, "row": [first[sample] for sample in samples]},
        schema={"sample": pl.String, "row": pl.Int64},
    )
    carried = rows.join(
        listed.carried.with_columns(pl.col("row").cast(pl.Int64)), on="row", how="left"
    )
    columns = {name: ColumnSettings(type="category") for name in images.carry}
    sheet = found.sheet
    frame = sheet.frame.join(carried.drop("row"), on="sample", how="left", maintain_order="left")
    found.sheet = Sheet(frame, {**sheet.columns, **columns}, sheet.survival, sheet.units)


def _missing_files(found: Gathered) -> None:
    """Note a problem where no scan at all can be found; single ones become status rows."""
    named = [path for scan in found.scans for pair in scan.files.values() for path in pair]
    for scan in found.scans:
        for files in scan.series.values():
            named += [*files["series"], *files["mask"]]
    absent = [path for path in named if not path.exists()]
    total = len(named)
    if found.scans and len(absent) == total:
        found.complain(
            ("images",),
            f"None of the {total} scan and mask files exists, such as {shown(absent, 2)}.",
            "Relative paths start at the folder of the table (of the study file for patterns).",
        )
