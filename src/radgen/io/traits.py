"""Traits that radiologists read, by a lexicon of allowed values: VASARI, lung, liver, renal."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._core.naming import did_you_mean, require_choice
from radgen.errors import AlignmentError, FormatError, InputError, shown
from radgen.io.feature_tables import find_id_column
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import BLANKS, read_table, text_of
from radgen.stats.reliability import weighted_kappa
from radgen.types import STATUS_COLUMNS, PhenotypeTable
from radgen.types.phenotype import blank_specs

__all__ = [
    "LEXICONS",
    "NOT_ALLOWED",
    "STATES",
    "Level",
    "Lexicon",
    "ReadTraits",
    "Trait",
    "code_column",
    "match_columns",
    "read_lexicon",
    "read_traits",
]

Array = NDArray[np.float64]

NOT_ALLOWED = " is not in the lexicon"
LEXICONS = ("vasari", "lung", "liver", "renal", "markers")
"""Lexicons that come with radgen."""
STATES = "states"
"""The lexicon of yes and no, for columns of any name."""

_KINDS = ("binary", "ordinal", "nominal", "several")
_SEPARATORS = "|;"


@dataclass(frozen=True, slots=True)
class Level:
    """One allowed value of a trait.

    Attributes
    ----------
    code : float
        Its number in reading forms.
    label : str
        Its name.
    missing : bool
        It means that the trait cannot be judged.
    spellings : tuple of str
        Other ways to write it.
    """

    code: float
    label: str
    missing: bool = False
    spellings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trait:
    """A trait and its allowed values.

    Attributes
    ----------
    id, name : str
        Short and long name.
    kind : {"binary", "ordinal", "nominal", "several"}
        "several": a cell may hold more than one value, parted by ``|`` or ``;``.
    levels : tuple of Level
        In order.
    spellings : tuple of str
        Other headers of its column.
    """

    id: str
    name: str
    kind: str
    levels: tuple[Level, ...]
    spellings: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[Level, ...]:
        """The levels that are no missing value."""
        return tuple(level for level in self.levels if not level.missing)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """A set of traits.

    Attributes
    ----------
    name, title, source : str
        What it is and where it comes from.
    traits : tuple of Trait
        In the order of the file.
    """

    name: str
    title: str
    source: str
    traits: tuple[Trait, ...]


@dataclass(frozen=True, eq=False)
class ReadTraits:
    """Traits of samples.

    Attributes
    ----------
    phenotypes : PhenotypeTable
        0/1 of a binary trait (1 = its second level), the code of an ordinal one, and a 0/1 column
        a level of the others, named ``trait=level``. What the lexicon does not allow is NaN with
        a status row that quotes it.
    types : mapping of str to str
        "binary" or "ordinal" of each column, as `radgen.associate.scan` takes them.
    agreement : polars.DataFrame
        ``trait, readers, n, agreed, kappa``: share of equal readings and Cohen's kappa (weighted
        linearly where ordinal), the mean over pairs of readers; empty with one reader.
    notes : tuple of str
        Columns that are no trait, and values that were not allowed.
    """

    phenotypes: PhenotypeTable
    types: Mapping[str, str]
    agreement: pl.DataFrame
    notes: tuple[str, ...] = field(default=())


def read_lexicon(source: str | Path) -> Lexicon:
    """Return a lexicon by its name or from a TOML file.

    Parameters
    ----------
    source : str or Path
        One of `LEXICONS`, or a file of the same form.

    Returns
    -------
    Lexicon
        Its traits.

    Raises
    ------
    InputError
        If there is no such lexicon.
    FormatError
        If the file breaks the form: a trait without levels, two values of one spelling.

    Examples
    --------
    >>> read_lexicon("vasari").traits[4].name
    'proportion enhancing'
    """
    if isinstance(source, str) and not source.lower().endswith(".toml"):
        require_choice(source, (*LEXICONS, STATES), what="lexicon")
        text = files("radgen.io").joinpath(f"lexicons/{source}.toml").read_text("utf-8")
        return _lexicon(text, Path(f"{source}.toml"))
    path = Path(source)
    if not path.is_file():
        raise FormatError("There is no such file.", path=path)
    return _lexicon(path.read_text("utf-8"), path)


def _lexicon(text: str, path: Path) -> Lexicon:
    try:
        raw = tomllib.loads(text)
        traits = tuple(_trait(item) for item in raw["trait"])
        found = Lexicon(raw["name"], raw.get("title", raw["name"]), raw.get("source", ""), traits)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"This is no lexicon of traits: {error}.", path=path) from error
    for trait in traits:
        if trait.kind not in _KINDS:
            raise FormatError(f"{trait.id}: kind is one of {', '.join(_KINDS)}.", path=path)
        if trait.kind == "binary" and len(trait.known) != 2:
            raise FormatError(f"{trait.id}: a binary trait has two levels.", path=path)
        try:
            _spellings(trait)
        except InputError as error:
            raise FormatError(str(error), path=path) from error
    names = [name for trait in traits for name in {_key(trait.id), _key(trait.name)}]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise FormatError(f"Two traits of one name: {shown(twice)}.", path=path)
    return found


def _trait(item: Mapping[str, Any]) -> Trait:
    levels = tuple(
        Level(
            float(level["code"]),
            str(level["label"]),
            bool(level.get("missing", False)),
            tuple(level.get("spellings", ())),
        )
        for level in item["levels"]
    )
    spellings = tuple(item.get("spellings", ()))
    return Trait(str(item["id"]), str(item["name"]), str(item["kind"]), levels, spellings)


def _key(text: str) -> str:
    return "".join(ch for ch in text.casefold() if ch.isalnum())


def _cell_key(text: str) -> str:
    return " ".join(text.split()).casefold()


def _spellings(trait: Trait) -> dict[str, Level]:
    """Return the level of each way to write it; codes count as such."""
    found: dict[str, Level] = {}
    for level in trait.levels:
        for text in (level.label, f"{level.code:g}", f"{level.code:.1f}", *level.spellings):
            if found.setdefault(_cell_key(text), level) is not level:
                raise InputError(f"{trait.id}: {text!r} stands for two levels.")
    return found


def read_traits(
    path: str | Path,
    lexicon: str | Path | Lexicon,
    *,
    id_column: str | None = None,
    id_rule: IdRule | None = None,
    reader: str | None = None,
) -> ReadTraits:
    """Return the traits that radiologists read, checked against a lexicon.

    Parameters
    ----------
    path : str or Path
        Table with a row a sample (a reader's reading of it, with `reader`) and a column a trait.
        Headers are recognised by id, name or both ("f5", "F5 Proportion Enhancing").
    lexicon : str, Path or Lexicon
        Its name, file, or itself.
    id_column : str or None
        Column of sample ids; None = the one that looks like it.
    id_rule : IdRule or None
        Applied to the ids.
    reader : str or None
        Column with the reader. The consensus of several is the majority of 0/1 columns and the
        median of ordinal ones; where they tie there is none.

    Returns
    -------
    ReadTraits
        The phenotypes, their types and the readers' agreement.

    Raises
    ------
    InputError
        If no column is a trait of the lexicon, or a named column is missing.
    AlignmentError
        If a sample stands twice (for one reader).
    FormatError
        If the table cannot be read.
    """
    place = Path(path)
    chosen = lexicon if isinstance(lexicon, Lexicon) else read_lexicon(lexicon)
    frame = read_table(place)
    key = find_id_column(frame, id_column, place)
    if reader is not None and reader not in frame.columns:
        raise InputError(f"{path}: no column {reader!r}. {did_you_mean(reader, frame.columns)}")
    samples = normalise_ids(text_of(frame[key], path=place), id_rule or IdRule(), what=str(path))
    readers = [""] * frame.height if reader is None else text_of(frame[reader], path=place)
    _once(samples, readers, place)
    columns, strangers = _columns(frame, chosen, {key, reader})
    if not columns:
        raise InputError(
            f"{path}: no column is a trait of the lexicon {chosen.name}, which has "
            f"{shown([trait.name for trait in chosen.traits], 8)}."
        )
    parts = [_coded(frame[header], trait) for header, trait in columns]
    return _merged(samples, readers, parts, _notes(strangers, parts))


def match_columns(frame: pl.DataFrame, lexicon: Lexicon) -> list[tuple[str, Trait]]:
    """Return the columns whose header names a trait of the lexicon, and the trait.

    Raises
    ------
    InputError
        If two columns are one trait.
    """
    return _columns(frame, lexicon, set())[0]


def code_column(column: pl.Series, trait: Trait) -> tuple[pl.Series, dict[int, str]]:
    """Return a binary or ordinal column in numbers, and by row the words the trait does not know.

    Null is blank, unknown, or not of the trait.
    """
    coded = _coded(column, trait)
    return pl.Series(column.name, coded.values[:, 0], nan_to_null=True), dict(coded.refused)


def _once(samples: Sequence[str], readers: Sequence[str], path: Path) -> None:
    counts = Counter(zip(samples, readers, strict=True))
    twice = [" ".join(pair).strip() for pair, count in counts.items() if count > 1]
    if twice:
        raise AlignmentError(
            f"{path}: samples with more than one row: {shown(twice)}. Where these are readers, "
            "name their column: reader=.",
            repeated=twice,
        )


def _columns(
    frame: pl.DataFrame, lexicon: Lexicon, taken: set[str | None]
) -> tuple[list[tuple[str, Trait]], list[str]]:
    headers: dict[str, Trait] = {}
    for trait in lexicon.traits:
        for name in (trait.name, *trait.spellings):
            headers.setdefault(_key(name), trait)
            headers.setdefault(_key(trait.id + name), trait)
        headers[_key(trait.id)] = trait
    columns: list[tuple[str, Trait]] = []
    strangers = []
    for header in frame.columns:
        found = headers.get(_key(header))
        if header in taken:
            continue
        if found is None:
            strangers.append(header)
        elif any(trait is found for _, trait in columns):
            raise InputError(f"Two columns are the trait {found.name!r}: leave one out.")
        else:
            columns.append((header, found))
    return columns, strangers


@dataclass(frozen=True, eq=False)
class _Coded:
    """A trait's column: 0/1 or ordinal columns, and what was not allowed by row."""

    trait: Trait
    names: tuple[str, ...]
    values: Array
    refused: Mapping[int, str]


def _coded(column: pl.Series, trait: Trait) -> _Coded:
    known = _spellings(trait)
    cells = ["" if cell is None else str(cell).strip() for cell in column.to_list()]
    levels = trait.known
    wide = trait.kind in ("nominal", "several")
    names = tuple(f"{trait.id}={level.label}" for level in levels) if wide else (trait.id,)
    values = np.full((len(cells), len(names)), np.nan)
    refused: dict[int, str] = {}
    for row, cell in enumerate(cells):
        if cell.casefold() in BLANKS or not cell:
            if trait.kind == "several":
                values[row] = 0.0
            continue
        found, odd = _levels_of(cell, trait, known)
        if odd:
            refused[row] = odd
            continue
        if any(level.missing for level in found):
            continue
        if trait.kind == "ordinal":
            values[row, 0] = found[0].code
        elif trait.kind == "binary":
            values[row, 0] = float(found[0] is levels[1])
        else:
            values[row] = [float(level in found) for level in levels]
    return _Coded(trait, names, values, refused)


def _levels_of(cell: str, trait: Trait, known: Mapping[str, Level]) -> tuple[list[Level], str]:
    """Return the levels of a cell, or the text that is no level."""
    texts = [cell]
    if trait.kind == "several":
        for mark in _SEPARATORS:
            texts = [part for text in texts for part in text.split(mark)]
    found = []
    for text in texts:
        level = known.get(_cell_key(text))
        if level is None:
            return [], text.strip()
        found.append(level)
    return found, ""


def _notes(strangers: list[str], parts: Sequence[_Coded]) -> tuple[str, ...]:
    notes = []
    if strangers:
        notes.append(f"{len(strangers)} columns are no trait of the lexicon: {shown(strangers)}.")
    for part in parts:
        if part.refused:
            odd = Counter(part.refused.values())
            words = shown([f"{text!r} ({count} times)" for text, count in odd.most_common()])
            notes.append(f"{part.trait.name}: not in the lexicon and taken as missing are {words}.")
    return tuple(notes)


def _merged(
    samples: list[str], readers: list[str], parts: Sequence[_Coded], notes: tuple[str, ...]
) -> ReadTraits:
    people = list(dict.fromkeys(samples))
    names = [name for part in parts for name in part.names]
    ordinal = [part.trait.kind == "ordinal" for part in parts for _ in part.names]
    everything = np.column_stack([part.values for part in parts])
    rows = {item: [k for k, s in enumerate(samples) if s == item] for item in people}
    values = np.full((len(people), len(names)), np.nan)
    status: list[tuple[str, str, str, str]] = []
    for place, (item, own) in enumerate(rows.items()):
        block = everything[own]
        values[place], ties = _consensus(block, np.array(ordinal))
        status += [(item, names[k], "undefined", "the readers tie") for k in np.flatnonzero(ties)]
        for part in parts:
            odd = {part.refused[k] for k in own if k in part.refused}
            lost = [name for name in part.names if np.isnan(values[place, names.index(name)])]
            if odd and lost:
                reason = shown(sorted(odd)) + NOT_ALLOWED
                status += [(item, name, "failed", reason) for name in lost]
    specs = blank_specs(names).with_columns(
        family=pl.Series([part.trait.name for part in parts for _ in part.names])
    )
    table = PhenotypeTable(
        tuple(people),
        values,
        specs,
        pl.DataFrame(status, schema=dict.fromkeys(STATUS_COLUMNS, pl.String), orient="row"),
    )
    types = {name: "ordinal" if o else "binary" for name, o in zip(names, ordinal, strict=True)}
    agreement = _agreement(samples, readers, parts)
    return ReadTraits(table, types, agreement, notes)


def _consensus(block: Array, ordinal: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """Median of ordinal columns (of two middle values the mean), majority of 0/1 columns."""
    out = np.full(block.shape[1], np.nan)
    ties = np.zeros(block.shape[1], dtype=bool)
    for column in range(block.shape[1]):
        known = block[np.isfinite(block[:, column]), column]
        if not len(known):
            continue
        if ordinal[column]:
            out[column] = float(np.median(known))
        elif known.mean() == 0.5:
            ties[column] = True
        else:
            out[column] = float(known.mean() > 0.5)
    return out, ties


def _agreement(samples: list[str], readers: list[str], parts: Sequence[_Coded]) -> pl.DataFrame:
    schema = {"trait": pl.String, "readers": pl.Int64, "n": pl.Int64, "agreed": pl.Float64,
              "kappa": pl.Float64}  # fmt: skip
    people = list(dict.fromkeys(readers))
    rows = []
    place = {(s, r): k for k, (s, r) in enumerate(zip(samples, readers, strict=True))}
    for part in parts if len(people) > 1 else ():
        code = _one_code(part)
        shares, kappas, counts = [], [], []
        for one, two in combinations(people, 2):
            both = [
                (code[place[s, one]], code[place[s, two]])
                for s in dict.fromkeys(samples)
                if (s, one) in place and (s, two) in place
            ]
            both = [(a, b) for a, b in both if np.isfinite(a) and np.isfinite(b)]
            if len(both) < 2:
                continue
            a, b = np.array(both).T
            weights = "linear" if part.trait.kind == "ordinal" else "none"
            counts.append(len(both))
            shares.append(float(np.mean(a == b)))
            kappas.append(weighted_kappa(a, b, weights=weights).estimate)  # type: ignore[arg-type]
        if counts:
            known = [kappa for kappa in kappas if np.isfinite(kappa)]
            kappa = float(np.mean(known)) if known else None
            rows.append((part.trait.name, len(people), max(counts), float(np.mean(shares)), kappa))
    return pl.DataFrame(rows, schema=schema, orient="row")


def _one_code(part: _Coded) -> Array:
    """One number a row: which level, or which combination of levels."""
    if part.values.shape[1] == 1:
        return part.values[:, 0]
    weight = 2.0 ** np.arange(part.values.shape[1])
    return np.asarray(part.values @ weight)
