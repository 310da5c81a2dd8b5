"""Many outcomes from the same predictors, with multiplicity under control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from scipy.special import ndtr

from radgen._core.blocks import map_units
from radgen._core.naming import require_choice
from radgen._core.rng import derive_seed, spawn
from radgen.errors import AlignmentError, FitError, InputError, shown
from radgen.predict._words import repeated
from radgen.predict.engine import run_fold
from radgen.predict.evaluation import evaluate
from radgen.predict.planning import set_up
from radgen.predict.result import CHANCE, MAIN_METRIC, METRIC_WORDS, PredictionResult
from radgen.predict.scores import estimates, interval
from radgen.predict.tables import by_repeat
from radgen.stats.multiplicity import bh, holm
from radgen.types import Outcome, Result

__all__ = ["TargetsResult", "evaluate_targets"]


def _frame() -> pl.DataFrame:
    return pl.DataFrame()


@dataclass(frozen=True, eq=False)
class TargetsResult(Result):
    """Many targets: the fullest model of each, with p adjusted over targets.

    Attributes
    ----------
    frame : polars.DataFrame
        ``target, kind, n, events, metric, estimate, ci_low, ci_high, p_value, p_adjusted, found,
        detectable, reason``: p is one-sided (better than chance); `found` where the adjusted p is
        at most `alpha`; a target that could not be modelled has a reason and no numbers.
    models : polars.DataFrame
        The comparison tables of all targets: ``target`` and the columns of
        `radgen.predict.PredictionResult`.
    differences : polars.DataFrame
        Paired differences of all targets.
    alpha : float
        Family-wise error rate.
    """

    kind: ClassVar[str] = "targets"
    plots: ClassVar[tuple[str, ...]] = ("targets",)

    models: pl.DataFrame = field(default_factory=_frame)
    differences: pl.DataFrame = field(default_factory=_frame)
    alpha: float = 0.05

    def statements(self) -> tuple[str, ...]:
        """Return what can be predicted, and what cannot."""
        rows = self.frame.filter(pl.col("reason") == "")
        found, rest = rows.filter(pl.col("found")), rows.filter(~pl.col("found"))
        out = []
        for row in found.sort("p_adjusted").iter_rows(named=True):
            out.append(f"Evidence that {row['target']} can be predicted: {_text(row)}.")
        if rest.height:
            best = rest.sort("p_value").row(0, named=True)
            out.append(
                f"No evidence for {rest.height} of {rows.height} targets "
                f"({shown(rest['target'].to_list())}), nearest {best['target']}: {_text(best)}."
            )
        lost = self.frame.filter(pl.col("reason") != "")
        for row in lost.iter_rows(named=True):
            out.append(f"{row['target']} could not be modelled: {row['reason']}")
        return tuple(out)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        how = {
            "holm": "by Holm's method",
            "bh": "by Benjamini and Hochberg (false discovery rate)",
            "max-t": f"by the largest statistic of {p['permutations']} permutations of the "
            "patients through the whole pipeline, all targets together",
        }[p["correction"]]
        return (
            f"{self.frame.height} targets were modelled from the same predictors, each by "
            f"{repeated(p)}{p['folds']}-fold nested cross-validation; one-sided "
            f"p of better than chance were adjusted over targets {how}."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "targets" with their intervals and return the Axes."""
        if kind not in self.plots:
            raise InputError(f"A targets result has no plot {kind!r}; it has {self.plots}.")
        from radgen import plot

        rows = self.frame.filter(pl.col("reason") == "")
        return plot.forest(
            rows["target"].to_list(), rows["estimate"], rows["ci_low"], rows["ci_high"],
            null=CHANCE.get(rows["metric"][0], 0.5), xlabel="AUC, C or R² (95 % interval)", ax=ax,
        )  # fmt: skip


def _text(row: Mapping[str, Any]) -> str:
    word = METRIC_WORDS[row["metric"]]
    return (
        f"{word} {row['estimate']:.2f} ({row['ci_low']:.2f}–{row['ci_high']:.2f}), adjusted p "
        f"{row['p_adjusted']:.2g}, n = {row['n']}"
    )


