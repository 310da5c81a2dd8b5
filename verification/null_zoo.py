"""Thirteen ways to make noise predict, three pipelines of the field, and radgen on the same noise.

In every scenario the outcome is unrelated to the images. Ours must be 0.5 (or 0 for Youden's
index) within 4 standard errors; the deliberately wrong variant must not be, so that the check
is known to sing. Run ``python verification/null_zoo.py [draws]`` (default 40); status 1 on failure.

The three pipelines at the end are written anew in the order of steps that users of such tools
often choose; they are not the tools, which can be used rightly too.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from sklearn.cross_decomposition import PLSRegression
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from radgen import predict
from radgen.phenotype import ComBat
from radgen.predict import RidgeLogistic
from radgen.predict.preprocess import UnivariateSelector
from radgen.stats.discrimination import auc, roc_curve
from radgen.types import Outcome, PhenotypeTable

Array = np.ndarray
N, P = 60, 40


def noise(seed: int, n: int = N, p: int = P, share: float = 0.5) -> tuple[Array, Array]:
    """Return features and an unrelated outcome."""
    rng = np.random.default_rng([404, seed])
    y = rng.permutation((np.arange(n) < share * n).astype(float))
    return rng.normal(size=(n, p)), y


def ours(x: Array, y: Array, seed: int, metric: str = "auc", **settings: Any) -> float:
    """Return radgen's estimate for the images alone."""
    ids = [f"s{k}" for k in range(len(y))]
    for key in ("groups", "sites"):
        if key in settings:
            settings[key] = dict(zip(ids, settings[key], strict=True))
    frame = pl.DataFrame({"sample": ids} | {f"f{j}": x[:, j] for j in range(x.shape[1])})
    table = PhenotypeTable.from_frame(frame)
    plan = {"folds": 5, "repeats": 1, "inner_folds": 2, "bootstrap": 0} | settings
    found = predict.evaluate(
        {"noise": table}, Outcome("coin", "binary", tuple(ids), y), seed=seed, **plan
    )
    if metric == "youden":
        parts = [found.estimate("imaging only", m)["estimate"] for m in _RATES]
        return float(sum(parts) - 1)
    return float(found.estimate("imaging only")["estimate"])


_RATES = ("sensitivity", "specificity")


def naive(x: Array, y: Array, seed: int, model: Any = None) -> float:
    """Return the AUC of plain cross-validation on whatever was prepared before."""
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    fitted = predict.RidgeLogistic(1.0) if model is None else model
    return auc(y, cross_val_predict(fitted, x, y, cv=folds, method="predict_proba")[:, 1])


def selection(seed: int) -> tuple[float, float]:
    """Select features on all rows."""
    x, y = noise(seed, p=200)
    right = ours(x, y, seed, selection="univariate", n_selected=8)
    return right, naive(UnivariateSelector(8).fit(x, y).transform(x), y, seed)


def oversampling(seed: int) -> tuple[float, float]:
    """Copy rows of the rare class before the split."""
    x, y = noise(seed, share=0.25)
    rare = np.flatnonzero(y > 0.5)
    more = np.concatenate((np.arange(N), rare, rare))
    return ours(x, y, seed), naive(x[more], y[more], seed, KNeighborsClassifier(3))


def lesions(seed: int) -> tuple[float, float]:
    """Split lesions of one patient between training and test."""
    x, y = noise(seed)
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(N), 3)
    many = x[rows] + 0.3 * rng.normal(size=(3 * N, P))
    right = ours(many, y[rows], seed, groups=[f"p{k}" for k in rows])
    return right, naive(many, y[rows], seed, KNeighborsClassifier(3))


def protected(seed: int) -> tuple[float, float]:
    """Keep the outcome as a covariate of ComBat on all rows."""
    x, y = noise(seed, p=150)
    rng = np.random.default_rng(seed)
    site = (rng.random(N) < np.where(y > 0.5, 0.8, 0.2)).astype(int)
    flat = ComBat().fit(x, batch=site, covariates=y).transform(x, batch=site, covariates=y)
    right = ours(x, y, seed, harmonise="combat", sites=[f"site{k}" for k in site])
    return right, naive(flat, y, seed)


