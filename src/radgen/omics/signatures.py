"""Signature cards: published scores as data, computed as they stand."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from radgen._core.naming import did_you_mean
from radgen.errors import FormatError, InputError, shown
from radgen.omics._formula import evaluate, names_in
from radgen.omics._ranks import ranks_within
from radgen.types import OmicsTable, PhenotypeTable, align

__all__ = ["SignatureCard", "SignatureScores", "card_names", "compute", "load_card"]

Array = NDArray[np.float64]

_ENDS = ("at_least", "above", "below", "at_most")
_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CardInput(_Part):
    """One value that the score needs.

    Attributes
    ----------
    name : str
        As formulas and weights call it.
    kind : {"gene", "feature", "clinical"}
        What it is.
    unit : str
        In what it is measured.
    aliases : tuple of str
        Other names of its column.
    centre, scale : float
        Taken off and divided by, as published; never learned from the data.
    """

    name: Annotated[str, Field(pattern=_NAME)]
    kind: Literal["gene", "feature", "clinical"] = "gene"
    unit: str = ""
    aliases: tuple[str, ...] = ()
    centre: float = 0.0
    scale: Annotated[float, Field(gt=0)] = 1.0


class CardTerm(_Part):
    """An intermediate value with a name."""

    name: Annotated[str, Field(pattern=_NAME)]
    formula: str


class CardGroup(_Part):
    """A range of the score; `at_least` and `at_most` include the limit."""

    name: str
    at_least: float | None = None
    above: float | None = None
    below: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether a score lies within."""
        return not (
            (self.at_least is not None and value < self.at_least)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
            or (self.at_most is not None and value > self.at_most)
        )


