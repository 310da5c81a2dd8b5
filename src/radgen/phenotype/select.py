"""Feature filters that look at no outcome: variance, redundancy, reliability."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import InputError
from radgen.phenotype._combat import tie_share
from radgen.stats.reliability import IccForm, IccInterval, icc_columns

__all__ = [
    "CorrelationFilter",
    "RankNormaliser",
    "ReliabilityFilter",
    "VarianceFilter",
    "reliability_columns",
]

FloatArray = NDArray[np.float64]


class VarianceFilter(SelectorMixin, BaseEstimator):
    """Drops columns that are constant, or nearly so, in the training rows.

    Parameters
    ----------
    max_share : float, default 0.95
        A column whose commonest value takes more than this share of the rows is dropped.
    max_ties : float, default 1.0
        A column of which more than this share of pairs of rows are equal is dropped. Before
        harmonisation 0.05 is wise: shifting the equal values of a batch marks the batch.

    Attributes
    ----------
    support_ : bool (n_features,)
        Columns that are kept.
    """

    def __init__(self, max_share: float = 0.95, *, max_ties: float = 1.0) -> None:
        self.max_share = max_share
        self.max_ties = max_ties

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn which columns vary.

        Raises
        ------
        InputError
            If no column varies.
        """
        values = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2
        )
        ordered = np.sort(values, axis=0)
        n = len(ordered)
        width = int(np.floor(self.max_share * n)) + 1
        if width > n:
            same = ordered[0] == ordered[-1]
        else:
            lower, upper = ordered[: n - width + 1], ordered[width - 1 :]
            same = (lower == upper).any(axis=0)
        self.support_ = ~same & (np.isfinite(values).sum(axis=0) > 0)
        if self.max_ties < 1:
            self.support_ &= tie_share(values) <= self.max_ties
        if not self.support_.any():
            raise InputError("No column varies in the training rows.")
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self, "support_")
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class CorrelationFilter(SelectorMixin, BaseEstimator):
    """Keeps one column (the medoid) of each cluster of correlated columns.

    Parameters
    ----------
    threshold : float, default 0.9
        Columns of a cluster have an absolute rank correlation of at least this, all with all
        (complete linkage).
    method : {"spearman", "pearson"}
        The correlation.

    Attributes
    ----------
    labels_ : int (n_features,)
        Cluster of each column.
    support_ : bool (n_features,)
        Medoids: of highest mean absolute correlation within the cluster; ties go to the first.
    """

    def __init__(
        self, threshold: float = 0.9, *, method: Literal["spearman", "pearson"] = "spearman"
    ) -> None:
        self.threshold = threshold
        self.method = method

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster the columns of the training rows."""
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        values = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        p = values.shape[1]
        if p == 1:
            self.labels_, self.support_ = np.zeros(1, dtype=np.int64), np.ones(1, dtype=bool)
            return self
        rho = np.abs(_correlation(_ranks(values) if self.method == "spearman" else values))
        distance = np.clip(1 - rho, 0, None)
        np.fill_diagonal(distance, 0.0)
        tree = linkage(squareform(distance, checks=False), method="complete")
        labels = fcluster(tree, 1 - self.threshold + 1e-12, criterion="distance")
        support = np.zeros(p, dtype=bool)
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            centre = rho[np.ix_(members, members)].mean(axis=1)
            support[members[int(np.argmax(np.round(centre, 12)))]] = True
        self.labels_, self.support_ = labels.astype(np.int64) - 1, support
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self, "support_")
        return self.support_


class ReliabilityFilter(SelectorMixin, BaseEstimator):
    """Keeps columns whose lower confidence bound of the ICC reaches a threshold.

    Parameters
    ----------
    repeats : float (n_subjects, n_repeats, n_features)
        Repeated measurements (test-retest, readers, perturbations) of the same features in the
        same order as the columns of X. Subjects with a missing value in a feature are left
        out for that feature.
    threshold : float, default 0.75
        Compared with the *lower* bound: a high estimate from few subjects is not enough.
    form : {"2,1", "1,1", "3,1", ...}
        ICC form, see `radgen.stats.reliability.icc`.
    confidence : float, default 0.95
        Level of the interval whose lower bound is used.
    interval : {"f", "modified"}, default "f"
        Of "2,1" and "2,k", see `radgen.stats.reliability.icc`.

    Attributes
    ----------
    estimate_, lower_ : float64 (n_features,)
        ICC and its lower bound; NaN where it cannot be computed (not kept).
    support_ : bool (n_features,)
        Columns that are kept.
    """

    def __init__(
        self,
        repeats: Any = None,
        *,
        threshold: float = 0.75,
        form: IccForm = "2,1",
        confidence: float = 0.95,
        interval: IccInterval = "f",
    ) -> None:
        self.repeats = repeats
        self.threshold = threshold
        self.form = form
        self.confidence = confidence
        self.interval = interval

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute the reliability of each column from the repeats.

        Raises
        ------
        InputError
            If there are no repeats, they have other features than X, or nothing is reliable.
        """
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        if self.repeats is None:
            raise InputError(
                "ReliabilityFilter needs repeated measurements: repeats (subjects, repeats, "
                "features)."
            )
        repeats = np.asarray(self.repeats, dtype=np.float64)
        if repeats.ndim != 3 or repeats.shape[2] != values.shape[1]:
            raise InputError(
                f"The repeats have shape {repeats.shape}; X has {values.shape[1]} features."
            )
        self.estimate_, self.lower_, _ = reliability_columns(
            repeats, self.form, self.confidence, self.interval
        )
        self.support_ = np.nan_to_num(self.lower_, nan=-np.inf) >= self.threshold
        if not self.support_.any():
            known = self.lower_[np.isfinite(self.lower_)]
            best = f"the best is {known.max():.2f}" if known.size else "none has an ICC at all"
            raise InputError(
                f"No feature has a lower bound of the ICC of {self.threshold:g} or more; {best}, "
                f"of {len(repeats)} subjects with repeats."
            )
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self, "support_")
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class RankNormaliser(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Maps each column to normal scores by its ranks among the training rows.

    A new value gets the score of its (interpolated) rank; beyond the training range it gets the
    score of the extreme. Ties share their mid-rank. Missing values stay missing.

    Attributes
    ----------
    knots_ : tuple of float64 arrays
        Distinct training values of each column.
    scores_ : tuple of float64 arrays
        Normal scores at the knots (Blom).
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the ranks of the training rows."""
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        knots, scores = [], []
        for column in values.T:
            known = column[np.isfinite(column)]
            unique, count = np.unique(known, return_counts=True)
            rank = np.cumsum(count) - (count - 1) / 2
            knots.append(unique if unique.size else np.zeros(1))
            scores.append(
                ndtri((rank - 0.375) / (len(known) + 0.25)) if unique.size else np.zeros(1)
            )
        self.knots_, self.scores_ = tuple(knots), tuple(scores)
        return self

    def transform(self, X: Any) -> FloatArray:
        """Return normal scores, float64 (n_samples, n_features)."""
        check_is_fitted(self, "knots_")
        values = validate_data(
            self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        out = np.empty_like(values)
        for j, (knots, scores) in enumerate(zip(self.knots_, self.scores_, strict=True)):
            out[:, j] = np.interp(values[:, j], knots, scores)
        return out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _ranks(values: FloatArray) -> FloatArray:
    out = np.empty_like(values)
    for j, column in enumerate(values.T):
        _, place, count = np.unique(column, return_inverse=True, return_counts=True)
        out[:, j] = (np.cumsum(count) - (count - 1) / 2)[place]
    return out


def _correlation(values: FloatArray) -> FloatArray:
    centred = values - values.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    centred = centred / np.where(size > 0, size, 1)
    return centred.T @ centred


def reliability_columns(
    repeats: FloatArray, form: IccForm, confidence: float, interval: IccInterval = "f"
) -> FloatArray:
    """Return ICC, lower and upper bound of each feature, (3, p).

    Parameters
    ----------
    repeats : float64 (n_subjects, n_repeats, p)
        Subjects with a missing value in a feature are left out of that feature; NaN where
        fewer than three are left or nothing varies.
    form, confidence, interval
        As in `radgen.stats.reliability.icc`.
    """
    p = repeats.shape[2]
    out = np.full((3, p), np.nan)
    complete = np.isfinite(repeats).all(axis=1)
    patterns, place = np.unique(complete.T, axis=0, return_inverse=True)
    for level, rows in enumerate(patterns):
        columns = np.flatnonzero(np.ravel(place) == level)
        if rows.sum() < 3:
            continue
        found = icc_columns(
            repeats[rows][:, :, columns], form, confidence=confidence, interval=interval
        )
        out[:, columns] = found.estimate, found.ci_low, found.ci_high
    return out
