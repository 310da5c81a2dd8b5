"""Grey level size zone matrix (16 features, IBSI 9SAK)."""

from __future__ import annotations

from radgen.features._cells import Cells, cells_of_pairs
from radgen.features._merge import by_dimension
from radgen.features._names import specs_of
from radgen.features._registry import BY_DIMENSION, Measured, add
from radgen.features._view import View

__all__ = ["glszm"]

SPECS = specs_of(
    ("Small zone emphasis", "5QRC"),
    ("Large zone emphasis", "48P8"),
    ("Low grey level zone emphasis", "XMSY"),
    ("High grey level zone emphasis", "5GN9"),
    ("Small zone low grey level emphasis", "5RAI"),
    ("Small zone high grey level emphasis", "HW1V"),
    ("Large zone low grey level emphasis", "YH51"),
    ("Large zone high grey level emphasis", "J17V"),
    ("Grey level non-uniformity", "JNSA"),
    ("Normalised grey level non-uniformity", "Y1RO"),
    ("Zone size non-uniformity", "4JP3"),
    ("Normalised zone size non-uniformity", "VB3A"),
    ("Zone percentage", "P30P"),
    ("Grey level variance", "BYLV"),
    ("Zone size variance", "3NSA"),
    ("Zone size entropy", "GU8N"),
)
NAMES = tuple(spec.name for spec in SPECS)


def _cells(view: View, in_plane: bool, split: bool) -> Cells:
    zones = view.zones(in_plane=in_plane)
    group = zones.slice if split else None
    return cells_of_pairs(group, zones.level, zones.size)


@add("glszm", version=1, specs=SPECS, ibsi_code="9SAK", aggregations=BY_DIMENSION)
def glszm(view: View) -> Measured:
    """Return the features of grey level size zone matrices.

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
    Zones are connected over 8 neighbours within a slice and over 26 in the volume.

    References
    ----------
    IBSI reference manual, section 3.8 (9SAK).
    """
    return by_dimension(view, _cells, NAMES)
