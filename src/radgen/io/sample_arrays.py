"""Read and write an array a sample: one .npz of plain arrays and JSON."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from radgen._core.digest import digest
from radgen._core.files import atomic_path
from radgen.errors import FormatError, InputError
from radgen.io._guard import existing
from radgen.types import SampleArrays

__all__ = ["read_sample_arrays", "write_sample_arrays"]

_TYPE, _VERSION = "radgen.sample_arrays", 1
_OPTIONAL = ("volume_mm3", "affines")


def write_sample_arrays(arrays: SampleArrays, path: str | Path) -> str:
    """Write crops or bags to one file (.npz) and return the digest of its content.

    Parameters
    ----------
    arrays : SampleArrays
        What is written; NaN stays NaN.
    path : str or Path
        Ends in ``.npz``; the file appears in one step.

    Raises
    ------
    InputError
        If the name does not end in .npz.
    """
    if Path(path).suffix != ".npz":
        raise InputError(f"{path}: a file of arrays ends in .npz.")
    content: dict[str, Any] = {
        "encoding_type": _TYPE, "encoding_version": _VERSION, "layout": arrays.layout,
        "names": list(arrays.names), "samples": list(arrays.samples), "meta": dict(arrays.meta),
    }  # fmt: skip
    parts = {"values": arrays.values}
    parts |= {n: getattr(arrays, n) for n in _OPTIONAL if getattr(arrays, n) is not None}
    text = json.dumps(content, sort_keys=True)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, header=np.frombuffer(text.encode(), dtype=np.uint8), **parts)  # type: ignore[arg-type]
    return digest(text, parts)


def read_sample_arrays(path: str | Path) -> SampleArrays:
    """Return the crops or bags of a file of `write_sample_arrays`.

    Parameters
    ----------
    path : str or Path
        Ends in ``.npz``.

    Raises
    ------
    FormatError
        If the file is no such file, of another version, or damaged.
    """
    where = existing(path, what="file of arrays")
    try:
        with where.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            parts = {name: stored[name] for name in stored.files}
        content = json.loads(bytes(parts.pop("header")).decode())
        kind, version = content["encoding_type"], content["encoding_version"]
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(f"This is no file of crops or bags: {error}.", path=path) from error
    if kind != _TYPE or version != _VERSION:
        raise FormatError(f"It holds {kind} {version}; needed is {_TYPE} {_VERSION}.", path=path)
    try:
        return SampleArrays(
            tuple(content["samples"]), parts["values"], content["layout"],
            tuple(content["names"]), parts.get("volume_mm3"), parts.get("affines"),
            content["meta"],
        )  # fmt: skip
    except (KeyError, TypeError, InputError) as error:
        raise FormatError(f"A part is missing or wrong: {error}", path=path) from error
