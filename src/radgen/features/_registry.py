"""Families of features, each declared with the names, codes and units that it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from radgen._core.registry import Registry
from radgen.errors import InputError, shown

if TYPE_CHECKING:
    from radgen.features._view import View

__all__ = ["AGGREGATIONS", "FAMILIES", "Family", "FeatureSpec", "add"]

Measured = Mapping[str, Mapping[str, float]]
"""Values by aggregation code ("" = none) and feature name; NaN = undefined."""

AGGREGATIONS: Mapping[str, str] = {
    "BTW3": "2D, averaged",
    "SUJT": "2D, slice-merged",
    "JJUI": "2.5D, direction-merged",
    "ZW7Z": "2.5D, merged",
    "ITBB": "3D, averaged",
    "IAZD": "3D, merged",
    "8QNN": "2D",
    "62GR": "2.5D",
    "KOBO": "3D",
}
"""IBSI codes of the ways to bring texture matrices together, and their names."""

BY_DIRECTION = ("BTW3", "SUJT", "JJUI", "ZW7Z", "ITBB", "IAZD")
BY_DIMENSION = ("8QNN", "62GR", "KOBO")


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature as it is declared.

    Attributes
    ----------
    name : str
        Name in the IBSI reference tables.
    ibsi_code : str
        Code of the feature in the IBSI manual, "" where it has none.
    unit : str
        Unit of the value; "{u}" stands for the unit of the image. "" = no unit.
    undefined : str
        When the value is undefined, in words that complete "undefined: …".
    """

    name: str
    ibsi_code: str = ""
    unit: str = ""
    undefined: str = "the region does not determine it"


@dataclass(frozen=True, slots=True)
class Family:
    """A family of features and the function that measures them.

    Attributes
    ----------
    name : str
        As in the long table's column ``family``.
    ibsi_code : str
        Code of the family in the IBSI manual, "" where it has none.
    version : int
        Raised whenever a value changes.
    specs : tuple of FeatureSpec
        Everything that `measure` returns, in order.
    aggregations : tuple of str
        Aggregation codes that it knows; ("",) where it has none.
    images : {"any", "original"}
        Whether it is measured on filter responses too.
    measure : callable
        ``measure(view)`` returns values by aggregation code and feature name.
    parts : callable or None
        ``parts(view)`` returns calls without arguments that do costly parts of the work ahead,
        in other threads; `measure` does what is not done.
    """

    name: str
    ibsi_code: str
    version: int
    specs: tuple[FeatureSpec, ...]
    aggregations: tuple[str, ...]
    images: Literal["any", "original"]
    measure: Callable[[View], Measured]
    parts: Callable[[View], Iterable[Callable[[], object]]] | None = None


FAMILIES: Registry[Family] = Registry("feature family", entry_point_group="radgen.features")


def add(
    name: str,
    *,
    version: int,
    specs: tuple[FeatureSpec, ...],
    ibsi_code: str = "",
    aggregations: tuple[str, ...] = ("",),
    images: Literal["any", "original"] = "any",
    parts: Callable[[View], Iterable[Callable[[], object]]] | None = None,
) -> Callable[[Callable[[View], Measured]], Callable[[View], Measured]]:
    """Register a family; use it as a decorator of the function that measures it.

    Parameters
    ----------
    name : str
        Name of the family.
    version : int
        Version of the numbers.
    specs : tuple of FeatureSpec
        The features, in the order of the output.
    ibsi_code : str
        Code of the family.
    aggregations : tuple of str
        Aggregation codes that the function can return.
    images : {"any", "original"}
        "original": not measured on filter responses.
    parts : callable or None
        See `Family`.

    Returns
    -------
    callable
        The decorator; it returns the function unchanged.

    Raises
    ------
    InputError
        If the name is taken, or a feature name is declared twice.
    """
    names = [spec.name for spec in specs]
    twice = sorted({item for item in names if names.count(item) > 1})
    if twice:
        raise InputError(f"Family {name!r} declares features twice: {shown(twice)}.")

    def register(measure: Callable[[View], Measured]) -> Callable[[View], Measured]:
        family = Family(name, ibsi_code, version, specs, aggregations, images, measure, parts)
        FAMILIES.add(name, family)
        return measure

    return register
