"""Honest evaluation: repeated, stratified, grouped, nested cross-validation with baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import map_units
from radgen._core.rng import spawn
from radgen._core.threads import one_blas_thread
from radgen.errors import InputError
from radgen.predict.abstain import abstention_table
from radgen.predict.adequacy import adequacy_table, detectable_value
from radgen.predict.curves import curve_tables, survival_tables
from radgen.predict.design import Design
from radgen.predict.engine import FoldOutput, FoldTask, run_fold
from radgen.predict.fusion import Fusion
from radgen.predict.horizon import horizon_tables, with_sizes
from radgen.predict.intervals import interval_table
from radgen.predict.planning import Setup, set_up
from radgen.predict.profile import note_fits
from radgen.predict.reliable import Reliability
from radgen.predict.result import MAIN_METRIC, PredictionResult
from radgen.predict.scores import estimates
from radgen.predict.splits import outer_splits
from radgen.predict.tables import (
    by_repeat,
    difference_table,
    log_tables,
    metric_table,
    prediction_table,
    tested_only,
    threshold_table,
)
from radgen.types import Outcome

__all__ = ["evaluate"]

FloatArray = NDArray[np.float64]


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
    scheme: Literal["kfold", "leave-site-out", "temporal"] = "kfold",
    order: Mapping[str, Any] | None = None,
    folds: int = 5,
    repeats: int = 5,
    inner_folds: int = 5,
    baselines: bool = True,
    volume: str | None = None,
    fusion: Fusion | Sequence[Fusion] = "early",
    missing_blocks: Literal["drop", "keep"] = "drop",
    reliability: Reliability | None = None,
    permutations: int = 0,
    bootstrap: int = 200,
    confidence: float = 0.95,
    horizon: float | None = None,
    abstain: float | None = None,
    executor: Executor | None = None,
) -> PredictionResult:
    """Return how well blocks of predictors predict an outcome, beside simple baselines.

    Parameters
    ----------
    blocks : mapping of str to PhenotypeTable, OmicsTable, Covariates, SampleArrays or data frame
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
        "forest", "boosting", "blocks" (ridge with penalties of its own for each block); for
        survival also "weibull", "lognormal", "loglogistic"; or any scikit-learn estimator, with
        a grid to tune. A list of these offers a choice, which inner folds make. Installed
        packages add names by the entry points ``radgen.learners``: "deep_survival",
        "image_network", "slice_network", "attention", "bag_of_cells" are those of `radgen.deep`.
    selection : None, str, transformer or list of transformers
        "correlation" (cluster medoids), "univariate" (the `n_selected` most associated
        columns), "mrmr" (relevance without redundancy, `n_selected` columns), "lasso",
        "elastic_net", "stability", "boruta", "invariant" (over sites), "correlation+univariate" and
        so on, or own
        transformers; for imaging and genomic blocks. See `radgen.predict.selection`.
    n_selected : int, default 20
        For "univariate" and "mrmr".
    harmonise : None, "combat", "location-scale", "covbat", Harmonisation or estimator
        Removes site effects from imaging blocks, without empirical Bayes (which would push noise
        below chance where sites differ in prevalence, see `radgen.predict.preprocess.harmoniser`);
        a `Harmonisation` names several batch variables, covariates to keep, subjects and policies;
        an estimator takes ``batch=`` in fit and transform.
    scheme : {"kfold", "leave-site-out", "temporal"}
        Outer splits. "temporal" cuts the later half of the patients into `folds` parts and tests
        each by a model of all earlier patients.
    order : mapping of sample to date or number, or None
        For "temporal": `datetime.date`, ISO text or number.
    folds, repeats, inner_folds : int
        Of the nested cross-validation.
    baselines : bool, default True
        Fit no information, volume only, each role alone, and all together, on the same folds.
        False fits the full model and no information.
    volume : str or None
        Column of the volume-only baseline; None = the first imaging column that is named a
        volume, if there is one.
    fusion : {"early", "stacked", "vote"} or a sequence of these
        How the blocks of the combined model are joined: one model of all columns; weights learnt
        from held-out scores of the blocks' models; the majority of their decisions. With several,
        each is a model of the comparison.
    missing_blocks : {"drop", "keep"}
        A sample that stands in some of the tables: leave it out, or keep it. Its missing block
        is imputed with medians of the training samples that have it, and does not train the
        model of that block.
    reliability : Reliability or None
        Repeated measurements; imaging columns that are not reliable by them are left out.
    permutations : int, default 0
        Runs of the whole pipeline with the outcome permuted over patients.
    bootstrap : int, default 200
        Patient-level draws for the interval of the average precision, and for a bootstrap
        interval of the main metric beside the default one.
    confidence : float, default 0.95
        Level of all intervals.
    horizon : float or None
        Time of the predicted risk (survival); None = median time.
    abstain : float or None
        Binary outcomes: the share of patients whose true class may be called implausible. Models
        then abstain where both classes are plausible, by conformal prediction with thresholds
        from the inner folds; `PredictionResult.abstention` says how often, at this level and at
        others. See `radgen.predict.AbstainingClassifier` for one with a strict guarantee.
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
    if abstain is not None and (outcome.kind != "binary" or not 0 < abstain < 1):
        raise InputError(
            f"abstain is an error level between 0 and 1 for a binary outcome, not {abstain:g} for "
            f"{outcome.name!r} ({outcome.kind})."
        )
    setup = set_up(
        blocks, outcome, seed=seed, groups=groups, sites=sites, roles=roles, model=model,
        selection=selection, n_selected=n_selected, harmonise=harmonise, scheme=scheme,
        order=order, folds=folds, repeats=repeats, inner_folds=inner_folds, baselines=baselines,
        volume=volume, fusion=fusion, missing_blocks=missing_blocks,
        reliability=reliability, horizon=horizon,
    )  # fmt: skip
    outputs = map_units(run_fold, setup.tasks(), executor=executor, what="Cross-validating")
    note_fits(outputs)
    permuted = _permute(setup, permutations=permutations, executor=executor)
    params = setup.params | {
        "permutations": permutations, "bootstrap": bootstrap, "confidence": confidence,
        "interval_text": "patient-level, from influence functions, enlarged for the overlap of "
        "training sets, within the possible range", "abstain": abstain,
    }  # fmt: skip
    with one_blas_thread():
        return _collect(setup, outputs, params=params, permuted=permuted)


