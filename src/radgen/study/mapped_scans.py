"""From functional maps to units that are measured, and what the report says of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen.report import Scan as ScanPicture
from radgen.study.context import Context
from radgen.study.functional_maps import (
    FUNCTIONAL,
    Mapped,
    MapsUnit,
    absent,
    as_mapped,
    chosen,
    folder_of,
    labels_of,
    make_maps,
    mapped_codec,
    maps_key,
    units_of_steps,
    write,
)
from radgen.study.gather import Gathered
from radgen.study.measure import BAD_SCAN, Unit
from radgen.study.scan_pictures import map_text, picture_codec
from radgen.study.scan_settings import map_settings
from radgen.study.unit_work import stored_or_computed

__all__ = ["MapsMade", "map_pictures", "mapped_scans"]

_DRAW = ("functional-picture", 1)


@dataclass(frozen=True, eq=False)
class MapsMade:
    """What the functional steps gave.

    Attributes
    ----------
    units : list of Unit
        A map of a scan each, to be measured; those of failed series name no file.
    reasons : list of str
        Why a unit has no map; "" where it has one.
    labels : list of str
        Name and unit of each map.
    table : polars.DataFrame
        Columns ``step, technique, map, unit, scans, failed, voxels, without_value, median``: a row
        a step and map.
    failures : polars.DataFrame
        Columns ``sample, step, reason``.
    notes : tuple of str
        What a reader of the maps should know.
    """

    units: list[Unit] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    table: pl.DataFrame = field(default_factory=pl.DataFrame)
    failures: pl.DataFrame = field(default_factory=pl.DataFrame)
    notes: tuple[str, ...] = ()


def mapped_scans(found: Gathered, context: Context, names: Mapping[int, str]) -> MapsMade:
    """Return the maps of all series as units of measurement.

    Parameters
    ----------
    found : Gathered
        The scans.
    context : Context
        The run.
    names : mapping of int to str
        Name of each scan, by its place.
    """
    work = units_of_steps(found, names)
    if not work:
        return MapsMade()
    reasons = [absent(unit) for unit in work]
    done = stored_or_computed(
        work,
        [Mapped(reason=reason) if reason else None for reason in reasons],
        context,
        step=FUNCTIONAL,
        codec=mapped_codec(),
        function=make_maps,
        convert=as_mapped,
        what="Making functional maps",
        failed=lambda item: bool(item.reason),
        key_of=maps_key,
    )
    units: list[Unit] = []
    why: list[str] = []
    labels: list[str] = []
    for unit, mapped in zip(work, done, strict=True):
        added, reason = _units_of(found, unit, mapped, _usual(unit.step, work, done), context)
        units += added
        why += [reason] * len(added)
        labels += [_label(item, unit.step) for item in added]
    return MapsMade(
        units, why, labels, _table(work, done), _failures(work, done), _notes(work, done)
    )


def _usual(step: str, work: Sequence[MapsUnit], done: Sequence[Mapped]) -> list[str]:
    """Return the maps that a step makes where it can."""
    for unit, mapped in zip(work, done, strict=True):
        if unit.step == step and not mapped.reason:
            return list(mapped.about["maps"])
    return []


def _units_of(
    found: Gathered, unit: MapsUnit, mapped: Mapped, usual: Sequence[str], context: Context
) -> tuple[list[Unit], str]:
    """Return a unit for each map that the step wants, and why it cannot be measured."""
    images = found.settings.images
    assert images is not None
    step = images.functional[unit.step]
    wanted, reason = chosen(step, usual or step.maps)
    extraction, normalise = map_settings(found.settings, step.preprocess)
    modality = "PT" if step.technique == "uptake" else "MR"
    plain = Unit(unit.sample, unit.step, "", "", None, modality, extraction, normalise)
    if mapped.reason or reason:
        sequences = [f"{unit.step}-{name}" for name in wanted] or [unit.step]
        return [replace(plain, sequence=name) for name in sequences], mapped.reason or reason
    folder = folder_of(context, unit)
    files = write(mapped, folder, maps_key(unit, context))
    regions = labels_of(mapped)
    return [
        replace(
            plain, sequence=f"{unit.step}-{name}", image=str(files[name][0]),
            mask=str(folder / "regions.nii.gz"), regions=regions, value_unit=files[name][1],
        )
        for name in wanted
    ], ""  # fmt: skip


def _table(work: Sequence[MapsUnit], done: Sequence[Mapped]) -> pl.DataFrame:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    steps = list(dict.fromkeys(unit.step for unit in work))
    failed = {
        step: sum(bool(m.reason) for u, m in zip(work, done, strict=True) if u.step == step)
        for step in steps
    }
    medians: dict[tuple[str, str], list[float]] = {}
    for unit, mapped in zip(work, done, strict=True):
        if mapped.reason:
            continue
        inside = np.logical_or.reduce(
            [mapped.voxels[f"r{k}"].to_numpy() for k in range(len(mapped.about["regions"]))]
        )
        for k, (name, of) in enumerate(
            zip(mapped.about["maps"], mapped.about["units"], strict=True)
        ):
            row = rows.setdefault(
                (unit.step, name),
                {"step": unit.step, "technique": unit.technique, "map": name, "unit": of,
                 "scans": 0, "failed": failed[unit.step], "voxels": 0, "without_value": 0},
            )  # fmt: skip
            values = mapped.voxels[f"m{k}"].to_numpy()[inside]
            known = values[np.isfinite(values)]
            row["scans"] += 1
            row["voxels"] += len(values)
            row["without_value"] += len(values) - len(known)
            if len(known):
                medians.setdefault((unit.step, name), []).append(float(np.median(known)))
    for key, row in rows.items():
        row["median"] = float(np.median(medians[key])) if key in medians else None
    return pl.DataFrame(list(rows.values()))


def _failures(work: Sequence[MapsUnit], done: Sequence[Mapped]) -> pl.DataFrame:
    rows = [(u.sample, u.step, m.reason) for u, m in zip(work, done, strict=True) if m.reason]
    return pl.DataFrame(rows, schema=["sample", "step", "reason"], orient="row")


def _notes(work: Sequence[MapsUnit], done: Sequence[Mapped]) -> tuple[str, ...]:
    """Return the notes of all maps, with how many scans they are of."""
    told: dict[str, int] = {}
    for unit, mapped in zip(work, done, strict=True):
        if mapped.reason or not mapped.about["notes"]:
            continue
        told[unit.step] = told.get(unit.step, 0) + 1
    first = {
        unit.step: mapped.about["notes"][0]
        for unit, mapped in reversed(list(zip(work, done, strict=True)))
        if not mapped.reason and mapped.about["notes"]
    }
    return tuple(
        f"{step}: {count} scans have notes (maps.json beside the maps), such as: {first[step]}"
        for step, count in told.items()
    )


def map_pictures(made: MapsMade, at_most: int, context: Context) -> list[ScanPicture]:
    """Return pictures of maps over their scans, of samples spread over the cohort."""
    whole = [k for k, reason in enumerate(made.reasons) if not reason]
    samples = list(dict.fromkeys(made.units[k].sample for k in whole))
    keep = set(samples[:: max(1, -(-len(samples) // at_most))]) if at_most > 0 else set()
    todo = [
        replace(
            made.units[k],
            mask=str(Path(made.units[k].mask).with_name("scan.nii.gz")),
            map=made.labels[k],
        )
        for k in whole
        if made.units[k].sample in keep
    ]
    if not todo:
        return []
    pngs = stored_or_computed(
        todo, list[str | None]([None] * len(todo)), context, step=_DRAW, codec=picture_codec(),
        function=draw_over, convert=str, what="Drawing functional maps",
        failed=lambda text: not text,
    )  # fmt: skip
    return [
        ScanPicture(
            unit.sample, base64.b64decode(png), caption=f"{unit.sequence}: {unit.map}",
            map=unit.sequence,
            **({} if png else {"status": "undefined", "reason": "no voxel has a value"}),
        )
        for unit, png in zip(todo, pngs, strict=True)
    ]  # fmt: skip


def _label(unit: Unit, step: str) -> str:
    name = unit.sequence.removeprefix(f"{step}-")
    return name if unit.value_unit in ("", "1") else f"{name} ({unit.value_unit})"


def draw_over(unit: Unit) -> str:
    """Return a map over its scan as base64 text; "" for none. The unit's mask is the scan."""
    from radgen.io import read_image

    try:
        return map_text(read_image(unit.mask), read_image(unit.image).array, unit.map)
    except BAD_SCAN:
        return ""
