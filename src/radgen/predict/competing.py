"""Competing risks: cumulative incidence of each cause, Gray's test, Fine–Gray beside Cox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FitError, InputError, shown
from radgen.predict.design import read_blocks
from radgen.stats.cox import fit_cox
from radgen.stats.survival import aalen_johansen
from radgen.stats.survival_competing import fit_fine_gray, gray_test
from radgen.types import Result, align, to_polars

__all__ = ["IncidenceResult", "competing_risks"]

FloatArray = NDArray[np.float64]


def _frame() -> pl.DataFrame:
    return pl.DataFrame()


@dataclass(frozen=True, eq=False)
class IncidenceResult(Result):
    """Cumulative incidence of causes, and what goes with them.

    Attributes
    ----------
    frame : polars.DataFrame
        ``cause, group, n, events, time, incidence, ci_low, ci_high``: incidence at the asked times.
    curves : polars.DataFrame
        ``cause, group, time, at_risk, incidence, ci_low, ci_high``: Aalen–Johansen.
    tests : polars.DataFrame
        ``cause, statistic, df, p_value``: Gray's test between groups.
    regression : polars.DataFrame
        ``cause, variable, subdistribution_ratio, sub_low, sub_high, sub_p, cause_specific_ratio,
        cs_low, cs_high, cs_p, note``: effects on the incidence (Fine–Gray), and on the rate among
        those still free of any event (Cox, other causes censored). They answer different
        questions; report both.
    time_unit : str
    """

    kind: ClassVar[str] = "competing_risks"
    plots: ClassVar[tuple[str, ...]] = ("incidence",)

    curves: pl.DataFrame = field(default_factory=_frame)
    tests: pl.DataFrame = field(default_factory=_frame)
    regression: pl.DataFrame = field(default_factory=_frame)
    time_unit: str = ""

    def statements(self) -> tuple[str, ...]:
        """Return incidences at the last asked time, tests and effects."""
        out = []
        last = self.frame["time"].max()
        for row in self.frame.filter(pl.col("time") == last).iter_rows(named=True):
            who = f" in {row['group']}" if row["group"] else ""
            out.append(
                f"Incidence of {row['cause']}{who} at {last:.3g} {self.time_unit}".rstrip()
                + f": {row['incidence']:.0%} ({row['ci_low']:.0%}–{row['ci_high']:.0%}), "
                f"{row['events']} events in {row['n']}."
            )
        for row in self.tests.iter_rows(named=True):
            word = "differs" if row["p_value"] < 0.05 else "shows no evidence of differing"
            out.append(
                f"The incidence of {row['cause']} {word} between groups (Gray p "
                f"{row['p_value']:.2g})."
            )
        for row in self.regression.filter(pl.col("note") == "").iter_rows(named=True):
            if row["sub_p"] < 0.05 or row["cs_p"] < 0.05:
                sub = f"{row['subdistribution_ratio']:.2f} ({row['sub_low']:.2f}–"
                sub += f"{row['sub_high']:.2f})"
                own = f"{row['cause_specific_ratio']:.2f} ({row['cs_low']:.2f}–"
                own += f"{row['cs_high']:.2f})"
                out.append(
                    f"{row['variable']} and {row['cause']}: subdistribution hazard ratio {sub}, "
                    f"cause-specific {own}."
                )
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            "Cumulative incidences are Aalen–Johansen estimates with log-log intervals; other "
            "causes compete and are not censored. Groups were compared by Gray's test. Effects of "
            "variables on the incidence are Fine–Gray subdistribution hazard ratios, those on the "
            "rate are Cox cause-specific hazard ratios, both of complete cases."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "incidence" of all causes and groups and return the Axes."""
        if kind not in self.plots:
            raise InputError(f"A competing-risks result has no plot {kind!r}; it has {self.plots}.")
        from radgen.plot import style

        ax = style.axes(6, 4) if ax is None else ax
        lines, labels = [], []
        pairs = self.curves.select("cause", "group").unique(maintain_order=True).rows()
        for k, (cause, group) in enumerate(pairs):
            part = self.curves.filter((pl.col("cause") == cause) & (pl.col("group") == group))
            low, high, ink = part["ci_low"], part["ci_high"], style.colour(k)
            ax.fill_between(
                part["time"], low, high, step="post", alpha=0.12, color=ink, linewidth=0
            )
            lines += ax.step(part["time"], part["incidence"], where="post", color=ink)
            labels.append(f"{cause}, {group}" if group else cause)
        ax.set(ylim=(0, 1))
        when = f"Time ({self.time_unit})" if self.time_unit else "Time"
        style.dress(ax, xlabel=when, ylabel="Cumulative incidence", grid="y")
        style.legend(ax, lines, labels)
        return ax


