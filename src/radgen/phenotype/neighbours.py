"""Where a sample stands in a cohort: percentiles, range, and the samples most like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import InputError, shown
from radgen.types import PhenotypeTable

__all__ = ["CohortReference", "SampleProfile", "profile_sample"]

FloatArray = NDArray[np.float64]


class CohortReference(BaseEstimator):
    """A cohort to hold samples against: learnt from its rows, applied to others.

    Parameters
    ----------
    slack : float, default 0.25
        Values may leave the cohort's range by this share of it before they are out of range.
    shared : float, default 0.5
        Share of the columns that two samples need to have both for a distance.

    Attributes
    ----------
    mean_, scale_, low_, high_ : float64 (p,)
        Of the known values of each column; the scale is 1 where a column does not vary.
    values_ : float64 (n, p)
        The cohort, NaN = missing.

    Notes
    -----
    The distance of two samples is the root of the mean squared difference of their standardised
    features, over the columns that both have: 1.4 is what two unrelated samples of a normal
    cohort have on average of the squares.
    """

    def __init__(self, *, slack: float = 0.25, shared: float = 0.5) -> None:
        self.slack = slack
        self.shared = shared

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn mean, scale and range of the columns of a cohort (n, p)."""
        values = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2
        )
        known = np.isfinite(values)
        count = known.sum(axis=0)
        total = np.where(known, values, 0.0).sum(axis=0)
        self.mean_ = total / np.maximum(count, 1)
        gap = np.where(known, values - self.mean_, 0.0)
        scale = np.sqrt(np.square(gap).sum(axis=0) / np.maximum(count - 1, 1))
        self.scale_ = np.where(scale > 0, scale, 1.0)
        self.low_ = np.where(known, values, np.inf).min(axis=0)
        self.high_ = np.where(known, values, -np.inf).max(axis=0)
        self.values_ = np.array(values)
        return self

    def distances(self, X: Any) -> FloatArray:
        """Return the distance of each row of X to each of the cohort, (n_new, n); inf = too few."""
        left, right = self._standard(X), (self.values_ - self.mean_) / self.scale_
        out = np.full((len(left), len(right)), np.inf)
        for k, row in enumerate(left):
            gap = right - row
            both = np.isfinite(gap)
            count = both.sum(axis=1)
            enough = count >= max(1.0, self.shared * right.shape[1])
            square = np.square(np.where(both, gap, 0.0)).sum(axis=1)
            out[k, enough] = np.sqrt(square[enough] / count[enough])
        return out

    def percentiles(self, X: Any) -> FloatArray:
        """Return the percentile of each value in the cohort, ties halved, (n_new, p)."""
        values = self._checked(X)
        below = (self.values_[None] < values[:, None]).sum(axis=1)
        equal = (self.values_[None] == values[:, None]).sum(axis=1)
        count = np.isfinite(self.values_).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = 100.0 * (below + 0.5 * equal) / count
        return np.where(np.isfinite(values) & (count > 0), share, np.nan)

    def outside(self, X: Any) -> NDArray[np.bool_]:
        """Return which values lie out of the cohort's range and its slack, (n_new, p)."""
        values = self._checked(X)
        room = self.slack * np.maximum(self.high_ - self.low_, 0.0)
        with np.errstate(invalid="ignore"):
            return np.asarray((values < self.low_ - room) | (values > self.high_ + room))

    def _checked(self, X: Any) -> FloatArray:
        check_is_fitted(self, "mean_")
        return np.asarray(
            validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        )

    def _standard(self, X: Any) -> FloatArray:
        return np.asarray((self._checked(X) - self.mean_) / self.scale_)


@dataclass(frozen=True, eq=False, slots=True)
class SampleProfile:
    """One sample against all others of its cohort.

    Attributes
    ----------
    sample : str
        Its id.
    n_others : int
        Samples that it is held against.
    features : polars.DataFrame
        ``phenotype, value, unit, mean, sd, z, percentile, out_of_range``: of the others.
    neighbours : polars.DataFrame
        ``sample, distance``, the nearest first; empty where there is no output.
    typical_distance : float
        Median distance of the others to their own k-th neighbour: what "near" is in this cohort.
    reason : str
        Why there is no output; "" = there is.
    """

    sample: str
    n_others: int
    features: pl.DataFrame
    neighbours: pl.DataFrame
    typical_distance: float
    reason: str = ""


def profile_sample(
    table: PhenotypeTable,
    sample: str,
    *,
    n_neighbours: int = 5,
    most_outside: float = 0.1,
    reference: CohortReference | None = None,
) -> SampleProfile:
    """Return where a sample stands among the others of a table, and which are most like it.

    Parameters
    ----------
    table : PhenotypeTable
        The cohort, the sample among it; what is learnt is learnt from the others alone.
    sample : str
        Its id.
    n_neighbours : int
        How many similar samples are named.
    most_outside : float
        A sample with a larger share of values out of the others' range (two at least) is unlike
        the cohort: nothing is said of its neighbours.
    reference : CohortReference or None
        Settings of range and distance.

    Returns
    -------
    SampleProfile
        With a reason where there is no output.

    Raises
    ------
    InputError
        If the table has no such sample, or fewer than five others.
    """
    if sample not in table.samples:
        raise InputError(
            f"There is no sample {sample!r} in the features. Found: {shown(table.samples)}."
        )
    at = table.samples.index(sample)
    others = np.array([k for k in range(len(table.samples)) if k != at])
    if len(others) < 5:
        raise InputError(f"{len(others)} other samples are no cohort; five are the least.")
    own = table.values[[at]]
    fit = (reference or CohortReference()).fit(table.values[others])
    far, share = fit.outside(own)[0], fit.percentiles(own)[0]
    known = np.isfinite(own[0])
    features = pl.DataFrame(
        {
            "phenotype": list(table.names),
            "value": own[0],
            "unit": table.specs["unit"] if "unit" in table.specs.columns else "",
            "mean": fit.mean_,
            "sd": fit.scale_,
            "z": (own[0] - fit.mean_) / fit.scale_,
            "percentile": share,
            "out_of_range": far,
        }
    )
    apart = fit.distances(table.values[others])
    np.fill_diagonal(apart, np.inf)
    k = min(n_neighbours, len(others) - 1)
    typical = np.sort(apart, axis=1)[:, k - 1]
    typical = typical[np.isfinite(typical)]
    reason = _reason(known, far, most_outside)
    distance = fit.distances(own)[0]
    order = np.lexsort((np.arange(len(others)), distance))[:n_neighbours]
    order = order[np.isfinite(distance[order])] if not reason else order[:0]
    if not reason and not len(order):
        reason = "No other sample shares half of its features."
    neighbours = pl.DataFrame(
        {"sample": [table.samples[others[j]] for j in order], "distance": distance[order]},
        schema={"sample": pl.String, "distance": pl.Float64},
    )
    middle = float(np.median(typical)) if len(typical) else float("nan")
    return SampleProfile(sample, len(others), features, neighbours, middle, reason)


def _reason(known: NDArray[np.bool_], far: NDArray[np.bool_], most: float) -> str:
    n = int(known.sum())
    if not n:
        return "None of its features is known."
    if far.sum() > 1 and far.sum() / n > most:
        return (
            f"{int(far.sum())} of {n} features lie out of the range of the other samples: the "
            "cohort says nothing of a sample like this."
        )
    return ""
