"""Compare multivariate methods on one study under the same nested resampling."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.blocks import map_units
from radgen.errors import InputError
from radgen.multivariate._nested import Design, Run, Selection, held_out, select
from radgen.multivariate.comparison_result import ComparisonResult, MethodResult
from radgen.multivariate.methods import METHODS, Method, chosen_methods

__all__ = ["compare"]

Array = NDArray[np.float64]

_Unit = tuple[str, int, Design, int, int]


@dataclass(frozen=True, eq=False, slots=True)
class _Found:
    """All that was computed for one method."""

    method: Method
    run: Run
    selection: Selection | None
    null: Array


def compare(
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    seed: int,
    methods: Sequence[str] | None = None,
    confounders: NDArray[Any] | None = None,
    confounder_names: Sequence[str] = (),
    groups: Sequence[str] | None = None,
    x_names: Sequence[str] | None = None,
    y_names: Sequence[str] | None = None,
    folds: int = 5,
    repeats: int = 2,
    inner: int = 3,
    n_null: int = 20,
    n_pairs: int = 10,
    top: int | None = None,
    truth: NDArray[Any] | None = None,
    executor: Executor | None = None,
) -> ComparisonResult:
    """Return how several methods do on the same two blocks, judged in held-out people.

    Every method is tuned by inner folds of the training rows only, confounders are regressed
    out with coefficients of the training rows, and all methods see the same folds.

    Parameters
    ----------
    X : ndarray of float (n_samples, n_x)
        Variants (or any first block); no NaN.
    y : ndarray of float (n_samples, n_y)
        Image phenotypes; no NaN.
    seed : int
        Folds, halves and permutations depend on it, never on the executor.
    methods : sequence of str or None
        Names in `METHODS`; None = the default set.
    confounders : ndarray of float (n_samples, n_confounders) or None
        Ancestry components, site indicators, age, sex; regressed out of both blocks.
    confounder_names : sequence of str
        What they are, for the methods text.
    groups : sequence of str or None
        Gene of each variant.
    x_names, y_names : sequence of str or None
        Names; numbered where None.
    folds, repeats, inner : int
        Outer folds, repeats of them, inner folds.
    n_null : int, default 20
        Permutations of the whole nested procedure; p is at least 1 / (n_null + 1).
    n_pairs : int, default 10
        Random splits into halves, for stability.
    top : int or None
        Strongest variants that count as selected; None = 5 % of them, 5 to 50, or the number
        of true ones where `truth` is given.
    truth : ndarray of bool or int or None
        Columns of X that truly play a part (simulated data).
    executor : concurrent.futures.Executor or None
        Where the units run; this process where None.

    Returns
    -------
    ComparisonResult
        ``table`` has a row a method, its ``p`` by permutation and ``p_adjusted`` for the choice
        among the methods; ``pages`` holds a `MethodResult` for each.

    Raises
    ------
    InputError
        If blocks hold missing values or too few samples, or a method is unknown.

    Notes
    -----
    Held-out association: correlation of the first pair of scores in each outer test set,
    averaged on Fisher's z scale, with the corrected resampled t interval. Its p-value comes from
    running the whole procedure, tuning included, on permuted residuals of y. Stability compares
    two *disjoint* halves, whose selections share no person; overlapping subsamples flatter it.

    References
    ----------
    Nadeau, Bengio (2003), Mach Learn 52:239 (interval). Kuncheva (2007), AIAP, 390 (stability).
    Freedman, Lane (1983), J Bus Econ Stat 1:292 (permutation under confounders).
    """
    chosen = chosen_methods(methods, has_groups=groups is not None)
    design = _design(X, y, confounders, groups, folds=(folds, repeats, inner), seed=seed)
    p = design.x.shape[1]
    active = None if truth is None else _active(truth, p)
    count = top or (len(active) if active is not None else int(np.clip(p // 20, 5, 50)))
    count = min(count, p)
    units: list[_Unit] = []
    for method in chosen:
        units += [(method.name, k, design, count, n_pairs) for k in range(-2, n_null)]
    done = map_units(_run_unit, units, executor=executor, what="Comparing methods")
    found = []
    width = n_null + 2
    for i, method in enumerate(chosen):
        part = done[i * width : (i + 1) * width]
        null = np.array([_mean(run.correlations) for run in part[2:]])
        found.append(_Found(method, part[1], part[0], null))
    names = (
        list(x_names) if x_names is not None else [f"x{j}" for j in range(p)],
        list(y_names) if y_names is not None else [f"y{j}" for j in range(design.y.shape[1])],
    )
    return _assembled(
        found, design, names, top=count, active=active, confounder_names=tuple(confounder_names)
    )


def _run_unit(unit: _Unit) -> Any:
    """Run one unit: -2 = what is selected, -1 = held out, 0 and more = a permutation."""
    name, k, design, top, n_pairs = unit
    method = METHODS[name]
    if k == -2:
        return select(method, design, top=top, n_pairs=n_pairs)
    return held_out(method, design if k == -1 else design.shuffled(k))


def _design(
    X: Any, y: Any, confounders: Any, groups: Any, *, folds: tuple[int, int, int], seed: int
) -> Design:
    x = np.asarray(X, dtype=np.float64)
    target = np.asarray(y, dtype=np.float64)
    target = target.reshape(len(target), -1)
    z = None if confounders is None else np.asarray(confounders, dtype=np.float64)
    z = None if z is None else z.reshape(len(z), -1)
    for name, block in (("X", x), ("y", target), ("confounders", z)):
        if block is not None and (len(block) != len(x) or not np.isfinite(block).all()):
            raise InputError(
                f"{name} has {len(block)} rows for {len(x)} samples and "
                f"{int((~np.isfinite(block)).sum())} missing values. Drop or impute them first."
            )
    if min(folds[0], folds[2]) < 2 or folds[1] < 1 or len(x) < 6 * folds[0]:
        raise InputError(
            f"{len(x)} samples in {folds[0]} outer and {folds[2]} inner folds: needed are 2 folds "
            "or more of each and 6 samples or more in an outer fold."
        )
    if groups is not None and len(groups) != x.shape[1]:
        raise InputError(f"groups names {len(groups)} variants; X has {x.shape[1]}.")
    labels = None if groups is None else tuple(str(item) for item in groups)
    return Design(x, target, z, labels, *folds, seed)


def _active(truth: NDArray[Any], n_features: int) -> NDArray[np.int64]:
    given = np.asarray(truth)
    index = np.flatnonzero(given) if given.dtype == np.bool_ else np.unique(given.astype(int))
    if not len(index) or index[0] < 0 or index[-1] >= n_features:
        raise InputError(f"truth names columns of X; there are {n_features}.")
    return index


def _mean(correlations: Array) -> float:
    return float(np.tanh(np.arctanh(np.clip(correlations, -0.999999, 0.999999)).mean()))


def _interval(correlations: Array, folds: int) -> tuple[float, float]:
    """Return the corrected resampled t interval on Fisher's z scale."""
    from scipy.stats import t

    z = np.arctanh(np.clip(correlations, -0.999999, 0.999999))
    spread = np.sqrt((1 / len(z) + 1 / (folds - 1)) * z.var(ddof=1))
    half = float(t.ppf(0.975, len(z) - 1)) * spread
    return float(np.tanh(z.mean() - half)), float(np.tanh(z.mean() + half))


