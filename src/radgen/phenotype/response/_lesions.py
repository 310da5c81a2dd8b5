"""What all criteria ask of a table of lesions, and what they say of a patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from radgen._core.naming import counted
from radgen.errors import AlignmentError, InputError, shown
from radgen.phenotype.response.rules import STATES
from radgen.types import to_polars
from radgen.types._frame import FrameLike

__all__ = ["Lesion", "checked", "course", "is_there", "once", "patients", "require_words"]

ROLES = ("target", "non-target", "new")
_PATIENTS = {
    "sample": pl.String, "best": pl.String, "best_unconfirmed": pl.String,
    "best_change": pl.Float64, "progressed": pl.Boolean, "progression_day": pl.Float64,
    "last_day": pl.Float64, "visits": pl.Int64, "targets": pl.Int64,
}  # fmt: skip

Lesion = Mapping[str, Any]


def checked(
    lesions: FrameLike, columns: Mapping[str, Any], needed: Sequence[str] = (), *, hint: str = ""
) -> pl.DataFrame:
    """Return a table of lesions with all columns, roles and states known, no lesion twice.

    Raises
    ------
    InputError
        If a needed column, patient, lesion, role or visit is missing, or a word is unknown.
    AlignmentError
        If a lesion stands twice in a visit.
    """
    table = to_polars(lesions, what="table of lesions")
    always = ("sample", "lesion", "role", "visit")
    lost = [name for name in (*always, *needed) if name not in table.columns]
    if lost:
        raise InputError(
            f"The table of lesions lacks {shown(lost)}; it has {shown(table.columns)}.{hint}"
        )
    missing = [name for name in columns if name not in table.columns]
    table = table.with_columns(pl.lit(None).alias(name) for name in missing)
    table = table.select(pl.col(name).cast(kind) for name, kind in columns.items())
    require_words(table, {"role": ROLES, "state": STATES})
    blank = table.filter(pl.any_horizontal(pl.col(always).is_null()))
    if blank.height:
        raise InputError(f"{counted(blank.height, 'row')} without patient, lesion, role or visit.")
    once(table, ["sample", "lesion", "visit"], "Lesions measured twice in a visit")
    return table


def require_words(table: pl.DataFrame, known: Mapping[str, Sequence[str]]) -> None:
    """Raise `InputError` where a column holds a word that is not among the known ones."""
    for name, words in known.items():
        odd = table[name].drop_nulls().unique().sort().to_list()
        odd = [item for item in odd if item not in words]
        if odd:
            raise InputError(f"Unknown {name} {shown(odd)}; known: {shown(words)}.")


def once(table: pl.DataFrame, keys: list[str], what: str) -> None:
    """Raise `AlignmentError` where rows share their keys; the last key is a visit."""
    twice = table.filter(table.select(keys).is_duplicated()).select(keys).unique().sort(keys)
    if twice.height:
        texts = [f"{' '.join(row[:-1])} visit {row[-1]:g}" for row in twice.iter_rows()]
        raise AlignmentError(f"{what}: {shown(texts)}.", repeated=texts)


def is_there(row: Lesion, size: float | None) -> bool:
    """Return whether a new lesion is unequivocal: called so, or measured and not in doubt."""
    if row["state"] in ("present", "progression"):
        return True
    return row["state"] is None and size is not None and size > 0


def course(
    words: Sequence[str], changes: Sequence[float], days: Sequence[float], *, onset: int | None
) -> tuple[Any, ...]:
    """Return best change, whether and when progression began, and the last day."""
    until = len(words) if onset is None else onset + 1
    known = [value for value in changes[:until] if np.isfinite(value)]
    seen = [day for day in days if np.isfinite(day)]
    when = None if onset is None else days[onset]
    return min(known, default=None), onset is not None, when, max(seen, default=None)


def patients(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    """Return the table of patients; unknown numbers are null."""
    frame = pl.DataFrame(rows, schema=_PATIENTS, orient="row")
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))
