"""Which scans a study has: from a table with a row a scan, or from file patterns."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import InputError, shown
from radgen.io import read_table
from radgen.study.clocks import parse_dates
from radgen.study.problems import Problem
from radgen.study.schema.functional import ChangeSettings
from radgen.study.schema.sources import ImageSettings, SequenceSettings
from radgen.study.series_files import (
    SeriesFiles,
    files_by_pattern,
    files_of_row,
    require_columns,
)
from radgen.study.settings import resolve
from radgen.study.sheet import clean_ids

__all__ = ["MODALITIES", "Scan", "ScanList", "choose_scans", "find_scans"]


MODALITIES = ("CT", "MR", "PT", "US", "MG", "")
"""DICOM codes of modalities that a study may name."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One visit of one patient: a file pair for each named image.

    Attributes
    ----------
    sample : str
        Sample id.
    files : mapping of str to (Path, Path)
        Image and mask of each sequence.
    day : date or None
        When it was taken.
    lesion : str
        The lesion, where it is named.
    row : int
        Data row of the scan table, from 1; 0 without a table.
    modality : str or None
        Modality of this scan, where the table says so.
    series : mapping
        Files of each functional step.
    visit : str
        "before" or "after", where the study asks for the change between two visits.
    """

    sample: str
    files: Mapping[str, tuple[Path, Path]]
    day: date | None = None
    lesion: str = ""
    row: int = 0
    modality: str | None = None
    series: SeriesFiles = field(default_factory=dict)
    visit: str = ""


@dataclass(frozen=True, eq=False)
class ScanList:
    """All scans that the study file names.

    Attributes
    ----------
    scans : tuple of Scan
        In the order of the table, or sorted by id.
    carried : polars.DataFrame
        ``row`` and the columns that [images].carry names.
    n_rows : int
        Rows before ``where`` was applied.
    """

    scans: tuple[Scan, ...]
    carried: pl.DataFrame = field(default_factory=lambda: pl.DataFrame({"row": []}))
    n_rows: int = 0


def find_scans(
    settings: ImageSettings,
    folder: Path,
    table_path: Path | None,
    change: ChangeSettings | None = None,
) -> tuple[ScanList, list[Problem]]:
    """Return all scans and what is wrong with their table.

    Parameters
    ----------
    settings : ImageSettings
        The section [images].
    folder : Path
        Where relative paths start that stand in the study file.
    table_path : Path or None
        The scan table; relative paths in it start at its own folder.
    change : ChangeSettings or None
        The two visits that count; rows of others are left out.

    Raises
    ------
    RadgenError
        If the table cannot be read, or ids are empty or unclear.
    """
    sequences = settings.all_sequences()
    if table_path is None:
        return _from_patterns(settings, sequences, folder)
    return _from_table(settings, sequences, table_path, folder, change)


def _from_table(
    settings: ImageSettings,
    sequences: Mapping[str, SequenceSettings],
    path: Path,
    folder: Path,
    change: ChangeSettings | None,
) -> tuple[ScanList, list[Problem]]:
    table = read_table(path)
    where = str(path)
    headers = _headers(settings, sequences, change)
    problems = require_columns(settings, table.columns, folder, where)
    problems += [
        Problem(
            where,
            1,
            f"There is no column {header!r} (key {key}).",
            did_you_mean(header, table.columns),
        )
        for key, header in headers.items()
        if header not in table.columns
    ]
    if problems:
        return ScanList(()), problems
    table = table.with_columns(pl.Series("__row", range(1, table.height + 1)))
    chosen, problems = _chosen_rows(table, settings, change, where)
    if problems:
        return ScanList((), n_rows=table.height), problems
    samples = clean_ids(chosen[settings.id].to_list(), settings.id_rule, what=where)
    days: list[date | None] = [None] * chosen.height
    if settings.date is not None:
        days, bad = parse_dates(chosen[settings.date], "%Y-%m-%d")
        if bad:
            rows = [(int(chosen["__row"][row - 1]) + 1, text) for row, text in bad]
            cells = f"{len(bad)} cells ({shown(rows)})"
            what = f"Column {settings.date!r}: {cells} are no dates like 2024-03-31."
            problems.append(Problem(where, rows[0][0], what, "Write year-month-day."))
    kinds, found = _modalities(chosen, settings, where)
    problems += found
    scans = []
    for place, row in enumerate(chosen.iter_rows(named=True)):
        files = {}
        for name, item in sequences.items():
            image, mask = row[item.image], row[str(item.mask)]
            if image is not None or mask is not None:
                files[name] = (_cell(image, path), _cell(mask, path))
        lesion = "" if settings.lesion is None else str(row[settings.lesion] or "")
        series = files_of_row(settings, row, folder, lambda text: _cell(text, path))
        visit = "" if change is None else _visit(row, change)
        scans.append(
            Scan(
                samples[place],
                files,
                days[place],
                lesion,
                int(row["__row"]),
                kinds[place],
                series,
                visit,
            )
        )
    carried = chosen.select(
        pl.col("__row").alias("row"), *[pl.col(c).cast(pl.String) for c in settings.carry]
    )
    return ScanList(tuple(scans), carried, table.height), problems


def _headers(
    settings: ImageSettings,
    sequences: Mapping[str, SequenceSettings],
    change: ChangeSettings | None,
) -> dict[str, str]:
    """Return the columns that must be there, by the key that names them."""
    named = {"id": settings.id, "date": settings.date, "lesion": settings.lesion}
    headers = {f"images.{key}": header for key, header in named.items() if header is not None}
    if settings.modality_column is not None:
        headers["images.modality_column"] = settings.modality_column
    headers |= {f"images.where.{header}": header for header in settings.where}
    headers |= {f"images.carry[{k + 1}]": header for k, header in enumerate(settings.carry)}
    for name, item in sequences.items():
        prefix = f"images.sequences.{name}" if name else "images"
        headers |= {f"{prefix}.image": item.image, f"{prefix}.mask": str(item.mask)}
    if change is not None:
        headers["change.visit"] = change.visit
    return headers


def _chosen_rows(
    table: pl.DataFrame, settings: ImageSettings, change: ChangeSettings | None, where: str
) -> tuple[pl.DataFrame, list[Problem]]:
    """Return the rows that the study uses, or why there are none."""
    chosen = table
    for header, values in settings.where.items():
        chosen = chosen.filter(pl.col(header).cast(pl.String).is_in(list(values)))
    if not chosen.height:
        what = f"No row is left of {table.height} after images.where {dict(settings.where)}."
        return chosen, [Problem(where, 0, what, "Check its values.")]
    return (chosen, []) if change is None else _two_visits(chosen, change, where)


def _two_visits(
    table: pl.DataFrame, change: ChangeSettings, where: str
) -> tuple[pl.DataFrame, list[Problem]]:
    """Return the rows of the two visits, and a problem for a visit that no row has."""
    cells = table[change.visit].cast(pl.String)
    known = cells.drop_nulls().unique().sort().to_list()
    problems = [
        Problem(
            where,
            0,
            f"No row has {change.visit} = {value!r} (key change.{key}); there are {shown(known)}.",
            did_you_mean(value, known),
        )
        for key, value in (("before", change.before), ("after", change.after))
        if value not in known
    ]
    return table.filter(cells.is_in([change.before, change.after])), problems


def _visit(row: Mapping[str, object], change: ChangeSettings) -> str:
    return "before" if str(row[change.visit]) == change.before else "after"


def _modalities(
    chosen: pl.DataFrame, settings: ImageSettings, where: str
) -> tuple[list[str | None], list[Problem]]:
    if settings.modality_column is None:
        return [None] * chosen.height, []
    kinds = [str(cell or "").strip() for cell in chosen[settings.modality_column].to_list()]
    remedy = f"Known: {', '.join(MODALITIES[:-1])}."
    problems = [
        Problem(where, int(row) + 1, f"Modality {kind!r} is unknown.", remedy)
        for row, kind in zip(chosen["__row"].to_list(), kinds, strict=True)
        if kind not in MODALITIES
    ]
    return [*kinds], problems


def _cell(text: object, table: Path) -> Path:
    """Return the file that a cell names; an empty cell gives a name that no file has."""
    if text is None:
        return table.parent / "(no file is named)"
    try:
        return resolve(str(text), table.parent)
    except KeyError as error:
        raise InputError(
            f"{table}: a path uses ${{{error.args[0]}}}, which is not set in the environment."
        ) from None


def _from_patterns(
    settings: ImageSettings, sequences: Mapping[str, SequenceSettings], folder: Path
) -> tuple[ScanList, list[Problem]]:
    found: dict[str, dict[str, tuple[Path, Path]]] = {}
    problems = []
    for name, item in sequences.items():
        images = _matches(item.image, folder)
        masks = _matches(str(item.mask), folder)
        key = f"images.sequences.{name}.image" if name else "images.image"
        if not images:
            what = f"No file fits {key} = {item.image!r}."
            problems.append(
                Problem(str(folder), 0, what, "Check the pattern; {id} is the patient.")
            )
        for raw, path in images.items():
            mask = masks.get(raw, folder / str(item.mask).replace("{id}", raw))
            found.setdefault(raw, {})[name] = (path, mask)
    series, absent = files_by_pattern(settings, folder, _matches)
    problems += absent
    ids = sorted({*found, *series})
    samples = clean_ids(ids, settings.id_rule, what=str(folder)) if ids else []
    scans = tuple(
        Scan(sample, found.get(raw, {}), series=series.get(raw, {}))
        for raw, sample in zip(ids, samples, strict=True)
    )
    return ScanList(scans, n_rows=len(scans)), problems


def _matches(pattern: str, folder: Path) -> dict[str, Path]:
    """Return the files that fit a pattern, by the text that stands for {id}.

    Raises
    ------
    InputError
        If two files belong to one id.
    """
    try:
        full = resolve(pattern, folder).as_posix()
    except KeyError as error:
        raise InputError(
            f"{pattern!r} uses ${{{error.args[0]}}}, which is not set in the environment."
        ) from None
    parts = full.split("{id}")
    stars = "*".join(glob.escape(part).replace("[*]", "*").replace("[?]", "?") for part in parts)
    regex = re.escape(full).replace(re.escape("{id}"), "(?P<id>[^/]+?)", 1)
    regex = (
        regex.replace(re.escape("{id}"), "(?P=id)").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    )
    files: dict[str, Path] = {}
    for text in sorted(glob.glob(stars)):
        match = re.fullmatch(regex, Path(text).as_posix())
        if match is None:
            continue
        if match["id"] in files:
            raise InputError(
                f"The pattern {pattern!r} fits two files of {match['id']}: "
                f"{files[match['id']]} and {text}. Make the pattern narrower."
            )
        files[match["id"]] = Path(text)
    return files


def choose_scans(
    scans: Sequence[Scan], how: str, specimen_days: Mapping[str, Sequence[date]] | None = None
) -> tuple[list[Scan], list[Scan]]:
    """Return one scan a sample, and the scans left out.

    Parameters
    ----------
    scans : sequence of Scan
        All scans.
    how : {"refuse", "first", "last", "nearest"}
        Which one counts.
    specimen_days : mapping of sample to sequence of date, or None
        For "nearest".

    Raises
    ------
    InputError
        If a sample has several scans and `how` is "refuse", or dates are needed and missing.
    """
    by_sample: dict[str, list[Scan]] = {}
    for scan in scans:
        by_sample.setdefault(scan.sample, []).append(scan)
    several = [sample for sample, found in by_sample.items() if len(found) > 1]
    if several and how == "refuse":
        raise InputError(
            f"{len(several)} samples have several scans: {shown(several)}. Say which counts: "
            'link.several_scans = "first", "last", "nearest", "largest", "mean" or "worst", or '
            "choose rows with [images] where."
        )
    kept, left = [], []
    for found in by_sample.values():
        if len(found) > 1:
            undated = [scan.row for scan in found if scan.day is None]
            if undated:
                raise InputError(
                    f"link.several_scans = {how!r} needs the date of each scan; rows without one: "
                    f"{shown(undated)}. Name the column in images.date."
                )
            found = sorted(found, key=lambda scan: (scan.day or date.min, scan.row))
        best = found[0] if how != "last" else found[-1]
        if how == "nearest":
            best = _nearest(found, (specimen_days or {}).get(best.sample, ()))
        kept.append(best)
        left += [scan for scan in found if scan is not best]
    return kept, left


def _nearest(scans: Sequence[Scan], days: Sequence[date]) -> Scan:
    """Return the scan nearest to any specimen of the patient; the first where there is none."""
    if not days:
        return scans[0]

    def gap(scan: Scan) -> int:
        assert scan.day is not None
        return min(abs((day - scan.day).days) for day in days)

    return min(scans, key=gap)
