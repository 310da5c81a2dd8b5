"""Fitted transformers as plain JSON: no pickle, nothing is run when they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from radgen._core.sealed import read_sealed, write_sealed
from radgen._version import __version__
from radgen.errors import FormatError, InputError

__all__ = ["as_plain", "from_plain", "is_portable", "read_transformer", "write_transformer"]

_TYPE, _VERSION = "radgen.transformer", 1
_ESTIMATORS = {
    "ComBat": "harmonise",
    "CorrelationFilter": "select",
    "CovBat": "covbat",
    "IntrinsicPhenotypes": "intrinsic",
    "LongitudinalComBat": "longitudinal",
    "NestedComBat": "nested",
    "RankNormaliser": "select",
    "ReliabilityFilter": "select",
    "VarianceFilter": "select",
}
_RECORDS = {
    "BatchEffect": "radgen.phenotype._combat",
    "GapStatistic": "radgen.stats.clustering",
    "Standard": "radgen.phenotype._combat",
    "SplineBasis": "radgen.stats.smooth",
    "TwoGroups": "radgen.phenotype._two_groups",
}
_ODD = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_FORGOTTEN = ("repeats", "consensus_", "labels_")
"""What is of the training samples and not needed for others."""


def write_transformer(
    transformer: BaseEstimator, path: str | Path, *, about: Mapping[str, Any] | None = None
) -> str:
    """Write a fitted harmoniser or filter to a JSON file and return its digest.

    Parameters
    ----------
    transformer : estimator
        A fitted estimator of `radgen.phenotype`.
    path : str or Path
        File to write.
    about : mapping or None
        Plain values to keep beside it: columns, sizes, settings.

    Returns
    -------
    str
        SHA-256 of the content, also stored in the file.

    Raises
    ------
    InputError
        If it is no estimator of `radgen.phenotype`.
    """
    check_is_fitted(transformer)
    content = {
        "encoding_type": _TYPE,
        "encoding_version": _VERSION,
        "radgen": __version__,
        "about": dict(about or {}),
        "transformer": as_plain(transformer),
    }
    return write_sealed(path, content)


def read_transformer(path: str | Path) -> tuple[Any, dict[str, Any]]:
    """Return the transformer of a file that `write_transformer` wrote, and what was kept beside.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    transformer : estimator
        Fitted.
    about : dict
        Plain values.

    Raises
    ------
    FormatError
        If the file is none such, of another version, or was changed.
    """
    content = read_sealed(path, _TYPE, _VERSION, what="stored transformer")
    try:
        return from_plain(content["transformer"]), dict(content["about"])
    except (
        ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        raise FormatError(f"It lacks a part or has a wrong one: {error!r}.", path=path) from error


def is_portable(value: Any) -> bool:
    """Return whether `as_plain` can write an estimator."""
    name = type(value).__name__
    return name in _ESTIMATORS and type(value) is _estimator(name)


def as_plain(value: Any) -> Any:
    """Return a fitted estimator, an array or a number as what JSON can hold.

    Raises
    ------
    InputError
        If a part is of a kind that is not stored.
    """
    for applies, encode in _ENCODERS:
        if applies(value):
            return encode(value)
    raise InputError(f"A {type(value).__name__} cannot be written as plain numbers.")


def from_plain(value: Any) -> Any:
    """Return what `as_plain` wrote."""
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items()
    return _DECODERS[kind](content)


def _estimator(name: str) -> Any:
    return getattr(import_module(f"radgen.phenotype.{_ESTIMATORS[name]}"), name)


def _is_record(value: Any) -> bool:
    return type(value).__name__ in _RECORDS and dataclasses.is_dataclass(value)


def _write_array(value: np.ndarray[Any, Any]) -> dict[str, Any]:
    flat = value.ravel().tolist()
    if value.dtype.kind == "f":
        flat = [item if np.isfinite(item) else str(item) for item in flat]
    return {"array": [value.dtype.kind, list(value.shape), flat]}


def _read_array(content: list[Any]) -> np.ndarray[Any, Any]:
    kind, shape, flat = content
    if kind == "f":
        flat = [_ODD.get(item, item) for item in flat]
    names = {"f": np.float64, "i": np.int64, "b": np.bool_, "O": object, "U": str}
    return np.array(flat, dtype=names[kind]).reshape(shape)


def _write_float(value: float) -> Any:
    return float(value) if np.isfinite(value) else {"number": str(float(value))}


def _write_record(value: Any) -> dict[str, Any]:
    fields = {f.name: as_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return {"record": [type(value).__name__, fields]}


def _read_record(content: list[Any]) -> Any:
    make = getattr(import_module(_RECORDS[content[0]]), content[0])
    return make(**{name: from_plain(item) for name, item in content[1].items()})


def _write_estimator(value: Any) -> dict[str, Any]:
    state = {
        name: as_plain(item)
        for name, item in vars(value).items()
        if name.endswith("_") and not name.startswith("__") and name not in _FORGOTTEN
    }
    settings = {
        name: as_plain(item)
        for name, item in value.get_params(deep=False).items()
        if name not in _FORGOTTEN
    }
    return {"estimator": [type(value).__name__, settings, state, value.n_features_in_]
            if hasattr(value, "n_features_in_")
            else [type(value).__name__, settings, state, None]}  # fmt: skip


def _read_estimator(content: list[Any]) -> Any:
    name, settings, state, width = content
    found = _estimator(name)(**{key: from_plain(item) for key, item in settings.items()})
    for key, item in state.items():
        if not key.isidentifier() or not key.endswith("_") or key.startswith("__"):
            raise ValueError(f"{key!r} is no fitted state")
        setattr(found, key, from_plain(item))
    if width is not None:
        found.n_features_in_ = width
    return found


def _write_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {"mapping": [[as_plain(key), as_plain(item)] for key, item in value.items()]}


_ENCODERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (lambda v: v is None or isinstance(v, bool | str), lambda v: v),
    (lambda v: isinstance(v, np.bool_), bool),
    (lambda v: isinstance(v, int | np.integer), int),
    (lambda v: isinstance(v, float | np.floating), _write_float),
    (lambda v: isinstance(v, np.ndarray), _write_array),
    (lambda v: isinstance(v, tuple), lambda v: {"tuple": [as_plain(item) for item in v]}),
    (lambda v: isinstance(v, list), lambda v: [as_plain(item) for item in v]),
    (lambda v: isinstance(v, Mapping), _write_mapping),
    (_is_record, _write_record),
    (is_portable, _write_estimator),
)
_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "array": _read_array,
    "number": lambda v: _ODD[v],
    "tuple": lambda v: tuple(from_plain(item) for item in v),
    "mapping": lambda v: {from_plain(key): from_plain(item) for key, item in v},
    "record": _read_record,
    "estimator": _read_estimator,
}
