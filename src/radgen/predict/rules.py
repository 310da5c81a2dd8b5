"""Treatment rules: who would gain, and what following the rule would be worth."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from radgen._core.blocks import map_units
from radgen._core.naming import require_choice
from radgen.errors import InputError, shown
from radgen.predict._words import repeated
from radgen.predict.design import Design, read_blocks
from radgen.predict.engine import FoldOutput, FoldTask, run_fold
from radgen.predict.planning import Setup, set_up
from radgen.predict.splits import Split, outer_splits
from radgen.predict.treatment import arms_of
from radgen.stats.survival_pseudo import pseudo_values
from radgen.types import Covariates, Outcome, Result, align

__all__ = ["RuleResult", "policy_value", "treatment_rule"]

FloatArray = NDArray[np.float64]
_WHOLE = 100.0
GUARD = "A research result, not a medical device: it must not guide the care of a patient."


@dataclass(frozen=True, eq=False)
class RuleResult(Result):
    """A rule "treat whom the models expect to gain", learnt and valued in different patients.

    Attributes
    ----------
    frame : polars.DataFrame
        ``policy, treated, value, std_error, ci_low, ci_high, gain, gain_low, gain_high, gain_p``:
        mean outcome if everybody followed the policy (treat nobody, treat everybody, the rule),
        and the gain of the rule over each other policy. Higher is better.
    curve : polars.DataFrame
        ``share, gain, ci_low, ci_high, random``: counterfactual gain of treating this share of
        the patients, those with the largest expected benefit first, over treating nobody; the
        same share drawn at random.
    benefits : polars.DataFrame
        ``sample, arm, benefit``: expected benefit out of fold, mean over repeats.
    area, area_low, area_high, area_p : float
        Area between the gain curve and the random line: above 0 where the ranking by expected
        benefit is right.
    outcome, scale : str
        Name of the outcome; what the value is.
    arms : tuple of str
        Control and treated arm.
    """

    kind: ClassVar[str] = "treatment_rule"
    plots: ClassVar[tuple[str, ...]] = ("gain",)

    curve: pl.DataFrame = field(default_factory=pl.DataFrame)
    benefits: pl.DataFrame = field(default_factory=pl.DataFrame)
    area: float = float("nan")
    area_low: float = float("nan")
    area_high: float = float("nan")
    area_p: float = float("nan")
    outcome: str = ""
    scale: str = ""
    arms: tuple[str, ...] = ()

    def statements(self) -> tuple[str, ...]:
        """Return whether the rule is worth more than treating all alike."""
        rows = {row["policy"]: row for row in self.frame.iter_rows(named=True)}
        fixed = max((rows["treat nobody"], rows["treat everybody"]), key=lambda r: r["value"])
        gain = f"{fixed['gain']:+.3f} ({fixed['gain_low']:+.3f} to {fixed['gain_high']:+.3f})"
        none = "shows no evidence of being"
        word = "is better than" if fixed["gain_low"] > 0 else f"{none} better than"
        ranks = "is ranked rightly" if self.area_low > 0 else f"{none} ranked rightly"
        area = f"{self.area:+.4f} ({self.area_low:+.4f} to {self.area_high:+.4f})"
        return (
            f"Treating the {rows['rule']['treated']:.0%} of patients whom the models expect to "
            f"gain {word} the better fixed policy ({fixed['policy']}): {self.scale} {gain}.",
            f"Benefit of {self.arms[1]} {ranks} by the models: area above random {area}, p "
            f"{self.area_p:.2g}.",
            GUARD,
        )

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        chance = "the share of the arm"
        if p["confounders"]:
            chance = "estimated out of fold from confounders"
        return (
            f"In {repeated(p)}{p['folds']}-fold cross-validation one model of "
            f"{self.outcome} was trained in each arm, and both were applied to the patients left "
            "out; the expected benefit is their difference. Policies were valued in the patients "
            "left out by augmented inverse-probability weights, the probability of treatment "
            f"being {chance}. Value: {self.scale}. Intervals are by patient."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "gain" curve and return the Axes."""
        if kind not in self.plots:
            raise InputError(f"A treatment rule has no plot {kind!r}; it has {self.plots}.")
        from radgen.plot import style

        ax = style.axes(5, 4) if ax is None else ax
        share, ink = self.curve["share"].to_numpy(), style.colour(0)
        ax.fill_between(
            share, self.curve["ci_low"], self.curve["ci_high"], color=ink, alpha=0.15, linewidth=0
        )
        (first,) = ax.plot(share, self.curve["gain"], color=ink)
        (other,) = ax.plot(share, self.curve["random"], color="0.4", linestyle="--", linewidth=1)
        ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        style.dress(ax, xlabel="Share treated", ylabel="Gain over treating nobody", grid="y")
        style.legend(ax, [first, other], ["expected benefit first", "at random"])
        return ax


