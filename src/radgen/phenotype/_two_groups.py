"""Two hidden groups of samples, seen in a feature with two modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TwoGroups", "find_two_groups"]

FloatArray = NDArray[np.float64]
_STEPS, _TOLERANCE, _FLOOR = 500, 1e-8, 1e-3


@dataclass(frozen=True)
class TwoGroups:
    """A mixture of two normal distributions of one feature.

    Attributes
    ----------
    feature : int
        Column of the feature.
    share, mean, sd : tuple of float (2,)
        Of the lower and the upper group.
    gain : float
        Akaike's criterion of one normal distribution less that of two.
    """

    feature: int
    share: tuple[float, float]
    mean: tuple[float, float]
    sd: tuple[float, float]
    gain: float

    def label(self, values: FloatArray) -> NDArray[np.int64]:
        """Return the likelier group, 0 or 1, of each row of the feature matrix."""
        x = values[:, self.feature]
        low, high = (
            np.log(w) - np.log(s) - ((x - m) / s) ** 2 / 2
            for w, m, s in zip(self.share, self.mean, self.sd, strict=True)
        )
        return (high > low).astype(np.int64)


def find_two_groups(values: FloatArray, *, smallest: float = 0.25) -> TwoGroups | None:
    """Return the clearest split of the samples by one feature, or None where there is none.

    Parameters
    ----------
    values : float64 (n, p)
        Features, complete.
    smallest : float
        Either group holds more than this share of the samples.

    Returns
    -------
    TwoGroups or None
        Of the feature with the largest gain in Akaike's criterion over one normal distribution.
        (The criterion itself would pick the feature of the smallest unit.)
    """
    n = len(values)
    spread = values.std(axis=0)
    usable = np.flatnonzero(spread > 1e-12 * np.maximum(np.abs(values).max(axis=0), 1e-300))
    if not usable.size or n < 8:
        return None
    centre = values[:, usable].mean(axis=0)
    z = (values[:, usable] - centre) / spread[usable]
    share, mean, sd, log_likelihood = _mixture(z)
    one = -0.5 * n * (np.log(2 * np.pi) + 1)
    gain = 2 * (log_likelihood - one) - 2 * 3
    with np.errstate(divide="ignore", over="ignore"):
        log = [
            np.log(share[k]) - np.log(sd[k]) - ((z - mean[k]) / sd[k]) ** 2 / 2 for k in range(2)
        ]
    upper = (log[1] > log[0]).mean(axis=0)
    fair = np.minimum(upper, 1 - upper) > smallest
    gain = np.where(fair & np.isfinite(gain), gain, -np.inf)
    best = int(np.argmax(gain))
    if gain[best] <= 0:
        return None
    j = int(usable[best])
    scale = float(spread[j])
    return TwoGroups(
        j,
        (float(share[0, best]), float(share[1, best])),
        (float(mean[0, best] * scale + centre[best]), float(mean[1, best] * scale + centre[best])),
        (float(sd[0, best] * scale), float(sd[1, best] * scale)),
        float(gain[best]),
    )


def _mixture(z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return shares, means and SDs (2, p) and log-likelihoods (p,) by EM from a median split."""
    upper = (z > np.median(z, axis=0)).astype(np.float64)
    before = np.full(z.shape[1], -np.inf)
    for _ in range(_STEPS):
        weight = np.stack([1 - upper, upper])
        total = np.maximum(weight.sum(axis=1), 1e-12)
        mean = (weight * z).sum(axis=1) / total
        variance = (weight * (z - mean[:, None]) ** 2).sum(axis=1) / total
        sd, share = np.sqrt(np.maximum(variance, _FLOOR**2)), total / len(z)
        log = (
            np.log(share)[:, None]
            - np.log(sd)[:, None]
            - 0.5 * np.log(2 * np.pi)
            - ((z - mean[:, None]) / sd[:, None]) ** 2 / 2
        )
        whole = np.logaddexp(log[0], log[1])
        upper = np.exp(log[1] - whole)
        now = whole.sum(axis=0)
        if (np.abs(now - before) <= _TOLERANCE * len(z)).all():
            break
        before = now
    flip = mean[0] > mean[1]
    order = np.where(flip, 1, 0), np.where(flip, 0, 1)
    columns = np.arange(z.shape[1])
    pick = [np.stack([part[order[0], columns], part[order[1], columns]])
            for part in (share, mean, sd)]  # fmt: skip
    return pick[0], pick[1], pick[2], now
