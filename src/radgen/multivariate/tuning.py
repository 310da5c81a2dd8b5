"""Choose penalties by permutation or cross-validation, and count how often a feature is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold

from radgen._core.progress import progress
from radgen._core.rng import derive_seed, spawn
from radgen.errors import InputError
from radgen.multivariate.sparse_cca import SparseCCA
from radgen.types import Result

__all__ = [
    "SelectionFrequency",
    "TunedPenalty",
    "cca_cross_validation",
    "cca_permutation",
    "selection_frequency",
]


@dataclass(frozen=True, eq=False)
class TunedPenalty(Result):
    """Penalties with their evidence; `frame` has a row a pair of penalties.

    Attributes
    ----------
    best_x_penalty, best_y_penalty : float
        The chosen pair.
    p : float
        Permutation p of the chosen pair, corrected for having looked at all pairs; NaN for
        cross-validation.
    """

    kind: ClassVar[str] = "tuned_penalty"

    best_x_penalty: float = float("nan")
    best_y_penalty: float = float("nan")
    p: float = float("nan")


@dataclass(frozen=True, eq=False)
class SelectionFrequency(Result):
    """How often each feature has a non-zero weight in subsamples; one row a feature."""

    kind: ClassVar[str] = "selection_frequency"


def cca_permutation(
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    penalties: Sequence[tuple[float, float]],
    seed: int,
    n_permutations: int = 100,
    params: Mapping[str, Any] | None = None,
) -> TunedPenalty:
    """Return penalties chosen by how far the correlation stands above its permutation null.

    Rows of `y` are permuted against `X`; for each pair of penalties the first correlation is
    compared with its permuted values on Fisher's z scale. The p-value of the winner is that of
    the largest z over all pairs (max-z), so that the search is paid for.

    Parameters
    ----------
    X : ndarray of float (n_samples, n_x_features)
        First block.
    y : ndarray of float (n_samples, n_y_features)
        Second block.
    penalties : sequence of (float, float)
        Pairs (x_penalty, y_penalty) to try.
    seed : int
        Permutation k is the same whatever else is computed.
    n_permutations : int, default 100
        Number m of permutations; p = (b + 1) / (m + 1).
    params : mapping or None
        Further parameters of `SparseCCA`.

    Returns
    -------
    TunedPenalty
        Columns ``x_penalty, y_penalty, correlation, null_mean, null_sd, z, p, n_x, n_y``.

    Raises
    ------
    InputError
        If no penalty is given, or fewer than 10 permutations.

    Notes
    -----
    Within one permutation each pair of penalties starts from the weights of the pair before it.

    References
    ----------
    Witten, Tibshirani (2009), Stat Appl Genet Mol Biol 8:28, algorithm 3.
    """
    pairs = _pairs(penalties)
    if n_permutations < 10:
        raise InputError(f"{n_permutations} permutations are too few; take at least 10.")
    extra = dict(params or {})
    observed, models = _path(X, y, pairs, extra)
    null = np.empty((n_permutations, len(pairs)))
    with progress("Permuting", n_permutations) as tick:
        for k in range(n_permutations):
            order = spawn(seed, "cca-permutation", k).permutation(len(X))
            null[k], _ = _path(X, y[order], pairs, extra)
            tick(1)
    z_observed, z_null = np.arctanh(_inside(observed)), np.arctanh(_inside(null))
    centre, spread = z_null.mean(axis=0), z_null.std(axis=0, ddof=1)
    z = (z_observed - centre) / spread
    best = int(np.argmax(z))
    # the observed run is one of m + 1 exchangeable ones: all are scaled by the same m + 1 values
    everything = np.vstack([z_null, z_observed])
    scaled = (everything - everything.mean(axis=0)) / everything.std(axis=0, ddof=1)
    *largest, found = scaled.max(axis=1)
    frame = pl.DataFrame(
        {
            "x_penalty": [a for a, _ in pairs],
            "y_penalty": [b for _, b in pairs],
            "correlation": observed,
            "null_mean": np.tanh(centre),
            "null_sd": spread,
            "z": z,
            "p": (1 + (null >= observed).sum(axis=0)) / (1 + n_permutations),
            "n_x": [int(np.count_nonzero(m.x_weights_[:, 0])) for m in models],
            "n_y": [int(np.count_nonzero(m.y_weights_[:, 0])) for m in models],
        }
    )
    return TunedPenalty(
        frame,
        {"n_permutations": n_permutations, "seed": seed, **extra},
        len(X),
        best_x_penalty=pairs[best][0],
        best_y_penalty=pairs[best][1],
        p=float((1 + (np.array(largest) >= found).sum()) / (1 + n_permutations)),
    )


def cca_cross_validation(
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    penalties: Sequence[tuple[float, float]],
    seed: int,
    n_folds: int = 5,
    params: Mapping[str, Any] | None = None,
) -> TunedPenalty:
    """Return penalties chosen by the held-out correlation of the first pair of scores.

    Parameters
    ----------
    X, y : ndarray of float (n_samples, n_features)
        The two blocks.
    penalties : sequence of (float, float)
        Pairs (x_penalty, y_penalty) to try.
    seed : int
        Seed of the folds.
    n_folds : int, default 5
        Number of folds.
    params : mapping or None
        Further parameters of `SparseCCA`.

    Returns
    -------
    TunedPenalty
        Columns ``x_penalty, y_penalty, held_out, held_out_sd``; the scores of all held-out rows
        are pooled after standardising within each fold.

    Notes
    -----
    The held-out correlation of the *chosen* pair is optimistic, as any chosen maximum is; nest
    this call in another split for an honest figure.
    """
    pairs = _pairs(penalties)
    extra = dict(params or {})
    folds = KFold(n_folds, shuffle=True, random_state=derive_seed(seed, "cca-cv") % 2**32)
    found = np.empty((n_folds, len(pairs)))
    for k, (train, test) in enumerate(folds.split(X)):
        _, models = _path(X[train], y[train], pairs, extra)
        found[k] = [model.score(X[test], y[test]) for model in models]
    mean = np.tanh(np.arctanh(_inside(np.nan_to_num(found))).mean(axis=0))
    best = int(np.argmax(mean))
    frame = pl.DataFrame(
        {
            "x_penalty": [a for a, _ in pairs],
            "y_penalty": [b for _, b in pairs],
            "held_out": mean,
            "held_out_sd": found.std(axis=0, ddof=1),
        }
    )
    return TunedPenalty(
        frame,
        {"n_folds": n_folds, "seed": seed, **extra},
        len(X),
        best_x_penalty=pairs[best][0],
        best_y_penalty=pairs[best][1],
    )


def selection_frequency(
    model: Any,
    X: NDArray[Any],
    y: NDArray[Any],
    *,
    seed: int,
    n_subsamples: int = 100,
    fraction: float = 0.5,
    names: Sequence[str] | None = None,
) -> SelectionFrequency:
    """Return how often each feature of X has a non-zero weight in random subsamples.

    Parameters
    ----------
    model : estimator
        With ``fit(X, y)`` and afterwards ``x_weights_`` or ``coef_``; it is cloned.
    X, y : ndarray of float (n_samples, n_features)
        The two blocks.
    seed : int
        Subsample k is the same whatever else is computed.
    n_subsamples : int, default 100
        Number of subsamples, drawn without replacement.
    fraction : float, default 0.5
        Size of a subsample.
    names : sequence of str or None
        Names of the features of X.

    Returns
    -------
    SelectionFrequency
        Columns ``feature, frequency, ci_low, ci_high`` (Wilson interval of the frequency),
        in falling order of frequency.

    References
    ----------
    Meinshausen, Buehlmann (2010), J R Stat Soc B 72:417.
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction is {fraction}; it lies in (0, 1).")
    size = round(fraction * len(X))
    count = np.zeros(X.shape[1])
    with progress("Subsampling", n_subsamples) as tick:
        for k in range(n_subsamples):
            rows = spawn(seed, "subsample", k).choice(len(X), size, replace=False)
            fitted = clone(model).fit(X[rows], y[rows])
            weights = fitted.x_weights_ if hasattr(fitted, "x_weights_") else fitted.coef_
            count += np.any(np.asarray(weights).reshape(X.shape[1], -1) != 0, axis=1)
            tick(1)
    rate, n = count / n_subsamples, n_subsamples
    z = 1.959963984540054
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    frame = pl.DataFrame(
        {
            "feature": list(names) if names is not None else [f"x{i}" for i in range(X.shape[1])],
            "frequency": rate,
            "ci_low": np.maximum(centre - half, 0.0),
            "ci_high": np.minimum(centre + half, 1.0),
        }
    ).sort("frequency", descending=True, maintain_order=True)
    return SelectionFrequency(
        frame, {"n_subsamples": n_subsamples, "fraction": fraction, "seed": seed}, len(X)
    )


def _path(
    X: NDArray[Any], y: NDArray[Any], pairs: Sequence[tuple[float, float]], extra: Mapping[str, Any]
) -> tuple[NDArray[np.float64], list[SparseCCA]]:
    """Fit all pairs of penalties, each from the weights of the one before (warm starts)."""
    models: list[SparseCCA] = []
    start = None
    for x_penalty, y_penalty in pairs:
        model = SparseCCA(x_penalty=x_penalty, y_penalty=y_penalty, **extra).fit(X, y, start=start)
        start = model.y_weights_
        models.append(model)
    return np.array([model.correlations_[0] for model in models]), models


def _pairs(penalties: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    pairs = sorted({(float(a), float(b)) for a, b in penalties}, reverse=True)
    if not pairs:
        raise InputError("Give at least one pair of penalties.")
    return pairs


def _inside(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(correlation, -1 + 1e-12, 1 - 1e-12)
