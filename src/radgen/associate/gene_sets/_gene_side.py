"""The molecular side of set tests: complete, residual, and matched with the images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.stats.linear import covariate_basis, residualise

__all__ = ["Genes", "Residuals", "complete_genes", "residuals_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Genes:
    """Genes without holes.

    Attributes
    ----------
    columns : ndarray of int64 (n_kept,)
        Columns of the layer that are kept: measured often enough, and varying.
    values : ndarray of float64 (n_samples, n_kept)
        Missing values are the gene's mean.
    n_imputed : int
        How many values that are.
    n_dropped : int
        Genes that were left out.
    """

    columns: NDArray[np.int64]
    values: Array
    n_imputed: int
    n_dropped: int


def complete_genes(values: Array, *, max_missing: float) -> Genes:
    """Return the genes that are measured and vary, holes filled by the gene's mean.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_features)
        NaN = not measured.
    max_missing : float
        Largest share of missing values of a gene that is kept.

    Raises
    ------
    InputError
        If fewer than 3 genes are left, or the share is not in [0, 1).
    """
    if not 0 <= max_missing < 1:
        raise InputError(f"max_missing lies in [0, 1); found {max_missing}.")
    known = np.isfinite(values)
    share = 1 - known.mean(axis=0)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    filled = np.where(known, values, mean)
    spread = np.ptp(filled, axis=0) if len(filled) else np.zeros(values.shape[1])
    keep = (share <= max_missing) & (spread > 0)
    if keep.sum() < 3:
        raise InputError(
            f"Only {int(keep.sum())} genes vary and are measured in at least "
            f"{100 * (1 - max_missing):g} % of the matched samples; needed are 3. Raise "
            "max_missing, or check that the layer and the images match."
        )
    columns = np.flatnonzero(keep).astype(np.int64)
    n_imputed = int((~known[:, keep]).sum())
    return Genes(columns, filled[:, keep], n_imputed, int((~keep).sum()))


@dataclass(frozen=True, eq=False)
class Residuals:
    """Traits and genes of the same samples, freed of covariates.

    Attributes
    ----------
    traits : ndarray of float64 (n_samples, n_traits)
        Norm 1; 0 where a trait does not vary.
    genes : ndarray of float64 (n_samples, n_genes)
        Residuals.
    basis : ndarray of float64 (n_samples, rank)
        Orthonormal: intercept and covariates.
    df : int
        Degrees of freedom left for a test of one trait.
    """

    traits: Array
    genes: Array
    basis: Array
    df: int

    def statistics(self, traits: Array | None = None) -> tuple[Array, Array]:
        """Return slopes on unit traits and residual variances, (n_traits, n_genes) each."""
        unit = self.traits if traits is None else traits
        slope = unit.T @ self.genes
        total = np.einsum("ij,ij->j", self.genes, self.genes)
        return slope, np.maximum(total - slope**2, 0.0) / self.df

    def permuted(self, order: NDArray[np.int64]) -> Array:
        """Return the traits in another order of samples, freed of covariates anew, norm 1."""
        moved = self.traits[order]
        moved = moved - self.basis @ (self.basis.T @ moved)
        norm = np.sqrt(np.einsum("ij,ij->j", moved, moved))
        return np.asarray(moved / np.where(norm > 0, norm, 1.0))


def residuals_of(traits: Array, genes: Array, covariates: Array | None) -> Residuals:
    """Return traits and genes freed of intercept and covariates; no missing values."""
    basis = covariate_basis(covariates, len(traits))
    left = residualise(traits, basis)
    spread = traits - traits.mean(axis=0)
    total = np.einsum("ij,ij->j", spread, spread)
    norm = np.einsum("ij,ij->j", left, left)
    varies = norm > 1e-16 * np.maximum(total, np.finfo(float).tiny)
    unit = np.where(varies, left / np.sqrt(np.where(varies, norm, 1.0)), 0.0)
    return Residuals(unit, residualise(genes, basis), basis, len(traits) - basis.shape[1] - 1)
