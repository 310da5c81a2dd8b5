"""From tiles to a slide, from patches to a tumour: mean, strongest share, or attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from radgen._core.naming import require_choice
from radgen.deep._bags import read_bags
from radgen.deep._outcome import NetworkEstimator, Scale, checked_outcome
from radgen.deep._torch import minimise, seeded, tensor, torch
from radgen.errors import FitError, InputError

__all__ = ["AttentionPooling"]

FloatArray = NDArray[np.float64]
AGGREGATES = ("attention", "mean", "top-share")


class AttentionPooling(NetworkEstimator):
    """Multiple-instance model: the features of a bag's items become one score.

    Parameters
    ----------
    aggregate : {"attention", "mean", "top-share"}
        Gated attention: a weighted mean of items whose weights are learned; the plain mean; or
        the mean score of the `share` of items that score highest.
    outcome : {"auto", "binary", "continuous", "censored"}
        "auto": y with two columns is time and event; 0 and 1 alone are classes.
    shape : sequence of int or None
        (items, columns) where X is a flat table, NaN in empty places, whose further columns are
        facts of the sample that join in the score; None = bags as they are.
    hidden : int, default 8
        Units of the gate.
    share : float, default 0.1
        Of "top-share".
    penalty : float, default 0.01
        Weight of the squared weights.
    balanced : bool, default True
        Give both classes the same weight.
    max_iter : int, default 200
        Steps of L-BFGS, all bags at once.
    random_state : int or None
        Of the first weights.

    Attributes
    ----------
    net_ : torch.nn.ModuleDict
    scale_ : Scale
    mean_, spread_ : float64 (d,)
        By which items are standardised; each bag counts alike.
    extra_ : float64 (2, n_extra)
        Mean and SD of the further columns.
    loss_ : float
    n_iter_ : int

    Notes
    -----
    ``score = b + w' sum_t a_t x_t`` with ``a = softmax(v' (tanh(V x) * sigmoid(U x)))``. Neither
    the order of items nor their number as such tells anything.

    References
    ----------
    Ilse, Tomczak and Welling 2018, Attention-based deep multiple instance learning, ICML,
    equation 9. Coudray et al. 2018, doi:10.1038/s41591-018-0177-5 (mean and share of tiles).
    """

    _facts = ("mean_", "spread_", "extra_", "loss_", "n_iter_")
    reads = ("bags",)
    grid = ({"penalty": 0.1}, {"penalty": 0.01}, {"penalty": 0.001})

    def __init__(
        self,
        *,
        aggregate: Literal["attention", "mean", "top-share"] = "attention",
        outcome: str = "auto",
        shape: Sequence[int] | None = None,
        hidden: int = 8,
        share: float = 0.1,
        penalty: float = 0.01,
        balanced: bool = True,
        max_iter: int = 200,
        random_state: int | None = None,
    ) -> None:
        self.aggregate = aggregate
        self.outcome = outcome
        self.shape = shape
        self.hidden = hidden
        self.share = share
        self.penalty = penalty
        self.balanced = balanced
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Train the model.

        Parameters
        ----------
        X : sequence of float64 (n_items, d), or array (n, n_most, d) with NaN in empty places
            Features of the items of each bag.
        y : float64 (n,) or (n, 2)
            Outcome.
        groups : ignored
            Nothing is held out here.

        Raises
        ------
        InputError
            If bags or outcome cannot be used.
        FitError
            If the loss is no number at the end.
        MissingDependencyError
            If PyTorch is not installed.
        """
        require_choice(self.aggregate, AGGREGATES, what="aggregate")
        if not 0 < self.share <= 1:
            raise InputError(f"share is {self.share:g}; needed is more than 0 and at most 1.")
        values, filled, extra = self._read(X)
        kind, target = checked_outcome(y, self.outcome, len(values))
        self.scale_ = Scale.of(kind, target, balanced=self.balanced)
        weight = filled / filled.sum(axis=1, keepdims=True) / len(filled)
        self.mean_ = np.einsum("nt,ntd->d", weight, values)
        spread = np.sqrt(np.einsum("nt,ntd->d", weight, (values - self.mean_) ** 2))
        self.spread_ = np.where(spread > 1e-12 * (1 + np.abs(self.mean_)), spread, 1.0)
        wide = extra.std(axis=0)
        self.extra_ = np.array([extra.mean(axis=0), np.where(wide > 1e-12, wide, 1.0)])
        with seeded(0 if self.random_state is None else int(self.random_state)):
            self.net_ = self._build()
            items, mask, facts = self._tensors(values, filled, extra)
            loss = self.scale_.loss(target)
            free = self.net_["head"].bias
            squared = [w for w in self.net_.parameters() if w is not free]

            def objective() -> Any:
                size = sum((w**2).sum() for w in squared)
                return loss(self._forward(items, mask, facts)) + self.penalty * size

            self.loss_, self.n_iter_ = minimise(
                self.net_.parameters(), objective, max_iter=self.max_iter, tolerance=1e-7
            )
        if not np.isfinite(self.loss_):
            raise FitError("The pooling model diverged. Raise penalty, or look for odd items.")
        return self

    def weights(self, X: Any) -> list[FloatArray]:
        """Return the weight of each item in its bag, (n_items,) a bag; each sums to 1."""
        items, mask, _, filled = self._checked(X)
        with seeded(0) as library, library.no_grad():
            found = self._weights(items, mask).numpy()
        return [row[here] for row, here in zip(found, filled, strict=True)]

    def item_scores(self, X: Any) -> list[FloatArray]:
        """Return the raw score of each item as if it were a bag, (n_items,) a bag."""
        items, _, _, filled = self._checked(X)
        with seeded(0) as library, library.no_grad():
            found = self.net_["head"](items)[:, :, 0].numpy()
        return [row[here] for row, here in zip(found, filled, strict=True)]

    def _read(self, X: Any) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
        """Return items, which places are filled, and the columns beside the bags."""
        if self.shape is None or isinstance(X, list | tuple):
            values, filled = read_bags(X)
            return values, filled, np.zeros((len(values), 0))
        table = np.asarray(X, dtype=np.float64)
        size = int(np.prod(self.shape))
        extra = table[:, size:]
        if not np.isfinite(extra).all():
            raise InputError("The columns beside the bags may not hold missing values.")
        return *read_bags(table[:, :size], self.shape), extra

    def _checked(self, X: Any) -> tuple[Any, Any, Any, NDArray[np.bool_]]:
        check_is_fitted(self, "net_")
        values, filled, extra = self._read(X)
        found, known = (values.shape[2], extra.shape[1]), (len(self.mean_), self.extra_.shape[1])
        if found != known:
            raise InputError(f"Columns of items and beside them: {found}; fitted were {known}.")
        return *self._tensors(values, filled, extra), filled

    def _tensors(
        self, values: FloatArray, filled: NDArray[np.bool_], extra: FloatArray
    ) -> tuple[Any, Any, Any]:
        z = (values - self.mean_) / self.spread_
        facts = (extra - self.extra_[0]) / self.extra_[1]
        return tensor(np.where(filled[:, :, None], z, 0.0)), tensor(filled, "bool"), tensor(facts)

    def _build(self) -> Any:
        nn, d = torch().nn, len(self.mean_)
        parts = {"head": nn.Linear(d, 1)}
        if self.extra_.shape[1]:
            parts["facts"] = nn.Linear(self.extra_.shape[1], 1, bias=False)
        if self.aggregate == "attention":
            parts |= {
                "value": nn.Linear(d, self.hidden, bias=False),
                "gate": nn.Linear(d, self.hidden, bias=False),
                "attend": nn.Linear(self.hidden, 1, bias=False),
            }
        return nn.ModuleDict(parts).double()

    def _weights(self, items: Any, mask: Any) -> Any:
        """Return weights of items, tensor (n, n_most), 0 in empty places."""
        library = torch()
        if self.aggregate == "attention":
            gate = library.tanh(self.net_["value"](items)) * library.sigmoid(
                self.net_["gate"](items)
            )
            logits = self.net_["attend"](gate)[:, :, 0]
            return library.softmax(logits.masked_fill(~mask, -library.inf), dim=1)
        if self.aggregate == "mean":
            return mask.double() / mask.sum(dim=1, keepdim=True)
        score = self.net_["head"](items)[:, :, 0].masked_fill(~mask, -library.inf)
        count = library.ceil(self.share * mask.sum(dim=1) - 1e-9).long()
        place = library.argsort(library.argsort(score, dim=1, descending=True, stable=True), dim=1)
        return (place < count[:, None]).double() / count[:, None]

    def _forward(self, items: Any, mask: Any, facts: Any) -> Any:
        weight = self._weights(items, mask)
        score = self.net_["head"]((weight[:, :, None] * items).sum(dim=1))[:, 0]
        return score + self.net_["facts"](facts)[:, 0] if facts.shape[1] else score

    def _raw(self, X: Any) -> FloatArray:
        items, mask, facts, _ = self._checked(X)
        with seeded(0) as library, library.no_grad():
            return np.asarray(self._forward(items, mask, facts).numpy())
