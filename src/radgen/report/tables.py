"""Tables as data for the page: columns of plain values that a script sorts and searches."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import polars as pl

__all__ = [
    "AT_MOST_CELLS",
    "AT_MOST_ROWS",
    "FIRST_ROWS",
    "as_csv",
    "as_json",
    "payload",
    "shown_number",
]

AT_MOST_ROWS = 100_000
"""Rows that a page holds; the Parquet file beside it always has all."""
AT_MOST_CELLS = 800_000
"""Cells that a page holds for one table."""
FIRST_ROWS = 10
"""Rows that stand in the page before its script runs, and in print."""

_P_NAMES = ("p", "q", "pvalue", "p_value", "p_adjusted", "fdr", "fwer")


def payload(frame: pl.DataFrame, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return columns, kinds and values of a table as plain values.

    Parameters
    ----------
    frame : polars.DataFrame
        Any table; lists become text, columns without any value are left out.
    labels : mapping of str to str or None
        Headings by column name.

    Returns
    -------
    dict
        ``columns`` (name, label, kind), ``values`` (a list a column), ``rows`` in all.
    """
    names = labels or {}
    known = [name for name in frame.columns if frame[name].null_count() < frame.height]
    shown = frame.select(known) if known else frame
    kept = shown.head(max(FIRST_ROWS, min(AT_MOST_ROWS, AT_MOST_CELLS // max(shown.width, 1))))
    columns = []
    values = []
    for name in kept.columns:
        kind, items = _column(kept[name], name)
        columns.append({"name": name, "label": names.get(name, _label(name)), "kind": kind})
        values.append(items)
    return {"columns": columns, "values": values, "rows": frame.height, "held": kept.height}


def as_json(value: Any) -> str:
    """Return JSON that can stand inside a script element: no ``<``, ``>`` or ``&``."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)


def as_csv(frame: pl.DataFrame) -> str:
    """Return a table as CSV; lists become text."""
    flat = [_column(frame[name], name) for name in frame.columns]
    plain = {
        name: [None if v is None else v for v in items]
        for name, (_, items) in zip(frame.columns, flat, strict=True)
    }
    return pl.DataFrame(plain, strict=False).write_csv()


def shown_number(value: float | None, kind: str) -> str:
    """Return a number as the page shows it.

    Examples
    --------
    >>> shown_number(1.23456e-9, "p"), shown_number(0.5, "number"), shown_number(1200, "count")
    ('1.2e-9', '0.5', '1,200')
    """
    if value is None:
        return "–"
    if kind == "count":
        return f"{value:,.0f}".replace("-", "−")
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e6):
        mantissa, exponent = f"{value:.{1 if kind == 'p' else 2}e}".split("e")
        return (
            f"{mantissa}e{int(exponent)}".replace("-", "−")
            if kind != "p"
            else (f"{mantissa}e{int(exponent)}")
        )
    return f"{value:.{2 if kind == 'p' else 4}g}".replace("-", "−")


def _label(name: str) -> str:
    return name.replace("_", " ")


def _column(series: pl.Series, name: str) -> tuple[str, list[Any]]:
    if series.dtype == pl.Boolean:
        return "text", ["" if v is None else "yes" if v else "no" for v in series.to_list()]
    if series.dtype.is_integer():
        return "count" if "pos" not in name else "position", series.to_list()
    if series.dtype.is_numeric():
        is_p = name.lower() in _P_NAMES or name.lower().startswith(("p_", "q_"))
        return "p" if is_p else "number", [_rounded(v) for v in series.to_list()]
    return "text", ["" if v is None else _text(v) for v in series.to_list()]


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _rounded(value: Any) -> float | None:
    if value is None or not math.isfinite(float(value)):
        return None
    return float(f"{float(value):.6g}")
