"""Phenotypes against a censored outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from radgen.associate import _pairs
from radgen.associate._pairs import PairBlock, blank_block
from radgen.errors import FitError
from radgen.stats import linear
from radgen.stats.cox import fit_cox
from radgen.stats.glm import score_scan

__all__ = ["cox_block", "martingale_residuals"]

Array = NDArray[np.float64]


def cox_block(
    time: Array, event: NDArray[np.bool_], predictors: Array, z: Array | None, confidence: float
) -> PairBlock:
    """Return hazard models of each predictor, (n_predictors, 1).

    Effects and Wald limits come from the model of covariates and predictor; the p-value is the
    score test from the martingale residuals of the covariates alone, with a t reference.
    """
    out = blank_block(predictors, time[:, None])
    quantile = float(ndtri(0.5 + confidence / 2))
    for rows, columns in linear.patterns(predictors):
        if event[rows].sum() < 2:
            out.code[columns, 0] = _pairs.ONE_CLASS
            continue
        sub_z = None if z is None else z[rows]
        basis = linear.covariate_basis(sub_z, int(rows.sum()))[:, 1:] * np.sqrt(rows.sum())
        try:
            residual = martingale_residuals(time[rows], event[rows], basis)
        except FitError:
            out.code[columns, 0] = _pairs.NOT_CONVERGED
            continue
        part = predictors[np.ix_(rows, columns)]
        score = score_scan(residual[:, None], part, sub_z)
        out.statistic[columns, 0], out.df[columns, 0] = score.t[:, 0], score.df[:, 0]
        out.log10p[columns, 0], out.code[columns, 0] = score.log10p[:, 0], score.status[:, 0]
        for place, target in enumerate(columns):
            if score.status[place, 0] != linear.OK:
                continue
            x = part[:, place]
            spread = x.std()
            try:
                fit = fit_cox(np.column_stack([basis, x / spread]), time[rows], event[rows])
            except FitError:
                out.code[target, 0] = _pairs.INFINITE
                continue
            effect, se = fit.beta[-1] / spread, fit.std_error[-1] / spread
            out.effect[target, 0], out.se[target, 0] = effect, se
            out.ci_low[target, 0] = effect - quantile * se
            out.ci_high[target, 0] = effect + quantile * se
    return out


def martingale_residuals(time: Array, event: NDArray[np.bool_], basis: Array) -> Array:
    """Return event minus expected events of the Cox model (Breslow ties) of the covariates.

    Parameters
    ----------
    time, event : ndarray (n_samples,)
        Times and events.
    basis : ndarray of float64 (n_samples, rank)
        Covariates of full rank, no intercept; may have no column.

    Returns
    -------
    ndarray of float64 (n_samples,)
        They sum to 0 and are orthogonal to `basis`.

    Raises
    ------
    FitError
        If the covariates' model has no maximum.
    """
    eta = np.zeros(len(time))
    if basis.shape[1]:
        fit = fit_cox(basis, time, event, ties="breslow")
        eta = basis @ fit.beta
    risk = np.exp(eta - eta.max())
    order = np.argsort(time, kind="stable")
    at_risk = np.cumsum(risk[order][::-1])[::-1]
    first = np.searchsorted(time[order], time[order], side="left")
    steps = event[order] / at_risk[first]
    last = np.searchsorted(time[order], time[order], side="right") - 1
    hazard = np.empty(len(time))
    hazard[order] = np.cumsum(steps)[last]
    return np.asarray(event - hazard * risk)
