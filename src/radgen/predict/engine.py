"""One outer fold: everything that learns is fitted here, on rows that are written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from radgen._core.rng import derive_seed, spawn
from radgen.predict.design import Block
from radgen.predict.learners import Fitted, Learner, loss
from radgen.predict.preprocess import block_steps
from radgen.predict.splits import Split, group_folds
from radgen.stats.cox import RiskSets
from radgen.stats.discrimination import youden_threshold
from radgen.stats.survival_metrics import brier_contributions, censoring_curve

__all__ = [
    "FitRecord",
    "FoldOutput",
    "FoldTask",
    "FullFit",
    "ModelPlan",
    "Prepared",
    "fit_all",
    "run_fold",
]

FloatArray = NDArray[np.float64]
Rows = NDArray[np.int64]
InnerPart = tuple[Rows, Rows, dict[str, tuple[FloatArray, FloatArray]]]


@dataclass(frozen=True)
class ModelPlan:
    """A model of the comparison: its name and the blocks it sees (none = no information)."""

    name: str
    blocks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FoldTask:
    """All that one fold needs, picklable, so that any executor can run it."""

    split: Split
    blocks: tuple[Block, ...]
    target: FloatArray
    kind: str
    patients: Rows
    strata: Rows
    sites: tuple[str, ...] | None
    plans: tuple[ModelPlan, ...]
    learner: Learner
    selection: Any
    n_selected: int
    harmoniser: Any
    inner_folds: int
    seed: int
    times: FloatArray
    horizon: float


@dataclass(frozen=True, eq=False)
class FitRecord:
    """One call of ``fit``: what was fitted, at which level, on which rows."""

    level: str
    fitted: str
    target: str
    rows: Rows


@dataclass(eq=False)
class ModelOutput:
    """Predictions of one model for the test rows of the fold."""

    score: FloatArray
    decision: NDArray[np.bool_]
    threshold: float
    setting: str
    brier: FloatArray
    risk: FloatArray


@dataclass(eq=False)
class FoldOutput:
    """What comes back from a fold."""

    repeat: int
    fold: int
    test: Rows
    models: dict[str, ModelOutput] = field(default_factory=dict)
    log: list[FitRecord] = field(default_factory=list)


@dataclass(eq=False)
class Prepared:
    """Fitted steps of one block."""

    block: str
    steps: list[tuple[str, Any]]

    def transform(self, values: FloatArray, sites: NDArray[Any] | None) -> FloatArray:
        """Return the block's values as the model sees them."""
        for name, step in self.steps:
            if name == "harmonise":
                values = np.asarray(step.transform(values, batch=sites))
            else:
                values = np.asarray(step.transform(values))
        return values

    def used(self, n_columns: int) -> NDArray[np.bool_]:
        """Return which of the block's columns reach the model, bool (n_columns,)."""
        at = np.arange(n_columns)
        for _, step in self.steps:
            if hasattr(step, "get_support"):
                at = at[step.get_support()]
        out = np.zeros(n_columns, dtype=bool)
        out[at] = True
        return out


def fit_block(
    block: Block,
    rows: Rows,
    task: FoldTask,
    log: list[FitRecord],
    level: str,
) -> tuple[Prepared, FloatArray]:
    """Return the fitted steps of a block and its transformed training rows."""
    values = block.values[rows]
    target = task.target[rows]
    sites = None if task.sites is None else np.array(task.sites, dtype=object)[rows]
    fitted: list[tuple[str, Any]] = []
    for name, step in block_steps(block, selection=task.selection, n_selected=task.n_selected):
        if name == "harmonise":
            if task.harmoniser is None:
                continue
            step = clone(task.harmoniser).fit(values, target_or_none(target), batch=sites)
            values = np.asarray(step.transform(values, batch=sites))
        else:
            step = step.fit(values, target)
            values = np.asarray(step.transform(values))
        fitted.append((name, step))
        log.append(FitRecord(level, name, block.name, rows))
    return Prepared(block.name, fitted), values


def target_or_none(target: FloatArray) -> FloatArray | None:
    """Return the target where a one-dimensional one exists."""
    return target if target.ndim == 1 else None


