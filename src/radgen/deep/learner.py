"""How an evaluation fits networks: beside the baselines, on the same folds and blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from radgen.deep.cells import BagOfCells
from radgen.deep.images import ImageNetwork
from radgen.errors import InputError
from radgen.predict.learners import Fitted, Learner, Part, RidgeLearner, fit_within

__all__ = ["CellLearner", "NetworkLearner", "bag_of_cells", "slice_network"]

FloatArray = NDArray[np.float64]
WORDS = (8, 32)
"""Sizes of the codebook among which inner folds choose."""


@dataclass(frozen=True, eq=False)
class NetworkFit:
    """A fitted network behind `Fitted`; its array stands first in the columns it takes."""

    network: Any
    order: NDArray[np.int64]

    def predict(self, x: FloatArray) -> FloatArray:
        """Return probabilities, log relative hazards or values, (n,)."""
        return np.asarray(self.network.predict_score(x[:, self.order]), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class NetworkLearner:
    """A network of `radgen.deep`, with the settings of its `grid`.

    Models of clinical tables alone, which a network must beat, are ridge regressions.

    Attributes
    ----------
    network : estimator
        Unfitted.
    kind : {"binary", "censored", "continuous"}
    parts : tuple of Part
        The blocks.
    patients : int64 (n,) or None
        Patient of each training row.
    """

    network: Any
    kind: str
    parts: tuple[Part, ...] = ()
    patients: NDArray[np.int64] | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Layouts of blocks that it takes."""
        return tuple({"table", *self.network.reads})

    @property
    def settings(self) -> tuple[str, ...]:
        """The grid as text."""
        return tuple(
            ", ".join(f"{k} {v:g}" for k, v in item.items()) or "as given"
            for item in self.network.grid
        )

    def for_blocks(self, parts: Sequence[Part]) -> Learner:
        """Return the learner for these blocks; ridge regression where no network has a place.

        Raises
        ------
        InputError
            If there are crops or bags in two blocks.
        """
        arrays = [part for part in parts if part.layout != "table"]
        if len(arrays) > 1:
            raise InputError(
                f"{len(arrays)} blocks hold crops or bags; a network reads one. Put several "
                "sequences into one file as channels (radgen deep crops)."
            )
        plain = all(part.role == "clinical" for part in parts)
        if not arrays and ("table" not in self.network.reads or self._needs_arrays or plain):
            return RidgeLearner(self.kind)
        return replace(self, parts=tuple(parts))

    def for_patients(self, patients: NDArray[np.int64]) -> Learner:
        """Return the learner for training rows of these patients."""
        return replace(self, patients=patients)

    @property
    def _needs_arrays(self) -> bool:
        return any(layout != "table" for layout in self.network.reads)

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        which: NDArray[np.int64],
        seed: int,
        widths: Sequence[int] = (),
    ) -> list[Fitted]:
        """Return fits with the settings `which`."""
        order, shape = _array_first(self.parts, widths or (x.shape[1],))
        out: list[Fitted] = []
        for k in which:
            network = clone(self.network).set_params(**self.network.grid[int(k)])
            if network.random_state is None:
                network.set_params(random_state=seed % 2**31)
            if shape:
                network.set_params(shape=shape, outcome=self.kind)
            else:
                network.set_params(widths=tuple(widths) or (x.shape[1],))
            network.fit(x[:, order], y, groups=self.patients)
            out.append(NetworkFit(network, order))
        return out


def _array_first(
    parts: Sequence[Part], widths: Sequence[int]
) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """Return the columns with those of crops or bags first, and the shape of one of them."""
    edges = np.concatenate(([0], np.cumsum(widths)))
    columns = [np.arange(a, b) for a, b in pairwise(edges)]
    arrays = [k for k, part in enumerate(parts) if part.layout != "table"]
    rest = [k for k in range(len(columns)) if k not in arrays]
    shape = parts[arrays[0]].shape if arrays else ()
    return np.concatenate([columns[k] for k in (*arrays, *rest)]), shape


@dataclass(frozen=True, eq=False)
class CellFit:
    """Codebook and ridge regression of its histograms."""

    book: BagOfCells
    scale: tuple[FloatArray, FloatArray]
    inner: Fitted
    order: NDArray[np.int64]
    n_cells: int

    def predict(self, x: FloatArray) -> FloatArray:
        """Return probabilities, log relative hazards or values, (n,)."""
        return self.inner.predict(
            _histograms(self.book, x[:, self.order], self.n_cells, self.scale)
        )


def _histograms(
    book: BagOfCells, x: FloatArray, n_cells: int, scale: tuple[FloatArray, FloatArray]
) -> FloatArray:
    found = np.hstack([(book.transform(x[:, :n_cells]) - scale[0]) / scale[1], x[:, n_cells:]])
    return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class CellLearner:
    """Ridge regression of histograms over a codebook; `WORDS` and penalties are its settings."""

    kind: str
    parts: tuple[Part, ...] = ()
    inner: RidgeLearner = field(init=False)
    reads = ("table", "bags")

    def __post_init__(self) -> None:
        object.__setattr__(self, "inner", RidgeLearner(self.kind))

    @property
    def settings(self) -> tuple[str, ...]:
        """Words and penalty."""
        return tuple(f"{n} words, {text}" for n in WORDS for text in self.inner.settings)

    def for_blocks(self, parts: Sequence[Part]) -> Learner:
        """Return the learner for these blocks; ridge regression where there are no bags."""
        bags = [part for part in parts if part.layout == "bags"]
        if len(bags) > 1:
            raise InputError(f"{len(bags)} blocks hold bags; a codebook is made of one.")
        return replace(self, parts=tuple(parts)) if bags else self.inner

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        which: NDArray[np.int64],
        seed: int,
        widths: Sequence[int] = (),
    ) -> list[Fitted]:
        """Return the fits of the settings `which`; a codebook for each number of words."""
        order, shape = _array_first(self.parts, widths or (x.shape[1],))
        n_cells = int(np.prod(shape))

        def prepared(number: int) -> tuple[FloatArray, Callable[[Fitted], Fitted]]:
            book = BagOfCells(
                WORDS[number], values="root", shape=shape, random_state=seed % 2**31
            ).fit(x[:, order[:n_cells]])
            root = book.transform(x[:, order[:n_cells]])
            centred = root - root.mean(axis=0)
            largest = float(np.linalg.norm(centred, 2) / np.sqrt(len(x))) or 1.0
            scale = root.mean(axis=0), np.full(root.shape[1], largest)
            columns = _histograms(book, x[:, order], n_cells, scale)
            return columns, lambda fit: CellFit(book, scale, fit, order, n_cells)

        return fit_within(self.inner, y, which, seed, prepared)


class _Cells:
    """What the entry point of bags of cells gives."""

    def as_learner(self, kind: str) -> Learner:
        """Return the learner of a kind of outcome."""
        return CellLearner(kind)


def bag_of_cells() -> Any:
    """Return the model "bag_of_cells": histograms over a codebook, ridge regression."""
    return _Cells()


def slice_network() -> ImageNetwork:
    """Return the model "slice_network": slices in their order, by a recurrent network."""
    return ImageNetwork(network="slices")