def competing_risks(
    table: Any,
    *,
    time: str,
    cause: str,
    censored: Any = 0,
    group: str | None = None,
    variables: Any = None,
    at: Sequence[float] = (),
    unit: str = "",
    confidence: float = 0.95,
) -> IncidenceResult:
    """Return cumulative incidences of all causes, by group, and effects of variables.

    Parameters
    ----------
    table : data frame
        ``sample``, time to the first event or the end of follow-up, and the cause.
    time, cause : str
        Its columns. The cause is a number or text.
    censored : object, default 0
        Value of `cause` that means no event.
    group : str or None
        Column of groups to compare.
    variables : table or None
        Variables of the regressions, matched by sample; choose few, ten events or more for each.
    at : sequence of float
        Times at which incidences are tabulated; empty = the median and the last event time.
    unit : str, default ""
        Of time.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    IncidenceResult
        Rows with a missing time or cause are dropped and listed.

    Raises
    ------
    InputError
        If a column does not exist, or no event happened.

    References
    ----------
    Lau, Cole & Gange 2009, doi:10.1093/aje/kwp107 (which regression for which question).
    """
    frame = to_polars(table, what="competing risks")
    for name in ("sample", time, cause, *([group] if group else [])):
        if name not in frame.columns:
            raise InputError(
                f"The table has no column {name!r}; it has {shown(frame.columns, 10)}."
            )
    known = pl.col(time).is_not_null() & pl.col(cause).is_not_null()
    known = known & pl.col(group).is_not_null() if group else known
    lost = frame.filter(~known)["sample"].cast(pl.String).to_list()
    frame = frame.filter(known)
    words = [_word(value) for value in frame[cause].to_list()]
    none = _word(censored)
    names = sorted({word for word in words if word != none})
    if not names:
        raise InputError(f"No event happened: every {cause!r} is {none!r}.")
    code = np.array([0 if word == none else 1 + names.index(word) for word in words])
    times = frame[time].cast(pl.Float64).to_numpy()
    labels = [""] * len(code) if group is None else frame[group].cast(pl.String).to_list()
    grid = sorted(at) or [float(np.median(times[code > 0])), float(times[code > 0].max())]
    options = {"confidence": confidence}
    rows, curves = _incidences(times, code, np.array(labels, dtype=object), names, grid, **options)
    tests = pl.DataFrame(schema=_TESTS)
    if group is not None:
        tests = _tests(times, code, labels, names)
    regression = pl.DataFrame(schema=_REGRESSION)
    if variables is not None:
        samples = frame["sample"].cast(pl.String).to_list()
        regression = _regressions(samples, times, code, names, variables, **options)
    reason = ["time, cause or group is missing"] * len(lost)
    return IncidenceResult(
        frame=rows,
        params={"time": time, "cause": cause, "censored": none, "group": group or "", **options},
        n_used=len(code),
        dropped=pl.DataFrame({"sample": lost, "reason": reason},
                             schema={"sample": pl.String, "reason": pl.String}),
        provenance={"step": "predict.competing_risks", "version": 1},
        curves=curves,
        tests=tests,
        regression=regression,
        time_unit=unit,
    )  # fmt: skip


