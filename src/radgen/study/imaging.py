"""Steps of a run from scans to the phenotype matrix."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from radgen._core.digest import digest
from radgen.associate import aggregate
from radgen.errors import InputError
from radgen.report import Scan as ScanPicture
from radgen.study.changing import changed
from radgen.study.context import Context
from radgen.study.gather import Gathered
from radgen.study.mapped_scans import MapsMade, map_pictures, mapped_scans
from radgen.study.measure import (
    MEASURE,
    Measured,
    Unit,
    as_measured,
    lost_unit,
    measure,
    measured_codec,
    phenotypes_of,
)
from radgen.study.scan_pictures import DRAW, MAP, draw, draw_map, drawn, map_names, picture_codec
from radgen.study.scan_settings import unit_settings
from radgen.study.schema.analyses import ReportSettings
from radgen.study.select import choose_phenotypes, volume_name
from radgen.study.unit_work import stored_or_computed, unit_key
from radgen.types import PhenotypeTable

__all__ = ["Imaging", "image_phenotypes", "patient_of", "scan_names", "units_of"]

_SCAN_MARK = " scan "


@dataclass(frozen=True, eq=False)
class Imaging:
    """What the images gave.

    Attributes
    ----------
    table : PhenotypeTable
        All samples and phenotypes, before anything is left out.
    long : polars.DataFrame or None
        Long feature table with a ``sequence`` column, where scans were measured.
    pictures : tuple of Scan
        For the quality-control gallery.
    n_failed : int
        Scans that could not be measured.
    key : str
        Digest of everything above.
    maps : MapsMade
        What the functional steps gave.
    """

    table: PhenotypeTable
    long: pl.DataFrame | None
    pictures: tuple[ScanPicture, ...]
    n_failed: int
    key: str
    maps: MapsMade = field(default_factory=MapsMade)


def scan_names(found: Gathered, *, own_names: bool = True) -> dict[int, str]:
    """Return the name of each scan by its place: the patient's, or one of its own.

    Parameters
    ----------
    found : Gathered
        The scans.
    own_names : bool, default True
        Scans of one patient that are all measured have names of their own until they become
        one row; False = the patient's.
    """
    counts = Counter(scan.sample for scan in found.scans)
    return {
        place: f"{scan.sample}{_SCAN_MARK}{scan.row}"
        if own_names and counts[scan.sample] > 1
        else scan.sample
        for place, scan in enumerate(found.scans)
    }


def patient_of(name: str) -> str:
    """Return the patient of a scan by its name, see `scan_names`."""
    return name.partition(_SCAN_MARK)[0]


def units_of(found: Gathered, *, own_names: bool = True) -> list[Unit]:
    """Return the units of work: an image and its mask for each scan and sequence.

    Parameters
    ----------
    found : Gathered
        The scans.
    own_names : bool, default True
        See `scan_names`.
    """
    images = found.settings.images
    assert images is not None
    sequences = images.all_sequences()
    recipes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    units = []
    names = scan_names(found, own_names=own_names)
    for place, scan in enumerate(found.scans):
        for name, (image, mask) in scan.files.items():
            sequence = sequences[name]
            modality = scan.modality if scan.modality is not None else sequence.modality or ""
            if modality not in recipes:
                recipes[modality] = unit_settings(found.settings, modality)
            extraction, normalise = recipes[modality]
            units.append(
                Unit(
                    names[place],
                    name,
                    str(image),
                    str(mask),
                    sequence.regions,
                    modality,
                    extraction,
                    normalise,
                )
            )
    return units


def image_phenotypes(found: Gathered, context: Context) -> Imaging:
    """Return the phenotypes of all scans, or of the feature table."""
    if found.table is not None:
        path = found.files["features.table.path"]
        assert found.settings.features.table is not None
        key = digest(
            "feature-table",
            1,
            found.settings.features.table.model_dump(mode="json"),
            context.files.of(path),
        )
        return Imaging(found.table, None, (), 0, key)
    names = scan_names(found)
    scans = units_of(found)
    maps = mapped_scans(found, context, names)
    units = [*scans, *maps.units]
    measured = _measure_all(units, ["" for _ in scans] + maps.reasons, context)
    table = changed(phenotypes_of(units, measured), found, names)
    table = _one_row_a_patient(table, found)
    frames = [
        m.long.with_columns(pl.lit(u.sample).alias("sample"), pl.lit(u.sequence).alias("sequence"))
        for u, m in zip(units, measured, strict=True)
        if not m.reason
    ]
    n_failed = sum(bool(m.reason) for m in measured[: len(scans)]) + maps.failures.height
    report = found.settings.report
    pictures = (
        *_pictures(scans, measured[: len(scans)], report, context),
        *map_pictures(maps, report.scans, context),
    )
    marks = [m.reason or unit_key(u, context) for u, m in zip(units, measured, strict=True)]
    link = found.settings.link
    how: list[Any] = [link.several_scans, link.worst, link.worst_is] if link.aggregates else []
    if found.settings.change is not None:
        how += [found.settings.change.model_dump(mode="json")]
    key = digest("phenotypes", 1, [(u.sample, u.sequence) for u in units], marks, *how)
    return Imaging(table, pl.concat(frames) if frames else None, pictures, n_failed, key, maps)


def _one_row_a_patient(table: PhenotypeTable, found: Gathered) -> PhenotypeTable:
    """Aggregate the scans of a patient where the link rules say so; note who does not count."""
    link = found.settings.link
    if not link.aggregates:
        return table
    by = None
    if link.several_scans == "largest":
        by = volume_name(table, found.settings.features.volume)
        if by is None:
            raise InputError(
                'link.several_scans = "largest" needs a volume, and none is recognised. Name it in '
                "features.volume."
            )
    elif link.worst is not None:
        by = choose_phenotypes(table, [link.worst]).names[0]
    patients = {item: patient_of(item) for item in table.samples}
    done: PhenotypeTable
    done, lost = aggregate(table, patients, how=link.several_scans, by=by, worst=link.worst_is)
    n_before = table.n_samples - done.n_samples
    how = (
        "their mean counts" if link.several_scans == "mean" else f"the {link.several_scans} counts"
    )
    found.losses.steps.append(("one row a patient", done.n_samples, n_before, how))
    found.losses.lost += [(item, "one row a patient", reason) for item, reason in lost.items()]
    return done


def _present(unit: Unit) -> bool:
    return Path(unit.image).exists() and Path(unit.mask).exists()


def _measure_all(units: Sequence[Unit], reasons: Sequence[str], context: Context) -> list[Measured]:
    """Return the features of all units; those with a reason have none."""
    results: list[Measured | None] = [
        as_measured(lost_unit(unit, reason))
        if reason
        else (None if _present(unit) else _absent(unit))
        for unit, reason in zip(units, reasons, strict=True)
    ]
    return stored_or_computed(
        units,
        results,
        context,
        step=MEASURE,
        codec=measured_codec(),
        function=measure,
        convert=as_measured,
        what="Measuring scans",
        failed=lambda item: bool(item.reason),
    )


def _absent(unit: Unit) -> Measured:
    which = "image" if not Path(unit.image).exists() else "mask"
    return as_measured(lost_unit(unit, f"the {which} file does not exist"))


def _maps(units: Sequence[Unit], maps: Sequence[str], context: Context) -> list[ScanPicture]:
    """Return pictures of voxel maps over the scans that are shown."""
    todo = [replace(unit, map=name) for unit in units for name in map_names(maps)]
    if not todo:
        return []
    pngs = stored_or_computed(
        todo,
        list[str | None]([None] * len(todo)),
        context,
        step=MAP,
        codec=picture_codec(),
        function=draw_map,
        convert=str,
        what="Drawing maps",
        failed=lambda text: not text,
    )
    shown = []
    for unit, png in zip(todo, pngs, strict=True):
        family, _, feature = unit.map.partition(":")
        start = f"{unit.sequence}: " if unit.sequence else ""
        bad = {} if png else {"status": "undefined", "reason": "no voxel has a value"}
        caption = f"{start}{feature} ({family}), windows of 3 voxels"
        picture = base64.b64decode(png)
        shown.append(ScanPicture(unit.sample, picture, caption=caption, map=feature, **bad))
    return shown


def _pictures(
    units: Sequence[Unit],
    measured: Sequence[Measured],
    report: ReportSettings,
    context: Context,
) -> tuple[ScanPicture, ...]:
    place_of = {id(unit): place for place, unit in enumerate(units)}
    bad = [unit for unit, item in zip(units, measured, strict=True) if item.reason]
    whole = [unit for unit, item in zip(units, measured, strict=True) if not item.reason]
    good = drawn(whole, report.scans)
    empty: list[str | None] = [None] * len(good)
    pngs = stored_or_computed(
        good,
        empty,
        context,
        step=DRAW,
        codec=picture_codec(),
        function=draw,
        convert=str,
        what="Drawing scans",
        failed=lambda text: not text,
    )
    shown = []
    for unit, png in zip(good, pngs, strict=True):
        item = measured[place_of[id(unit)]]
        caption = f"{unit.sequence}: {item.caption}" if unit.sequence else item.caption
        shown.append(ScanPicture(unit.sample, base64.b64decode(png), caption=caption))
    shown += _maps(good, report.maps, context)
    for unit in bad:
        reason = measured[place_of[id(unit)]].reason
        shown.append(ScanPicture(unit.sample, b"", "failed", reason, unit.sequence))
    return tuple(shown)
