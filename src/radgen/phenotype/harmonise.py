"""ComBat as an estimator: site effects are learned on training rows and removed everywhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen.errors import InputError, RadgenWarning, shown
from radgen.phenotype._combat import BatchEffect, Standard, estimate_effect, standardise

__all__ = ["ComBat"]

Unseen = Literal["refuse", "adapt", "leave"]


class ComBat(TransformerMixin, BaseEstimator):
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
    parametric : bool, default True
        Normal and inverse-gamma priors; False integrates over the features' own estimates.
    eb : bool, default True
        Empirical Bayes over features; False uses each feature's own estimate.
    mean_only : bool, default False
        Shift only, no scale. A batch of one sample needs this.
    reference : object or None
        A batch that is left as it is and to which the others are moved.
    unseen : {"refuse", "adapt", "leave"}
        What `transform` does with a batch that was not in the training rows: raise; estimate
        its effect from the unlabelled rows at hand (two or more are needed; the answer then
        depends on which rows come together); or return its rows unchanged.
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
        Training means of the kept covariates.
    n_features_in_ : int
        Columns of X, batch and covariates included.

    Notes
    -----
    The outcome may never be a kept covariate. Where batch and outcome are associated, keeping
    the outcome writes it into the harmonised values of *every* row: pure noise then predicts
    it. So a covariate that determines `y` is refused, as are the `forbidden` columns. With one
    batch there is no batch effect: a warning is raised and the values pass unchanged. Features
    without residual variance pass unchanged too.

    References
    ----------
    Johnson, Li & Rabinovic 2007, doi:10.1093/biostatistics/kxj037. Fortin et al. 2018,
    doi:10.1016/j.neuroimage.2017.11.024. Nygaard et al. 2016, doi:10.1093/biostatistics/kxv027
    (why the outcome must not be kept).

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
        parametric: bool = True,
        eb: bool = True,
        mean_only: bool = False,
        reference: Any = None,
        unseen: Unseen = "refuse",
        forbidden: Sequence[int | str] = (),
        tolerance: float = 1e-4,
        max_steps: int = 10000,
    ) -> None:
        self.batch_column = batch_column
        self.covariate_columns = covariate_columns
        self.parametric = parametric
        self.eb = eb
        self.mean_only = mean_only
        self.reference = reference
        self.unseen = unseen
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
        if self.unseen not in ("refuse", "adapt", "leave"):
            raise InputError(f"Unknown policy {self.unseen!r} for unseen batches: "
                             "refuse, adapt or leave.")  # fmt: skip
        values, labels, kept = self._split(X, batch, covariates, reset=True)
        self._refuse_outcome(kept, y)
        self.covariate_mean_ = kept.mean(axis=0)
        self.batches_ = tuple(sorted(set(labels), key=str))
        code = np.array([self.batches_.index(item) for item in labels], dtype=np.int64)
        self._check_batches(code)
        reference = None if self.reference is None else self.batches_.index(self._key())
        standard = standardise(values, code, kept, len(self.batches_), reference)
        scale = np.abs(values).max(axis=0, initial=0.0)
        self.flat_ = standard.scale <= 1e-10 * np.maximum(scale, 1e-300)
        self.standard_ = standard
        effects = []
        for level in range(len(self.batches_)):
            if len(self.batches_) == 1 or level == reference:
                blank = np.zeros(values.shape[1])
                effects.append(BatchEffect(blank, blank + 1))
            else:
                rows = code == level
                effects.append(self._effect(values[rows], kept[rows], standard))
        self.effects_ = tuple(effects)
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
        values, labels, kept = self._split(X, batch, covariates, reset=False)
        out = values.copy()
        if len(self.batches_) == 1 and self.unseen == "refuse" and batch is None \
                and self.batch_column is None:  # fmt: skip
            return out
        strange = sorted({item for item in labels if item not in self.batches_}, key=str)
        if strange and self.unseen == "refuse":
            raise InputError(
                f"Batches that were not in the training rows: {shown(strange)}. Their effect is "
                "unknown. Choose unseen='adapt' (estimate it from these rows, no outcome "
                "needed) or unseen='leave', and say so in the methods."
            )
        labels_array = np.array(labels, dtype=object)
        for level, name in enumerate(self.batches_):
            rows = np.flatnonzero(labels_array == name)
            if rows.size and not self._is_reference(name):
                out[rows] = self._adjust(values[rows], kept[rows], self.effects_[level])
        for name in strange if self.unseen == "adapt" else ():
            rows = np.flatnonzero(labels_array == name)
            if rows.size < 2 and not self.mean_only:
                raise InputError(
                    f"Batch {name!r} has one row: its scale cannot be estimated. Bring more rows "
                    "of it together, or use mean_only or unseen='leave'."
                )
            effect = self._effect(values[rows], kept[rows], self.standard_)
            out[rows] = self._adjust(values[rows], kept[rows], effect)
        return out

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns that remain."""
        check_is_fitted(self, "effects_")
        if input_features is not None:
            names = [str(item) for item in input_features]
        elif hasattr(self, "feature_names_in_"):
            names = [str(item) for item in self.feature_names_in_]
        else:
            names = [f"x{j}" for j in range(self.n_features_in_)]
        taken = set(self._taken_)
        return np.array([n for j, n in enumerate(names) if j not in taken], dtype=object)

    def _key(self) -> str:
        found = _as_key(self.reference)
        if found not in self.batches_:
            raise InputError(
                f"The reference batch {self.reference!r} is not among the training batches "
                f"{shown(self.batches_)}."
            )
        return found

    def _is_reference(self, name: str) -> bool:
        return self.reference is not None and name == _as_key(self.reference)

    def _effect(self, values: NDArray[Any], kept: NDArray[Any], standard: Standard) -> BatchEffect:
        live = ~self.flat_
        scaled = (values - standard.expected(kept))[:, live] / standard.scale[live]
        found = estimate_effect(
            scaled,
            parametric=self.parametric,
            eb=self.eb,
            mean_only=self.mean_only,
            tolerance=self.tolerance,
            max_iter=self.max_steps,
        )
        shift, factor = np.zeros(values.shape[1]), np.ones(values.shape[1])
        shift[live], factor[live] = found.shift, found.factor
        return BatchEffect(shift, factor)

    def _adjust(
        self, values: NDArray[Any], kept: NDArray[Any], effect: BatchEffect
    ) -> NDArray[Any]:
        if len(self.batches_) == 1 and not effect.shift.any():
            return values
        live = ~self.flat_ & (effect.factor > 0)
        out = values.copy()
        expected = self.standard_.expected(kept)[:, live]
        scale = self.standard_.scale[live]
        scaled = (values[:, live] - expected) / scale
        out[:, live] = (scaled - effect.shift[live]) / np.sqrt(effect.factor[live]) * scale
        out[:, live] += expected
        return out

    def _check_batches(self, code: NDArray[np.int64]) -> None:
        count = np.bincount(code)
        if len(count) == 1:
            warnings.warn(
                "ComBat saw one batch only: the values pass unchanged.", RadgenWarning, stacklevel=3
            )
            return
        lone = [self.batches_[level] for level in np.flatnonzero(count < 2)]
        if lone and not self.mean_only:
            raise InputError(
                f"Batches of a single sample: {shown(lone)}. A scale cannot be estimated from "
                "one; merge small batches or set mean_only=True."
            )

    def _refuse_outcome(self, kept: NDArray[Any], y: Any) -> None:
        clash = [item for item in self.covariate_columns if item in set(self.forbidden)]
        if clash:
            raise InputError(_OUTCOME.format(shown(clash)))
        if y is None or kept.shape[1] == 0:
            return
        outcome = np.asarray(y)
        if outcome.ndim != 1 or len(outcome) != len(kept):
            return
        for j in range(kept.shape[1]):
            if _determines(kept[:, j], outcome):
                name = self.covariate_columns[j] if self.covariate_columns else j
                raise InputError(_OUTCOME.format(name))

    def _split(
        self, X: Any, batch: Any, covariates: Any, *, reset: bool
    ) -> tuple[NDArray[np.float64], list[str], NDArray[np.float64]]:
        wanted = [*([] if self.batch_column is None else [self.batch_column])]
        wanted += list(self.covariate_columns)
        if hasattr(X, "columns") and wanted:
            values, labels, kept = self._split_frame(X, reset=reset)
        else:
            table = validate_data(self, X, reset=reset, dtype=np.float64)
            places = [self._place(item, table.shape[1]) for item in wanted]
            if reset:
                self._taken_ = tuple(places)
            labels = (
                None if self.batch_column is None else [_as_key(v) for v in table[:, places[0]]]
            )
            first = 0 if self.batch_column is None else 1
            kept = table[:, places[first:]]
            values = np.delete(table, places, axis=1)
        if batch is not None:
            labels = [_as_key(item) for item in np.asarray(batch, dtype=object).ravel()]
        if covariates is not None:
            extra = np.asarray(covariates, dtype=np.float64)
            kept = np.hstack((kept, extra[:, None] if extra.ndim == 1 else extra))
        elif not reset and not self.covariate_columns and len(self.standard_.slopes):
            kept = np.tile(self.covariate_mean_, (len(values), 1))
        labels = ["all"] * len(values) if labels is None else labels
        if len(labels) != len(values) or len(kept) != len(values):
            raise InputError(
                f"{len(values)} rows of X, but {len(labels)} batches and {len(kept)} covariates."
            )
        if not reset and kept.shape[1] != len(self.standard_.slopes):
            raise InputError(
                f"ComBat kept {len(self.standard_.slopes)} covariates in fit; transform was given "
                f"{kept.shape[1]}."
            )
        return values, labels, kept

    def _split_frame(
        self, X: Any, *, reset: bool
    ) -> tuple[NDArray[np.float64], list[str] | None, NDArray[np.float64]]:
        names = [str(item) for item in X.columns]
        if reset:
            self.feature_names_in_ = np.array(names, dtype=object)
            self.n_features_in_ = len(names)
        elif names != [str(item) for item in self.feature_names_in_]:
            raise InputError("The columns of X differ from those of the training rows.")

        def column(item: int | str) -> Any:
            name = X.columns[item] if isinstance(item, int) else item
            if str(name) not in names:
                raise InputError(f"X has no column {item!r}; it has {shown(names)}.")
            return X[name]

        places = []
        labels = None
        if self.batch_column is not None:
            labels = [_as_key(item) for item in column(self.batch_column)]
            places.append(self._index(self.batch_column, names))
        kept_columns = [
            np.asarray(column(item), dtype=np.float64) for item in self.covariate_columns
        ]
        places += [self._index(item, names) for item in self.covariate_columns]
        kept = np.column_stack(kept_columns) if kept_columns else np.empty((len(X), 0))
        rest = [X.columns[j] for j in range(len(names)) if j not in set(places)]
        values = np.column_stack([np.asarray(X[name], dtype=np.float64) for name in rest])
        if not np.isfinite(values).all() or not np.isfinite(kept).all():
            raise InputError("X contains NaN or infinity; impute before harmonising.")
        if reset:
            self._taken_ = tuple(places)
        return values, labels, kept

    @staticmethod
    def _index(item: int | str, names: list[str]) -> int:
        return item if isinstance(item, int) else names.index(str(item))

    @staticmethod
    def _place(item: int | str, n_columns: int) -> int:
        if not isinstance(item, int | np.integer):
            raise InputError(
                f"Column {item!r} is a name, but X is an array without names: give its position."
            )
        if not -n_columns <= item < n_columns:
            raise InputError(f"Column {item} does not exist: X has {n_columns} columns.")
        return int(item) % n_columns


_OUTCOME = (
    "{} is the outcome, or determines it, and cannot be a kept covariate of ComBat: keeping the "
    "outcome writes it into the harmonised values of every row, and pure noise then predicts it. "
    "Keep covariates that are known before the outcome (age, sex)."
)


def _as_key(item: Any) -> str:
    if isinstance(item, float | np.floating) and float(item).is_integer():
        return str(int(item))
    if item is None or (isinstance(item, float | np.floating) and np.isnan(item)):
        raise InputError("A batch is missing: every row needs one.")
    return str(item)


def _determines(covariate: NDArray[Any], outcome: NDArray[Any]) -> bool:
    levels = np.unique(outcome)
    if len(levels) < 2 or len(np.unique(covariate)) < 2:
        return False
    if len(levels) <= 10:
        pairs = {(a, b) for a, b in zip(covariate.tolist(), outcome.tolist(), strict=True)}
        return len(pairs) == len(levels) == len(np.unique(covariate))
    if outcome.dtype.kind not in "iuf":
        return False
    return bool(abs(np.corrcoef(covariate, outcome.astype(np.float64))[0, 1]) > 1 - 1e-9)
