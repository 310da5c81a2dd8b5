"""TCGA barcodes: which aliquots are tumours, and which one counts for a patient."""

from __future__ import annotations

import re
from collections.abc import Sequence

from radgen.errors import InputError, shown

__all__ = ["is_barcode", "one_tumour_each"]

_BARCODE = re.compile(r"^TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}-(\d{2})([A-Z])?", re.IGNORECASE)
_PREFERRED = ("01", "03", "09", "05", "02", "06", "07")
"""Sample types: primary solid, primary blood (two), additional primary, recurrent, metastatic."""


def is_barcode(text: str) -> bool:
    """Return whether a text is a TCGA barcode with a sample type."""
    return _BARCODE.match(text.strip()) is not None


def one_tumour_each(barcodes: Sequence[str]) -> dict[int, str]:
    """Return the place of one tumour aliquot of each patient, with the patient's barcode.

    Parameters
    ----------
    barcodes : sequence of str
        Sample or aliquot barcodes, ``TCGA-02-0003-01A-01R-…``, or with 15 characters.

    Returns
    -------
    dict of int to str
        Place in `barcodes` to 12-character barcode. Normal tissue (types 10 to 19) is left out;
        of several tumours the primary one counts before recurrences and metastases, then
        the first vial, then the first in the order given.

    Raises
    ------
    InputError
        If something is no TCGA barcode with a sample type.

    Examples
    --------
    >>> one_tumour_each(["TCGA-AA-0001-11A", "TCGA-AA-0001-06A", "TCGA-AA-0001-01A"])
    {2: 'TCGA-AA-0001'}
    """
    odd = [item for item in barcodes if not is_barcode(item)]
    if odd:
        raise InputError(f"{len(odd)} ids are no TCGA barcodes with a sample type: {shown(odd)}.")
    best: dict[str, tuple[int, str, int]] = {}
    for place, item in enumerate(barcodes):
        text = item.strip().upper()
        match = _BARCODE.match(text)
        assert match is not None
        kind = match.group(1)
        if kind not in _PREFERRED:
            continue
        rank = (_PREFERRED.index(kind), match.group(2) or "A", place)
        patient = text[:12]
        if patient not in best or rank < best[patient]:
            best[patient] = rank
    return {place: patient for patient, (_, _, place) in best.items()}
