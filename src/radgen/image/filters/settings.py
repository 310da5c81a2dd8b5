"""What all filter settings share: name, dimensions, boundary, reading from a mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from radgen._core.digest import digest
from radgen._core.naming import did_you_mean
from radgen._core.registry import Registry
from radgen.errors import InputError
from radgen.image.filters._engine import Boundary, Keep, check_boundary

__all__ = ["FILTERS", "FilterSettings", "filter_from_mapping", "register"]


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """Settings of one image filter; subclasses add their own.

    Attributes
    ----------
    dimensions : {2, 3}
        2 filters each axial slice by itself, 3 the volume.
    boundary : {"zero", "nearest", "periodic", "mirror"}
        What lies beyond the image: zeros, the outermost voxel, the image again, or its mirror
        image (the outermost voxel is repeated).
    """

    name: ClassVar[str] = ""
    dimensions: Literal[2, 3] = 3
    boundary: Boundary = "mirror"

    def __post_init__(self) -> None:
        if self.dimensions not in (2, 3):
            raise InputError(f"A filter has 2 or 3 dimensions, not {self.dimensions}.")
        check_boundary(self.boundary)
        self.check()

    def check(self) -> None:
        """Raise `InputError` where a setting of the subclass is not allowed."""

    @property
    def label(self) -> str:
        """Short text for the filter column: the name and every setting that is not default."""
        parts = [self.name]
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default and item.name != "dimensions":
                parts.append(f"{item.name}={_text(value)}")
        return "_".join([*parts, f"{self.dimensions}D"])

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as plain values, with the filter's name under ``"filter"``."""
        return {"filter": self.name, **asdict(self)}

    def digest(self) -> str:
        """Return a digest that changes with any setting."""
        return digest(self.to_mapping())

    def respond(
        self, array: NDArray[Any], spacing_mm: tuple[float, float, float], keep: Keep
    ) -> NDArray[Any]:
        """Return the response (n_z, n_y, n_x) within `keep`, in the dtype of `array`."""
        raise NotImplementedError


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "-".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


Settings = TypeVar("Settings", bound=type[FilterSettings])

FILTERS: Registry[type[FilterSettings]] = Registry("filter", entry_point_group="radgen.filters")


def register(name: str) -> Callable[[Settings], Settings]:
    """Return a decorator that registers a settings class under a filter name.

    Parameters
    ----------
    name : str
        As it stands in settings files.

    Returns
    -------
    callable
        Returns the class it is given, with ``name`` set.
    """

    def add(cls: Settings) -> Settings:
        cls.name = name
        FILTERS.add(name, cls)
        return cls

    return add


def filter_from_mapping(values: Mapping[str, Any]) -> FilterSettings:
    """Return filter settings from plain values, as they stand in a settings file.

    Parameters
    ----------
    values : mapping
        ``"filter"`` names the filter; the other keys are its settings.

    Returns
    -------
    FilterSettings
        Checked.

    Raises
    ------
    InputError
        If the filter or a key is unknown (the message names the nearest), or a value is not
        allowed.

    Examples
    --------
    >>> filter_from_mapping({"filter": "mean", "size": 5}).label
    'mean_size=5_3D'
    """
    given = dict(values)
    if "filter" not in given:
        raise InputError(f"A filter needs the key 'filter': one of {', '.join(FILTERS)}.")
    cls = FILTERS.get(str(given.pop("filter")))
    known = [item.name for item in fields(cls)]
    for key in given:
        if key not in known:
            raise InputError(
                f"Filter {cls.name!r} has no setting {key!r}. {did_you_mean(key, known)}"
            )
    cleaned = {
        key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
    }
    try:
        return cls(**cleaned)
    except TypeError as error:
        raise InputError(f"Filter {cls.name!r}: {error}") from error


def positive(value: float, what: str) -> None:
    """Raise where `value` is not a positive finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise InputError(f"{what} is a number, not {value!r}.")
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{what} is positive, not {value}.")
