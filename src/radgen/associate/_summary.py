"""What a reader wants to know of all pairs, counted as they pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.stats.selection import Z_EDGES
from radgen.stats.tail import normal_log10p

__all__ = ["LEVEL", "Tally", "tally"]

LEVEL = 0.05
_MEDIAN_CHI2 = 0.454936423119572
_LOG10P = -normal_log10p(Z_EDGES)


class Tally:
    """Counts over the rows of an association table."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("n_pairs", "n_tested", "n_bh", "n_bonferroni", "n_maxt"), 0)
        self.reasons: dict[str, int] = {}
        self.flagged: dict[str, int] = {}
        self.z_counts = np.zeros(len(Z_EDGES), dtype=np.int64)
        self._n: dict[float, int] = {}
        self._df: dict[float, int] = {}

    def add(self, frame: pl.DataFrame) -> None:
        """Count the rows of a frame."""
        tested = frame.filter(pl.col("log10p").is_not_null())
        self.counts["n_pairs"] += frame.height
        self.counts["n_tested"] += tested.height
        columns = (("n_bh", "q_bh"), ("n_bonferroni", "p_bonferroni"), ("n_maxt", "p_maxt"))
        for key, column in columns:
            self.counts[key] += int((tested[column] <= LEVEL).sum() or 0)
        for status, into in (("not_tested", self.reasons), ("warning", self.flagged)):
            _count(frame.filter(pl.col("status") == status)["reason"], into)
        bins = np.searchsorted(_LOG10P, -tested["log10p"].to_numpy(), side="right") - 1
        self.z_counts += np.bincount(bins, minlength=len(Z_EDGES))
        _count(tested["n"], self._n)
        _count(tested["df"].drop_nulls(), self._df)

    def summary(self) -> dict[str, Any]:
        """Return plain values."""
        most = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        return self.counts | {
            "not_tested": dict(most),
            "flagged": dict(sorted(self.flagged.items())),
            "median_n": _median(self._n),
            "median_df": _median(self._df),
            "z_counts": self.z_counts.tolist(),
            "lambda_gc": _inflation(self.z_counts),
        }


def _inflation(counts: NDArray[np.int64]) -> float | None:
    """Return the median chi-square over that of the null, of counts of |z| by `Z_EDGES`."""
    reached = np.cumsum(counts)
    if not reached[-1]:
        return None
    half = reached[-1] / 2
    place = int(np.searchsorted(reached, half))
    before = reached[place - 1] if place else 0
    edges = np.append(Z_EDGES, Z_EDGES[-1])
    share = (half - before) / counts[place]
    median = edges[place] + share * (edges[place + 1] - edges[place])
    return float(median**2 / _MEDIAN_CHI2)


def tally(frame: pl.DataFrame) -> dict[str, Any]:
    """Return the summary of a whole table."""
    counted = Tally()
    counted.add(frame)
    return counted.summary()


def _count(values: pl.Series, into: dict[Any, int]) -> None:
    for value, count in values.value_counts().iter_rows():
        into[value] = into.get(value, 0) + int(count)


def _median(counts: dict[float, int]) -> float | None:
    if not counts:
        return None
    values = np.array(sorted(counts))
    reached = np.cumsum([counts[value] for value in values])
    return float(values[np.searchsorted(reached, reached[-1] / 2)])
