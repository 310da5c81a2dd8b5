"""The logistic scan: Wald with Firth fallback, Firth throughout, or score with saddle point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._native import _genotype
from radgen.associate._gwas_design import basis
from radgen.associate._gwas_rows import TestRows, join_rows
from radgen.errors import InputError
from radgen.genome._blocks import BlockSource, CentredBlock
from radgen.stats.logistic_scan import NullLogistic, firth_block, fit_null, wald_block
from radgen.stats.saddle import saddle_log10p
from radgen.stats.tail import normal_log10p

__all__ = ["LOGISTIC_TESTS", "LogisticScan", "binary", "narrow"]

Array = NDArray[np.float64]
LOGISTIC_TESTS = ("hybrid", "firth", "score")
_SADDLE_BELOW = np.log10(0.05)
_ROOM = 4 << 20


@dataclass(frozen=True, eq=False, slots=True)
class LogisticTrait:
    """One binary trait: who is used, and the model without a variant; None = no test."""

    used: NDArray[np.int64]
    null: NullLogistic | None


@dataclass(frozen=True, eq=False, slots=True)
class LogisticScan:
    """Everything a worker needs to test a block of variants against binary traits."""

    traits: tuple[LogisticTrait, ...]
    threshold: float | None
    test: str

    @classmethod
    def build(
        cls,
        names: tuple[str, ...],
        values: Array,
        covariates: Array,
        *,
        threshold: float | None,
        test: str,
        offsets: Array | None = None,
    ) -> LogisticScan:
        """Return the scan of traits coded 0/1 or 1/2, NaN = missing.

        `offsets` (n_samples, n_traits) are known parts of the log odds; a trait whose offset is
        NaN has no test.

        Raises
        ------
        InputError
            If a trait is coded otherwise or has one class only.
        FitError
            If the covariates separate the classes of a trait.
        """
        traits = []
        for number, (name, column) in enumerate(zip(names, values.T, strict=True)):
            used = np.flatnonzero(np.isfinite(column))
            known = None if offsets is None else offsets[used, number]
            if known is not None and np.isnan(known).any():
                traits.append(LogisticTrait(used, None))
                continue
            y = binary(name, column[used])
            traits.append(LogisticTrait(used, fit_null(y, basis(covariates[used]), known)))
        return cls(tuple(traits), threshold, test)

    def dof(self) -> tuple[NDArray[np.int64], Array]:
        """Return of each trait its samples, and infinity: the statistics are normal."""
        return np.array([len(trait.used) for trait in self.traits]), np.full(
            len(self.traits), np.inf
        )

    def scan(self, source: BlockSource) -> TestRows:
        """Return the tests of one block that are kept, and the counts of all."""
        block = source.centred(np.float64)
        parts = []
        for number, trait in enumerate(self.traits):
            own = narrow(block, trait.used)
            tests = self._tests(own, trait.null)
            each = {name: item[:, None] for name, item in tests.items()}
            parts.append(
                each
                | {
                    "trait": np.array([number]),
                    "n": own.n_known,
                    "freq": np.where(own.n_known > 0, own.mean / 2.0, np.nan),
                }
            )
        return join_rows(parts, source.start, len(self.traits), self.threshold)

    def _tests(self, block: CentredBlock, null: NullLogistic | None) -> dict[str, Array]:
        if null is None:
            return {name: np.full(len(block.g), np.nan) for name in ("beta", "se", "t", "log10p")}
        return _score(block, null) if self.test == "score" else self._fits(block, null)

    def _fits(self, block: CentredBlock, null: NullLogistic) -> dict[str, Array]:
        m, n = block.g.shape
        beta, se = np.full(m, np.nan), np.full(m, np.nan)
        varies = np.flatnonzero(block.squares > 1e-9)
        known = _known(block) if block.any_missing else None
        size = max(1, _ROOM // n)
        for low, high in block_ranges(len(varies), size):
            rows = varies[low:high]
            mask = None if known is None else known[rows]
            if self.test == "hybrid":
                fit = wald_block(block.g[rows], null, known=mask)
                beta[rows], se[rows] = fit.beta, fit.se
                rows = rows[~fit.converged]
            if len(rows):
                mask = None if known is None else known[rows]
                fit = firth_block(block.g[rows], null, known=mask)
                beta[rows], se[rows] = fit.beta, fit.se
        z = beta / se
        return {"beta": beta, "se": se, "t": z, "log10p": normal_log10p(z)}


def binary(name: str, y: Array) -> Array:
    """Return a trait as 0 and 1.

    Raises
    ------
    InputError
        If it is coded neither 0/1 nor 1/2, or has one class only.
    """
    levels = np.unique(y)
    if len(levels) != 2 or tuple(levels) not in {(0.0, 1.0), (1.0, 2.0)}:
        raise InputError(
            f"Trait {name!r} has the values {levels[:5].tolist()}; a binary trait needs both of "
            "0 and 1, or both of 1 (control) and 2 (case)."
        )
    return y - levels[0]


def narrow(block: CentredBlock, used: NDArray[np.int64]) -> CentredBlock:
    """Return the block of some of its samples, centred anew."""
    n = block.g.shape[1]
    if len(used) == n:
        return block
    known = _known(block)[:, used]
    dosage = np.where(known, block.g[:, used] + block.mean[:, None], 0.0)
    count = known.sum(axis=1).astype(float)
    mean = dosage.sum(axis=1) / np.maximum(count, 1.0)
    g = np.where(known, dosage - mean[:, None], 0.0)
    row, column = np.nonzero(~known)
    ends = np.searchsorted(row, np.arange(len(g)), side="right").astype(np.int64)
    squares = np.einsum("mn,mn->m", g, g)
    return CentredBlock(block.start, g, count, mean, squares, column.astype(np.int32), ends)


def _known(block: CentredBlock) -> NDArray[np.bool_]:
    known = np.ones(block.g.shape, bool)
    counts = np.diff(np.concatenate([[0], block.ends]))
    known[np.repeat(np.arange(len(counts)), counts), block.missing] = False
    return known


def _score(block: CentredBlock, null: NullLogistic) -> dict[str, Array]:
    """Return one-step estimates and score tests, the saddle point below p = 0.05.

    A missing call drops its sample; the covariates' coefficients take one Newton step on the
    samples that are left.
    """
    weight = null.mu * (1.0 - null.mu)
    root = np.sqrt(weight)
    q = np.linalg.qr(null.x * root[:, None])[0]
    residual = null.y - null.mu
    both = block.g @ np.column_stack([q * root[:, None], residual])
    b, u = both[:, :-1], both[:, -1]
    projection = b
    if block.any_missing:
        m, c = b.shape
        qq, qy, lost = np.empty((m, c, c)), np.empty((m, c, 1)), np.empty((m, 1))
        scaled = np.ascontiguousarray((residual / root)[:, None])
        _genotype.missing_terms(
            block.missing, block.ends, len(q), c, np.ascontiguousarray(q), 1, scaled, qq, qy, lost
        )
        a = np.eye(c) - qq
        projection = np.linalg.solve(a, b[:, :, None])[:, :, 0]
        u = u + (projection * qy[:, :, 0]).sum(axis=1)
    variance = np.einsum("mn,mn,n->m", block.g, block.g, weight) - (projection * b).sum(axis=1)
    usable = (block.squares > 1e-9) & (variance > 1e-9 * block.squares * weight.max())
    variance = np.where(usable, variance, np.nan)
    z = u / np.sqrt(variance)
    log10p = normal_log10p(z)
    rows = np.flatnonzero(log10p < _SADDLE_BELOW)
    for low, high in block_ranges(len(rows), max(1, _ROOM // block.g.shape[1])):
        some = rows[low:high]
        clean = block.g[some] - (projection[some] @ q.T) / root
        if block.any_missing:
            clean[~_known(block)[some]] = 0.0
        better, good = saddle_log10p(u[some], clean, null.mu)
        log10p[some[good]] = np.minimum(better[good], 0.0)
    beta = u / variance
    return {"beta": beta, "se": _matching_se(beta, log10p), "t": z, "log10p": log10p}


def _matching_se(beta: Array, log10p: Array) -> Array:
    """Return the standard error at which beta / se has the p of the test."""
    from radgen.stats.tail import log10p_to_z

    z = log10p_to_z(log10p)
    return np.abs(beta) / np.where(z > 0, z, np.nan)
