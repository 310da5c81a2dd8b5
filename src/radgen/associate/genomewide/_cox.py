"""The Cox scan: score tests of the partial likelihood, the saddle point below p = 0.05."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._native import _genotype
from radgen.associate.genomewide._design import orthonormal
from radgen.associate.genomewide._rows import TestRows, join_rows
from radgen.associate.genomewide._score import (
    SADDLE_BELOW,
    ScoreNull,
    known_mask,
    matching_se,
    narrow,
    people_of,
)
from radgen.associate.genomewide._untested import Untested
from radgen.errors import FitError, InputError
from radgen.genome._blocks import BlockSource, CentredBlock
from radgen.stats.cox import RiskSets, fit_cox
from radgen.stats.saddle import ResidualLaw, saddle_scores
from radgen.stats.tail import normal_log10p

__all__ = ["CoxScan", "CoxTrait"]

Array = NDArray[np.float64]
_ROOM = 4 << 20


@dataclass(frozen=True, eq=False, slots=True)
class CoxTrait:
    """One survival trait without a variant.

    Attributes
    ----------
    used : ndarray of int64
        Samples with a time and an event flag.
    null : ScoreNull
        Working weight = expected events, residual = martingale residual.
    x : ndarray of float64 (n_used, n_columns)
        Orthonormal basis of the centred covariates.
    information : ndarray of float64 (n_columns, n_columns)
        Of the partial likelihood in `x`.
    cross : ndarray of float64 (n_used, n_columns)
        What the information of a genotype and `x` is the product of the genotype with.
    risk : ndarray of float64 (n_used,)
        Relative hazards.
    sets : RiskSets
        Risk sets with Efron's ties.
    den : ndarray of float64 (n_events,)
        Sum of the hazards of each risk set.
    """

    used: NDArray[np.int64]
    null: ScoreNull
    x: Array
    information: Array
    cross: Array
    risk: Array
    sets: RiskSets
    den: Array

    @classmethod
    def build(
        cls,
        used: NDArray[np.int64],
        time: Array,
        event: NDArray[np.bool_],
        covariates: Array,
        offset: Array | None = None,
    ) -> CoxTrait:
        """Return the fit of the covariates beside an offset (n_used,) of the log hazard.

        Raises
        ------
        FitError
            If the covariates separate the events.
        """
        x = orthonormal(covariates - covariates.mean(axis=0)) * np.sqrt(len(time))
        known = np.zeros(len(time)) if offset is None else offset - offset.mean()
        sets = RiskSets(time, event, np.ones(len(time)), None, "efron")
        eta = known
        if x.shape[1]:
            plain = fit_cox(x, time, event).beta
            eta = known + x @ (plain if offset is None else _beside(sets, x, known, plain))
        _, residual, _ = sets.eta_derivatives(eta)
        expected = event - residual
        risk = np.exp(eta - eta.max())
        den, mean = sets.means(x, risk)
        information = (x * expected[:, None]).T @ x
        information -= (mean * sets.row_weight[:, None]).T @ mean
        pulled = sets.per_sample((sets.row_weight / den)[:, None] * mean)
        cross = expected[:, None] * x - risk[:, None] * pulled
        weight = np.maximum(expected, 1e-12)
        design = np.column_stack([np.ones(len(time)), x])
        null = ScoreNull.build(design, weight, residual, ResidualLaw.events(weight))
        return cls(used, null, x, information, cross, risk, sets, den)

    def tests(self, block: CentredBlock) -> dict[str, Array]:
        """Return one-step estimates and score tests of a block."""
        u, plain, turned = self.null.scores(block)
        g = block.g
        if block.any_missing:
            # Dropping a call, to first order: what the covariates say of it stands in.
            g = g + np.where(known_mask(block), 0.0, (turned @ self.null.q.T) / self.null.root)
        variance = self._variance(np.ascontiguousarray(g))
        good = np.isfinite(plain) & (variance > 1e-9 * np.nan_to_num(plain))
        variance = np.where(good, variance, np.nan)
        z = u / np.sqrt(variance)
        log10p = normal_log10p(z)
        rows = np.flatnonzero(log10p < SADDLE_BELOW)
        for low, high in block_ranges(len(rows), max(1, _ROOM // g.shape[1])):
            some = rows[low:high]
            # The law is that of independent counts; the score is brought to their variance.
            scaled = u[some] * np.sqrt(plain[some] / variance[some])
            clean = self.null.cleaned(block, some, turned)
            better, found, _ = saddle_scores(scaled, clean, self.null.law)
            log10p[some[found]] = np.minimum(better[found], 0.0)
        beta = u / variance
        return {"beta": beta, "se": matching_se(beta, log10p), "t": z, "log10p": log10p}

    def _variance(self, g: Array) -> Array:
        """Return the information of each genotype beside the covariates."""
        sets, out = self.sets, np.empty(len(g))
        weight = sets.row_weight
        where = sets.order, sets.first_at_risk, sets.deaths, sets.death_time, sets.row_time
        _genotype.risk_means(g, *where, self.risk, sets.fraction, self.den, weight, out)
        total = np.einsum("mn,mn,n->m", g, g, np.square(self.null.root)) - out
        if not self.x.shape[1]:
            return total
        b = g @ self.cross
        return np.asarray(total - np.einsum("mi,im->m", b, np.linalg.solve(self.information, b.T)))


def _beside(sets: RiskSets, x: Array, known: Array, beta: Array) -> Array:
    """Return the coefficients of x beside a known part of the log hazard, from `beta` on."""
    value, gradient, information = sets.derivatives(x, known + x @ beta)
    for _ in range(50):
        step = np.linalg.solve(information, gradient)
        if float(gradient @ step) < 1e-20 * max(abs(value), 1.0):
            return beta
        for _half in range(30):
            found = sets.derivatives(x, known + x @ (beta + step))
            if found[0] >= value - 1e-12 * abs(value):
                break
            step = step / 2.0
        beta, (value, gradient, information) = beta + step, found
        if float(np.abs(x @ step).max()) < 1e-11:
            return beta
    raise FitError(
        "The Cox model of the covariates beside the loco predictions does not converge.",
        diagnostics={"n_samples": len(x)},
    )


@dataclass(frozen=True, eq=False, slots=True)
class CoxScan:
    """Everything a worker needs to test a block of variants against survival traits."""

    traits: tuple[CoxTrait | Untested, ...]
    threshold: float | None

    @classmethod
    def build(
        cls,
        names: tuple[str, ...],
        values: Array,
        events: Array,
        covariates: Array,
        *,
        threshold: float | None,
        offsets: Array | None = None,
    ) -> CoxScan:
        """Return the scan of times and events (n_samples, n_traits), NaN = missing.

        `offsets` (n_samples, n_traits) are known parts of the log hazard.

        A trait has no test if it has too few events, or if the covariates separate them.

        Raises
        ------
        InputError
            If a time is negative, an event is not 0 or 1, or a trait has no prediction.
        """
        traits: list[CoxTrait | Untested] = []
        for number, (name, time, event) in enumerate(zip(names, values.T, events.T, strict=True)):
            used = np.flatnonzero(np.isfinite(time) & np.isfinite(event))
            if not np.isin(event[used], (0, 1)).all() or (time[used] < 0).any():
                raise InputError(
                    f"Trait {name!r}: times are at least 0, and events 0 (censored) or 1; found "
                    f"times from {time[used].min(initial=np.inf):g} and events "
                    f"{np.unique(event[used])[:5].tolist()}."
                )
            rank = covariates.shape[1]
            if event[used].sum() < rank + 2:
                few = InputError(
                    f"Trait {name!r} has {int(event[used].sum())} events beside {rank} "
                    "covariates; needed are at least two more than covariates."
                )
                traits.append(Untested(used, few))
                continue
            known = None if offsets is None else offsets[used, number]
            if known is not None and np.isnan(known).any():
                raise InputError(f"Trait {name!r} has no prediction; leave it out (traits).")
            happened = event[used].astype(bool)
            try:
                built = CoxTrait.build(used, time[used], happened, covariates[used], known)
            except FitError as error:
                traits.append(Untested(used, error))
                continue
            traits.append(built)
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