def _prepare(
    task: FoldTask, rows: Rows, test: Rows, log: list[FitRecord], level: str
) -> dict[str, tuple[FloatArray, FloatArray]]:
    needed = {name for plan in task.plans for name in plan.blocks}
    sites = None if task.sites is None else np.array(task.sites, dtype=object)[test]
    out = {}
    for block in task.blocks:
        if block.name in needed:
            prepared, train_values = fit_block(block, rows, task, log, level)
            out[block.name] = train_values, prepared.transform(block.values[test], sites)
    return out


def _joined(
    prepared: dict[str, tuple[FloatArray, FloatArray]], plan: ModelPlan, part: int
) -> FloatArray:
    return np.hstack([prepared[name][part] for name in plan.blocks])


def run_fold(task: FoldTask) -> FoldOutput:
    """Return predictions for the test rows of one fold, and the log of all fits.

    Inner folds of the training rows choose the setting of each model and the decision
    threshold; preprocessing is refitted in each of them, once for all models and settings.
    """
    from threadpoolctl import threadpool_limits

    split = task.split
    out = FoldOutput(split.repeat, split.fold, split.test)
    with threadpool_limits(limits=1):
        inner = _prepare_inner(task, out.log)
        outer = _prepare(task, split.train, split.test, out.log, "outer")
        for plan in task.plans:
            out.models[plan.name] = _run_model(task, plan, inner, outer, out.log)
    return out


def _prepare_inner(task: FoldTask, log: list[FitRecord]) -> list[InnerPart]:
    return [
        (rows, held, _prepare(task, rows, held, log, f"inner {k}"))
        for k, (rows, held) in enumerate(_inner(task))
    ]


@dataclass(frozen=True, eq=False)
class FullFit:
    """A model fitted to all training rows: steps of each block, model, threshold, baseline."""

    steps: dict[str, Prepared]
    model: Fitted | None
    threshold: float
    setting: str
    on_train: FloatArray
    log: list[FitRecord]


def fit_all(task: FoldTask) -> FullFit:
    """Return the last plan of the task fitted to all its training rows."""
    from threadpoolctl import threadpool_limits

    plan, log, rows = task.plans[-1], list[FitRecord](), task.split.train
    with threadpool_limits(limits=1):
        inner = _prepare_inner(task, log)
        chosen, held = _choose(task, plan, inner, log)
        steps, parts = {}, []
        for name in plan.blocks:
            block = next(item for item in task.blocks if item.name == name)
            steps[name], values = fit_block(block, rows, task, log, "all")
            parts.append(values)
        x = np.hstack(parts)
        seed = derive_seed(task.seed, "fit", plan.name, "all rows")
        model = task.learner.fit(x, task.target[rows], np.array([chosen]), seed)[0]
        on_train = model.predict(x)
    threshold = _threshold(task, held, on_train)
    log.append(FitRecord("all", "model", plan.name, rows))
    return FullFit(steps, model, threshold, task.learner.settings[chosen], on_train, log)


def _inner(task: FoldTask) -> list[tuple[Rows, Rows]]:
    train = task.split.train
    patients = task.patients[train]
    n_folds = min(task.inner_folds, len(np.unique(patients)))
    if n_folds < 2:
        return []
    rng = spawn(task.seed, "inner folds", task.split.repeat, task.split.fold)
    strata = np.unique(task.strata[train], return_inverse=True)[1].astype(np.int64)
    fold = group_folds(strata, patients, n_folds, rng)
    parts = [(train[fold != k], train[fold == k]) for k in range(n_folds)]
    return [part for part in parts if _usable(task, part[0])]


def _usable(task: FoldTask, rows: Rows) -> bool:
    target = task.target[rows]
    if task.kind == "binary":
        return 0 < target.sum() < len(target)
    return task.kind == "continuous" or bool(target[:, 1].sum() >= 2)