def tuning(seed: int) -> tuple[float, float]:
    """Report the best of many settings as the performance."""
    x, y = noise(seed)
    rng = np.random.default_rng(seed)
    best = max(naive(x[:, rng.permutation(P)[:10]], y, seed) for _ in range(30))
    return ours(x, y, seed), best


def cut_point(seed: int) -> tuple[float, float]:
    """Choose the cut-point on the test predictions (Youden's index + 0.5 is shown)."""
    x, y = noise(seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    score = cross_val_predict(
        predict.RidgeLogistic(1.0), x, y, cv=folds, method="decision_function"
    )
    alarms, hits, _ = roc_curve(y, score)
    return ours(x, y, seed, metric="youden") + 0.5, float((hits - alarms).max()) + 0.5


def copies(seed: int) -> tuple[float, float]:
    """Have every patient twice under two ids."""
    x, y = noise(seed)
    twice, truth = np.vstack((x, x)), np.tile(y, 2)
    right = ours(twice, truth, seed, groups=[f"p{k % N}" for k in range(2 * N)])
    return right, naive(twice, truth, seed, KNeighborsClassifier(1))


def confounded(seed: int) -> tuple[float, float]:
    """Let sites differ in prevalence and in scanner."""
    x, y = noise(seed, n=90)
    rng = np.random.default_rng(seed)
    site = np.arange(90) % 3
    y = (rng.random(90) < np.array([0.2, 0.5, 0.8])[site]).astype(float)
    shifted = x + site[:, None]
    names = [f"site{k}" for k in site]
    return ours(shifted, y, seed, sites=names, scheme="leave-site-out"), naive(shifted, y, seed)


def class_imputation(seed: int) -> tuple[float, float]:
    """Fill missing values with the mean of the row's class."""
    x, y = noise(seed)
    rng = np.random.default_rng(seed)
    holes = rng.random(x.shape) < 0.3
    open_, filled = np.where(holes, np.nan, x), x.copy()
    for level in (0.0, 1.0):
        rows = y == level
        filled[rows] = np.where(holes[rows], np.nanmean(open_[rows], axis=0), x[rows])
    return ours(open_, y, seed), naive(filled, y, seed)


def target_encoding(seed: int) -> tuple[float, float]:
    """Replace categories by the mean outcome of all their rows."""
    _, y = noise(seed)
    code = np.random.default_rng(seed).integers(0, 20, size=(N, 4))
    encoded = np.column_stack(
        [[y[column == value].mean() for value in column] for column in code.T]
    )
    onehot = np.hstack([(column[:, None] == np.arange(20)).astype(float) for column in code.T])
    onehot = onehot[:, onehot.sum(axis=0) > 3]
    return ours(onehot, y, seed), naive(encoded, y, seed)


def best_seed(seed: int) -> tuple[float, float]:
    """Report the luckiest of thirty random splits."""
    x, y = noise(seed)
    return ours(x, y, seed), max(naive(x, y, 1000 * seed + k) for k in range(30))


def supervised_reduction(seed: int) -> tuple[float, float]:
    """Fit partial least squares on all rows, then cross-validate its scores."""
    x, y = noise(seed)
    scores = PLSRegression(2).fit(x, y).transform(x)
    right = ours(x, y, seed, selection=UnivariateSelector(5))
    return right, naive(np.asarray(scores), y, seed)


def own_scaling(seed: int) -> tuple[float, float]:
    """Scale cases and controls, who came as two cohorts, each by its own mean and spread."""
    x, y = noise(seed)
    apart = x.copy()
    for level in (0.0, 1.0):
        rows = y == level
        apart[rows] = (x[rows] - x[rows].mean(axis=0)) / x[rows].std(axis=0)
    return ours(x, y, seed), naive(apart, y, seed)


def harmonise_then_search(seed: int) -> tuple[float, float]:
    """Style of WORC: ComBat of all rows keeps the outcome, then random splits, search, ensemble."""
    x, y = noise(seed, p=150)
    rng = np.random.default_rng(seed)
    site = (rng.random(N) < np.where(y > 0.5, 0.8, 0.2)).astype(int)
    flat = ComBat().fit(x, batch=site, covariates=y).transform(x, batch=site, covariates=y)
    scores = []
    for split in range(8):
        folds = StratifiedShuffleSplit(1, test_size=0.2, random_state=100 * seed + split)
        train, test = next(folds.split(flat, y))
        ranked = []
        for number in range(8):
            k, penalty = int(rng.choice([5, 10, 20, 40])), float(rng.choice([0.1, 1, 10, 100]))
            keep = UnivariateSelector(k).fit(flat[train], y[train]).get_support()
            value = naive(flat[train][:, keep], y[train], seed + number, RidgeLogistic(penalty))
            ranked.append((value, keep, penalty))
        best = sorted(ranked, key=lambda item: -item[0])[:3]
        votes = [
            RidgeLogistic(c).fit(flat[train][:, k], y[train]).predict_proba(flat[test][:, k])[:, 1]
            for _, k, c in best
        ]
        scores.append(auc(y[test], np.mean(votes, axis=0)))
    right = ours(x, y, seed, harmonise="combat", sites=[f"site{k}" for k in site])
    return right, float(np.mean(scores))


def best_of_many_pipelines(seed: int) -> tuple[float, float]:
    """Style of FAE: many pipelines by cross-validation, selection within folds; best one told."""
    x, y = noise(seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    found = []
    for scaler in (StandardScaler(), MinMaxScaler()):
        for k in (1, 2, 4, 8, 12):
            for model in (RidgeLogistic(1.0), KNeighborsClassifier(5), GaussianNB()):
                pipeline = make_pipeline(scaler, UnivariateSelector(k), model)
                p = cross_val_predict(pipeline, x, y, cv=folds, method="predict_proba")[:, 1]
                found.append(auc(y, p))
    return ours(x, y, seed, selection="univariate", n_selected=8), max(found)


def scale_and_select_first(seed: int) -> tuple[float, float]:
    """Style of ImageGene: standardise and keep the associated features, then cross-validate."""
    x, y = noise(seed, p=200)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    strength = np.abs((y - y.mean()) @ z)
    kept = z[:, np.argsort(-strength)[:10]]
    right = ours(x, y, seed, selection="univariate", n_selected=10)
    return right, naive(kept, y, seed)


SCENARIOS: tuple[Callable[[int], tuple[float, float]], ...] = (
    selection, oversampling, lesions, protected, tuning, cut_point, copies, confounded,
    class_imputation, target_encoding, best_seed, supervised_reduction, own_scaling,
)  # fmt: skip

PIPELINES = (harmonise_then_search, best_of_many_pipelines, scale_and_select_first)


def main(draws: int) -> int:
    """Run all scenarios and return the exit status."""
    warnings.simplefilter("ignore")
    failed = 0
    for number, scenario in enumerate((*SCENARIOS, *PIPELINES)):
        # Noise of its own for each scenario: else one lucky draw would show in all of them.
        table = np.array([scenario(1000 * number + seed) for seed in range(draws)])
        mean, error = table.mean(axis=0), table.std(axis=0, ddof=1) / np.sqrt(draws)
        away = np.abs(mean - 0.5) / error
        good = away[0] < 4 and away[1] > 4
        failed += not good
        print(
            f"{scenario.__name__:24s} ours {mean[0]:.3f} ± {error[0]:.3f}   wrong {mean[1]:.3f} ± "
            f"{error[1]:.3f}   {'as it must be' if good else 'FAILED'}",
            flush=True,
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
