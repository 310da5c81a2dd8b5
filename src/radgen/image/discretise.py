"""Turn intensities into grey levels 1..n."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radgen._native import _image
from radgen.errors import InputError

__all__ = ["Discretised", "discretise"]


@dataclass(frozen=True, eq=False, slots=True)
class Discretised:
    """Grey levels and how they came about.

    Attributes
    ----------
    levels : ndarray of uint8, uint16 or uint32
        Grey level of each value, 1..n_levels; 0 where the value is NaN. Same shape as the
        values; the smallest type that holds n_levels.
    n_levels : int
        Fixed bin number: that number. Fixed bin size: the highest level that occurs.
    method : {"fixed bin size", "fixed bin number"}
        Which algorithm.
    minimum : float
        Lower edge of the first bin, in units of the values.
    bin_width : float
        Width of a bin, in units of the values; 0 where a single value occurs.
    """

    levels: NDArray[Any]
    n_levels: int
    method: Literal["fixed bin size", "fixed bin number"]
    minimum: float
    bin_width: float

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bin edges (n_levels + 1,), in units of the values."""
        return np.asarray(self.minimum + self.bin_width * np.arange(self.n_levels + 1.0))

    @property
    def centres(self) -> NDArray[np.float64]:
        """Bin centres (n_levels,), in units of the values."""
        return np.asarray(self.minimum + self.bin_width * (np.arange(self.n_levels) + 0.5))


def discretise(
    values: NDArray[Any],
    *,
    bin_width: float | None = None,
    bin_number: int | None = None,
    minimum: float | None = None,
) -> Discretised:
    """Return grey levels by a fixed bin size or a fixed number of bins.

    Parameters
    ----------
    values : ndarray of real numbers (…)
        Intensities of the region of interest; NaN = outside, becomes level 0.
    bin_width : float or None
        Fixed bin size, in units of the values.
    bin_number : int or None
        Fixed number of bins between the lowest and the highest value. Exactly one of the
        two is given.
    minimum : float or None
        With `bin_width`: the lower edge of the first bin (the lower bound of the
        resegmentation range); None is the lowest value.

    Returns
    -------
    Discretised
        Levels from 1.

    Raises
    ------
    InputError
        If not exactly one of the two is given, it is not positive, no value is finite, a value
        is infinite or lies below `minimum`, or more than 2**31 levels would be made.

    Notes
    -----
    Fixed bin size: ``floor((x - minimum) / bin_width) + 1``. Fixed bin number:
    ``floor(n (x - min) / (max - min)) + 1``, and n for the highest value; a single value
    gives level 1.

    References
    ----------
    IBSI reference manual, section 2.7: Q3RU (fixed bin size), K15C (fixed bin number).

    Examples
    --------
    >>> discretise(np.array([-500.0, -475.0, 400.0]), bin_width=25, minimum=-500).levels.tolist()
    [1, 2, 37]
    >>> discretise(np.array([0.0, 0.5, 1.0]), bin_number=4).levels.tolist()
    [1, 3, 4]
    """
    numbers = np.asarray(values, dtype=np.float64)
    if (bin_width is None) == (bin_number is None):
        raise InputError("Give exactly one of bin_width and bin_number.")
    used, finite = numbers, None
    low, high = (float(f(numbers)) if numbers.size else np.nan for f in (np.min, np.max))
    if not (np.isfinite(low) and np.isfinite(high)):  # NaN passes through both
        finite = np.isfinite(numbers)
        if not finite.any():
            raise InputError("Nothing to discretise: no finite value in the region.")
        if np.isinf(numbers).any():
            raise InputError("Infinite values cannot be discretised; resegment to a range first.")
        used = numbers[finite]
        low, high = float(used.min()), float(used.max())
    if bin_width is not None:
        found, width, first = _by_size(used, float(bin_width), minimum, low, high)
        count, method = int(found.max()), "fixed bin size"
    else:
        if minimum is not None:
            raise InputError("`minimum` is for a fixed bin size; bin_number uses the range found.")
        count, method = int(bin_number or 0), "fixed bin number"
        found, width = _by_number(used, count, low, high)
        first = low
    if finite is None:
        levels = found.astype(_dtype(count), copy=False)
    else:
        levels = np.zeros(numbers.shape, dtype=_dtype(count))
        levels[finite] = found
    levels.setflags(write=False)
    return Discretised(levels, count, method, first, width)  # type: ignore[arg-type]


def _by_size(
    used: NDArray[np.float64], width: float, minimum: float | None, low: float, high: float
) -> tuple[NDArray[np.float64], float, float]:
    if not (np.isfinite(width) and width > 0):
        raise InputError(f"A bin width is a positive number, not {width}.")
    first = low if minimum is None else float(minimum)
    if low < first:
        raise InputError(
            f"Values go down to {low:g}, below the lower edge of the first bin ({first:g}). "
            "Resegment to the range, or lower `minimum`."
        )
    if (high - first) / width >= 2**31:
        raise InputError(
            f"A bin width of {width:g} makes more than 2**31 levels of [{first:g}, {high:g}]."
        )
    return np.floor((used - first) / width) + 1.0, width, first


def _dtype(count: int) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if count < 256 else np.uint16 if count < 65536 else np.uint32


def _by_number(
    used: NDArray[np.float64], count: int, low: float, high: float
) -> tuple[NDArray[Any], float]:
    if count < 1 or count >= 2**31:
        raise InputError(f"A number of bins is a positive whole number, not {count}.")
    if high == low:
        return np.ones_like(used), 0.0
    width = high - low
    if count < 65536 and np.isfinite(width):
        levels = np.empty(used.size, _dtype(count))
        _image.number_levels(np.ascontiguousarray(used).ravel(), count, low, high, levels)
        return levels.reshape(used.shape), width / count
    found = np.floor(count * (used - low) / width) + 1.0
    return np.minimum(found, float(count)), width / count
