"""Combinations of a few binary traits, searched inside the validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations, product
from math import comb
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from radgen._core.rng import spawn
from radgen.errors import InputError, shown
from radgen.predict._words import repeated
from radgen.predict.cutpoints import EFFECTS, group_effect, outcome_scores
from radgen.predict.design import Design, build_design
from radgen.predict.planning import strata_of
from radgen.predict.splits import group_folds
from radgen.types import Outcome, Result

__all__ = ["CombinationResult", "enumerate_combinations", "search_combinations"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
_MOST = 200_000
_BLOCK = 200


@dataclass(frozen=True, eq=False)
class CombinationResult(Result):
    """Combinations of traits against an outcome, the search counted.

    Attributes
    ----------
    frame : polars.DataFrame
        ``combination, traits, n_group, n, statistic, p_naive, p_value, effect, effect_low,
        effect_high``, the best first: samples that show the combination against all others.
        `p_value` is family-wise, by the permutation distribution of the largest statistic.
    validation : polars.DataFrame
        ``repeat, fold, combination``: what each training set found.
    honest, honest_low, honest_high : float
        Effect in patients left out, of the combination that their training folds found.
    stability : float
        Share of training sets that found the overall best.
    outcome, effect : str
    n_tried : int
        Combinations with enough samples on both sides.
    """

    kind: ClassVar[str] = "combinations"

    validation: pl.DataFrame = field(default_factory=pl.DataFrame)
    honest: float = float("nan")
    honest_low: float = float("nan")
    honest_high: float = float("nan")
    stability: float = float("nan")
    outcome: str = ""
    effect: str = "hazard ratio"
    n_tried: int = 0

    def statements(self) -> tuple[str, ...]:
        """Return the best combination, and what remains of it outside its training."""
        row = self.frame.row(0, named=True)
        word = "goes with" if row["p_value"] < 0.05 else "shows no evidence of going with"
        return (
            f"Of {self.n_tried} combinations the best, {row['combination']} ({row['n_group']} of "
            f"{row['n']} patients), {word} {self.outcome}: p {row['p_value']:.2g} with the search "
            f"counted, {row['p_naive']:.2g} without; {self.effect} {row['effect']:.2f}.",
            f"Searched in training folds and applied to the others, the {self.effect} is "
            f"{self.honest:.2f} ({self.honest_low:.2f}–{self.honest_high:.2f}); "
            f"{self.stability:.0%} of the training sets found the same combination.",
        )

    def methods(self) -> str:
        """Return the methods paragraph."""
        p = self.params
        return (
            f"All combinations of up to {p['size']} traits, each present or absent, shown by "
            f"{p['smallest']:g} samples or more were compared with all other samples; p is that of "
            f"the largest statistic in {p['permutations']} permutations. The whole search was "
            f"repeated in the training folds of {repeated(p)}{p['folds']}-fold validation."
        )


def enumerate_combinations(names: list[str], size: int) -> list[tuple[tuple[int, bool], ...]]:
    """Return all combinations of up to `size` traits, each present (True) or absent.

    Single traits count as present alone, since absent is the same comparison.

    Examples
    --------
    >>> len(enumerate_combinations(["a", "b", "c"], 2))
    15
    """
    out: list[tuple[tuple[int, bool], ...]] = [((j, True),) for j in range(len(names))]
    for k in range(2, size + 1):
        for chosen in combinations(range(len(names)), k):
            out += [
                tuple(zip(chosen, levels, strict=True))
                for levels in product((True, False), repeat=k)
            ]
    return out


def search_combinations(
    traits: Any,
    outcome: Outcome,
    *,
    seed: int,
    size: int = 2,
    smallest: int = 10,
    permutations: int = 1000,
    folds: int = 5,
    repeats: int = 5,
    groups: Mapping[str, str] | None = None,
    confidence: float = 0.95,
    keep: int = 50,
) -> CombinationResult:
    """Return which combination of binary traits goes with an outcome, the search validated.

    Parameters
    ----------
    traits : table
        Columns with two values (the higher is "present"); text columns of two values are
        expanded. Samples with a missing trait are left out.
    outcome : Outcome
        Censored, binary or continuous.
    seed : int
        Of folds and permutations.
    size : int, default 2
        Traits in a combination, at most.
    smallest : int, default 10
        Samples that must show a combination, and must not.
    permutations : int, default 1000
        Of the outcome, for the family-wise p.
    folds, repeats : int
        Of the validation, inside which the search is repeated.
    groups : mapping of sample to patient, or None
        Rows of one patient share a fold.
    confidence : float, default 0.95
        Level.
    keep : int, default 50
        Rows of the table.

    Returns
    -------
    CombinationResult
        The best combinations, and the honest effect of the search.

    Raises
    ------
    InputError
        If a trait has more than two values, there are too many combinations, or none has enough
        samples.

    References
    ----------
    Rao et al. 2016, doi:10.1016/j.clineuro.2016.07.018 (combinatorial radiographic phenotype).
    Westfall & Young 1993 (max-T).
    """
    design = build_design({"clinical": traits}, outcome, groups=groups, sites=None, roles=None)
    search = _prepare(design, size, smallest)
    statistic = _statistics(search.member[:, search.usable], search.scores[:, None])[:, 0]
    rng = spawn(seed, "combinations")
    usable = search.member[:, search.usable]
    largest = _largest(usable, search.scores, permutations, rng)
    frame = _table(search, statistic, largest, keep, confidence)
    plan = {"folds": folds, "repeats": repeats, "seed": seed}
    validation, effects = _validate(search, confidence, **plan)
    best = (validation["combination"] == frame["combination"][0]).mean()
    return CombinationResult(
        frame=frame,
        params={"size": size, "smallest": smallest, "permutations": permutations,
                "confidence": confidence, **plan},
        n_used=len(search.target),
        dropped=search.dropped,
        provenance={"step": "predict.search_combinations", "version": 1, "seed": seed},
        validation=validation,
        honest=effects[0],
        honest_low=effects[1],
        honest_high=effects[2],
        stability=float(best or 0.0),
        outcome=outcome.name,
        effect=EFFECTS[design.kind],
        n_tried=int(search.usable.sum()),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Search:
    kind: str
    target: FloatArray
    scores: FloatArray
    names: list[str]
    every: list[tuple[tuple[int, bool], ...]]
    member: BoolArray
    usable: BoolArray
    strata: NDArray[np.int64]
    patients: NDArray[np.int64]
    smallest: int
    dropped: pl.DataFrame


def _prepare(design: Design, size: int, smallest: int) -> _Search:
    block = design.blocks[0]
    names = list(block.columns)
    total = sum(comb(len(names), k) * 2**k for k in range(2, size + 1)) + len(names)
    if total > _MOST:
        raise InputError(
            f"{total:,} combinations are too many: choose fewer traits or a lower size."
        )
    complete = np.isfinite(block.values).all(axis=1)
    target = design.target[complete]
    every = enumerate_combinations(names, size)
    member = _members(_present(block.values[complete], names), every)
    usable = _usable(member, smallest)
    if not usable.any():
        raise InputError(f"No combination is shown by {smallest} samples or more, and not by all.")
    lost = [s for s, ok in zip(design.samples, complete, strict=True) if not ok]
    return _Search(
        design.kind, target, outcome_scores(design.kind, target), names, every, member, usable,
        strata_of(design, None)[complete], design.patients[complete], smallest,
        _dropped(design, lost),
    )  # fmt: skip


def _table(
    search: _Search, statistic: FloatArray, largest: FloatArray, keep: int, confidence: float
) -> pl.DataFrame:
    at = np.flatnonzero(search.usable)
    rows = []
    for k in np.argsort(-np.abs(statistic), kind="stable")[:keep]:
        shown_by = search.member[:, at[k]]
        size = float(abs(statistic[k]))
        p = float(((largest >= size - 1e-12).sum() + 1) / (len(largest) + 1))
        traits = search.every[at[k]]
        rows.append(
            (
                _words(traits, search.names), len(traits), int(shown_by.sum()), len(shown_by),
                float(statistic[k]), float(2 * ndtr(-size)), p,
                *group_effect(search.kind, search.target, shown_by, confidence),
            )
        )  # fmt: skip
    columns = ["combination", "traits", "n_group", "n", "statistic", "p_naive", "p_value"]
    columns += ["effect", "effect_low", "effect_high"]
    kinds = [pl.String, *[pl.Int64] * 3, *[pl.Float64] * 6]
    return pl.DataFrame(rows, schema=dict(zip(columns, kinds, strict=True)), orient="row")


def _present(values: FloatArray, names: list[str]) -> BoolArray:
    many = [
        name for name, column in zip(names, values.T, strict=True) if len(np.unique(column)) > 2
    ]
    if many:
        raise InputError(
            f"These traits have more than two values: {shown(many)}. Cut them first, at a value "
            "fixed beforehand."
        )
    return np.asarray(values > values.min(axis=0))


def _members(present: BoolArray, every: list[tuple[tuple[int, bool], ...]]) -> BoolArray:
    out = np.ones((len(present), len(every)), dtype=bool)
    for k, traits in enumerate(every):
        for j, level in traits:
            out[:, k] &= present[:, j] == level
    return out


def _usable(member: BoolArray, smallest: int) -> BoolArray:
    count = member.sum(axis=0)
    return np.asarray((count >= smallest) & (count <= len(member) - smallest))


def _statistics(member: BoolArray, scores: FloatArray) -> FloatArray:
    """Return standardised sums of scores within each group, (n_groups, n_columns of scores)."""
    n = len(member)
    centred = scores - scores.mean(axis=0)
    count = member.sum(axis=0).astype(np.float64)
    scale = np.sqrt(count * (n - count) / (n * (n - 1)))[:, None] * np.sqrt(
        (centred**2).sum(axis=0)
    )
    return np.asarray(member.T.astype(np.float64) @ centred / scale)


def _largest(
    member: BoolArray, scores: FloatArray, permutations: int, rng: np.random.Generator
) -> FloatArray:
    out = np.empty(permutations)
    for start in range(0, permutations, _BLOCK):
        stop = min(start + _BLOCK, permutations)
        moved = np.column_stack([rng.permutation(scores) for _ in range(stop - start)])
        out[start:stop] = np.abs(_statistics(member, moved)).max(axis=0)
    return out


def _words(traits: tuple[tuple[int, bool], ...], names: list[str]) -> str:
    return " and ".join(names[j] if level else f"no {names[j]}" for j, level in traits)


def _dropped(design: Design, lost: list[str]) -> pl.DataFrame:
    schema = {"sample": pl.String, "reason": pl.String}
    more = pl.DataFrame(
        {"sample": lost, "reason": ["a trait is missing"] * len(lost)}, schema=schema
    )
    return pl.concat([design.dropped, more])


def _validate(
    search: _Search, confidence: float, *, folds: int, repeats: int, seed: int
) -> tuple[pl.DataFrame, tuple[float, float, float]]:
    rows, effects = [], []
    for repeat in range(repeats):
        rng = spawn(seed, "combination folds", repeat)
        fold = group_folds(search.strata, search.patients, folds, rng)
        risky = np.zeros(len(fold), dtype=bool)
        for k in range(folds):
            words, shows = _found_elsewhere(search, fold != k, fold == k, folds)
            risky[fold == k] = shows
            rows.append((repeat, k, words))
        effects.append(group_effect(search.kind, search.target, risky, confidence))
    table = np.array(effects)
    table = table[np.isfinite(table).all(axis=1)]
    nan = float("nan")
    middle = (nan, nan, nan)
    if len(table):
        log = search.kind != "continuous"
        mean = np.exp(np.log(table).mean(axis=0)) if log else table.mean(axis=0)
        middle = (float(mean[0]), float(mean[1]), float(mean[2]))
    schema = {"repeat": pl.Int64, "fold": pl.Int64, "combination": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row"), middle


def _found_elsewhere(
    search: _Search, train: BoolArray, test: BoolArray, folds: int
) -> tuple[str, BoolArray]:
    """Return what the training rows find, and which test rows belong to its worse group."""
    member = search.member[train]
    usable = _usable(member, max(search.smallest * (folds - 1) // folds, 2))
    if not usable.any():
        return "", np.zeros(int(test.sum()), dtype=bool)
    scores = outcome_scores(search.kind, search.target[train])
    found = _statistics(member[:, usable], scores[:, None])[:, 0]
    at = int(np.argmax(np.abs(found)))
    chosen = int(np.flatnonzero(usable)[at])
    shows = search.member[test, chosen]
    return _words(search.every[chosen], search.names), shows if found[at] > 0 else ~shows
