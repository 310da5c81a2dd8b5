"""Predictors that tell the outcome alone, and so may be the outcome itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from radgen.errors import shown
from radgen.predict.design import Design

__all__ = ["giveaways"]

FloatArray = NDArray[np.float64]

_NEARLY = 0.99
"""Rank correlation, or 2 AUC - 1, from which a column is suspected."""
_LEAST = 10
"""Fewest samples of either class, or events, on which it can be."""


def giveaways(design: Design) -> list[str]:
    """Return a warning on columns that alone order or part the outcome almost perfectly.

    Parameters
    ----------
    design : Design
        Matched tables and outcome.

    Returns
    -------
    list of str
        Empty, or one sentence: such a column is often the outcome in another unit, or was made
        from it, and no validation can tell.
    """
    found = [
        name
        for block in design.blocks
        if block.layout == "table"
        for name, values in zip(block.columns, block.values.T, strict=True)
        if _gives_away(np.asarray(values, dtype=np.float64), design)
    ]
    if not found:
        return []
    one = len(found) == 1
    return [
        f"{shown(repr(name) for name in found)} alone {'tells' if one else 'tell'} "
        f"{design.outcome_name} almost perfectly: {'it' if one else 'each'} may be the outcome "
        "itself, or made from it. Leave out (--exclude) what was not known before the outcome."
    ]


def _gives_away(values: FloatArray, design: Design) -> bool:
    known = np.isfinite(values)
    column = values[known]
    if design.kind == "binary":
        return _parts(column, design.target[known] == 1)
    if design.kind == "continuous":
        return _orders(column, design.target[known])
    time, event = design.target[known, 0], design.target[known, 1] == 1
    return _parts(column, event) or _orders(column[event], time[event])


def _parts(column: FloatArray, positive: NDArray[np.bool_]) -> bool:
    n, m = int(positive.sum()), int((~positive).sum())
    if min(n, m) < _LEAST:
        return False
    area = (rankdata(column)[positive].sum() - n * (n + 1) / 2) / (n * m)
    return bool(abs(2 * area - 1) >= _NEARLY)


def _orders(column: FloatArray, target: FloatArray) -> bool:
    if len(target) < _LEAST or not np.ptp(column) or not np.ptp(target):
        return False
    return bool(abs(np.corrcoef(rankdata(column), rankdata(target))[0, 1]) >= _NEARLY)
