"""Collect the tests of a scan in memory, or stream them to Parquet and resume."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.files import atomic_path
from radgen.associate.genomewide._layouts import ScanKind, write_layout
from radgen.associate.genomewide._rows import HIST_BINS, KEPT_P, TestRows, to_frame
from radgen.types import GenotypeMatrix

__all__ = ["TABLE_MARKS", "Store"]

TABLE_MARKS = {".parquet": "", ".tsv": "\t", ".txt": "\t", ".csv": ","}
"""What parts the fields of a table of tests, by the suffix of its file; "" = Parquet."""

_BLOCKS = 32
_ROWS = 2_000_000


class Store:
    """Where tests go, a chunk of blocks at a time; finished chunks survive a crash.

    Parameters
    ----------
    genotypes : GenotypeMatrix
        Whose variants are scanned.
    names : sequence of str
        Traits.
    out : Path or None
        Parquet file, or None for memory.
    key : str
        Digest of the scan: parts left by another scan are not taken up.
    extra : tuple of str
        Further columns that the tests bring.
    layout : str
        "table", or one of `TEXT_LAYOUTS`.
    kind : ScanKind or None
        Of a text layout.
    """

    def __init__(
        self,
        genotypes: GenotypeMatrix,
        names: Sequence[str],
        out: Path | None,
        key: str,
        *,
        extra: tuple[str, ...] = (),
        layout: str = "table",
        kind: ScanKind | None = None,
    ) -> None:
        self.genotypes = genotypes
        self.names = tuple(names)
        self.out = out
        self.extra, self.layout, self.kind = extra, layout, kind
        self.hist: NDArray[np.int64] = np.zeros((len(names), HIST_BINS), np.int64)
        self._best: list[pl.DataFrame] = []
        self._frames: list[pl.DataFrame] = []
        self._rows: list[TestRows] = []
        self._counts = np.zeros_like(self.hist)
        self._chunk = 0
        self._done = 0
        self._folder = None if out is None else out.parent / f".{out.name}.parts-{key[:16]}"

    @property
    def best(self) -> pl.DataFrame:
        """The leading test of each trait and chunk."""
        return pl.concat(self._best) if self._best else pl.DataFrame()

    def todo(self, blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the blocks that no finished chunk holds; take up what the chunks hold."""
        if self._folder is None:
            return blocks
        self._folder.mkdir(parents=True, exist_ok=True)
        done = 0
        while (self._folder / _counts(self._chunk)).exists():
            table = pl.read_parquet(self._folder / _counts(self._chunk))
            self.hist += table["count"].to_numpy().reshape(self.hist.shape)
            done = int(table["blocks"][0])
            self._take(pl.read_parquet(self._folder / _part(self._chunk)))
            self._chunk += 1
        self._done = done
        return blocks[done:]

    def add(self, rows: TestRows) -> None:
        """Take the tests of the next block."""
        # The counts of a thousand traits take 5 MB a block: they are summed at once.
        self._counts += rows.hist
        self._rows.append(TestRows(rows.columns, np.empty((0, HIST_BINS), np.int64)))
        kept = sum(len(one.columns["variant"]) for one in self._rows)
        if len(self._rows) == _BLOCKS or kept >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        frame = to_frame(self._rows, self.genotypes.variants, self.names, self.extra)
        self._done += len(self._rows)
        counts, self._counts = self._counts, np.zeros_like(self.hist)
        self._rows = []
        self.hist += counts
        if self._folder is not None:
            with atomic_path(self._folder / _part(self._chunk)) as path:
                frame.write_parquet(path)
            with atomic_path(self._folder / _counts(self._chunk)) as path:
                table = pl.DataFrame({"count": counts.ravel()})
                table.with_columns(blocks=pl.lit(self._done)).write_parquet(path)
        self._chunk += 1
        self._take(frame)

    def _take(self, frame: pl.DataFrame) -> None:
        lead = frame.filter(pl.col("log10p").is_not_nan()).sort("log10p", maintain_order=True)
        lead = lead.group_by("phenotype", maintain_order=True).first()
        self._best.append(lead)
        if self._folder is not None:
            frame = frame.filter(pl.col("log10p") <= np.log10(KEPT_P))
        self._frames.append(frame)

    def finish(self) -> pl.DataFrame:
        """Write the last chunk, join the parts, and return the rows held in memory."""
        self._flush()
        empty = to_frame([], self.genotypes.variants, self.names, self.extra)
        if self._folder is not None and self.out is not None:
            parts = [self._folder / _part(chunk) for chunk in range(self._chunk)]
            tests = pl.scan_parquet(parts) if parts else empty.lazy()
            if self.layout == "table":
                mark = TABLE_MARKS[self.out.suffix.lower()]
                with atomic_path(self.out) as path:
                    if mark:
                        tests.sink_csv(path, separator=mark, maintain_order=True)
                    else:
                        tests.sink_parquet(path, maintain_order=True)
            else:
                assert self.kind is not None
                write_layout(tests, self.names, self.out, self.layout, self.kind)
            shutil.rmtree(self._folder)
        return pl.concat([empty, *self._frames])


def _part(chunk: int) -> str:
    return f"part-{chunk:06d}.parquet"


def _counts(chunk: int) -> str:
    return f"counts-{chunk:06d}.parquet"
