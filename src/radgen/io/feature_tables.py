"""Read feature tables that other programs made: PyRadiomics, CaPTk, MIRP, or plain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from radgen.errors import FormatError, InputError, shown
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import read_table, to_numbers
from radgen.types import SPEC_COLUMNS, STATUS_COLUMNS, PhenotypeTable

__all__ = ["describe_feature", "read_feature_table"]

_ID_NAMES = (
    "sample",
    "id",
    "subject",
    "subjectid",
    "subject_id",
    "patient",
    "patient_id",
    "patientid",
    "case",
    "case_id",
    "case id",
    "subject id",
    "patient id",
    "sample_id",
)
_PYRADIOMICS_FAMILIES = (
    "shape2D",
    "shape",
    "firstorder",
    "glcm",
    "glrlm",
    "glszm",
    "gldm",
    "ngtdm",
)
_NUMERIC_SHARE = 0.5


def read_feature_table(
    path: str | Path,
    *,
    id_column: str | None = None,
    id_rule: IdRule | None = None,
    columns: Sequence[str] | None = None,
    exclude: Collection[str] = (),
) -> PhenotypeTable:
    """Return a wide feature table as phenotypes.

    Parameters
    ----------
    path : str or Path
        One row a sample, one column a feature.
    id_column : str or None
        Column of sample ids; None = the column named like an id ("ID", "subject", …), or the
        first column where its cells are all different and no numbers.
    id_rule : IdRule or None
        Applied to the ids.
    columns : sequence of str or None
        Feature columns; None = all numeric ones but `exclude` and PyRadiomics' diagnostics.
    exclude : collection of str
        Columns that are no features (an outcome, say).

    Returns
    -------
    PhenotypeTable
        Cells that are no numbers (``#NAME?``) are NaN and have a status row with their text.
        `specs` tells filter, family and feature where the column name does.

    Raises
    ------
    FormatError
        If there is no numeric column.
    InputError
        If the id column cannot be found, or a named column does not exist.
    AlignmentError
        If ids repeat.
    """
    frame = read_table(path)
    key = _id_column(frame, id_column, Path(path))
    samples = normalise_ids(
        [str(item) for item in frame[key].to_list()], id_rule or IdRule(), what=str(path)
    )
    names = [name for name in frame.columns if name != key and name not in exclude]
    if columns is not None:
        missing = [name for name in columns if name not in frame.columns]
        if missing:
            raise InputError(f"{path}: no column {shown(missing)}.")
        names = list(columns)
    else:
        names = [name for name in names if not name.startswith("diagnostics_")]
    values, kept, rows = [], [], []
    for name in names:
        numbers, dirty = to_numbers(frame[name])
        n_cells = frame.height - frame[name].null_count()
        if columns is None and n_cells and len(dirty) > (1 - _NUMERIC_SHARE) * n_cells:
            continue
        kept.append(name)
        values.append(numbers.to_numpy().astype(np.float64))
        for row, _, text in dirty:
            rows.append(
                (samples[row - 1], name, "failed", f"the cell holds {text[:40]!r}, no number")
            )
    if not kept:
        raise FormatError("The table has no numeric column.", path=path)
    specs = pl.DataFrame(
        [describe_feature(name) for name in kept], schema=dict.fromkeys(SPEC_COLUMNS, pl.String)
    )
    status = pl.DataFrame(rows, schema=dict.fromkeys(STATUS_COLUMNS, pl.String), orient="row")
    return PhenotypeTable(tuple(samples), np.column_stack(values), specs, status)


def _id_column(frame: pl.DataFrame, id_column: str | None, path: Path) -> str:
    if id_column is not None:
        if id_column not in frame.columns:
            raise InputError(
                f"{path}: no id column {id_column!r}; columns: {shown(frame.columns, 10)}."
            )
        return id_column
    for name in frame.columns:
        if name.strip().lower() in _ID_NAMES:
            return name
    first = frame.columns[0]
    cells = frame[first]
    if (
        cells.n_unique() == frame.height
        and cells.dtype == pl.String
        and len(to_numbers(cells)[1]) > 0
    ):
        return first
    raise InputError(
        f"{path}: which column holds the sample ids? Columns: {shown(frame.columns, 10)}."
    )


def describe_feature(name: str) -> dict[str, str]:
    """Return the spec of a feature as far as its column name tells.

    Parameters
    ----------
    name : str
        ``original_firstorder_Mean``, ``wavelet-LLH_glcm_Contrast``, ``T1_ED_GLCM_…``.

    Returns
    -------
    dict of str to str
        A row of specs; "" where the name does not tell.

    Examples
    --------
    >>> describe_feature("wavelet-LLH_glcm_Contrast")["filter"]
    'wavelet-LLH'
    """
    spec = dict.fromkeys(SPEC_COLUMNS, "") | {"name": name, "feature": name}
    parts = name.split("_")
    for place, part in enumerate(parts[:-1]):
        if part in _PYRADIOMICS_FAMILIES and place >= 1:
            filtered = "_".join(parts[:place])
            spec |= {
                "filter": "" if filtered == "original" else filtered,
                "family": part,
                "feature": "_".join(parts[place + 1 :]),
            }
            break
    return spec
