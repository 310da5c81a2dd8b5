"""ComBat for repeated scans: batch effects beside an intercept of each subject."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from radgen._core.digest import digest
from radgen._core.naming import require_choice
from radgen.errors import FitError, InputError, RadgenWarning, shown
from radgen.phenotype._batch_columns import (
    ColumnTaker,
    as_key,
    check_lengths,
    numeric,
    refuse_outcome,
)
from radgen.phenotype._combat import BatchEffect, estimate_effect
from radgen.phenotype.harmonise import Unseen
from radgen.stats.random_intercept import RandomIntercept, fit_random_intercept

__all__ = ["LongitudinalComBat"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Visits:
    """Features (n, p), batch and subject of each row, covariates (n, k)."""

    values: FloatArray
    batch: NDArray[Any]
    subject: NDArray[Any]
    kept: FloatArray


class LongitudinalComBat(ColumnTaker, TransformerMixin, BaseEstimator):
    """Removal of batch effects where subjects were scanned several times.

    ComBat takes differences between subjects for noise. With repeated scans a random intercept
    of each subject is fitted beside covariates and batches, so that batch effects are estimated
    from, and scaled by, the variation within subjects.

    Parameters
    ----------
    batch_column, subject_column : int, str or None
        Columns of X that hold the batch and the subject. None = `batch` and `subjects` are
        passed to fit and transform; without them all rows are of one batch, and each of a
        subject of its own.
    covariate_columns : sequence of int or str
        Columns whose effects are kept (age, time, group known beforehand); numeric.
    eb : bool, default True
        Empirical Bayes over features; False uses each feature's own estimate.
    unseen : {"refuse", "adapt", "leave"}
        As in `ComBat`.
    forbidden : sequence of int or str
        Columns that may not be kept because they are, or stand for, the outcome.
    tolerance : float, default 1e-4
        Relative change at which empirical Bayes stops.
    max_steps : int, default 10000
        Steps after which it is given up.

    Attributes
    ----------
    batches_ : tuple of str
        Batches of the training rows, sorted.
    intercepts_ : mapping of str to float64 (n_features,)
        Predicted intercept of each training subject, by the digest of its id.
    mean_, slopes_ : float64 (n_features,), (n_covariates, n_features)
        Grand mean over batches and effects of covariates.
    batch_means_ : float64 (n_batches, n_features)
        Batch effects of the mixed model, weighted mean 0.
    subject_variance_, residual_variance_ : float64 (n_features,)
        REML estimates.
    effects_ : tuple of BatchEffect
        Shift and variance factor of each batch, in units of the residual SD.
    n_features_in_ : int
        Columns of X, batch, subject and covariates included.

    Notes
    -----
    New rows of a training subject use the intercept of training. A new subject's intercept is
    predicted from its rows at hand, so its harmonised values depend on which visits come
    together. Features without residual variance pass unchanged. Where no subject has two rows
    the intercepts are left out, with a warning.

    References
    ----------
    Beer et al. 2020, doi:10.1016/j.neuroimage.2020.117129.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> subject = np.repeat(np.arange(40), 3)
    >>> site = np.tile([0, 0, 1], 40)
    >>> values = 3 * rng.normal(size=(40, 5))[subject] + rng.normal(size=(120, 5)) + site[:, None]
    >>> model = LongitudinalComBat(eb=False).fit(values, batch=site, subjects=subject)
    >>> flat = model.transform(values, batch=site, subjects=subject)
    >>> before, after = (v[site == 1].mean() - v[site == 0].mean() for v in (values, flat))
    >>> bool(abs(before) > 0.8), bool(abs(after) < 0.1)
    (True, True)
    """

    def __init__(
        self,
        batch_column: int | str | None = None,
        subject_column: int | str | None = None,
        *,
        covariate_columns: Sequence[int | str] = (),
        eb: bool = True,
        unseen: Unseen = "refuse",
        forbidden: Sequence[int | str] = (),
        tolerance: float = 1e-4,
        max_steps: int = 10000,
    ) -> None:
        self.batch_column = batch_column
        self.subject_column = subject_column
        self.covariate_columns = covariate_columns
        self.eb = eb
        self.unseen = unseen
        self.forbidden = forbidden
        self.tolerance = tolerance
        self.max_steps = max_steps

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        batch: Any = None,
        subjects: Any = None,
        covariates: Any = None,
    ) -> Self:
        """Learn batch effects and subjects' intercepts of the training rows.

        Parameters
        ----------
        X : array or data frame (n_rows, n_columns)
            Features, a row a scan, and the columns named above.
        y : array (n_rows,) or None
            Only compared with the covariates, to refuse an outcome among them.
        batch, subjects : array (n_rows,) or None
            Batch and subject of each row, where X does not hold them.
        covariates : array (n_rows, n_covariates) or None
            Covariates to keep, where X does not hold them.

        Returns
        -------
        LongitudinalComBat
            Itself.

        Raises
        ------
        InputError
            If a batch has one row, or a covariate is the outcome.
        FitError
            If batches and covariates are confounded.
        """
        require_choice(self.unseen, ("refuse", "adapt", "leave"), what="policy for unseen batches")
        rows = self._split(X, batch, subjects, covariates, reset=True)
        refuse_outcome(rows.kept, tuple(self.covariate_columns), self.forbidden, y)
        self.batches_ = tuple(sorted(set(rows.batch.tolist())))
        indicator = (rows.batch[:, None] == np.array(self.batches_, dtype=object)).astype(float)
        count = indicator.sum(axis=0)
        if (count < 2).any() and len(self.batches_) > 1:
            lone = [b for b, c in zip(self.batches_, count, strict=True) if c < 2]
            raise InputError(f"Batches of a single row: {shown(lone)}. Merge small batches.")
        design = np.hstack((indicator, rows.kept))
        rank = int(np.linalg.matrix_rank(design))
        if rank < design.shape[1]:
            raise FitError(
                "Batches and kept covariates are confounded: a covariate that is constant, or "
                "that is known from the batch, cannot be kept.",
                diagnostics={"rank": rank, "columns": design.shape[1]},
            )
        scale = np.abs(rows.values).max(axis=0, initial=0.0)
        self.flat_ = np.ptp(rows.values, axis=0) <= 1e-10 * np.maximum(scale, 1e-300)
        self._fit_model(rows, design, count / count.sum())
        if len(self.batches_) == 1:
            warnings.warn("One batch only: the values pass unchanged.", RadgenWarning, stacklevel=2)
        self.effects_ = tuple(
            self._effect(rows, np.flatnonzero(rows.batch == name), k)
            for k, name in enumerate(self.batches_)
        )
        return self

    def _fit_model(self, rows: _Visits, design: FloatArray, share: FloatArray) -> None:
        k, p = len(share), rows.values.shape[1]
        live = ~self.flat_
        fit = _fit(rows.values[:, live], design, rows.subject.astype(str))
        coefficients = np.zeros((design.shape[1], p))
        coefficients[:, live] = fit.coefficients
        self.mean_ = share @ coefficients[:k]
        self.batch_means_ = coefficients[:k] - self.mean_
        self.slopes_ = coefficients[k:]
        self.subject_variance_, self.residual_variance_ = np.zeros(p), np.zeros(p)
        self.subject_variance_[live] = fit.subject_variance
        self.residual_variance_[live] = fit.residual_variance
        own = np.zeros((len(fit.subjects), p))
        own[:, live] = fit.intercepts
        self.intercepts_ = dict(zip(map(_hashed, fit.subjects), own, strict=True))

    def transform(
        self, X: Any, *, batch: Any = None, subjects: Any = None, covariates: Any = None
    ) -> FloatArray:
        """Return the features with the batch effects removed.

        Parameters
        ----------
        X, batch, subjects, covariates
            As in `fit`.

        Returns
        -------
        float64 (n_rows, n_features)
            Without the columns that were taken out.

        Raises
        ------
        InputError
            If a batch was not in the training rows and `unseen` is "refuse", or it has too few
            rows to adapt to.
        """
        check_is_fitted(self, "effects_")
        rows = self._split(X, batch, subjects, covariates, reset=False)
        out = rows.values.copy()
        strange = sorted(set(rows.batch.tolist()) - set(self.batches_))
        if strange and self.unseen == "refuse":
            raise InputError(
                f"Batches that were not in the training rows: {shown(strange)}. Their effect is "
                "unknown. Choose unseen='adapt' or unseen='leave', and say so in the methods."
            )
        shift, effects = self._placed(rows, strange if self.unseen == "adapt" else [])
        own = self._own(rows, shift)
        fixed = self.mean_ + rows.kept @ self.slopes_
        sd = np.sqrt(self.residual_variance_)
        for name, effect in effects.items():
            at = np.flatnonzero(rows.batch == name)
            live = ~self.flat_ & (effect.factor > 0) & (sd > 0)
            kept = (fixed[at] + own[at])[:, live]
            scaled = (rows.values[np.ix_(at, np.flatnonzero(live))] - kept) / sd[live]
            flat = (scaled - effect.shift[live]) / np.sqrt(effect.factor[live])
            out[np.ix_(at, np.flatnonzero(live))] = kept + flat * sd[live]
        return out

    def _placed(
        self, rows: _Visits, strange: list[str]
    ) -> tuple[FloatArray, dict[str, BatchEffect]]:
        """Return the mixed model's shift of each row, and the effects to remove by batch."""
        shift = np.zeros(rows.values.shape)
        effects = {}
        for k, name in enumerate(self.batches_):
            at = rows.batch == name
            shift[at] = self.batch_means_[k]
            if at.any() and len(self.batches_) > 1:
                effects[name] = self.effects_[k]
        for name in strange:
            at = np.flatnonzero(rows.batch == name)
            if at.size < 2:
                raise InputError(
                    f"Batch {name!r} has one row: its scale cannot be estimated. Bring more rows "
                    "of it together, or use unseen='leave'."
                )
            effects[name] = self._effect(rows, at, None)
            shift[at] = effects[name].shift * np.sqrt(self.residual_variance_)
        return shift, effects

    def _own(self, rows: _Visits, shift: FloatArray) -> FloatArray:
        """Return the intercept of the subject of each row, (n, p)."""
        rest = rows.values - self.mean_ - rows.kept @ self.slopes_ - shift
        out = np.zeros(rows.values.shape)
        for name in dict.fromkeys(rows.subject.tolist()):
            at = rows.subject == name
            known = self.intercepts_.get(_hashed(name))
            if known is not None:
                out[at] = known
                continue
            n = int(at.sum())
            whole = n * self.subject_variance_ + self.residual_variance_
            share = np.divide(n * self.subject_variance_, whole, out=np.zeros_like(whole),
                              where=whole > 0)  # fmt: skip
            out[at] = share * rest[at].mean(axis=0)
        return out

    def _effect(self, rows: _Visits, at: NDArray[Any], level: int | None) -> BatchEffect:
        """Return shift and factor of a batch; of unknown subjects' rows, without intercepts."""
        p = rows.values.shape[1]
        sd = np.sqrt(self.residual_variance_)
        live = ~self.flat_ & (sd > 0)
        nothing = np.zeros(p)
        own = np.stack(
            [self.intercepts_.get(_hashed(s), nothing) for s in rows.subject[at].tolist()]
        )
        rest = rows.values[at] - self.mean_ - rows.kept[at] @ self.slopes_ - own
        found = estimate_effect(
            rest[:, live] / sd[live],
            parametric=True,
            eb=self.eb and level is not None,
            mean_only=False,
            tolerance=self.tolerance,
            max_iter=self.max_steps,
        )
        shift, factor = np.zeros(p), np.ones(p)
        shift[live], factor[live] = found.shift, found.factor
        return BatchEffect(shift, factor)

    def _split(self, X: Any, batch: Any, subjects: Any, covariates: Any, *, reset: bool) -> _Visits:
        roles = {
            "batch": () if self.batch_column is None else (self.batch_column,),
            "subject": () if self.subject_column is None else (self.subject_column,),
            "kept": tuple(self.covariate_columns),
        }
        values, taken = self._take(X, roles, reset=reset)
        n = len(values)
        keys = {}
        for role, passed, default in (
            ("batch", batch, ["all"] * n),
            ("subject", subjects, list(range(n))),
        ):
            found = taken[role][:, 0] if passed is None and roles[role] else passed
            found = np.asarray(default if found is None else found, dtype=object)
            keys[role] = np.array([as_key(item, role) for item in found.ravel()], dtype=object)
        check_lengths(n, batches=keys["batch"], subjects=keys["subject"])
        kept = numeric(taken["kept"].reshape(n, -1), "Kept covariates")
        if covariates is not None:
            check_lengths(n, covariates=covariates)
            kept = np.hstack((kept, numeric(covariates, "Kept covariates")))
        if not reset and kept.shape[1] != len(self.slopes_):
            raise InputError(
                f"{len(self.slopes_)} covariates were kept in fit; transform was given "
                f"{kept.shape[1]}."
            )
        return _Visits(values, keys["batch"], keys["subject"], kept)


def _hashed(subject: str) -> str:
    return digest("radgen id", subject)


def _fit(values: FloatArray, design: FloatArray, subjects: NDArray[Any]) -> RandomIntercept:
    names, count = np.unique(subjects, return_counts=True)
    if count.max() > 1:
        return fit_random_intercept(values, design, subjects)
    warnings.warn(
        "No subject has two rows: the intercepts of subjects cannot be told from noise and are "
        "left out.",
        RadgenWarning,
        stacklevel=4,
    )
    beta = np.linalg.lstsq(design, values, rcond=None)[0]
    free = max(len(values) - design.shape[1], 1)
    variance = ((values - design @ beta) ** 2).sum(axis=0) / free
    nothing = np.zeros(values.shape[1])
    own = np.zeros((len(names), values.shape[1]))
    return RandomIntercept(beta, nothing, variance, own, tuple(names.tolist()), nothing * np.nan)
