"""Whether the genes of a set go together in these samples, so that one score stands for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.rng import spawn
from radgen.errors import InputError
from radgen.stats.multiplicity import bh
from radgen.types import OmicsTable

__all__ = ["set_coherence"]

Array = NDArray[np.float64]


def set_coherence(
    table: OmicsTable,
    sets: Mapping[str, Sequence[str]],
    *,
    n_random: int = 1000,
    seed: int = 0,
    min_genes: int = 3,
) -> pl.DataFrame:
    """Return how strongly the genes of each set correlate, against random sets of its size.

    Parameters
    ----------
    table : OmicsTable
        Expression; NaN counts as the gene's mean.
    sets : mapping of str to sequence of str
        Genes of each set.
    n_random : int, default 1000
        Random sets of genes of the table.
    seed : int, default 0
        Of the random sets.
    min_genes : int, default 3
        Sets with fewer measured genes that vary are not judged (NaN).

    Returns
    -------
    polars.DataFrame
        ``set, n_genes, mean_correlation, p, q``: p = (b + 1)/(m + 1) with b random sets at
        least as coherent, q by Benjamini-Hochberg.

    Raises
    ------
    InputError
        If no random set is asked for.

    Notes
    -----
    The mean score of genes that do not go together measures nothing in common; leaving such
    sets out before images are looked at costs no error rate.

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(40, 30))
    >>> x[:, :5] += 2 * x[:, [29]]
    >>> genes = [f"g{j}" for j in range(30)]
    >>> layer = OmicsTable([f"s{i}" for i in range(40)], genes, x, "expression", "log2")
    >>> found = set_coherence(layer, {"A": genes[:5], "B": genes[10:15]})
    >>> (found["q"] <= 0.05).to_list()
    [True, False]
    """
    if n_random < 1:
        raise InputError(f"At least one random set is needed; found {n_random}.")
    known = np.isfinite(table.values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, table.values, 0.0).sum(axis=0) / count
    centred = np.where(known, table.values - mean, 0.0)
    size = np.sqrt(np.einsum("ij,ij->j", centred, centred))
    usable = np.flatnonzero(size > 1e-12 * np.maximum(np.abs(mean), 1e-300))
    unit = centred[:, usable] / size[usable]
    place = {table.features[column]: row for row, column in enumerate(usable)}
    rows = []
    for name, genes in sets.items():
        members = np.array([place[gene] for gene in dict.fromkeys(genes) if gene in place])
        if len(members) < max(min_genes, 2):
            rows.append((name, len(members), np.nan, np.nan))
            continue
        found = _mean_correlation(unit, members)
        rng = spawn(seed, "coherence", len(members))
        beaten = 0
        for _ in range(n_random):
            random = rng.choice(len(usable), len(members), replace=False)
            beaten += _mean_correlation(unit, random) >= found
        rows.append((name, len(members), found, (beaten + 1) / (n_random + 1)))
    schema = {"set": pl.String, "n_genes": pl.Int64, "mean_correlation": pl.Float64,
              "p": pl.Float64}  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    q = bh(frame["p"].to_numpy())
    return frame.with_columns(pl.Series("q", q)).with_columns(
        pl.col("mean_correlation", "p", "q").fill_nan(None)
    )


def _mean_correlation(unit: Array, members: NDArray[np.int64]) -> float:
    """Mean of the correlations of all pairs, from the length of the sum of unit columns."""
    total = unit[:, members].sum(axis=1)
    k = len(members)
    return float((total @ total - k) / (k * (k - 1)))
