"""Neighbouring grey level dependence matrix (17 features, IBSI REK0)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.features._cells import Cells, cells_of
from radgen.features._merge import by_dimension
from radgen.features._names import specs_of
from radgen.features._registry import BY_DIMENSION, Measured, add
from radgen.features._view import View

__all__ = ["ngldm"]

SPECS = specs_of(
    ("Low dependence emphasis", "SODN"),
    ("High dependence emphasis", "IMOQ"),
    ("Low grey level count emphasis", "TL9H"),
    ("High grey level count emphasis", "OAE7"),
    ("Low dependence low grey level emphasis", "EQ3F"),
    ("Low dependence high grey level emphasis", "JA6D"),
    ("High dependence low grey level emphasis", "NBZI"),
    ("High dependence high grey level emphasis", "9QMG"),
    ("Grey level non-uniformity", "FP8K"),
    ("Normalised grey level non-uniformity", "5SPA"),
    ("Dependence count non-uniformity", "Z87G"),
    ("Normalised dependence count non-uniformity", "OKJI"),
    ("Dependence count percentage", "6XV8"),
    ("Grey level variance", "1PFV"),
    ("Dependence count variance", "DNX2"),
    ("Dependence count entropy", "FCBV"),
    ("Dependence count energy", "CAS9"),
)
NAMES = tuple(spec.name for spec in SPECS)


def _counts(view: View, in_plane: bool) -> NDArray[np.uint32]:
    reach, n_levels = view.settings.distance, view.grey.n_levels
    levels = view.padded
    n_near = (2 * reach + 1) ** (2 if in_plane else 3)
    groups = levels.shape[0] if in_plane else 1
    out = np.zeros((groups, n_levels + 1, n_near + 1), np.uint32)
    alpha = view.settings.ngldm_alpha
    _image.ngldm(levels, reach, n_levels, int(in_plane), alpha, out)
    return out[:, 1:, 1:]


def _cells(view: View, in_plane: bool, split: bool) -> Cells:
    counts = _counts(view, in_plane)
    return cells_of(counts if split else counts.sum(axis=0, keepdims=True))


@add("ngldm", version=1, specs=SPECS, ibsi_code="REK0", aggregations=BY_DIMENSION)
def ngldm(view: View) -> Measured:
    """Return the features of neighbouring grey level dependence matrices.

    Parameters
    ----------
    view : View
        Image and region.

    Returns
    -------
    mapping
        Values by aggregation code.

    Notes
    -----
    A neighbour within the Chebyshev distance of the settings depends on the centre where
    their levels differ by at most ``ngldm_alpha``; the centre counts itself. The dependence
    count percentage is 1 by construction.

    References
    ----------
    IBSI reference manual, section 3.11 (REK0).
    """
    return by_dimension(view, _cells, NAMES)
