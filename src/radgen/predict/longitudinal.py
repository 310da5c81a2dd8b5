"""Measurements that change over time: counting-process rows, landmarks, hazard ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.stats.cox import fit_cox
from radgen.types import Outcome, Result, align, to_polars

__all__ = ["LongitudinalResult", "changing_hazards", "counting_rows", "landmark_rows"]

Rows = tuple[pl.DataFrame, list[str]]


@dataclass(frozen=True, eq=False)
class LongitudinalResult(Result):
    """Hazard ratios of measurements that are updated during follow-up.

    Attributes
    ----------
    frame : polars.DataFrame
        ``variable, hazard_ratio, ci_low, ci_high, log_hazard_ratio, std_error, z, p_value, n,
        events``: errors are robust, by sample.
    rows : polars.DataFrame
        What was fitted: ``sample, start, stop, event`` (and ``mark``) and the variables.
    outcome, method : str
        Name of the outcome; "counting" or "landmark".
    """

    kind: ClassVar[str] = "hazards"

    rows: pl.DataFrame = None  # type: ignore[assignment]
    outcome: str = ""
    method: str = "counting"

    def statements(self) -> tuple[str, ...]:
        """Return a sentence a variable."""
        out = []
        for row in self.frame.iter_rows(named=True):
            text = f"{row['hazard_ratio']:.2f} ({row['ci_low']:.2f}–{row['ci_high']:.2f})"
            if row["ci_low"] > 1 or row["ci_high"] < 1:
                way = "worse" if row["hazard_ratio"] > 1 else "better"
                out.append(f"The current {row['variable']} goes with {way} {self.outcome}: hazard "
                           f"ratio {text}.")  # fmt: skip
            else:
                out.append(f"No evidence that the current {row['variable']} matters for "
                           f"{self.outcome}: {text}.")  # fmt: skip
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        if self.method == "landmark":
            marks = ", ".join(f"{m:g}" for m in self.params["marks"])
            return (
                f"A landmark super model of {self.outcome}: at the landmarks {marks} everybody "
                "still at risk entered with the last measurement before it and was followed for "
                f"{self.params['window']:g}; a Cox model stratified by landmark, errors robust by "
                "patient. No measurement from the future enters."
            )
        return (
            f"A Cox model of {self.outcome} with covariates that change over time (counting "
            "process of start, stop and event; the last measurement is carried forward), errors "
            "robust by patient. Time before the first measurement is left out."
        )


def _checked(visits: Any, outcome: Outcome) -> tuple[pl.DataFrame, list[str], dict[str, Any]]:
    """Return sorted visits, names of variables, and time and event of each sample."""
    if outcome.kind != "censored" or outcome.events is None:
        raise InputError(
            f"Outcome {outcome.name!r} is {outcome.kind}; needed are times and events."
        )
    frame = to_polars(visits, what="visits")
    missing = [name for name in ("sample", "time") if name not in frame.columns]
    if missing:
        raise InputError(f"The visits lack the columns {shown(missing)}.")
    names = [name for name in frame.columns if name not in ("sample", "time")]
    wrong = [n for n in names if not (frame[n].dtype.is_numeric() or frame[n].dtype == pl.Boolean)]
    if not names or wrong:
        raise InputError(
            f"Needed are numeric variables beside sample and time; no numbers are {shown(wrong)}."
        )
    frame = frame.with_columns(
        pl.col("sample").cast(pl.String), pl.col("time", *names).cast(pl.Float64)
    )
    frame = frame.filter(pl.col("time").is_not_null()).sort("sample", "time")
    twice = frame.filter(frame.select("sample", "time").is_duplicated())["sample"].unique()
    if twice.len():
        raise InputError(f"Samples with two visits at one time: {shown(twice.sort())}.")
    known = np.flatnonzero(outcome.known)
    ids = [outcome.samples[i] for i in known]
    own = frame["sample"].unique(maintain_order=True).to_list()
    matched = align({"visits": own, "outcome": ids})
    rows = known[matched.rows["outcome"]]
    end = {
        sample: (float(outcome.values[i]), bool(outcome.events[i]))
        for sample, i in zip(matched.samples, rows, strict=True)
    }
    return frame.filter(pl.col("sample").is_in(list(end))), names, end


def counting_rows(visits: Any, outcome: Outcome) -> pl.DataFrame:
    """Return rows (start, stop] in which each sample's measurements are constant.

    Parameters
    ----------
    visits : data frame
        ``sample, time`` and numeric variables; time on the clock of the outcome.
    outcome : Outcome
        Censored.

    Returns
    -------
    polars.DataFrame
        ``sample, start, stop, event`` and the variables; each value is carried forward to the next
        visit at which it was measured. Time before the first visit, visits at or after the end,
        and rows with a value that was never measured before are left out.

    Raises
    ------
    InputError
        If columns are missing, a sample has two visits at one time, or the outcome is not censored.

    References
    ----------
    Therneau, Crowson & Atkinson 2024, "Using time dependent covariates" (survival vignette).
    """
    frame, names, end = _checked(visits, outcome)
    frame = frame.with_columns(pl.col(names).forward_fill().over("sample"))
    nxt = frame.select(following=pl.col("time").shift(-1).over("sample"))["following"]
    samples = frame["sample"].to_list()
    last = np.array([end[sample][0] for sample in samples])
    died = np.array([end[sample][1] for sample in samples])
    start = frame["time"].to_numpy()
    stop = np.fmin(nxt.fill_null(np.inf).to_numpy(), last)
    frame = frame.with_columns(
        start=pl.Series(start), stop=pl.Series(stop), event=pl.Series(died & (stop == last))
    )
    kept = (pl.col("start") < pl.col("stop")) & pl.all_horizontal(pl.col(names).is_not_null())
    return frame.filter(kept).select("sample", "start", "stop", "event", *names)


def landmark_rows(
    visits: Any, outcome: Outcome, marks: Sequence[float], window: float
) -> pl.DataFrame:
    """Return one row for each sample at risk at each landmark, with its last measurement before.

    Parameters
    ----------
    visits : data frame
        As in `counting_rows`.
    outcome : Outcome
        Censored.
    marks : sequence of float
        Landmark times.
    window : float
        Follow-up after each landmark.

    Returns
    -------
    polars.DataFrame
        ``sample, mark, stop, event`` and the variables. Samples without a measurement up to a
        landmark are not in its rows.

    Raises
    ------
    InputError
        As `counting_rows`, or if there is no landmark or the window is not positive.

    References
    ----------
    van Houwelingen 2007, doi:10.1111/j.1467-9469.2006.00529.x.
    """
    if not len(marks) or window <= 0:
        raise InputError("Needed are one or more landmarks and a positive window.")
    frame, names, end = _checked(visits, outcome)
    frame = frame.with_columns(pl.col(names).forward_fill().over("sample"))
    parts = []
    for mark in sorted(float(m) for m in marks):
        before = frame.filter(pl.col("time") <= mark).group_by("sample", maintain_order=True).last()
        last = np.array([end[sample][0] for sample in before["sample"].to_list()])
        died = np.array([end[sample][1] for sample in before["sample"].to_list()], dtype=bool)
        part = before.with_columns(
            mark=pl.lit(mark),
            stop=pl.Series(np.minimum(last, mark + window)),
            event=pl.Series(died & (last <= mark + window)),
            last=pl.Series(last),
        )
        kept = (pl.col("last") > mark) & pl.all_horizontal(pl.col(names).is_not_null())
        parts.append(part.filter(kept).select("sample", "mark", "stop", "event", *names))
    return pl.concat(parts)


def changing_hazards(
    visits: Any,
    outcome: Outcome,
    *,
    fixed: Any = None,
    method: Literal["counting", "landmark"] = "counting",
    marks: Sequence[float] = (),
    window: float = float("nan"),
    confidence: float = 0.95,
) -> LongitudinalResult:
    """Return hazard ratios of variables that are measured again during follow-up.

    Parameters
    ----------
    visits : data frame
        ``sample, time`` and numeric variables; time on the clock of the outcome.
    outcome : Outcome
        Censored.
    fixed : data frame or None
        ``sample`` and numeric columns that do not change.
    method : {"counting", "landmark"}
        Covariates that change at each visit, or the value at landmarks with a fixed window of
        follow-up (needs `marks` and `window`).
    marks, window
        For landmarks.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    LongitudinalResult
        A row a variable.

    Raises
    ------
    InputError
        As `counting_rows` and `landmark_rows`.
    FitError
        If variables are collinear or separate the events.

    Notes
    -----
    To group patients by a later measurement (responders against others) and count their survival
    from the start is biased: whoever dies early cannot respond. Both methods avoid it.

    References
    ----------
    Anderson, Cain & Gelber 1983, doi:10.1200/JCO.1983.1.11.710.
    """
    require_choice(method, ("counting", "landmark"), what="method")
    if method == "counting":
        rows = counting_rows(visits, outcome)
    else:
        rows = landmark_rows(visits, outcome, marks, window)
    if fixed is not None:
        rows = _with_fixed(rows, fixed)
    if not rows.height:
        raise InputError("No sample has a measurement before its end of follow-up.")
    skip = {"sample", "start", "stop", "event", "mark"}
    names = [name for name in rows.columns if name not in skip]
    x = rows.select(names).to_numpy()
    args: Mapping[str, Any] = {"cluster": rows["sample"].to_list()}
    if method == "counting":
        args = {**args, "entry": rows["start"].to_numpy()}
    else:
        args = {**args, "strata": rows["mark"].to_numpy()}
    fit = fit_cox(x, rows["stop"].to_numpy(), rows["event"].to_numpy(), **args)
    low, high = fit.interval(confidence)
    n_samples = rows["sample"].n_unique()
    frame = pl.DataFrame(
        {
            "variable": names, "hazard_ratio": np.exp(fit.beta), "ci_low": np.exp(low),
            "ci_high": np.exp(high), "log_hazard_ratio": fit.beta, "std_error": fit.std_error,
            "z": fit.beta / fit.std_error, "p_value": fit.p_values,
            "n": [n_samples] * len(names), "events": [fit.n_events] * len(names),
        }
    )  # fmt: skip
    return LongitudinalResult(
        frame=frame,
        params={"method": method, "marks": [float(m) for m in marks], "window": float(window),
                "confidence": confidence},
        n_used=n_samples,
        provenance={"step": "predict.changing_hazards", "version": 1},
        rows=rows,
        outcome=outcome.name,
        method=method,
    )  # fmt: skip


def _with_fixed(rows: pl.DataFrame, fixed: Any) -> pl.DataFrame:
    frame = to_polars(fixed, what="fixed variables").with_columns(pl.col("sample").cast(pl.String))
    names = [name for name in frame.columns if name != "sample"]
    twice = sorted(set(names) & set(rows.columns))
    if twice:
        raise InputError(f"Fixed variables have the names of changing ones: {shown(twice)}.")
    own = rows["sample"].unique(maintain_order=True).to_list()
    matched = align({"visits": own, "fixed": frame["sample"].to_list()})
    at = dict(zip(matched.samples, matched.rows["fixed"].tolist(), strict=True))
    kept = rows.filter(pl.col("sample").is_in(list(at)))
    place = [at[sample] for sample in kept["sample"].to_list()]
    chosen = frame.select(pl.col(names).cast(pl.Float64))[place]
    joined = pl.concat([kept, chosen], how="horizontal")
    return joined.filter(pl.all_horizontal(pl.col(names).is_not_null()))
