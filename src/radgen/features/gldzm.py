"""Grey level distance zone matrix (16 features, IBSI VMDZ)."""

from __future__ import annotations

from radgen.features._cells import Cells, cells_of_pairs
from radgen.features._merge import by_dimension
from radgen.features._names import specs_of
from radgen.features._registry import BY_DIMENSION, Measured, add
from radgen.features._view import View

__all__ = ["gldzm"]

SPECS = specs_of(
    ("Small distance emphasis", "0GBI"),
    ("Large distance emphasis", "MB4I"),
    ("Low grey level zone emphasis", "S1RA"),
    ("High grey level zone emphasis", "K26C"),
    ("Small distance low grey level emphasis", "RUVG"),
    ("Small distance high grey level emphasis", "DKNJ"),
    ("Large distance low grey level emphasis", "A7WM"),
    ("Large distance high grey level emphasis", "KLTH"),
    ("Grey level non-uniformity", "VFT7"),
    ("Normalised grey level non-uniformity", "7HP3"),
    ("Zone distance non-uniformity", "V294"),
    ("Normalised zone distance non-uniformity", "IATH"),
    ("Zone percentage", "VIWW"),
    ("Grey level variance", "QK93"),
    ("Zone distance variance", "7WT1"),
    ("Zone distance entropy", "GBDU"),
)
NAMES = tuple(spec.name for spec in SPECS)


def _cells(view: View, in_plane: bool, split: bool) -> Cells:
    zones = view.zones(in_plane=in_plane)
    group = zones.slice if split else None
    return cells_of_pairs(group, zones.level, zones.distance)


@add("gldzm", version=1, specs=SPECS, ibsi_code="VMDZ", aggregations=BY_DIMENSION)
def gldzm(view: View) -> Measured:
    """Return the features of grey level distance zone matrices.

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
    The distance of a zone is the least city-block distance of its voxels to the outside of
    the morphological mask (4 neighbours within a slice, 6 in the volume); border voxels have
    distance 1, and so have voxels at the edge of the image.

    References
    ----------
    IBSI reference manual, section 3.9 (VMDZ).
    """
    return by_dimension(view, _cells, NAMES)
