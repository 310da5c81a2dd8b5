"""Survival from several views: correlation first, then Cox's likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from radgen.deep._outcome import NetworkEstimator, Scale, checked_outcome
from radgen.deep._torch import minimise, seeded, tensor, torch
from radgen.deep.losses import CoxLoss, Ties, correlation_loss
from radgen.errors import FitError, InputError

__all__ = ["DeepSurvival"]

FloatArray = NDArray[np.float64]
_RIDGE = 0.1
"""Variance added to the latent values in the correlation of views."""
_AGREE, _COMMON = 0.01, 0.03
"""Penalty on the weights of views while they learn to agree, and largest one of the common part."""


class DeepSurvival(NetworkEstimator):
    """Survival network of several views that are first taught to agree.

    Each view (image features, a molecular layer) has a network of its own, whose `latent` outputs
    are first trained to correlate between views; a common layer and all weights are then trained
    on Cox's partial likelihood.

    Parameters
    ----------
    widths : sequence of int or None
        Columns of each view, where X is one table; None = one view.
    hidden : sequence of int, default (16,)
        Units of the hidden layers of each view. () = a linear network.
    latent : int, default 2
        Outputs of each view.
    penalty : float, default 0.1
        Weight of the squared distance of the views' weights from those of the first step, or from
        0 without one; of the common layer at most 0.03. 0 = none.
    pretrain : bool, default True
        Train views to correlate first, where there are two or more.
    ties : {"efron", "breslow"}
        Handling of tied events.
    max_iter : int, default 100
        Steps of L-BFGS, all rows at once, for either part.
    random_state : int or None
        Of the first weights.

    Attributes
    ----------
    net_ : torch.nn.ModuleDict
        The views and the common layer.
    widths_ : tuple of int
    mean_, spread_ : float64 (p,)
        By which columns are standardised.
    center_ : float
        Mean score of the training rows; it is taken off.
    correlation_ : float
        Mean squared canonical correlation of the views after the first step (NaN without one).
    loss_ : float
        Minus the log partial likelihood per event in training, with the penalty.
    n_iter_ : int

    Notes
    -----
    Where the truth is linear, ridge Cox (`radgen.predict.RidgeCox`) does better with few samples.
    Smooth activations and all rows at once make the fit deterministic. Without a penalty a linear
    network (``hidden=()``) has the coefficients of Cox's model; see `coefficients`.

    References
    ----------
    Huang et al. 2019, doi:10.3389/fgene.2019.00166. Yao et al. 2017,
    doi:10.1007/978-3-319-66185-8_46. Katzman et al. 2018, doi:10.1186/s12874-018-0482-1.
    """

    _facts = ("widths_", "mean_", "spread_", "center_", "correlation_", "loss_", "n_iter_")
    _kinds = ("censored",)
    reads = ("table",)
    grid = ({"penalty": 1.0}, {"penalty": 0.1}, {"penalty": 0.01})

    def __init__(
        self,
        *,
        widths: Sequence[int] | None = None,
        hidden: Sequence[int] = (16,),
        latent: int = 2,
        penalty: float = 0.1,
        pretrain: bool = True,
        ties: Ties = "efron",
        max_iter: int = 100,
        random_state: int | None = None,
    ) -> None:
        self.widths = widths
        self.hidden = hidden
        self.latent = latent
        self.penalty = penalty
        self.pretrain = pretrain
        self.ties = ties
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : float64 (n, p), or sequence of float64 (n, p_view)
            No missing values.
        y : float64 (n, 2)
            Time and event (1 = happened).
        groups : ignored
            Nothing is held out here.

        Raises
        ------
        InputError
            If X has missing values, `widths` do not add up, or y is no time and event.
        FitError
            If the loss is no number at the end.
        MissingDependencyError
            If PyTorch is not installed.
        """
        x, self.widths_ = _table(X, self.widths)
        kind, target = checked_outcome(y, "censored", len(x))
        self.scale_ = Scale(kind)
        self.mean_ = x.mean(axis=0)
        spread = x.std(axis=0)
        self.spread_ = np.where(spread > 1e-12 * (1 + np.abs(self.mean_)), spread, 1.0)
        with seeded(0 if self.random_state is None else int(self.random_state)) as library:
            self.net_ = self._build()
            views = self._views(x)
            self.correlation_ = self._agree(views)
            taught = self.pretrain and len(views) > 1
            start = [w.detach() * taught for w in self.net_["views"].parameters()]
            loss = CoxLoss(target[:, 0], target[:, 1] > 0.5, ties=self.ties)

            def objective() -> Any:
                return loss(self._forward(views)) + self._penalty_from(start)

            self.loss_, self.n_iter_ = minimise(
                self.net_.parameters(), objective, max_iter=self.max_iter, tolerance=1e-9
            )
            if not np.isfinite(self.loss_):
                raise FitError(
                    "The survival network diverged. Raise penalty, or look for columns with "
                    "extreme values.",
                    diagnostics={"loss": self.loss_},
                )
            with library.no_grad():
                self.center_ = float(self._forward(views).mean())
        return self

    def transform(self, X: Any) -> FloatArray:
        """Return the latent values of all views side by side, (n, n_views * latent)."""
        check_is_fitted(self, "net_")
        with seeded(0) as library, library.no_grad():
            found = library.cat(self._latent(self._views(self._known(X))), dim=1)
            return np.asarray(found.numpy())

    def coefficients(self) -> FloatArray:
        """Return log hazard ratios per unit of each column of a linear network, (p,).

        Raises
        ------
        InputError
            If the network has hidden layers.
        """
        check_is_fitted(self, "net_")
        if len(self.hidden):
            raise InputError("A network with hidden layers has no coefficients; use hidden=().")
        weight = self.net_["common"][0].weight.detach().numpy()[0]
        parts = [
            weight[k * self.latent : (k + 1) * self.latent] @ net[0].weight.detach().numpy()
            for k, net in enumerate(self.net_["views"])
        ]
        return np.concatenate(parts) / self.spread_

    def _raw(self, X: Any) -> FloatArray:
        x = self._known(X)
        with seeded(0) as library, library.no_grad():
            found = self._forward(self._views(x)) - self.center_
            return np.asarray(found.numpy(), dtype=np.float64)

    def _known(self, X: Any) -> FloatArray:
        x, widths = _table(X, self.widths_)
        if widths != self.widths_:
            raise InputError(f"X has views of {widths} columns; fitted were {self.widths_}.")
        return x

    def _build(self) -> Any:
        nn = torch().nn

        def view(width: int) -> Any:
            layers: list[Any] = []
            for units in self.hidden:
                layers += [nn.Linear(width, units), nn.Tanh()]
                width = units
            return nn.Sequential(*layers, nn.Linear(width, self.latent))

        n = len(self.widths_) * self.latent
        last = nn.Linear(n, 1, bias=False)
        if len(self.hidden):
            last = nn.Linear(n, self.latent), nn.Tanh(), nn.Linear(self.latent, 1, bias=False)
        net = nn.ModuleDict(
            {
                "views": nn.ModuleList(view(width) for width in self.widths_),
                "common": nn.Sequential(*(last if isinstance(last, tuple) else (last,))),
            }
        )
        return net.double()

    def _views(self, x: FloatArray) -> list[Any]:
        z = (x - self.mean_) / self.spread_
        edges = np.cumsum((0, *self.widths_))
        return [tensor(z[:, a:b]) for a, b in pairwise(edges)]

    def _latent(self, views: Sequence[Any]) -> list[Any]:
        return [net(part) for net, part in zip(self.net_["views"], views, strict=True)]

    def _forward(self, views: Sequence[Any]) -> Any:
        return self.net_["common"](torch().cat(self._latent(views), dim=1))[:, 0]

    def _penalty_from(self, start: Sequence[Any]) -> Any:
        """Return the penalty on the way of the views from their start, of the rest from 0."""
        moved = self.net_["views"].parameters()
        total = sum(((a - b) ** 2).sum() for a, b in zip(moved, start, strict=True))
        common = sum((w**2).sum() for w in self.net_["common"].parameters())
        return self.penalty * total + min(self.penalty, _COMMON) * common

    def _agree(self, views: Sequence[Any]) -> float:
        """Train the views to correlate; return how much they do."""
        parts = list(self.net_["views"].parameters())
        if not self.pretrain or len(views) < 2:
            return float("nan")

        def objective() -> Any:
            size = sum((w**2).sum() for w in parts)
            return correlation_loss(self._latent(views), ridge=_RIDGE) + _AGREE * size

        minimise(parts, objective, max_iter=self.max_iter, tolerance=1e-6)
        with torch().no_grad():
            return -float(correlation_loss(self._latent(views), ridge=1e-9))


def _table(X: Any, widths: Sequence[int] | None) -> tuple[FloatArray, tuple[int, ...]]:
    """Return all columns side by side, and how many each view has."""
    if isinstance(X, list | tuple):
        parts = [np.asarray(part, dtype=np.float64) for part in X]
        if len({len(part) for part in parts}) != 1:
            raise InputError("The views have different numbers of rows.")
        widths, x = [part.shape[1] for part in parts], np.hstack(parts)
    else:
        x = np.asarray(X, dtype=np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise InputError("X is a table without missing values; impute it first.")
    known = tuple(int(w) for w in (widths or (x.shape[1],)))
    if sum(known) != x.shape[1] or min(known) < 1:
        raise InputError(f"widths {known} do not add up to {x.shape[1]} columns.")
    return x, known
