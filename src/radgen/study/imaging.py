"""Steps of a run from scans to the phenotype matrix."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from radgen._core.digest import digest
from radgen._core.executors import map_surviving
from radgen.associate import aggregate
from radgen.errors import InputError
from radgen.report import Scan as ScanPicture
from radgen.study.cache import Codec
from radgen.study.context import Context
from radgen.study.gather import Gathered
from radgen.study.measure import (
    DRAW,
    MAP,
    MEASURE,
    Measured,
    Unit,
    as_measured,
    draw,
    draw_map,
    drawn,
    lost_unit,
    map_names,
    measure,
    measured_codec,
    phenotypes_of,
    picture_codec,
    unit_settings,
)
from radgen.study.provenance import StepRecord
from radgen.study.schema.analyses import ReportSettings
from radgen.study.select import choose_phenotypes, volume_name
from radgen.types import PhenotypeTable

__all__ = ["Imaging", "image_phenotypes", "stored_or_computed", "units_of"]

T = TypeVar("T")
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
    """

    table: PhenotypeTable
    long: pl.DataFrame | None
    pictures: tuple[ScanPicture, ...]
    n_failed: int
    key: str


def units_of(found: Gathered, *, own_names: bool = True) -> list[Unit]:
    """Return the units of work: an image and its mask for each scan and sequence.

    Parameters
    ----------
    found : Gathered
        The scans.
    own_names : bool, default True
        Scans of one patient that are all measured have names of their own until they become
        one row; False = the patient's.
    """
    images = found.settings.images
    assert images is not None
    sequences = images.all_sequences()
    recipes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    units = []
    counts = Counter(scan.sample for scan in found.scans)
    for scan in found.scans:
        own = (
            f"{scan.sample}{_SCAN_MARK}{scan.row}"
            if own_names and counts[scan.sample] > 1
            else scan.sample
        )
        for name, (image, mask) in scan.files.items():
            sequence = sequences[name]
            modality = scan.modality if scan.modality is not None else sequence.modality or ""
            if modality not in recipes:
                recipes[modality] = unit_settings(found.settings, modality)
            extraction, normalise = recipes[modality]
            units.append(
                Unit(
                    own,
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
    units = units_of(found)
    measured = _measure_all(units, context)
    table = _one_row_a_patient(phenotypes_of(units, measured), found)
    frames = [
        m.long.with_columns(pl.lit(u.sample).alias("sample"), pl.lit(u.sequence).alias("sequence"))
        for u, m in zip(units, measured, strict=True)
        if not m.reason
    ]
    n_failed = sum(bool(m.reason) for m in measured)
    pictures = _pictures(units, measured, found.settings.report, context)
    marks = [m.reason or _key(u, context) for u, m in zip(units, measured, strict=True)]
    link = found.settings.link
    how = [link.several_scans, link.worst, link.worst_is] if link.aggregates else []
    key = digest("phenotypes", 1, [(u.sample, u.sequence) for u in units], marks, *how)
    return Imaging(table, pl.concat(frames) if frames else None, pictures, n_failed, key)


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
    patients = {item: item.partition(_SCAN_MARK)[0] for item in table.samples}
    done: PhenotypeTable
    done, lost = aggregate(table, patients, how=link.several_scans, by=by, worst=link.worst_is)
    n_before = table.n_samples - done.n_samples
    how = (
        "their mean counts" if link.several_scans == "mean" else f"the {link.several_scans} counts"
    )
    found.losses.steps.append(("one row a patient", done.n_samples, n_before, how))
    found.losses.lost += [(item, "one row a patient", reason) for item, reason in lost.items()]
    return done


def _key(unit: Any, context: Context) -> str:
    """Return the key of a unit: recipe and content of the files, not their names."""
    image, mask = (context.files.of(Path(p)) for p in (unit.image, unit.mask))
    return digest(MEASURE[0], MEASURE[1], unit.recipe(), image, mask)


def _present(unit: Unit) -> bool:
    return Path(unit.image).exists() and Path(unit.mask).exists()


def _measure_all(units: Sequence[Unit], context: Context) -> list[Measured]:
    results: list[Measured | None] = [None if _present(unit) else _absent(unit) for unit in units]
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


def stored_or_computed(
    units: Sequence[Any],
    results: list[T | None],
    context: Context,
    *,
    step: tuple[str, int],
    codec: Codec[T],
    function: Callable[[Any], Any],
    convert: Callable[[Any], T],
    what: str,
    failed: Callable[[T], bool],
) -> list[T]:
    """Return a result for each unit; what is computed is stored as soon as it is there."""
    begun = time.perf_counter()
    keys: dict[int, str] = {}
    for place, unit in enumerate(units):
        if results[place] is None:
            keys[place] = _key(unit, context)
            results[place] = context.cache.load(step[0], keys[place], codec)
    todo = [place for place in keys if results[place] is None]

    def keep(index: int, plain: Any) -> None:
        place = todo[index]
        value = convert(plain)
        if not failed(value):
            context.cache.store(step[0], keys[place], value, codec)
            value = context.cache.load(step[0], keys[place], codec) or value
        results[place] = value

    map_surviving(
        function,
        [units[place] for place in todo],
        pool=context.pool,
        lost=lost_unit,
        what=what,
        on_done=keep,
    )
    done = [item for item in results if item is not None]
    n_failed = sum(failed(item) for item in done)
    seconds = time.perf_counter() - begun
    whole = digest(sorted(keys.values()))
    context.recorder.add(
        StepRecord(step[0], step[1], whole, len(units), len(todo), n_failed, seconds)
    )
    return done


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
