"""What every reader does first: is the file there, and is it of a bearable size."""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from radgen.errors import FormatError

__all__ = ["BROKEN", "check_zip", "existing", "image_size", "inflate", "safe_name", "silenced"]

BROKEN = (Exception,)
"""Decoders of broken files raise whatever they stumble on; all of it means: a broken file."""

MAX_IMAGE_BYTES = 8 << 30
"""The largest image that is read, unpacked."""

MAX_TABLE_BYTES = 4 << 30
"""The largest table that is read, unpacked."""

_BOMB_FROM = 256 << 20
_BOMB_RATIO = 300
_DEFLATE_MOST = 1100
_QUIET = threading.RLock()
_UID = re.compile(r"\d+(\.\d+){4,}")


def existing(path: str | Path, *, what: str, folder: bool = False) -> Path:
    """Return `path` as a Path; raise where nothing is there, or it is empty.

    Raises
    ------
    FormatError
        If there is no such file, it is a folder where a file is needed, or it has no bytes.
    """
    where = Path(path)
    if not where.exists():
        raise FormatError(f"No such {what}. Check the path.", path=where)
    if where.is_dir():
        if not folder:
            raise FormatError(f"A folder; needed is one file ({what}).", path=where)
        return where
    try:
        with where.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise FormatError(f"The {what} cannot be opened: {error.strerror}.", path=where) from error
    if where.stat().st_size == 0:
        raise FormatError(f"The {what} is empty (0 bytes). Copy it again.", path=where)
    return where


def inflate(path: Path, *, what: str) -> bytes:
    """Return the bytes of a file, unpacked where they are gzip; guards against bombs.

    Raises
    ------
    FormatError
        If the gzip stream is broken or unpacks to an absurd size.
    """
    packed = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            stream.seek(0)
            if packed > MAX_TABLE_BYTES:
                raise FormatError(_too_large(packed, what), path=path)
            return stream.read()
    out = io.BytesIO()
    try:
        with gzip.open(path) as packed_stream:
            while chunk := packed_stream.read(1 << 22):
                out.write(chunk)
                _refuse_bomb(out.tell(), packed, path, what)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(
            f"The gzip stream of this {what} is damaged or truncated: {error}. Copy it again.",
            path=path,
        ) from error
    return out.getvalue()


def check_zip(path: Path, *, what: str) -> None:
    """Raise where a zip container is broken or would unpack to an absurd size.

    Raises
    ------
    FormatError
        As said above.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise FormatError(
            f"Not a readable {what} or Excel file: {error}. Save it again.", path=path
        ) from error
    _refuse_bomb(total, path.stat().st_size, path, what)


def image_size(shape: tuple[int, ...], item_bytes: int, path: Path, *, gzipped: bool) -> None:
    """Raise where a header declares more voxels than the file can hold or memory can bear.

    Raises
    ------
    FormatError
        As said above.
    """
    total = item_bytes
    for size in shape:
        total *= max(int(size), 0)
    if total <= 0:
        raise FormatError(f"The header declares an image without voxels: {shape}.", path=path)
    if total > MAX_IMAGE_BYTES:
        raise FormatError(_too_large(total, "image"), path=path)
    packed = path.stat().st_size
    if gzipped and total > packed * _DEFLATE_MOST:
        raise FormatError(
            f"The header declares {total} bytes of voxels; {packed} packed bytes cannot hold "
            "them. The file is cut off or its header is wrong: copy it again.",
            path=path,
        )


def safe_name(path: str | Path) -> str:
    """Return a file's name for messages, without the UIDs that scanners put into names."""
    return _UID.sub("<uid>", Path(path).name)


@contextmanager
def silenced() -> Iterator[None]:
    """Keep a C library from writing to the terminal; its errors come as exceptions anyway.

    Notes
    -----
    Readers in other threads wait, since the file descriptors belong to the whole process.
    """
    with _QUIET:
        sys.stdout.flush()
        sys.stderr.flush()
        saved = [(number, os.dup(number)) for number in (1, 2)]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            for number, _ in saved:
                os.dup2(nowhere, number)
            yield
        finally:
            for number, copy in saved:
                os.dup2(copy, number)
                os.close(copy)
            os.close(nowhere)


def _refuse_bomb(size: int, packed: int, path: Path, what: str) -> None:
    if size > MAX_TABLE_BYTES or (size > _BOMB_FROM and size > packed * _BOMB_RATIO):
        raise FormatError(
            f"This {what} of {packed} bytes unpacks to more than {size} bytes, which no real "
            "table does. If it is meant, unpack it and pass the unpacked file.",
            path=path,
        )


def _too_large(size: int, what: str) -> str:
    return f"The {what} needs {size / 2**30:.1f} GiB. Crop it or split it."
