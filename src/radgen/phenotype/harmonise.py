"""ComBat as an estimator: site effects are learned on training rows and removed everywhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from radgen._core.naming import require_choice
from radgen.errors import InputError, RadgenWarning, shown
from radgen.phenotype._batch_columns import (
    ColumnTaker,
    as_key,
    check_lengths,
    numeric,
    refuse_outcome,
)
from radgen.phenotype._combat import (
    BatchEffect,
    estimate_effect,
    standardise,
    tie_share,
)
from radgen.stats.smooth import SplineBasis, spline_basis

__all__ = ["MAX_TIES", "ComBat", "Unseen"]

FloatArray = NDArray[np.float64]
Unseen = Literal["refuse", "adapt", "leave"]
MAX_TIES = 0.05
"""Features of which more than this share of pairs of rows are equal count as tied."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Features (n, p), batch of each row, linear (n, k) and smooth (n, m) covariates."""

    values: FloatArray
    batch: list[str]
    kept: FloatArray
    smooth: FloatArray

    def take(self, rows: NDArray[Any]) -> _Rows:
        """Return some of the rows."""
        return _Rows(
            self.values[rows], [self.batch[i] for i in rows], self.kept[rows], self.smooth[rows]
        )


class ComBat(ColumnTaker, TransformerMixin, BaseEstimator):
    """Removal of batch (site, scanner) effects in location and scale, with shrinkage.

    The batch has to travel with its row through pipelines and cross-validation, so it is a
    *column of X*: name it by position (arrays) or by name (data frames) in `batch_column`, and
    likewise the covariates to keep. These columns are taken out: the output holds the features
    alone. Without a pipeline the same can be passed as ``fit(X, batch=..., covariates=...)`` and
    ``transform(X, batch=..., covariates=...)``; both are scikit-learn metadata and can be routed.

    Parameters
    ----------
    batch_column : int, str or None
        The column of X that holds the batch. None = `batch` is passed to fit and transform.
    covariate_columns : sequence of int or str
        Columns of X whose effects are estimated with the batches and kept. Numeric; expand
        categories first.
    smooth_columns : sequence of int or str
        Columns of X whose effects are kept as smooth functions (age, say): natural cubic splines
        whose smoothness is chosen for each feature by restricted maximum likelihood.
    parametric : bool, default True
        Normal and inverse-gamma priors; False integrates over the features' own estimates.
    eb : bool, default True
        Empirical Bayes over features; False uses each feature's own estimate.
    mean_only : bool, default False
        Shift only, no scale. A batch of one sample needs this.
    reference : object or None
        A batch that is left as it is and to which the others are moved (M-ComBat).
    unseen : {"refuse", "adapt", "leave"}
        What `transform` does with a batch that was not in the training rows: raise; estimate
        its effect from the unlabelled rows at hand (two or more are needed; the answer then
        depends on which rows come together); or return its rows unchanged.
    tied : {"move", "leave"}
        What happens to features of which more than 5 % of pairs of training rows are equal
        (percentiles of few grey levels, minima at the padding value). "move" treats them as
        any other; "leave" passes them unchanged. See the notes.
    forbidden : sequence of int or str
        Columns that may not be kept as covariates because they are, or stand for, the outcome.
    tolerance : float, default 1e-4
        Relative change at which empirical Bayes stops; the value of the reference programs,
        on which agreement with them to many digits depends.
    max_steps : int, default 10000
        Steps after which it is given up.

    Attributes
    ----------
    batches_ : tuple
        Batches seen in training, sorted.
    standard_ : Standard
        Grand mean, pooled scale and covariate effects.
    effects_ : tuple of BatchEffect
        One a batch.
    covariate_mean_ : float64 (n_covariates,)
        Training means of the linear and smooth covariates.
    tied_ : bool (n_features,)
        Features with many equal values.
    bases_ : tuple of SplineBasis
        One a smooth covariate.
    n_features_in_ : int
        Columns of X, batch and covariates included.

    Notes
    -----
    The outcome may never be a kept covariate. Where batch and outcome are associated, keeping
    the outcome writes it into the harmonised values of *every* row: pure noise then predicts
    it. So a covariate that determines `y` is refused, as are the `forbidden` columns. With one
    batch there is no batch effect: a warning is raised and the values pass unchanged. Features
    without residual variance pass unchanged too.

    Empirical Bayes assumes that the shifts of all features come from one normal distribution.
    Radiomic features have no common sign and are strongly correlated; with `eb` what is left of
    their shifts can be read by a linear model that combines them. Where features are fewer than
    samples and no batch is tiny, ``eb=False`` removes more; `radgen.phenotype.batch_gauge`
    shows which.

    A shift turns the equal values of a tied feature into values of their own in each batch, by
    which a tree or a rank transformation can tell the batches apart almost perfectly, even where
    there was no batch effect. Leave such features as they are or drop them
    (``VarianceFilter(max_ties=0.05)``).

    References
    ----------
    Johnson, Li & Rabinovic 2007, doi:10.1093/biostatistics/kxj037. Fortin et al. 2018,
    doi:10.1016/j.neuroimage.2017.11.024. Nygaard et al. 2016, doi:10.1093/biostatistics/kxv027
    (why the outcome must not be kept). Stein et al. 2015, doi:10.1186/s12920-015-0145-y
    (M-ComBat). Pomponio et al. 2020, doi:10.1016/j.neuroimage.2019.116450 (smooth covariates).

    Examples
    --------
    >>> import numpy as np
    >>> values = np.random.default_rng(0).normal(size=(40, 6))
    >>> site = np.repeat([0.0, 1.0], 20)
    >>> values[20:] += 3
    >>> X = np.column_stack((site, values))
    >>> flat = ComBat(batch_column=0, eb=False).fit_transform(X)
    >>> bool(np.abs(flat[:20].mean(axis=0) - flat[20:].mean(axis=0)).max() < 1e-9)
    True
    """

    def __init__(
        self,
        batch_column: int | str | None = None,
        *,
        covariate_columns: Sequence[int | str] = (),
        smooth_columns: Sequence[int | str] = (),
        parametric: bool = True,
        eb: bool = True,
        mean_only: bool = False,
        reference: Any = None,
        unseen: Unseen = "refuse",
        tied: Literal["move", "leave"] = "move",
        forbidden: Sequence[int | str] = (),
        tolerance: float = 1e-4,
        max_steps: int = 10000,
    ) -> None:
        self.batch_column = batch_column
        self.covariate_columns = covariate_columns
        self.smooth_columns = smooth_columns
        self.parametric = parametric
        self.eb = eb
        self.mean_only = mean_only
        self.reference = reference
        self.unseen = unseen
        self.tied = tied
        self.forbidden = forbidden
        self.tolerance = tolerance
        self.max_steps = max_steps

    def fit(self, X: Any, y: Any = None, *, batch: Any = None, covariates: Any = None) -> Self:
        """Learn the batch effects of the training rows.

        Parameters
        ----------
        X : array or data frame (n_samples, n_columns)
            Features, and the batch and covariate columns where those are named.
        y : array (n_samples,) or None
            Only compared with the covariates, to refuse an outcome among them.
        batch : array (n_samples,) or None
            The batches, where X does not hold them.
        covariates : array (n_samples, n_covariates) or None
            Covariates to keep, where X does not hold them.

        Returns
        -------
        ComBat
            Itself.

        Raises
        ------
        InputError
            If a batch has one sample (and not `mean_only`), the reference is no batch, or a
            covariate is the outcome.
        FitError
            If batches and covariates are confounded.
        """
        require_choice(self.unseen, ("refuse", "adapt", "leave"), what="policy for unseen batches")
        require_choice(self.tied, ("move", "leave"), what="treatment of tied features")
        rows = self._split(X, batch, covariates, reset=True)
        names = [*self.covariate_columns, *self.smooth_columns]
        refuse_outcome(np.hstack((rows.kept, rows.smooth)), names, self.forbidden, y)
        self._learn(rows)
        return self

    def transform(self, X: Any, *, batch: Any = None, covariates: Any = None) -> NDArray[Any]:
        """Return the features with the batch effects removed.

        Parameters
        ----------
        X, batch, covariates
            As in `fit`. Where `covariates` were passed to fit and are not passed here, every
            row is taken at their training mean, as the reference programs do.

        Returns
        -------
        float64 (n_samples, n_features)
            Without the batch and covariate columns.

        Raises
        ------
        InputError
            If a batch was not in the training rows and `unseen` is "refuse", or it has too few
            rows to adapt to.
        """
        check_is_fitted(self, "effects_")
        rows = self._split(X, batch, covariates, reset=False)
        if len(self.batches_) == 1 and self.unseen == "refuse" and batch is None \
                and self.batch_column is None:  # fmt: skip
            return rows.values.copy()
        return self._remove(rows)

    def _learn(self, rows: _Rows) -> None:
        self.covariate_mean_ = np.hstack((rows.kept, rows.smooth)).mean(axis=0)
        self.n_kept_ = rows.kept.shape[1]
        self.bases_: tuple[SplineBasis, ...] = tuple(spline_basis(x) for x in rows.smooth.T)
        self.batches_ = tuple(sorted(set(rows.batch), key=str))
        code = np.array([self.batches_.index(item) for item in rows.batch], dtype=np.int64)
        self._check_batches(code)
        reference = None if self.reference is None else self.batches_.index(self._key())
        standard = standardise(
            rows.values, code, self._design(rows), len(self.batches_), reference, bases=self.bases_
        )
        scale = np.abs(rows.values).max(axis=0, initial=0.0)
        self.tied_ = tie_share(rows.values) > MAX_TIES
        self.flat_ = standard.scale <= 1e-10 * np.maximum(scale, 1e-300)
        if self.tied == "leave":
            self.flat_ |= self.tied_
        self.standard_ = standard
        effects = []
        for level in range(len(self.batches_)):
            if len(self.batches_) == 1 or level == reference:
                blank = np.zeros(rows.values.shape[1])
                effects.append(BatchEffect(blank, blank + 1))
            else:
                effects.append(self._effect(rows.take(np.flatnonzero(code == level))))
        self.effects_ = tuple(effects)

    def _remove(self, rows: _Rows) -> FloatArray:
        out = rows.values.copy()
        strange = sorted(set(rows.batch) - set(self.batches_), key=str)
        if strange and self.unseen == "refuse":
            raise InputError(
                f"Batches that were not in the training rows: {shown(strange)}. Their effect is "
                "unknown. Choose unseen='adapt' (estimate it from these rows, no outcome "
                "needed) or unseen='leave', and say so in the methods."
            )
        labels = np.array(rows.batch, dtype=object)
        for level, name in enumerate(self.batches_):
            at = np.flatnonzero(labels == name)
            if at.size and not self._is_reference(name):
                out[at] = self._adjust(rows.take(at), self.effects_[level])
        for name in strange if self.unseen == "adapt" else ():
            at = np.flatnonzero(labels == name)
            if at.size < 2 and not self.mean_only:
                raise InputError(
                    f"Batch {name!r} has one row: its scale cannot be estimated. Bring more rows "
                    "of it together, or use mean_only or unseen='leave'."
                )
            part = rows.take(at)
            out[at] = self._adjust(part, self._effect(part))
        return out

    def _design(self, rows: _Rows) -> FloatArray:
        """Return linear covariates and the bases of smooth ones, side by side."""
        parts = [basis.columns(x) for basis, x in zip(self.bases_, rows.smooth.T, strict=True)]
        return np.hstack([rows.kept, *parts])

    def _key(self) -> str:
        found = as_key(self.reference)
        if found not in self.batches_:
            raise InputError(
                f"The reference batch {self.reference!r} is not among the training batches "
                f"{shown(self.batches_)}."
            )
        return found

    def _is_reference(self, name: str) -> bool:
        return self.reference is not None and name == as_key(self.reference)

    def _effect(self, rows: _Rows) -> BatchEffect:
        live, standard = ~self.flat_, self.standard_
        expected = standard.expected(self._design(rows))
        scaled = (rows.values - expected)[:, live] / standard.scale[live]
        found = estimate_effect(
            scaled,
            parametric=self.parametric,
            eb=self.eb,
            mean_only=self.mean_only,
            tolerance=self.tolerance,
            max_iter=self.max_steps,
        )
        shift, factor = np.zeros(len(live)), np.ones(len(live))
        shift[live], factor[live] = found.shift, found.factor
        return BatchEffect(shift, factor)

    def _adjust(self, rows: _Rows, effect: BatchEffect) -> FloatArray:
        if len(self.batches_) == 1 and not effect.shift.any():
            return rows.values
        live = ~self.flat_ & (effect.factor > 0)
        out = rows.values.copy()
        expected = self.standard_.expected(self._design(rows))[:, live]
        scale = self.standard_.scale[live]
        scaled = (rows.values[:, live] - expected) / scale
        out[:, live] = (scaled - effect.shift[live]) / np.sqrt(effect.factor[live]) * scale
        out[:, live] += expected
        return out

    def _check_batches(self, code: NDArray[np.int64]) -> None:
        count = np.bincount(code)
        if len(count) == 1:
            warnings.warn(
                "ComBat saw one batch only: the values pass unchanged.", RadgenWarning, stacklevel=4
            )
            return
        lone = [self.batches_[level] for level in np.flatnonzero(count < 2)]
        if lone and not self.mean_only:
            raise InputError(
                f"Batches of a single sample: {shown(lone)}. A scale cannot be estimated from "
                "one; merge small batches or set mean_only=True."
            )

    def _split(self, X: Any, batch: Any, covariates: Any, *, reset: bool) -> _Rows:
        roles = {
            "batch": () if self.batch_column is None else (self.batch_column,),
            "kept": tuple(self.covariate_columns),
            "smooth": tuple(self.smooth_columns),
        }
        values, taken = self._take(X, roles, reset=reset)
        n = len(values)
        found = taken["batch"][:, 0] if roles["batch"] else None
        if batch is not None:
            found = np.asarray(batch, dtype=object).ravel()
        labels = ["all"] * n if found is None else [as_key(item) for item in found]
        kept = numeric(taken["kept"].reshape(n, -1), "Kept covariates")
        if covariates is not None:
            check_lengths(n, covariates=covariates)
            kept = np.hstack((kept, numeric(covariates, "Kept covariates")))
        elif not reset and not self.covariate_columns and self.n_kept_:
            kept = np.tile(self.covariate_mean_[: self.n_kept_], (n, 1))
        check_lengths(n, batches=labels)
        if not reset and kept.shape[1] != self.n_kept_:
            raise InputError(
                f"ComBat kept {self.n_kept_} covariates in fit; transform was given "
                f"{kept.shape[1]}."
            )
        return _Rows(values, labels, kept, numeric(taken["smooth"].reshape(n, -1), "Covariates"))
