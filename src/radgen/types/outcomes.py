"""Outcomes, covariates and kinship: explicit columns, nothing guessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError, shown
from radgen.types._seal import seal, seal_samples, set_field
from radgen.types.align import check_unique

__all__ = ["Covariates", "Kinship", "Outcome", "OutcomeKind"]

OutcomeKind = Literal["continuous", "binary", "ordinal", "censored"]


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """One outcome of the samples.

    Attributes
    ----------
    name : str
        "IDH mutant", "overall survival", …
    kind : {"continuous", "binary", "ordinal", "censored"}
        Decides which tests and models fit.
    samples : tuple of str (n_samples,)
        Unique ids.
    values : ndarray of float64 (n_samples,)
        The value; 0/1 for binary, 0, 1, 2 … for ordinal, time for censored; NaN = missing.
    events : ndarray of bool (n_samples,) or None
        For censored outcomes: True = the event happened at the time, False = censored.
    levels : tuple of str
        Names of the classes of a binary or ordinal outcome, in coded order.
    unit : str
        Unit of the value or the time ("days").
    """

    name: str
    kind: OutcomeKind
    samples: tuple[str, ...]
    values: NDArray[np.float64]
    events: NDArray[np.bool_] | None = None
    levels: tuple[str, ...] = ()
    unit: str = ""

    def __post_init__(self) -> None:
        samples = seal_samples(self.samples, what=f"Outcome {self.name!r}")
        check_unique(samples, what=f"Outcome {self.name!r}")
        values = seal(self.values, np.float64, ndim=1, what=f"outcome {self.name!r}")
        if len(values) != len(samples):
            raise InputError(
                f"Outcome {self.name!r}: {len(values)} values, {len(samples)} samples."
            )
        known = values[np.isfinite(values)]
        if self.kind == "binary" and not np.isin(known, (0, 1)).all():
            raise InputError(
                f"Outcome {self.name!r} is binary; found values {shown(np.unique(known))}."
            )
        if self.kind == "censored":
            if self.events is None or len(self.events) != len(samples):
                raise InputError(
                    f"Outcome {self.name!r} is censored: it needs one event flag a sample."
                )
            if (known < 0).any():
                bad = [s for s, v in zip(samples, values, strict=True) if v < 0]
                raise InputError(f"Outcome {self.name!r}: negative times for {shown(bad)}.")
            set_field(self, "events", seal(self.events, np.bool_, ndim=1, what="events"))
        elif self.events is not None:
            raise InputError(
                f"Outcome {self.name!r} is {self.kind}; only a censored one has events."
            )
        set_field(self, "samples", samples)
        set_field(self, "values", values)
        set_field(self, "levels", tuple(self.levels))

    @property
    def known(self) -> NDArray[np.bool_]:
        """True where the outcome is not missing, (n_samples,)."""
        return np.isfinite(self.values)


@dataclass(frozen=True, eq=False, slots=True)
class Covariates:
    """Numeric covariates, categories already expanded; no intercept column.

    Attributes
    ----------
    samples : tuple of str (n_samples,)
        Unique ids.
    names : tuple of str (n_covariates,)
        Column names; an expanded category is named "sex=F".
    values : ndarray of float64 (n_samples, n_covariates)
        NaN = missing.
    """

    samples: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        samples = seal_samples(self.samples, what="Covariates")
        check_unique(samples, what="Covariates")
        values = seal(self.values, np.float64, ndim=2, what="covariates")
        if values.shape != (len(samples), len(self.names)):
            raise InputError(
                f"Covariates have shape {values.shape}; named are "
                f"{len(samples)} samples x {len(self.names)} columns."
            )
        set_field(self, "samples", samples)
        set_field(self, "names", tuple(self.names))
        set_field(self, "values", values)


@dataclass(frozen=True, eq=False, slots=True)
class Kinship:
    """Relatedness of samples: a symmetric matrix float64 (n_samples, n_samples)."""

    samples: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        samples = seal_samples(self.samples, what="Kinship")
        check_unique(samples, what="Kinship")
        values = seal(self.values, np.float64, ndim=2, what="kinship")
        if values.shape != (len(samples), len(samples)):
            raise InputError(f"Kinship has shape {values.shape} for {len(samples)} samples.")
        if not np.allclose(values, values.T, atol=1e-8):
            raise InputError("A kinship matrix is symmetric.")
        set_field(self, "samples", samples)
        set_field(self, "values", values)
