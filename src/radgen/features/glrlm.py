"""Grey level run length matrix (16 features, IBSI TP0I)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radgen.features._cells import cells_of, size_features
from radgen.features._merge import by_direction
from radgen.features._names import specs_of
from radgen.features._registry import BY_DIRECTION, Measured, add
from radgen.features._view import View

__all__ = ["glrlm"]

SPECS = specs_of(
    ("Short runs emphasis", "22OV"),
    ("Long runs emphasis", "W4KF"),
    ("Low grey level run emphasis", "V3SW"),
    ("High grey level run emphasis", "G3QZ"),
    ("Short run low grey level emphasis", "HTZT"),
    ("Short run high grey level emphasis", "GD3A"),
    ("Long run low grey level emphasis", "IVPO"),
    ("Long run high grey level emphasis", "3KUM"),
    ("Grey level non-uniformity", "R5YN"),
    ("Normalised grey level non-uniformity", "OVBL"),
    ("Run length non-uniformity", "W92Y"),
    ("Normalised run length non-uniformity", "IC23"),
    ("Run percentage", "9ZK5"),
    ("Grey level variance", "8CE5"),
    ("Run length variance", "SXLW"),
    ("Run entropy", "HJ9O"),
)
NAMES = tuple(spec.name for spec in SPECS)


@add("glrlm", version=1, specs=SPECS, ibsi_code="TP0I", aggregations=BY_DIRECTION)
def glrlm(view: View) -> Measured:
    """Return the features of grey level run length matrices.

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
    The voxels behind a merged matrix are counted once a direction. Runs are always of
    neighbouring voxels, whatever the settings' distance.

    References
    ----------
    IBSI reference manual, section 3.7 (TP0I).
    """

    def features(matrices: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        cells = cells_of(matrices)
        return size_features(cells, cells.per_group(cells.count * cells.j), NAMES)

    return by_direction(view, "glrlm", features, NAMES, distance=1)
