"""Nested cross-validation against plain scikit-learn of the same design.

The peer is what one writes by hand: a Pipeline (imputation, ranks, selection, scaling, ridge
logistic regression) in GridSearchCV over the same inner folds, for every model of the comparison,
on the same outer folds. Both give the AUC within folds, checked to be equal.

Run: ``python benchmarks/bench_predict.py [--large] [--whole]``. ``--large`` adds 500 samples x
2,000 features with selection; ``--whole`` times the evaluation with curves and HTML report.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from radgen import predict
from radgen.predict.engine import _inner, run_fold
from radgen.predict.learners import PENALTY_STEPS
from radgen.predict.planning import set_up
from radgen.predict.preprocess import block_steps
from radgen.predict.scores import estimates
from radgen.predict.tables import by_repeat
from radgen.report import ReportInput, Section, write_report
from radgen.types import Outcome, PhenotypeTable


class Ridge(ClassifierMixin, BaseEstimator):
    """scikit-learn's logistic regression with a penalty per training row."""

    def __init__(self, step: float = 1.0) -> None:
        self.step = step

    def fit(self, X: Any, y: Any) -> Ridge:
        self.model_ = LogisticRegression(
            C=1 / (self.step * len(X)), solver="lbfgs", tol=1e-9, max_iter=5000
        ).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: Any) -> Any:
        return self.model_.predict_proba(X)


