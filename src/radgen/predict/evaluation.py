"""Honest evaluation: repeated, stratified, grouped, nested cross-validation with baselines."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen._core.blocks import map_units
from radgen._core.naming import require_choice
from radgen._core.rng import spawn
from radgen.errors import InputError, shown
from radgen.predict.curves import curve_tables, survival_tables
from radgen.predict.design import ROLES, Block, Design, build_design
from radgen.predict.engine import FoldOutput, FoldTask, ModelPlan, run_fold
from radgen.predict.learners import make_learner
from radgen.predict.preprocess import harmoniser
from radgen.predict.result import MAIN_METRIC, PredictionResult
from radgen.predict.scores import estimates
from radgen.predict.splits import Split, outer_splits
from radgen.predict.tables import (
    by_repeat,
    difference_table,
    log_tables,
    metric_table,
    prediction_table,
    threshold_table,
)
from radgen.stats.discrimination import minimum_detectable_auc
from radgen.stats.survival_metrics import support
from radgen.types import Outcome

__all__ = ["evaluate"]

FloatArray = NDArray[np.float64]
_SMALL_SITE = 10


def evaluate(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    *,
    seed: int,
    groups: Mapping[str, str] | None = None,
    sites: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    model: Any = "auto",
    selection: Any = None,
    n_selected: int = 20,
    harmonise: Any = None,
    scheme: Literal["kfold", "leave-site-out"] = "kfold",
    folds: int = 5,
    repeats: int = 5,
    inner_folds: int = 5,
    baselines: bool = True,
    volume: str | None = None,
    permutations: int = 0,
    bootstrap: int = 200,
    confidence: float = 0.95,
    horizon: float | None = None,
    executor: Executor | None = None,
) -> PredictionResult:
    """Return how well blocks of predictors predict an outcome, beside simple baselines.

    Parameters
    ----------
    blocks : mapping of str to PhenotypeTable, OmicsTable, Covariates or data frame
        Predictors, matched by sample id. Data frames have a column ``sample``; text columns are
        expanded. Missing values are allowed and imputed within the folds.
    outcome : Outcome
        Binary, censored or continuous.
    seed : int
        Of folds, forests and permutations.
    groups : mapping of sample to patient, or None
        Rows of one patient never part. None = every sample is a patient.
    sites : mapping of sample to site, or None
        For `harmonise` and ``scheme="leave-site-out"``.
    roles : mapping of block to {"clinical", "imaging", "genomic"}, or None
        Overrides the role known from the type of table; a data frame's is read from its key
        where that names one, otherwise it is clinical.
    model : str, estimator or (estimator, grid)
        "auto" (ridge logistic, ridge Cox or ridge regression by outcome), "elastic_net", "lasso",
        "forest", "boosting", or any scikit-learn estimator, with a grid to tune.
    selection : None, str, transformer or list of transformers
        "correlation" (cluster medoids), "univariate" (the `n_selected` most associated
        columns), "correlation+univariate", or own transformers; for imaging and genomic blocks.
    n_selected : int, default 20
        For "univariate".
    harmonise : None, "combat" or estimator
        Removes site effects from imaging blocks; an estimator takes ``batch=`` in fit and
        transform.
    scheme : {"kfold", "leave-site-out"}
        Outer splits.
    folds, repeats, inner_folds : int
        Of the nested cross-validation.
    baselines : bool, default True
        Fit no information, volume only, each role alone, and all together, on the same folds.
        False fits the full model and no information.
    volume : str or None
        Column of the volume-only baseline; None = the first imaging column that is named a
        volume, if there is one.
    permutations : int, default 0
        Runs of the whole pipeline with the outcome permuted over patients.
    bootstrap : int, default 200
        Patient-level draws for the interval of the average precision.
    confidence : float, default 0.95
        Level of all intervals.
    horizon : float or None
        Time of the predicted risk (survival); None = median time.
    executor : Executor or None
        Folds are its units of work.

    Returns
    -------
    PredictionResult
        Comparison table, out-of-fold predictions, curves, paired differences and fit log.

    Raises
    ------
    InputError
        If an argument does not fit, or a class has fewer patients than there are folds.
    AlignmentError
        If too few samples are common to all tables.

    Notes
    -----
    All that learns (imputation, harmonisation, ranks, selection, scaling, tuning, threshold)
    is fitted in `run_fold` on training rows that are sliced there and recorded. AUC and C
    compare patients within a fold; their errors come from influence functions summed per
    patient, with variances averaged over repeats, so that more repeats do not look like more
    patients, and enlarged for the overlap of training sets (`scores.honest_error`).

    References
    ----------
    Varma & Simon 2006, doi:10.1186/1471-2105-7-91. LeDell et al. 2015, doi:10.1214/15-EJS1035.
    """
    from threadpoolctl import threadpool_limits

    require_choice(scheme, ("kfold", "leave-site-out"), what="scheme")
    design = build_design(blocks, outcome, groups=groups, sites=sites, roles=roles)
    leave_site_out = scheme == "leave-site-out"
    if harmonise not in (None, "none") and design.sites is None:
        raise InputError("Harmonisation needs the site of each sample: pass sites.")
    name, learner = make_learner(model, design.kind)
    remover = harmoniser(harmonise, leave_site_out=leave_site_out)
    notes: list[str] = []
    place = design.sites
    if remover is not None and not leave_site_out and place is not None:
        place = _pool_small_sites(place, notes)
    _check_size(design, folds if not leave_site_out else 2, notes)
    design_blocks, plans = _plans(design, baselines, volume)
    strata = _strata(design, place if remover is not None else None)
    times, when = _grid(design, horizon)
    splits = outer_splits(
        strata,
        design.patients,
        folds=folds,
        repeats=repeats,
        seed=seed,
        sites=design.sites,
        leave_site_out=leave_site_out,
    )
    common = {
        "blocks": design_blocks, "kind": design.kind, "patients": design.patients,
        "strata": strata, "sites": place, "learner": learner, "selection": selection,
        "n_selected": n_selected, "harmoniser": remover, "inner_folds": inner_folds,
        "seed": seed, "times": times, "horizon": when,
    }  # fmt: skip
    _check_folds(design, splits)
    tasks = [FoldTask(split=s, target=design.target, plans=plans, **common) for s in splits]
    outputs = map_units(run_fold, tasks, executor=executor, what="Cross-validating")
    permuted = _permute(
        design, plans[-1:], common, splits, permutations=permutations, executor=executor
    )
    params = {
        "model": name, "scheme": scheme, "folds": folds, "repeats": repeats,
        "inner_folds": inner_folds, "selection": _name_of(selection), "n_selected": n_selected,
        "harmonise": _name_of(harmonise), "permutations": permutations, "bootstrap": bootstrap,
        "confidence": confidence, "seed": seed, "horizon": when, "blocks": list(blocks),
        "interval_text": "patient-level, from "
        "influence functions, enlarged for the overlap of training sets, within the possible range",
    }  # fmt: skip
    with threadpool_limits(limits=1):
        return _collect(design, plans, outputs, params=params, permuted=permuted, notes=notes)


def _name_of(choice: Any) -> str:
    if choice is None:
        return "none"
    if isinstance(choice, str):
        return choice
    if isinstance(choice, list | tuple):
        return ", ".join(type(item).__name__ for item in choice)
    return type(choice).__name__


def _pool_small_sites(sites: tuple[str, ...], notes: list[str]) -> tuple[str, ...]:
    names, count = np.unique(np.array(sites, dtype=object), return_counts=True)
    small = {str(n) for n, c in zip(names, count, strict=True) if c < _SMALL_SITE}
    if not small:
        return sites
    rest = sum(1 for item in sites if item in small)
    notes.append(
        f"{len(small)} sites with fewer than {_SMALL_SITE} samples ({shown(sorted(small))}) were "
        f"harmonised as one, {rest} samples."
    )
    if rest >= _SMALL_SITE:
        return tuple("small sites" if item in small else item for item in sites)
    largest = str(names[int(np.argmax(count))])
    notes.append(f"Together they are too few and were joined to site {largest}.")
    return tuple(largest if item in small else item for item in sites)


def _check_size(design: Design, folds: int, notes: list[str]) -> None:
    if design.kind == "binary":
        for level in (0.0, 1.0):
            patients = len(np.unique(design.patients[design.target == level]))
            if patients < max(folds, 2):
                raise InputError(
                    f"Outcome {design.outcome_name!r}: {patients} patients have the value "
                    f"{level:g}, fewer than the {folds} folds. Use fewer folds, or more patients."
                )
    elif design.kind == "censored" and design.n_events < 2 * folds:
        raise InputError(
            f"Outcome {design.outcome_name!r} has {design.n_events} events; {folds} folds need "
            f"{2 * folds} or more."
        )
    fewer = min(design.n_events, design.n - design.n_events)
    if design.kind == "censored":
        fewer = design.n_events
    if design.kind != "continuous" and fewer < 30:
        notes.append(
            f"Only {fewer} patients in the rarer class or with an event: intervals are wide and "
            "the models unstable."
        )


def _check_folds(design: Design, splits: tuple[Split, ...]) -> None:
    if design.kind != "binary":
        return
    for split in splits:
        if len(np.unique(design.target[split.train])) < 2:
            raise InputError(
                "A training set has one class only: outcome and site (or patient) coincide. "
                "Such data cannot tell site from outcome."
            )


def _plans(
    design: Design, baselines: bool, volume: str | None
) -> tuple[tuple[Block, ...], tuple[ModelPlan, ...]]:
    plans = [ModelPlan("no information", ())]
    blocks = list(design.blocks)
    names = tuple(block.name for block in blocks)
    by_role = {role: tuple(b.name for b in design.blocks if b.role == role) for role in ROLES}
    present = [role for role in ROLES if by_role[role]]
    found = design.volume(volume) if baselines else None
    if found is not None:
        source = next(block for block in blocks if block.name == found[0])
        column = found[1]
        blocks.append(
            Block("volume", "clinical", (source.columns[column],), source.values[:, [column]])
        )
        plans.append(ModelPlan("volume only", ("volume",)))
    if baselines or len(present) == 1:
        plans += [ModelPlan(f"{role} only", by_role[role]) for role in present]
    if len(present) > 1:
        plans.append(ModelPlan("combined", names))
    return tuple(blocks), tuple(plans)


def _strata(design: Design, sites: tuple[str, ...] | None) -> NDArray[np.int64]:
    if design.kind == "binary":
        label = design.target.astype(int).astype(str)
    elif design.kind == "censored":
        label = design.target[:, 1].astype(int).astype(str)
    else:
        edges = np.quantile(design.target, [0.2, 0.4, 0.6, 0.8])
        label = np.searchsorted(edges, design.target).astype(str)
    if sites is not None:
        label = np.char.add(np.char.add(label, "|"), np.array(sites, dtype=str))
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


def _grid(design: Design, horizon: float | None) -> tuple[FloatArray, float]:
    if design.kind != "censored":
        return np.zeros(0), float("nan")
    times = support(design.target[:, 0], design.target[:, 1])
    return times, float(np.median(design.target[:, 0])) if horizon is None else float(horizon)


def _permute(
    design: Design,
    plans: tuple[ModelPlan, ...],
    common: dict[str, Any],
    splits: tuple[Split, ...],
    *,
    permutations: int,
    executor: Executor | None,
) -> list[float]:
    if permutations == 0:
        return []
    tasks = []
    for number in range(permutations):
        order = spawn(common["seed"], "permutation", number).permutation(design.n)
        if len(design.patient_names) < design.n:
            order = _patient_permutation(design, spawn(common["seed"], "permutation", number))
        target = design.target[order]
        strata = common["strata"][order]
        again = outer_splits(
            strata,
            design.patients,
            folds=len({s.fold for s in splits}),
            repeats=len({s.repeat for s in splits}),
            seed=common["seed"] + 1 + number,
        )
        settings = common | {"strata": strata}
        tasks += [FoldTask(split=s, target=target, plans=plans, **settings) for s in again]
    outputs = map_units(run_fold, tasks, executor=executor, what="Permuting")
    per_run = len(tasks) // permutations
    values = []
    for number in range(permutations):
        part = outputs[number * per_run : (number + 1) * per_run]
        target = tasks[number * per_run].target
        folds = by_repeat(part, plans[-1].name, design.n)
        values.append(estimates(design.kind, target, folds)[MAIN_METRIC[design.kind]].value)
    return values


def _patient_permutation(design: Design, rng: np.random.Generator) -> NDArray[np.int64]:
    sizes = np.bincount(design.patients)
    out = np.arange(design.n)
    rows_of = [np.flatnonzero(design.patients == g) for g in range(len(sizes))]
    for size in np.unique(sizes):
        same = np.flatnonzero(sizes == size)
        for target, source in zip(same, rng.permutation(same), strict=True):
            out[rows_of[target]] = rows_of[source]
    return out


def _collect(
    design: Design,
    plans: tuple[ModelPlan, ...],
    outputs: list[FoldOutput],
    *,
    params: dict[str, Any],
    permuted: list[float],
    notes: list[str],
) -> PredictionResult:
    confidence = params["confidence"]
    ratio = float(np.mean([len(item.test) / (design.n - len(item.test)) for item in outputs]))
    repeats = {plan.name: by_repeat(outputs, plan.name, design.n) for plan in plans}
    frame, found = metric_table(
        design,
        plans,
        repeats,
        confidence=confidence,
        ratio=ratio,
        bootstrap=params["bootstrap"],
        rng=spawn(params["seed"], "average precision"),
    )
    primary = plans[-1].name
    main = found[primary][MAIN_METRIC[design.kind]]
    extra: dict[str, Any] = {}
    if design.kind == "binary":
        names = ("calibration", "decision", "roc")
        extra = dict(zip(names, curve_tables(design, plans, repeats), strict=True))
    elif design.kind == "censored":
        names = ("km", "risk_groups")
        extra = dict(zip(names, survival_tables(design, plans, repeats), strict=True))
    log, sets = log_tables(design, outputs)
    p_value = float("nan")
    if permuted:
        beaten = sum(1 for value in permuted if value >= main.value)
        p_value = (beaten + 1) / (len(permuted) + 1)
    return PredictionResult(
        frame=frame,
        params=params,
        n_used=design.n,
        dropped=design.dropped,
        warnings=tuple(notes),
        provenance={"step": "predict.evaluate", "version": 1, "seed": params["seed"]},
        predictions=prediction_table(design, outputs),
        differences=difference_table(design, plans, found, confidence=confidence, ratio=ratio),
        thresholds=threshold_table(outputs),
        fit_log=log,
        row_sets=sets,
        outcome=design.outcome_name,
        outcome_kind=design.kind,
        primary=primary,
        detectable=_detectable(design, main.influence),
        permutation_p=p_value,
        **extra,
    )


def _detectable(design: Design, influence: FloatArray) -> float:
    if design.kind == "binary":
        positive = len(np.unique(design.patients[design.target > 0.5]))
        negative = len(np.unique(design.patients[design.target < 0.5]))
        return minimum_detectable_auc(positive, negative)
    if design.kind == "censored":
        from radgen.predict.scores import std_error

        error = std_error(influence, design.patients)
        return float(min(0.5 + (ndtri(0.975) + ndtri(0.8)) * error, 1.0))
    return float("nan")
