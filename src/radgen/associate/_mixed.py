"""Pairs where a patient has several samples: a random intercept of the patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from radgen.associate._pairs import PairBlock, blank_block
from radgen.stats import linear
from radgen.stats.clustered import random_intercept
from radgen.stats.tail import t_quantile

__all__ = ["mixed_block", "n_clusters"]

Array = NDArray[np.float64]


def mixed_block(
    traits: Array,
    predictors: Array,
    z: Array | None,
    confidence: float,
    *,
    clusters: NDArray[np.int64],
) -> PairBlock:
    """Linear model with a random intercept of each cluster; t with Satterthwaite's df.

    `clusters` numbers the patient of each sample, (n_samples,).
    """
    out = blank_block(predictors, traits)
    for column in range(traits.shape[1]):
        known = np.isfinite(traits[:, column])
        for x_rows, x_cols in linear.patterns(predictors):
            rows = known & x_rows
            part = predictors[np.ix_(rows, x_cols)]
            sub_z = None if z is None else z[rows]
            fit = random_intercept(traits[rows, column], part, sub_z, clusters[rows])
            for name in ("effect", "se", "df", "log10p"):
                getattr(out, name)[x_cols, column] = getattr(fit, name)
            out.statistic[x_cols, column] = fit.t
            out.code[x_cols, column] = fit.status
    half = t_quantile(0.5 + confidence / 2, out.df) * out.se
    return replace(out, ci_low=out.effect - half, ci_high=out.effect + half)


def n_clusters(
    there: NDArray[np.bool_], known: NDArray[np.bool_], clusters: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many clusters have a sample where both sides hold.

    Parameters
    ----------
    there : ndarray of bool (n_samples, n_predictors)
        One side.
    known : ndarray of bool (n_samples, n_traits)
        The other side.
    clusters : ndarray of int64 (n_samples,)
        Numbers of the clusters.

    Returns
    -------
    ndarray of int64 (n_predictors, n_traits)
        Numbers of clusters.
    """
    member = (clusters[:, None] == np.unique(clusters)).astype(np.float64)
    out = np.zeros((there.shape[1], known.shape[1]), dtype=np.int64)
    for row in range(len(out)):
        both = (there[:, [row]] & known).astype(np.float64)
        out[row] = (member.T @ both > 0).sum(axis=0)
    return out