def evaluate_targets(
    blocks: Mapping[str, Any],
    outcomes: Sequence[Outcome],
    *,
    seed: int,
    correction: Literal["holm", "bh", "max-t"] = "holm",
    permutations: int = 0,
    alpha: float = 0.05,
    executor: Executor | None = None,
    **settings: Any,
) -> TargetsResult:
    """Return how well the same predictors predict each of many outcomes.

    Parameters
    ----------
    blocks : mapping of str to table
        As in `radgen.predict.evaluate`.
    outcomes : sequence of Outcome
        Binary, censored or continuous, of different names; samples may differ.
    seed : int
        Of all folds and permutations.
    correction : {"holm", "bh", "max-t"}
        Family-wise error by Holm, false discovery rate, or family-wise error by the permutation
        distribution of the largest statistic, which uses the correlation of the targets.
    permutations : int, default 0
        For "max-t"; each runs the whole pipeline for every target.
    alpha : float, default 0.05
        Level at which a target counts as found.
    executor : Executor or None
        Folds are its units of work.
    **settings
        As `radgen.predict.evaluate` takes them, but for `permutations`.

    Returns
    -------
    TargetsResult
        A row a target. One that cannot be modelled does not stop the others.

    Raises
    ------
    InputError
        If there is no outcome, names repeat, or "max-t" is asked for without permutations.

    Notes
    -----
    Without permutations p comes from the distance to chance in standard errors that are doubled
    in variance there (see `radgen.predict.evaluate`): it is conservative.

    References
    ----------
    Westfall & Young 1993 (max-T). Kickingereder et al. 2016, doi:10.1148/radiol.2016161382.
    """
    require_choice(correction, ("holm", "bh", "max-t"), what="correction")
    names = [item.name for item in outcomes]
    if not names or len(set(names)) < len(names):
        raise InputError("Needed are one or more outcomes of different names.")
    if correction == "max-t" and permutations < 1:
        raise InputError("max-t needs permutations: 200 or more.")
    rows: list[dict[str, Any]] = []
    results: dict[str, PredictionResult] = {}
    for item in outcomes:
        try:
            results[item.name] = evaluate(
                blocks, item, seed=derive_seed(seed, "target", item.name) % 2**32,
                executor=executor, **settings,
            )  # fmt: skip
        except (InputError, AlignmentError, FitError) as error:
            rows.append(_lost(item, " ".join(str(error).split())))
            continue
        rows.append(_row(item, results[item.name]))
    if not results:
        raise InputError(f"No target could be modelled. The first: {rows[0]['reason']}")
    frame = _adjusted(pl.DataFrame(rows, schema=_SCHEMA), correction)
    if correction == "max-t":
        known = [item for item in outcomes if item.name in results]
        used = {s for item in results.values() for s in item.predictions["sample"].to_list()}
        options = {"seed": seed, "permutations": permutations, "executor": executor}
        largest = _largest(blocks, known, sorted(used), settings, **options)
        frame = _by_largest(frame, largest)
    frame = frame.with_columns(found=pl.col("p_adjusted").fill_null(1.0) <= alpha).drop("z")
    first = next(iter(results.values()))
    return TargetsResult(
        frame=frame.select(*_ORDER),
        params={**first.params, "correction": correction, "permutations": permutations,
                "alpha": alpha, "seed": seed},
        n_used=max(item.n_used for item in results.values()),
        warnings=tuple(f"{k}: {text}" for k, v in results.items() for text in v.warnings),
        provenance={"step": "predict.evaluate_targets", "version": 1, "seed": seed},
        models=pl.concat([_named(name, item.frame) for name, item in results.items()]),
        differences=pl.concat([_named(name, item.differences) for name, item in results.items()]),
        alpha=alpha,
    )  # fmt: skip


_SCHEMA = {
    "target": pl.String, "kind": pl.String, "n": pl.Int64, "events": pl.Int64,
    "metric": pl.String, "estimate": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64,
    "z": pl.Float64, "p_value": pl.Float64, "detectable": pl.Float64, "reason": pl.String,
}  # fmt: skip
_ORDER = (
    "target", "kind", "n", "events", "metric", "estimate", "ci_low", "ci_high", "p_value",
    "p_adjusted", "found", "detectable", "reason",
)  # fmt: skip


