"""Bags: the tiles, patches or cells of a sample, as many as it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen.errors import InputError

__all__ = ["read_bags"]


def read_bags(
    X: Any, shape: Sequence[int] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return bags in one array, and which places of it are filled.

    Parameters
    ----------
    X : sequence of (n_items, d), array (n, n_most, d), or array (n, n_most * d) with `shape`
        Items whose values are all NaN are empty places.
    shape : sequence of int (2,) or None
        (n_most, d) of a flat table.

    Returns
    -------
    values : float64 (n, n_most, d)
        0 in empty places.
    filled : bool (n, n_most)

    Raises
    ------
    InputError
        If a bag is empty, bags differ in columns, or an item lacks some of its values.
    """
    values = _stacked(X) if isinstance(X, list | tuple) else np.asarray(X, dtype=np.float64)
    if values.ndim == 2 and shape is not None:
        if values.shape[1] != int(np.prod(shape)):
            raise InputError(f"{values.shape[1]} columns are no bags of shape {tuple(shape)}.")
        values = values.reshape(len(values), *shape)
    if values.ndim != 3:
        raise InputError("Bags are a list of tables, or an array (samples, items, columns).")
    known = np.isfinite(values)
    filled = known.all(axis=2)
    partly = known.any(axis=2) & ~filled
    if partly.any():
        i, j = np.argwhere(partly)[0]
        raise InputError(
            f"{int(partly.sum())} items lack some of their values, the first is item {j} of row "
            f"{i}. Leave such items out."
        )
    empty = np.flatnonzero(~filled.any(axis=1))
    if len(empty):
        raise InputError(f"{len(empty)} bags hold nothing, the first in row {empty[0]}.")
    return np.where(filled[:, :, None], values, 0.0), filled


def _stacked(bags: Sequence[Any]) -> NDArray[np.float64]:
    parts = [np.asarray(bag, dtype=np.float64) for bag in bags]
    if not parts or any(part.ndim != 2 for part in parts):
        raise InputError("Each bag is a table: a row an item, a column a feature.")
    widths = {part.shape[1] for part in parts}
    if len(widths) != 1:
        raise InputError(f"Bags have {sorted(widths)} columns; needed is the same number.")
    out = np.full((len(parts), max(len(part) for part in parts), widths.pop()), np.nan)
    for k, part in enumerate(parts):
        out[k, : len(part)] = part
    return out
