"""The mixed-model scan: exact, the variance ratio fitted anew for each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.associate._gwas_design import basis
from radgen.associate._gwas_rows import TestRows, join_rows
from radgen.associate._gwas_score import narrow
from radgen.genome._blocks import BlockSource
from radgen.stats.lmm import MixedModel, mixed_tests
from radgen.types import Kinship

__all__ = ["MixedScan", "related_rows", "related_values"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class MixedScan:
    """Everything a worker needs to test a block of variants beside a polygenic background."""

    used: tuple[NDArray[np.int64], ...]
    models: tuple[MixedModel, ...]
    threshold: float | None

    @classmethod
    def build(
        cls, values: Array, covariates: Array, kinship: Array, *, threshold: float | None
    ) -> MixedScan:
        """Return the scan of traits, NaN = missing, with the kinship of the same samples."""
        used, models = [], []
        shared: dict[bytes, MixedModel] = {}
        for column in values.T:
            rows = np.flatnonzero(np.isfinite(column))
            y, key = column[rows], rows.tobytes()
            first = shared.get(key)
            if first is None:
                x = basis(covariates[rows])
                first = shared[key] = MixedModel.build(y, x, kinship[np.ix_(rows, rows)])
            rotated = first.vectors.T @ y
            used.append(rows)
            models.append(MixedModel(first.values, first.vectors, rotated, first.x))
        return cls(tuple(used), tuple(models), threshold)

    def dof(self) -> tuple[NDArray[np.int64], Array]:
        """Return of each trait its samples and its residual degrees of freedom."""
        n = np.array([len(rows) for rows in self.used])
        return n, n - np.array([model.x.shape[1] for model in self.models]) - 1.0

    def scan(self, source: BlockSource) -> TestRows:
        """Return the tests of one block that are kept, and the counts of all."""
        block = source.centred(np.float64)
        parts = []
        for number, (rows, model) in enumerate(zip(self.used, self.models, strict=True)):
            own = narrow(block, rows)
            beta, se, log10p, _ = mixed_tests(model, own.g)
            tests = {"beta": beta, "se": se, "t": beta / se, "log10p": log10p}
            parts.append(
                {name: item[:, None] for name, item in tests.items()}
                | {
                    "trait": np.array([number]),
                    "n": own.n_known,
                    "freq": np.where(own.n_known > 0, own.mean / 2.0, np.nan),
                }
            )
        return join_rows(parts, source.start, len(self.models), self.threshold)


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
