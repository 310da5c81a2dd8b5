"""Command lines that need no explanation are read without typer's validators.

To convert and explain values typer (0.20 and later) loads pydantic, a tenth of a second that a scan
waits for. Where every option is known, given once, whole and in range, the values are converted
here, to the same; for all else (help, mistakes, lists, arguments) typer reads the line.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from typer.core import TyperCommand

__all__ = ["StraightCommand", "straight"]

_INT = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PATTERNS = {int: _INT, float: _FLOAT}


class StraightCommand(TyperCommand):
    """A command that reads a faultless line itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Set the values of the parameters; return what is left of the line."""
        function = inspect.unwrap(self.callback) if self.callback is not None else None
        values = None if function is None else straight(function, self.params, args)
        if values is None:
            return super().parse_args(ctx, args)
        ctx.params.update(values)
        ctx.args = []
        return []


def straight(function: Callable[..., Any], params: Any, args: list[str]) -> dict[str, Any] | None:
    """Return the value of each parameter, or None where typer must read the line.

    Parameters
    ----------
    function : callable
        The command.
    params : sequence of typer's parameters
        Its options.
    args : list of str
        The line after the command's name.
    """
    if any(one.param_type_name == "argument" or one.multiple for one in params):
        return None
    hints = get_type_hints(function, include_extras=True)
    values = {name: one.default for name, one in inspect.signature(function).parameters.items()}
    names = {spelling: one for one in params for spelling in (*one.opts, *one.secondary_opts)}
    rest, seen = iter(args), set[str]()
    for word in rest:
        option = names.get(word)
        if option is None or option.name in seen or not word.startswith("--"):
            return None
        seen.add(option.name)
        if option.is_flag:
            values[option.name] = word in option.opts
            continue
        value = _converted(next(rest, "-"), hints[option.name])
        if value is None:
            return None
        values[option.name] = value
    return None if inspect.Parameter.empty in values.values() else values


def _converted(text: str, hint: Any) -> Any:
    """Return a value of the type that a parameter is annotated with; None where it is no such."""
    kind, info, *_ = get_args(hint)
    kinds = [one for one in get_args(kind) or (kind,) if one is not NoneType]
    if text.startswith("-") or len(kinds) != 1:
        return None
    if kinds[0] in (str, Path):
        return kinds[0](text)
    pattern = _PATTERNS.get(kinds[0])
    if pattern is None or not pattern.fullmatch(text):
        return None
    value = kinds[0](text)
    low, high = info.min, info.max
    inside = (low is None or low <= value) and (high is None or value <= high)
    return value if inside and math.isfinite(value) else None
