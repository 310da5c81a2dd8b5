"""Write all pairs of a scan to one Parquet file, and adjust them, in bounded memory."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars import selectors as cs
from scipy.special import digamma

from radgen._core.files import atomic_path
from radgen._core.progress import progress
from radgen.associate._ledger import Ledger
from radgen.associate._summary import Tally
from radgen.associate._table import Names, Piece, adjusted, rows_of, sidak
from radgen.stats.tail import from_log10p

__all__ = ["Stream"]

_ROWS = 1 << 18
_FAMILY = "family_number"


class Stream:
    """Takes pieces as they come; `close` writes the file.

    Parameters
    ----------
    out : Path
        The Parquet file. Temporary files lie in a folder beside it.
    names : Names
        What the numbers of pieces stand for.
    listed : int
        How many pairs with the smallest p are given back.
    n_effective : float
        Effective number of tests.
    """

    def __init__(self, out: Path, names: Names, listed: int, n_effective: float) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self.out, self.names, self.listed = out, names, listed
        self.folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.parts-"))
        self.ledger = Ledger(self.folder, len(names.family_labels))
        self.tally = Tally()
        self.n_effective = n_effective
        self._pieces: list[Piece] = []
        self._waiting = 0
        self._parts: list[Path] = []

    def add(self, piece: Piece) -> None:
        """Take a piece."""
        self._pieces.append(piece)
        self._waiting += piece.block.n.size
        if self._waiting >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._pieces:
            return
        frame, family, _ = rows_of(self._pieces, self.names, ordered=False, coded=True)
        self._pieces, self._waiting = [], 0
        self.ledger.add(frame["log10p"].to_numpy(), family)
        part = self.folder / f"part-{len(self._parts):06d}.parquet"
        frame.with_columns(pl.Series(_FAMILY, family)).write_parquet(part, compression="lz4")
        self._parts.append(part)

    def close(self) -> pl.DataFrame:
        """Write the file and return the rows with the smallest p."""
        self._flush()
        self.ledger.close()
        best: list[pl.DataFrame] = []
        cut = 0.0
        with progress("Adjusting", len(self._parts)) as tick:
            for part in self._parts:
                stored = pl.read_parquet(part)
                frame = self._adjusted(stored.drop(_FAMILY), stored[_FAMILY].to_numpy())
                frame.write_parquet(part)
                self.tally.add(frame)
                best.append(frame.filter(pl.col("log10p") <= cut))
                if sum(item.height for item in best) > 2 * self.listed:
                    best = [_smallest(best, self.listed)]
                    cut = float(best[0]["log10p"][-1])
                tick(1)
        with atomic_path(self.out) as path:
            if self._parts:
                pl.scan_parquet(self._parts).sink_parquet(path, maintain_order=True)
        self.discard()
        return _smallest(best, self.listed)

    def discard(self) -> None:
        """Remove the temporary files."""
        self.ledger.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _adjusted(self, frame: pl.DataFrame, family: NDArray[np.int64]) -> pl.DataFrame:
        log10p = frame["log10p"].to_numpy()
        m = self.ledger.n_tests
        q, two_level = self.ledger.adjusted(log10p, family)
        dependent = float(digamma(m + 1) - digamma(1))  # 1 + 1/2 + ... + 1/m
        p = from_log10p(log10p)
        return adjusted(
            frame,
            p_bonferroni=np.minimum(p * m, 1.0),
            p_effective=sidak(p, self.n_effective),
            q_bh=q,
            q_by=np.minimum(q * dependent, 1.0),
            q_storey=np.minimum(q * self.ledger.pi0, 1.0),
            q_hierarchical=two_level,
            p_maxt=np.full(len(q), np.nan),
        )


def _smallest(frames: list[pl.DataFrame], count: int) -> pl.DataFrame:
    rows = pl.concat(item.with_columns(cs.enum().cast(pl.String)) for item in frames)
    return rows.sort("log10p", "phenotype", "omics", "stratum").head(count)
