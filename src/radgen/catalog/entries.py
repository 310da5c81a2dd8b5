"""Open data sets and papers of the field, and the command that does what a paper did."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from radgen.errors import FormatError

__all__ = ["DataSet", "Paper", "data_sets", "papers"]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class DataSet:
    """A collection of images with molecular data or outcomes.

    Attributes
    ----------
    name, place : str
        Name, and who keeps it.
    doi, url : str
        Where it is described; `doi` is "" where there is none.
    disease : str
        Disease, or "population".
    modalities : tuple of str
        DICOM codes, or what is there in their place.
    patients : int or None
        With images; None = see the collection.
    layers : tuple of str
        Molecular layers, outcomes and other things known of the same patients.
    licence : str
        As the keeper states it.
    access : str
        Command that fetches the images where there is one ("idc" comes with the package idc-index).
    note : str
        What a study should know.
    """

    name: str
    place: str
    doi: str
    url: str
    disease: str
    modalities: tuple[str, ...]
    patients: int | None
    layers: tuple[str, ...]
    licence: str
    access: str
    note: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper of the field as a method card.

    Attributes
    ----------
    authors : str
        First author.
    year : int or None
        Of the paper; None = not known here.
    topic, method : str
        What was asked, and the kind of method, in the words of this project.
    commands : tuple of str
        Commands of radgen that do the like; empty = radgen does not do this.
    page : str
        Page of the how-to documentation, "" for none.
    doi : str
        "" where it is not known here.
    note : str
        What differs.
    """

    authors: str
    year: int | None
    topic: str
    method: str
    commands: tuple[str, ...]
    page: str
    doi: str
    note: str


def data_sets(find: str = "") -> tuple[DataSet, ...]:
    """Return data sets of the field.

    Parameters
    ----------
    find : str
        Words that must all occur in an entry; "" = all.

    Returns
    -------
    tuple of DataSet
        In the order of the catalogue: tumours, then populations.

    Examples
    --------
    >>> [item.name for item in data_sets("glioma MGMT 1p/19q")]
    ['UCSF-PDGM']
    """
    rows = [row for row in _stored("datasets") if _holds(row, find)]
    return tuple(DataSet(**{k: _sealed(v) for k, v in row.items()}) for row in rows)


def papers(find: str = "") -> tuple[Paper, ...]:
    """Return papers of the field as method cards.

    Parameters
    ----------
    find : str
        Words that must all occur in an entry; "" = all.

    Returns
    -------
    tuple of Paper
        Machine learning first, then conventional radiogenomics.

    Examples
    --------
    >>> papers("sparse CCA")[0].commands
    ('compare-multivariate',)
    """
    rows = [row for row in _stored("papers") if _holds(row, find)]
    return tuple(Paper(**{k: _sealed(v) for k, v in row.items()}) for row in rows)


def _sealed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _holds(row: dict[str, Any], find: str) -> bool:
    text = json.dumps(row, ensure_ascii=False).casefold()
    return all(word in text for word in find.casefold().split())


@cache
def _stored(name: str) -> tuple[dict[str, Any], ...]:
    text = files("radgen.catalog").joinpath(f"{name}.json").read_text(encoding="utf-8")
    stored: dict[str, Any] = json.loads(text)
    found = stored.get("encoding_type"), stored.get("encoding_version")
    if found != (f"radgen.{name}", _VERSION):
        raise FormatError(f"The file of {name} is {found}; needed is version {_VERSION}.")
    return tuple(stored[name])
