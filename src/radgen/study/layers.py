"""Molecular layers and genotypes of a study, with ids brought to those of the samples."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import FormatError, InputError, shown
from radgen.io import (
    open_genotypes,
    read_gmt,
    read_table,
)
from radgen.io import read_layer as io_layer
from radgen.study.clocks import parse_dates
from radgen.study.scans import Scan
from radgen.study.schema.analyses import LinkSettings
from radgen.study.schema.sources import GenotypeSettings, OmicsSettings, SpecimenSettings
from radgen.study.sheet import clean_ids, io_rule
from radgen.types import GenotypeMatrix, OmicsTable, check_unique

__all__ = ["Specimens", "fit_names", "link_specimens", "read_genotypes", "read_layer",
           "read_specimens"]  # fmt: skip


def fit_names(patterns: Sequence[str], names: Sequence[str], *, what: str) -> list[int]:
    """Return the places of the names that fit any pattern (``*`` stands for any text).

    Raises
    ------
    InputError
        If a pattern fits nothing; the nearest name is given.
    """
    chosen: set[int] = set()
    for pattern in patterns:
        hits = {k for k, name in enumerate(names) if fnmatch.fnmatchcase(name, pattern)}
        if not hits:
            raise InputError(f"No {what} is named {pattern!r}. {did_you_mean(pattern, names)}")
        chosen |= hits
    return sorted(chosen)


def read_layer(
    settings: OmicsSettings,
    path: Path,
    *,
    known: Collection[str],
    assayed: Path | None,
    panel: Path | None,
    gene_sets: Path | None,
    gene_map: Path | None,
) -> OmicsTable:
    """Return a molecular layer; its samples are specimens where a specimen table is declared.

    Raises
    ------
    RadgenError
        If a file cannot be read, or nothing is left.
    """
    rule = io_rule(settings.id_rule)
    table: OmicsTable = io_layer(
        path,
        layer=settings.layer,
        scale=settings.scale,
        samples_in=settings.samples_in,
        known_samples=known,
        id_rule=rule,
        sequenced=None if assayed is None else _lines(assayed),
        panel=None if panel is None else _lines(panel),
        tumours=settings.tcga,
        missing=settings.missing,
        gene_map=gene_map,
    )
    if settings.features:
        table = table.take(columns=fit_names(settings.features, table.features, what="gene"))
    if settings.min_carriers:
        carriers = np.nansum(table.values > 0, axis=0)
        table = table.take(columns=np.flatnonzero(carriers >= settings.min_carriers))
    if gene_sets is not None:
        table = _set_scores(table, read_gmt(gene_sets), gene_sets)
    if not table.n_features:
        raise InputError(f"{path}: no gene is left after features and min_carriers.")
    return table


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FormatError("There is no such file.", path=path)
    try:
        found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise FormatError("Not a text file with one name a line.", path=path) from error
    found = [line for line in found if line]
    if not found:
        raise FormatError("The list is empty; needed is a name a line.", path=path)
    check_unique(found, what=str(path))
    return found


def _set_scores(table: OmicsTable, sets: Mapping[str, Sequence[str]], path: Path) -> OmicsTable:
    """Return the score of each gene set; the message of an error names the file."""
    from radgen.omics.gene_sets import GeneSetScorer

    try:
        return GeneSetScorer(sets).fit(table).transform(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


@dataclass(frozen=True, eq=False)
class Specimens:
    """From which patient, day and lesion each specimen comes."""

    patient: Mapping[str, str]
    day: Mapping[str, date | None]
    lesion: Mapping[str, str]


def read_specimens(settings: SpecimenSettings, path: Path) -> Specimens:
    """Return the specimen table.

    Raises
    ------
    RadgenError
        If it cannot be read, a column is missing, ids repeat or dates cannot be read.
    """
    table = read_table(path)
    for key in ("specimen", "patient", "date", "lesion"):
        header = getattr(settings, key)
        if header is not None and header not in table.columns:
            near = did_you_mean(header, table.columns)
            raise InputError(f"{path}: there is no column {header!r} (key specimens.{key}). {near}")
    ids = ["" if item is None else str(item) for item in table[settings.specimen].to_list()]
    check_unique(ids, what=f"{path}, column {settings.specimen!r}")
    patients = _patients(table, settings, path)
    days: list[date | None] = [None] * len(ids)
    if settings.date is not None:
        days, bad = parse_dates(table[settings.date], "%Y-%m-%d")
        if bad:
            raise InputError(f"{path}: cells of {settings.date!r} are no dates: {shown(bad)}.")
    lesions = [""] * len(ids)
    if settings.lesion is not None:
        lesions = ["" if item is None else str(item) for item in table[settings.lesion].to_list()]
    return Specimens(
        dict(zip(ids, patients, strict=True)),
        dict(zip(ids, days, strict=True)),
        dict(zip(ids, lesions, strict=True)),
    )


def _patients(table: pl.DataFrame, settings: SpecimenSettings, path: Path) -> list[str]:
    raw = table[settings.patient].to_list()
    empty = [row for row, item in enumerate(raw, 1) if item is None or not str(item).strip()]
    if empty:
        raise InputError(
            f"{path}: no patient in data row {shown(empty)} (column {settings.patient!r}). "
            "Fill or delete the row."
        )
    unique = list(dict.fromkeys("" if item is None else str(item) for item in raw))
    clean = dict(zip(unique, clean_ids(unique, settings.id_rule, what=str(path)), strict=True))
    return [clean["" if item is None else str(item)] for item in raw]


def link_specimens(
    table: OmicsTable,
    specimens: Specimens,
    scans: Mapping[str, Sequence[Scan]],
    rules: LinkSettings,
) -> tuple[OmicsTable, dict[str, str]]:
    """Return the layer with a row a patient, and why specimens or patients were left out.

    Raises
    ------
    InputError
        If a patient has several specimens and the rules refuse that.
    """
    by_patient: dict[str, list[int]] = {}
    gone: dict[str, str] = {}
    for row, specimen in enumerate(table.samples):
        patient = specimens.patient.get(specimen)
        if patient is None:
            gone[specimen] = "the specimen is not in the specimen table"
            continue
        reason = _misfit(specimen, specimens, scans.get(patient, ()), rules)
        if reason:
            gone[specimen] = reason
        else:
            by_patient.setdefault(patient, []).append(row)
    several = [patient for patient, rows in by_patient.items() if len(rows) > 1]
    if several and rules.several_specimens == "refuse":
        raise InputError(
            f"{len(several)} patients have several specimens: {shown(several)}. Say which counts: "
            'link.several_specimens = "first", "nearest" or "mean".'
        )
    values = []
    for patient, rows in by_patient.items():
        if rules.several_specimens == "mean":
            block = table.values[rows]
            known = np.isfinite(block).sum(axis=0)
            values.append(
                np.where(known > 0, np.nansum(block, axis=0) / np.maximum(known, 1), np.nan)
            )
            continue
        ranked = rows
        if rules.several_specimens == "nearest" and len(rows) > 1:
            names = table.samples
            own = scans.get(patient, ())
            distance = {
                row: min((_days(names[row], specimens, scan) for scan in own), default=0.0)
                for row in rows
            }
            ranked = sorted(rows, key=distance.__getitem__)
        values.append(table.values[ranked[0]])
        for row in ranked[1:]:
            gone[table.samples[row]] = (
                f"another specimen of the patient counts ({rules.several_specimens})"
            )
    matrix = np.array(values) if values else np.empty((0, table.n_features))
    return (
        OmicsTable(tuple(by_patient), table.features, matrix, table.layer, table.scale),
        gone,
    )


def _misfit(specimen: str, specimens: Specimens, scans: Sequence[Scan], rules: LinkSettings) -> str:
    """Return why no scan of the patient fits a specimen; "" where one does, or there is none."""
    reasons = [_unlike(specimen, specimens, scan, rules) for scan in scans]
    return "" if not reasons or "" in reasons else reasons[0]


def _unlike(specimen: str, specimens: Specimens, scan: Scan, rules: LinkSettings) -> str:
    if rules.same_lesion:
        lesion = specimens.lesion[specimen]
        if not lesion or not scan.lesion:
            return "the lesion of specimen or scan is not named"
        if lesion != scan.lesion:
            return "the specimen comes from another lesion than the scan shows"
    if rules.max_days is not None:
        distance = _days(specimen, specimens, scan)
        if distance == float("inf"):
            return "the date of specimen or scan is not known"
        if distance > rules.max_days:
            return f"specimen and scan lie more than {rules.max_days:g} days apart"
    return ""


def _days(specimen: str, specimens: Specimens, scan: Scan) -> float:
    day = specimens.day[specimen]
    if day is None or scan.day is None:
        return float("inf")
    return float(abs((day - scan.day).days))


def read_genotypes(settings: GenotypeSettings, path: Path) -> GenotypeMatrix:
    """Return the genotypes with sample ids after the id rule.

    Raises
    ------
    RadgenError
        If the file cannot be read, or the rule makes two ids equal.
    """
    found: GenotypeMatrix = open_genotypes(path, build=settings.build)
    return replace(found, samples=tuple(clean_ids(found.samples, settings.id_rule, what=str(path))))
