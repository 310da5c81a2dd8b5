"""The only place that knows both polars and other data frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from radgen.errors import InputError
from radgen.types.number_table import NumberTable

__all__ = ["FrameLike", "to_polars"]

FrameLike = Any
"""A polars, pandas or Arrow table, or a mapping of column names to sequences."""


def to_polars(frame: FrameLike, *, what: str = "table") -> pl.DataFrame:
    """Return any data frame as a polars one.

    Parameters
    ----------
    frame : polars, pandas or Arrow table, NumberTable or mapping
        The index of a pandas frame becomes a first column (named after the index, or
        ``"sample"``) unless it is the default 0..n-1.
    what : str
        Name of the table for messages.

    Returns
    -------
    polars.DataFrame
        Columns in the order given.

    Raises
    ------
    InputError
        If `frame` is no table, or has columns of the same name.
    """
    if isinstance(frame, NumberTable):
        return frame.to_frame()
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, Mapping):
        return pl.DataFrame(dict(frame))
    module = type(frame).__module__.split(".")[0]
    if module == "pandas":
        return _from_pandas(frame, what)
    if module == "pyarrow":
        arrow = pl.from_arrow(frame)
        if isinstance(arrow, pl.DataFrame):
            return arrow
    raise InputError(
        f"The {what} is a {type(frame).__name__}; needed is a polars, pandas or Arrow table."
    )


def _from_pandas(frame: Any, what: str) -> pl.DataFrame:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise InputError(f"The {what} has columns of the same name.")
    columns: dict[str, Any] = {}
    if type(frame.index).__name__ != "RangeIndex":
        name = frame.index.name or "sample"
        columns[str(name)] = [str(item) for item in frame.index]
    for name, (_, series) in zip(names, frame.items(), strict=True):
        values = series.to_numpy()
        if values.dtype.kind in "iufb":
            columns[name] = values
        else:
            missing = series.isna().to_numpy()
            columns[name] = [
                None if gone else item for gone, item in zip(missing, series, strict=True)
            ]
    return pl.DataFrame(columns, strict=False)
