"""How tables of the field head the column of their samples."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["FAMILY_NAMES", "ID_NAMES", "first_id_name", "is_id_name"]

ID_NAMES = (
    "sample", "iid", "id", "sampleid", "subject", "subjectid", "subjid", "usubjid", "patient",
    "patientid", "pid", "participant", "participantid", "case", "caseid", "casesubmitterid",
    "submitterid", "eid", "barcode", "bcrpatientbarcode", "bcrsamplebarcode", "tumorsamplebarcode",
)  # fmt: skip
"""Small letters and figures of the names, the surest first."""

_FREESURFER = re.compile(r"Measure:\w+|[lr]h\.[\w.]+\.\w+")
"""Head of the ids in tables of aseg and aparc: "Measure:volume", "lh.aparc.thickness"."""

FAMILY_NAMES = ("FID", "#FID", "fid")
"""Columns of family ids, which name nobody alone."""


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_id_name(name: str) -> bool:
    """Return whether a column of this name holds sample ids.

    Examples
    --------
    >>> is_id_name("#IID"), is_id_name("Subject ID"), is_id_name("volume")
    (True, True, False)
    >>> is_id_name("Measure:volume"), is_id_name("lh_insula_thickness")
    (True, False)
    """
    return _key(name) in ID_NAMES or _FREESURFER.fullmatch(name) is not None


def first_id_name(columns: Iterable[str]) -> str | None:
    """Return the column that holds sample ids: the one with the surest name, or None.

    Examples
    --------
    >>> first_id_name(["Patient", "IID", "volume"])
    'IID'
    """
    found = [name for name in columns if is_id_name(name)]
    order = {name: place for place, name in enumerate(ID_NAMES)}
    return min(found, key=lambda name: order.get(_key(name), len(order)), default=None)
