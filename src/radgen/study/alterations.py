"""Altered genes beside image phenotypes, for the report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from radgen import plot
from radgen.report import Figure
from radgen.study.gather import Gathered
from radgen.types import PhenotypeTable, Result, align

if TYPE_CHECKING:
    from radgen.study.matrix import Matrix

__all__ = ["oncoprint_figure"]

_GENES, _TRAITS = 20, 3
_LAYERS = ("mutation", "copy_number")


def oncoprint_figure(found: Gathered, matrix: Matrix, layer: str, result: Result) -> Figure | None:
    """Return altered genes of all imaged samples, with bars of the phenotypes they go with.

    Parameters
    ----------
    found : Gathered
        Molecular layers.
    matrix : Matrix
        Phenotypes.
    layer : str
        Name of an [omics.<name>] section.
    result : Result
        The association analysis: its strongest phenotypes become the bars.

    Returns
    -------
    Figure or None
        None where the layer holds no alterations, or none occurs.
    """
    table = found.layers[layer]
    if table.layer not in _LAYERS:
        return None
    images = matrix.table(harmonised=True)
    both = align({"images": images.samples, layer: table.samples}, need=1)
    codes, kinds = _codes(table.values[both.rows[layer]])
    share = (codes > 0).mean(axis=0)
    genes = np.argsort(-share, kind="stable")[:_GENES]
    genes = genes[share[genes] > 0]
    if not len(genes):
        return None
    notes = _bars(images, both.rows["images"], result)
    names = [table.features[j] for j in genes]
    shown = codes[:, genes].T
    data = pl.DataFrame(
        {"sample": list(both.samples)}
        | {name: shown[k] for k, name in enumerate(names)}
        | {name: list(values) for name, values in notes.items()}
    )
    return Figure(
        "Alterations beside image phenotypes",
        f"The {len(names)} genes of {layer} altered most often, a column a sample, under bars of "
        "the phenotypes with the smallest p, by rank from low (dark) to high (bright).",
        partial(_draw, shown, names, kinds, notes),
        data=data,
        size=(9.2, 2.0 + 0.26 * len(names)),
    )


def _draw(
    shown: NDArray[np.int64], names: list[str], kinds: tuple[str, ...], notes: Any, ax: Any
) -> Any:
    return plot.oncoprint(shown, genes=names, kinds=kinds, column_notes=notes, ax=ax)


def _codes(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    if (filled < 0).any():
        codes = np.where(filled <= -1, 2, np.where(filled >= 1, 1, 0))
        return np.where(known, codes, -1), ("gain", "loss")
    return np.where(known, (filled > 0).astype(int), -1), ("altered",)


def _bars(
    images: PhenotypeTable, rows: NDArray[np.int64], result: Result
) -> dict[str, tuple[float, ...]]:
    frame = result.frame
    if not {"phenotype", "log10p"} <= set(frame.columns):
        return {}
    tested = frame.filter(pl.col("log10p").is_finite()).sort("log10p")
    best = tested["phenotype"].unique(maintain_order=True).to_list()[:_TRAITS]
    bars = {}
    for name, short in zip(best, plot.short_names(best), strict=True):
        if name not in images.names:
            continue
        own = images.values[rows, images.names.index(name)]
        known = own[np.isfinite(own)]
        if len(known) < 3 or not np.ptp(known) > 0:
            continue
        rank = np.full(len(own), np.nan)
        rank[np.isfinite(own)] = rankdata(known) / len(known)
        bars[short] = tuple(float(value) for value in rank)
    return bars
