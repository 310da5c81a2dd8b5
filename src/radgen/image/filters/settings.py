"""What all filter settings share: name, dimensions, boundary, reading from a mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import (
    Any,
    ClassVar,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
from numpy.typing import NDArray

from radgen._core.digest import digest
from radgen._core.naming import did_you_mean, require_choice
from radgen._core.registry import Registry
from radgen.errors import InputError
from radgen.image.filters._engine import Boundary, Keep

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
        hints = get_type_hints(type(self))
        for item in fields(self):
            value = _typed(getattr(self, item.name), hints[item.name], f"{self.name}: {item.name}")
            object.__setattr__(self, item.name, value)
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


def _typed(value: Any, hint: Any, what: str) -> Any:
    """Return a value of the annotated type: whole numbers become float, lists tuples.

    Raises
    ------
    InputError
        If the value has another type or is none of the choices.
    """
    if hint is Any:
        return value
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for kind in kinds:
        origin = get_origin(kind)
        if origin is Literal:
            if isinstance(value, str) and all(isinstance(item, str) for item in get_args(kind)):
                return require_choice(value, get_args(kind), what=what)
            if value in get_args(kind) and not isinstance(value, bool):
                return value
        elif origin is tuple and isinstance(value, tuple | list):
            return tuple(_typed(item, get_args(kind)[0], what) for item in value)
        elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        elif isinstance(kind, type) and type(value) is kind:
            return value
    names = " or ".join(str(getattr(kind, "__name__", kind)) for kind in kinds)
    raise InputError(f"{what} is {value!r}; needed is {names.replace('NoneType', 'None')}.")


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
    return cls(**given)


def positive(value: float, what: str) -> None:
    """Raise where `value` is not a positive finite number."""
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{what} is positive, not {value}.")
