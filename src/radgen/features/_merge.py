"""Bring texture matrices of slices and directions together in the standard's ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radgen.features._cells import Cells, mean_defined, size_features
from radgen.features._view import View

__all__ = ["by_dimension", "by_direction", "undefined"]

Kernel = Literal["glcm", "glrlm"]
Values = dict[str, NDArray[np.float64]]
Features = Callable[[NDArray[np.int64]], Values]


def undefined(names: Sequence[str]) -> dict[str, float]:
    """Return NaN for each name."""
    return dict.fromkeys(names, float("nan"))


def _averaged(parts: list[Values], names: Sequence[str]) -> dict[str, float]:
    if not parts:
        return undefined(names)
    return {name: mean_defined(np.concatenate([part[name] for part in parts])) for name in names}


def by_direction(
    view: View, kernel: Kernel, features: Features, names: Sequence[str], *, distance: int
) -> dict[str, dict[str, float]]:
    """Return features by aggregation of matrices that are made per slice and direction.

    Parameters
    ----------
    view : View
        Image and region.
    kernel : {"glcm", "glrlm"}
        Which matrices.
    features : callable
        Features (n,) of matrices (n, rows, columns); called with at least one filled matrix.
    names : sequence of str
        Feature names.
    distance : int
        Length of the offsets in voxels.

    Returns
    -------
    dict
        Values by aggregation code and name.
    """
    out: dict[str, dict[str, float]] = {}
    if any(view.wants(code) for code in ("BTW3", "SUJT", "JJUI", "ZW7Z")):
        out |= _by_slice(view, kernel, features, names, distance)
    if view.wants("ITBB") or view.wants("IAZD"):
        full = next(iter(view.matrices(kernel, in_plane=False, distance=distance)))[0]
        if view.wants("ITBB"):
            out["ITBB"] = _averaged([features(full)] if full.any() else [], names)
        if view.wants("IAZD"):
            out["IAZD"] = _of_one(features, full.sum(axis=0, dtype=np.int64), names)
    return out


def _of_one(
    features: Features, matrix: NDArray[np.int64], names: Sequence[str]
) -> dict[str, float]:
    if not matrix.any():
        return undefined(names)
    return {name: float(value[0]) for name, value in features(matrix[None]).items()}


def _by_slice(
    view: View, kernel: Kernel, features: Features, names: Sequence[str], distance: int
) -> dict[str, dict[str, float]]:
    each: list[Values] = []
    merged: list[Values] = []
    total: NDArray[np.int64] | int = 0
    for part in view.matrices(kernel, in_plane=True, distance=distance):
        if view.wants("BTW3") and part.any():
            each.append(features(part.reshape(-1, *part.shape[2:])))
        if view.wants("SUJT") and part.any():
            merged.append(features(part.sum(axis=1, dtype=np.int64)))
        total = total + part.sum(axis=0, dtype=np.int64)
    assert isinstance(total, np.ndarray)
    out: dict[str, dict[str, float]] = {}
    if view.wants("BTW3"):
        out["BTW3"] = _averaged(each, names)
    if view.wants("SUJT"):
        out["SUJT"] = _averaged(merged, names)
    if view.wants("JJUI"):
        out["JJUI"] = _averaged([features(total)] if total.any() else [], names)
    if view.wants("ZW7Z"):
        out["ZW7Z"] = _of_one(features, total.sum(axis=0), names)
    return out


def by_dimension(
    view: View,
    cells: Callable[[View, bool, bool], Cells],
    names: Sequence[str],
) -> dict[str, dict[str, float]]:
    """Return features by aggregation of matrices that are made per slice or per volume.

    Parameters
    ----------
    view : View
        Image and region.
    cells : callable
        ``cells(view, in_plane, split)`` returns the filled cells, one matrix a slice where
        `split`, otherwise one matrix.
    names : sequence of str
        Feature names in the order of `size_features`.

    Returns
    -------
    dict
        Values by aggregation code and name.
    """
    out: dict[str, dict[str, float]] = {}
    n_voxels = float(view.region.n_voxels)
    if view.wants("8QNN"):
        in_slice = np.count_nonzero(view.padded, axis=(1, 2))
        found = cells(view, True, True)
        values = size_features(found, in_slice[in_slice > 0].astype(np.float64), names)
        out["8QNN"] = _averaged([values], names)
    for code, in_plane in (("62GR", True), ("KOBO", False)):
        if view.wants(code):
            values = size_features(cells(view, in_plane, False), np.array([n_voxels]), names)
            out[code] = {name: float(value[0]) for name, value in values.items()}
    return out
