"""What the tables of a folder are: image features, patients, or a molecular matrix."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from radgen._core.id_names import is_id_name
from radgen.errors import RadgenError
from radgen.io import to_numbers
from radgen.io._feature_names import is_diagnostic, name_spec
from radgen.io.genotype_tables import names_variant
from radgen.types.align import longer_barcodes

__all__ = ["Matrix", "Seen", "is_of_lesions", "matrix_of", "see"]

_FEATURE_FILE = re.compile(r"(radiomic|features?\b|features?_|_features|imaging)", re.I)
_IMAGE_FILE = re.compile(r"(^|[_.-])(mri?|ct|pet|dce|t1|t2|flair)[_.-]", re.I)
_GENE_FILE = re.compile(
    r"(rna|expr|gene|meth|cnv|cna|gistic|prot|rppa|pathway|snp|geno|mutation)", re.I
)
_VISIT = re.compile(r"(visit|time ?point|session|examination|scan ?number|repeat)", re.I)
_VARIANT = re.compile(r"rs\d+")
_LAYER_FILES = (
    ("methylation", re.compile(r"(meth|450k|epic)", re.I)),
    ("copy_number", re.compile(r"(cnv|cna|gistic|copy)", re.I)),
    ("protein", re.compile(r"(rppa|protein|proteom)", re.I)),
    ("pathway", re.compile(r"(pathway|ssgsea|hallmark|gsva)", re.I)),
    ("mutation", re.compile(r"(mutation|mutat|_mut)", re.I)),
    ("expression", re.compile(r"(rna|expr|tpm|fpkm|counts)", re.I)),
)
_WIDE = 20
_MOSTLY = 0.9


@dataclass(frozen=True, slots=True)
class Matrix:
    """A molecular matrix and what its values look like.

    Attributes
    ----------
    path, layer, scale : str
        As a study file names them; `scale` is a guess.
    samples_in : str
        "rows", "columns", or "" where known ids do not tell.
    samples : int
        How many of its samples are known from other tables.
    barcodes : bool
        Whether its ids are longer TCGA barcodes of known patients.
    """

    path: str
    layer: str
    scale: str
    samples_in: str
    samples: int
    barcodes: bool


@dataclass(frozen=True, eq=False)
class Seen:
    """A table, and what its columns are.

    Attributes
    ----------
    name : str
        Path below the folder.
    table : polars.DataFrame
    key : str
        Column of sample ids; "" = none.
    features : tuple of str
        Columns that are image features by name, or by the name of the file.
    numbers : tuple of str
        Columns of numbers, the features among them.
    named : bool
        Whether the names of the columns say that they are features, not that of the file.
    """

    name: str
    table: pl.DataFrame = field(repr=False)
    key: str
    features: tuple[str, ...]
    numbers: tuple[str, ...]
    named: bool

    @property
    def ids(self) -> list[str]:
        """Sample ids of its rows."""
        if not self.key:
            return []
        return [str(cell).strip() for cell in self.table[self.key].drop_nulls().to_list()]

    @property
    def others(self) -> tuple[str, ...]:
        """Columns that are neither id, feature nor diagnostics of an extractor."""
        named = {self.key, *self.features}
        return tuple(c for c in self.table.columns if c not in named and not is_diagnostic(c))

    @property
    def repeats(self) -> tuple[str, str]:
        """Columns of the visit and of the region that tell several rows of a sample apart."""
        keys = [self.key]
        if not self.key or self.table[self.key].n_unique() == self.table.height:
            return "", ""
        visit = next((c for c in self.others if _VISIT.search(c)), "")
        keys += [visit] if visit else []
        if self.table.select(keys).n_unique() == self.table.height:
            return visit, ""
        for name in self.others:
            fits = name not in self.numbers and name != visit
            if fits and self.table.select([*keys, name]).n_unique() == self.table.height:
                return visit, name
        return "", ""

    @property
    def kind(self) -> str:
        """Return "features", "both" (features and patients), "matrix", "patients" …

        Also "genotypes" (a table of variants), or "" where there is no id.
        """
        variants = sum(map(names_variant, self.table.columns))
        if self.key and variants >= max(1, len(self.table.columns) / 2):
            return "genotypes"
        width = self.table.width - bool(self.key)
        numeric = len(self.numbers) >= _MOSTLY * width
        unique = bool(self.key) and self.table[self.key].n_unique() == self.table.height
        if self.features:
            return "both" if unique and len(self.others) >= 3 else "features"
        if numeric and (width >= _WIDE or _GENE_FILE.search(self.name)) and width >= 3:
            return "matrix"
        variants = sum(bool(_VARIANT.fullmatch(item)) for item in self.ids)
        return "patients" if unique and variants < self.table.height / 2 else ""


def see(name: str, table: pl.DataFrame) -> Seen:
    """Return a table with the roles of its columns."""
    key = _id_column(table)
    rest = [c for c in table.columns if c != key]
    numbers = tuple(c for c in rest if _is_number(table[c]))
    features = tuple(c for c in numbers if name_spec(c)["family"])
    named = len(features) >= 3
    file = Path(name).name
    wide = len(numbers) >= max(_WIDE, _MOSTLY * len(rest))
    alone = len(numbers) >= max(1, _MOSTLY * len(rest))
    if not named and (
        (_FEATURE_FILE.search(file) and (len(numbers) >= 8 or alone))
        or (_IMAGE_FILE.search(file) and wide)
    ):
        features = tuple(c for c in numbers if not is_diagnostic(c))
        return Seen(name, table, key, features, numbers, named)
    return Seen(name, table, key, features if named else (), numbers, named)


def matrix_of(seen: Seen, known: Collection[str]) -> Matrix | None:
    """Return a wide table of numbers as a molecular matrix; None where it has no ids.

    Parameters
    ----------
    seen : Seen
        The table.
    known : collection of str
        Ids of the patients of the other tables.
    """
    header = list(seen.table.columns[1:])
    hits = {where: _hits(ids, known) for where, ids in (("rows", seen.ids), ("columns", header))}
    where = max(hits, key=lambda side: hits[side][0])
    count, barcodes = hits[where]
    if not (seen.key or count):
        return None
    values = _values(seen)
    layer = _layer(Path(seen.name).name, values)
    return Matrix(
        seen.name, layer, _scale(Path(seen.name).name, layer, values),
        where if count else "", count, barcodes,
    )  # fmt: skip


def is_of_lesions(path: Path, table: pl.DataFrame) -> bool:
    """Return whether a table holds lesions at visits: it says lesion and visit, and can be read."""
    words = {name.strip().lower().partition(" ")[0].partition("_")[0] for name in table.columns}
    if not ({"lesion", "tumour", "tumor"} & words and {"visit", "visitnum", "timepoint"} & words):
        return False
    from radgen.io.lesion_tables import read_lesions

    try:
        read_lesions(path)
    except RadgenError:
        return False
    return True


def _id_column(table: pl.DataFrame) -> str:
    """Return the column named like an id, the one with most values first, or one of texts."""
    named = [name for name in table.columns if is_id_name(name.strip())]
    if named:
        return max(named, key=lambda name: table[name].n_unique())
    for name in (table.columns[0], table.columns[-1]):
        texts = table[name].cast(pl.String)
        if texts.n_unique() == table.height and len(to_numbers(texts)[1]) == table.height:
            return name
    return ""


def _is_number(column: pl.Series) -> bool:
    """Return whether nearly all known cells are numbers (some tables hold a few broken ones)."""
    numbers, dirty = to_numbers(column.cast(pl.String))
    known = int(numbers.len()) - int(numbers.null_count())
    return known > 0 and len(dirty) <= 0.1 * (known + len(dirty))


def _hits(ids: Sequence[str], known: Collection[str]) -> tuple[int, bool]:
    exact = len(set(ids) & set(known))
    longer = len(longer_barcodes(known, ids))
    return max(exact, longer), longer > exact


def _values(seen: Seen) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the known values of a few columns."""
    columns = seen.numbers[:: max(len(seen.numbers) // 50, 1)]
    parts = [to_numbers(seen.table[c].cast(pl.String))[0].drop_nulls().to_numpy() for c in columns]
    values = np.concatenate(parts) if parts else np.zeros(0)
    return values[np.isfinite(values)]


def _layer(name: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    named = next((layer for layer, pattern in _LAYER_FILES if pattern.search(name)), "")
    if named:
        return named
    return "mutation" if values.size and np.isin(values, (0, 1)).all() else "expression"


def _scale(name: str, layer: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    if not values.size:
        return ""
    whole = bool(np.all(values == np.round(values)))
    if np.isin(values, (0, 1)).all():
        return "binary"
    if layer == "methylation" and values.min() >= 0 and values.max() <= 1:
        return "beta"
    if layer == "copy_number" and whole:
        return "ordinal"
    if whole and values.min() >= 0 and values.max() > 50:
        return "counts"
    if re.search(r"z[-_ ]?score", name, re.I):
        return "zscore"
    return "score" if layer == "pathway" else "log2"
