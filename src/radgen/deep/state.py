"""A fitted model as one file of plain arrays and JSON: no code, no pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.digest import digest
from radgen._core.files import atomic_path
from radgen._version import __version__
from radgen.errors import FormatError, InputError

__all__ = ["load_model", "save_model"]

_TYPE, _VERSION = "radgen.deep", 1
_KINDS = {
    "AttentionPooling": "pooling",
    "BagOfCells": "cells",
    "DeepSurvival": "survival",
    "ImageNetwork": "images",
}


def save_model(model: Any, path: str | Path, *, about: Mapping[str, Any] | None = None) -> str:
    """Write a fitted model to one file (.npz) and return its digest.

    Parameters
    ----------
    model : AttentionPooling, BagOfCells, DeepSurvival or ImageNetwork
        Fitted.
    path : str or Path
        Ends in ``.npz``.
    about : mapping or None
        Plain facts that travel with it (outcome, sizes).

    Returns
    -------
    str
        SHA-256 of settings, state and weights.

    Raises
    ------
    InputError
        If the model is of another class, is not fitted, or the name does not end in .npz.
    """
    kind = type(model).__name__
    if kind not in _KINDS:
        raise InputError(f"A {kind} is none of radgen's deep models: {', '.join(_KINDS)}.")
    if Path(path).suffix != ".npz":
        raise InputError(f"{path}: a model file ends in .npz.")
    plain, arrays = model.get_state()
    content = {
        "encoding_type": _TYPE, "encoding_version": _VERSION, "radgen": __version__,
        "kind": kind, "params": model.get_params(), "state": plain, "about": dict(about or {}),
    }  # fmt: skip
    key = _key(content, arrays)
    text = json.dumps({**content, "digest": key}, sort_keys=True)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, header=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)
    return key


def load_model(path: str | Path) -> tuple[Any, dict[str, Any]]:
    """Return a fitted model from a file of `save_model`, and the facts that travel with it.

    Parameters
    ----------
    path : str or Path
        Written by `save_model`.

    Returns
    -------
    model : estimator
        Predicts as the original did.
    about : dict
        The facts.

    Raises
    ------
    FormatError
        If the file is no model, of another version, or was changed or damaged.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        content = json.loads(bytes(arrays.pop("header")).decode())
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(f"This is no model file of radgen: {error}.", path=path) from error
    if not isinstance(content, dict) or content.get("encoding_type") != _TYPE:
        raise FormatError("This is no model file of radgen.", path=path)
    if content.get("encoding_version") != _VERSION:
        raise FormatError(
            f"Version {content.get('encoding_version')} of a model; this code reads {_VERSION}.",
            path=path,
        )
    if content.pop("digest", None) != _key(content, arrays):
        raise FormatError("The model was changed after it was written.", path=path)
    try:
        kind = content["kind"]
        model = getattr(import_module(f"radgen.deep.{_KINDS[kind]}"), kind)(**_listed(content))
        model.set_state(content["state"], arrays)
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError,
            RuntimeError) as error:  # fmt: skip
        raise FormatError(f"The model lacks a part or has a wrong one: {error!r}.",
                          path=path) from error  # fmt: skip
    return model, content["about"]


def _listed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings; JSON has no tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in content["params"].items()}


def _key(content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    return digest(json.dumps(content, sort_keys=True), {k: arrays[k] for k in sorted(arrays)})
