"""Traits that a model cannot test: few events, one class, classes that the covariates part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import RadgenError
from radgen.genome._blocks import CentredBlock

__all__ = ["Untested", "untested_notes"]


@dataclass(frozen=True, eq=False, slots=True)
class Untested:
    """A trait without tests: all that a scan says of it is undefined.

    Attributes
    ----------
    used : ndarray of int64 (n_used,)
        Samples that have the trait.
    error : RadgenError
        Why, as it is raised where no other trait is there.
    """

    used: NDArray[np.int64]
    error: RadgenError

    def tests(self, block: CentredBlock) -> dict[str, NDArray[np.float64]]:
        """Return undefined tests of a block."""
        return {name: np.full(len(block.g), np.nan) for name in ("beta", "se", "t", "log10p")}


def untested_notes(names: Sequence[str], scan: Any) -> tuple[str, ...]:
    """Return what a reader must know of traits without tests.

    Raises
    ------
    RadgenError
        That of the first trait, if no trait can be tested.
    """
    known = getattr(scan, "untested", None)
    traits = enumerate(getattr(scan, "traits", ())) if known is None else known.items()
    lost = {names[at]: trait.error for at, trait in traits if isinstance(trait, Untested)}
    if len(lost) == len(names):
        raise next(iter(lost.values()))
    return tuple(f"No test of {name!r}: {error}" for name, error in lost.items())
