"""What happens to a block between the raw values and the model, all learned on training rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.phenotype.covbat import CovBat
from radgen.phenotype.harmonise import MAX_TIES, ComBat
from radgen.phenotype.select import CorrelationFilter, RankNormaliser, VarianceFilter
from radgen.predict.design import Block
from radgen.stats.cox import RiskSets
from radgen.stats.survival import check_survival

__all__ = [
    "HARMONISERS",
    "SELECTIONS",
    "BlockScale",
    "UnivariateSelector",
    "block_steps",
    "harmoniser",
]

FloatArray = NDArray[np.float64]
HARMONISERS = {
    "combat": (ComBat, True),
    "location-scale": (ComBat, False),
    "covbat": (CovBat, True),
}
"""Estimators that remove site effects by name, and whether with empirical Bayes."""

SELECTIONS = ("none", "correlation", "univariate", "correlation+univariate")


class UnivariateSelector(SelectorMixin, BaseEstimator):
    """Keeps the columns most associated with the outcome in the training rows.

    Parameters
    ----------
    k : int, default 20
        How many columns are kept.

    Attributes
    ----------
    statistic_ : float64 (n_features,)
        |AUC - 0.5| for two classes, |Pearson correlation| for a continuous outcome, the
        standardised score of Cox's model at 0 for times and events (n, 2).

    Notes
    -----
    It looks at the outcome: used before the split it makes noise predict. Use it only inside
    the folds.
    """

    def __init__(self, k: int = 20) -> None:
        self.k = k

    def fit(self, X: Any, y: Any) -> Self:
        """Rank the columns by their association with y."""
        values = validate_data(self, X, dtype=np.float64)
        if y is None:
            raise InputError(
                "UnivariateSelector requires y to be passed, but the target y is None."
            )
        target = np.asarray(y)
        if target.shape[:1] != (len(values),):
            raise InputError(f"X has {len(values)} rows and y has shape {target.shape}.")
        self.statistic_ = _association(values, target)
        keep = np.argsort(-self.statistic_, kind="stable")[: max(int(self.k), 1)]
        self.support_ = np.zeros(values.shape[1], dtype=bool)
        self.support_[keep] = True
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self, "support_")
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _association(values: FloatArray, target: NDArray[Any]) -> FloatArray:
    if target.ndim == 2:
        time, event = check_survival(target[:, 0], target[:, 1])
        risk = RiskSets(time, event, np.ones(len(time)), None, "breslow")
        share = event - risk.per_sample(1 / risk.at_risk(np.ones(len(time)))[risk.row_time])
        centred = values - values.mean(axis=0)
        size = np.sqrt((centred**2).sum(axis=0))
        return np.abs(share @ centred) / np.where(size > 0, size, 1)
    levels = np.unique(target)
    if len(levels) == 2:
        positive = target == levels[1]
        order = np.argsort(values, axis=0, kind="stable")
        ranks = np.empty_like(values)
        np.put_along_axis(ranks, order, np.arange(1.0, len(values) + 1)[:, None], axis=0)
        n1 = int(positive.sum())
        spread = n1 * (len(values) - n1)
        area = (ranks[positive].sum(axis=0) - n1 * (n1 + 1) / 2) / spread
        return np.abs(area - 0.5)
    if target.dtype.kind not in "iuf":
        target = np.unique(target, return_inverse=True)[1]
    centred = values - values.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    return np.abs((target - target.mean()) @ centred) / np.where(size > 0, size, 1)


class BlockScale(TransformerMixin, BaseEstimator):
    """Divides a block by its first singular value over sqrt(n), so that no block outweighs.

    A block of one standardised column and a block of a thousand then enter a penalised model
    with the same largest variance (as in multiple factor analysis).

    Attributes
    ----------
    scale_ : float
    mean_ : float64 (n_features,)
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the scale of the training rows."""
        values = validate_data(self, X, dtype=np.float64)
        self.mean_ = values.mean(axis=0)
        centred = values - self.mean_
        gram = centred @ centred.T if len(values) < values.shape[1] else centred.T @ centred
        largest = float(np.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0) / len(values)))
        self.scale_ = largest if largest > 0 else 1.0
        return self

    def transform(self, X: Any) -> FloatArray:
        """Return centred and scaled values."""
        check_is_fitted(self, "scale_")
        values = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray((values - self.mean_) / self.scale_)


def harmoniser(harmonise: Any, *, leave_site_out: bool) -> Any:
    """Return the estimator that removes site effects, or None.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if harmonise is None or harmonise == "none":
        return None
    if isinstance(harmonise, str):
        require_choice(harmonise, ("none", *HARMONISERS), what="harmonisation")
        make, eb = HARMONISERS[harmonise]
        return make(eb=eb, unseen="adapt" if leave_site_out else "refuse")
    return harmonise


def block_steps(
    block: Block, *, selection: Any, n_selected: int, harmonised: bool = False
) -> list[tuple[str, Any]]:
    """Return named, unfitted steps of a block; "harmonise" marks where sites are removed.

    Where sites are removed, features with many equal values go first: shifted by site, their
    equal values would mark the site. Ranks come before harmonisation: afterwards they would blow
    up the tiny shifts by which equal values of two sites then differ, and give the site away.

    Raises
    ------
    InputError
        If the selection is unknown.
    """
    steps: list[tuple[str, Any]] = [
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
    ]
    if block.role == "clinical":
        return [*steps, ("standardise", StandardScaler()), ("weigh", BlockScale())]
    ties = MAX_TIES if harmonised and block.role == "imaging" else 1.0
    steps += [("vary", VarianceFilter(max_ties=ties)), ("normalise", RankNormaliser())]
    if block.role == "imaging":
        steps += [("harmonise", None)]
    steps += _selection_steps(selection, n_selected)
    return [*steps, ("weigh", BlockScale())]


def _selection_steps(selection: Any, n_selected: int) -> list[tuple[str, Any]]:
    if selection is None:
        return []
    if isinstance(selection, str):
        require_choice(selection, SELECTIONS, what="selection")
        steps: list[tuple[str, Any]] = []
        if "correlation" in selection:
            steps.append(("correlation", CorrelationFilter()))
        if "univariate" in selection:
            steps.append(("univariate", UnivariateSelector(n_selected)))
        return steps
    if isinstance(selection, list | tuple):
        return [(f"select {k + 1}", clone(step)) for k, step in enumerate(selection)]
    if not hasattr(selection, "transform"):
        raise InputError(
            f"selection is a {type(selection).__name__}; needed is a name ({', '.join(SELECTIONS)})"
            ", a scikit-learn transformer, or a list of them."
        )
    return [("select", clone(selection))]