def _assembled(
    found: list[_Found],
    design: Design,
    names: tuple[list[str], list[str]],
    *,
    top: int,
    active: NDArray[np.int64] | None,
    confounder_names: tuple[str, ...],
) -> ComparisonResult:
    n, p = design.x.shape
    n_null = len(found[0].null)
    n_adjusted = 0 if design.z is None else design.z.shape[1]
    params = {
        "folds": design.folds,
        "repeats": design.repeats,
        "inner": design.inner,
        "n_null": n_null,
        "n_pairs": 0 if found[0].selection is None else len(found[0].selection.overlap),
        "n_methods": len(found),
        "top": top,
        "seed": design.seed,
        "n_x": p,
        "n_y": design.y.shape[1],
        "adjusted_for": list(confounder_names) or [f"{n_adjusted} confounders"] * (n_adjusted > 0),
    }
    # All methods run on the same permutations, so the largest of each is what the best one meets.
    largest = np.max([each.null for each in found], axis=0)
    rows = [_row(each, largest, design.folds, top, active) for each in found]
    weights = pl.concat([_weights(each, design, names) for each in found])
    pages = {
        each.method.name: _page(each, row, weights, params, n)
        for each, row in zip(found, rows, strict=True)
    }
    null = pl.DataFrame(
        {
            "method": [each.method.name for each in found for _ in range(n_null)],
            "held_out": [float(value) for each in found for value in each.null],
        },
        schema={"method": pl.String, "held_out": pl.Float64},
    )
    return ComparisonResult(
        pl.DataFrame(rows), params, n, weights=weights, null=null, pages=pages,
        warnings=_warnings(found, n_adjusted),
    )  # fmt: skip