def cohort(n: int, p: int, seed: int = 0) -> tuple[dict[str, Any], Outcome]:
    """Return images with a volume and correlated features, clinical data and an outcome."""
    rng = np.random.default_rng(seed)
    ids = tuple(f"s{k}" for k in range(n))
    hidden = rng.normal(size=(n, max(p // 8, 3)))
    x = hidden @ rng.normal(size=(hidden.shape[1], p)) / np.sqrt(hidden.shape[1])
    x += 0.5 * rng.normal(size=(n, p))
    y = (hidden[:, 0] + rng.normal(size=n) > 0.3).astype(float)
    names = [f"f{j}" for j in range(p - 1)] + ["original_shape_MeshVolume"]
    frame = pl.DataFrame({"sample": ids} | {name: x[:, j] for j, name in enumerate(names)})
    age = rng.normal(60, 10, n) + 5 * y
    clinic = pl.DataFrame({"sample": ids, "age": age, "sex": rng.integers(0, 2, n)})
    blocks = {"imaging": PhenotypeTable.from_frame(frame), "clinical": clinic}
    return blocks, Outcome("EGFR", "binary", ids, y)


def by_hand(setup: Any) -> dict[str, float]:
    """Return the AUC of every model, each fold and model by its own grid search."""
    tasks = setup.tasks()
    blocks = {block.name: block for block in setup.common["blocks"]}
    out = {}
    for plan in setup.plans:
        if not plan.blocks:
            continue
        values = np.hstack([blocks[name].values for name in plan.blocks])
        pipeline = _pipeline([blocks[name] for name in plan.blocks], setup.common)
        scores = np.zeros((1 + max(t.split.repeat for t in tasks), setup.design.n))
        fold = np.zeros_like(scores, dtype=int)
        for task in tasks:
            train, test = task.split.train, task.split.test
            place = {int(row): k for k, row in enumerate(train)}
            cv = [([place[int(i)] for i in a], [place[int(i)] for i in b]) for a, b in _inner(task)]
            sizes = np.array([len(b) for _, b in cv])
            search = GridSearchCV(
                pipeline, {"model__step": PENALTY_STEPS}, cv=cv, scoring="neg_log_loss",
                refit=_weighted(sizes), n_jobs=1,
            ).fit(values[train], task.target[train])  # fmt: skip
            scores[task.split.repeat, test] = search.predict_proba(values[test])[:, 1]
            fold[task.split.repeat, test] = task.split.fold
        out[plan.name] = _auc(setup.design.target, scores, fold)
    return out


def _weighted(sizes: np.ndarray) -> Any:
    def choose(found: dict[str, Any]) -> int:
        rows = [found[f"split{k}_test_score"] for k in range(len(sizes))]
        return int(np.argmax(np.round(sizes @ np.array(rows) / sizes.sum(), 10)))

    return choose


def _pipeline(blocks: list[Any], common: dict[str, Any]) -> Pipeline:
    parts, start = [], 0
    for block in blocks:
        width = block.values.shape[1]
        steps = block_steps(block, selection=common["selection"], n_selected=common["n_selected"])
        kept = [(name, clone(step)) for name, step in steps if step is not None]
        parts.append((block.name, Pipeline(kept), slice(start, start + width)))
        start += width
    return Pipeline([("blocks", ColumnTransformer(parts)), ("model", Ridge())])


def _auc(y: np.ndarray, scores: np.ndarray, fold: np.ndarray) -> float:
    values = []
    for row, place in zip(scores, fold, strict=True):
        good = pairs = 0.0
        for k in np.unique(place):
            one, zero = row[(place == k) & (y > 0.5)], row[(place == k) & (y < 0.5)]
            gap = one[:, None] - zero[None, :]
            good += (gap > 0).sum() + 0.5 * (gap == 0).sum()
            pairs += gap.size
        values.append(good / pairs)
    return float(np.mean(values))


def compare(title: str, n: int, p: int, **settings: Any) -> None:
    """Time both sides and print the ratio; values must agree."""
    blocks, outcome = cohort(n, p)
    setup = set_up(blocks, outcome, seed=1, **settings)
    begun = time.perf_counter()
    outputs = [run_fold(task) for task in setup.tasks()]
    ours = time.perf_counter() - begun
    tracemalloc.start()
    run_fold(setup.tasks()[0])
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    begun = time.perf_counter()
    peer = by_hand(setup)
    theirs = time.perf_counter() - begun
    worst = 0.0
    for name, value in peer.items():
        folds = by_repeat(outputs, name, setup.design.n)
        found = estimates("binary", setup.design.target, folds)["auc"].value
        worst = max(worst, abs(found - value))
    fits = sum(len(item.log) for item in outputs)
    print(
        f"{title:44s} radgen {ours:7.2f} s   scikit-learn by hand {theirs:7.2f} s   ratio "
        f"{theirs / ours:5.1f}   largest AUC difference {worst:.1e}   {fits:,} fits logged, "
        f"peak of a fold {peak:.0f} MiB",
        flush=True,
    )
    if worst > 2e-3:
        raise SystemExit("The two sides disagree.")


def whole(title: str, n: int, p: int, **settings: Any) -> None:
    """Time an evaluation with everything, and its report."""
    blocks, outcome = cohort(n, p)
    begun = time.perf_counter()
    found = predict.evaluate(blocks, outcome, seed=1, **settings)
    middle = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = ReportInput(study="Benchmark", sections=(Section("EGFR", (found,)),))
        write_report(report, Path(folder) / "report.html")
    end = time.perf_counter()
    print(
        f"{title:44s} evaluation {middle - begun:6.1f} s   report {end - middle:5.1f} s", flush=True
    )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    small = {"folds": 10, "repeats": 1, "inner_folds": 5}
    compare("60 x 40, 10 outer x 5 inner folds, 4 models", 60, 40, **small)
    large = {"folds": 5, "repeats": 1, "inner_folds": 5, "selection": "correlation+univariate"}
    if given.large:
        options = large | {"baselines": False, "folds": 2}
        compare("500 x 2,000 with selection, 2 x 5, 1 model", 500, 2000, **options)
    if given.whole:
        whole("60 x 40, 5 x 10 nested, all baselines", 60, 40, folds=10, repeats=5, inner_folds=10)
        whole("500 x 2,000, 5 x 5 nested, selection", 500, 2000, **(large | {"repeats": 5}))


if __name__ == "__main__":
    main()
