"""What happens to a block between the raw values and the model, all learned on training rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from radgen._core.naming import require_choice
from radgen.errors import InputError
from radgen.phenotype.harmonise import MAX_TIES
from radgen.phenotype.harmonise_table import METHODS
from radgen.phenotype.select import CorrelationFilter, RankNormaliser, VarianceFilter
from radgen.predict.acquisition import Harmonisation
from radgen.predict.design import Block
from radgen.predict.selection.boruta import BorutaSelector
from radgen.predict.selection.invariant import InvariantSelector
from radgen.predict.selection.relevance import RelevanceSelector
from radgen.predict.selection.sparse import SparseSelector
from radgen.predict.selection.stability import StabilitySelector
from radgen.predict.selection.univariate import UnivariateSelector

__all__ = [
    "SELECTIONS",
    "BlockScale",
    "UnivariateSelector",
    "block_steps",
    "harmoniser",
]

FloatArray = NDArray[np.float64]
SELECTIONS = (
    "none",
    "correlation",
    "univariate",
    "mrmr",
    "lasso",
    "elastic_net",
    "stability",
    "boruta",
    "invariant",
    "correlation+univariate",
    "correlation+mrmr",
    "correlation+lasso",
    "correlation+elastic_net",
    "correlation+stability",
    "correlation+boruta",
    "correlation+invariant",
)


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


def harmoniser(harmonise: Any, *, leave_site_out: bool, n_covariates: int = 0) -> Any:
    """Return the estimator that removes site effects, or None.

    Parameters
    ----------
    harmonise : None, str, Harmonisation or estimator
        As in `radgen.predict.evaluate`.
    leave_site_out : bool
        Whether sites can be new: they are then adapted to, unless stated otherwise.
    n_covariates : int, default 0
        Columns of covariates that a `Harmonisation` keeps.

    Raises
    ------
    InputError
        If the name is unknown.

    Notes
    -----
    Methods by name are used without empirical Bayes here. Its shrinkage leaves a part of each
    site's chance shift in the training rows and puts the opposite part into new rows of the site;
    where sites differ in prevalence a model learns the first and is judged on the second, and
    noise scores below 0.5 (0.44 in `verification/null_zoo.py`, scenario `protected`). Pass an
    estimator to have it all the same.
    """
    if harmonise is None or (isinstance(harmonise, str) and harmonise == "none"):
        return None
    if isinstance(harmonise, Harmonisation):
        return harmonise.estimator(n_covariates, adapt=leave_site_out)
    if isinstance(harmonise, str):
        require_choice(harmonise, ("none", *METHODS), what="harmonisation")
        make, _ = METHODS[harmonise]
        return make(eb=False, unseen="adapt" if leave_site_out else "refuse")
    return harmonise


def block_steps(
    block: Block,
    *,
    selection: Any,
    n_selected: int,
    harmonised: bool = False,
    reliable: Any = None,
) -> list[tuple[str, Any]]:
    """Return named, unfitted steps of a block; "harmonise" marks where sites are removed.

    Crops and bags have none: a network standardises them itself, on its training rows.

    Where sites are removed, features with many equal values go first: shifted by site, their
    equal values would mark the site. Ranks come before harmonisation: afterwards they would blow
    up the tiny shifts by which equal values of two sites then differ, and give the site away.
    `reliable` filters columns of imaging blocks before anything else looks at them.

    Raises
    ------
    InputError
        If the selection is unknown.
    """
    if block.layout != "table":
        return []
    steps: list[tuple[str, Any]] = [
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
    ]
    if block.role == "clinical":
        return [*steps, ("standardise", StandardScaler()), ("weigh", BlockScale())]
    if reliable is not None:
        steps += [("reliability", reliable)]
    ties = MAX_TIES if harmonised and block.role == "imaging" else 1.0
    steps += [("vary", VarianceFilter(max_ties=ties)), ("normalise", RankNormaliser())]
    if block.role == "imaging":
        steps += [("harmonise", None)]
    steps += _selection_steps(selection, n_selected)
    return [*steps, ("weigh", BlockScale())]


def _named_selector(name: str, n_selected: int) -> Any:
    """Return the estimator of a name; those that draw at random always draw the same."""
    if name == "correlation":
        return CorrelationFilter()
    if name == "univariate":
        return UnivariateSelector(n_selected)
    if name == "invariant":
        return InvariantSelector()
    if name == "mrmr":
        return RelevanceSelector(n_selected)
    if name in ("lasso", "elastic_net"):
        return SparseSelector(1.0 if name == "lasso" else 0.5, random_state=0)
    return (
        StabilitySelector(random_state=0) if name == "stability" else BorutaSelector(random_state=0)
    )


def _selection_steps(selection: Any, n_selected: int) -> list[tuple[str, Any]]:
    if selection is None:
        return []
    if isinstance(selection, str):
        require_choice(selection, SELECTIONS, what="selection")
        return [(name, _named_selector(name, n_selected)) for name in selection.split("+")
                if name != "none"]  # fmt: skip
    if isinstance(selection, list | tuple):
        return [(f"select {k + 1}", clone(step)) for k, step in enumerate(selection)]
    if not hasattr(selection, "transform"):
        raise InputError(
            f"selection is a {type(selection).__name__}; needed is a name ({', '.join(SELECTIONS)})"
            ", a scikit-learn transformer, or a list of them."
        )
    return [("select", clone(selection))]