_TESTS = {"cause": pl.String, "statistic": pl.Float64, "df": pl.Int64, "p_value": pl.Float64}
_RATIOS = (
    "subdistribution_ratio", "sub_low", "sub_high", "sub_p", "cause_specific_ratio", "cs_low",
    "cs_high", "cs_p",
)  # fmt: skip
_REGRESSION = (
    {"cause": pl.String, "variable": pl.String}
    | dict.fromkeys(_RATIOS, pl.Float64)
    | {"note": pl.String}
)


def _word(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _incidences(
    times: FloatArray,
    code: NDArray[np.int64],
    labels: NDArray[Any],
    names: Sequence[str],
    grid: Sequence[float],
    *,
    confidence: float,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows, curves = [], []
    for k, name in enumerate(names, 1):
        for level in sorted(set(labels.tolist())):
            own = labels == level
            events = int((code[own] == k).sum())
            if not events:
                rows += [(name, level, int(own.sum()), 0, float(t), 0.0, 0.0, 0.0) for t in grid]
                continue
            found = aalen_johansen(times[own], code[own], of=k, confidence=confidence)
            steps = pl.DataFrame(
                {
                    "cause": name, "group": level,
                    "time": np.concatenate(([0.0], found.times)),
                    "at_risk": np.concatenate(([float(own.sum())], found.at_risk)),
                    "incidence": np.concatenate(([0.0], found.estimate)),
                    "ci_low": np.concatenate(([0.0], found.ci_low)),
                    "ci_high": np.concatenate(([0.0], found.ci_high)),
                }
            )  # fmt: skip
            curves.append(steps)
            for t in grid:
                where = int(np.searchsorted(found.times, t, side="right"))
                value = steps.row(where, named=True)
                rows.append(
                    (name, level, int(own.sum()), events, float(t), value["incidence"],
                     value["ci_low"], value["ci_high"])
                )  # fmt: skip
    schema = {"cause": pl.String, "group": pl.String, "n": pl.Int64, "events": pl.Int64}
    schema |= dict.fromkeys(("time", "incidence", "ci_low", "ci_high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row"), pl.concat(curves)


def _tests(
    times: FloatArray, code: NDArray[np.int64], labels: list[str], names: Sequence[str]
) -> pl.DataFrame:
    rows = []
    if len(set(labels)) > 1:
        for k, name in enumerate(names, 1):
            found = gray_test(times, code, labels, of=k)
            rows.append((name, found.statistic, found.df, found.p_value))
    return pl.DataFrame(rows, schema=_TESTS, orient="row")


def _regressions(
    samples: list[str],
    times: FloatArray,
    code: NDArray[np.int64],
    names: Sequence[str],
    variables: Any,
    *,
    confidence: float,
) -> pl.DataFrame:
    table = read_blocks({"clinical": variables}, {"clinical": "clinical"})["clinical"]
    matched = align({"outcome": samples, "variables": table.samples})
    x = table.values[matched.rows["variables"]]
    complete = np.isfinite(x).all(axis=1)
    at = matched.rows["outcome"][complete]
    x, t, c = x[complete], times[at], code[at]
    rows: list[dict[str, Any]] = []
    for k, name in enumerate(names, 1):
        blank: dict[str, Any] = {"cause": name} | dict.fromkeys(_RATIOS, float("nan"))
        try:
            sub = fit_fine_gray(x, t, c, of=k)
            cox = fit_cox(x, t, c == k)
        except (FitError, InputError) as error:
            note = " ".join(str(error).split())
            rows += [blank | {"variable": v, "note": note} for v in table.columns]
            continue
        low, high = (np.exp(v) for v in sub.interval(confidence))
        cs_low, cs_high = (np.exp(v) for v in cox.interval(confidence))
        for j, variable in enumerate(table.columns):
            values = (
                np.exp(sub.beta[j]), low[j], high[j], sub.p_values[j],
                np.exp(cox.beta[j]), cs_low[j], cs_high[j], cox.p_values[j],
            )  # fmt: skip
            found = dict(zip(_RATIOS, map(float, values), strict=True))
            rows.append({"cause": name, "variable": variable, "note": ""} | found)
    return pl.DataFrame(rows, schema=_REGRESSION)
