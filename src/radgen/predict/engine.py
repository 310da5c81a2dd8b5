"""One outer fold: everything that learns is fitted here, on rows that are written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.rng import derive_seed, spawn
from radgen._core.threads import one_blas_thread
from radgen.errors import InputError
from radgen.predict.acquisition import Acquisition
from radgen.predict.design import Block
from radgen.predict.fusion import Fusion, Held, PlanFit, fuse
from radgen.predict.learners import Fitted, Learner, LinearFit, Part, fitted_to, loss
from radgen.predict.preprocess import block_steps
from radgen.predict.reliable import BlockRepeats
from radgen.predict.selection.invariant import InvariantSelector
from radgen.predict.splits import Split, group_folds
from radgen.stats.conformal import class_p_values
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
    """A model of the comparison: its name and the blocks it sees (none = no information).

    `fusion` says how several blocks are joined: "early" (one model of all columns), "stacked" (a
    model of the blocks' held-out scores) or "vote" (of the blocks' decisions).
    """

    name: str
    blocks: tuple[str, ...]
    fusion: Fusion = "early"


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
    place: Acquisition | None = None
    repeats: Mapping[str, BlockRepeats] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FitRecord:
    """One call of ``fit``: what was fitted, at which level, on which rows.

    `inputs` are the blocks that went in, `fits` the number of settings, `seconds` their time.
    """

    level: str
    fitted: str
    target: str
    rows: Rows
    inputs: str = ""
    fits: int = 1
    seconds: float = 0.0


@dataclass(eq=False)
class ModelOutput:
    """Predictions of one model for the test rows of the fold."""

    score: FloatArray
    decision: NDArray[np.bool_]
    threshold: float
    setting: str
    brier: FloatArray
    risk: FloatArray
    rank: FloatArray
    p_class: FloatArray


@dataclass(eq=False)
class FoldOutput:
    """What comes back from a fold; `spared`: level, step, blocks, number of fits spared."""

    repeat: int
    fold: int
    test: Rows
    models: dict[str, ModelOutput] = field(default_factory=dict)
    log: list[FitRecord] = field(default_factory=list)
    spared: list[tuple[str, str, str, int]] = field(default_factory=list)


@dataclass(eq=False)
class Prepared:
    """Fitted steps of one block."""

    block: str
    steps: list[tuple[str, Any]]

    def transform(self, values: FloatArray, place: Acquisition | None) -> FloatArray:
        """Return the block's values as the model sees them.

        Raises
        ------
        InputError
            If sites were harmonised in training and none are given.
        """
        for name, step in self.steps:
            if name == "harmonise":
                if place is None:
                    raise InputError("This model harmonises sites: pass the site of each sample.")
                values = place.apply(step, values)
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
    """Return the fitted steps of a block and all its training rows, transformed.

    Rows that have nothing in this block do not train its steps.
    """
    everyone, rows = rows, _with_data(task, rows, (block,))
    values = block.values[rows]
    target = task.target[rows]
    repeats = task.repeats.get(block.name)
    fitted: list[tuple[str, Any]] = []
    steps = block_steps(
        block,
        selection=task.selection,
        n_selected=task.n_selected,
        harmonised=task.harmoniser is not None,
        reliable=None if repeats is None else repeats.filter_for(task.patients[rows]),
    )
    for name, step in steps:
        clock = process_time()
        if name == "harmonise":
            if task.harmoniser is None or task.place is None:
                continue
            own = task.place.take(rows)
            step = own.fit(task.harmoniser, values, target)
            values = own.apply(step, values)
        else:
            step = _fitted(step, values, target, task, rows)
            values = np.asarray(step.transform(values))
        fitted.append((name, step))
        took = process_time() - clock
        log.append(FitRecord(level, name, block.name, rows, block.name, 1, took))
    done = Prepared(block.name, fitted)
    if len(rows) < len(everyone):
        values = done.transform(block.values[everyone], _place(task, everyone))
    return done, values


def _fitted(step: Any, values: FloatArray, target: FloatArray, task: FoldTask, rows: Rows) -> Any:
    if isinstance(step, InvariantSelector):
        sites = None if task.sites is None else np.array(task.sites, dtype=object)[rows]
        return step.fit(values, target, environments=sites)
    return step.fit(values, target)


def _place(task: FoldTask, rows: Rows) -> Acquisition | None:
    return None if task.place is None else task.place.take(rows)


def _with_data(task: FoldTask, rows: Rows, blocks: Sequence[Block]) -> Rows:
    """Return the rows with data in one of the blocks; all where those cannot train a model."""
    some = np.any([block.present[rows] for block in blocks], axis=0)
    if some.all() or not _usable(task, rows[some]):
        return rows
    return rows[some]


def _prepare(
    task: FoldTask, rows: Rows, test: Rows, log: list[FitRecord], level: str
) -> dict[str, tuple[FloatArray, FloatArray]]:
    needed = {name for plan in task.plans for name in plan.blocks}
    place = _place(task, test)
    out = {}
    for block in task.blocks:
        if block.name in needed:
            prepared, train_values = fit_block(block, rows, task, log, level)
            out[block.name] = train_values, prepared.transform(block.values[test], place)
    return out


def _joined(
    prepared: dict[str, tuple[FloatArray, FloatArray]], plan: ModelPlan, part: int
) -> FloatArray:
    return np.hstack([prepared[name][part] for name in plan.blocks])


@dataclass(eq=False)
class Ready:
    """What a fold has prepared and fitted so far, shared by its models."""

    inner: Sequence[InnerPart]
    outer: dict[str, tuple[FloatArray, FloatArray]]
    log: list[FitRecord]
    done: dict[tuple[str, ...], PlanFit] = field(default_factory=dict)
    spared: list[tuple[str, str, str, int]] = field(default_factory=list)


def run_fold(task: FoldTask) -> FoldOutput:
    """Return predictions for the test rows of one fold, and the log of all fits.

    Inner folds of the training rows choose the setting of each model and the decision
    threshold; preprocessing is refitted in each of them, once for all models and settings. What
    a fold has fitted for one model is used by the others that need it.
    """
    split = task.split
    out = FoldOutput(split.repeat, split.fold, split.test)
    with one_blas_thread():
        inner = _prepare_inner(task, out.log)
        outer = _prepare(task, split.train, split.test, out.log, "outer")
        ready = Ready(inner, outer, out.log)
        for plan in task.plans:
            out.models[plan.name] = _output(task, _fit_plan(task, plan, ready))
    out.spared = [*ready.spared, *_shared(ready)]
    return out


def _shared(ready: Ready) -> list[tuple[str, str, str, int]]:
    """Return the fits of steps that further models of a block would have repeated."""
    uses = Counter(name for blocks in ready.done for name in blocks)
    return [
        (item.level.split()[0], item.fitted, item.inputs, uses[item.inputs] - 1)
        for item in ready.log
        if item.fitted != "model" and uses[item.inputs] > 1
    ]


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
    base: Held
    log: list[FitRecord]
    held: Held | None = None


def fit_all(task: FoldTask) -> FullFit:
    """Return the last plan of the task fitted to all its training rows."""
    plan, log, rows = task.plans[-1], list[FitRecord](), task.split.train
    with one_blas_thread():
        inner = _prepare_inner(task, log)
        parts_of = _parts(task, plan)
        chosen, held = _choose(task, plan, inner, log)
        steps, parts = {}, []
        for name in plan.blocks:
            block = next(item for item in task.blocks if item.name == name)
            steps[name], values = fit_block(block, rows, task, log, "all")
            parts.append(values)
        x, widths = np.hstack(parts), [part.shape[1] for part in parts]
        seed = derive_seed(task.seed, "fit", plan.name, "all rows")
        used = _with_data(task, rows, _blocks_of(task, plan))
        learner = fitted_to(task.learner, parts_of, task.patients[used])
        model = learner.fit(x[used], task.target[used], np.array([chosen]), seed, widths)[0]
        on_train = model.predict(x)
    base = _base(model, held) or Held(task.target[rows], on_train)
    threshold = _threshold(task, held, base.score)
    log.append(FitRecord("all", "model", plan.name, used))
    return FullFit(steps, model, threshold, learner.settings[chosen], base, log, held)


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


def _fit_plan(task: FoldTask, plan: ModelPlan, ready: Ready) -> PlanFit:
    if not plan.blocks:
        return _no_information(task, plan, ready.log)
    if plan.fusion == "early":
        return _once(task, plan, ready)
    parts = [_once(task, ModelPlan(f"{name} alone", (name,)), ready) for name in plan.blocks]
    clock = process_time()
    found = fuse(task.kind, plan.fusion, parts)
    took = process_time() - clock
    ready.log.append(
        FitRecord("outer", plan.fusion, plan.name, task.split.train, "+".join(plan.blocks), 1, took)
    )
    if task.kind == "binary" and plan.fusion != "vote":
        threshold = _threshold(task, found.held, found.on_train)
        return replace(found, threshold=threshold, decision=found.score >= threshold)
    return found


def _once(task: FoldTask, plan: ModelPlan, ready: Ready) -> PlanFit:
    """Return the model of these blocks, fitted where no other plan of the fold has done so."""
    if plan.blocks not in ready.done:
        ready.done[plan.blocks] = _fit_early(task, plan, ready)
    else:
        settings = len(fitted_to(task.learner, _parts(task, plan)).settings)
        name = "+".join(plan.blocks)
        ready.spared.append(("outer", "model", name, 1))
        ready.spared.append(("inner", "model", name, settings * len(ready.inner)))
    return ready.done[plan.blocks]


def _no_information(task: FoldTask, plan: ModelPlan, log: list[FitRecord]) -> PlanFit:
    split = task.split
    log.append(FitRecord("outer", "mean of the outcome", plan.name, split.train))
    level = 0.0 if task.kind == "censored" else float(task.target[split.train].mean())
    threshold = np.inf if task.kind == "binary" else level
    n_train, n_test = len(split.train), len(split.test)
    score = np.full(n_test, level)
    return PlanFit(None, np.full(n_train, level), score, score >= threshold, threshold, "")


def _fit_early(task: FoldTask, plan: ModelPlan, ready: Ready) -> PlanFit:
    split, outer, log = task.split, ready.outer, ready.log
    chosen, held = _choose(task, plan, ready.inner, log)
    seed = derive_seed(task.seed, "fit", plan.name, split.repeat, split.fold)
    x_train = _joined(outer, plan, 0)
    used = _with_data(task, split.train, _blocks_of(task, plan))
    at = np.searchsorted(split.train, used)
    which = np.array([chosen])
    learner = fitted_to(task.learner, _parts(task, plan), task.patients[used])
    clock = process_time()
    fitted = learner.fit(x_train[at], task.target[used], which, seed, _widths(outer, plan))[0]
    took = process_time() - clock
    log.append(FitRecord("outer", "model", plan.name, used, "+".join(plan.blocks), 1, took))
    on_train = fitted.predict(x_train)
    base = _base(fitted, held)
    threshold = _threshold(task, held, on_train if base is None else base.score)
    score = fitted.predict(_joined(outer, plan, 1))
    text = learner.settings[chosen]
    return PlanFit(held, on_train, score, score >= threshold, threshold, text, base)


def _base(fitted: Fitted, held: Held | None) -> Held | None:
    """Return held-out scores where those of the training rows are too good to calibrate by.

    Trees remember the rows they were grown on; the baseline hazard and the median score of a
    survival model then come from rows that inner folds held out.
    """
    return None if isinstance(fitted, LinearFit) else held


def _blocks_of(task: FoldTask, plan: ModelPlan) -> list[Block]:
    return [block for block in task.blocks if block.name in plan.blocks]


def _parts(task: FoldTask, plan: ModelPlan) -> list[Part]:
    known = {block.name: block for block in task.blocks}
    found = [known[name] for name in plan.blocks]
    return [Part(block.role, block.layout, block.shape) for block in found]


def _widths(prepared: dict[str, tuple[FloatArray, FloatArray]], plan: ModelPlan) -> list[int]:
    return [prepared[name][0].shape[1] for name in plan.blocks]


def _choose(
    task: FoldTask,
    plan: ModelPlan,
    inner: Sequence[InnerPart],
    log: list[FitRecord],
) -> tuple[int, Held | None]:
    parts = _parts(task, plan)
    settings = np.arange(len(fitted_to(task.learner, parts).settings))
    if not inner:
        return len(settings) // 2, None
    total, weight = np.zeros(len(settings)), 0.0
    targets: list[FloatArray] = []
    scores: list[FloatArray] = []
    for k, (rows, held, prepared) in enumerate(inner):
        seed = derive_seed(task.seed, "inner fit", plan.name, task.split.repeat, task.split.fold, k)
        used = _with_data(task, rows, _blocks_of(task, plan))
        x, widths = _joined(prepared, plan, 0)[np.searchsorted(rows, used)], _widths(prepared, plan)
        learner = fitted_to(task.learner, parts, task.patients[used])
        clock = process_time()
        fits: list[Fitted] = learner.fit(x, task.target[used], settings, seed, widths)
        took, name = process_time() - clock, "+".join(plan.blocks)
        log.append(FitRecord(f"inner {k}", "model", plan.name, used, name, len(settings), took))
        x_held = _joined(prepared, plan, 1)
        predicted = np.array([fit.predict(x_held) for fit in fits])
        y_held = task.target[held]
        total += len(held) * np.array([loss(task.kind, y_held, row) for row in predicted])
        weight += len(held)
        targets.append(y_held)
        scores.append(predicted)
    mean = total / weight
    best = int(np.argmin(np.round(mean, 10)))
    return best, Held(np.concatenate(targets), np.concatenate([item[best] for item in scores]))


def _threshold(task: FoldTask, held: Held | None, on_train: FloatArray) -> float:
    if task.kind != "binary":
        return float(np.median(on_train))
    if held is None or len(np.unique(held.target)) < 2:
        return float(task.target[task.split.train].mean())
    return youden_threshold(held.target, held.score)


def _output(task: FoldTask, found: PlanFit) -> ModelOutput:
    n = len(found.score)
    brier, risk = np.full(n, np.nan), np.full(n, np.nan)
    if task.kind == "censored":
        brier, risk = _survival_loss(task, found)
    known = np.sort(found.on_train if found.held is None else found.held.score)
    below = np.searchsorted(known, found.score, side="left")
    upto = np.searchsorted(known, found.score, side="right")
    rank = (below + upto) / (2 * len(known))
    p_class = np.full((n, 2), np.nan)
    if task.kind == "binary" and found.held is not None:
        p_class = class_p_values(found.held.target, found.held.score, found.score)
    return ModelOutput(
        found.score, found.decision, found.threshold, found.setting, brier, risk, rank, p_class
    )


def _survival_loss(task: FoldTask, found: PlanFit) -> tuple[FloatArray, FloatArray]:
    train, test = task.target[task.split.train], task.target[task.split.test]
    time, event = train[:, 0], train[:, 1] > 0.5
    if found.fused is not None:
        base_time, base_event = found.fused.target[:, 0], found.fused.target[:, 1] > 0.5
        on_train = found.fused.score
    else:
        base_time, base_event, on_train = time, event, found.on_train
    sets = RiskSets(base_time, base_event, np.ones(len(base_time)), None, "efron")
    center = float(on_train.mean())
    hazard = np.concatenate(([0.0], sets.hazard(np.clip(on_train - center, -300, 300))))
    relative = np.exp(np.clip(found.score - center, -300, 300))
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
