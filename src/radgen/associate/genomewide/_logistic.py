"""The logistic scan: Wald with Firth fallback, Firth throughout, or score with saddle point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._rows import HIST_BINS, TestRows, join_rows
from radgen.associate.genomewide._score import (
    SADDLE_BELOW,
    ScoreNull,
    ScoreScreen,
    known_mask,
    narrow,
    one_step,
    people_of,
)
from radgen.associate.genomewide._untested import Untested
from radgen.errors import FitError, InputError
from radgen.genome._blocks import BlockSource, CentredBlock
from radgen.stats.logistic_scan import (
    NullLogistic,
    firth_beside,
    firth_block,
    firth_predictor,
    fit_null,
    wald_block,
)
from radgen.stats.saddle import ResidualLaw
from radgen.stats.tail import normal_log10p

__all__ = ["LogisticScan", "binary", "narrow"]

Array = NDArray[np.float64]
_ROOM = 4 << 20
_SCREENED = 0.01
"""Thresholds up to which scores are screened: far from p = 0.05, where the saddle point starts."""


@dataclass(frozen=True, eq=False, slots=True)
class LogisticTrait:
    """One binary trait: who is used, and the model without a variant.

    `predictor` is that of Firth's fit without a variant, where "approx-firth" is asked for.
    """

    used: NDArray[np.int64]
    null: NullLogistic
    score: ScoreNull | None
    predictor: Array | None = None


@dataclass(frozen=True, eq=False, slots=True)
class LogisticScan:
    """Everything a worker needs to test a block of variants against binary traits."""

    traits: tuple[LogisticTrait | Untested, ...]
    threshold: float | None
    test: str
    screen: ScoreScreen | None

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

        `offsets` (n_samples, n_traits) are known parts of the log odds. A trait has no test if
        its offset is NaN, if it has one class, or if the covariates separate its classes.

        Raises
        ------
        InputError
            If a trait is coded otherwise.
        """
        traits: list[LogisticTrait | Untested] = []
        for number, (name, column) in enumerate(zip(names, values.T, strict=True)):
            used = np.flatnonzero(np.isfinite(column))
            known = None if offsets is None else offsets[used, number]
            if known is not None and np.isnan(known).any():
                unknown = InputError(f"Trait {name!r} has no prediction.")
                traits.append(Untested(used, unknown))
                continue
            try:
                y = binary(name, column[used])
                null = fit_null(y, basis(covariates[used]), known)
                held = firth_predictor(null) if test == "approx-firth" else None
            except FitError as error:
                traits.append(Untested(used, error))
                continue
            scores = test in ("score", "approx-firth")
            traits.append(LogisticTrait(used, null, score_null(null) if scores else None, held))
        scored = [(trait.used, trait.score) for trait in traits if _has_score(trait)]
        screened = scored and threshold is not None and threshold <= _SCREENED
        screen = ScoreScreen.build(scored, len(values)) if screened else None
        return cls(tuple(traits), threshold, test, screen)

    def dof(self) -> tuple[NDArray[np.int64], Array]:
        """Return of each trait its samples, and infinity: the statistics are normal."""
        return np.array([len(trait.used) for trait in self.traits]), np.full(
            len(self.traits), np.inf
        )

    def scan(self, source: BlockSource) -> TestRows:
        """Return the tests of one block that are kept, and the counts of all."""
        if self.screen is not None:
            return self._screened(source, self.screen)
        block = source.centred(np.float64)
        parts = []
        for number, trait in enumerate(self.traits):
            own = narrow(block, trait.used)
            each = {name: item[:, None] for name, item in self._tests(own, trait).items()}
            parts.append(each | {"trait": np.array([number])} | people_of(own))
        return join_rows(parts, source.start, len(self.traits), self.threshold)

    def _screened(self, source: BlockSource, screen: ScoreScreen) -> TestRows:
        block = source.product(screen.weights, screen.totals, np.matmul)
        squares = source.weighted_squares(screen.squares)
        hist = np.zeros((len(self.traits), HIST_BINS), np.int64)
        parts = []
        scored = (item for item in enumerate(self.traits) if _has_score(item[1]))
        for number, (at, trait) in enumerate(scored):
            rows, hist[at : at + 1] = screen.candidates(block, squares, number)
            for low, high in block_ranges(len(rows), max(1, _ROOM // len(trait.used))):
                own = narrow(source.centred(np.float64, rows[low:high]), trait.used)
                place = {"trait": np.full(high - low, at), "variant": rows[low:high]}
                parts.append(self._tests(own, trait) | place | people_of(own))
        return join_rows(parts, source.start, len(self.traits), self.threshold, hist)

    def _tests(self, block: CentredBlock, trait: LogisticTrait | Untested) -> dict[str, Array]:
        if isinstance(trait, Untested):
            return trait.tests(block)
        if trait.predictor is not None and trait.score is not None:
            return _approximate(block, trait.score, trait.null.y, trait.predictor)
        if trait.score is not None:
            return one_step(block, trait.score)
        return self._fits(block, trait.null)

    def _fits(self, block: CentredBlock, null: NullLogistic) -> dict[str, Array]:
        m, n = block.g.shape
        beta, se = np.full(m, np.nan), np.full(m, np.nan)
        varies = np.flatnonzero(block.squares > 1e-9)
        known = known_mask(block) if block.any_missing else None
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


def _approximate(
    block: CentredBlock, null: ScoreNull, y: Array, predictor: Array
) -> dict[str, Array]:
    """Return score tests, below p = 0.05 the penalised likelihood ratio beside held covariates."""
    u, variance, turned = null.scores(block)
    beta, se, t = u / variance, 1.0 / np.sqrt(variance), u / np.sqrt(variance)
    log10p = normal_log10p(t)
    rows = np.flatnonzero(log10p < SADDLE_BELOW)
    for low, high in block_ranges(len(rows), max(1, _ROOM // block.g.shape[1])):
        some = rows[low:high]
        fit = firth_beside(null.cleaned(block, some, turned), y, predictor)
        beta[some], se[some] = fit.beta, fit.se
        t[some] = np.where(fit.converged, np.sign(fit.beta) * np.sqrt(fit.deviance_drop), np.nan)
    log10p[rows] = normal_log10p(t[rows])
    return {"beta": beta, "se": se, "t": t, "log10p": log10p}


def score_null(null: NullLogistic) -> ScoreNull:
    """Return what the score test needs of a logistic model without the variant."""
    weight = null.mu * (1.0 - null.mu)
    return ScoreNull.build(null.x, weight, null.y - null.mu, ResidualLaw.binary(null.mu))


def _has_score(trait: LogisticTrait | Untested) -> bool:
    return isinstance(trait, LogisticTrait) and trait.score is not None


def binary(name: str, y: Array) -> Array:
    """Return a trait as 0 and 1.

    Raises
    ------
    InputError
        If it is coded neither 0/1 nor 1/2.
    FitError
        If it has one class only.
    """
    levels = np.unique(y)
    what = (
        f"Trait {name!r} has the values {levels[:5].tolist()}; a binary trait needs both of "
        "0 and 1, or both of 1 (control) and 2 (case)."
    )
    if len(levels) < 2 and set(levels) <= {0.0, 1.0, 2.0}:
        raise FitError(what, diagnostics={"n_samples": len(y)})
    if tuple(levels) not in {(0.0, 1.0), (1.0, 2.0)}:
        raise InputError(what)
    return y - levels[0]
