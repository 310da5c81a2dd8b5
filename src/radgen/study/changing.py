"""Two visits of each patient become one row: the change of each phenotype between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from radgen.errors import InputError
from radgen.study.gather import Gathered
from radgen.study.scans import Scan
from radgen.study.schema.functional import ChangeSettings
from radgen.types import PhenotypeTable

__all__ = ["changed"]

_STEP = "both visits measured"


def changed(table: PhenotypeTable, found: Gathered, names: Mapping[int, str]) -> PhenotypeTable:
    """Return the changes of each patient; note who lacks a visit.

    Parameters
    ----------
    table : PhenotypeTable
        A row a scan.
    found : Gathered
        The scans and the section [change]; without it the table is returned as it is.
    names : mapping of int to str
        Row of each scan in the table, by the scan's place.

    Raises
    ------
    InputError
        If no patient has both visits.
    """
    from radgen.phenotype.response import phenotype_change

    settings = found.settings.change
    if settings is None:
        return table
    rows: dict[str, dict[str, str]] = {"before": {}, "after": {}}
    scans: dict[str, dict[str, Scan]] = {}
    for place, scan in enumerate(found.scans):
        rows[scan.visit][scan.sample] = names[place]
        scans.setdefault(scan.sample, {})[scan.visit] = scan
    lost = {sample: _lacks(visits, settings) for sample, visits in scans.items()}
    lost = {sample: reason for sample, reason in lost.items() if reason}
    kept = [sample for sample in scans if sample not in lost]
    found.losses.steps.append(
        ("patients", len(scans), len(found.scans) - len(scans), "the visits of one become one row")
    )
    found.losses.note(_STEP, len(kept), lost)
    if not kept:
        raise InputError(
            f"No patient has both visits of [change], {settings.before!r} and {settings.after!r}."
        )
    visits = {
        visit: _of_visit(table, kept, [rows[visit][sample] for sample in kept]) for visit in rows
    }
    days = None
    if settings.per_days is not None:
        days = {sample: _days(scans[sample]) for sample in kept}
    done = phenotype_change(
        visits["before"], visits["after"], how=settings.how, days=days,
        per_days=settings.per_days or 30.0,
    )  # fmt: skip
    parts = [done, *(_prefixed(visits[visit], visit) for visit in settings.also)]
    status = [part.status for part in parts] + [
        own.status.filter(pl.col("phenotype") == "").with_columns(
            (pl.lit(f"{visit}: ") + pl.col("reason")).alias("reason")
        )
        for visit, own in visits.items()
        if visit not in settings.also
    ]
    return PhenotypeTable(
        done.samples, np.hstack([part.values for part in parts]),
        pl.concat([part.specs for part in parts]), pl.concat(status),
    )  # fmt: skip


def _lacks(visits: Mapping[str, Scan], settings: ChangeSettings) -> str:
    """Return why a patient has no change; "" where there is one."""
    for visit, value in (("before", settings.before), ("after", settings.after)):
        if visit not in visits:
            return f"no scan of {settings.visit} {value}"
    if settings.per_days is None:
        return ""
    if any(scan.day is None for scan in visits.values()):
        return "the date of a scan is not known"
    return "" if _days(visits) > 0 else "the second visit is not after the first"


def _days(visits: Mapping[str, Scan]) -> float:
    first, second = visits["before"].day, visits["after"].day
    assert first is not None
    assert second is not None
    return float((second - first).days)


def _of_visit(table: PhenotypeTable, samples: Sequence[str], rows: Sequence[str]) -> PhenotypeTable:
    """Return the rows of one visit, by the ids of patients."""
    place = {name: k for k, name in enumerate(table.samples)}
    named: dict[Any, Any] = dict(zip(rows, samples, strict=True))
    status = table.status.filter(pl.col("sample").is_in(list(rows))).with_columns(
        pl.col("sample").replace_strict(named, return_dtype=pl.String)
    )
    values = table.values[[place[row] for row in rows]]
    return PhenotypeTable(tuple(samples), values, table.specs, status)


def _prefixed(table: PhenotypeTable, visit: str) -> PhenotypeTable:
    """Return the values of one visit under names of their own."""
    name = (pl.lit(f"{visit} ") + pl.col("name")).alias("name")
    label = pl.when(pl.col("phenotype") == "").then(pl.lit("")).otherwise(
        pl.lit(f"{visit} ") + pl.col("phenotype")
    )  # fmt: skip
    return PhenotypeTable(
        table.samples, table.values, table.specs.with_columns(name),
        table.status.with_columns(label.alias("phenotype")),
    )  # fmt: skip
