"""Who was lost on the way, at which step and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from radgen.associate import standardised_differences

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
        found: pl.DataFrame = standardised_differences(frame, kept)
        return found
