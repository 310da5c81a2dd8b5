"""Read TOML, and know on which line each key stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from radgen.errors import ConfigError

__all__ = ["Location", "line_of", "read_toml", "toml_lines"]

Location = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*(\]\]?)\s*(#.*)?$")
_PART = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*(\.|$)""")
_KEY = re.compile(
    r"""^\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)


def read_toml(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """Return the content of a TOML file and the line of each key.

    Raises
    ------
    ConfigError
        If the file is missing, is not UTF-8 text, or breaks the TOML format.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"There is no study file {path}. Write one with: radgen init {path.parent}"
        ) from None
    except IsADirectoryError:
        raise ConfigError(
            f"{path} is a folder. Name the study file: {path / 'study.toml'}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}") from error
    try:
        return tomllib.loads(text), toml_lines(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path}: this is no valid TOML: {error}. Text needs quotation marks, lists need "
            "brackets, and each key stands once in its section."
        ) from error
    except RecursionError:
        raise ConfigError(f"{path}: values are nested too deeply to be a study file.") from None


def toml_lines(text: str) -> dict[Location, int]:
    """Return the line, from 1, of every section and of every key that starts a line.

    Examples
    --------
    >>> toml_lines("[a]\\nb = 1\\n[[c]]\\n[[c]]\\nd = 2\\n")[("c", 1, "d")]
    5
    """
    found: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    section: Location = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:
            closing = "" if closing in line else closing
            continue
        header = _HEADER.match(line)
        key = _KEY.match(line)
        if header and header[1] == header[3].replace("]", "["):
            section = _resolve(_parts(header[2]), counts, repeated=header[1] == "[[")
            for end in range(1, len(section) + 1):
                found.setdefault(section[:end], number)
        elif key:
            parts = section + tuple(_parts(key[1]))
            for end in range(len(section) + 1, len(parts) + 1):
                found.setdefault(parts[:end], number)
            closing = _opens(line[key.end() :])
    return found


def line_of(lines: dict[Location, int], location: Location) -> int:
    """Return the line of a key, or of the closest section around it; 0 where none is known."""
    for end in range(len(location), 0, -1):
        if location[:end] in lines:
            return lines[location[:end]]
    return 0


def _parts(text: str) -> list[str]:
    parts, place = [], 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            break
        raw = match[1]
        parts.append(raw[1:-1] if raw[0] in "\"'" else raw)
        place = match.end()
    return parts


def _resolve(parts: list[str], counts: dict[Location, int], *, repeated: bool) -> Location:
    location: Location = ()
    for place, part in enumerate(parts):
        location += (part,)
        last = place == len(parts) - 1
        if last and repeated:
            counts[location] = counts.get(location, -1) + 1
        if location in counts:
            location += (counts[location],)
    return location


def _opens(value: str) -> str:
    for quotes in ('"""', "'''"):
        if value.count(quotes) == 1:
            return quotes
    return ""
