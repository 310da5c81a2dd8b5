"""Elastic net and lasso for logistic, Cox and linear models, along a path of penalties."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from radgen.errors import FitError
from radgen.predict.learners import Fitted, LinearFit
from radgen.stats.cox import RiskSets

__all__ = ["FRACTIONS", "ElasticNetLearner", "elastic_net_path"]

FloatArray = NDArray[np.float64]
FRACTIONS = np.logspace(0, -2, 16)
"""Penalties as fractions of the smallest that leaves no feature in."""
_STEPS = 40


@dataclass(frozen=True)
class ElasticNetLearner:
    """Elastic net over `FRACTIONS` of the largest penalty, strongest first."""

    kind: str
    l1_ratio: float = 0.5

    @property
    def settings(self) -> tuple[str, ...]:
        """Penalties as text."""
        return tuple(f"{value:.2g} of the largest penalty" for value in FRACTIONS)

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        which: NDArray[np.int64],
        seed: int,
        widths: Sequence[int] = (),
    ) -> list[Fitted]:
        """Return the fits at fractions `which`."""
        fractions = FRACTIONS[: int(which.max()) + 1]
        beta, intercept = elastic_net_path(
            x, y, self.kind, fractions=fractions, l1_ratio=self.l1_ratio
        )
        return [LinearFit(beta[k], float(intercept[k]), self.kind) for k in which]


def elastic_net_path(
    x: FloatArray, y: FloatArray, kind: str, *, fractions: FloatArray, l1_ratio: float = 0.5
) -> tuple[FloatArray, FloatArray]:
    """Return coefficients (n_fractions, p) and intercepts (n_fractions,).

    Parameters
    ----------
    x : float64 (n, p)
        Features on comparable scales.
    y : float64 (n,) or (n, 2)
        0/1, value, or time and event.
    kind : {"binary", "censored", "continuous"}
        The likelihood.
    fractions : float64 (n_fractions,)
        Penalties as fractions of the largest, descending.
    l1_ratio : float, default 0.5
        1 is the lasso.

    Raises
    ------
    FitError
        If the reweighting does not converge.

    Notes
    -----
    The mean log-likelihood is approximated by weighted least squares around the current fit
    (for Cox with the diagonal of the Hessian) and each approximation is solved by coordinate
    descent, as in glmnet.

    References
    ----------
    Friedman et al. 2010, doi:10.18637/jss.v033.i01. Simon et al. 2011,
    doi:10.18637/jss.v039.i05.
    """
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import ElasticNet

    n = len(x)
    sets = None
    if kind == "censored":
        sets = RiskSets(y[:, 0], y[:, 1] > 0.5, np.ones(n), None, "efron")
    start = 0.0 if kind == "censored" else float(y.mean())
    if kind == "binary":
        start = float(np.log(start / (1 - start)))
    eta = np.full(n, start)
    gradient, _ = _working(y, eta, kind, sets)
    largest = float(np.abs((x - x.mean(axis=0)).T @ gradient).max()) / n / max(l1_ratio, 1e-3)
    solver = ElasticNet(l1_ratio=l1_ratio, warm_start=True, max_iter=2000, tol=1e-5)
    beta, intercept = np.empty((len(fractions), x.shape[1])), np.empty(len(fractions))
    x = np.asfortranarray(x)
    # Columns and settings are the same in each of hundreds of small fits: they are checked before.
    checked = config_context(assume_finite=True, skip_parameter_validation=True)
    with warnings.catch_warnings(), checked:
        warnings.simplefilter("ignore", ConvergenceWarning)
        for k, fraction in enumerate(fractions):
            for _ in range(_STEPS):
                gradient, weight = _working(y, eta, kind, sets)
                total = float(weight.sum())
                solver.set_params(alpha=max(fraction * largest * n / total, 1e-12))
                target = eta + gradient / weight
                solver.fit(x, target, sample_weight=weight, check_input=False)
                new = x @ solver.coef_ + solver.intercept_
                moved = float(np.abs(new - eta).max())
                eta = new
                if moved < 1e-4 or kind == "continuous":
                    break
                if not np.isfinite(moved) or moved > 1e3:
                    raise FitError("The elastic net diverged: a feature separates the outcome.")
            beta[k], intercept[k] = solver.coef_, solver.intercept_
            if kind == "censored":
                intercept[k] = -float(x.mean(axis=0) @ solver.coef_)
    return beta, intercept


def _working(
    y: FloatArray, eta: FloatArray, kind: str, sets: RiskSets | None
) -> tuple[FloatArray, FloatArray]:
    if sets is not None:
        _, gradient, curve = sets.eta_derivatives(eta - eta.mean())
        return gradient, np.maximum(curve, 1e-6)
    if kind == "binary":
        p = expit(eta)
        return y - p, np.maximum(p * (1 - p), 1e-5)
    return y - eta, np.ones_like(eta)
