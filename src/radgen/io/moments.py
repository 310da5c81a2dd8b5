"""Read the dates of a column, however the column writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from radgen._core.naming import counted
from radgen.errors import InputError

__all__ = ["day_numbers"]

_COMPACT = "%Y%m%d"
_FORMS = (
    "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", _COMPACT, "%d-%b-%Y", "%d %b %Y", "%d%b%Y", "%Y.%m.%d",
)  # fmt: skip
_DAY_FIRST, _MONTH_FIRST = "%d/%m/%Y", "%m/%d/%Y"
_CLOCK = re.compile(r"[T ]\d{1,2}:\d{2}.*$")


def day_numbers(cells: Sequence[str]) -> tuple[list[float | None], list[int]]:
    """Return the proleptic day number of each date, and the places of cells that are no date.

    Parameters
    ----------
    cells : sequence of str
        A column: "2024-05-31", "31.05.2024", "31-May-2024", "20240531", a time of day behind it or
        not; "" = unknown. With slashes the whole column decides which number is the month.

    Returns
    -------
    days : list of float or None
        None where the cell is blank or no date.
    wrong : list of int
        Places, from 0, of cells that hold something else.

    Raises
    ------
    InputError
        If dates with slashes can be read with the day or with the month first.

    Examples
    --------
    >>> day_numbers(["1.2.2024", "", "2024-02-02", "soon"])
    ([738917.0, None, 738918.0, None], [3])
    >>> day_numbers(["03/04/2024", "03/17/2024"])[0]
    [738949.0, 738962.0]
    """
    bare = [_CLOCK.sub("", cell.strip()) for cell in cells]
    forms = (*_FORMS, *_slashed(bare))
    days = [_first(text, forms) if text else None for text in bare]
    wrong = [k for k, text in enumerate(bare) if text and days[k] is None]
    return days, wrong


def _slashed(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the one form that reads all dates with slashes; both are tried where neither does."""
    dates = [text for text in texts if re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4}", text)]
    fitting = [
        form
        for form in (_DAY_FIRST, _MONTH_FIRST)
        if all(_number(text, form) is not None for text in dates)
    ]
    if len(fitting) == 1 or not dates:
        return tuple(fitting)
    if not fitting:
        return ()
    if all(_number(text, _DAY_FIRST) == _number(text, _MONTH_FIRST) for text in dates):
        return (_DAY_FIRST,)
    raise InputError(
        f"{counted(len(dates), 'date')} with slashes can be read with the day or with the month "
        "first. Write them as 2024-05-31."
    )


def _first(text: str, forms: Sequence[str]) -> float | None:
    return next((day for form in forms if (day := _number(text, form)) is not None), None)


def _number(text: str, form: str) -> float | None:
    if form == _COMPACT and len(text) != 8:
        return None
    try:
        return float(datetime.strptime(text, form).toordinal())
    except ValueError:
        return None