def _run_model(
    task: FoldTask,
    plan: ModelPlan,
    inner: Sequence[InnerPart],
    outer: dict[str, tuple[FloatArray, FloatArray]],
    log: list[FitRecord],
) -> ModelOutput:
    split = task.split
    train_target = task.target[split.train]
    if not plan.blocks:
        log.append(FitRecord("outer", "mean of the outcome", plan.name, split.train))
        level = 0.0 if task.kind == "censored" else float(train_target.mean())
        return _output(
            task,
            np.full(len(split.train), level),
            np.full(len(split.test), level),
            np.inf if task.kind == "binary" else level,
            "",
        )
    chosen, held_out = _choose(task, plan, inner, log)
    seed = derive_seed(task.seed, "fit", plan.name, split.repeat, split.fold)
    x_train = _joined(outer, plan, 0)
    fitted = task.learner.fit(x_train, train_target, np.array([chosen]), seed)[0]
    log.append(FitRecord("outer", "model", plan.name, split.train))
    on_train = fitted.predict(x_train)
    threshold = _threshold(task, held_out, on_train)
    score = fitted.predict(_joined(outer, plan, 1))
    return _output(task, on_train, score, threshold, task.learner.settings[chosen])


def _choose(
    task: FoldTask,
    plan: ModelPlan,
    inner: Sequence[InnerPart],
    log: list[FitRecord],
) -> tuple[int, tuple[FloatArray, FloatArray] | None]:
    settings = np.arange(len(task.learner.settings))
    if not inner:
        return len(settings) // 2, None
    total, weight = np.zeros(len(settings)), 0.0
    held_target: list[FloatArray] = []
    held_score: list[FloatArray] = []
    for k, (rows, held, prepared) in enumerate(inner):
        seed = derive_seed(task.seed, "inner fit", plan.name, task.split.repeat, task.split.fold, k)
        fits: list[Fitted] = task.learner.fit(
            _joined(prepared, plan, 0), task.target[rows], settings, seed
        )
        log.append(FitRecord(f"inner {k}", "model", plan.name, rows))
        x_held = _joined(prepared, plan, 1)
        predicted = np.array([fit.predict(x_held) for fit in fits])
        y_held = task.target[held]
        total += len(held) * np.array([loss(task.kind, y_held, row) for row in predicted])
        weight += len(held)
        held_target.append(y_held)
        held_score.append(predicted)
    mean = total / weight
    best = int(np.argmin(np.round(mean, 10)))
    scores = np.concatenate([item[best] for item in held_score])
    return best, (np.concatenate(held_target), scores)


def _threshold(
    task: FoldTask, held: tuple[FloatArray, FloatArray] | None, on_train: FloatArray
) -> float:
    if task.kind != "binary":
        return float(np.median(on_train))
    if held is None or len(np.unique(held[0])) < 2:
        return float(task.target[task.split.train].mean())
    return youden_threshold(held[0], held[1])


def _output(
    task: FoldTask, on_train: FloatArray, score: FloatArray, threshold: float, setting: str
) -> ModelOutput:
    n = len(score)
    brier, risk = np.full(n, np.nan), np.full(n, np.nan)
    if task.kind == "censored":
        brier, risk = _survival_loss(task, on_train, score)
    return ModelOutput(score, score >= threshold, threshold, setting, brier, risk)


def _survival_loss(
    task: FoldTask, on_train: FloatArray, score: FloatArray
) -> tuple[FloatArray, FloatArray]:
    train, test = task.target[task.split.train], task.target[task.split.test]
    time, event = train[:, 0], train[:, 1] > 0.5
    sets = RiskSets(time, event, np.ones(len(time)), None, "efron")
    center = float(on_train.mean())
    hazard = np.concatenate(([0.0], sets.hazard(np.clip(on_train - center, -300, 300))))
    relative = np.exp(np.clip(score - center, -300, 300))
    grid = np.append(task.times, task.horizon)
    cumulative = hazard[np.searchsorted(sets.times, grid, side="right")]
    survival = np.exp(-relative[:, None] * cumulative)
    curve = censoring_curve(time, event)
    parts = brier_contributions(
        test[:, 0], test[:, 1] > 0.5, survival[:, :-1], task.times, censoring=curve
    )
    width = np.diff(task.times)
    if len(width) == 0:
        return parts[:, 0], 1 - survival[:, -1]
    area = (parts[:, 1:] + parts[:, :-1]) @ width / 2 / width.sum()
    return area, 1 - survival[:, -1]