def _named(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.lit(name).alias("target"), pl.all())


def _lost(item: Outcome, reason: str) -> dict[str, Any]:
    return {"target": item.name, "kind": item.kind, "reason": reason}


def _row(item: Outcome, result: PredictionResult) -> dict[str, Any]:
    row = result.estimate(result.primary)
    metric = result.main_metric
    null = CHANCE[metric]
    z = (row["estimate"] - null) / row["std_error"] if row["std_error"] > 0 else float("nan")
    kept = ("n", "events", "estimate", "ci_low", "ci_high")
    return {
        "target": item.name, "kind": item.kind, "metric": metric, "z": z,
        "p_value": float(ndtr(-z)), "detectable": result.detectable, "reason": "",
        **{name: row[name] for name in kept},
    }  # fmt: skip


def _adjusted(frame: pl.DataFrame, correction: str) -> pl.DataFrame:
    p = frame["p_value"].fill_null(np.nan).to_numpy()
    adjust = bh if correction == "bh" else holm
    return frame.with_columns(p_adjusted=pl.Series(adjust(p)).fill_nan(None))


def _by_largest(frame: pl.DataFrame, largest: np.ndarray[Any, Any]) -> pl.DataFrame:
    z = frame["z"].fill_null(np.nan).to_numpy()
    beaten = (largest[None, :] >= z[:, None] - 1e-12).sum(axis=1)
    p = np.where(np.isfinite(z), (beaten + 1) / (len(largest) + 1), np.nan)
    return frame.with_columns(p_adjusted=pl.Series(p).fill_nan(None))


def _largest(
    blocks: Mapping[str, Any],
    outcomes: Sequence[Outcome],
    everyone: Sequence[str],
    settings: Mapping[str, Any],
    *,
    seed: int,
    permutations: int,
    executor: Executor | None,
) -> np.ndarray[Any, Any]:
    """Return the largest z over targets of each permutation of the patients."""
    plain = {
        k: v
        for k, v in settings.items()
        if k not in ("bootstrap", "confidence", "baselines", "abstain")
    }
    groups = settings.get("groups") or {}
    out = np.empty(permutations)
    for number in range(permutations):
        moved = _moved(everyone, groups, spawn(seed, "targets permutation", number))
        setups = []
        for item in outcomes:
            other = replace(
                item, samples=tuple(moved.get(sample, sample) for sample in item.samples)
            )
            own = derive_seed(seed, "target", item.name, number) % 2**32
            setups.append(set_up(blocks, other, seed=own, baselines=False, **plain))
        tasks = [task for setup in setups for task in setup.tasks()]
        outputs = map_units(run_fold, tasks, executor=executor, what="Permuting")
        start, best = 0, -np.inf
        for setup in setups:
            part = outputs[start : start + len(setup.splits)]
            start += len(setup.splits)
            best = max(best, _z(setup, part))
        out[number] = best
    return out


def _moved(
    samples: Sequence[str], groups: Mapping[str, str], rng: np.random.Generator
) -> dict[str, str]:
    """Return a permutation of samples that keeps those of a patient together, by size."""
    own: dict[str, list[str]] = {}
    for sample in samples:
        own.setdefault(str(groups.get(sample, sample)), []).append(sample)
    out: dict[str, str] = {}
    for size in {len(items) for items in own.values()}:
        same = [items for items in own.values() if len(items) == size]
        for here, there in zip(same, rng.permutation(len(same)), strict=True):
            out |= dict(zip(here, same[int(there)], strict=True))
    return out


def _z(setup: Any, outputs: Sequence[Any]) -> float:
    design = setup.design
    metric = MAIN_METRIC[design.kind]
    folds = by_repeat(outputs, setup.primary, design.n)
    found = estimates(design.kind, design.target, folds)[metric]
    ratio = float(np.mean([len(item.test) / (design.n - len(item.test)) for item in outputs]))
    error, *_ = interval(
        metric, found, design.patients, units=design.n_events, confidence=0.95, ratio=ratio
    )
    return (found.value - CHANCE[metric]) / error if error > 0 else -np.inf