def policy_value(
    decision: NDArray[Any],
    arm: NDArray[Any],
    outcome: FloatArray,
    *,
    propensity: FloatArray,
    expected: tuple[FloatArray, FloatArray] | None = None,
) -> tuple[float, FloatArray]:
    """Return the mean outcome if everybody followed a policy, and its influence function.

    Parameters
    ----------
    decision, arm : (n,)
        What the policy says and what was given: 1 = treat, 0 = not.
    outcome : float64 (n,)
        Observed.
    propensity : float64 (n,)
        Probability of having been treated, strictly between 0 and 1.
    expected : tuple of float64 (n,), or None
        Expected outcome without and with treatment, from models that did not see the row; makes
        the estimate doubly robust.

    Returns
    -------
    value : float
    influence : float64 (n,)
        Mean 0; its SD over sqrt(n) is the standard error.

    Raises
    ------
    InputError
        If a propensity is not strictly between 0 and 1.

    References
    ----------
    Dudík, Langford & Li 2011. Zhang et al. 2012, doi:10.1111/j.1541-0420.2012.01763.x.

    Examples
    --------
    >>> import numpy as np
    >>> arm = np.array([0, 0, 1, 1]); y = np.array([1.0, 3.0, 5.0, 7.0])
    >>> policy_value(np.ones(4), arm, y, propensity=np.full(4, 0.5))[0]
    6.0
    """
    scores = _scores(np.asarray(arm, dtype=np.float64), outcome, propensity, expected)
    chosen = np.where(np.asarray(decision) > 0.5, scores[1], scores[0])
    return float(chosen.mean()), chosen - chosen.mean()


def _scores(
    arm: FloatArray,
    y: FloatArray,
    propensity: FloatArray,
    expected: tuple[FloatArray, FloatArray] | None,
) -> tuple[FloatArray, FloatArray]:
    """Return each sample's doubly robust outcome without and with treatment."""
    if ((propensity <= 0) | (propensity >= 1)).any():
        raise InputError("The probability of treatment must lie strictly between 0 and 1.")
    none, some = expected if expected is not None else (np.zeros_like(y), np.zeros_like(y))
    return (
        none + (1 - arm) / (1 - propensity) * (y - none),
        some + arm / propensity * (y - some),
    )


def treatment_rule(
    blocks: Mapping[str, Any],
    treatment: Mapping[str, Any],
    outcome: Outcome,
    *,
    seed: int,
    control: Any = None,
    better: Literal["auto", "higher", "lower"] = "auto",
    confounders: Any = None,
    horizon: float | None = None,
    folds: int = 5,
    repeats: int = 3,
    confidence: float = 0.95,
    executor: Executor | None = None,
    **settings: Any,
) -> RuleResult:
    """Return who would gain from a treatment, and what a rule that treats them is worth.

    Parameters
    ----------
    blocks : mapping of str to table
        Predictors.
    treatment : mapping of sample to arm
        Two arms.
    outcome : Outcome
        Binary, continuous or censored (survival at the horizon is then valued).
    seed : int
        Of the folds.
    control : object or None
        The arm that is the reference; None = the first in order.
    better : {"auto", "higher", "lower"}
        Which values of the outcome are good. "auto": the negative class, or to survive; for a
        continuous outcome it must be said.
    confounders : table or None
        What treatment was chosen by, where it was not randomised.
    horizon : float or None
        For survival; None = median time.
    folds, repeats : int
        Of the cross-validation.
    confidence : float, default 0.95
        Level.
    executor : Executor or None
        Folds and arms are its units of work.
    **settings
        As `radgen.predict.evaluate` takes them (model, selection, groups, …).

    Returns
    -------
    RuleResult
        Values of policies, the gain curve and each sample's expected benefit.

    Raises
    ------
    InputError
        If there are not two arms of enough patients, or `better` is not said.

    References
    ----------
    Kennedy 2023, doi:10.1214/23-EJS2157. Yadlowsky et al. 2025, doi:10.1080/01621459.2024.2393466
    (rank-weighted treatment effects).
    """
    require_choice(better, ("auto", "higher", "lower"), what="better")
    if outcome.kind == "continuous" and better == "auto":
        raise InputError('Say which values are good: better="higher" or "lower".')
    setup = set_up(
        blocks, outcome, seed=seed, folds=folds, repeats=repeats, baselines=False, horizon=horizon,
        **settings,
    )  # fmt: skip
    design = setup.design
    arm, arms = arms_of(treatment, design.samples, control)
    setup = _by_arm(setup, arm, folds=folds, repeats=repeats)
    when = float(setup.common["horizon"]) if design.kind == "censored" else float("nan")
    sign = -1.0 if better == "lower" or (better == "auto" and design.kind == "binary") else 1.0
    y, scale = _valued(design, when, sign)
    expected = _expected(setup, arm, sign, executor)
    chance = _propensity(setup, arm, confounders, arms, seed=seed, executor=executor)
    patients = design.patients
    parts = []
    for repeat in range(len(expected)):
        scores = _scores(arm, y, chance[repeat], expected[repeat])
        parts.append(_Valued(scores, expected[repeat][1] - expected[repeat][0], patients))
    curve, area = _gain_curve(parts, confidence)
    benefit = np.mean([part.benefit for part in parts], axis=0)
    return RuleResult(
        frame=_policies(parts, confidence),
        params=setup.params | {
            "confounders": confounders is not None, "better": better, "confidence": confidence,
            "horizon": when, "control": arms[0],
        },
        n_used=design.n,
        dropped=design.dropped,
        warnings=(*setup.notes, GUARD),
        provenance={"step": "predict.treatment_rule", "version": 1, "seed": seed},
        curve=curve,
        benefits=pl.DataFrame(
            {"sample": list(design.samples), "arm": [arms[int(a)] for a in arm], "benefit": benefit}
        ),
        area=area[0],
        area_low=area[1],
        area_high=area[2],
        area_p=area[3],
        outcome=outcome.name,
        scale=scale,
        arms=arms,
    )  # fmt: skip


