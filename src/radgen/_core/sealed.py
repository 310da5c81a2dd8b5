"""JSON files that bear what they are, their version and the digest of their content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radgen._core.digest import digest
from radgen._core.files import write_text
from radgen.errors import FormatError

__all__ = ["read_sealed", "write_sealed"]


def write_sealed(path: str | Path, content: Mapping[str, Any]) -> str:
    """Write content with its digest and return the digest.

    Parameters
    ----------
    path : str or Path
        File to write.
    content : mapping
        Plain values, ``encoding_type`` and ``encoding_version`` among them.

    Returns
    -------
    str
        SHA-256 of the content.
    """
    key = digest(json.dumps(content, sort_keys=True))
    write_text(Path(path), json.dumps({**content, "digest": key}, sort_keys=True) + "\n")
    return key


def read_sealed(path: str | Path, encoding: str, version: int, *, what: str) -> dict[str, Any]:
    """Return the content of a sealed file without its digest.

    Parameters
    ----------
    path : str or Path
        Written by `write_sealed`.
    encoding : str
        Its ``encoding_type``.
    version : int
        Its ``encoding_version``.
    what : str
        What it is called in messages: "model bundle".

    Raises
    ------
    FormatError
        If the file is none such, of another version, or was changed.

    Notes
    -----
    The digest shows accidents, not malice: whoever can write a file can write its digest. Who reads
    the content must refuse what is malformed, and run no code whatever stands there.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise FormatError(f"This is no {what}: {error}.", path=path) from error
    if not isinstance(content, dict) or content.get("encoding_type") != encoding:
        raise FormatError(f"This is no {what} of radgen.", path=path)
    if content.get("encoding_version") != version:
        raise FormatError(
            f"This {what} has version {content.get('encoding_version')}; this code reads "
            f"{version}.",
            path=path,
        )
    key = content.pop("digest", None)
    if key != digest(json.dumps(content, sort_keys=True)):
        raise FormatError(
            f"The {what} was changed after it was written: its digest differs.", path=path
        )
    return content
