"""Scans of variant-by-covariate interaction: who responds differently to an exposure or treatment.

The model holds the covariates (the modifier among them), the variant and their product. With the
variant centred and the modifier standardised the numbers are tame; the answer is turned back to
the units of the tables, where the variant's own effect is that at modifier = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radgen._core.blocks import block_ranges
from radgen._core.naming import did_you_mean
from radgen.associate.genomewide._design import TraitGroup, basis, group_traits
from radgen.associate.genomewide._input import GwasInput
from radgen.associate.genomewide._logistic import binary
from radgen.associate.genomewide._rows import TestRows, join_rows
from radgen.associate.genomewide._score import known_mask, narrow, people_of
from radgen.associate.genomewide._untested import Untested
from radgen.errors import FitError, InputError, shown
from radgen.genome._blocks import BlockSource, CentredBlock
from radgen.stats.cox_pairs import CoxPairs
from radgen.stats.firth import firth
from radgen.stats.interaction_scan import PairFit, linear_pairs, logistic_pairs
from radgen.stats.logistic_scan import NullLogistic, fit_null
from radgen.stats.tail import f_log10p, normal_log10p, t_log10p

__all__ = ["EXTRA", "InteractionScan", "modifier_column"]

Array = NDArray[np.float64]
EXTRA = ("beta_main", "se_main", "log10p_joint", "reason")
"""Further columns: the variant's effect at modifier = 0, the joint test of both terms, and why a
test is undefined or penalised."""
CONSTANT, FLAT_MODIFIER, COLLINEAR, TOO_FEW, NO_MAXIMUM, PENALISED, NO_TRAIT = range(1, 8)
"""Places in `REASONS`."""
_ROOM = 2 << 20
_FLAT = 1e-9
_ALIKE = 1e-6


def modifier_column(data: GwasInput, name: str) -> int:
    """Return which covariate interacts.

    Raises
    ------
    InputError
        If there is none of the name, or it has more than two classes.
    """
    if name in data.covariate_names:
        return data.covariate_names.index(name)
    levels = [item for item in data.covariate_names if item.startswith(f"{name}=")]
    if len(levels) == 1:
        return data.covariate_names.index(levels[0])
    if levels:
        raise InputError(
            f"The covariate {name!r} has {len(levels) + 1} classes; an interaction needs one "
            f"column. Take one of {shown(levels)}, or code it as a number."
        )
    raise InputError(
        f"No covariate {name!r} to interact with; it belongs in the covariate table. "
        f"{did_you_mean(name, data.covariate_names)}"
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Trait:
    """A binary or survival trait: who is used, and the model of one of them without a variant."""

    used: NDArray[np.int64]
    null: NullLogistic | None
    survival: CoxPairs | None

    @property
    def needed(self) -> int:
        """Events (of a binary trait, samples) below which there is no fit."""
        if self.null is not None:
            return self.null.x.shape[1] + 3
        assert self.survival is not None
        return self.survival.x.shape[1] + 3

    def reason(self, a: Array, b: Array, keep: NDArray[np.bool_]) -> int:
        """Return why a variant and its product (n_used,) have no fit in the samples to keep."""
        if self.null is not None:
            x, n_seen = self.null.x, int(keep.sum())
        else:
            assert self.survival is not None
            x = np.column_stack([np.ones(len(keep)), self.survival.x])
            n_seen = int(self.survival.event[keep].sum())
        if n_seen < self.needed:
            return TOO_FEW
        design = np.column_stack([x, a, b])[keep]
        design = design / np.maximum(np.sqrt((design * design).sum(axis=0)), 1e-300)
        alike = np.linalg.svd(design, compute_uv=False)[-1] < _ALIKE
        return COLLINEAR if alike else NO_MAXIMUM


@dataclass(frozen=True, eq=False, slots=True)
class InteractionScan:
    """Everything a worker needs to test a block of variants for interaction.

    Attributes
    ----------
    modifier : ndarray of float64 (n_samples,)
        The covariate that interacts.
    groups : tuple of TraitGroup
        Traits of the linear model.
    traits : tuple
        Traits of the other models.
    n_traits : int
        Number of traits.
    robust : bool
        Sandwich covariances.
    threshold : float or None
        Largest p of the interaction that is kept.
    """

    modifier: Array
    groups: tuple[TraitGroup, ...]
    traits: tuple[_Trait | Untested, ...]
    n_traits: int
    robust: bool
    threshold: float | None

    @classmethod
    def build(
        cls,
        model: str,
        data: GwasInput,
        column: int,
        *,
        values: Array,
        events: Array | None,
        offsets: Array | None,
        robust: bool,
        threshold: float | None,
    ) -> InteractionScan:
        """Return the scan of traits (n_samples, n_traits), NaN = missing.

        A binary trait has no test where it has one class or the covariates separate its classes,
        a survival trait where it has few events.

        Raises
        ------
        InputError
            If a trait does not fit the model.
        """
        x, k = data.covariates, values.shape[1]
        shared = x[:, column], k, robust, threshold
        if model == "linear":
            groups = tuple(group_traits(values, x))
            return cls(shared[0], groups, (), *shared[1:])
        traits: list[_Trait | Untested] = []
        for number, name in enumerate(data.names):
            y = values[:, number]
            if events is None:
                used = np.flatnonzero(np.isfinite(y))
                known = None if offsets is None else offsets[used, number]
                if known is not None and np.isnan(known).any():
                    raise InputError(f"Trait {name!r} has no prediction; leave it out (traits).")
                try:
                    null = fit_null(binary(name, y[used]), basis(x[used]), known)
                except FitError as error:
                    traits.append(Untested(used, error))
                    continue
                traits.append(_Trait(used, null, None))
                continue
            event = events[:, number]
            used = np.flatnonzero(np.isfinite(y) & np.isfinite(event))
            design = basis(x[used])[:, 1:] * np.sqrt(len(used))
            if event[used].sum() < design.shape[1] + 3:
                few = InputError(
                    f"Trait {name!r} has {int(event[used].sum())} events beside "
                    f"{design.shape[1]} covariates; needed are at least three more."
                )
                traits.append(Untested(used, few))
                continue
            survival = CoxPairs.of(design, y[used], event[used] > 0)
            traits.append(_Trait(used, None, survival))
        return cls(shared[0], (), tuple(traits), *shared[1:])

    @property
    def extra(self) -> tuple[str, ...]:
        """Further columns of the tests."""
        return EXTRA

    def dof(self) -> tuple[NDArray[np.int64], Array]:
        """Return of each trait its samples and its residual degrees of freedom."""
        if self.traits:
            n = np.array([len(trait.used) for trait in self.traits])
            return n, np.full(len(n), np.inf)
        n, df = np.zeros(self.n_traits, np.int64), np.zeros(self.n_traits)
        for group in self.groups:
            n[group.traits] = group.n_samples
            df[group.traits] = group.n_samples - group.rank - 2.0
        return n, df

    def scan(self, source: BlockSource) -> TestRows:
        """Return the tests of one block that are kept, and the counts of all."""
        block = source.centred(np.float64)
        parts = []
        everyone = np.arange(len(self.modifier))
        for group in self.groups:
            used = np.delete(everyone, group.off)
            own = narrow(block, used)
            tests = self._tests(*self._fitted(own, used, group), used)
            parts.append(tests | {"trait": group.traits} | people_of(own))
        for number, trait in enumerate(self.traits):
            own = narrow(block, trait.used)
            if isinstance(trait, Untested):
                nothing = np.full((len(own.g), 1), np.nan)
                tests = dict.fromkeys(("beta", "se", "t", "log10p", *EXTRA), nothing)
                tests["reason"] = np.full(nothing.shape, NO_TRAIT)
            else:
                tests = self._tests(*self._fitted(own, trait.used, trait), trait.used)
            parts.append(tests | {"trait": np.array([number])} | people_of(own))
        return join_rows(parts, source.start, self.n_traits, self.threshold, extra=EXTRA)

    def _scaled(self, used: NDArray[np.int64]) -> tuple[Array, float, float]:
        """Return the modifier standardised, its mean and its scale (0 where it is constant)."""
        e = self.modifier[used]
        mean, scale = float(e.mean()), float(e.std())
        if scale <= 1e-12 * max(abs(mean), 1e-300):
            return np.zeros(len(e)), mean, 0.0
        return (e - mean) / scale, mean, scale

    def _fitted(
        self, block: CentredBlock, used: NDArray[np.int64], what: TraitGroup | _Trait
    ) -> tuple[PairFit, NDArray[np.int8]]:
        """Return the fits of a block, and the place in `REASONS` of each."""
        e, _, scale = self._scaled(used)
        known = known_mask(block) if block.any_missing else None
        k = len(what.traits) if isinstance(what, TraitGroup) else 1
        m, n = block.g.shape
        beta, cov = np.full((m, k, 2), np.nan), np.full((m, k, 2, 2), np.nan)
        df = np.full(m, np.nan)
        code = np.full((m, k), CONSTANT if scale else FLAT_MODIFIER, np.int8)
        rows = np.flatnonzero(block.squares > _FLAT) if scale else np.empty(0, np.int64)
        for low, high in block_ranges(len(rows), max(1, _ROOM // n)):
            some = rows[low:high]
            mask = None if known is None or known[some].all() else known[some]
            a = block.g[some]
            b = a * e
            if isinstance(what, TraitGroup):
                q, y = what.q[used], what.y[used]
                fit = linear_pairs(a, b, q, y, known=mask, robust=self.robust)
                scaled = np.where(what.norm > 0, what.norm, np.nan)
                beta[some] = fit.beta * scaled[:, None]
                cov[some] = fit.covariance * np.square(scaled)[:, None, None]
                lost = np.where(fit.df > 0, COLLINEAR, TOO_FEW)
                code[some] = np.where(np.isnan(fit.beta[..., 0]), lost[:, None], 0)
                code[some[:, None], np.flatnonzero(what.norm <= 0)] = NO_TRAIT
            elif what.null is not None:
                fit = logistic_pairs(a, b, what.null, known=mask, robust=self.robust)
                firths = _penalised(fit, a, b, what.null, mask)
                beta[some], cov[some] = fit.beta, fit.covariance
                code[some] = np.where(firths, PENALISED, 0)[:, None]
            else:
                assert what.survival is not None
                found = what.survival.fit(a, b, mask, robust=self.robust)
                beta[some, 0], cov[some, 0] = found
                if mask is not None:
                    few = mask @ what.survival.event.astype(float) < what.needed
                    beta[some[few]], cov[some[few]] = np.nan, np.nan
                code[some] = 0
            df[some] = np.inf if isinstance(what, _Trait) else fit.df
            if isinstance(what, _Trait):
                for row in np.flatnonzero(np.isnan(beta[some, 0, 0])):
                    keep = np.ones(n, bool) if mask is None else mask[row]
                    code[some[row]] = what.reason(a[row], b[row], keep)
        return PairFit(beta, cov, df), code

    def _tests(
        self, fit: PairFit, code: NDArray[np.int8], used: NDArray[np.int64]
    ) -> dict[str, Array]:
        _, mean, scale = self._scaled(used)
        safe = scale or np.nan
        turn = np.array([[1.0, -mean / safe], [0.0, 1.0 / safe]])
        with np.errstate(invalid="ignore"):
            beta = fit.beta @ turn.T
            cov = turn @ fit.covariance @ turn.T
            se = np.sqrt(np.einsum("mkii->mki", cov))
            t = beta[..., 1] / se[..., 1]
        good = np.isfinite(fit.covariance).all(axis=(2, 3)) & np.isfinite(fit.beta).all(axis=2)
        solid = np.where(good[..., None, None], fit.covariance, np.eye(2))
        inside = np.where(good[..., None], fit.beta, 0.0)
        wald = np.einsum("mki,mki->mk", inside, np.linalg.solve(solid, inside[..., None])[..., 0])
        df = np.broadcast_to(fit.df[:, None], t.shape)
        # The upper tail of F(2, infinity) is exp(-F).
        finite = np.isfinite(df)
        joint = np.where(
            finite,
            f_log10p(wald / 2.0, 2.0, np.where(finite & (df > 0), df, 1.0)),
            -wald / (2.0 * np.log(10.0)),
        )
        return {
            "beta": beta[..., 1],
            "se": se[..., 1],
            "t": t,
            "log10p": normal_log10p(t) if self.traits else t_log10p(t, df),
            "beta_main": beta[..., 0],
            "se_main": se[..., 0],
            "log10p_joint": np.where(good, joint, np.nan),
            "reason": code,
        }


def _penalised(
    fit: PairFit, a: Array, b: Array, null: NullLogistic, known: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Put Firth's estimates where maximum likelihood did not converge; return where (n_pairs,)."""
    penalised = np.zeros(len(a), bool)
    if null.offset.any():
        return penalised
    for row in np.flatnonzero(np.isnan(fit.beta[:, 0, 0])):
        keep = np.ones(len(null.y), bool) if known is None else known[row]
        terms = np.column_stack([a[row], b[row]])[keep]
        length = np.sqrt((terms * terms).sum(axis=0))
        if (length <= _FLAT).any():
            continue
        design = np.column_stack([null.x[keep], terms / length])
        # One term that says what another one says has no estimate.
        if np.linalg.svd(design, compute_uv=False)[-1] < 1e-6:
            continue
        found = firth(null.y[keep], design)
        if found.converged:
            scale = 1.0 / length
            fit.beta[row, 0] = found.coef[-2:] * scale
            fit.covariance[row, 0] = found.cov[-2:, -2:] * scale[:, None] * scale
            penalised[row] = True
    return penalised
