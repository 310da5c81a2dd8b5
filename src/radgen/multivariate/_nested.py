"""One method through nested resampling: tuned inside, judged outside, refitted to halves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from radgen._core.rng import derive_seed, spawn
from radgen.errors import FitError
from radgen.multivariate.adjusted import Adjusted, Residuals
from radgen.multivariate.methods import Method

__all__ = ["Design", "Run", "Selection", "held_out", "select"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Design:
    """The blocks and how they are resampled.

    Attributes
    ----------
    x, y : ndarray of float64 (n_samples, n_features)
        The two blocks.
    z : ndarray of float64 (n_samples, n_confounders) or None
        Confounders.
    groups : tuple of str or None
        Gene of each variant.
    folds, repeats, inner : int
        Outer folds, repeats of them, inner folds.
    seed : int
        Folds depend on it alone.
    """

    x: Array
    y: Array
    z: Array | None
    groups: tuple[str, ...] | None
    folds: int
    repeats: int
    inner: int
    seed: int

    def shuffled(self, k: int) -> Design:
        """Return the design under the null: what confounders leave of y is permuted.

        Both blocks keep their relation to the confounders (Freedman and Lane).
        """
        residuals = Residuals(self.y, self.z).of(self.y, self.z)
        order = spawn(self.seed, "compare-null", k).permutation(len(self.y))
        fitted = self.y - residuals
        return Design(
            self.x, fitted + residuals[order], self.z, self.groups, self.folds, 1, self.inner,
            self.seed,
        )  # fmt: skip

    def rows(self, index: NDArray[np.int64]) -> tuple[Array, Array, Array | None]:
        """Return the blocks and confounders of some rows."""
        return self.x[index], self.y[index], None if self.z is None else self.z[index]


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """Held-out correlations of one method.

    Attributes
    ----------
    correlations : ndarray of float64 (n_repeats * n_folds,)
        Of the first pair of scores in each outer test set; 0 where the model chose nothing.
    failed : int
        Outer fits that did not converge with any candidate, counted as 0.
    seconds : float
        Wall time.
    """

    correlations: Array
    failed: int
    seconds: float


@dataclass(frozen=True, eq=False, slots=True)
class Selection:
    """What one method selects in all samples and in disjoint halves.

    Attributes
    ----------
    x_weights, y_weights : ndarray of float64 (n_features,)
        First pair of the fit to all samples, on columns of unit variance.
    frequency : ndarray of float64 (n_x,)
        How often a variant is among the `top` in half samples.
    overlap : ndarray of float64 (n_pairs, 2)
        Kuncheva index and Jaccard index of the two halves.
    settings : str
        The chosen candidate.
    """

    x_weights: Array
    y_weights: Array
    frequency: Array
    overlap: Array
    settings: str


def held_out(method: Method, design: Design) -> Run:
    """Return the held-out correlations of a method, tuned within each training set.

    Parameters
    ----------
    method : Method
        What is judged.
    design : Design
        Blocks and folds.

    Returns
    -------
    Run
        Every choice, and the confounders' coefficients, are made in training rows.
    """
    began = time.perf_counter()
    found, failed = [], 0
    n = len(design.x)
    for repeat in range(design.repeats):
        for k, (train, test) in enumerate(_folds(n, design.folds, design.seed, "outer", repeat)):
            seed = derive_seed(design.seed, "compare", repeat, k)
            model = _tuned(method, design, train, seed)
            if model is None:
                found.append(0.0)
                failed += 1
                continue
            x, y, z = design.rows(test)
            found.append(model.score(x, y, confounders=z))
    return Run(np.array(found), failed, time.perf_counter() - began)


def select(method: Method, design: Design, *, top: int, n_pairs: int) -> Selection | None:
    """Return what a method selects: in all samples, and how alike in disjoint halves.

    Parameters
    ----------
    method : Method
        What is judged.
    design : Design
        Blocks.
    top : int
        Strongest variants that count as selected.
    n_pairs : int
        Random splits into two halves; settings are those chosen in all samples.

    Returns
    -------
    Selection or None
        None where no candidate converges.
    """
    everybody = np.arange(len(design.x))
    model = _tuned(method, design, everybody, derive_seed(design.seed, "compare-all"))
    if model is None:
        return None
    p = design.x.shape[1]
    count, overlap = np.zeros(p), []
    for k in range(n_pairs):
        order = spawn(design.seed, "compare-halves", k).permutation(len(everybody))
        sets = []
        for half in (order[: len(order) // 2], order[len(order) // 2 :]):
            again = _fitted(clone(model.model), design, half)
            chosen = np.zeros(p, dtype=np.bool_)
            if again is not None:
                chosen[_strongest(_standard_weights(again, design, half)[0], top)] = True
            count += chosen
            sets.append(chosen)
        overlap.append(_overlap(sets[0], sets[1], top))
    x_weights, y_weights = _standard_weights(model, design, everybody)
    changed = {
        key: value
        for key, value in model.model.get_params().items()
        if value != type(model.model)().get_params().get(key) and key != "x_groups"
    }
    settings = ", ".join(f"{key}={_short(value)}" for key, value in sorted(changed.items()))
    return Selection(
        x_weights, y_weights, count / (2 * n_pairs), np.array(overlap), settings or "defaults"
    )


def _tuned(method: Method, design: Design, rows: NDArray[np.int64], seed: int) -> Adjusted | None:
    """Return the best candidate by inner folds, fitted to all of these rows."""
    x, y, z = design.rows(rows)
    left, right = Residuals(x, z).of(x, z), Residuals(y, z).of(y, z)
    candidates = method.candidates(left, right, design.groups, seed)
    if len(candidates) == 1:
        return _fitted(candidates[0], design, rows)
    score = np.zeros(len(candidates))
    for train, test in _folds(len(rows), design.inner, seed, "inner", 0):
        a, b, c = design.rows(rows[test])
        for i, candidate in enumerate(candidates):
            model = _fitted(clone(candidate), design, rows[train])
            if model is not None:
                score[i] += np.arctanh(np.clip(model.score(a, b, confounders=c), -0.999, 0.999))
    for i in np.argsort(-score, kind="stable"):
        best = _fitted(candidates[i], design, rows)
        if best is not None:
            return best
    return None


def _fitted(candidate: Any, design: Design, rows: NDArray[np.int64]) -> Adjusted | None:
    x, y, z = design.rows(rows)
    try:
        return Adjusted(candidate).fit(x, y, confounders=z)
    except FitError:  # one candidate that does not settle is no reason to lose the others
        return None


def _folds(
    n: int, k: int, seed: int, what: str, repeat: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    order = spawn(seed, f"compare-{what}", repeat).permutation(n)
    parts = np.array_split(order, k)
    return [
        (np.sort(np.concatenate([p for j, p in enumerate(parts) if j != i])), np.sort(part))
        for i, part in enumerate(parts)
    ]


def _standard_weights(
    model: Adjusted, design: Design, rows: NDArray[np.int64]
) -> tuple[Array, Array]:
    x, y, z = design.rows(rows)
    a, b = model.pair_weights_
    spread_x = model.x_residuals_.of(x, z).std(axis=0)
    spread_y = model.y_residuals_.of(y, z).std(axis=0)
    left, right = a * spread_x, b * spread_y
    sign = 1.0 if right[np.argmax(np.abs(right))] >= 0 else -1.0
    return (
        sign * left / max(float(np.linalg.norm(left)), 1e-300),
        sign * right / max(float(np.linalg.norm(right)), 1e-300),
    )


def _strongest(weights: Array, top: int) -> NDArray[np.int64]:
    order = np.argsort(-np.abs(weights), kind="stable")[:top]
    return order[weights[order] != 0]


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_], top: int) -> tuple[float, float]:
    """Return the Kuncheva index, generalised to sets of unlike size, and the Jaccard index."""
    both, size_a, size_b, p = int((a & b).sum()), int(a.sum()), int(b.sum()), len(a)
    either = int((a | b).sum())
    expected = size_a * size_b / p
    most = min(size_a, size_b)
    kuncheva = (both - expected) / (most - expected) if most > expected else 0.0
    return kuncheva, both / either if either else 0.0


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 4:
        return "given"
    return str(value)
