"""Max-T over all blocks of a scan with the same permutations of the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges, map_units
from radgen.errors import InputError, shown
from radgen.stats import permutation
from radgen.stats.permutation import PermutationDesign
from radgen.stats.rank import ranks

__all__ = ["Permuted", "max_t_blocks"]

Array = NDArray[np.float64]

_PER_UNIT = 250


@dataclass(frozen=True, eq=False)
class Permuted:
    """One block that takes part.

    `samples` are the ids of its rows; `tested` is (n_predictors, n_traits).
    """

    samples: Sequence[str]
    traits: Array
    predictors: Array
    covariates: Array | None
    tested: NDArray[np.bool_]
    by_rank: bool


@dataclass(frozen=True, eq=False)
class _Unit:
    designs: tuple[PermutationDesign, ...]
    rows: tuple[NDArray[np.int64], ...]
    label: NDArray[np.int64]
    seed: int
    start: int
    stop: int
    exact: bool


def max_t_blocks(
    blocks: Sequence[Permuted],
    *,
    n_permutations: int,
    seed: int,
    strata: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
) -> list[Array]:
    """Return adjusted p-values of each block, (n_predictors, n_traits), NaN = not tested.

    The maximum runs over all blocks. Blocks with different samples are permuted by the same
    random keys of the samples. Where all samples are the same and all permutations are no
    more than were asked for, they are enumerated.
    """
    everyone = sorted({item for block in blocks for item in block.samples})
    place = {item: row for row, item in enumerate(everyone)}
    label = permutation.stratum_codes(_labels(strata, everyone), len(everyone))
    rows = tuple(np.array([place[item] for item in block.samples]) for block in blocks)
    designs = tuple(_design(block) for block in blocks)
    whole = all(len(block.samples) == len(everyone) for block in blocks)
    total = permutation.n_orders(label) if len(everyone) < 171 else n_permutations + 2
    exact = whole and total - 1 <= n_permutations
    count = total - 1 if exact else n_permutations
    size = count if exact else _PER_UNIT
    units = [
        _Unit(designs, rows, label, seed, start, stop, exact)
        for start, stop in block_ranges(count, max(size, 1))
    ]
    parts = map_units(_run, units, executor=executor, what="Permuting")
    maxima = np.concatenate(parts) if parts else np.zeros(0)
    return [permutation.adjusted(item.observed, maxima) for item in designs]


def _run(unit: _Unit) -> Array:
    best = np.zeros(unit.stop - unit.start)
    for fixed, rows in zip(unit.designs, unit.rows, strict=True):
        if unit.exact:
            # An enumeration runs over the sorted ids; this block has them in another order.
            back = np.argsort(rows)
            orders = (back[order[rows]] for order in permutation.exact_orders(unit.label))
        else:
            orders = (
                permutation.random_order(unit.label, unit.seed, number, rows)
                for number in range(unit.start, unit.stop)
            )
        best = np.maximum(best, permutation.max_statistics(fixed, orders))
    return best


def _design(block: Permuted) -> PermutationDesign:
    traits, predictors, z = block.traits, block.predictors, block.covariates
    if block.by_rank:
        traits, predictors = _ranked(traits), _ranked(predictors)
        z = None if z is None else _ranked(z)
    return permutation.design(traits, predictors, z, tested=block.tested)


def _ranked(values: Array) -> Array:
    out = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        known = np.isfinite(values[:, column])
        out[known, column] = ranks(values[known, column])
    return out


def _labels(strata: Mapping[str, Any] | None, samples: Sequence[str]) -> list[str] | None:
    if strata is None:
        return None
    missing = [item for item in samples if item not in strata]
    if missing:
        raise InputError(f"No stratum is given for {len(missing)} samples: {shown(missing)}.")
    return [str(strata[item]) for item in samples]
