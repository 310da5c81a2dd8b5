"""Content digests: the same content gives the same text on every machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from radgen.errors import InputError

__all__ = ["digest", "digest_file"]

_CHUNK = 1 << 20
_MANY = 1 << 16
_quoted = json.encoder.encode_basestring_ascii
"""What `json.dumps` does with a text."""


def digest(*parts: Any) -> str:
    """Return the SHA-256 of plain values, mappings, arrays and frozen dataclasses.

    Parameters
    ----------
    *parts : object
        None, bool, int, float, str, bytes, Path, Enum, NumPy scalars and arrays, mappings
        with text keys, sequences, sets, dataclasses. The order of a mapping's keys does not
        count; the order of a sequence does.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InputError
        If a part is of another type: a digest of a `repr` would change between runs.

    Examples
    --------
    >>> digest({"a": 1, "b": 2.0}) == digest({"b": 2.0, "a": 1})
    True
    >>> digest(1) == digest("1")
    False
    """
    sha = hashlib.sha256()
    for part in parts:
        _feed(sha, part)
    return sha.hexdigest()


def digest_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, or of a folder's files with their names."""
    root = Path(path)
    sha = hashlib.sha256()
    if root.is_dir():
        for file in sorted(item for item in root.rglob("*") if item.is_file()):
            sha.update(file.relative_to(root).as_posix().encode() + b"\0")
            _feed_file(sha, file)
    else:
        _feed_file(sha, root)
    return sha.hexdigest()


def _feed_file(sha: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sha.update(chunk)


def _feed(sha: hashlib._Hash, part: Any) -> None:  # noqa: C901, PLR0912
    if isinstance(part, Enum):
        _feed(sha, part.value)
    elif part is None or isinstance(part, bool | int | str):
        sha.update(f"{type(part).__name__}:{json.dumps(part)};".encode())
    elif isinstance(part, float):
        text = part.hex() if math.isfinite(part) else str(part)
        sha.update(f"float:{text};".encode())
    elif isinstance(part, bytes):
        sha.update(b"bytes:" + str(len(part)).encode() + b":" + part)
    elif isinstance(part, Path):
        _feed(sha, part.as_posix())
    elif isinstance(part, np.generic):
        _feed(sha, part.item())
    elif isinstance(part, np.ndarray):
        _feed_array(sha, part)
    elif dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.compare}
        sha.update(f"{type(part).__name__}".encode())
        _feed(sha, fields)
    elif isinstance(part, Mapping):
        sha.update(f"map:{len(part)}{{".encode())
        for key in sorted(part, key=str):
            _feed(sha, str(key))
            _feed(sha, part[key])
        sha.update(b"}")
    elif isinstance(part, Set):
        _feed(sha, sorted(digest(item) for item in part))
    elif isinstance(part, Sequence):
        sha.update(f"seq:{len(part)}[".encode())
        if set(map(type, part)) <= {str, type(None)}:
            _feed_texts(sha, part)
        else:
            for item in part:
                _feed(sha, item)
        sha.update(b"]")
    else:
        raise InputError(
            f"A value of type {type(part).__name__} has no stable digest. "
            "Pass plain values, arrays, mappings or frozen dataclasses."
        )


def _feed_texts(sha: hashlib._Hash, part: Sequence[str | None]) -> None:
    """Feed what `_feed` makes of each text, many at a time: columns of scans have millions."""
    for start in range(0, len(part), _MANY):
        some = part[start : start + _MANY]
        tokens = ["NoneType:null;" if t is None else f"str:{_quoted(t)};" for t in some]
        sha.update("".join(tokens).encode())


def _feed_array(sha: hashlib._Hash, array: np.ndarray) -> None:
    if array.dtype.kind in "OUS":
        _feed(sha, [str(item) for item in array.ravel()])
        _feed(sha, list(array.shape))
        return
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    sha.update(f"array:{little.dtype.str}:{array.shape}:".encode())
    sha.update(np.ascontiguousarray(little).reshape(-1).view(np.uint8).data)
