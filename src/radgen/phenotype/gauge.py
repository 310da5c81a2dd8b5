"""How well the batch can be read from the features, before and after harmonisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import clone

from radgen._core.rng import spawn
from radgen.errors import InputError, shown
from radgen.phenotype.harmonise import ComBat
from radgen.phenotype.select import RankNormaliser
from radgen.stats.discrimination import auc_interval
from radgen.types import PhenotypeTable, Result, align

__all__ = ["BatchGauge", "batch_gauge"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BatchGauge(Result):
    """Cross-validated predictability of the batch.

    Attributes
    ----------
    frame : polars.DataFrame
        ``stage, batch, auc, ci_low, ci_high, n, n_batch``: each batch against the rest. Stages are
        "before", "after" (harmonised within training folds, as a model of new patients meets
        it) and "after, fitted to all rows" (as a table is usually harmonised once).
    """

    kind: ClassVar[str] = "batch_gauge"

    def mean(self, stage: str) -> float:
        """Return the mean AUC over batches, weighted by their size."""
        rows = self.frame.filter(pl.col("stage") == stage)
        return float(np.average(rows["auc"].to_numpy(), weights=rows["n_batch"].to_numpy()))

    def statements(self) -> tuple[str, ...]:
        """Return what the features say about the batch before and after harmonisation."""
        before, after = self.mean("before"), self.mean("after")
        every = self.mean("after, fitted to all rows")
        text = (
            f"The batch can be read from the features with a mean AUC of {before:.2f} before "
            f"harmonisation, {every:.2f} after it was fitted to all rows, and {after:.2f} in new "
            "rows after it was fitted to training folds (0.50 = not at all)."
        )
        return (text,)

    def methods(self) -> str:
        """Return the methods paragraph."""
        return (
            f"Batch effects were gauged by predicting the batch from the features (ridge logistic "
            f"regression, {self.params['folds']}-fold cross-validation), before and after "
            f"{self.params['harmoniser']} fitted in the training folds."
        )


def batch_gauge(
    table: PhenotypeTable,
    batch: Mapping[str, str],
    *,
    seed: int,
    harmoniser: Any = None,
    folds: int = 5,
    min_size: int = 10,
    penalty: float = 1.0,
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
        Of the folds.
    harmoniser : estimator or None
        With ``batch=`` in fit and transform; None = `ComBat`. It is fitted in training folds
        and applied to test rows, as in use.
    folds : int, default 5
        Of the cross-validation, stratified by batch.
    min_size : int, default 10
        Batches with fewer samples are left out.
    penalty : float, default 1.0
        Ridge penalty.

    Returns
    -------
    BatchGauge
        AUC per batch and stage with DeLong intervals; below 0.5 after harmonisation is expected
        by the design of cross-validation (test rows are moved by training means).

    Raises
    ------
    InputError
        If fewer than two batches are large enough.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    matched = align({"phenotypes": table.samples, "batches": list(batch)})
    labels = np.array([str(batch[item]) for item in matched.samples], dtype=object)
    values = np.asarray(table.values)[matched.rows["phenotypes"]]
    names, count = np.unique(labels, return_counts=True)
    usable = [str(n) for n, c in zip(names, count, strict=True) if c >= max(min_size, folds)]
    if len(usable) < 2:
        raise InputError(
            f"Only {len(usable)} batches have {max(min_size, folds)} samples: "
            f"{shown(f'{n} ({c})' for n, c in zip(names, count, strict=True))}."
        )
    keep = np.isin(labels, usable)
    labels, values = labels[keep], values[keep]
    values = values[:, np.isfinite(values).any(axis=0) & (np.nanstd(values, axis=0) > 0)]
    fold = _folds(labels, folds, seed)
    remover = ComBat() if harmoniser is None else harmoniser
    model = LogisticRegression(C=1 / penalty, max_iter=1000)
    with threadpool_limits(limits=1):
        rows = _measure(values, labels, fold, usable, remover=remover, model=model)
    columns = ["stage", "batch", "auc", "ci_low", "ci_high", "n", "n_batch"]
    params = {
        "folds": folds, "harmoniser": type(remover).__name__, "min_size": min_size, "seed": seed,
    }  # fmt: skip
    return BatchGauge(
        frame=pl.DataFrame(rows, schema=columns, orient="row"), params=params, n_used=len(labels)
    )


def _measure(
    values: FloatArray,
    labels: NDArray[Any],
    fold: NDArray[np.int64],
    usable: list[str],
    *,
    remover: Any,
    model: Any,
) -> list[tuple[Any, ...]]:
    from sklearn.preprocessing import StandardScaler

    rows = []
    everything = _impute(values, values)[0]
    flat = (
        clone(remover)
        .fit(RankNormaliser().fit_transform(everything), batch=labels)
        .transform(RankNormaliser().fit_transform(everything), batch=labels)
    )
    for stage in ("before", "after", "after, fitted to all rows"):
        score = np.zeros((len(labels), len(usable)))
        for k in range(int(fold.max()) + 1):
            train, test = fold != k, fold == k
            x_train, x_test = _impute(values[train], values[test])
            ranks = RankNormaliser().fit(x_train)
            x_train, x_test = ranks.transform(x_train), ranks.transform(x_test)
            if stage == "after, fitted to all rows":
                x_train, x_test = flat[train], flat[test]
            elif stage == "after":
                fitted = clone(remover).fit(x_train, batch=labels[train])
                x_train = fitted.transform(x_train, batch=labels[train])
                x_test = fitted.transform(x_test, batch=labels[test])
            scale = StandardScaler().fit(x_train)
            z_train, z_test = scale.transform(x_train), scale.transform(x_test)
            for j, name in enumerate(usable):
                fit = clone(model).fit(z_train, labels[train] == name)
                score[test, j] = fit.decision_function(z_test)
        for j, name in enumerate(usable):
            found = auc_interval(labels == name, score[:, j])
            size = int((labels == name).sum())
            rows.append((stage, name, found.auc, found.ci_low, found.ci_high, len(labels), size))
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
