"""The models without a set that tests of sets rest on, beside relatives or other chromosomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen.associate.genomewide._design import basis
from radgen.associate.genomewide._input import GwasInput
from radgen.associate.genomewide._logistic import binary
from radgen.associate.genomewide._mixed import related_values, untestable
from radgen.associate.genomewide._plan import dead_notes
from radgen.associate.genomewide.background import offsets, take_off
from radgen.errors import FitError, InputError, shown
from radgen.genome.rare_null import (
    RareNull,
    null_binary,
    null_continuous,
    null_related,
    null_related_binary,
)
from radgen.types import FrameLike, Kinship

if TYPE_CHECKING:
    from radgen.associate.genomewide.ridge import RidgeResult

__all__ = ["SetNulls", "TraitNull"]

Array = NDArray[np.float64]
Variance = Literal["score", "saddle"]
_FEW = 0.2


@dataclass(frozen=True, eq=False, slots=True)
class TraitNull:
    """One trait: who is used, its model without a set, and how scores get their variance.

    `null` is None for a trait that has no test. `share` is the part of the variance beside the
    covariates that goes with kinship; of a binary trait, the variance of its log odds.
    """

    name: str
    used: NDArray[np.int64]
    null: RareNull | None
    variance: Variance
    share: float | None = None


class SetNulls:
    """The models of all traits, one for all sets or one for those of each chromosome.

    Parameters
    ----------
    data : GwasInput
        Matched samples, traits and covariates.
    model : {"linear", "logistic"}
        Of the traits.
    variance : {"auto", "score", "saddle"}
        Of scores of binary traits; "auto" = the saddle point where a class is rare.
    kinship : Kinship, mapping of str to Kinship, or None
        Of all samples; a mapping has one for each chromosome.
    loco : RidgeResult, data frame or None
        Predictions of a first step.
    """

    def __init__(
        self,
        data: GwasInput,
        model: str,
        variance: str,
        *,
        kinship: Kinship | Mapping[str, Kinship] | None = None,
        loco: RidgeResult | FrameLike | None = None,
    ) -> None:
        self._data, self._model, self._variance = data, model, variance
        self._kinship = kinship
        self._known = None if loco is None else offsets(loco, data, model)
        self._last: tuple[str | None, list[TraitNull]] | None = None
        self.by_chromosome = self._known is not None or isinstance(kinship, Mapping)
        self._notes = () if self._known is None else dead_notes(data, self._known)
        self._lost: dict[str, FitError] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of traits without tests."""
        return (*self._notes, *(f"No test of {name!r}: {why}" for name, why in self._lost.items()))

    def place_of(self, label: str, rows: list[int]) -> str | None:
        """Return the chromosome whose models a set needs; None where all need the same.

        Raises
        ------
        InputError
            If the set needs one chromosome and has several.
        """
        if not self.by_chromosome or not rows:
            return None
        found = self._data.genotypes.variants["chrom"][rows].unique(maintain_order=True).to_list()
        if len(found) > 1:
            raise InputError(
                f"The set {label!r} has variants of the chromosomes {shown(found)}, but each "
                "chromosome is left out of its own background (loco). Cut the set by chromosome, "
                "or test it with one kinship of all chromosomes."
            )
        return str(found[0])

    def of(self, chrom: str | None) -> list[TraitNull]:
        """Return the models of all traits for sets of a chromosome; the last are kept.

        Raises
        ------
        FitError
            If no trait can be tested: each has one class, covariates that separate its classes,
            or a mixed model that does not settle.
        """
        if self._last is None or self._last[0] != chrom:
            self._last = (chrom, self._build(chrom))
            if len(self._lost) == len(self._data.names):
                raise next(iter(self._lost.values()))
        return self._last[1]

    def _build(self, chrom: str | None) -> list[TraitNull]:
        if chrom is None and self.by_chromosome:
            return self._untested()
        known = None if self._known is None or chrom is None else self._known[chrom]
        if self._kinship is not None:
            return self._related(self._matrix(chrom))
        nulls = []
        for at, name in enumerate(self._data.names):
            used = np.flatnonzero(np.isfinite(self._data.values[:, at]))
            beside = None if known is None else known[used, at]
            nulls.append(self._unrelated(name, at, used, beside))
        return nulls

    def _untested(self) -> list[TraitNull]:
        """Return traits without models, for sets that the genotypes do not have."""
        finite = np.isfinite(self._data.values).T
        pairs = zip(self._data.names, finite, strict=True)
        return [TraitNull(name, np.flatnonzero(known), None, "score") for name, known in pairs]

    def _unrelated(
        self, name: str, at: int, used: NDArray[np.int64], beside: Array | None
    ) -> TraitNull:
        data = self._data
        if beside is not None and np.isnan(beside).any():
            return TraitNull(name, used, None, "score")
        y = data.values[used, at]
        error = untestable(y, basis(data.covariates[used]))
        if error is not None:
            return self._lose(name, used, error)
        x = np.column_stack([np.ones(len(used)), data.covariates[used]])
        try:
            if self._model == "linear":
                rest = y if beside is None else take_off(y, beside)
                return TraitNull(name, used, null_continuous(rest, x), "score")
            cases = binary(name, y)
            null = null_binary(cases, x, beside)
        except FitError as error:
            return self._lose(name, used, error)
        return TraitNull(name, used, null, _how(cases, self._variance))

    def _lose(self, name: str, used: NDArray[np.int64], error: FitError) -> TraitNull:
        self._lost.setdefault(name, error)
        return TraitNull(name, used, None, "score")

    def _matrix(self, chrom: str | None) -> Array:
        held: Any = self._kinship
        if isinstance(held, Mapping):
            if chrom not in held:
                raise InputError(f"There is no kinship without the chromosome {chrom}.")
            held = held[chrom]
        return related_values(held, self._data.genotypes.samples)

    def _related(self, kinship: Array) -> list[TraitNull]:
        """Return the mixed models; traits of the same samples share the kinship's eigenvectors."""
        from radgen.stats.lmm import MixedModel, fit_variance

        data = self._data
        rotated: dict[bytes, MixedModel] = {}
        nulls = []
        for name, column in zip(data.names, data.values.T, strict=True):
            finite = np.isfinite(column)
            used = np.flatnonzero(finite)
            x, own = basis(data.covariates[used]), kinship[np.ix_(used, used)]
            error = untestable(column[used], x)
            if error is not None:
                nulls.append(self._lose(name, used, error))
                continue
            if self._model == "logistic":
                nulls.append(self._related_binary(name, used, x, own))
                continue
            first = rotated.get(finite.tobytes())
            if first is None:
                first = rotated[finite.tobytes()] = MixedModel.build(column[used], x, own)
            y = first.vectors.T @ column[used]
            mixed = MixedModel(first.values, first.vectors, y, first.x)
            fit = fit_variance(mixed)
            null = null_related(mixed, fit)
            nulls.append(TraitNull(name, used, null, "score", fit.heritability))
        return nulls

    def _related_binary(
        self, name: str, used: NDArray[np.int64], x: Array, kinship: Array
    ) -> TraitNull:
        from radgen.stats.quasi_likelihood import mixed_logistic

        values = self._data.values[used, self._data.names.index(name)]
        try:
            cases = binary(name, values)
            odds = mixed_logistic(cases, x, kinship)
        except FitError as error:
            return self._lose(name, used, error)
        how = _how(cases, self._variance)
        return TraitNull(name, used, null_related_binary(odds), how, odds.tau)


def _how(cases: Array, variance: str) -> Variance:
    rare = min(cases.mean(), 1 - cases.mean()) < _FEW
    return "saddle" if variance == "saddle" or (variance == "auto" and rare) else "score"
