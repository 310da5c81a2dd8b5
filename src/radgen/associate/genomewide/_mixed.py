"""The mixed-model scan: exact, the variance ratio fitted anew for each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._rows import TestRows, join_rows
from radgen.associate.genomewide._score import narrow, people_of
from radgen.associate.genomewide._untested import Untested
from radgen.errors import FitError
from radgen.genome._blocks import BlockSource
from radgen.stats.lmm import MixedModel
from radgen.stats.lmm_scan import mixed_tests
from radgen.types import Kinship

__all__ = ["MixedScan", "related_rows", "related_values", "untestable"]

Array = NDArray[np.float64]
_SPARE = 3
"""People beyond the columns of the design that a mixed model needs."""


@dataclass(frozen=True, eq=False, slots=True)
class MixedGroup:
    """Traits of the same samples, on the eigenvectors of the kinship of these."""

    traits: NDArray[np.int64]
    used: NDArray[np.int64]
    models: tuple[MixedModel, ...]


@dataclass(frozen=True, eq=False, slots=True)
class MixedScan:
    """Everything a worker needs to test a block of variants beside a polygenic background."""

    groups: tuple[MixedGroup, ...]
    untested: dict[int, Untested]
    n_traits: int
    threshold: float | None

    @classmethod
    def build(
        cls, values: Array, covariates: Array, kinship: Array, *, threshold: float | None
    ) -> MixedScan:
        """Return the scan of traits, NaN = missing, with the kinship of the same samples.

        A trait that few people have, or that the covariates explain wholly, has no test.
        """
        patterns: dict[bytes, list[int]] = {}
        for trait in range(values.shape[1]):
            patterns.setdefault(np.isfinite(values[:, trait]).tobytes(), []).append(trait)
        groups = []
        untested: dict[int, Untested] = {}
        for traits in patterns.values():
            rows = np.flatnonzero(np.isfinite(values[:, traits[0]]))
            x = basis(covariates[rows])
            tested = []
            for trait in traits:
                error = untestable(values[rows, trait], x)
                if error is None:
                    tested.append(trait)
                else:
                    untested[trait] = Untested(rows, error)
            if not tested:
                continue
            first = MixedModel.build(values[rows, tested[0]], x, kinship[np.ix_(rows, rows)])
            models = [first]
            for trait in tested[1:]:
                y = first.vectors.T @ values[rows, trait]
                models.append(MixedModel(first.values, first.vectors, y, first.x))
            groups.append(MixedGroup(np.array(tested), rows, tuple(models)))
        return cls(tuple(groups), untested, values.shape[1], threshold)

    def dof(self) -> tuple[NDArray[np.int64], Array]:
        """Return of each trait its samples and its residual degrees of freedom."""
        n, df = np.zeros(self.n_traits, np.int64), np.zeros(self.n_traits)
        for group in self.groups:
            n[group.traits] = len(group.used)
            df[group.traits] = len(group.used) - group.models[0].x.shape[1] - 1.0
        for at, trait in self.untested.items():
            n[at], df[at] = len(trait.used), np.nan
        return n, df

    def scan(self, source: BlockSource) -> TestRows:
        """Return the tests of one block that are kept, and the counts of all."""
        block = source.centred(np.float64)
        parts = []
        for group in self.groups:
            own = narrow(block, group.used)
            beta, se, log10p, _ = mixed_tests(group.models, own.g)
            tests = {"beta": beta, "se": se, "t": beta / se, "log10p": log10p}
            parts.append(
                {name: np.ascontiguousarray(item.T) for name, item in tests.items()}
                | {
                    "trait": group.traits,
                    "n": own.n_known,
                    "freq": np.where(own.n_known > 0, own.mean / 2.0, np.nan),
                }
            )
        for at, trait in self.untested.items():
            own = narrow(block, trait.used)
            each = {name: item[:, None] for name, item in trait.tests(own).items()}
            parts.append(each | {"trait": np.array([at])} | people_of(own))
        return join_rows(parts, source.start, self.n_traits, self.threshold)


def untestable(y: Array, x: Array) -> FitError | None:
    """Return why a trait (n,) has no model beside the basis x (n, rank); None if it has one."""
    if len(y) < x.shape[1] + _SPARE:
        return FitError(f"Only {len(y)} people have the trait.", diagnostics={"n_samples": len(y)})
    rest = y - x @ (x.T @ y)
    if float(rest @ rest) <= 1e-20 * float(y @ y):
        return FitError("The covariates explain the trait wholly.", diagnostics={"n": len(y)})
    return None


def related_rows(kinship: Kinship | Mapping[str, Kinship], samples: Sequence[str]) -> list[int]:
    """Return the rows of the samples that a kinship, or every one of several, holds."""
    tables = [kinship] if isinstance(kinship, Kinship) else list(kinship.values())
    held = [set(table.samples) for table in tables]
    return [row for row, name in enumerate(samples) if all(name in names for names in held)]


def related_values(kinship: Kinship, samples: Sequence[str]) -> Array:
    """Return the kinship of samples that it holds, in their order."""
    place = {name: row for row, name in enumerate(kinship.samples)}
    at = np.array([place[name] for name in samples])
    return kinship.values[np.ix_(at, at)]
