"""Match samples by id: the one function of radgen that does so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import AlignmentError, shown

__all__ = ["Alignment", "align", "check_unique", "longer_barcodes", "look_alikes"]

_DROPPED = ("sample", "present_in", "absent_from")


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """Who is used, where they stand in each table, and who was dropped.

    Attributes
    ----------
    samples : tuple of str
        Ids present in every table, in the order of the first table.
    rows : mapping of str to ndarray of int64 (n_samples,)
        For each table, the row of each of `samples`.
    left_out : tuple of (str, str, str)
        One a sample that is not used: its id, the tables that hold it, those that do not.
    counts : mapping of str to int
        Number of samples of each table before matching.
    """

    samples: tuple[str, ...]
    rows: Mapping[str, NDArray[np.int64]]
    left_out: tuple[tuple[str, str, str], ...]
    counts: Mapping[str, int]

    @property
    def n_samples(self) -> int:
        """Number of samples present in every table."""
        return len(self.samples)

    @property
    def dropped(self) -> pl.DataFrame:
        """Who is left out: columns ``sample, present_in, absent_from``."""
        schema = dict.fromkeys(_DROPPED, pl.String)
        return pl.DataFrame(list(self.left_out), schema=schema, orient="row")

    def describe(self) -> str:
        """Return one line that says how many were used and how many each table lost."""
        parts = [f"{name}: {len(self.samples)} of {count}" for name, count in self.counts.items()]
        return f"{len(self.samples)} samples matched by id ({'; '.join(parts)})"


def check_unique(samples: Sequence[str], *, what: str) -> None:
    """Raise where a sample id is repeated.

    Raises
    ------
    AlignmentError
        Names the repeated ids.
    """
    if len(set(samples)) == len(samples):
        return
    repeated = [item for item, count in Counter(samples).items() if count > 1]
    raise AlignmentError(
        f"{what}: {len(repeated)} sample ids stand in more than one row: {shown(repeated)}. "
        "Keep one row a sample (choose the lesion or visit, or aggregate), then run again.",
        repeated=repeated,
    )


def align(tables: Mapping[str, Sequence[str]], *, need: int = 1) -> Alignment:
    """Return which samples stand in every table, and where.

    Parameters
    ----------
    tables : mapping of str to sequence of str
        For each table its name and its sample ids.
    need : int, default 1
        The smallest number of common samples that can be used.

    Returns
    -------
    Alignment
        Common samples in the order of the first table, rows in each table, and the dropped.

    Raises
    ------
    AlignmentError
        If an id is repeated within a table, or fewer than `need` are common to all.

    Examples
    --------
    >>> found = align({"images": ["a", "b", "c"], "genes": ["c", "a"]})
    >>> found.samples
    ('a', 'c')
    >>> found.rows["genes"].tolist()
    [1, 0]
    """
    names = list(tables)
    ids = {name: list(tables[name]) for name in names}
    for name in names:
        check_unique(ids[name], what=f"Table {name!r}")
    if len(ids[names[0]]) >= need and all(ids[name] == ids[names[0]] for name in names):
        return _everyone(ids)
    place = {name: {item: row for row, item in enumerate(ids[name])} for name in names}
    common = tuple(item for item in ids[names[0]] if all(item in place[name] for name in names))
    if len(common) < need:
        raise AlignmentError(
            _too_few(ids, len(common), need),
            missing=[item for item in ids[names[0]] if item not in common],
        )
    used = set(common)
    everyone = dict.fromkeys(item for name in names for item in ids[name])
    left_out = tuple(
        (
            item,
            _joined(n for n in names if item in place[n]),
            _joined(n for n in names if item not in place[n]),
        )
        for item in everyone
        if item not in used
    )
    rows = {
        name: np.array([place[name][item] for item in common], dtype=np.int64) for name in names
    }
    return Alignment(common, rows, left_out, {name: len(ids[name]) for name in names})


def _everyone(ids: Mapping[str, list[str]]) -> Alignment:
    """Return the alignment of tables that hold the same ids in the same order."""
    first = next(iter(ids.values()))
    rows = {name: np.arange(len(first), dtype=np.int64) for name in ids}
    counts = dict.fromkeys(ids, len(first))
    return Alignment(tuple(first), rows, (), counts)


def look_alikes(left: Iterable[str], right: Iterable[str]) -> list[tuple[str, str]]:
    """Return ids without a partner that differ from one of the other side in spelling only.

    Parameters
    ----------
    left, right : iterable of str
        Ids of two tables.

    Returns
    -------
    list of (str, str)
        Pairs that are alike but for case, spaces, punctuation and zeros on the left of numbers,
        in the order of `left`; ids that stand in both tables are no part of any pair.

    Notes
    -----
    They are never matched: whether ``P01`` is ``p-1`` is for the user to declare.

    Examples
    --------
    >>> look_alikes(["P 01", "P02", "P03"], ["p1", "P02", "P-30"])
    [('P 01', 'p1')]
    """
    first, second = dict.fromkeys(left), dict.fromkeys(right)
    forms: dict[tuple[str, ...], str] = {}
    for item in second:
        if item not in first:
            forms.setdefault(_form(item), item)
    pairs = ((item, forms.get(_form(item))) for item in first if item not in second)
    return [(item, other) for item, other in pairs if other is not None]


def longer_barcodes(left: Iterable[str], right: Iterable[str]) -> list[tuple[str, str]]:
    """Return TCGA patients without a partner, with a longer barcode of theirs on the other side.

    Parameters
    ----------
    left, right : iterable of str
        Ids of two tables.

    Returns
    -------
    list of (str, str)
        In the order of `left`.

    Examples
    --------
    >>> longer_barcodes(["TCGA-02-0001", "P1"], ["TCGA-02-0001-01A", "P1-01A"])
    [('TCGA-02-0001', 'TCGA-02-0001-01A')]
    """
    first, second = dict.fromkeys(left), dict.fromkeys(right)
    forms: dict[str, str] = {}
    for item in second:
        if item not in first:
            forms.setdefault(item[:12], item)
    return [
        (item, forms[item[:12]])
        for item in first
        if item not in second
        and item.startswith("TCGA-")
        and len(item) >= 12
        and item[:12] in forms
    ]


def _form(text: str) -> tuple[str, ...]:
    """Return the words and numbers of an id."""
    parts = re.findall(r"\d+|[^\W\d_]+", text.casefold())
    return tuple((part.lstrip("0") or "0") if part.isdigit() else part for part in parts)


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names)


def _too_few(ids: Mapping[str, list[str]], found: int, need: int) -> str:
    names = list(ids)
    lines = [f"Only {found} samples stand in every table; needed are {need}."]
    lines += [f"  {name}: {len(ids[name])} ids, such as {shown(ids[name], 3)}" for name in names]
    hint = _spelling_hint(ids, found)
    lines.append(hint or "Check that the tables use the same ids.")
    return "\n".join(lines)


def _spelling_hint(ids: Mapping[str, list[str]], found: int) -> str | None:
    rules: dict[str, Callable[[str], str]] = {
        "upper and lower case": str.casefold,
        "spaces around the id": str.strip,
        "leading zeros": lambda item: item.lstrip("0"),
        "the characters - and _": lambda item: item.replace("_", "-"),
        "what follows the first 12 characters (TCGA barcodes)": lambda item: item[:12],
    }
    first, *others = ids.values()
    for what, rule in rules.items():
        keys = {rule(item) for item in first}
        for other in others:
            keys &= {rule(item) for item in other}
        if len(keys) > max(1, found, len(first) // 4):
            return (
                f"The ids of {len(keys)} samples differ only in {what}: write them alike, or "
                "declare an id rule (id_rule of a study file; --id-case, --id-first)."
            )
    return None
