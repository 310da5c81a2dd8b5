"""The ordinal scan: score tests of the proportional-odds model, with the saddle point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen.associate.genomewide._design import orthonormal
from radgen.associate.genomewide._rows import TestRows, join_rows
from radgen.associate.genomewide._score import SADDLE_BELOW, matching_se, narrow, people_of
from radgen.associate.genomewide._untested import Untested
from radgen.errors import FitError, InputError
from radgen.genome._blocks import BlockSource, CentredBlock
from radgen.stats.ordinal import ordinal_logit
from radgen.stats.saddle import ResidualLaw, saddle_scores
from radgen.stats.tail import normal_log10p

__all__ = ["OrdinalScan", "OrdinalTrait"]

Array = NDArray[np.float64]
_MOST_LEVELS = 20
_FLAT = 1e-9
_HALF = 0.5
_SINGULAR = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class OrdinalTrait:
    """One ordinal trait without a variant; p counts thresholds and covariates.

    Attributes
    ----------
    used : ndarray of int64
        Samples with a value.
    residual : ndarray of float64 (n_used,)
        Derivative of the log likelihood by the linear predictor.
    weight : ndarray of float64 (n_used,)
        Its variance.
    cross : ndarray of float64 (n_used, p)
        Covariance of the residual with the scores of thresholds and covariates.
    scores : ndarray of float64 (n_used, p)
        Those scores at the observed class.
    inner : ndarray of float64 (n_used, p, p)
        Their expected squares.
    values : ndarray of float64 (n_used, n_levels)
        Residual of each class.
    parts : ndarray of float64 (n_used, n_levels, p)
        Scores of thresholds and covariates of each class.
    chances : ndarray of float64 (n_used, n_levels)
        Fitted probabilities.
    """

    used: NDArray[np.int64]
    residual: Array
    weight: Array
    cross: Array
    scores: Array
    inner: Array
    values: Array
    parts: Array
    chances: Array

    @classmethod
    def build(cls, name: str, used: NDArray[np.int64], y: Array, covariates: Array) -> OrdinalTrait:
        """Return the fit of the covariates alone.

        Raises
        ------
        FitError
            If it does not converge.
        """
        x = orthonormal(covariates - covariates.mean(axis=0)) * np.sqrt(len(y))
        fit = ordinal_logit(y, x)
        if not fit.converged:
            raise FitError(
                f"The ordinal model of the covariates alone does not converge for {name!r}: the "
                "covariates separate the classes, or a class is tiny. Join classes or leave out "
                "the covariate that does so.",
                diagnostics={"n_samples": len(y)},
            )
        code = np.unique(y, return_inverse=True)[1]
        cuts, n = len(fit.thresholds), len(y)
        edges = fit.thresholds - (x @ fit.coef)[:, None]
        below = 1.0 / (1.0 + np.exp(-edges))
        ends = np.column_stack([np.zeros(n), below, np.ones(n)])
        slopes = ends * (1.0 - ends)
        chances = np.maximum(np.diff(ends, axis=1), 1e-300)
        values = ends[:, 1:] + ends[:, :-1] - 1.0
        parts = np.zeros((n, cuts + 1, cuts + x.shape[1]))
        for level in range(cuts + 1):
            if level < cuts:
                parts[:, level, level] = slopes[:, level + 1] / chances[:, level]
            if level > 0:
                parts[:, level, level - 1] = -slopes[:, level] / chances[:, level]
            parts[:, level, cuts:] = values[:, level, None] * x
        rows = np.arange(n)
        return cls(
            used,
            values[rows, code],
            (chances * values**2).sum(axis=1),
            np.einsum("nj,nj,njp->np", chances, values, parts),
            parts[rows, code],
            np.einsum("nj,njp,njq->npq", chances, parts, parts),
            values,
            parts,
            chances,
        )

    def tests(self, block: CentredBlock) -> dict[str, Array]:
        """Return one-step estimates and score tests of a block."""
        g = block.g
        u, b = g @ self.residual, g @ self.cross
        inner = np.broadcast_to(self.inner.sum(axis=0), (len(g), *self.inner.shape[1:]))
        gone = np.zeros_like(b)
        if block.any_missing:
            inner = inner - _sums(block, self.inner)
            gone = _sums(block, self.scores)
            few = np.flatnonzero(block.n_known < _HALF * g.shape[1])
            smallest = np.linalg.eigvalsh(inner[few])[:, 0] if len(few) else np.empty(0)
            # A class or a covariate is lost with the missing calls.
            poor = few[smallest < _SINGULAR * np.trace(self.inner.sum(axis=0))]
            inner[poor] = np.eye(inner.shape[1])
            b[poor] = np.nan
        x = np.linalg.solve(inner, b[:, :, None])[:, :, 0]
        # A missing call drops its sample: the scores of the others sum to minus its own.
        u = u + (x * gone).sum(axis=1)
        total = np.einsum("mn,mn,n->m", g, g, self.weight)
        variance = total - (x * b).sum(axis=1)
        with np.errstate(invalid="ignore"):
            usable = (block.squares > _FLAT) & (variance > _FLAT * total)
        variance = np.where(usable, variance, np.nan)
        z = u / np.sqrt(variance)
        log10p = normal_log10p(z)
        for row in np.flatnonzero(log10p < SADDLE_BELOW):
            better, good = self._saddle(block, row, float(u[row]), x[row])
            if good:
                log10p[row] = min(better, 0.0)
        beta = u / variance
        return {"beta": beta, "se": matching_se(beta, log10p), "t": z, "log10p": log10p}

    def _saddle(self, block: CentredBlock, row: int, score: float, x: Array) -> tuple[float, bool]:
        values = block.g[row][:, None] * self.values - self.parts @ x
        begin = block.ends[row - 1] if row else 0
        values[block.missing[begin : block.ends[row]]] = 0.0
        law = ResidualLaw.finite(values, self.chances)
        ones = np.ones((1, len(values)))
        log10p, good, _ = saddle_scores(np.array([score]), ones, law)
        return float(log10p[0]), bool(good[0])


def _sums(block: CentredBlock, values: Array) -> Array:
    """Return of each variant the sum of `values` (n_samples, …) over its missing calls."""
    total = np.concatenate([np.zeros((1, *values.shape[1:])), values[block.missing]]).cumsum(axis=0)
    begins = np.concatenate([[0], block.ends[:-1]])
    return np.asarray(total[block.ends] - total[begins])


@dataclass(frozen=True, eq=False, slots=True)
class OrdinalScan:
    """Everything a worker needs to test a block of variants against ordinal traits."""

    traits: tuple[OrdinalTrait | Untested, ...]
    threshold: float | None

    @classmethod
    def build(
        cls,
        names: tuple[str, ...],
        values: Array,
        covariates: Array,
        *,
        threshold: float | None,
    ) -> OrdinalScan:
        """Return the scan of traits whose values are ordered classes, NaN = missing.

        A trait has no test if it has one class, or if the covariates alone cannot be fitted.

        Raises
        ------
        InputError
            If a trait has more than 20 classes.
        """
        traits: list[OrdinalTrait | Untested] = []
        for name, column in zip(names, values.T, strict=True):
            used = np.flatnonzero(np.isfinite(column))
            levels = len(np.unique(column[used]))
            wrong = InputError(
                f"Trait {name!r} has {levels} different values; an ordinal trait has 2 to "
                f"{_MOST_LEVELS}. Use model='linear' for a measured trait."
            )
            if levels > _MOST_LEVELS:
                raise wrong
            if levels < 2:
                traits.append(Untested(used, wrong))
                continue
            try:
                traits.append(OrdinalTrait.build(name, used, column[used], covariates[used]))
            except FitError as error:
                traits.append(Untested(used, error))
        return cls(tuple(traits), threshold)

    def dof(self) -> tuple[NDArray[np.int64], Array]:
        """Return of each trait its samples, and infinity: the statistics are normal."""
        n = np.array([len(trait.used) for trait in self.traits])
        return n, np.full(len(n), np.inf)

    def scan(self, source: BlockSource) -> TestRows:
        """Return the tests of one block that are kept, and the counts of all."""
        block = source.centred(np.float64)
        parts = []
        for number, trait in enumerate(self.traits):
            own = narrow(block, trait.used)
            each = {name: item[:, None] for name, item in trait.tests(own).items()}
            parts.append(each | {"trait": np.array([number])} | people_of(own))
        return join_rows(parts, source.start, len(self.traits), self.threshold)
