"""Learn a trait where it was measured, carry it to where it was not, test its prognosis."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen._core.blocks import map_units
from radgen._core.rng import derive_seed, spawn
from radgen.associate import _pairs
from radgen.associate.surrogates._carry import Carried, Draws, Survival, bootstrap, carry
from radgen.associate.surrogates._learner import HeldOut, held_out, machine_of
from radgen.associate.surrogates._sides import Predictors, predictors_of, standardised
from radgen.associate.surrogates.surrogate_result import SURROGATE_COLUMNS, SurrogateResult
from radgen.errors import InputError
from radgen.stats import multiplicity
from radgen.stats.discrimination import auc_interval
from radgen.stats.linear import patterns
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable, align

__all__ = ["surrogate"]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Table = OmicsTable | PhenotypeTable

_TRAITS_PER_UNIT = 16
_FEWEST_EVENTS = 10


@dataclass(frozen=True, eq=False)
class _Settings:
    """Options that every unit needs."""

    model: Any
    folds: int
    repeats: int
    permutations: int
    bootstraps: int
    by_cohort: bool
    confidence: float


@dataclass(frozen=True, eq=False)
class _Unit:
    """Traits that the same samples have, as they travel to a worker."""

    columns: Rows
    rows: Rows
    paired: Array
    targets: Array
    binary: bool
    seed: int
    settings: _Settings


@dataclass(frozen=True, eq=False)
class _Carry:
    """A unit on its way to the second cohort."""

    unit: _Unit
    carried: Array
    survival: Survival
    slopes: Array


def surrogate(
    predictors: Table,
    traits: Table,
    carried: Table | None = None,
    outcome: Outcome | None = None,
    covariates: Covariates | None = None,
    *,
    within: str = "none",
    by_cohort: bool = True,
    model: Any = None,
    folds: int = 5,
    repeats: int = 3,
    permutations: int = 199,
    bootstraps: int = 200,
    level: float = 0.05,
    unpredictable: bool = False,
    max_missing: float = 0.2,
    min_n: int = 30,
    confidence: float = 0.95,
    executor: Executor | None = None,
    seed: int = 0,
) -> SurrogateResult:
    """Return how well traits are predicted, and the prognosis of what is predicted elsewhere.

    Parameters
    ----------
    predictors : OmicsTable or PhenotypeTable
        Of the paired cohort: expression to predict image traits, or images to predict modules.
    traits : PhenotypeTable or OmicsTable
        Of the paired cohort; 0/1 columns are classes, others numbers.
    carried : OmicsTable or PhenotypeTable or None
        The predictors in a second cohort, without the traits; None = predict only.
    outcome : Outcome or None
        Survival in the second cohort.
    covariates : Covariates or None
        Of the second cohort, adjusted for.
    within : {"none", "rank", "quantile"}, default "none"
        Within samples: ranks as normal scores, or the paired cohort's mean distribution given to
        the second's samples.
    by_cohort : bool, default True
        Standardise each predictor of the second cohort by that cohort (platforms differ, case mix
        alike); False = by the paired cohort (the same platform).
    model : estimator or None
        Any scikit-learn regressor or classifier, cloned; None = ridge regression with its penalty
        from generalised cross-validation in the training samples.
    folds, repeats : int
        Of the cross-validation (5, 3); stratified for 0/1.
    permutations : int, default 199
        Permuted traits, for the held-out performance and for the prognosis.
    bootstraps : int, default 200
        Learners of resampled paired cohorts.
    level : float, default 0.05
        Traits are carried where the p of their held-out performance is at most this.
    unpredictable : bool, default False
        Carry all others too.
    max_missing : float, default 0.2
        Predictors with a larger share of missing values in either cohort are left out.
    min_n : int, default 30
        Fewest samples of a trait.
    confidence : float, default 0.95
        Coverage of the intervals.
    executor : concurrent.futures.Executor or None
        Where the units run.
    seed : int, default 0
        Of folds, permutations and bootstraps.

    Returns
    -------
    SurrogateResult
        A row a trait.

    Raises
    ------
    InputError
        If an option is out of range, the outcome is no survival time, or fewer than 3 predictors
        are common.
    AlignmentError
        If too few samples match, or a sample stands in both cohorts.

    Notes
    -----
    Three questions have three answers. (1) Is the *score* prognostic? The naive test says so
    exactly, given the learner. (2) Is the *trait* behind it? A learner that picked noise is
    prognostic too where many genes are: its weights would be others in another paired cohort.
    Learners of bootstrap samples show that: the test is of the score statistic, which is linear
    in the weights, so that its variance between learners is that of the weights' error, also
    where they are nothing but error. Traits that held-out samples do not bear out are carried
    only where `unpredictable` asks for them. `p_random` is
    the share of learners of permuted traits that are as prognostic: where expression is
    prognostic at large, many are, and the trait says no more than any score of genes. (3) How
    strong is the trait itself? Predictions are shrunken and noisy; the effect is divided by the
    held-out slope of trait on prediction. That assumes that predictors act on survival through
    the trait alone, and that the relation holds in the second cohort; neither can be tested
    without the trait.

    References
    ----------
    Gevaert et al. (2012), Radiology 264, 387, doi:10.1148/radiol.12111607. Venet, Dumont &
    Detours (2011), PLoS Comput. Biol. 7, e1002240. Rubin (1987), Multiple Imputation. Carroll et
    al. (2006), Measurement Error in Nonlinear Models, ch. 4.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((150, 40)) + rng.standard_normal((150, 1))
    >>> ids, genes = [f"s{i}" for i in range(150)], [f"g{j}" for j in range(40)]
    >>> z = x.mean(axis=1) + 0.3 * rng.standard_normal(150)
    >>> images = PhenotypeTable.from_frame({"sample": ids[:70], "spiculation": z[:70]})
    >>> first, second = (OmicsTable(ids[a], genes, x[a], "expression", "log2")
    ...                  for a in (slice(70), slice(70, 150)))
    >>> death = Outcome("survival", "censored", tuple(ids[70:]), rng.exponential(np.exp(-z[70:])),
    ...                 np.ones(80, dtype=bool))
    >>> found = surrogate(first, images, second, death, bootstraps=50, permutations=99)
    >>> found.table.select(pl.col("held_out") > 0.8, pl.col("p") < 0.001).row(0)
    (True, True)
    """
    settings = _Settings(model, folds, repeats, permutations, bootstraps, by_cohort, confidence)
    _check(settings, level, min_n, carried, outcome)
    reasons: dict[str, str] = {}
    together = align({"predictors": predictors.samples, "traits": traits.samples}, need=3)
    for sample, absent in together.dropped.select("sample", "absent_from").iter_rows():
        reasons[sample] = f"absent from {absent}"
    second = None
    if carried is not None:
        assert outcome is not None
        twice = sorted(set(together.samples) & set(carried.samples))
        if twice:
            raise InputError(
                f"{len(twice)} samples train the learner and stand in the second cohort "
                f"({', '.join(twice[:5])}): their traits were seen. Leave them out of one."
            )
        second = _second(carried, outcome, covariates, reasons)
    own = predictors.take(rows=together.rows["predictors"])
    sides = predictors_of(
        own, None if second is None else second.table, within=within, max_missing=max_missing
    )
    names = traits.features if isinstance(traits, OmicsTable) else traits.names
    targets = traits.values[together.rows["traits"]]
    units, small = _units(sides, targets, names, settings, min_n, seed)
    judged = map_units(_judge, units, executor=executor, what="Predicting held-out samples")
    table = _Table(names, settings)
    for unit, found in zip(units, judged, strict=True):
        table.learned(unit, found)
    for column, (n, why) in small.items():
        table.rows[column] |= {"n": n, "status": "not_tested", "reason": why}
    table.decide(level, unpredictable, told=second is not None)
    predictions = pl.DataFrame()
    if second is not None:
        assert sides.carried is not None
        chosen = [
            _chosen(unit, found, table, sides.carried, second.survival)
            for unit, found in zip(units, judged, strict=True)
        ]
        journeys = [item for item in chosen if item is not None]
        ended = map_units(_journey, journeys, executor=executor, what="Carrying traits")
        predictions = _predicted(journeys, ended, second.samples, names)
        for item, done in zip(journeys, ended, strict=True):
            table.carried(item, done, second.survival)
    return SurrogateResult(
        frame=table.frame(),
        params={
            "model": "ridge regression" if model is None else type(model).__name__,
            "n_predictors": len(sides.names), "only_paired": sides.only_paired,
            "only_carried": sides.only_carried, "within": within, "by_cohort": by_cohort,
            "folds": folds, "repeats": repeats, "permutations": permutations,
            "bootstraps": bootstraps, "level": level, "unpredictable": unpredictable,
            "outcome": "" if outcome is None else outcome.name,
            "covariates": list(covariates.names) if covariates is not None else [],
            "max_missing": max_missing, "confidence": confidence, "seed": seed,
        },
        n_used=together.n_samples,
        dropped=pl.DataFrame(
            {"sample": list(reasons), "reason": list(reasons.values())},
            schema={"sample": pl.String, "reason": pl.String},
        ),
        warnings=_warnings(sides, second),
        provenance={"step": "associate.surrogate", "version": 2, "seed": seed},
        predictions=predictions,
        held_out=_held_out_table(units, judged, together.samples, names),
        survival=pl.DataFrame() if second is None else second.frame(),
    )  # fmt: skip


def _check(
    settings: _Settings, level: float, min_n: int, carried: Table | None, outcome: Outcome | None
) -> None:
    if settings.folds < 2 or settings.repeats < 1 or min_n < 2 * settings.folds:
        raise InputError(
            "folds is at least 2, repeats 1, and min_n twice the folds; found "
            f"{settings.folds}, {settings.repeats} and {min_n}."
        )
    if settings.permutations < 39 or settings.bootstraps < 20:
        raise InputError(
            "permutations is at least 39 and bootstraps 20; found "
            f"{settings.permutations} and {settings.bootstraps}."
        )
    if not 0 < level < 1 or not 0 < settings.confidence < 1:
        raise InputError(
            f"level and confidence lie between 0 and 1; found {level} and {settings.confidence}."
        )
    if (carried is None) != (outcome is None):
        raise InputError("A second cohort needs both its predictors and its survival.")
    if outcome is not None and outcome.kind != "censored":
        raise InputError(
            f"{outcome.name!r} is {outcome.kind}; a survival time is needed. For other outcomes "
            "test the column of `predictions` (`associate.screen`)."
        )


@dataclass(frozen=True, eq=False)
class _Second:
    """The second cohort: predictors and survival of the same samples."""

    samples: tuple[str, ...]
    table: Table
    survival: Survival

    def frame(self) -> pl.DataFrame:
        columns = {"sample": list(self.samples), "time": self.survival.time}
        return pl.DataFrame(columns | {"event": self.survival.event})


def _second(
    carried: Table, outcome: Outcome, covariates: Covariates | None, reasons: dict[str, str]
) -> _Second:
    tables: dict[str, Sequence[str]] = {
        "predictors of the second cohort": carried.samples, "survival": outcome.samples,
    }  # fmt: skip
    if covariates is not None:
        tables["covariates"] = covariates.samples
    found = align(tables, need=10)
    for sample in found.dropped.filter(pl.col("sample").is_in(list(carried.samples)))["sample"]:
        reasons[sample] = "no survival or covariates"
    time = outcome.values[found.rows["survival"]]
    keep = np.isfinite(time)
    z = None
    if covariates is not None:
        z = covariates.values[found.rows["covariates"]]
        keep &= np.isfinite(z).all(axis=1)
    samples = tuple(s for s, kept in zip(found.samples, keep, strict=True) if kept)
    for sample, kept in zip(found.samples, keep, strict=True):
        if not kept:
            reasons[sample] = "survival or a covariate is missing"
    assert outcome.events is not None
    event = outcome.events[found.rows["survival"]][keep]
    if event.sum() < _FEWEST_EVENTS:
        raise InputError(
            f"The second cohort has {int(event.sum())} events of {outcome.name} in {len(samples)} "
            f"samples with all data; needed are {_FEWEST_EVENTS}."
        )
    rows = found.rows["predictors of the second cohort"][keep]
    survival = Survival(time[keep], event, None if z is None else z[keep])
    return _Second(samples, carried.take(rows=rows), survival)


def _units(  # noqa: PLR0917
    sides: Predictors,
    targets: Array,
    names: Sequence[str],
    settings: _Settings,
    min_n: int,
    seed: int,
) -> tuple[list[_Unit], dict[int, tuple[int, str]]]:
    units, small = [], {}
    binary = _pairs.is_binary(targets)
    for known, columns in patterns(targets):
        rows = np.flatnonzero(known)
        good = []
        for column in columns:
            why = _unfit(targets[rows, column], bool(binary[column]), min_n, settings.folds)
            if why:
                small[int(column)] = (len(rows), why)
            else:
                good.append(int(column))
        apart = [[column] for column in good if binary[column]]
        numbers = [column for column in good if not binary[column]]
        apart += [
            numbers[start : start + _TRAITS_PER_UNIT]
            for start in range(0, len(numbers), _TRAITS_PER_UNIT)
        ]
        for part in apart:
            key = derive_seed(seed, "surrogate", names[part[0]]) % 2**32
            units.append(
                _Unit(
                    np.array(part), rows, sides.paired[rows], targets[np.ix_(rows, part)],
                    bool(binary[part[0]]), key, settings,
                )
            )  # fmt: skip
    return units, small


def _unfit(own: Array, binary: bool, min_n: int, folds: int) -> str:
    if len(own) < min_n:
        return f"{len(own)} samples have the trait; needed are {min_n}"
    if np.ptp(own) == 0:
        return "the trait does not vary"
    fewest = int(min(own.sum(), len(own) - own.sum())) if binary else folds * 2
    if fewest < folds * 2:
        return f"{fewest} samples in the smaller class; needed are {folds * 2}"
    return ""


def _judge(unit: _Unit) -> HeldOut:
    own = unit.settings
    return held_out(
        unit.paired, unit.targets, model=own.model, binary=unit.binary, folds=own.folds,
        repeats=own.repeats, permutations=own.permutations, seed=unit.seed,
    )  # fmt: skip


def _chosen(
    unit: _Unit, found: HeldOut, table: _Table, carried: Array, survival: Survival
) -> _Carry | None:
    keep = np.array([bool(table.rows[column]["carried"]) for column in unit.columns])
    if not keep.any():
        return None
    part = _Unit(
        unit.columns[keep], unit.rows, unit.paired, unit.targets[:, keep], unit.binary, unit.seed,
        unit.settings,
    )  # fmt: skip
    return _Carry(part, carried, survival, found.slope[keep])


def _journey(item: _Carry) -> tuple[Array, list[Carried]]:
    """Return scores of the second cohort (n_carried, n_traits), and what they say."""
    unit, own = item.unit, item.unit.settings
    by = item.carried if own.by_cohort else unit.paired
    first, second = standardised(unit.paired, unit.paired), standardised(item.carried, by)
    machine = machine_of(own.model, first, second)
    n, m = len(first), len(second)
    rows, rest = np.arange(n), n + np.arange(m)
    scores, penalties = machine.scores(rows, unit.targets, rest)
    drawn = [
        bootstrap(
            machine, unit.targets, m, penalties=penalties, binary=unit.binary, folds=own.folds,
            number=number, seed=unit.seed,
        )
        for number in range(own.bootstraps)
    ]  # fmt: skip
    moved = [
        unit.targets[spawn(unit.seed, "permuted trait", number).permutation(n)]
        for number in range(own.permutations)
    ]
    k = unit.targets.shape[1]
    null = machine.scores(rows, np.concatenate(moved, axis=1), rest)[0]
    answers = []
    for column in range(k):
        y = unit.targets[:, column]
        draws = Draws(
            scores[:, column],
            np.array([part[0][:, column] for part in drawn]),
            np.array([part[1][column] for part in drawn]),
            null[:, column::k],
        )
        answers.append(
            carry(
                draws, item.survival, slope=float(item.slopes[column]),
                spread=1.0 if unit.binary else float(y.std(ddof=1)), confidence=own.confidence,
            )
        )  # fmt: skip
    return scores, answers


class _Table:
    """The rows of the answer, filled as the analysis goes on."""

    def __init__(self, names: Sequence[str], settings: _Settings) -> None:
        self.settings = settings
        blank = dict.fromkeys(SURROGATE_COLUMNS)
        self.rows: list[dict[str, Any]] = [
            blank | {"trait": name, "carried": False, "status": "ok", "reason": ""}
            for name in names
        ]

    def learned(self, unit: _Unit, found: HeldOut) -> None:
        """Enter the held-out performance of a unit."""
        for place, column in enumerate(unit.columns):
            low, high = _interval(
                unit, found.scores[:, place], float(found.performance[place]), self.settings
            )
            self.rows[column] |= {
                "n": len(unit.targets), "metric": "auc" if unit.binary else "r",
                "held_out": float(found.performance[place]), "held_out_low": low,
                "held_out_high": high, "slope": float(found.slope[place]),
                "p_held_out": float(found.p[place]),
            }  # fmt: skip

    def decide(self, level: float, unpredictable: bool, *, told: bool) -> None:
        """Enter q-values of the performance, and which traits are carried."""
        p = np.array([np.nan if r["p_held_out"] is None else r["p_held_out"] for r in self.rows])
        for row, q in zip(self.rows, multiplicity.bh(p), strict=True):
            if not np.isfinite(q):
                continue
            row["q_held_out"] = float(q)
            own = row["p_held_out"]
            row["carried"] = told and bool(own <= level or unpredictable)
            if told and not row["carried"]:
                row["status"] = "not_carried"
                row["reason"] = f"held-out prediction is not better than chance (p = {own:.2g})"

    def carried(self, item: _Carry, done: tuple[Array, list[Carried]], survival: Survival) -> None:
        """Enter what the second cohort says."""
        for column, answer in zip(item.unit.columns, done[1], strict=True):
            row = self.rows[column]
            row |= {"n_carried": len(survival.time), "n_events": int(survival.event.sum())}
            row |= {key: value for key, value in answer.values.items() if key != "trait"}
            row["trait_log_hazard"] = answer.values.get("trait")
            if answer.reason:
                row |= {"status": "not_tested", "reason": answer.reason}
            elif not np.isfinite(answer.values["trait_low"]):
                row["reason"] = "the slope of trait on prediction is not clearly above 0"

    def frame(self) -> pl.DataFrame:
        """Return the table with p and q."""
        log10p = np.array([np.nan if r["log10p"] is None else r["log10p"] for r in self.rows])
        p = np.power(10.0, log10p)
        for row, own, q in zip(self.rows, p, multiplicity.bh(p), strict=True):
            row |= {"p": own, "q_bh": q}
        frame = pl.DataFrame(self.rows, schema=SURROGATE_COLUMNS)
        return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def _interval(unit: _Unit, score: Array, value: float, settings: _Settings) -> tuple[float, float]:
    if unit.binary:
        found = auc_interval(unit.targets[:, 0], score, confidence=settings.confidence)
        return found.ci_low, found.ci_high
    reach = float(ndtri(0.5 + settings.confidence / 2)) / np.sqrt(len(score) - 3)
    middle = np.arctanh(np.clip(value, -0.999999, 0.999999))
    return float(np.tanh(middle - reach)), float(np.tanh(middle + reach))


def _predicted(
    journeys: list[_Carry],
    ended: list[tuple[Array, list[Carried]]],
    samples: tuple[str, ...],
    names: Sequence[str],
) -> pl.DataFrame:
    columns: dict[str, Any] = {}
    for item, (scores, _) in zip(journeys, ended, strict=True):
        columns |= {names[c]: scores[:, j] for j, c in enumerate(item.unit.columns)}
    order = [name for name in names if name in columns]
    return pl.DataFrame({"sample": list(samples)} | {name: columns[name] for name in order})


def _held_out_table(
    units: list[_Unit], judged: list[HeldOut], samples: tuple[str, ...], names: Sequence[str]
) -> pl.DataFrame:
    columns: dict[str, Any] = {}
    for unit, found in zip(units, judged, strict=True):
        for place, column in enumerate(unit.columns):
            own = np.full(len(samples), np.nan)
            own[unit.rows] = found.scores[:, place]
            columns[names[column]] = own
    order = [name for name in names if name in columns]
    frame = pl.DataFrame({"sample": list(samples)} | {name: columns[name] for name in order})
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def _warnings(sides: Predictors, second: _Second | None) -> tuple[str, ...]:
    notes = list(sides.notes)
    if second is not None and (sides.only_paired or sides.only_carried):
        notes.append(
            f"{len(sides.names)} predictors are common to both cohorts; {sides.only_paired} stand "
            f"in the paired cohort alone and {sides.only_carried} in the second alone, and were "
            "not used."
        )
    return tuple(notes)