def _permutation_p(value: float, null: Array) -> float:
    return (1 + int((null >= value).sum())) / (1 + len(null)) if len(null) else np.nan


def _row(
    found: _Found, largest: Array, folds: int, top: int, active: NDArray[np.int64] | None
) -> dict[str, Any]:
    run, null, chosen = found.run, found.null, found.selection
    mean = _mean(run.correlations)
    low, high = _interval(run.correlations, folds)
    overlap = np.full((1, 2), np.nan) if chosen is None else chosen.overlap
    spread = overlap.std(axis=0, ddof=1) if len(overlap) > 1 else np.full(2, np.nan)
    half = 2.0 * spread / np.sqrt(len(overlap))
    row: dict[str, Any] = {
        "method": found.method.name,
        "label": found.method.label,
        "held_out": mean,
        "ci_low": low,
        "ci_high": high,
        "p": _permutation_p(mean, null),
        "p_adjusted": _permutation_p(mean, largest),
        "null_mean": float(null.mean()) if len(null) else np.nan,
        "null_sd": float(null.std(ddof=1)) if len(null) > 1 else np.nan,
        "stability": float(overlap[:, 0].mean()),
        "stability_low": float(overlap[:, 0].mean() - half[0]),
        "stability_high": float(overlap[:, 0].mean() + half[0]),
        "jaccard": float(overlap[:, 1].mean()),
        "n_selected": 0 if chosen is None else int(np.count_nonzero(chosen.x_weights)),
        "seconds": run.seconds,
        "failed_fits": run.failed,
        "settings": "" if chosen is None else chosen.settings,
    }
    if active is not None:
        row |= _against_truth(found, top, active)
    return row


def _against_truth(found: _Found, top: int, active: NDArray[np.int64]) -> dict[str, float]:
    if found.selection is None:
        return {"recall": 0.0, "false_discovery": float("nan")}
    weights = found.selection.x_weights
    strongest = np.argsort(-np.abs(weights), kind="stable")[:top]
    named = strongest[weights[strongest] != 0]
    true = len(np.intersect1d(named, active))
    return {
        "recall": true / len(active),
        "false_discovery": 1 - true / len(named) if len(named) else float("nan"),
    }


def _weights(found: _Found, design: Design, names: tuple[list[str], list[str]]) -> pl.DataFrame:
    p, q = design.x.shape[1], design.y.shape[1]
    chosen = found.selection
    x = np.zeros(p) if chosen is None else chosen.x_weights
    y = np.zeros(q) if chosen is None else chosen.y_weights
    frequency = np.zeros(p) if chosen is None else chosen.frequency
    groups = list(design.groups) if design.groups is not None else [""] * p
    return pl.DataFrame(
        {
            "method": [found.method.name] * (p + q),
            "block": ["x"] * p + ["y"] * q,
            "feature": names[0] + names[1],
            "group": groups + [""] * q,
            "weight": np.concatenate([x, y]),
            "frequency": np.concatenate([frequency, np.full(q, np.nan)]),
        }
    )


def _page(
    found: _Found,
    row: dict[str, Any],
    weights: pl.DataFrame,
    params: dict[str, Any],
    n: int,
) -> MethodResult:
    own = weights.filter(pl.col("method") == found.method.name).drop("method")
    shown = own.filter(pl.col("weight") != 0).sort(
        "block", pl.col("weight").abs(), descending=[False, True], maintain_order=True
    )
    folds = pl.DataFrame({"held_out": found.run.correlations})
    return MethodResult(
        shown,
        {
            **params,
            **{k: v for k, v in row.items() if k != "settings"},
            "settings": row["settings"],
        },
        n,
        label=found.method.label,
        reference=found.method.reference,
        folds=folds,
    )


def _warnings(found: list[_Found], n_adjusted: int) -> tuple[str, ...]:
    notes = []
    if not n_adjusted:
        notes.append(
            "Nothing was adjusted for. Ancestry and site can link variants with images without "
            "any biology; give confounders."
        )
    for each in found:
        if each.run.failed:
            notes.append(
                f"{each.method.label}: {each.run.failed} of {len(each.run.correlations)} outer "
                "fits did not converge and count as no association."
            )
        if each.selection is None:
            notes.append(f"{each.method.label}: no candidate converged in all samples.")
    return tuple(notes)
