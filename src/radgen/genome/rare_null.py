"""Models of a trait without a set of variants, as tests of sets need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import FitError
from radgen.stats.lmm import MixedModel, VarianceFit
from radgen.stats.quasi_likelihood import MixedLogistic

__all__ = [
    "RareNull",
    "Whitening",
    "null_binary",
    "null_continuous",
    "null_related",
    "null_related_binary",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Whitening:
    """What makes related samples independent: root'root is the inverse of their covariance.

    Attributes
    ----------
    rows : ndarray of float64 (n_samples, n_samples)
        The root is this, its rows times `scale`.
    scale : ndarray of float64 (n_samples,)
        Factor of each row.
    q : ndarray of float64 (n_samples, rank)
        Orthonormal basis of root times intercept and covariates.
    """

    rows: Array
    scale: Array
    q: Array

    @classmethod
    def build(cls, rows: Array, scale: Array, x: Array) -> Whitening:
        """Return the whitening beside intercept and covariates `x`."""
        return cls(rows, scale, _basis(scale[:, None] * (rows @ x)))

    def of(self, columns: Array) -> Array:
        """Return root times columns (n_samples, k), the covariates projected out."""
        z = self.scale[:, None] * (self.rows @ columns)
        return np.asarray(z - self.q @ (self.q.T @ z))

    def back(self, white: Array) -> Array:
        """Return root' times a vector (n_samples,)."""
        return np.asarray(self.rows.T @ (self.scale * white))


@dataclass(frozen=True, eq=False, slots=True)
class RareNull:
    """The model without the set.

    Attributes
    ----------
    residual : ndarray of float64 (n_samples,)
        y minus its fitted mean; of a quantitative trait of related samples, that times the
        inverse of their covariance. A score is genotypes times this.
    weight : ndarray of float64 (n_samples,)
        Variance of y given its mean: the residual variance, or mu (1 - mu).
    q : ndarray of float64 (n_samples, rank)
        Orthonormal basis of sqrt(weight) times intercept and covariates.
    mu : ndarray of float64 (n_samples,) or None
        Fitted probabilities of a binary trait.
    related : Whitening or None
        Covariance of related samples.
    """

    residual: Array
    weight: Array
    q: Array
    mu: Array | None = None
    related: Whitening | None = None

    @property
    def scale(self) -> float:
        """What squares of scores of a quantitative trait are over: the residual variance."""
        return float(self.weight[0]) if self.mu is None and self.related is None else 1.0

    def deviates(self, g: Array) -> Array:
        """Return z (n_samples, n_variants) whose z'z is the covariance of scores of `g`."""
        return self.given_mean(g) if self.related is None else self.related.of(g.T)

    def given_mean(self, g: Array) -> Array:
        """Return the same where samples are independent given their fitted means."""
        z = (g * np.sqrt(self.weight)).T
        return np.asarray(z - self.q @ (self.q.T @ z))

    def is_constant(self, g: Array) -> bool:
        """Return whether one genotype (n_samples,) does not vary beside the covariates."""
        z = self.given_mean(g[None])[:, 0] / np.sqrt(self.weight)
        return float(z @ z) <= 1e-9 * float(g @ g)


def null_continuous(y: Array, x: Array) -> RareNull:
    """Return the linear model of a quantitative trait without the set.

    Parameters
    ----------
    y : ndarray of float64 (n_samples,)
        No missing value.
    x : ndarray of float64 (n_samples, n_columns)
        Covariates with the intercept.

    Raises
    ------
    FitError
        If the covariates leave no degree of freedom or explain the trait wholly.
    """
    q = _basis(x)
    residual = y - q @ (q.T @ y)
    df = len(y) - q.shape[1]
    if df < 1 or float(residual @ residual) <= 1e-20 * float(y @ y):
        raise FitError(
            "The covariates explain the trait wholly: there is nothing to test.",
            diagnostics={"n_samples": len(y), "df": df},
        )
    variance = float(residual @ residual) / df
    return RareNull(residual, np.full(len(y), variance), q)


def null_binary(y: Array, x: Array, offset: Array | None = None) -> RareNull:
    """Return the logistic model of a binary trait (0/1) without the set.

    Parameters
    ----------
    y : ndarray of float64 (n_samples,)
        0 or 1.
    x : ndarray of float64 (n_samples, n_columns)
        Covariates with the intercept.
    offset : ndarray of float64 (n_samples,) or None
        Known part of the log odds.

    Raises
    ------
    FitError
        If the covariates separate the classes.
    """
    from radgen.stats.logistic_scan import fit_null

    fit = fit_null(y, _basis(x), offset)
    weight = fit.mu * (1.0 - fit.mu)
    return RareNull(y - fit.mu, weight, _basis(x * np.sqrt(weight)[:, None]), fit.mu)


def null_related(model: MixedModel, fit: VarianceFit) -> RareNull:
    """Return the linear mixed model of a quantitative trait of related samples.

    Parameters
    ----------
    model : MixedModel
        Trait and covariates (with the intercept) on the eigenvectors of the kinship.
    fit : VarianceFit
        Its variance components, from `radgen.stats.lmm.fit_variance`.

    Notes
    -----
    With V = genetic K + residual I and P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1, scores are G'Py
    and their covariance is G'PG.
    """
    scale = 1.0 / np.sqrt(fit.genetic * model.values + fit.residual)
    rows = model.vectors.T
    q = _basis(scale[:, None] * model.x)
    white = scale * model.y
    related = Whitening(rows, scale, q)
    x = model.vectors @ model.x
    ones = np.ones(len(scale))
    return RareNull(related.back(white - q @ (q.T @ white)), ones, _basis(x), related=related)


def null_related_binary(fit: MixedLogistic) -> RareNull:
    """Return the logistic mixed model of a binary trait of related samples.

    Parameters
    ----------
    fit : MixedLogistic
        From `radgen.stats.quasi_likelihood.mixed_logistic`.

    Notes
    -----
    Scores are G'(y - mu), mu with the random effects, and their covariance is G'PG with
    V = diag(1 / (mu (1 - mu))) + tau K.
    """
    weight = fit.mu * (1.0 - fit.mu)
    q = _basis(fit.x * np.sqrt(weight)[:, None])
    related = Whitening.build(fit.root(), np.ones(len(weight)), fit.x)
    return RareNull(fit.y - fit.mu, weight, q, fit.mu, related)


def _basis(x: Array) -> Array:
    u, size, _ = np.linalg.svd(x, full_matrices=False)
    return np.asarray(u[:, size > 1e-10 * size[0]])
