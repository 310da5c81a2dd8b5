"""How well the batch can be read from the features, before and after harmonisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import clone

from radgen._core.naming import require_choice
from radgen._core.rng import derive_seed, spawn
from radgen.errors import InputError, shown
from radgen.phenotype._combat import tie_share
from radgen.phenotype.harmonise import MAX_TIES, ComBat
from radgen.phenotype.select import RankNormaliser
from radgen.stats.discrimination import auc_interval
from radgen.stats.ksample import anderson_columns
from radgen.types import PhenotypeTable, Result, align

__all__ = ["BatchGauge", "batch_gauge"]

FloatArray = NDArray[np.float64]
Reader = Literal["linear", "forest"]
_BEFORE, _AFTER, _ALL = "before", "after", "after, fitted to all rows"
_NEW = "after, read among new rows"
_SHUFFLED = "after, read among new rows, batches shuffled"


@dataclass(frozen=True, eq=False)
class BatchGauge(Result):
    """Cross-validated predictability of the batch.

    Attributes
    ----------
    frame : polars.DataFrame
        ``reader, stage, batch, auc, ci_low, ci_high, n, n_batch``: each batch against the rest.
        Readers are "linear" (ridge logistic regression) and "forest" (random forest). Stages:
        "before"; "after" (harmonised within training folds; what a model that was trained on
        harmonised rows knows of the batch of new ones); "after, fitted to all rows" (as a table
        is usually harmonised once); "after, read among new rows" (fitted to one half, the reader
        cross-validated in the other: what is truly left); and, where wanted, the same for
        shuffled batches, which have no effect: more than 0.5 is the error of estimating it.
    differing : mapping of stage to float
        Share of features whose distribution differs between batches (Anderson-Darling, 5 %).
    """

    kind: ClassVar[str] = "batch_gauge"

    differing: Mapping[str, float] = field(default_factory=dict)

    def mean(self, stage: str, reader: str = "linear") -> float:
        """Return the mean AUC over batches, weighted by their size."""
        rows = self.frame.filter((pl.col("stage") == stage) & (pl.col("reader") == reader))
        if not rows.height:
            raise InputError(f"The gauge has no stage {stage!r} of a {reader!r} reader.")
        return float(np.average(rows["auc"].to_numpy(), weights=rows["n_batch"].to_numpy()))

    def statements(self) -> tuple[str, ...]:
        """Return what the features say about the batch before and after harmonisation."""
        names = {"linear": "A linear model", "forest": "A random forest"}
        texts = []
        for reader in self.params["readers"]:
            before, after, every = (self.mean(s, reader) for s in (_BEFORE, _AFTER, _ALL))
            texts.append(
                f"{names[reader]} reads the batch from the features with a mean AUC of "
                f"{before:.2f} before harmonisation, {every:.2f} after it was fitted to all rows, "
                f"and {after:.2f} in new rows after it was fitted to training folds "
                "(0.50 = not at all)."
            )
            left = (
                f"A reader trained on new rows finds {self.mean(_NEW, reader):.2f} after "
                "harmonisation was fitted to the other half of the rows"
            )
            if self.params["shuffles"]:
                left += (
                    f"; of batches drawn at random, {self.mean(_SHUFFLED, reader):.2f}: the part "
                    "that estimation errors write"
                )
            texts.append(left + ".")
        texts.append(
            f"{self.differing[_BEFORE]:.0%} of features differ in distribution between batches "
            f"before, {self.differing[_AFTER]:.0%} of new rows after (5 % by chance)."
        )
        return tuple(texts)

    def methods(self) -> str:
        """Return the methods paragraph."""
        readers = {
            "linear": "ridge logistic regression",
            "forest": "a random forest of 100 trees",
        }
        how = " and ".join(readers[item] for item in self.params["readers"])
        return (
            f"Batch effects were gauged by predicting the batch from the features ({how}, "
            f"{self.params['folds']}-fold cross-validation), before and after "
            f"{self.params['harmoniser']} fitted in the training folds, and by the share of "
            "features whose distribution differs between batches (k-sample Anderson-Darling "
            "test, 5 %)."
        )


def batch_gauge(
    table: PhenotypeTable,
    batch: Mapping[str, str],
    *,
    seed: int,
    harmoniser: Any = None,
    readers: Sequence[Reader] = ("linear", "forest"),
    folds: int = 5,
    min_size: int = 10,
    penalty: float = 1.0,
    max_ties: float = MAX_TIES,
    shuffles: int = 0,
) -> BatchGauge:
    """Return how well each batch is told from the others, before and after harmonisation.

    Features are mapped to normal scores *before* harmonisation. The other order would undo it:
    a feature with many equal values, shifted by a hair in one batch, splits into two values,
    and ranks turn the hair into a gulf.

    Parameters
    ----------
    table : PhenotypeTable
        Features; missing values are replaced by the training median.
    batch : mapping of sample to batch
        Site, scanner maker …
    seed : int
        Of folds, forests and shuffles.
    harmoniser : estimator or None
        With ``batch=`` in fit and transform; None = `ComBat`. It is fitted in training folds
        and applied to test rows, as in use.
    readers : sequence of {"linear", "forest"}
        Models that try to read the batch. What a linear model cannot read a forest may.
    folds : int, default 5
        Of the cross-validation, stratified by batch.
    min_size : int, default 10
        Batches with fewer samples are left out.
    penalty : float, default 1.0
        Ridge penalty of the linear reader.
    max_ties : float, default 0.05
        Features of which more than this share of pairs of rows are equal are left out, as
        models that harmonise leave them out (see `ComBat`).
    shuffles : int, default 0
        How often batches are shuffled, to see what harmonisation itself writes.

    Returns
    -------
    BatchGauge
        AUC per batch and stage with DeLong intervals; below 0.5 after harmonisation is expected
        by the design of cross-validation (test rows are moved by training means).

    Raises
    ------
    InputError
        If fewer than two batches are large enough, or no feature is left.
    """
    from threadpoolctl import threadpool_limits

    for reader in readers:
        require_choice(reader, ("linear", "forest"), what="reader")
    values, labels, usable = _rows(table, batch, max(min_size, folds))
    alive = np.isfinite(values).any(axis=0) & (np.nanstd(values, axis=0) > 0)
    untied = tie_share(values) <= max_ties
    if not (alive & untied).any():
        raise InputError("No feature varies, or all of them have too many equal values.")
    notes = ()
    if (alive & ~untied).any():
        notes = (f"{int((alive & ~untied).sum())} features with many equal values were left out.",)
    values = values[:, alive & untied]
    task = _Task(
        values, _folds(labels, folds, seed), ComBat() if harmoniser is None else harmoniser,
        tuple(readers), penalty, seed,
    )  # fmt: skip
    with threadpool_limits(limits=1):
        rows, differing = _measure(task, labels, usable)
        if shuffles:
            rows += _shuffled(task, labels, usable, shuffles)
    columns = ["reader", "stage", "batch", "auc", "ci_low", "ci_high", "n", "n_batch"]
    params = {
        "folds": folds, "harmoniser": type(task.remover).__name__, "min_size": min_size,
        "seed": seed, "readers": list(readers), "shuffles": shuffles, "max_ties": max_ties,
    }  # fmt: skip
    return BatchGauge(
        frame=pl.DataFrame(rows, schema=columns, orient="row"),
        params=params,
        n_used=len(labels),
        warnings=notes,
        differing=differing,
    )


@dataclass(frozen=True, eq=False)
class _Task:
    """What stays the same over stages: features, fold of each row, estimators."""

    values: FloatArray
    fold: NDArray[np.int64]
    remover: Any
    readers: tuple[Reader, ...]
    penalty: float
    seed: int

    def prepared(
        self, labels: NDArray[Any], stage: str
    ) -> list[tuple[NDArray[Any], NDArray[Any], FloatArray, FloatArray]]:
        """Return for each fold its training rows, test rows and their features."""
        flat = None
        if stage == _ALL:
            scores = RankNormaliser().fit_transform(_impute(self.values, self.values)[0])
            fitted = clone(self.remover).fit(scores, batch=labels)
            flat = fitted.transform(scores, batch=labels)
        out = []
        for k in range(int(self.fold.max()) + 1):
            train, test = np.flatnonzero(self.fold != k), np.flatnonzero(self.fold == k)
            x_train, x_test = _impute(self.values[train], self.values[test])
            ranks = RankNormaliser().fit(x_train)
            x_train, x_test = ranks.transform(x_train), ranks.transform(x_test)
            if flat is not None:
                x_train, x_test = flat[train], flat[test]
            elif stage != _BEFORE:
                fitted = clone(self.remover).fit(x_train, batch=labels[train])
                x_train = fitted.transform(x_train, batch=labels[train])
                x_test = fitted.transform(x_test, batch=labels[test])
            out.append((train, test, x_train, x_test))
        return out

    def halves(
        self, labels: NDArray[Any]
    ) -> list[tuple[NDArray[Any], NDArray[Any], FloatArray, FloatArray]]:
        """Return the parts of readers within halves that were harmonised by the other half."""
        half = _folds(labels, 2, self.seed)
        out = []
        for k in (0, 1):
            learn, new = np.flatnonzero(half != k), np.flatnonzero(half == k)
            x_learn, x_new = _impute(self.values[learn], self.values[new])
            ranks = RankNormaliser().fit(x_learn)
            fitted = clone(self.remover).fit(ranks.transform(x_learn), batch=labels[learn])
            flat = fitted.transform(ranks.transform(x_new), batch=labels[new])
            fold = _folds(labels[new], int(self.fold.max()) + 1, self.seed)
            for j in range(int(fold.max()) + 1):
                train, test = np.flatnonzero(fold != j), np.flatnonzero(fold == j)
                out.append((new[train], new[test], flat[train], flat[test]))
        return out

    def score(
        self, reader: Reader, labels: NDArray[Any], wanted: list[str], parts: list[Any]
    ) -> FloatArray:
        """Return out-of-fold scores (n, n_batches) of a reader."""
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        score = np.zeros((len(labels), len(wanted)))
        for train, test, x_train, x_test in parts:
            for j, name in enumerate(wanted):
                truth = labels[train] == name
                if reader == "linear":
                    scale = StandardScaler().fit(x_train)
                    model = LogisticRegression(C=1 / self.penalty, max_iter=1000)
                    model.fit(scale.transform(x_train), truth)
                    score[test, j] = model.decision_function(scale.transform(x_test))
                else:
                    seed = derive_seed(self.seed, "forest", name) % 2**32
                    forest = RandomForestClassifier(100, min_samples_leaf=3, random_state=seed)
                    score[test, j] = forest.fit(x_train, truth).predict_proba(x_test)[:, 1]
        return score


def _rows(
    table: PhenotypeTable, batch: Mapping[str, str], need: int
) -> tuple[FloatArray, NDArray[Any], list[str]]:
    matched = align({"phenotypes": table.samples, "batches": list(batch)})
    labels = np.array([str(batch[item]) for item in matched.samples], dtype=object)
    values = np.asarray(table.values)[matched.rows["phenotypes"]]
    names, count = np.unique(labels, return_counts=True)
    usable = [str(n) for n, c in zip(names, count, strict=True) if c >= need]
    if len(usable) < 2:
        raise InputError(
            f"Only {len(usable)} batches have {need} samples: "
            f"{shown(f'{n} ({c})' for n, c in zip(names, count, strict=True))}."
        )
    keep = np.isin(labels, usable)
    return values[keep], labels[keep], usable


def _measure(
    task: _Task, labels: NDArray[Any], usable: list[str]
) -> tuple[list[tuple[Any, ...]], dict[str, float]]:
    rows: list[tuple[Any, ...]] = []
    differing = {}
    for stage in (_BEFORE, _AFTER, _ALL):
        parts = task.prepared(labels, stage)
        seen = np.empty(task.values.shape)
        for _, test, _, x_test in parts:
            seen[test] = x_test
        found = anderson_columns(seen, labels.astype(str))
        differing[stage] = float(found.differs(0.05).mean())
        rows += _read(task, stage, labels, usable, parts)
    return rows + _read(task, _NEW, labels, usable, task.halves(labels)), differing


def _read(
    task: _Task, stage: str, labels: NDArray[Any], usable: list[str], parts: list[Any]
) -> list[tuple[Any, ...]]:
    rows = []
    for reader in task.readers:
        rows += _read_by(task, reader, (stage, labels, usable), parts)
    return rows


def _read_by(
    task: _Task, reader: Reader, what: tuple[str, NDArray[Any], list[str]], parts: list[Any]
) -> list[tuple[Any, ...]]:
    stage, labels, usable = what
    two = len(usable) == 2
    score = task.score(reader, labels, usable[:1] if two else usable, parts)
    rows = []
    for j, name in enumerate(usable):
        found = auc_interval(labels == name, -score[:, 0] if two and j else score[:, j])
        size = int((labels == name).sum())
        rows.append(
            (reader, stage, name, found.auc, found.ci_low, found.ci_high, len(labels), size)
        )
    return rows


def _shuffled(
    task: _Task, labels: NDArray[Any], usable: list[str], shuffles: int
) -> list[tuple[Any, ...]]:
    """Return the mean AUC of shuffled batches; the interval is that of the mean."""
    found: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for k in range(shuffles):
        mixed = spawn(task.seed, "shuffled batches", k).permutation(labels)
        for row in _read(task, _SHUFFLED, mixed, usable, task.halves(mixed)):
            found.setdefault((row[0], row[2]), []).append(row)
    rows = []
    for group in found.values():
        auc = np.array([row[3] for row in group])
        half = 1.96 * float(auc.std(ddof=1) / np.sqrt(len(auc))) if len(auc) > 1 else np.nan
        middle = float(auc.mean())
        rows.append((*group[0][:3], middle, middle - half, middle + half, *group[0][6:]))
    return rows


def _folds(labels: NDArray[Any], folds: int, seed: int) -> NDArray[np.int64]:
    out = np.empty(len(labels), dtype=np.int64)
    rng = spawn(seed, "batch gauge")
    start = 0
    for name in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == name))
        out[rows] = (np.arange(len(rows)) + start) % folds
        start += len(rows)
    return out


def _impute(train: FloatArray, test: FloatArray) -> tuple[FloatArray, FloatArray]:
    middle = np.nan_to_num(np.nanmedian(train, axis=0))
    return np.where(np.isfinite(train), train, middle), np.where(np.isfinite(test), test, middle)
