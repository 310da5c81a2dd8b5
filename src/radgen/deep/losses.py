"""What networks minimise: Cox's partial likelihood and the correlation of views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from radgen.deep._torch import torch
from radgen.errors import InputError
from radgen.stats.survival import check_survival

__all__ = ["CoxLoss", "correlation_loss", "cox_loss"]

Ties = Literal["efron", "breslow"]


class CoxLoss:
    """Minus the log partial likelihood per event of one set of rows, as a function of scores.

    Parameters
    ----------
    time : float64 (n,)
        Time of event or censoring.
    event : bool (n,)
        True = the event happened.
    ties : {"efron", "breslow"}
        How tied events are handled, as in `radgen.stats.cox`.
    """

    def __init__(self, time: Any, event: Any, *, ties: Ties = "efron") -> None:
        library = torch()
        time, happened = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=bool)
        order = np.argsort(-time, kind="stable")
        late, died = time[order], happened[order]
        # Rows run from late to early: the risk set of a time ends with the last row of that time.
        last = len(late) - 1 - np.searchsorted(late[::-1], late, side="left")
        deaths = np.flatnonzero(died)
        _, group, count = np.unique(-late[deaths], return_inverse=True, return_counts=True)
        first = np.concatenate(([0], np.cumsum(count)[:-1]))
        rank = np.arange(len(deaths)) - first[group]
        share = rank / count[group] if ties == "efron" else np.zeros(len(deaths))
        self.n_events = len(deaths)
        self._order, self._deaths = library.from_numpy(order), library.from_numpy(deaths)
        self._last = library.from_numpy(last[deaths])
        self._group, self._n_groups = library.from_numpy(group), len(count)
        self._share = library.from_numpy(share)

    def __call__(self, score: Any) -> Any:
        """Return the loss of log relative hazards, tensor (n,)."""
        library = torch()
        if not self.n_events:
            return score.sum() * 0
        ordered = score[self._order]
        risk = library.logcumsumexp(ordered, 0)[self._last]
        died = ordered[self._deaths]
        # The tied deaths' part of the risk set; a ratio, so that no exponential overflows.
        part = library.zeros(self._n_groups, dtype=score.dtype)
        part = part.index_add(0, self._group, library.exp(died - risk))[self._group]
        log_sets = risk + library.log1p(-self._share.to(score.dtype) * part)
        return (log_sets - died).sum() / self.n_events


def cox_loss(score: Any, time: Any, event: Any, *, ties: Ties = "efron") -> Any:
    """Return minus the Cox log partial likelihood per event, a scalar tensor.

    Parameters
    ----------
    score : tensor (n,)
        Log relative hazards.
    time : array_like of float64 (n,)
        Time of event or censoring.
    event : array_like of bool (n,)
        True = the event happened.
    ties : {"efron", "breslow"}
        How tied events are handled.

    Returns
    -------
    tensor
        Differentiable in `score`; 0 where there is no event.

    Raises
    ------
    InputError
        If times and events do not fit each other, or there are not as many scores.
    MissingDependencyError
        If PyTorch is not installed.

    Notes
    -----
    ``-1/d * sum over events (eta_i - log(sum of exp(eta_j) at risk - l/D * sum over tied))``:
    the d events, the l-th of D tied ones; l = 0 in Breslow's form.

    References
    ----------
    Efron 1977, doi:10.1080/01621459.1977.10480613. Katzman et al. 2018,
    doi:10.1186/s12874-018-0482-1.
    """
    time, event = check_survival(time, event)
    if tuple(score.shape) != (len(time),):
        raise InputError(f"There are {len(time)} times, but scores of shape {tuple(score.shape)}.")
    return CoxLoss(time, event, ties=ties)(score)


def correlation_loss(views: Sequence[Any], *, ridge: float = 1e-3) -> Any:
    """Return minus the mean squared canonical correlation of pairs of views, a scalar tensor.

    Parameters
    ----------
    views : sequence of tensor (n, d)
        Outputs of the views' networks for the same rows, two or more.
    ridge : float, default 1e-3
        Added to the variances: what keeps a penalty on the weights from being undone by scale.

    Returns
    -------
    tensor
        Between -1 (all directions shared) and 0.

    Raises
    ------
    InputError
        If there are fewer than two views, or too few rows.
    MissingDependencyError
        If PyTorch is not installed.

    Notes
    -----
    ``tr(S11^-1 S12 S22^-1 S21) / d`` by Cholesky factors: the sum of squared canonical
    correlations, whose gradient exists also where some are equal (that of their sum does not).

    References
    ----------
    Andrew et al. 2013, Deep canonical correlation analysis, ICML, equations 10 to 13 (there the
    sum of the correlations).
    """
    library = torch()
    if len(views) < 2:
        raise InputError("The correlation of views needs two or more views.")
    n = len(views[0])
    if n < 3:
        raise InputError(f"The correlation of views needs three rows or more; there are {n}.")
    white: list[Any] = []
    for view in views:
        centred = view - view.mean(0)
        cov = centred.T @ centred / (n - 1)
        d = cov.shape[0]
        eye = library.eye(d, dtype=cov.dtype)
        factor = library.linalg.cholesky(cov + eye * ridge)
        white.append(library.linalg.solve_triangular(factor, centred.T, upper=False))
    total, pairs = 0.0, 0
    for i, left in enumerate(white):
        for right in white[i + 1 :]:
            smaller = min(left.shape[0], right.shape[0])
            total = total + ((left @ right.T / (n - 1)) ** 2).sum() / smaller
            pairs += 1
    return -total / pairs