def _permute(setup: Setup, *, permutations: int, executor: Executor | None) -> list[float]:
    if permutations == 0:
        return []
    design, common = setup.design, setup.common
    if setup.params["scheme"] == "temporal":
        raise InputError("Permutations are for cross-validation, not for a temporal split.")
    primary = tuple(plan for plan in setup.plans if plan.name == setup.primary)
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
            folds=len({s.fold for s in setup.splits}),
            repeats=len({s.repeat for s in setup.splits}),
            seed=common["seed"] + 1 + number,
        )
        settings = {**common, "strata": strata}
        tasks += [FoldTask(split=s, target=target, plans=primary, **settings) for s in again]
    outputs = map_units(run_fold, tasks, executor=executor, what="Permuting")
    per_run = len(tasks) // permutations
    values = []
    for number in range(permutations):
        part = outputs[number * per_run : (number + 1) * per_run]
        target = tasks[number * per_run].target
        folds = by_repeat(part, setup.primary, design.n)
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
    setup: Setup, outputs: list[FoldOutput], *, params: dict[str, Any], permuted: list[float]
) -> PredictionResult:
    log, sets = log_tables(setup.design, outputs)
    design, outputs = tested_only(setup.design, outputs)
    plans, confidence = setup.plans, params["confidence"]
    ratio = float(np.mean([len(item.test) / len(s.train)
                           for item, s in zip(outputs, setup.splits, strict=True)]))  # fmt: skip
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
    main = found[setup.primary][MAIN_METRIC[design.kind]]
    widths = {block.name: len(block.columns) for block in setup.common["blocks"]}
    extra: dict[str, Any] = {}
    if params["abstain"] is not None:
        extra["abstention"] = abstention_table(
            design, plans, outputs, level=params["abstain"], confidence=confidence
        )
    if design.kind == "binary":
        names = ("calibration", "decision", "roc")
        extra |= dict(zip(names, curve_tables(design, plans, repeats), strict=True))
    elif design.kind == "censored":
        names = ("km", "risk_groups")
        extra |= dict(zip(names, survival_tables(design, plans, repeats), strict=True))
        curves = horizon_tables(design, plans, outputs, params["horizon"])
        frame = pl.concat([frame, with_sizes(design, plans, curves[0])])
        extra |= {"calibration": curves[1], "decision": curves[2]}
    p_value = float("nan")
    if permuted:
        beaten = sum(1 for value in permuted if value >= main.value)
        p_value = (beaten + 1) / (len(permuted) + 1)
    return PredictionResult(
        frame=frame,
        params=params,
        n_used=setup.design.n,
        dropped=design.dropped,
        warnings=tuple(setup.notes),
        provenance={"step": "predict.evaluate", "version": 2, "seed": params["seed"]},
        predictions=prediction_table(design, outputs),
        differences=difference_table(design, plans, found, confidence=confidence, ratio=ratio),
        thresholds=threshold_table(outputs),
        fit_log=log,
        row_sets=sets,
        outcome=design.outcome_name,
        outcome_kind=design.kind,
        primary=setup.primary,
        detectable=detectable_value(design, main.influence),
        adequacy=adequacy_table(design, widths, plans, found),
        intervals=interval_table(
            design,
            plans,
            repeats,
            found,
            confidence=confidence,
            ratio=ratio,
            draws=params["bootstrap"],
            rng=spawn(params["seed"], "bootstrap of patients"),
        ),
        permutation_p=p_value,
        **extra,
    )
