"""The clinical table as typed columns; every cell that does not fit is a problem with its row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen._core.naming import did_you_mean
from radgen.errors import InputError, RadgenError, shown
from radgen.io import IdRule, apply_spellings, normalise_ids, read_table, to_numbers
from radgen.io.tables import BLANKS
from radgen.study.clocks import cells_shown, no_column, parse_dates, survival_times
from radgen.study.problems import Problem
from radgen.study.schema.sources import ColumnSettings, PatientTable
from radgen.study.schema.sources import IdRule as IdRuleSettings
from radgen.types import Covariates, Outcome, check_unique

__all__ = ["Sheet", "beside", "clean_ids", "io_rule", "read_sheet"]


@dataclass(frozen=True, eq=False)
class Sheet:
    """What is known of each sample besides images and molecules.

    Attributes
    ----------
    frame : polars.DataFrame
        ``sample`` and a column for each declared name: Float64, String or Date.
    columns : mapping of str to ColumnSettings
        What was declared of each column.
    survival : mapping of str to polars.DataFrame
        Columns ``sample, time, event`` of each declared survival time.
    units : mapping of str to str
        Unit of each survival time.
    """

    frame: pl.DataFrame
    columns: Mapping[str, ColumnSettings] = field(default_factory=dict)
    survival: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def samples(self) -> tuple[str, ...]:
        """Ids, in the order of the table."""
        return tuple(self.frame["sample"].to_list())

    def names(self) -> tuple[str, ...]:
        """Names of all columns and survival times."""
        return (*self.columns, *self.survival)

    def select(self, where: Mapping[str, Sequence[str]]) -> set[str]:
        """Return the samples whose columns hold one of the wanted values."""
        frame = self.frame
        for name, values in where.items():
            frame = frame.filter(_as_text(frame[name]).is_in(list(values)))
        return set(frame["sample"].to_list())

    def covariates(self, names: Sequence[str]) -> Covariates | None:
        """Return columns as numbers, categories expanded against their first level."""
        parts: list[np.ndarray[Any, Any]] = []
        labels: list[str] = []
        for name in names:
            column = self.frame[name]
            if column.dtype == pl.Float64:
                parts.append(column.to_numpy().astype(np.float64))
                labels.append(name)
                continue
            levels = self.levels(name)
            known = column.is_not_null().to_numpy()
            for level in levels[1:]:
                hits = (column == level).fill_null(False).to_numpy().astype(np.float64)
                hits[~known] = np.nan
                parts.append(hits)
                labels.append(f"{name}={level}")
        if not labels:
            return None
        return Covariates(self.samples, tuple(labels), np.column_stack(parts))

    def levels(self, name: str) -> tuple[str, ...]:
        """Return the levels of a category: those declared that occur, or those found, sorted."""
        found = set(self.frame[name].drop_nulls().to_list())
        declared = self.columns[name].levels
        return (
            tuple(item for item in declared if item in found) if declared else tuple(sorted(found))
        )

    def outcome(self, name: str, *, positive: str | None = None) -> Outcome:
        """Return a column or survival time as an outcome.

        Raises
        ------
        InputError
            If the column is a date, or a category of more than two levels without `positive`.
        """
        if name in self.survival:
            frame = self.survival[name]
            times = frame["time"].to_numpy().astype(np.float64)
            events = frame["event"].fill_null(False).to_numpy()
            return Outcome(
                name, "censored", tuple(frame["sample"]), times, events, unit=self.units[name]
            )
        settings, column = self.columns[name], self.frame[name]
        if settings.type == "number":
            values = column.to_numpy().astype(np.float64)
            return Outcome(name, "continuous", self.samples, values, unit=settings.unit)
        if settings.type == "date":
            raise InputError(
                f"{name!r} is a date; declare a survival time that starts or ends there."
            )
        levels = tuple(settings.levels) if settings.levels else self.levels(name)
        if positive is not None:
            return self._one_against_rest(name, positive, levels)
        if settings.type == "ordinal":
            return Outcome(name, "ordinal", self.samples, _codes(column, levels), levels=levels)
        if len(levels) != 2:
            raise InputError(
                f"{name!r} has {len(levels)} values ({shown(levels)}). Say which is the positive "
                f'one: positive = "{levels[-1] if levels else ""}".'
            )
        return Outcome(name, "binary", self.samples, _codes(column, levels), levels=levels)

    def _one_against_rest(self, name: str, positive: str, levels: Sequence[str]) -> Outcome:
        if positive not in levels:
            raise InputError(
                f"{name!r} has no value {positive!r}. {did_you_mean(positive, levels)}"
            )
        column = self.frame[name]
        values = (column == positive).cast(pl.Float64).to_numpy().astype(np.float64)
        values[column.is_null().to_numpy()] = np.nan
        rest = [level for level in levels if level != positive]
        other = rest[0] if len(rest) == 1 else f"not {positive}"
        return Outcome(name, "binary", self.samples, values, levels=(other, positive))


def _codes(column: pl.Series, levels: Sequence[str]) -> np.ndarray[Any, Any]:
    code = {level: float(place) for place, level in enumerate(levels)}
    return np.array([code.get(item, np.nan) for item in column.to_list()], dtype=np.float64)


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Float64:
        texts = [None if value is None else f"{value:g}" for value in column.to_list()]
        return pl.Series(column.name, texts, dtype=pl.String)
    return column.cast(pl.String)


def io_rule(settings: IdRuleSettings) -> IdRule:
    """Return the id rule of a section as the readers take it."""
    return IdRule(**settings.model_dump())


def clean_ids(ids: Sequence[Any], settings: IdRuleSettings, *, what: str) -> list[str]:
    """Return ids after the rule of their section.

    Raises
    ------
    AlignmentError
        If two different ids become one.
    InputError
        If an id is empty, or does not match the declared pattern.
    """
    empty = [row for row, item in enumerate(ids, 1) if item is None or not str(item).strip()]
    if empty:
        raise InputError(
            f"{what}: no id in data row {shown(empty)}. Every row needs an id; fill or delete it."
        )
    cleaned: list[str] = normalise_ids([str(item) for item in ids], io_rule(settings), what=what)
    return cleaned


def read_sheet(
    settings: PatientTable, path: Path, *, key: str = "clinical"
) -> tuple[Sheet, list[Problem]]:
    """Return the typed clinical table and what is wrong with it.

    Raises
    ------
    RadgenError
        If the file cannot be read at all, or its ids are empty or repeated.
    """
    table = read_table(path, sheet=settings.sheet)
    where = str(path)
    if settings.id not in table.columns:
        raise InputError(
            f"{where}: there is no id column {settings.id!r} (key {key}.id). "
            f"{did_you_mean(settings.id, table.columns)}"
        )
    samples = clean_ids(table[settings.id].to_list(), settings.id_rule, what=where)
    check_unique(samples, what=where)
    problems: list[Problem] = []
    columns: dict[str, Any] = {"sample": pl.Series("sample", samples, dtype=pl.String)}
    kept: dict[str, ColumnSettings] = {}
    for name, column in settings.columns.items():
        header = column.column or name
        if header not in table.columns:
            problems.append(no_column(where, f"{key}.columns.{name}", header, table.columns))
            continue
        try:
            values, found = _typed(table[header], column, name, where)
        except RadgenError as error:
            problems.append(Problem(where, 0, f"Column {header!r}: {error}"))
            continue
        problems += found
        columns[name], kept[name] = values, column
    survival = {}
    for name, clock in settings.survival.items():
        frame, found = survival_times(table, clock, name, where)
        problems += found
        if frame is not None:
            survival[name] = frame.insert_column(0, columns["sample"])
    units = {name: clock.unit for name, clock in settings.survival.items()}
    return Sheet(pl.DataFrame(columns), kept, survival, units), problems


def beside(sheet: Sheet, other: Sheet) -> Sheet:
    """Return a sheet with the columns of another beside its own; rows are matched by id."""
    frame = sheet.frame.join(other.frame, on="sample", how="left", maintain_order="left")
    samples = sheet.frame.select("sample")
    survival = {
        name: samples.join(times, on="sample", how="left", maintain_order="left")
        for name, times in other.survival.items()
    }
    return Sheet(
        frame,
        {**sheet.columns, **other.columns},
        {**sheet.survival, **survival},
        {**sheet.units, **other.units},
    )


def _typed(
    column: pl.Series, settings: ColumnSettings, name: str, where: str
) -> tuple[pl.Series, list[Problem]]:
    missing = {text.strip() for text in settings.missing}
    if column.dtype == pl.String and missing:
        column = pl.Series(
            column.name,
            [None if cell is not None and cell.strip() in missing else cell for cell in column],
            dtype=pl.String,
        )
    if settings.type == "number":
        numbers, dirty = to_numbers(column)
        if dirty:
            cells = cells_shown([(row, text) for row, _, text in dirty])
            return numbers.alias(name), [
                Problem(
                    where,
                    dirty[0][0] + 1,
                    f"Column {column.name!r}: {len(dirty)} cells are no numbers ({cells}).",
                    f"Correct them, or name such texts in clinical.columns.{name}.missing.",
                )
            ]
        return numbers.alias(name), []
    if settings.type == "date":
        dates, bad = parse_dates(column, settings.format)
        problems = []
        if bad:
            problems.append(
                Problem(
                    where,
                    bad[0][0] + 1,
                    f"Column {column.name!r}: {len(bad)} cells are no dates of the form "
                    f"{settings.format} ({cells_shown(bad)}).",
                    f"Set clinical.columns.{name}.format, or correct them.",
                )
            )
        return pl.Series(name, dates, dtype=pl.Date), problems
    return _category(column, settings, name, where)


def _category(
    column: pl.Series, settings: ColumnSettings, name: str, where: str
) -> tuple[pl.Series, list[Problem]]:
    cells = [
        None if cell is None or str(cell).strip().lower() in BLANKS else str(cell).strip()
        for cell in column.to_list()
    ]
    if not settings.spellings and not settings.levels:
        values: list[str | None] = list(cells)
    else:
        spellings: dict[str, list[str]] = {level: [] for level in settings.levels}
        spellings |= settings.spellings
        values, unmapped = apply_spellings(cells, spellings)
        if unmapped:
            rows = [row for row, cell in enumerate(cells, 1) if cell in set(unmapped)]
            return pl.Series(name, values, dtype=pl.String), [
                Problem(
                    where,
                    rows[0] + 1 if rows else 0,
                    f"Column {column.name!r}: {len(unmapped)} spellings belong to no value "
                    f"({shown([repr(item) for item in unmapped], 12)}).",
                    f"Add each to a value of clinical.columns.{name}.spellings, or to "
                    f"clinical.columns.{name}.missing.",
                )
            ]
    found = {value for value in values if value is not None}
    problems = []
    if settings.type == "binary" and not settings.levels and len(found) > 2:
        problems.append(
            Problem(
                where,
                0,
                f"Column {column.name!r} is declared binary and has {len(found)} values "
                f"({shown(sorted(found))}).",
                f"Map its spellings to two values in clinical.columns.{name}.spellings.",
            )
        )
    return pl.Series(name, values, dtype=pl.String), problems
