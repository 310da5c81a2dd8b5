"""One block of pairs as it travels to a worker, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from radgen.associate import _pairs
from radgen.associate._interaction import interaction_block
from radgen.associate._kernels import KERNELS
from radgen.associate._mixed import mixed_block, n_clusters
from radgen.associate._models import negbinom_block
from radgen.associate._table import Piece
from radgen.stats.linear import TraitSide

__all__ = ["LEAST_SQUARES", "Unit", "run_unit"]

Array = NDArray[np.float64]

LEAST_SQUARES = ("linear", "linear_hc3", "moderated", "mixed")
"""Tests whose result a single extreme sample can make."""


@dataclass(frozen=True, eq=False)
class Unit:
    """Pairs that share a test.

    `fits` is False where the test needs data of another type; `limits` holds the confidence, the
    fewest samples and the fewest samples of either group; `place` the numbers of the phenotypes
    and of the molecular features.
    """

    traits: Array
    predictors: Array
    covariates: Array | None
    test: str
    limits: tuple[float, int, int]
    place: tuple[NDArray[np.int64], NDArray[np.int64]]
    swapped: bool = False
    fits: bool = True
    offset: Array | None = None
    side: TraitSide | None = None
    clusters: NDArray[np.int64] | None = None
    modifier: Array | None = None
    stratum: int = 0
    samples: tuple[str, ...] = ()


def run_unit(unit: Unit) -> Piece:
    """Return the tested pairs of a unit, (n_phenotypes, n_omics)."""
    block = _block(unit)
    _, min_n, min_group = unit.limits
    open_pairs = block.code == 0
    small = np.fmin(block.n_group1, block.n - block.n_group1) < min_group
    if _pairs.is_binary(unit.traits).any():
        ones = _pairs.group_sizes(unit.traits, np.isfinite(unit.predictors)).T
        small |= np.fmin(ones, block.n - ones) < min_group
    if unit.clusters is not None:
        small |= _few_clusters(unit, min_group)
    block = block.refuse(small & open_pairs, _pairs.TOO_FEW_CARRIERS)
    few = (block.n < min_n) & (block.code != _pairs.TOO_FEW_CARRIERS)
    block = block.refuse(few, _pairs.TOO_FEW_SAMPLES)
    if unit.test in LEAST_SQUARES:
        ruled = _pairs.ruled_by_one(unit.predictors)[:, None] | _pairs.ruled_by_one(unit.traits)
        if ruled.any():
            code = np.where(ruled & (block.code == 0), _pairs.RULED_BY_ONE, block.code)
            block = replace(block, code=code.astype(np.int8))
    left, right = ("omics", "phenotype") if unit.swapped else ("phenotype", "omics")
    model = f"{left} ~ {right}" if unit.modifier is None else f"{left} ~ {right} x modifier"
    rows, columns = unit.place
    block = block if unit.swapped else block.transposed()
    return Piece(rows, columns, unit.test, model, block, stratum=unit.stratum)


def _few_clusters(unit: Unit, min_group: int) -> NDArray[np.bool_]:
    """Which pairs have a 0/1 predictor with fewer patients in a group."""
    assert unit.clusters is not None
    known = np.isfinite(unit.traits)
    few = np.zeros((unit.predictors.shape[1], unit.traits.shape[1]), dtype=bool)
    binary = np.flatnonzero(_pairs.is_binary(unit.predictors))
    for value in (0.0, 1.0):
        there = unit.predictors[:, binary] == value
        few[binary] |= n_clusters(there, known, unit.clusters) < min_group
    return few


def _block(unit: Unit) -> _pairs.PairBlock:
    confidence = unit.limits[0]
    if not unit.fits:
        block = _pairs.blank_block(unit.predictors, unit.traits)
        return block.refuse(np.ones(block.code.shape, dtype=bool), _pairs.WRONG_TYPE)
    if unit.modifier is not None:
        return interaction_block(
            KERNELS[unit.test],
            unit.traits,
            unit.predictors,
            unit.covariates,
            modifier=unit.modifier,
            confidence=confidence,
        )
    sides = (unit.traits, unit.predictors, unit.covariates, confidence)
    if unit.test == "negbinom":
        return negbinom_block(*sides, offset=unit.offset)
    if unit.test == "mixed":
        assert unit.clusters is not None
        return mixed_block(*sides, clusters=unit.clusters)
    if unit.side is not None:
        return _pairs.from_fit(unit.side.regress(unit.predictors), *sides[:2], confidence)
    return KERNELS[unit.test](*sides)
