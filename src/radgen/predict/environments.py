"""How models do at sites and scanners that they never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from radgen._core.naming import require_choice
from radgen._core.rng import derive_seed, spawn
from radgen.errors import InputError, shown
from radgen.phenotype.select import VarianceFilter
from radgen.predict._environments import all_features, read_environments
from radgen.predict.learners import loss
from radgen.predict.ridge import linear_path, logistic_path
from radgen.predict.selection.invariant import AnchorRegression, InvariantSelector
from radgen.predict.selection.sparse import SparseSelector
from radgen.predict.selection.stability import StabilitySelector
from radgen.stats.discrimination import auc
from radgen.types import Outcome, Result

__all__ = ["EnvironmentResult", "leave_environment_out"]

FloatArray = NDArray[np.float64]
Rows = NDArray[np.int64]
Method = Literal["nothing", "ridge", "lasso", "stability", "invariant", "anchor"]
_METHODS: tuple[Method, ...] = ("nothing", "ridge", "lasso", "stability", "invariant", "anchor")
_PENALTIES = 10.0 ** np.arange(1.0, -3.1, -1.0)
_GAMMAS = (1.0, 4.0, 16.0, 64.0)


@dataclass(frozen=True, eq=False)
class EnvironmentResult(Result):
    """How models that were selected in different ways do in an environment they never saw.

    Attributes
    ----------
    frame : polars.DataFrame
        ``method, scheme, environment, estimate, n, n_features``: the metric in each environment,
        of models trained on the others ("leave-environment-out") or on folds that mix all
        environments ("mixed folds"), and the environments' mean ("all") and least ("worst").
    differences : polars.DataFrame
        ``method, against, difference, ci_low, ci_high``: mean over left-out environments, with a
        percentile interval of patients drawn within environments.
    outcome, metric : str
    """

    kind: ClassVar[str] = "environments"

    differences: pl.DataFrame = field(default_factory=pl.DataFrame)
    outcome: str = ""
    metric: str = "auc"

    def value(self, method: str, scheme: str, environment: str = "all") -> float:
        """Return an estimate."""
        rows = self.frame.filter(
            (pl.col("method") == method)
            & (pl.col("scheme") == scheme)
            & (pl.col("environment") == environment)
        )
        return float(rows["estimate"][0])

    def statements(self) -> tuple[str, ...]:
        """Return how each way of selection does elsewhere, and whether it beats the lasso."""
        words = {"auc": "AUC", "correlation": "correlation"}[self.metric]
        texts = []
        for method in self.params["methods"]:
            out, mixed = (self.value(method, s) for s in ("leave-environment-out", "mixed folds"))
            worst = self.value(method, "leave-environment-out", "worst")
            texts.append(
                f"{method}: {words} of {self.outcome} {out:.2f} in environments that were left out "
                f"(worst {worst:.2f}), {mixed:.2f} where folds mix environments."
            )
        for row in self.differences.iter_rows(named=True):
            sure = row["ci_low"] > 0 or row["ci_high"] < 0
            better = "better" if row["difference"] > 0 else "worse"
            verdict = better if sure else "no evidence of a difference"
            span = f"{row['ci_low']:+.3f} to {row['ci_high']:+.3f}"
            texts.append(
                f"{row['method']} against {row['against']} in left-out environments: "
                f"{row['difference']:+.3f} ({span}), {verdict}."
            )
        return tuple(texts)

    def methods(self) -> str:
        """Return the methods paragraph."""
        places = self.params["environments"]
        return (
            f"Each of {len(places)} environments ({', '.join(places)}) was left out in turn; "
            f"models of the others, selected by {', '.join(self.params['methods'])} and refitted "
            "by ridge regression, were judged in it. Penalties were chosen by leaving out "
            "environments within the training rows. The same models were cross-validated in "
            "folds that mix environments."
        )


def leave_environment_out(
    blocks: Mapping[str, Any],
    outcome: Outcome,
    environments: Mapping[str, str],
    *,
    seed: int,
    methods: Sequence[Method] = ("nothing", "ridge", "lasso", "stability", "invariant", "anchor"),
    against: Method = "lasso",
    bootstrap: int = 500,
    alpha: float = 0.05,
) -> EnvironmentResult:
    """Return how ways of selecting features do in environments that were left out.

    Parameters
    ----------
    blocks : mapping of str to table
        As in `radgen.predict.evaluate`.
    outcome : Outcome
        Continuous or binary.
    environments : mapping of sample to str
        Site, scanner or centre; those with fewer than eight samples or one class are left out.
    seed : int
        Of folds, halves and the bootstrap.
    methods : sequence of str
        "nothing" (the training mean), "ridge" (all features), "lasso", "stability", "invariant"
        (invariant causal prediction), "anchor" (anchor regression).
    against : str, default "lasso"
        The method with which the others are compared.
    bootstrap : int, default 500
        Draws of the intervals of differences.
    alpha : float, default 0.05
        Level of invariant causal prediction.

    Returns
    -------
    EnvironmentResult
        AUC of a binary outcome, correlation of a continuous one.

    Raises
    ------
    InputError
        If fewer than three environments are large enough, or a method is unknown.
    """
    for item in (*methods, against):
        require_choice(item, _METHODS, what="method")
    design, place, notes = read_environments(blocks, outcome, environments)
    names = sorted(set(place.tolist()))
    if len(names) < 3:
        raise InputError(
            f"Only {len(names)} environments are large enough ({shown(names)}); three are needed "
            "to leave one out and still have two."
        )
    values = all_features(design)[1]
    task = _Task(values, design.target, design.kind, place, seed, alpha)
    splits = {
        "leave-environment-out": [np.flatnonzero(place == name) for name in names],
        "mixed folds": _mixed(design.target, design.kind, len(names), seed),
    }
    rows: list[tuple[Any, ...]] = []
    scores: dict[str, FloatArray] = {}
    wanted = list(dict.fromkeys([*methods, against]))
    for method in wanted:
        for scheme, tests in splits.items():
            score, sizes = task.run(method, tests)
            rows += [(method, scheme, *row) for row in _rows(task, score, names, sizes)]
            if scheme == "leave-environment-out":
                scores[method] = score
    columns = ["method", "scheme", "environment", "estimate", "n", "n_features"]
    return EnvironmentResult(
        frame=pl.DataFrame(rows, schema=columns, orient="row"),
        params={
            "methods": wanted, "environments": names, "seed": seed, "against": against,
            "bootstrap": bootstrap, "alpha": alpha,
        },
        n_used=design.n,
        dropped=design.dropped,
        warnings=notes,
        differences=_differences(task, scores, against, names, bootstrap),
        outcome=outcome.name,
        metric="auc" if design.kind == "binary" else "correlation",
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Task:
    """Features, outcome and environment of each row."""

    values: FloatArray
    target: FloatArray
    kind: str
    place: NDArray[Any]
    seed: int
    alpha: float

    def metric(self, rows: Rows, score: FloatArray) -> float:
        """Return AUC or correlation; NaN where it is undefined."""
        truth = self.target[rows]
        if self.kind == "binary":
            known = 0 < truth.sum() < len(truth)
            return float(auc(truth, score[rows])) if known else float("nan")
        if np.ptp(score[rows]) == 0 or np.ptp(truth) == 0:
            return 0.0
        return float(np.corrcoef(truth, score[rows])[0, 1])

    def run(self, method: Method, tests: Sequence[Rows]) -> tuple[FloatArray, list[int]]:
        """Return held-out scores (n,) and the number of features of each model."""
        score, sizes = np.zeros(len(self.target)), []
        for test in tests:
            train = np.setdiff1d(np.arange(len(self.target)), test)
            score[test], size = self._predict(method, train, test)
            sizes.append(size)
        return score, sizes

    def _predict(self, method: Method, train: Rows, test: Rows) -> tuple[FloatArray, int]:
        if method == "nothing":
            return np.full(len(test), self.target[train].mean()), 0
        x_train, x_test = _prepared(self.values[train], self.values[test])
        y, place = self.target[train], self.place[train]
        inner = [np.flatnonzero(place == name) for name in np.unique(place)]
        if method == "anchor":
            return self._anchor(x_train, x_test, y, place, inner), x_train.shape[1]
        keep = self._selected(method, x_train, y, place)
        x_train, x_test = x_train[:, keep], x_test[:, keep]
        return self._ridge(x_train, x_test, y, inner), int(keep.sum())

    def _selected(
        self, method: Method, x: FloatArray, y: FloatArray, place: NDArray[Any]
    ) -> NDArray[np.bool_]:
        if method == "ridge":
            return np.ones(x.shape[1], dtype=bool)
        seed = derive_seed(self.seed, "selection", method) % 2**32
        if method == "lasso":
            return SparseSelector(random_state=seed).fit(x, y).support_
        if method == "stability":
            return StabilitySelector(random_state=seed).fit(x, y).support_
        return InvariantSelector(alpha=self.alpha).fit(x, y, environments=place).support_

    def _path(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        penalties = _PENALTIES * len(x)
        return (logistic_path if self.kind == "binary" else linear_path)(x, y, penalties)

    def _ridge(
        self, x_train: FloatArray, x_test: FloatArray, y: FloatArray, inner: list[Rows]
    ) -> FloatArray:
        total = np.zeros(len(_PENALTIES))
        for held in inner:
            rest = np.setdiff1d(np.arange(len(y)), held)
            if np.ptp(y[rest]) == 0:
                continue
            beta, intercept = self._path(x_train[rest], y[rest])
            eta = x_train[held] @ beta.T + intercept
            total += [len(held) * self._loss(y[held], column) for column in eta.T]
        beta, intercept = self._path(x_train, y)
        best = int(np.argmin(total))
        return np.asarray(x_test @ beta[best] + intercept[best])

    def _loss(self, y: FloatArray, eta: FloatArray) -> float:
        return loss(self.kind, y, 1 / (1 + np.exp(-eta)) if self.kind == "binary" else eta)

    def _anchor(
        self,
        x_train: FloatArray,
        x_test: FloatArray,
        y: FloatArray,
        place: NDArray[Any],
        inner: list[Rows],
    ) -> FloatArray:
        grid = [(gamma, penalty) for gamma in _GAMMAS for penalty in _PENALTIES]
        total = np.zeros(len(grid))
        for held in inner:
            rest = np.setdiff1d(np.arange(len(y)), held)
            for k, (gamma, penalty) in enumerate(grid):
                model = AnchorRegression(gamma=gamma, penalty=penalty)
                model.fit(x_train[rest], y[rest], environments=place[rest])
                total[k] += ((model.predict(x_train[held]) - y[held]) ** 2).sum()
        gamma, penalty = grid[int(np.argmin(total))]
        model = AnchorRegression(gamma=gamma, penalty=penalty).fit(x_train, y, environments=place)
        return model.predict(x_test)


def _prepared(train: FloatArray, test: FloatArray) -> tuple[FloatArray, FloatArray]:
    steps = (
        SimpleImputer(strategy="median", keep_empty_features=True),
        VarianceFilter(),
        StandardScaler(),
    )
    for step in steps:
        train = np.asarray(step.fit_transform(train))
        test = np.asarray(step.transform(test))
    return train, np.clip(test, -10, 10)


def _mixed(target: FloatArray, kind: str, folds: int, seed: int) -> list[Rows]:
    rng = spawn(seed, "mixed folds")
    strata = target if kind == "binary" else np.zeros(len(target))
    fold = np.empty(len(target), dtype=np.int64)
    for level in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == level))
        fold[rows] = np.arange(len(rows)) % folds
    return [np.flatnonzero(fold == k) for k in range(folds)]


def _rows(
    task: _Task, score: FloatArray, names: Sequence[str], sizes: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Return environment, estimate, rows and mean number of features, mean and worst last."""
    middle, total = float(np.mean(sizes)), len(task.target)
    places = [np.flatnonzero(task.place == name) for name in names]
    found = np.array([task.metric(at, score) for at in places])
    rows: list[tuple[Any, ...]] = [
        (name, float(value), len(at), middle)
        for name, value, at in zip(names, found, places, strict=True)
    ]
    known = found[np.isfinite(found)]
    for name, value in (("all", known.mean()), ("worst", known.min())):
        rows.append((name, float(value), total, middle))
    return rows


def _differences(
    task: _Task,
    scores: Mapping[str, FloatArray],
    against: str,
    names: Sequence[str],
    bootstrap: int,
) -> pl.DataFrame:
    places = [np.flatnonzero(task.place == name) for name in names]

    def mean(method: str, draw: Callable[[Rows], Rows]) -> float:
        return float(np.nanmean([task.metric(draw(at), scores[method]) for at in places]))

    rng = spawn(task.seed, "bootstrap of environments")
    draws = [
        {id(at): at[rng.integers(0, len(at), len(at))] for at in places} for _ in range(bootstrap)
    ]
    base = np.array([mean(against, lambda at, d=d: d[id(at)]) for d in draws])
    rows = []
    for method in scores:
        if method == against:
            continue
        gap = mean(method, lambda at: at) - mean(against, lambda at: at)
        drawn = np.array([mean(method, lambda at, d=d: d[id(at)]) for d in draws]) - base
        low, high = np.nanquantile(drawn, [0.025, 0.975]) if bootstrap else (np.nan, np.nan)
        rows.append((method, against, gap, float(low), float(high)))
    columns = ["method", "against", "difference", "ci_low", "ci_high"]
    return pl.DataFrame(rows, schema=columns, orient="row")
