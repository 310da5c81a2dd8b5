"""One run at a time in one output folder."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from radgen.errors import InputError

__all__ = ["lock_folder"]


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the operating system frees it when the process ends.

    Raises
    ------
    InputError
        If another run holds the folder; the message says since when and which process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as stream:
        if not _take(stream):
            stream.seek(0)
            raise InputError(
                f"Another radgen run is at work in {folder} ({_holder(stream.read())}). Wait until "
                "it ends, stop it, or choose another folder with --out."
            )
        stream.seek(0)
        stream.truncate()
        json.dump(
            {
                "process": os.getpid(),
                "machine": platform.node(),
                "since": time.strftime("%H:%M:%S"),
            },
            stream,
        )
        stream.flush()
        try:
            yield
        finally:
            stream.seek(0)
            stream.truncate()


def _take(stream: IO[str]) -> bool:
    """Lock an open file; a lock dies with its process, so that a kill leaves none behind."""
    if os.name == "nt":
        import msvcrt

        try:
            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(text: str) -> str:
    try:
        known = json.loads(text)
        return f"process {known['process']}, since {known['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
