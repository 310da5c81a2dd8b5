"""What the tests of many traits together share: people, spaces, permuted traits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.associate.genomewide._design import TraitGroup, basis
from radgen.associate.genomewide._input import GwasInput
from radgen.errors import InputError
from radgen.types import GenotypeMatrix

__all__ = ["JointTraits", "described", "joint_traits", "unit_dosages", "whole_samples"]

Array = NDArray[np.float64]
_FLAT = 1e-9
_PEOPLE = 2


def whole_samples(data: GwasInput) -> tuple[GwasInput, pl.DataFrame]:
    """Return the input with the samples that have every trait, and all who were left out.

    Raises
    ------
    InputError
        If fewer than two samples have every trait.
    """
    known = np.isfinite(data.values)
    whole = known.all(axis=1)
    left = np.flatnonzero(whole)
    if len(left) < _PEOPLE:
        worst = np.argsort(known.sum(axis=0), kind="stable")[:5]
        counts = [f"{data.names[at]} ({known[:, at].sum()} samples)" for at in worst]
        raise InputError(
            f"{len(left)} samples have all {len(data.names)} traits. The fewest have "
            f"{', '.join(counts)}: leave out traits (traits, --traits a,b)."
        )
    more = [(data.genotypes.samples[row], "a trait is missing") for row in np.flatnonzero(~whole)]
    genotypes = data.genotypes if whole.all() else data.genotypes.take_samples(left)
    kept = GwasInput(
        genotypes, data.names, data.values[left], data.covariates[left], data.covariate_names,
        (*data.reasons, *more), data.notes,
    )  # fmt: skip
    return kept, kept.dropped


@dataclass(frozen=True, eq=False, slots=True)
class JointTraits:
    """Traits as unit residuals side by side.

    Attributes
    ----------
    q : ndarray of float64 (n_samples, rank)
        Orthonormal basis of intercept and covariates.
    y : ndarray of float64 (n_samples, n_traits)
        Residuals of length 1; 0 where missing, and throughout where a trait does not vary.
    df : ndarray of float64 (n_traits,)
        Residual degrees of freedom beside one more predictor; NaN where a trait does not vary.
    """

    q: Array
    y: Array
    df: Array

    def permuted(self, orders: Iterable[NDArray[np.int64]], dtype: Any = np.float32) -> Any:
        """Return permuted traits (n_samples, n_orders * n_traits), again unit residuals.

        The residuals change places as a whole, and what then lies along the covariates is taken
        off again (Freedman & Lane).
        """
        parts = []
        for order in orders:
            moved = self.y[order]
            moved -= self.q @ (self.q.T @ moved)
            size = np.sqrt(np.einsum("nk,nk->k", moved, moved))
            parts.append((moved / np.where(size > _FLAT, size, np.inf)).astype(dtype))
        return np.concatenate(parts, axis=1)


def joint_traits(groups: Iterable[TraitGroup], covariates: Array, n_traits: int) -> JointTraits:
    """Return the traits of all missing patterns side by side.

    Raises
    ------
    InputError
        If no trait varies beside the covariates.
    """
    q = basis(covariates)
    y, df = np.zeros((len(covariates), n_traits)), np.full(n_traits, np.nan)
    for group in groups:
        y[:, group.traits] = group.y
        free = float(group.n_samples - group.rank - 1)
        df[group.traits] = np.where((group.norm > 0) & (free > 0), free, np.nan)
    if np.isnan(df).all():
        raise InputError(
            f"No trait varies beside the covariates with a degree of freedom left: {len(q)} "
            f"samples, {q.shape[1]} columns of the design."
        )
    y[:, np.isnan(df)] = 0.0
    return JointTraits(q, y, df)


def unit_dosages(g: Array, q: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return dosages beside the covariates, each of length 1, and which of them vary.

    Parameters
    ----------
    g : ndarray of float64 (n_variants, n_samples)
        Centred, 0 where missing.
    q : ndarray of float64 (n_samples, rank)
        Orthonormal basis of intercept and covariates.
    """
    total = np.einsum("mn,mn->m", g, g)
    left = g - (g @ q) @ q.T
    size = np.einsum("mn,mn->m", left, left)
    varies = (total > _FLAT) & (size > _FLAT * total)
    return left / np.sqrt(np.where(varies, size, np.inf))[:, None], varies


def described(genotypes: GenotypeMatrix, **columns: Any) -> pl.DataFrame:
    """Return the variants with columns of numbers beside them."""
    frame = genotypes.variants.select("chrom", "pos", "id", "ref", "alt")
    return frame.with_columns(
        values.alias(name) if isinstance(values, pl.Series) else pl.Series(name, values)
        for name, values in columns.items()
    )
