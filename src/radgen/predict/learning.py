"""Learning curve: how a model would do with fewer patients, and whether more would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import map_units
from radgen._core.rng import spawn
from radgen.errors import InputError
from radgen.predict._words import repeated
from radgen.predict.engine import FoldTask, run_fold
from radgen.predict.planning import Setup, set_up
from radgen.predict.result import MAIN_METRIC, METRIC_WORDS
from radgen.predict.scores import estimates, interval, paired
from radgen.predict.tables import by_repeat
from radgen.types import Outcome, Result

__all__ = ["LearningCurve", "learning_curve"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LearningCurve(Result):
    """Performance against the number of training patients.

    Attributes
    ----------
    frame : polars.DataFrame
        ``share, n_train, estimate, ci_low, ci_high, gain, gain_low, gain_high``: the gain is that
        over the size before, on the same test patients.
    outcome, metric, model : str
    """

    kind: ClassVar[str] = "learning_curve"
    plots: ClassVar[tuple[str, ...]] = ("curve",)

    outcome: str = ""
    metric: str = "auc"
    model: str = ""

    def statements(self) -> tuple[str, ...]:
        """Return whether the curve still rises."""
        last = self.frame.row(-1, named=True)
        before = self.frame.row(-2, named=True)
        word = METRIC_WORDS[self.metric]
        text = (
            f"{word} of {self.outcome} with {before['n_train']:.0f} training patients "
            f"{before['estimate']:.2f}, with {last['n_train']:.0f} {last['estimate']:.2f}: gain "
            f"{last['gain']:+.3f} ({last['gain_low']:+.3f} to {last['gain_high']:+.3f})"
        )
        if last["gain_low"] > 0:
            return (f"{text}. The curve still rises: more patients would help.",)
        return (f"{text}. No evidence that more patients would help.",)

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        shares = ", ".join(f"{share:.0%}" for share in p["shares"])
        return (
            f"The model of {self.outcome} was trained on {shares} of the training patients of each "
            f"of {p['folds']} folds, {repeated(p)}drawn by class; test patients "
            "were the same for all sizes. Each size was tuned by itself."
        )

    def plot(self, kind: str, *, ax: Any = None) -> Any:
        """Draw the "curve" and return the Axes."""
        if kind not in self.plots:
            raise InputError(f"A learning curve has no plot {kind!r}; it has {self.plots}.")
        from radgen.plot import style

        ax = style.axes(5, 4) if ax is None else ax
        n, ink = self.frame["n_train"].to_numpy(), style.colour(0)
        low, high = self.frame["ci_low"], self.frame["ci_high"]
        ax.fill_between(n, low, high, color=ink, alpha=0.15, linewidth=0)
        ax.plot(n, self.frame["estimate"], "o-", color=ink)
        ax.axhline(0.0 if self.metric == "r2" else 0.5, color="0.4", linestyle="--", linewidth=1)
        ylabel = METRIC_WORDS[self.metric]
        return style.dress(ax, xlabel="Training patients", ylabel=ylabel, grid="y")


def learning_curve(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    seed: int,
    shares: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    executor: Executor | None = None,
    confidence: float = 0.95,
    **settings: Any,
) -> LearningCurve:
    """Return performance of the fullest model for growing numbers of training patients.

    Parameters
    ----------
    blocks, outcome, seed
        As in `radgen.predict.evaluate`.
    shares : sequence of float, default (0.25, 0.5, 0.75, 1)
        Of the training patients of each fold, ascending; smaller ones are within larger ones.
    executor : Executor or None
        Folds and sizes are its units of work.
    confidence : float, default 0.95
        Level.
    **settings
        As `radgen.predict.evaluate` takes them (model, selection, folds, repeats, …).

    Returns
    -------
    LearningCurve
        A row a size.

    Raises
    ------
    InputError
        If shares are not ascending within (0, 1], or the smallest leaves one class only.
    """
    sizes = [float(share) for share in shares]
    if len(sizes) < 2 or sizes != sorted(set(sizes)) or sizes[0] <= 0 or sizes[-1] > 1:
        raise InputError("Shares are two or more, ascending, above 0 and at most 1.")
    setup = set_up(blocks, outcome, seed=seed, baselines=False, **settings)
    tasks = [_smaller(setup, task, share) for share in sizes for task in setup.tasks()]
    outputs = map_units(run_fold, tasks, executor=executor, what="Learning curve")
    per = len(setup.splits)
    design, metric = setup.design, MAIN_METRIC[setup.design.kind]
    rows = []
    before = None
    for number, share in enumerate(sizes):
        part = outputs[number * per : (number + 1) * per]
        done = tasks[number * per : (number + 1) * per]
        n_train = np.mean([len(np.unique(design.patients[t.split.train])) for t in done])
        ratio = float(np.mean([len(t.split.test) / len(t.split.train) for t in done]))
        folds = by_repeat(part, setup.primary, design.n)
        found = estimates(design.kind, design.target, folds)[metric]
        units = design.n_events
        units = min(units, design.n - units) if design.kind == "binary" else units
        options: dict[str, Any] = {"confidence": confidence, "ratio": ratio}
        _, low, high = interval(metric, found, design.patients, units=units, **options)
        gain = (float("nan"),) * 3
        if before is not None:
            gap = paired(metric, found, before, design.patients, **options)
            gain = (gap[0], gap[2], gap[3])
        rows.append((share, float(n_train), found.value, low, high, *gain))
        before = found
    names = ("share", "n_train", "estimate", "ci_low", "ci_high", "gain", "gain_low", "gain_high")
    return LearningCurve(
        frame=pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row"),
        params=setup.params | {"shares": sizes, "confidence": confidence},
        n_used=design.n,
        dropped=design.dropped,
        warnings=tuple(setup.notes),
        provenance={"step": "predict.learning_curve", "version": 1, "seed": seed},
        outcome=outcome.name,
        metric=metric,
        model=setup.primary,
    )


def _smaller(setup: Setup, task: FoldTask, share: float) -> FoldTask:
    """Return the task with a share of its training patients, drawn by stratum."""
    plans = tuple(plan for plan in task.plans if plan.name == setup.primary)
    split = task.split
    rng = spawn(task.seed, "learning curve", split.repeat, split.fold)
    train = split.train
    patients, first = np.unique(task.patients[train], return_index=True)
    strata = task.strata[train][first]
    keep: list[int] = []
    for level in np.unique(strata):
        own = patients[strata == level]
        wanted = max(round(share * len(own)), min(2, len(own)))
        keep += rng.permutation(own)[:wanted].tolist()
    rows = train[np.isin(task.patients[train], keep)]
    return replace(task, plans=plans, split=replace(split, train=rows))