class SignatureCard(_Part):
    """A published score as data: what it needs, how it is computed, where it comes from.

    Attributes
    ----------
    schema_version : int
        1.
    name, title, version : str
        Short name, what it is, which edition.
    sources : tuple of str
        DOIs; at least one.
    what, higher_means, unit, notes : str
        In words.
    transform : {"none", "log2", "log2p1", "rank"}
        Of all inputs: log2(x), log2(x + 1), or the rank among the card's inputs within the
        sample, 1 = smallest.
    inputs : tuple of CardInput
        In any order.
    weights : mapping of str to float
        The score is their sum with the inputs plus `intercept`; or
    terms, score : tuple of CardTerm, str
        formulas of inputs and of terms before.
    floor, cap : float or None
        Limits of the score.
    missing : {"refuse", "rescale"}
        A sample without all inputs gets no score; or, of weights alone, the rest is divided by
        the share of absolute weight that is present.
    min_coverage : float
        Share that "rescale" needs.
    groups : tuple of CardGroup
        Published ranges.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: str
    title: str
    version: str
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    what: str
    higher_means: str = ""
    unit: str = ""
    notes: str = ""
    transform: Literal["none", "log2", "log2p1", "rank"] = "none"
    inputs: Annotated[tuple[CardInput, ...], Field(min_length=1)]
    weights: dict[str, float] = {}
    intercept: float = 0.0
    terms: tuple[CardTerm, ...] = ()
    score: str = ""
    floor: float | None = None
    cap: float | None = None
    missing: Literal["refuse", "rescale"] = "refuse"
    min_coverage: Annotated[float, Field(gt=0, le=1)] = 1.0
    groups: tuple[CardGroup, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> SignatureCard:
        known = [item.name for item in self.inputs]
        if len(set(known)) < len(known):
            raise ValueError("inputs of the same name")
        if bool(self.weights) == bool(self.score):
            raise ValueError("a card has either weights or a score formula")
        if self.weights and (self.terms or set(self.weights) != set(known)):
            raise ValueError("weights name every input once, and there are no terms")
        if self.missing == "rescale" and not self.weights:
            raise ValueError("only weights can be rescaled for missing inputs")
        for term in (*self.terms, CardTerm(name="score", formula=self.score or "0")):
            try:
                used = names_in(term.formula)
            except InputError as error:
                raise ValueError(str(error)) from error
            strange = [name for name in used if name not in known]
            if strange:
                raise ValueError(f"{term.name}: unknown {', '.join(strange)}")
            if term.name in known:
                raise ValueError(f"{term.name} stands twice")
            known.append(term.name)
        for group in self.groups:
            if all(getattr(group, end) is None for end in _ENDS):
                raise ValueError(f"group {group.name!r} has no limit")
        return self


@dataclass(frozen=True, eq=False, slots=True)
class SignatureScores:
    """Scores of samples by one card.

    Attributes
    ----------
    card : SignatureCard
        What was computed.
    frame : polars.DataFrame
        ``sample, score, group, coverage, status, reason``; score null where it is undefined.
    absent : tuple of str
        Inputs that no table has.
    """

    card: SignatureCard
    frame: pl.DataFrame
    absent: tuple[str, ...]

    def to_phenotypes(self) -> PhenotypeTable:
        """Return the scores as a phenotype table with one column, named after the card."""
        values = self.frame["score"].fill_null(np.nan)
        columns = {"sample": self.frame["sample"], self.card.name: values}
        return PhenotypeTable.from_frame(pl.DataFrame(columns))


def card_names() -> tuple[str, ...]:
    """Return the names of the cards that come with radgen."""
    folder = resources.files("radgen.omics").joinpath("cards")
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")))


def load_card(which: str | Path) -> SignatureCard:
    """Return a card by name, or from a TOML or JSON file.

    Parameters
    ----------
    which : str or Path
        One of `card_names`, or a path.

    Returns
    -------
    SignatureCard
        Checked: unknown keys, names without an input and the like are refused.

    Raises
    ------
    InputError
        If there is neither such a card nor such a file.
    FormatError
        If the file is no valid card; all problems are listed.

    Examples
    --------
    >>> load_card("rsi").weights["ABL1"]
    0.1070213
    """
    if str(which) in card_names():
        place = resources.files("radgen.omics").joinpath("cards", f"{which}.toml")
        return _card(tomllib.loads(place.read_text("utf-8")), str(which))
    path = Path(which)
    if not path.is_file():
        raise InputError(
            f"There is no card and no file {str(which)!r}. {did_you_mean(str(which), card_names())}"
        )
    text = path.read_text("utf-8")
    try:
        found = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise FormatError(f"cannot be read: {error}.", path=path) from error
    return _card(found, str(path))


def _card(found: Any, where: str) -> SignatureCard:
    try:
        return SignatureCard.model_validate(found)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or 'card'}: {item['msg']}"
            for item in error.errors()
        ]
        raise FormatError(f"no valid signature card: {shown(problems, 12)}", path=where) from error


def compute(
    card: SignatureCard,
    *tables: OmicsTable | PhenotypeTable,
    names: Mapping[str, str] | None = None,
) -> SignatureScores:
    """Return the score of each sample, computed as published, nothing refitted.

    Parameters
    ----------
    card : SignatureCard
        What to compute.
    *tables : OmicsTable or PhenotypeTable
        Where its inputs are; samples in all tables that hold an input are scored.
    names : mapping of str to str or None
        Column of an input that is named otherwise.

    Returns
    -------
    SignatureScores
        A row a sample, with the share of inputs (by absolute weight where there are weights)
        that it has.

    Raises
    ------
    InputError
        If an input is in no table and the card refuses that, two tables have it, or `names`
        names what is not there.

    Examples
    --------
    >>> ids = ["a", "b"]
    >>> table = PhenotypeTable.from_frame({"sample": ids, "GZMA": [4.0, 1.0], "PRF1": [9.0, 0.0]})
    >>> compute(load_card("cyt"), table).frame["score"].round(3).to_list()
    [6.011, 0.1]
    """
    given = dict(names or {})
    unknown = [name for name in given if name not in {item.name for item in card.inputs}]
    if unknown:
        raise InputError(f"{card.name} has no input {shown(unknown)}.")
    place = _places(card, tables, given)
    absent = tuple(item.name for item in card.inputs if item.name not in place)
    if absent and (card.missing == "refuse" or not place):
        raise InputError(
            f"{card.name} needs {shown([item.name for item in card.inputs], 12)}; no table has "
            f"{shown(absent)}. A column of another name is given by names (for instance "
            f"{absent[0]}=...); the card does not allow to leave inputs out."
        )
    used = sorted({index for index, _ in place.values()})
    found = align({f"table {index + 1}": tables[index].samples for index in used})
    values = np.full((found.n_samples, len(card.inputs)), np.nan)
    for j, item in enumerate(card.inputs):
        if item.name in place:
            index, column = place[item.name]
            rows = found.rows[f"table {index + 1}"]
            values[:, j] = (tables[index].values[rows, column] - item.centre) / item.scale
    score, coverage, reasons = _scored(card, _transformed(values, card.transform))
    frame = pl.DataFrame(
        {
            "sample": list(found.samples),
            "score": score,
            "group": [_group(card, value) for value in score],
            "coverage": coverage,
            "status": ["ok" if not reason else "undefined" for reason in reasons],
            "reason": reasons,
        }
    ).with_columns(pl.col("score").fill_nan(None))
    return SignatureScores(card, frame, absent)


def _places(
    card: SignatureCard, tables: Sequence[OmicsTable | PhenotypeTable], given: Mapping[str, str]
) -> dict[str, tuple[int, int]]:
    columns = [{name: j for j, name in enumerate(_columns(table))} for table in tables]
    found: dict[str, tuple[int, int]] = {}
    for item in card.inputs:
        wanted = [given[item.name]] if item.name in given else [item.name, *item.aliases]
        hits = [(i, own[name]) for i, own in enumerate(columns) for name in wanted if name in own]
        if item.name in given and not hits:
            everything = [name for own in columns for name in own]
            raise InputError(
                f"No table has a column {given[item.name]!r}. "
                f"{did_you_mean(given[item.name], everything)}"
            )
        if len({index for index, _ in hits}) > 1:
            raise InputError(f"{item.name} is in several tables: leave it in one.")
        if hits:
            found[item.name] = hits[0]
    return found


def _columns(table: OmicsTable | PhenotypeTable) -> tuple[str, ...]:
    return table.features if isinstance(table, OmicsTable) else table.names


def _transformed(values: Array, transform: str) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        if transform == "log2":
            values = np.log2(values)
        elif transform == "log2p1":
            values = np.log2(values + 1)
        elif transform == "rank":
            values = ranks_within(values, "average")
    return np.where(np.isfinite(values), values, np.nan)


def _scored(card: SignatureCard, values: Array) -> tuple[Array, Array, list[str]]:
    known = np.isfinite(values)
    names = [item.name for item in card.inputs]
    if card.weights:
        weights = np.array([card.weights[name] for name in names])
        size = np.abs(weights)
        coverage = known @ size / size.sum()
        score = np.where(known, values, 0.0) @ weights
        if card.missing == "rescale":
            with np.errstate(divide="ignore", invalid="ignore"):
                score = np.where(coverage >= card.min_coverage - 1e-12, score / coverage, np.nan)
        else:
            score = np.where(known.all(axis=1), score, np.nan)
        score = score + card.intercept
    else:
        coverage = known.mean(axis=1)
        pool = {name: values[:, j] for j, name in enumerate(names)}
        for term in card.terms:
            pool[term.name] = evaluate(term.formula, pool)
        score = evaluate(card.score, pool)
    lost = [[name for j, name in enumerate(names) if not row[j]] for row in known]
    reasons = [
        "" if np.isfinite(value) else (f"missing {shown(gone)}" if gone else "not defined")
        for value, gone in zip(score, lost, strict=True)
    ]
    if card.floor is not None:
        score = np.maximum(score, card.floor)
    if card.cap is not None:
        score = np.minimum(score, card.cap)
    return score, coverage, reasons


def _group(card: SignatureCard, value: float) -> str | None:
    if not np.isfinite(value):
        return None
    return next((group.name for group in card.groups if group.holds(value)), None)
