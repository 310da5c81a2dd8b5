"""Effect modification: does the association of a pair change with a covariate."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from radgen.associate._pairs import Kernel, PairBlock, group_sizes
from radgen.stats import linear

__all__ = ["interaction_block"]

Array = NDArray[np.float64]


def interaction_block(
    kernel: Kernel,
    traits: Array,
    predictors: Array,
    z: Array | None,
    *,
    modifier: Array,
    confidence: float,
) -> PairBlock:
    """Return tests of predictor x modifier, adjusted for both and for the covariates.

    Parameters
    ----------
    kernel : callable
        A test that adjusts for covariates.
    traits : ndarray of float64 (n_samples, n_traits)
        NaN = missing.
    predictors : ndarray of float64 (n_samples, n_predictors)
        NaN = missing.
    z : ndarray of float64 (n_samples, n_covariates) or None
        Finite.
    modifier : ndarray of float64 (n_samples,)
        Finite.
    confidence : float
        Coverage of the intervals.

    Returns
    -------
    PairBlock
        The effect is the change of the predictor's slope per unit of the modifier.
    """
    parts = []
    for column in range(predictors.shape[1]):
        x = predictors[:, column]
        known = np.isfinite(x)
        # Centring changes no test of the product, and keeps its digits.
        middle, spread = modifier.mean(), (modifier.std() or 1.0)
        centre = x[known].mean() if known.any() else 0.0
        product = ((x - centre) * (modifier - middle) / spread)[known]
        sides = [modifier, x] if z is None else [z, modifier, x]
        adjusted = np.column_stack(sides)[known]
        block = kernel(traits[known], product[:, None], adjusted, confidence)
        block = _unscaled(block, spread)
        block.n_group1[:] = group_sizes(x[known][:, None], np.isfinite(traits[known]))
        block.code[block.code == linear.CONSTANT_PREDICTOR] = linear.COLLINEAR
        parts.append(block)
    return PairBlock(
        *(
            np.concatenate([getattr(part, item.name) for part in parts])
            for item in fields(PairBlock)
        )
    )


def _unscaled(block: PairBlock, spread: float) -> PairBlock:
    values = {item.name: getattr(block, item.name) for item in fields(block)}
    for name in ("effect", "se", "ci_low", "ci_high"):
        values[name] = values[name] / spread
    for name in ("n_group1", "code"):
        values[name] = np.array(values[name])
    return PairBlock(**values)
