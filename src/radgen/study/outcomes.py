"""Outcomes of a study, and which samples an analysis uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from radgen.errors import InputError
from radgen.study.gather import Gathered
from radgen.types import Outcome

__all__ = ["chosen_samples", "outcome_of", "some"]


class _Asks(Protocol):
    """A section that names an outcome."""

    @property
    def outcome(self) -> str:
        """Clinical column, survival time or "layer:feature"."""

    @property
    def positive(self) -> str | None:
        """Value that counts as positive."""


def chosen_samples(found: Gathered, where: Mapping[str, Sequence[str]]) -> set[str] | None:
    """Return the samples that `where` chooses, or None where it says nothing.

    Raises
    ------
    InputError
        If none is left.
    """
    if not where:
        return None
    samples = found.sheet.select(where)
    if not samples:
        raise InputError(f"where = {dict(where)} leaves no sample.")
    return samples


def some(outcome: Outcome, samples: set[str] | None) -> Outcome:
    """Return the outcome of the wanted samples; that of the others is missing."""
    if samples is None:
        return outcome
    keep = np.array([sample in samples for sample in outcome.samples])
    return replace(outcome, values=np.where(keep, outcome.values, np.nan))


def outcome_of(found: Gathered, item: _Asks) -> Outcome:
    """Return the outcome that a model predicts.

    Raises
    ------
    InputError
        If a molecular feature has fewer than two values.
    """
    sheet = found.sheet
    if item.outcome in sheet.names():
        return sheet.outcome(item.outcome, positive=item.positive)
    layer, _, feature = item.outcome.partition(":")
    table = found.layers[layer]
    values = table.values[:, table.features.index(feature)]
    known = values[np.isfinite(values)]
    if len(np.unique(known)) < 2:
        raise InputError(f"{item.outcome} has the same value in all samples.")
    binary = bool(np.isin(known, (0.0, 1.0)).all())
    levels = ("wild-type", "mutant") if layer == "mutation" or table.layer == "mutation" else ()
    return Outcome(
        feature,
        "binary" if binary else "continuous",
        table.samples,
        values,
        levels=levels if binary else (),
    )
