"""Repeatability of phenotypes from test-retest tables, readers or perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean
from radgen.errors import InputError
from radgen.phenotype.select import reliability_columns
from radgen.stats.reliability import (
    IccForm,
    IccInterval,
    bland_altman,
    concordance_correlation,
    within_subject,
)
from radgen.types import PhenotypeTable, Result, align, to_polars
from radgen.types._frame import FrameLike

__all__ = ["RepeatabilityResult", "measure_repeatability", "repeats_of", "split_repeats"]

FloatArray = NDArray[np.float64]
_SCHEMA = {
    "phenotype": pl.String, "icc": pl.Float64, "icc_low": pl.Float64, "icc_high": pl.Float64,
    "verdict": pl.String, "ccc": pl.Float64, "ccc_low": pl.Float64, "ccc_high": pl.Float64,
    "wcv": pl.Float64, "within_sd": pl.Float64, "repeatability": pl.Float64,
    "repeatability_low": pl.Float64, "repeatability_high": pl.Float64, "bias": pl.Float64,
    "lower_limit": pl.Float64, "upper_limit": pl.Float64, "n_subjects": pl.Int64,
    "n_repeats": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class RepeatabilityResult(Result):
    """Agreement of repeated measurements, a row a phenotype.

    Attributes
    ----------
    frame : polars.DataFrame
        ``phenotype``; ``icc`` with its interval; ``verdict``: "keep" where the lower bound reaches
        the threshold, "unsure" where only the estimate does, "drop" where it does not, "unknown";
        ``ccc`` (Lin) with its interval, ``bias`` (second minus first), ``lower_limit`` and
        ``upper_limit`` of agreement, of the first two repeats; ``wcv`` (within-subject
        coefficient of variation, null where a mean is not positive), ``within_sd`` and
        ``repeatability`` (95 % of differences of two repeats lie within it) with its interval, in
        the unit of the phenotype; ``n_subjects, n_repeats``. Fewer than three subjects give no
        coefficients, one subject its within_sd and wcv alone.
    """

    kind: ClassVar[str] = "repeatability"
    version: ClassVar[int] = 2
    plots: ClassVar[tuple[str, ...]] = ("icc",)

    def statements(self) -> tuple[str, ...]:
        """Return how many phenotypes are repeatable, by estimate and by lower bound."""
        limit = float(self.params["threshold"])
        if self.n_used < 3:
            middle = self.frame["wcv"].drop_nulls()
            text = (
                f"Of {self.n_used} subjects no intraclass correlation can be given: it compares "
                "subjects. "
            )
            if middle.len():
                text += (
                    f"The median within-subject coefficient of variation is {middle.median():.1%}."
                )
            return (text.strip(),)
        good = int((self.frame["icc"] >= limit).sum())
        sure = int((self.frame["verdict"] == "keep").sum())
        text = (
            f"{good} of {self.frame.height} phenotypes have an ICC({self.params['form']}) of "
            f"{limit:g} or more; for {sure} the lower confidence bound reaches it."
        )
        few, form = int(self.params.get("repeats", 0)), str(self.params["form"])
        if form.startswith("2") and self.params.get("interval", "f") == "f" and few < 6:
            return text, (
                f"F-based intervals of ICC({form}) can be too narrow with {few} readers, where "
                'their offsets differ much; interval "modified" covers then too.'
            )
        return (text,)

    def methods(self) -> str:
        """Return the methods paragraph."""
        what = self.params.get("source", "")
        made = f" ({what})" if what else ""
        modified = self.params.get("interval") == "modified" and self.params["form"][0] == "2"
        kind = "modified large-sample" if modified else "F-based"
        return (
            f"Repeatability was measured in {self.n_used} subjects{made} by "
            f"ICC({self.params['form']}) with {kind} {self.params['confidence']:.0%} intervals, "
            "Lin's concordance correlation, limits of agreement, within-subject coefficient of "
            "variation and repeatability coefficient. A phenotype is kept where the lower bound of "
            f"its ICC reaches {self.params['threshold']:g}."
        )

    def plot(self, kind: str, *, ax: Any = None, most: int = 40) -> Any:
        """Draw the ICCs with intervals ("icc"), best first, and return the Axes.

        Parameters
        ----------
        kind : {"icc"}
            The plot.
        ax : matplotlib.axes.Axes or None
            Where to draw; None = a new figure.
        most : int, default 40
            At most so many phenotypes, evenly over the ranking.

        Raises
        ------
        InputError
            If there is no such plot, or nothing to draw.
        """
        if kind not in self.plots:
            return super().plot(kind, ax=ax)
        from radgen import plot

        known = self.frame.drop_nulls("icc").sort("icc", descending=True)
        if not known.height:
            raise InputError("No phenotype has an intraclass correlation.")
        at = np.unique(
            np.linspace(0, known.height - 1, min(most, known.height)).round().astype(int)
        )
        rows = known[at.tolist()]
        from matplotlib.lines import Line2D

        from radgen.plot import style

        inks = {"keep": style.PALETTE[0], "unsure": style.MUTED, "drop": style.ACCENT}
        drawn = plot.forest(
            plot.short_names(rows["phenotype"].to_list()), rows["icc"], rows["icc_low"],
            rows["icc_high"], null=float(self.params["threshold"]), ax=ax,
            inks=[inks[item] for item in rows["verdict"]],
            xlabel=f"ICC({self.params['form']}) with interval; line: threshold",
        )  # fmt: skip
        marks = [Line2D([], [], marker="s", color=ink, linewidth=1.8) for ink in inks.values()]
        style.legend(drawn, marks, list(inks), loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        return drawn


def measure_repeatability(
    tables: Mapping[str, PhenotypeTable],
    *,
    form: IccForm = "1,1",
    threshold: float = 0.75,
    confidence: float = 0.95,
    interval: IccInterval = "f",
    source: str = "",
) -> RepeatabilityResult:
    """Return the agreement of each phenotype over repeats of the same subjects.

    Parameters
    ----------
    tables : mapping of repeat to PhenotypeTable
        Test and retest, readers, perturbations; subjects are matched by sample id and
        phenotypes by name.
    form : {"1,1", "2,1", "3,1", "1,k", "2,k", "3,k"}
        ICC form: "1,1" where repeats are interchangeable (test-retest, perturbations), "2,1"
        for readers whose offsets count as error, "3,1" for those whose offsets do not.
    threshold : float, default 0.75
        Of the verdicts.
    confidence : float, default 0.95
        Level.
    interval : {"f", "modified"}, default "f"
        Of "2,1" and "2,k", see `radgen.stats.reliability.icc`.
    source : str
        What the repeats are, for the methods paragraph.

    Returns
    -------
    RepeatabilityResult
        Subjects with a missing value are left out of that phenotype.

    Raises
    ------
    InputError
        If there are fewer than two tables or no common phenotype.
    """
    names, cube, samples, dropped = _cube(tables)
    found = reliability_columns(cube, form, confidence, interval)
    rows = [
        (name, *_numbers(found[:, j]), _verdict(found[:, j], threshold),
         *_row(cube[:, :, j], confidence))
        for j, name in enumerate(names)
    ]  # fmt: skip
    return RepeatabilityResult(
        frame=pl.DataFrame(rows, schema=_SCHEMA, orient="row"),
        params={"form": form, "threshold": threshold, "confidence": confidence, "source": source,
                "interval": interval, "repeats": len(tables)},
        n_used=len(samples),
        dropped=dropped,
    )  # fmt: skip


def repeats_of(
    tables: Mapping[str, PhenotypeTable], names: Sequence[str]
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return repeats as `ReliabilityFilter` takes them: (n_subjects, n_repeats, n_names).

    Parameters
    ----------
    tables : mapping of repeat to PhenotypeTable
        As in `measure_repeatability`.
    names : sequence of str
        Phenotypes, in the order of the columns that will be filtered.

    Returns
    -------
    repeats : float64 (n_subjects, n_repeats, n_names)
        A phenotype that the tables lack is NaN, and so not kept.
    samples : tuple of str (n_subjects,)
        Subjects that stand in all tables.

    Raises
    ------
    InputError
        If there are fewer than two tables or no common phenotype.
    """
    common, cube, samples, _ = _cube(tables)
    place = {name: j for j, name in enumerate(common)}
    out = np.full((*cube.shape[:2], len(names)), np.nan)
    for j, name in enumerate(names):
        if name in place:
            out[:, :, j] = cube[:, :, place[name]]
    return out, samples


