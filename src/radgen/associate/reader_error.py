"""Effects of phenotypes that several readers (or scans) measured, corrected for their error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from radgen._core.progress import progress
from radgen._core.rng import spawn
from radgen.errors import FitError, InputError, shown
from radgen.stats.cox import fit_cox
from radgen.stats.glm import logistic
from radgen.stats.measurement_error import calibrate, simulation_extrapolation
from radgen.types import Covariates, Outcome, PhenotypeTable, Result, align

__all__ = ["ReaderResult", "reader_effects"]

Array = NDArray[np.float64]
_SCHEMA = {
    "phenotype": pl.String, "n": pl.Int64, "n_events": pl.Int64, "reliability": pl.Float64,
    "effect_lowest_reader": pl.Float64, "effect_highest_reader": pl.Float64,
    "effect_mean": pl.Float64, "mean_low": pl.Float64, "mean_high": pl.Float64,
    "effect_pooled": pl.Float64, "pooled_low": pl.Float64, "pooled_high": pl.Float64,
    "effect": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64,
    "effect_simex": pl.Float64, "p": pl.Float64, "status": pl.String, "reason": pl.String,
}  # fmt: skip
_LEAST = 10


@dataclass(frozen=True, eq=False)
class ReaderResult(Result):
    """Effects of phenotypes with the error of their readings taken into account.

    Attributes
    ----------
    frame : polars.DataFrame
        A row a phenotype, effects per SD of the true value between subjects (difference of the
        outcome, log odds ratio or log hazard ratio): lowest and highest of single readers;
        ``effect_mean`` of the mean reading, attenuated by error; ``effect_pooled`` of the readers'
        effects by Rubin's rules, with the spread between readers in its interval, but
        attenuated too; ``effect`` with ``ci_low, ci_high`` by regression calibration, corrected
        for error, bootstrap interval; ``effect_simex`` by simulation and extrapolation.
        ``reliability`` is the share of the variance of the mean reading that is true. p is that
        of the calibrated predictor: error costs power but does not make it invalid.
    outcome, model : str
    """

    kind: ClassVar[str] = "reader_effects"

    outcome: str = ""
    model: str = ""

    def statements(self) -> tuple[str, ...]:
        """Return each effect before and after correction."""
        word = {"linear": "difference", "logistic": "log odds ratio", "cox": "log hazard ratio"}
        texts = []
        for row in self.frame.filter(pl.col("status") == "ok").iter_rows(named=True):
            texts.append(
                f"{row['phenotype']}: {word[self.model]} of {self.outcome} per SD "
                f"{row['effect_mean']:.2f} by the mean reading, {row['effect']:.2f} "
                f"({row['ci_low']:.2f} to {row['ci_high']:.2f}) corrected for the readers' error "
                f"(reliability {row['reliability']:.2f}); single readers "
                f"{row['effect_lowest_reader']:.2f} to {row['effect_highest_reader']:.2f}."
            )
        for row in self.frame.filter(pl.col("status") != "ok").iter_rows(named=True):
            texts.append(f"{row['phenotype']}: not done, {row['reason']}")
        return tuple(texts)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        return (
            f"{len(p['readers'])} readings of each subject ({', '.join(p['readers'])}) entered "
            f"{self.model} models by regression calibration (linear, from replicates; Carroll et "
            f"al. 2006) with percentile intervals of {p['bootstrap']} bootstrap draws of subjects, "
            "beside the mean reading, single readings pooled by Rubin's rules, and simulation "
            "extrapolation (quadratic)."
        )


@dataclass(frozen=True, eq=False)
class _Problem:
    """One outcome, its model and covariates."""

    model: str
    y: Array
    event: NDArray[np.bool_]
    z: Array

    def take(self, rows: NDArray[Any]) -> _Problem:
        """Return some of the rows."""
        return _Problem(self.model, self.y[rows], self.event[rows], self.z[rows])

    def fit(self, x: Array) -> tuple[float, float]:
        """Return effect and standard error of a predictor.

        Raises
        ------
        FitError
            If the model has no maximum.
        """
        if self.model == "cox":
            fit = fit_cox(np.column_stack((x, self.z)), self.y, self.event)
            return float(fit.beta[0]), float(fit.std_error[0])
        design = np.column_stack((x, self.z, np.ones(len(x))))
        if self.model == "logistic":
            found = logistic(self.y, design)
            if found.separated or not found.converged:
                raise FitError("The predictor separates the two classes.")
            return float(found.coef[0]), float(found.se[0])
        beta = np.linalg.lstsq(design, self.y, rcond=None)[0]
        residual = self.y - design @ beta
        df = max(len(x) - np.linalg.matrix_rank(design), 1)
        cov = np.linalg.pinv(design.T @ design) * (residual @ residual) / df
        return float(beta[0]), float(np.sqrt(cov[0, 0]))


def reader_effects(
    readings: Mapping[str, PhenotypeTable],
    outcome: Outcome,
    covariates: Covariates | None = None,
    *,
    seed: int,
    phenotypes: Sequence[str] = (),
    bootstrap: int = 300,
    simex_draws: int = 30,
    confidence: float = 0.95,
) -> ReaderResult:
    """Return effects of phenotypes on an outcome, corrected for the error of their readings.

    Parameters
    ----------
    readings : mapping of reader to PhenotypeTable
        Two or more; subjects and phenotypes are matched by id and name. A reader's constant
        offset is taken out. Missing readings are allowed.
    outcome : Outcome
        Continuous (linear model), binary (logistic) or censored (Cox).
    covariates : Covariates or None
        To adjust for; subjects with a missing one are left out.
    seed : int
        Of bootstrap and simulation.
    phenotypes : sequence of str
        Which; default: all that the tables have in common.
    bootstrap : int, default 300
        Draws of subjects; readings of a subject stay together.
    simex_draws : int, default 30
        Simulated predictors at each error level; 0 leaves it out.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    ReaderResult
        Each phenotype with its status.

    Raises
    ------
    InputError
        If there are fewer than two readings, no phenotype in common, or an ordinal outcome.
    AlignmentError
        If too few subjects have an outcome.
    """
    if len(readings) < 2:
        raise InputError("Readers' error needs two or more readings of the same subjects.")
    models = {"continuous": "linear", "binary": "logistic", "censored": "cox"}
    if outcome.kind not in models:
        raise InputError(f"Outcome {outcome.name!r} is {outcome.kind}; state it as binary.")
    names = _names(readings, phenotypes)
    problem, cube, dropped = _matched(readings, outcome, covariates, names, models[outcome.kind])
    options = {"bootstrap": bootstrap, "simex_draws": simex_draws, "confidence": confidence}
    rows = []
    with progress("Readers' error", len(names)) as tick:
        for j, name in enumerate(names):
            rows.append(_row(name, cube[:, :, j], problem, seed, options))
            tick(1)
    return ReaderResult(
        frame=pl.DataFrame(rows, schema=_SCHEMA, orient="row"),
        params={"readers": list(readings), "seed": seed, **options},
        n_used=len(problem.y),
        dropped=dropped,
        outcome=outcome.name,
        model=problem.model,
    )


def _names(readings: Mapping[str, PhenotypeTable], wanted: Sequence[str]) -> list[str]:
    first = next(iter(readings.values()))
    common = [n for n in first.names if all(n in set(t.names) for t in readings.values())]
    missing = [n for n in wanted if n not in common]
    if missing or not common:
        raise InputError(
            f"Not in every reading: {shown(missing)}."
            if missing
            else "The readings have no phenotype name in common."
        )
    return list(wanted) or common


def _matched(
    readings: Mapping[str, PhenotypeTable],
    outcome: Outcome,
    covariates: Covariates | None,
    names: list[str],
    model: str,
) -> tuple[_Problem, Array, pl.DataFrame]:
    known = np.flatnonzero(outcome.known)
    subjects = list(dict.fromkeys(s for table in readings.values() for s in table.samples))
    tables = {"readings": subjects, "outcome": [outcome.samples[i] for i in known]}
    if covariates is not None:
        complete = np.flatnonzero(np.isfinite(covariates.values).all(axis=1))
        tables["covariates"] = [covariates.samples[i] for i in complete]
    matched = align(tables, need=_LEAST)
    rows = known[matched.rows["outcome"]]
    y = np.asarray(outcome.values)[rows]
    event = np.ones(len(rows), dtype=bool) if outcome.events is None else outcome.events[rows]
    z = np.empty((len(rows), 0))
    if covariates is not None:
        z = np.asarray(covariates.values)[complete[matched.rows["covariates"]]]
    cube = np.full((len(rows), len(readings), len(names)), np.nan)
    for k, table in enumerate(readings.values()):
        place = {sample: i for i, sample in enumerate(table.samples)}
        column = {name: j for j, name in enumerate(table.names)}
        at = [column[name] for name in names]
        for i, sample in enumerate(matched.samples):
            if sample in place:
                cube[i, k] = np.asarray(table.values)[place[sample], at]
    dropped = matched.dropped.select("sample", reason=pl.lit("not in ") + pl.col("absent_from"))
    return _Problem(model, y, np.asarray(event, dtype=bool), z), cube, dropped


def _row(
    name: str, readings: Array, problem: _Problem, seed: int, options: Mapping[str, Any]
) -> tuple[Any, ...]:
    some = np.isfinite(readings).any(axis=1)
    readings, part = readings[some], problem.take(np.flatnonzero(some))
    n, events = len(readings), int(part.y.sum() if part.model == "logistic" else part.event.sum())
    try:
        values = _effects(name, readings, part, seed, options)
    except (FitError, InputError, np.linalg.LinAlgError) as error:
        blank = (None,) * (len(_SCHEMA) - 5)
        return (name, n, events, *blank, "failed", str(error))
    return (name, n, events, *values, "ok", "")


def _effects(
    name: str, readings: Array, problem: _Problem, seed: int, options: Mapping[str, Any]
) -> tuple[float | None, ...]:
    if len(readings) < _LEAST:
        raise InputError(f"{len(readings)} subjects have a reading; {_LEAST} are needed.")
    readings = readings - np.nanmean(readings, axis=0) + np.nanmean(readings)
    found = calibrate(readings, problem.z)
    scale = float(np.sqrt(found.true_variance))
    readings = readings / scale
    found = calibrate(readings, problem.z)
    tail = 0.5 + options["confidence"] / 2
    z = float(ndtri(tail))
    beta, error = problem.fit(found.mean)
    single = [_single(readings[:, k], problem) for k in range(readings.shape[1])]
    pooled = _rubin([item for item in single if item is not None], tail)
    corrected, its_error = problem.fit(found.expected)
    low, high = _bootstrap(name, readings, problem, seed, options)
    simex = None
    if options["simex_draws"]:
        rng = spawn(seed, "simex", name)
        draws = options["simex_draws"]
        simex = simulation_extrapolation(
            lambda x: problem.fit(x)[0], readings, rng=rng, draws=draws
        )[0]
    known = [item[0] for item in single if item is not None]
    p = float(2 * ndtr(-abs(corrected / its_error)))
    return (
        found.reliability, min(known, default=None), max(known, default=None),
        beta, beta - z * error, beta + z * error, *pooled, corrected, low, high, simex, p,
    )  # fmt: skip


def _single(reading: Array, problem: _Problem) -> tuple[float, float] | None:
    rows = np.flatnonzero(np.isfinite(reading))
    if len(rows) < _LEAST:
        return None
    return problem.take(rows).fit(reading[rows])


def _rubin(
    single: Sequence[tuple[float, float]], tail: float
) -> tuple[float | None, float | None, float | None]:
    m = len(single)
    if m < 2:
        return None, None, None
    effects = np.array([item[0] for item in single])
    within = float(np.mean([item[1] ** 2 for item in single]))
    between = (1 + 1 / m) * float(effects.var(ddof=1))
    df = (m - 1) * (1 + within / max(between, 1e-300)) ** 2
    half = float(stdtrit(min(df, 1e9), tail)) * float(np.sqrt(within + between))
    middle = float(effects.mean())
    return middle, middle - half, middle + half


def _bootstrap(
    name: str, readings: Array, problem: _Problem, seed: int, options: Mapping[str, Any]
) -> tuple[float | None, float | None]:
    rng = spawn(seed, "reader bootstrap", name)
    n, found = len(readings), []
    for _ in range(options["bootstrap"]):
        rows = rng.integers(0, n, n)
        part = problem.take(rows)
        try:
            step = calibrate(readings[rows], part.z)
            found.append(part.fit(step.expected)[0])
        except (FitError, InputError, np.linalg.LinAlgError):
            continue
    if len(found) < 0.9 * max(options["bootstrap"], 1) or not found:
        return None, None
    tail = (1 - options["confidence"]) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)
