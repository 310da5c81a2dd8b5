"""From a study file to checked settings, with the line of every mistake."""

from __future__ import annotations

import os
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from radgen._core.naming import did_you_mean
from radgen.errors import ConfigError
from radgen.study._toml import Location, line_of, read_toml
from radgen.study.problems import Problem, raise_problems
from radgen.study.schema import StudySettings

__all__ = ["load_settings", "resolve", "salvage_settings"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def load_settings(path: Path) -> tuple[StudySettings, dict[Location, int]]:
    """Return the settings of a study file and the line of each of its keys.

    Raises
    ------
    ConfigError
        If the file is missing or no TOML; or with every mistake in it at once: unknown keys
        (the nearest known one is named), missing keys, values that are not allowed.
    """
    settings, lines, problems = salvage_settings(path)
    raise_problems(problems, what=f"The study file {path} cannot be used")
    if settings is None:
        raise ConfigError(f"The study file {path} cannot be used.")
    return settings, lines


def salvage_settings(path: Path) -> tuple[StudySettings | None, dict[Location, int], list[Problem]]:
    """Return what can be read of a study file, the line of each key, and every mistake in it.

    Parameters
    ----------
    path : Path
        The study file.

    Returns
    -------
    settings : StudySettings or None
        Without the keys that are wrong, so that the rest can be checked all the same; None where
        what is left is no study.
    lines : mapping
        Line of each key.
    problems : list of Problem
        Unknown keys (the nearest known one is named), missing keys, values not allowed.

    Raises
    ------
    ConfigError
        If the file is missing or no TOML.
    """
    content, lines = read_toml(path)
    problems: list[Problem] = []
    while True:
        try:
            return StudySettings.model_validate(content), lines, sorted(set(problems))
        except ValidationError as error:
            items = error.errors(include_url=False)
        if not problems:
            problems = [
                Problem(str(path), line_of(lines, _place(item["loc"])), *_explain(item))
                for item in items
            ]
        wrong = [_place(item["loc"]) for item in items if item["type"] != "missing"]
        removed = [_remove(content, location) for location in wrong]
        if not any(removed):
            return None, lines, sorted(set(problems))


def _remove(content: Any, location: Location) -> bool:
    """Take the key at a location out of nested tables; return whether it was there."""
    for part in location[:-1]:
        inside = isinstance(content, dict) and part in content
        listed = isinstance(content, list) and isinstance(part, int) and part < len(content)
        if not inside and not listed:
            return False
        content = content[part]
    if not location or not isinstance(content, dict) or location[-1] not in content:
        return False
    del content[location[-1]]
    return True


def resolve(text: str, folder: Path) -> Path:
    """Return the file that a path of a study file names.

    Parameters
    ----------
    text : str
        ``${NAME}`` stands for an environment variable and ``~`` for the home folder. A relative
        path starts at the folder of the study file.
    folder : Path
        That folder.

    Raises
    ------
    KeyError
        If an environment variable is not set; its name is the argument.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise KeyError(match[1])
        return found

    return folder / Path(_VARIABLE.sub(value, text)).expanduser()


def _place(location: tuple[int | str, ...]) -> Location:
    """Drop the parts of a pydantic location that name no key."""
    return tuple(part for part in location if part != "[key]")


def _explain(item: Mapping[str, Any]) -> tuple[str, str]:
    location = _place(item["loc"])
    parent = _dotted(location[:-1])
    section = f"[{parent}]" if parent else "the study file"
    key = str(location[-1]) if location else ""
    kind = item["type"]
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = did_you_mean(key, known)
        return f"Unknown key {key!r} in {section}.", near
    if kind == "missing":
        what = _description((*location[:-1], key))
        return f"{section} lacks the key {key!r}.", f"{what}" if what else ""
    if kind == "value_error":
        where = f"[{_dotted(location)}]" if location else "The study"
        return f"{where}: {item['ctx']['error']}.", ""
    if kind == "literal_error":
        expected = item["ctx"]["expected"]
        return f"{_dotted(location)} = {item['input']!r} is not allowed.", f"Allowed: {expected}."
    shown = repr(item["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"{_dotted(location)} = {shown}: {item['msg'].lower()}.", _description(location)


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _step(annotation: Any, part: str | int) -> Any:
    """Return the annotation one key further inside, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return None if field is None else field.annotation
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        inside = [_step(option, part) for option in arguments]
        return next((option for option in inside if option is not None), None)
    if origin is typing.Annotated:
        return _step(arguments[0], part)
    if origin is dict:
        return arguments[1]
    if origin is list:
        return arguments[0]
    return None


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    found: list[type[BaseModel]] = []
    for option in typing.get_args(annotation):
        found += _models(option)
    return found


def _at(location: Location) -> Any:
    annotation: Any = StudySettings
    for part in location:
        annotation = _step(annotation, part)
        if annotation is None:
            return None
    return annotation


def _known_keys(location: Location) -> list[str]:
    found = _at(location)
    models = [] if found is None else _models(found)
    return [name for model in models for name in model.model_fields]


def _description(location: Location) -> str:
    parent = _at(location[:-1]) if location else None
    for model in [] if parent is None else _models(parent):
        field = model.model_fields.get(str(location[-1]))
        if field is not None and field.description:
            return f"({field.description.rstrip('.')}.)"
    return ""
