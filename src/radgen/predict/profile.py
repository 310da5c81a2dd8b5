"""What an evaluation fitted, how long it took, and whether anything was fitted twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import polars as pl

from radgen.predict.engine import FoldOutput

__all__ = ["FitProfile", "note_fits", "profile_fits"]

_SCHEMA = {
    "stage": pl.String, "fitted": pl.String, "inputs": pl.String, "calls": pl.Int64,
    "fits": pl.Int64, "repeated": pl.Int64, "spared": pl.Int64, "seconds": pl.Float64,
}  # fmt: skip


@dataclass(eq=False)
class FitProfile:
    """All calls of ``fit`` of the evaluations within `profile_fits`.

    Attributes
    ----------
    folds : int
        Outer folds that were run, over all repeats.
    """

    folds: int = 0
    _rows: list[tuple[str, str, str, int, int, int, int, float]] = field(default_factory=list)

    def add(self, outputs: Sequence[FoldOutput]) -> None:
        """Count the fits of some folds."""
        self.folds += len(outputs)
        for item in outputs:
            seen: set[tuple[str, str, bytes]] = set()
            for record in item.log:
                key = (record.fitted, record.inputs, record.rows.tobytes())
                stage = record.level.split()[0]
                self._rows.append(
                    (stage, record.fitted, record.inputs, 1, record.fits, int(key in seen), 0,
                     record.seconds)
                )  # fmt: skip
                seen.add(key)
            self._rows += [(*spared[:3], 0, 0, 0, spared[3], 0.0) for spared in item.spared]

    @property
    def table(self) -> pl.DataFrame:
        """Sums by stage, step and input, the slowest first.

        ``stage`` (outer, inner), ``fitted``, ``inputs`` (blocks), ``calls``, ``fits`` (calls times
        settings), ``repeated`` (calls on the same rows and inputs within a fold, after the first),
        ``spared`` (fits that a model took over from another), ``seconds`` of processor time.
        """
        rows = pl.DataFrame(self._rows, schema=_SCHEMA, orient="row")
        keys = ["stage", "fitted", "inputs"]
        summed = rows.group_by(keys, maintain_order=True).agg(pl.exclude(keys).sum())
        return summed.sort("seconds", "stage", "fitted", descending=[True, False, False])

    def statements(self) -> tuple[str, ...]:
        """Return how much was fitted, how much not again, and where the time went."""
        table = self.table
        fits, again, spared = (int(table[name].sum()) for name in ("fits", "repeated", "spared"))
        total = float(table["seconds"].sum())
        text = (
            f"{fits:,} fits in {self.folds} folds ({int(table['calls'].sum()):,} calls, "
            f"{total:.1f} s of processor time); {again} on rows and inputs that the fold "
            "had fitted before; "
            f"{spared:,} spared, because a model took over what another had fitted."
        )
        slow = table.head(3).filter(pl.col("seconds") > 0)
        where = ", ".join(
            f"{row['fitted']} of {row['inputs']} ({row['stage']}) {row['seconds'] / total:.0%}"
            for row in slow.iter_rows(named=True)
        )
        return (text, f"Most time: {where}.") if where else (text,)


_PROFILE: ContextVar[FitProfile | None] = ContextVar("radgen_fit_profile", default=None)


@contextmanager
def profile_fits() -> Iterator[FitProfile]:
    """Return a context in which evaluations count and time what they fit.

    Yields
    ------
    FitProfile
        Filled when the context ends; permuted runs are not in it.

    Examples
    --------
    >>> with profile_fits() as profile:
    ...     pass  # evaluate(...)
    >>> profile.table.height
    0
    """
    profile = FitProfile()
    token = _PROFILE.set(profile)
    try:
        yield profile
    finally:
        _PROFILE.reset(token)


def note_fits(outputs: Sequence[FoldOutput]) -> None:
    """Add the fits of folds to the profile in force, where there is one."""
    profile = _PROFILE.get()
    if profile is not None:
        profile.add(outputs)