def split_repeats(
    frame: FrameLike, *, sample: str, repeat: str, leave: Sequence[str] = ()
) -> dict[str, PhenotypeTable]:
    """Return a table of each repeat from one table with a row a subject and repeat.

    Parameters
    ----------
    frame : data frame
        Numeric columns are phenotypes.
    sample, repeat : str
        Columns of the subject and of the repeat (visit, reader).
    leave : sequence of str
        Numeric columns that are no phenotypes.

    Returns
    -------
    dict of str to PhenotypeTable
        By repeat, sorted.

    Raises
    ------
    InputError
        If a column is missing or there is one repeat only.
    AlignmentError
        If a subject has two rows of the same repeat.
    """
    table = to_polars(frame, what="table of repeats")
    for name in (sample, repeat, *leave):
        if name not in table.columns:
            hint = did_you_mean(name, table.columns)
            raise InputError(f"The table has no column {name!r}. {hint}")
    taken = {sample, repeat, *leave}
    names = [n for n in table.columns if n not in taken and table[n].dtype.is_numeric()]
    if not names:
        raise InputError("The table has no numeric column that could be a phenotype.")
    known = table.filter(pl.col(repeat).is_not_null() & pl.col(sample).is_not_null())
    labels = known[repeat].cast(pl.String)
    found = {}
    for name in sorted(labels.unique().to_list()):
        part = known.filter(labels == name)
        found[name] = PhenotypeTable.from_frame(
            part.select(pl.col(sample).cast(pl.String).alias("sample"), *names)
        )
    if len(found) < 2:
        raise InputError(f"Column {repeat!r} holds one repeat only ({', '.join(found)}).")
    return found


