"""Repeated measurements by which imaging features are filtered inside the folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.phenotype.repeatability import repeats_of
from radgen.phenotype.select import ReliabilityFilter
from radgen.stats.reliability import IccForm, IccInterval
from radgen.types import PhenotypeTable, align

__all__ = ["BlockRepeats", "Reliability"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BlockRepeats:
    """Repeats of the columns of one block.

    Attributes
    ----------
    values : float64 (n_subjects, n_repeats, p)
    patients : int64 (n_subjects,)
        Code of the patient in the design; -1 = nobody who is modelled.
    form, threshold, confidence, interval
        As in `radgen.phenotype.ReliabilityFilter`.
    """

    values: FloatArray
    patients: NDArray[np.int64]
    form: IccForm
    threshold: float
    confidence: float
    interval: IccInterval = "f"

    def filter_for(self, training: NDArray[np.int64]) -> ReliabilityFilter:
        """Return the unfitted filter by repeats of training patients and of outsiders.

        Parameters
        ----------
        training : int64
            Codes of the patients whose rows train.
        """
        known = (self.patients < 0) | np.isin(self.patients, training)
        return ReliabilityFilter(
            self.values[known], threshold=self.threshold, form=self.form,
            confidence=self.confidence, interval=self.interval,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Reliability:
    """Keeps imaging features whose lower confidence bound of the ICC reaches a threshold.

    Attributes
    ----------
    tables : mapping of repeat to PhenotypeTable
        Two or more: test and retest, readers, perturbed copies. Subjects may be other people
        than those who are modelled; where they are the same, a fold uses the repeats of its
        training patients alone.
    form : {"1,1", "2,1", "3,1", "1,k", "2,k", "3,k"}
        See `radgen.phenotype.measure_repeatability`.
    threshold : float, default 0.75
        Of the lower bound.
    confidence : float, default 0.95
        Level.
    interval : {"f", "modified"}, default "f"
        Of "2,1" and "2,k", see `radgen.stats.reliability.icc`.
    """

    tables: Mapping[str, PhenotypeTable]
    form: IccForm = "1,1"
    threshold: float = 0.75
    confidence: float = 0.95
    interval: IccInterval = "f"

    def for_blocks(self, design: Any) -> dict[str, BlockRepeats]:
        """Return the repeats of each imaging block of a design.

        Raises
        ------
        InputError
            If there is no imaging block, or the repeats have none of its columns.
        """
        found = {}
        for block in design.blocks:
            if block.role != "imaging" or block.layout != "table":
                continue
            values, subjects = repeats_of(self.tables, block.columns)
            if not np.isfinite(values).any():
                raise InputError(
                    f"The repeats hold none of the {len(block.columns)} columns of "
                    f"{block.name!r}, such as {block.columns[0]!r}."
                )
            found[block.name] = BlockRepeats(
                values, _codes(subjects, design), self.form, self.threshold, self.confidence,
                self.interval,
            )  # fmt: skip
        if not found:
            raise InputError("Reliability filters imaging features, and no block is imaging.")
        return found

    def words(self) -> str:
        """Return what it does, for the methods paragraph."""
        return (
            f"imaging features whose lower {self.confidence:.0%} bound of ICC({self.form}) in "
            f"{len(self.tables)} repeats is below {self.threshold:g} were left out"
        )


def _codes(subjects: tuple[str, ...], design: Any) -> NDArray[np.int64]:
    """Return the patient's code of each subject, who goes by a sample's or a patient's id."""
    codes = np.full(len(subjects), -1, dtype=np.int64)
    order = {name: k for k, name in enumerate(subjects)}
    for ids, code in (
        (design.patient_names, np.arange(len(design.patient_names))),
        (design.samples, design.patients),
    ):
        matched = align({"repeats": subjects, "design": ids}, need=0)
        places = [order[name] for name in matched.samples]
        codes[places] = code[matched.rows["design"]]
    return codes
