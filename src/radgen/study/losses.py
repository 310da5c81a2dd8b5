"""Who was lost on the way, at which step and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

__all__ = ["Losses"]

_FLOW = {"step": pl.String, "n": pl.Int64, "dropped": pl.Int64, "reason": pl.String}
_LOST = {"sample": pl.String, "step": pl.String, "reason": pl.String}


@dataclass
class Losses:
    """A loss table in the making: steps in order, and a row for each sample lost."""

    steps: list[tuple[str, int, int, str]] = field(default_factory=list)
    lost: list[tuple[str, str, str]] = field(default_factory=list)

    def start(self, step: str, n: int) -> None:
        """Note how many there are before anything is lost."""
        self.steps.append((step, n, 0, ""))

    def note(self, step: str, n: int, gone: Mapping[str, str]) -> None:
        """Note that `n` remain after a step, and who is gone with the reason."""
        counts: dict[str, int] = {}
        for reason in gone.values():
            counts[reason] = counts.get(reason, 0) + 1
        reasons = "\n".join(f"{count}: {reason}" for reason, count in counts.items())
        self.steps.append((step, n, len(gone), reasons))
        self.lost += [(sample, step, reason) for sample, reason in gone.items()]

    def flow(self) -> pl.DataFrame:
        """Return columns ``step, n, dropped, reason``."""
        return pl.DataFrame(self.steps, schema=_FLOW, orient="row")

    def table(self) -> pl.DataFrame:
        """Return columns ``sample, step, reason``: a row for each loss."""
        return pl.DataFrame(self.lost, schema=_LOST, orient="row")

    def compare(self, frame: pl.DataFrame, kept: Iterable[str]) -> pl.DataFrame:
        """Return how those kept differ from those lost: a row a column of `frame`.

        Parameters
        ----------
        frame : polars.DataFrame
            ``sample`` and columns of numbers or text; a category is compared level by level.
        kept : iterable of str
            Samples that remain.

        Returns
        -------
        polars.DataFrame
            ``variable, kept, lost, difference``: means (or shares) of both groups and the
            difference in standard deviations; above 0.2 in size is worth a thought.
        """
        inside = frame["sample"].is_in(list(set(kept)))
        rows: list[tuple[str, float, float, float]] = []
        for label, values in _numeric(frame):
            left, right = values.filter(inside), values.filter(~inside)
            left, right = left.drop_nulls(), right.drop_nulls()
            if left.len() < 2 or right.len() < 2:
                continue
            a, b = _number(left.mean()), _number(right.mean())
            spread = ((_number(left.var()) + _number(right.var())) / 2) ** 0.5
            rows.append((label, a, b, (a - b) / spread if spread > 0 else 0.0))
        schema = {"variable": pl.String, "kept": pl.Float64, "lost": pl.Float64,
                  "difference": pl.Float64}  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")


def _number(value: Any) -> float:
    return float(value) if value is not None else 0.0


def _numeric(frame: pl.DataFrame) -> Sequence[tuple[str, pl.Series]]:
    found: list[tuple[str, pl.Series]] = []
    for name in frame.columns:
        column = frame[name]
        if name == "sample" or column.dtype == pl.Date:
            continue
        if column.dtype.is_numeric():
            found.append((name, column.cast(pl.Float64)))
            continue
        levels = sorted(column.drop_nulls().unique().to_list())
        if len(levels) <= 10:
            found += [(f"{name}={item}", (column == item).cast(pl.Float64)) for item in levels]
    return found
