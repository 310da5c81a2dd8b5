"""Rows that are one scan under two names: both must stand on the same side of every split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from radgen.errors import shown

__all__ = ["join_copies"]

_FEWEST = 3
"""Columns of measured values that must be equal."""


def join_copies(
    measured: Sequence[NDArray[np.float64]],
    samples: Sequence[str],
    patients: NDArray[np.int64],
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return patients after samples with equal measurements were taken for one, and notes.

    Parameters
    ----------
    measured : sequence of float64 (n, p)
        Tables of images and molecules, NaN = missing.
    samples : sequence of str (n,)
        Ids, for the note.
    patients : int64 (n,)
        Code of the patient of each row.

    Returns
    -------
    patients : int64 (n,)
        Codes from 0 on, rows of equal measurements under one.
    notes : tuple of str
        Which samples they are.

    Notes
    -----
    Only columns count in which at least half of the values are distinct: calls and stages are
    equal by chance. Three of them, and every other column of the table, must be equal.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(12.0).reshape(4, 3)
    >>> x[3] = x[0]
    >>> join_copies([x], list("abcd"), np.arange(4))[0]
    array([0, 1, 2, 0])
    """
    parent = np.array(patients)
    pairs: list[str] = []
    for values in measured:
        fine = [j for j in range(values.shape[1]) if _is_measured(values[:, j])]
        if len(fine) < _FEWEST:
            continue
        seen: dict[bytes, int] = {}
        for k, row in enumerate(values):
            if np.isfinite(row[fine]).sum() < _FEWEST:
                continue
            first = seen.setdefault(np.where(np.isnan(row), np.nan, row + 0.0).tobytes(), k)
            if parent[first] != parent[k]:
                parent[parent == parent[k]] = parent[first]
                pairs.append(f"{samples[k]} = {samples[first]}")
    if not pairs:
        return patients, ()
    codes = np.unique(parent, return_inverse=True)[1].astype(np.int64)
    text = f"{len(pairs)} samples have exactly the measurements of another ({shown(pairs)})"
    return codes, (
        f"{text}: one scan under two ids? They were kept on the same side of every split, as one "
        "patient; leave the copies out.",
    )


def _is_measured(column: NDArray[np.float64]) -> bool:
    known = column[np.isfinite(column)]
    return len(known) > 0 and len(np.unique(known)) >= max(len(known) / 2, 2)