def _cube(
    tables: Mapping[str, PhenotypeTable],
) -> tuple[list[str], FloatArray, tuple[str, ...], pl.DataFrame]:
    if len(tables) < 2:
        raise InputError("Repeatability needs two or more tables of the same subjects.")
    matched = align({name: table.samples for name, table in tables.items()})
    first = next(iter(tables.values()))
    names = [n for n in first.names if all(n in set(t.names) for t in tables.values())]
    if not names:
        raise InputError("The tables have no phenotype name in common.")
    cube = np.stack(
        [_columns(table, names)[matched.rows[key]] for key, table in tables.items()], axis=1
    )
    dropped = matched.dropped.select("sample", reason=pl.lit("not in ") + pl.col("absent_from"))
    return names, cube, matched.samples, dropped


def _columns(table: PhenotypeTable, names: list[str]) -> FloatArray:
    place = {name: j for j, name in enumerate(table.names)}
    return np.asarray(table.values)[:, [place[name] for name in names]]


def _verdict(found: FloatArray, threshold: float) -> str:
    if not np.isfinite(found[0]):
        return "unknown"
    if found[1] >= threshold:
        return "keep"
    return "unsure" if found[0] >= threshold else "drop"


def _row(ratings: FloatArray, confidence: float) -> tuple[Any, ...]:
    complete = ratings[np.isfinite(ratings).all(axis=1)]
    n, k = complete.shape
    if n == 0:
        return (*(None,) * 11, 0, k)
    if n == 1:
        sd, middle = float(complete.std(ddof=1)), float(complete.mean())
        cv = sd / middle if middle > 0 else None
        return (None, None, None, cv, sd, *(None,) * 6, 1, k)
    inside = within_subject(complete, confidence=confidence)
    agreement: tuple[float, ...] = (np.nan,) * 3
    limits: tuple[float, ...] = (np.nan,) * 3
    if n >= 3:
        ccc = concordance_correlation(complete[:, 0], complete[:, 1], confidence=confidence)
        pair = bland_altman(complete[:, 0], complete[:, 1], confidence=confidence)
        agreement = (ccc.estimate, ccc.ci_low, ccc.ci_high)
        limits = (pair.bias, pair.lower_limit, pair.upper_limit)
    spread = (inside.repeatability, inside.repeatability_low, inside.repeatability_high)
    return (*_numbers((*agreement, inside.cv, inside.sd, *spread, *limits)), n, k)


def _numbers(values: Any) -> tuple[float | None, ...]:
    return tuple(float(v) if np.isfinite(v) else None for v in values)
