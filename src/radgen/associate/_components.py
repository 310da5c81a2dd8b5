"""What the heritability functions share: shares, tests and intervals of variance components."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FitError
from radgen.stats.tail import chi2_log10p
from radgen.stats.variance_components import Blocks, ComponentFit, fit_components
from radgen.types import VARIANT_COLUMNS, ArrayDosages, GenotypeMatrix

__all__ = ["Shares", "holder_of", "mixture_log10p", "profile_limits", "share_of", "wald_limits"]

Array = NDArray[np.float64]
_LOG10_2 = 0.3010299956639812
_HALF = 1.959963984540054
_DROP = 0.5 * 3.841458820694124


@dataclass(frozen=True, eq=False, slots=True)
class Shares:
    """Each component's share of the total variance (n_components,), and its standard error."""

    value: Array
    se: Array


def share_of(fit: ComponentFit) -> Shares:
    """Return shares of the sum of all components; the SE is NaN where a component is at 0."""
    total = fit.theta.sum()
    value = fit.theta / total
    # d share_i / d theta_j = (delta_ij - share_i) / total
    slope = (np.eye(len(value)) - value[:, None]) / total
    variance = np.einsum("ij,jk,ik->i", slope, fit.covariance, slope)
    at_zero = np.diag(fit.covariance) == 0.0
    se = np.where(at_zero, np.nan, np.sqrt(np.maximum(variance, 0.0)))
    return Shares(value, se)


def mixture_log10p(gain: float) -> float:
    """Return log10 p of twice a gain in log likelihood, the null at the edge of the range.

    The statistic is half a chi-square with one degree of freedom, half 0; p is 1 at 0.
    """
    return float(chi2_log10p(gain, 1)) - _LOG10_2 if gain > 1e-8 else 0.0


def wald_limits(value: float, se: float) -> tuple[float, float]:
    """Return the 95 % limits of a share, kept within 0 and 1."""
    return max(value - _HALF * se, 0.0), min(value + _HALF * se, 1.0)


def profile_limits(
    blocks: Sequence[Blocks], which: int, fit: ComponentFit, *, restricted: bool
) -> tuple[float, float]:
    """Return the 95 % profile-likelihood limits of one component's share; the last is residual.

    With the share held at h, the covariance is t (h K_w + (1 - h) K_e) plus multiples of the
    other components less the residual one, so that the profile is one more linear fit.
    """
    n_components = len(fit.theta)
    best = float(fit.theta[which] / fit.theta.sum())
    others = [j for j in range(n_components - 1) if j != which]
    total = float(fit.theta.sum())

    def lost(h: float) -> float:
        turned = [
            Blocks(
                part.y,
                part.x,
                np.stack(
                    [h * part.k[which] + (1.0 - h) * part.k[-1]]
                    + [part.k[j] - part.k[-1] for j in others]
                ),
            )
            for part in blocks
        ]
        room = max(1.0 - h, 1e-6)
        scale = min(1.0, 0.9 * room / max(sum(fit.theta[j] for j in others) / total, 1e-12))
        start = [total, *(scale * float(fit.theta[j]) for j in others)]
        try:
            own = fit_components(
                turned, bounded=[True] * len(start), restricted=restricted, start=start
            )
        except FitError:
            return 1e6  # no such model: beyond the limit
        return fit.log_likelihood - own.log_likelihood - _DROP

    return _edge(lost, best, 0.0), _edge(lost, best, 1.0)


def _edge(lost: Callable[[float], float], best: float, end: float) -> float:
    """Return where the loss crosses 0 between the best value and an end; the end if nowhere."""
    from scipy.optimize import brentq

    limit = end if end == 0.0 else 1.0 - 1e-6
    if abs(best - limit) < 1e-6 or lost(limit) <= 0:
        return end
    return float(brentq(lost, best, limit, xtol=1e-6))


def holder_of(samples: Sequence[str]) -> GenotypeMatrix:
    """Return a genotype matrix without variants, so that samples are matched in one way only."""
    empty = pl.DataFrame(schema=dict.fromkeys(VARIANT_COLUMNS, pl.String))
    dosages = ArrayDosages(np.empty((0, len(samples)), np.float32))
    return GenotypeMatrix(tuple(samples), empty, dosages)
