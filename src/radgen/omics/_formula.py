"""Arithmetic of signature cards: a small closed language, no Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = ["evaluate", "names_in"]

Array = NDArray[np.float64]


def _mean(*parts: Array) -> Array:
    return np.asarray(sum(parts) / len(parts))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "min": lambda *parts: np.asarray(np.minimum.reduce(np.broadcast_arrays(*parts))),
    "max": lambda *parts: np.asarray(np.maximum.reduce(np.broadcast_arrays(*parts))),
    "mean": _mean,
}
_BINARY: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type, Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_LONGEST = 2000


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise InputError(f"A formula has at most {_LONGEST} characters; found {len(text)}.")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise InputError(f"The formula {text!r} cannot be read: {error}.") from error


def names_in(text: str) -> tuple[str, ...]:
    """Return the names that a formula uses, functions left out, and check what it is made of.

    Raises
    ------
    InputError
        If the formula holds anything but numbers, names, + - * / **, comparisons, and the
        functions abs, exp, log, log2, log10, sqrt, min, max and mean.
    """
    found: dict[str, None] = {}
    _walk(_parsed(text), text, found)
    return tuple(found)


def _walk(node: ast.expr, text: str, found: dict[str, None]) -> None:
    if isinstance(node, ast.Name):
        found[node.id] = None
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return
    parts: list[ast.expr] | None = None
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        parts = [node.left, node.right]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        parts = [node.operand]
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in _FUNCTIONS:
            raise InputError(
                f"{node.func.id!r} in the formula {text!r} is no function of signature cards: "
                f"{', '.join(_FUNCTIONS)}."
            )
        parts = node.args or None
    if parts is None:
        raise InputError(
            f"The formula {text!r} holds {ast.unparse(node)!r}: a card knows numbers, names, "
            "+ - * / **, comparisons (which give 1 or 0) and the functions "
            f"{', '.join(_FUNCTIONS)}."
        )
    for part in parts:
        _walk(part, text, found)


def evaluate(text: str, values: Mapping[str, Array]) -> Array:
    """Return the value of a formula for each sample; NaN wherever an input of it is NaN.

    Parameters
    ----------
    text : str
        Checked by `names_in`.
    values : mapping of str to ndarray of float64 (n_samples,)
        All names of the formula.

    Returns
    -------
    ndarray of float64 (n_samples,)
        Values that are not finite (log of 0, division by 0) become NaN.
    """
    names = names_in(text)
    with np.errstate(all="ignore"):
        found = np.asarray(_value(_parsed(text), values), dtype=np.float64)
    shape = np.broadcast_shapes(*(values[name].shape for name in names)) if names else (1,)
    found = np.broadcast_to(found, shape)
    known = np.ones(shape, dtype=bool)
    for name in names:
        known &= np.isfinite(values[name])
    return np.where(known & np.isfinite(found), found, np.nan)


def _value(node: ast.expr, values: Mapping[str, Array]) -> Any:
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.UnaryOp):
        sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
        return sign * np.asarray(_value(node.operand, values))
    if isinstance(node, ast.Compare):
        sides = _value(node.left, values), _value(node.comparators[0], values)
        return np.asarray(_COMPARE[type(node.ops[0])](*sides), dtype=np.float64)
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    return _FUNCTIONS[node.func.id](*(_value(part, values) for part in node.args))
