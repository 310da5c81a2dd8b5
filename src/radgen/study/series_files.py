"""Which files the functional steps of a study take, for each scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from radgen._core.naming import did_you_mean
from radgen.study.problems import Problem
from radgen.study.schema.sources import ImageSettings
from radgen.study.settings import resolve

__all__ = ["SeriesFiles", "files_by_pattern", "files_of_row", "require_columns", "step_files"]

SeriesFiles = Mapping[str, Mapping[str, tuple[Path, ...]]]
"""Step -> what ("series", "mask", "artery" …) -> its files."""


def step_files(settings: ImageSettings) -> dict[str, dict[str, list[str]]]:
    """Return what the study file names for each step: columns, patterns or paths."""
    found = {}
    for name, step in settings.functional.items():
        named = step.files()
        if "mask" not in named:
            named["mask"] = [str(settings.mask)]
        found[name] = named
    return found


def require_columns(
    settings: ImageSettings, columns: Sequence[str], folder: Path, where: str
) -> list[Problem]:
    """Return a problem for each name that is neither a column of the scan table nor a file."""
    return [
        Problem(
            where,
            1,
            f"There is no column {text!r} (key images.functional.{name}.{key}), and no such file.",
            did_you_mean(text, columns),
        )
        for name, named in step_files(settings).items()
        for key, texts in named.items()
        for text in texts
        if text not in columns and _fixed(text, folder) is None
    ]


def files_of_row(
    settings: ImageSettings,
    row: Mapping[str, Any],
    folder: Path,
    cell: Callable[[object], Path],
) -> SeriesFiles:
    """Return the files of one row of the scan table; a step whose series is blank is left out.

    Parameters
    ----------
    settings : ImageSettings
        The section [images].
    row : mapping
        Cells by column.
    folder : Path
        Where paths of the study file start.
    cell : callable
        Returns the file that a cell names.
    """
    found: dict[str, dict[str, tuple[Path, ...]]] = {}
    for name, named in step_files(settings).items():
        if all(text in row and row[text] is None for text in named["series"]):
            continue
        found[name] = {
            key: tuple(
                cell(row[text]) if text in row else _fixed(text, folder) or Path(text)
                for text in texts
            )
            for key, texts in named.items()
        }
    return found


def files_by_pattern(
    settings: ImageSettings, folder: Path, matches: Callable[[str, Path], Mapping[str, Path]]
) -> tuple[dict[str, dict[str, dict[str, tuple[Path, ...]]]], list[Problem]]:
    """Return the files of each raw id and step, and steps without any file.

    Parameters
    ----------
    settings : ImageSettings
        The section [images].
    folder : Path
        Where relative patterns start.
    matches : callable
        Returns the files that fit a pattern, by id.
    """
    found: dict[str, dict[str, dict[str, tuple[Path, ...]]]] = {}
    problems = []
    for name, named in step_files(settings).items():
        listed = {text: matches(text, folder) for text in _texts(named) if "{id}" in text}
        ids = sorted({raw for text in named["series"] for raw in listed[text]})
        if not ids:
            key = f"images.functional.{name}.series"
            what = f"No file fits {key} = {named['series']}."
            problems.append(Problem(str(folder), 0, what, "{id} is the patient."))
        for raw in ids:
            found.setdefault(raw, {})[name] = {
                key: tuple(_one(text, raw, listed, folder) for text in texts)
                for key, texts in named.items()
            }
    return found, problems


def _texts(named: Mapping[str, Sequence[str]]) -> list[str]:
    return [text for texts in named.values() for text in texts]


def _one(text: str, raw: str, listed: Mapping[str, Mapping[str, Path]], folder: Path) -> Path:
    if text in listed:
        return listed[text].get(raw, folder / text.replace("{id}", raw))
    return _fixed(text, folder) or folder / text


def _fixed(text: str, folder: Path) -> Path | None:
    """Return the one file of all patients that a text names; None where there is none."""
    try:
        path = resolve(text, folder)
    except KeyError:
        return None
    return path if path.exists() and path != folder else None
