"""Command lines that need no explanation are read without typer.

To load typer and what it converts values with takes a tenth of a second that a scan waits for.
Where every option is known, given once, whole and in range, the values are converted here, to the
same; for all else (help, mistakes, lists, arguments, groups of commands) typer reads the line.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any, get_args, get_origin, get_type_hints

__all__ = ["run_straight", "straight"]

_INT = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PATTERNS = {int: _INT, float: _FLOAT}
_SIMPLE = frozenset({"help", "min", "max"})
"""What an option may say of itself and still be read here."""


@dataclass(frozen=True, slots=True)
class _Option:
    """What ``typer.Option`` is told."""

    names: tuple[str, ...]
    said: dict[str, Any]


def _option(*names: str, **said: Any) -> _Option:
    return _Option(names, said)


def run_straight(words: Sequence[str]) -> bool:
    """Run the command that faultless words ask for; return whether that could be done.

    Parameters
    ----------
    words : sequence of str
        What follows ``radgen``.
    """
    name = words[0].replace("-", "_") if words else ""
    if not name.isidentifier() or name.startswith("_") or name == "app" or "_" in words[0]:
        return False
    if not Path(__file__).with_name(f"{name}.py").exists():
        return False
    module = import_module(f"radgen.cli.{name}")
    if hasattr(module, "app") or not set(getattr(module, "OPTIONS", ())) <= {"epilog"}:
        return False
    function = getattr(module, name)
    values = straight(function, words[1:])
    if values is None:
        return False
    from radgen.cli import _output

    with _output.explained_errors(), _output.bars(), _output.plain_warnings():
        _run(function, values)
    return True


def _run(function: Callable[..., Any], values: dict[str, Any]) -> None:
    """Run a command; it may end as under typer."""
    import typer  # its exceptions are looked at where there is one

    try:
        function(**values)
    except typer.Exit as end:
        raise SystemExit(end.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(1) from None


def straight(function: Callable[..., Any], words: Sequence[str]) -> dict[str, Any] | None:
    """Return the value of each parameter, or None where typer must read the line.

    Parameters
    ----------
    function : callable
        The command.
    words : sequence of str
        The line after the command's name.
    """
    function = inspect.unwrap(function)
    # The annotations name typer, which is not loaded for them.
    stand_in = SimpleNamespace(Option=_option, Argument=lambda *_names, **_said: None)
    space = {**sys.modules[function.__module__].__dict__, "typer": stand_in}
    hints = get_type_hints(function, globalns=space, include_extras=True)
    values = {name: one.default for name, one in inspect.signature(function).parameters.items()}
    options: dict[str, tuple[str, bool | None]] = {}
    for name in values:
        kind, said, *more = get_args(hints[name]) or (None, None)
        if not isinstance(said, _Option) or more or not set(said.said) <= _SIMPLE:
            return None
        if list in {get_origin(one) for one in (kind, *get_args(kind))}:
            return None
        options |= _spellings(name, said, kind is bool)
    rest, seen = iter(words), set[str]()
    for word in rest:
        name, flag = options.get(word, ("", None))
        if not name or name in seen:
            return None
        seen.add(name)
        if flag is not None:
            values[name] = flag
            continue
        value = _converted(next(rest, "-"), hints[name])
        if value is None:
            return None
        values[name] = value
    return None if inspect.Parameter.empty in values.values() else values


def _spellings(name: str, option: _Option, flag: bool) -> dict[str, tuple[str, bool | None]]:
    """Return the words that name an option, and what a flag's words mean."""
    plain = name.replace("_", "-")
    given = option.names or ((f"--{plain}/--no-{plain}",) if flag else (f"--{plain}",))
    found: dict[str, tuple[str, bool | None]] = {}
    for one in given:
        yes, _, no = one.partition("/")
        found[yes.strip()] = (name, True if flag else None)
        if no:
            found[no.strip()] = (name, False)
    # A short option may stand together with others; typer reads it.
    return {word: means for word, means in found.items() if word.startswith("--")}


def _converted(text: str, hint: Any) -> Any:
    """Return a value of the type that a parameter is annotated with; None where it is no such."""
    kind, option = get_args(hint)
    kinds = [one for one in get_args(kind) or (kind,) if one is not NoneType]
    if text.startswith("-") or len(kinds) != 1:
        return None
    if kinds[0] in (str, Path):
        return kinds[0](text)
    pattern = _PATTERNS.get(kinds[0])
    if pattern is None or not pattern.fullmatch(text):
        return None
    value = kinds[0](text)
    low, high = option.said.get("min"), option.said.get("max")
    inside = (low is None or low <= value) and (high is None or value <= high)
    return value if inside and math.isfinite(value) else None
