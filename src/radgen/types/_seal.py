"""Copy and seal arrays, so that frozen types stay frozen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from radgen.errors import InputError, shown

__all__ = ["seal", "seal_samples", "set_field"]


def seal(
    array: Any, dtype: DTypeLike | None = None, *, ndim: int | None = None, what: str = "array"
) -> NDArray[Any]:
    """Return a read-only, C-ordered copy; an array that is sealed already is not copied.

    Raises
    ------
    InputError
        If it has another number of dimensions, or cannot be turned into `dtype`.
    """
    try:
        out = np.asarray(array, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} cannot be read as numbers: {error}") from error
    if out.dtype.byteorder in "<>":
        # Readers mark the byte order even where it is this machine's; kernels take it plain.
        out = out.astype(out.dtype.newbyteorder("="))
    if ndim is not None and out.ndim != ndim:
        raise InputError(f"{what} has {out.ndim} dimensions; needed are {ndim}.")
    if out.flags.writeable or not out.flags.c_contiguous or _writeable_base(out):
        out = np.array(out, order="C", copy=True)
        out.setflags(write=False)
    return out


def _writeable_base(array: NDArray[Any]) -> bool:
    base = array.base
    while base is not None:
        if not isinstance(base, np.ndarray) or base.flags.writeable:
            return True
        base = base.base
    return False


def seal_samples(samples: Any, *, what: str = "samples") -> tuple[str, ...]:
    """Return sample ids as a tuple of text; raise where one is empty.

    Raises
    ------
    InputError
        If an id is missing or blank.
    """
    ids = tuple(samples)
    if set(map(type, ids)) != {str}:
        ids = tuple("" if item is None else str(item) for item in ids)
    if not all(map(str.strip, ids)):
        empty = [row + 1 for row, item in enumerate(ids) if not item.strip()]
        raise InputError(f"{what}: no id in row {shown(empty)}. Every row needs a sample id.")
    return ids


def set_field(instance: Any, name: str, value: Any) -> None:
    """Set a field of a frozen dataclass inside ``__post_init__``."""
    object.__setattr__(instance, name, value)