def _by_arm(setup: Setup, arm: FloatArray, *, folds: int, repeats: int) -> Setup:
    """Return the setup with folds that are stratified by arm too."""
    strata = np.unique(setup.common["strata"] * 2 + arm.astype(np.int64), return_inverse=True)[
        1
    ].astype(np.int64)
    seed = setup.common["seed"]
    splits = outer_splits(strata, setup.design.patients, folds=folds, repeats=repeats, seed=seed)
    return replace(setup, splits=splits, common={**setup.common, "strata": strata})


def _valued(design: Design, horizon: float, sign: float) -> tuple[FloatArray, str]:
    """Return each sample's outcome, higher = better, and what it is."""
    if design.kind == "censored":
        y = pseudo_values(design.target[:, 0], design.target[:, 1], horizon, of="survival")
        when = f"{horizon:.0f}" if horizon >= _WHOLE else f"{horizon:.3g}"
        return y, f"survival at {when} {design.unit}".rstrip()
    if design.kind == "binary":
        what = f"share {'without' if sign < 0 else 'with'} {design.outcome_name}"
        return (1 - design.target if sign < 0 else design.target), what
    return sign * design.target, design.outcome_name if sign > 0 else f"minus {design.outcome_name}"


def _expected(
    setup: Setup, arm: FloatArray, sign: float, executor: Executor | None
) -> list[tuple[FloatArray, FloatArray]]:
    """Return, for each repeat, out-of-fold expected outcomes without and with treatment."""
    tasks: list[FoldTask] = []
    for task in setup.tasks():
        for level in (0.0, 1.0):
            train = task.split.train[arm[task.split.train] == level]
            _check_arm(setup.design, train)
            split = Split(task.split.repeat, task.split.fold, train, task.split.test)
            tasks.append(replace(task, split=split, plans=setup.plans[-1:]))
    outputs = map_units(run_fold, tasks, executor=executor, what="Models of both arms")
    repeats = 1 + max(task.split.repeat for task in tasks)
    out = [(np.zeros(setup.design.n), np.zeros(setup.design.n)) for _ in range(repeats)]
    for number, found in enumerate(outputs):
        out[found.repeat][number % 2][found.test] = _good(setup, found, sign)
    return out


def _good(setup: Setup, found: FoldOutput, sign: float) -> FloatArray:
    model = found.models[setup.primary]
    if setup.design.kind == "censored":
        return 1 - model.risk
    if setup.design.kind == "binary":
        return 1 - model.score if sign < 0 else model.score
    return sign * model.score


def _check_arm(design: Design, train: NDArray[np.int64]) -> None:
    target = design.target[train]
    if design.kind == "continuous":
        few = len(train) < 10
    else:
        events = target[:, 1] if design.kind == "censored" else target
        rest = len(events) if design.kind == "censored" else len(events) - events.sum()
        few = min(events.sum(), rest) < 5
    if few:
        raise InputError(
            f"An arm has {len(train)} training patients in a fold, too few (or too few events) for "
            "a model of its own."
        )


