"""Variants that stay in their file until they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import polars as pl

from radgen._core.digest import digest_file
from radgen._native import _table
from radgen.errors import FormatError
from radgen.io._variants import human_names

__all__ = ["LaterVariants", "left_in_file"]


@dataclass(frozen=True, eq=False)
class LaterVariants:
    """A file of variants of which only the number of lines and the chromosomes are known yet.

    Attributes
    ----------
    path : str
        The file.
    reader : callable
        Reads the variants whole.
    mark : str
        Beside the bytes, what the variants depend on.
    sha256 : str
        Digest of the file's bytes.
    n_variants : int
        Lines.
    runs : tuple of (str, int)
        Chromosomes, each with its number of lines that follow each other.
    """

    path: str
    reader: Callable[[], pl.DataFrame]
    mark: str
    sha256: str
    n_variants: int
    runs: tuple[tuple[str, int], ...]

    def read(self) -> pl.DataFrame:
        """Return the variants.

        Raises
        ------
        FormatError
            If a line is not what the format asks for, or the file has changed.
        """
        return self._frame

    @cached_property
    def _frame(self) -> pl.DataFrame:
        frame = self.reader()
        if frame.height != self.n_variants or digest_file(self.path) != self.sha256:
            raise FormatError("has changed since it was opened. Run again.", path=self.path)
        return frame

    def digest(self) -> str:
        """Return a text that differs where the variants differ."""
        return self.sha256 + self.mark


def left_in_file(
    path: Path,
    raw: bytes,
    n_fields: int,
    reader: Callable[[], pl.DataFrame],
    *,
    mark: str = "",
    head: int = 0,
    lone: int = -1,
) -> LaterVariants | None:
    """Return what a file with one tab between all fields holds; None of another.

    Parameters
    ----------
    path : Path
        The file.
    raw : bytes
        What it holds.
    n_fields : int
        Fields a line, the chromosome first.
    reader : callable
        Reads the variants whole, a row a line.
    mark : str
        Beside the bytes, what the variants depend on.
    head : int
        Bytes before the first variant.
    lone : int
        Field that holds one word; None is returned where a line has several, parted by commas.
    """
    body = memoryview(raw)[head:]
    looked = _table.line_runs(body, n_fields, lone)
    if looked is None or not looked[0]:
        return None
    count, places = looked
    try:
        found = [bytes(body[low:high]).decode("utf-8") for low, high, _ in places]
    except UnicodeDecodeError:
        return None
    plain = human_names(found)
    runs: list[tuple[str, int]] = []
    for name, (first, last) in zip(
        found, pairwise([*(row for _, _, row in places), count]), strict=True
    ):
        known = runs.pop()[1] if runs and runs[-1][0] == plain[name] else 0
        runs.append((plain[name], known + last - first))
    sha = hashlib.sha256(raw).hexdigest()
    return LaterVariants(str(path), reader, mark, sha, count, tuple(runs))
