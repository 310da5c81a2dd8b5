"""Samples on the principal components of their features, before and after harmonisation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import InputError
from radgen.types import PhenotypeTable

__all__ = ["batch_components"]

FloatArray = NDArray[np.float64]


def batch_components(
    before: PhenotypeTable, after: PhenotypeTable, batch: Mapping[str, str]
) -> pl.DataFrame:
    """Return where samples lie on the components that part batches and samples most.

    Parameters
    ----------
    before, after : PhenotypeTable
        The same phenotypes; missing values are put at the mean.
    batch : mapping of sample to str
        Samples without one are left out.

    Returns
    -------
    polars.DataFrame
        ``stage`` ("before", "after"), ``sample, group, first, second``: scores on the two leading
        principal components of the standardised phenotypes before harmonisation. Both stages
        have the same axes, so that what harmonisation moves is seen.

    Raises
    ------
    InputError
        If there are fewer than two common phenotypes that vary, or three samples.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.random.default_rng(0).normal(size=(20, 4))
    >>> frame = pl.DataFrame(values, schema=["a", "b", "c", "d"])
    >>> table = PhenotypeTable.from_frame(
    ...     frame.with_columns(sample=pl.Series([f"s{k}" for k in range(20)]))
    ... )
    >>> batch = {name: "GE" for name in table.samples}
    >>> batch_components(table, table, batch).columns
    ['stage', 'sample', 'group', 'first', 'second']
    """
    names = [name for name in before.names if name in set(after.names)]
    rows = [k for k, name in enumerate(before.samples) if batch.get(name) is not None]
    values = _of(before, names, rows)
    with np.errstate(invalid="ignore"):
        center = np.array([c[np.isfinite(c)].mean() if np.isfinite(c).any() else 0.0
                           for c in values.T])  # fmt: skip
        spread = np.array([c[np.isfinite(c)].std() if np.isfinite(c).any() else 0.0
                           for c in values.T])  # fmt: skip
    use = spread > 0
    if use.sum() < 2 or len(rows) < 3:
        raise InputError(
            f"A picture of components needs three samples and two phenotypes that vary; there are "
            f"{len(rows)} and {int(use.sum())}."
        )

    def scaled(table: FloatArray) -> FloatArray:
        return np.nan_to_num((table[:, use] - center[use]) / spread[use], nan=0.0)

    axes = np.linalg.svd(scaled(values), full_matrices=False)[2][:2]
    parts = []
    for stage, table in (("before", before), ("after", after)):
        at = [k for k, name in enumerate(table.samples) if batch.get(name) is not None]
        scores = scaled(_of(table, names, at)) @ axes.T
        samples = [table.samples[k] for k in at]
        parts.append(
            pl.DataFrame(
                {
                    "stage": [stage] * len(at), "sample": samples,
                    "group": [str(batch[name]) for name in samples],
                    "first": scores[:, 0], "second": scores[:, 1],
                }
            )
        )  # fmt: skip
    return pl.concat(parts)


def _of(table: PhenotypeTable, names: list[str], rows: list[int]) -> FloatArray:
    place = {name: j for j, name in enumerate(table.names)}
    return np.asarray(table.values)[np.ix_(rows, [place[name] for name in names])]