def _propensity(
    setup: Setup,
    arm: FloatArray,
    confounders: Any,
    arms: tuple[str, str],
    *,
    seed: int,
    executor: Executor | None,
) -> list[FloatArray]:
    """Return, for each repeat, the probability of treatment."""
    repeats = 1 + max(split.repeat for split in setup.splits)
    if confounders is None:
        out = [np.zeros(setup.design.n) for _ in range(repeats)]
        for split in setup.splits:
            out[split.repeat][split.test] = arm[split.train].mean()
        return out
    samples = setup.design.samples
    given = Outcome("treatment", "binary", samples, arm, levels=arms)
    table = read_blocks({"clinical": confounders}, {"clinical": "clinical"})["clinical"]
    matched = align({"design": samples, "confounders": table.samples})
    if matched.n_samples < len(samples):
        lost = sorted(set(samples) - set(matched.samples))
        raise InputError(f"{len(lost)} samples have no row among the confounders: {shown(lost)}.")
    rows = table.values[matched.rows["confounders"]]
    chosen = Covariates(samples, table.columns, rows)
    other = set_up({"clinical": chosen}, given, seed=seed, baselines=False)
    other = replace(other, splits=setup.splits)
    outputs = map_units(run_fold, other.tasks(), executor=executor, what="Chance of treatment")
    out = [np.zeros(setup.design.n) for _ in range(repeats)]
    for found in outputs:
        score = found.models[other.primary].score
        out[found.repeat][found.test] = np.clip(score, 0.05, 0.95)
    return out


@dataclass(frozen=True, eq=False)
class _Valued:
    """One repeat: doubly robust outcomes, expected benefit, patients."""

    scores: tuple[FloatArray, FloatArray]
    benefit: FloatArray
    patients: NDArray[np.int64]

    def error(self, influence: FloatArray) -> float:
        """Return the standard error of a mean whose parts are `influence` / n."""
        summed = np.bincount(self.patients, weights=influence / len(influence))
        g = len(summed)
        return float(np.sqrt((summed**2).sum() * g / max(g - 1, 1)))


def _mean(
    parts: list[_Valued], values: list[FloatArray], confidence: float
) -> tuple[float, float, float, float, float]:
    """Return mean, error, limits and p of per-sample values, averaged over repeats."""
    z = float(ndtri(0.5 + confidence / 2))
    mean = float(np.mean([value.mean() for value in values]))
    pairs = zip(parts, values, strict=True)
    error = float(np.sqrt(np.mean([part.error(v - v.mean()) ** 2 for part, v in pairs])))
    p = float(2 * ndtr(-abs(mean) / error)) if error > 0 else 1.0
    return mean, error, mean - z * error, mean + z * error, p


def _policies(parts: list[_Valued], confidence: float) -> pl.DataFrame:
    rule = [np.where(p.benefit > 0, p.scores[1], p.scores[0]) for p in parts]
    share = float(np.mean([(p.benefit > 0).mean() for p in parts]))
    rows = []
    for name, treated, values in (
        ("treat nobody", 0.0, [p.scores[0] for p in parts]),
        ("treat everybody", 1.0, [p.scores[1] for p in parts]),
        ("rule", share, rule),
    ):
        value, error, low, high, _ = _mean(parts, values, confidence)
        gaps = [a - b for a, b in zip(rule, values, strict=True)]
        gain, _, gain_low, gain_high, p = _mean(parts, gaps, confidence)
        rows.append((name, treated, value, error, low, high, gain, gain_low, gain_high, p))
    names = ["policy", "treated", "value", "std_error", "ci_low", "ci_high"]
    names += ["gain", "gain_low", "gain_high", "gain_p"]
    kinds = [pl.String, *[pl.Float64] * 9]
    return pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True)), orient="row")


def _gain_curve(
    parts: list[_Valued], confidence: float
) -> tuple[pl.DataFrame, tuple[float, float, float, float]]:
    shares = np.round(np.arange(0.05, 1.0001, 0.05), 2)
    effect = [part.scores[1] - part.scores[0] for part in parts]
    ranks = [_ranks(part.benefit) for part in parts]
    overall = float(np.mean([e.mean() for e in effect]))
    rows = []
    for share in shares:
        chosen = [
            np.where(rank >= 1 - share, e, 0.0) for rank, e in zip(ranks, effect, strict=True)
        ]
        gain, _, low, high, _ = _mean(parts, chosen, confidence)
        rows.append((float(share), gain, low, high, float(share) * overall))
    # Area between curve and random line: treatment effects weighted by centred ranks.
    weighted = [
        (rank - rank.mean()) * (e - e.mean()) for rank, e in zip(ranks, effect, strict=True)
    ]
    area, _, low, high, p = _mean(parts, weighted, confidence)
    names = ("share", "gain", "ci_low", "ci_high", "random")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")
    return frame, (area, low, high, p)


def _ranks(values: FloatArray) -> FloatArray:
    """Return ranks between 0 and 1, ties shared."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    return np.asarray((middle[place] - 0.5) / len(values), dtype=np.float64)
