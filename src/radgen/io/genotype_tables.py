"""Genotypes of a few variants in a plain table, a row a sample: candidate genes, PLINK's .raw."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from radgen._core.id_names import FAMILY_NAMES
from radgen.errors import FormatError, RadgenWarning, shown
from radgen.io._variants import human_chromosomes
from radgen.io.feature_tables import find_id_column
from radgen.io.tables import BLANKS, read_table, text_of, to_numbers
from radgen.types.genotype import ArrayDosages, GenotypeMatrix

__all__ = ["read_genotype_table"]

_RAW = ("PAT", "MAT", "SEX", "PHENOTYPE")
_CALL = re.compile(r"([ACGTDI]+|-)[/|: ]([ACGTDI]+|-)|([ACGTDI])([ACGTDI])", re.I)
_UNKNOWN = BLANKS | {"nn", "n/n", "00", "0/0", "0 0", "--", "./.", ".|.", "nc", "no call",
                     "undetermined", "unknown", "failed", "u", "?"}  # fmt: skip
_PLACED = re.compile(
    r"(?:chr)?([0-9]{1,2}|X|Y|MT?|XY)[:_.-](\d+)(?:[:_.-]([ACGT]+)[:_.-]([ACGT]+))?", re.I
)
_COUNTED = re.compile(r"(.+)_([ACGT]+|[DI])(?:\(/([ACGT]+|[DI])\))?", re.I)
_RS = re.compile(r"(?:.*_)?rs\d+", re.I)


class _Variant(NamedTuple):
    """What a header and the cells below it say."""

    name: str
    chrom: str
    pos: int
    ref: str
    alt: str
    dosage: np.ndarray[tuple[int], np.dtype[np.float32]]


def read_genotype_table(path: str | Path, *, build: str = "", ids: str = "iid") -> GenotypeMatrix:
    """Return the genotypes of a table.

    Parameters
    ----------
    path : str or Path
        A row a sample. Columns of genotypes hold pairs of alleles ("AG", "A/G", "C|C", "D/I"), or
        numbers of copies (0, 1, 2, or dosages) of the allele that the header names as in PLINK's
        .raw ("rs7_A", "rs7_A(/G)") or else of an allele that the table does not name.
    build : str, default ""
        Genome build of positions in headers ("19:45411941").
    ids : {"iid", "fid_iid"}
        What names a sample.

    Returns
    -------
    GenotypeMatrix
        ALT is the counted allele; of pairs of alleles the rarer one of the table, so that effects
        are per copy of it. Alleles that are not known are "N". A variant without a position in
        its header stands on chromosome "0". Columns of anything else are left out.

    Raises
    ------
    FormatError
        If the file cannot be read, or no column holds genotypes; or a pair of alleles cannot be
        read, or a variant has three alleles.

    Warns
    -----
    RadgenWarning
        Names the columns that are no genotypes.
    """
    file = Path(path)
    table = _split_raw(file) if file.suffix.lower() == ".raw" else read_table(file)
    key = "IID" if "IID" in table.columns else find_id_column(table, None, file)
    samples = text_of(table[key], path=file)
    if ids == "fid_iid":
        if "FID" not in table.columns:
            raise FormatError("has no column FID, which ids of families need.", path=file)
        family = text_of(table["FID"], path=file)
        samples = [f"{a}_{b}" for a, b in zip(family, samples, strict=True)]
    rest = [n for n in table.columns if n not in {key, *FAMILY_NAMES, *_RAW}]
    pure = all(_is_count(table[name]) for name in rest)
    found, left = [], []
    for name in rest:
        variant = _variant(table[name], file, counts=pure or _names_variant(name))
        if variant is None:
            left.append(name)
        else:
            found.append(variant)
    if not found:
        raise FormatError(
            "No column holds genotypes: pairs of alleles (AG, A/G), or 0, 1, 2 under the name of a "
            "variant (rs7, rs7_A, 19:45411941).",
            path=file,
        )
    if left:
        warnings.warn(
            f"{file.name}: {shown(left)} hold no genotypes and are left out.", RadgenWarning,
            stacklevel=2,
        )  # fmt: skip
    variants = pl.DataFrame(
        {
            "chrom": human_chromosomes(pl.Series([v.chrom for v in found])),
            "pos": [v.pos for v in found], "id": [v.name for v in found],
            "ref": [v.ref for v in found], "alt": [v.alt for v in found],
        }
    )  # fmt: skip
    order = variants.with_row_index("at").sort("chrom", "pos", "at")["at"].to_list()
    dosages = np.array([found[k].dosage for k in order], dtype=np.float32)
    return GenotypeMatrix(tuple(samples), variants[order], ArrayDosages(dosages), build)


def _split_raw(file: Path) -> pl.DataFrame:
    lines = file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []
    rows = [line.split() for line in lines if line.strip()]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise FormatError("is missing, empty, or has rows of different lengths.", path=file)
    columns = {name: [row[k] for row in rows[1:]] for k, name in enumerate(rows[0])}
    if len(columns) < len(rows[0]):
        raise FormatError("has two columns of one name.", path=file, line=1)
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _names_variant(header: str) -> bool:
    counted = _COUNTED.fullmatch(header)
    name = counted[1] if counted else header
    return bool(_RS.fullmatch(name) or _PLACED.fullmatch(name))


def _is_count(column: pl.Series) -> bool:
    """Return whether all known cells are 0, 1 or 2."""
    numbers, dirty = to_numbers(column.cast(pl.String))
    odd = [text for _, _, text in dirty if text.strip().lower() not in _UNKNOWN]
    return not odd and numbers.drop_nulls().is_in([0.0, 1.0, 2.0]).all()


def _variant(column: pl.Series, file: Path, *, counts: bool) -> _Variant | None:
    cells = ["" if cell is None else str(cell).strip() for cell in column.to_list()]
    known = [cell for cell in cells if cell.lower() not in _UNKNOWN]
    if not known:
        return None
    placed = _PLACED.fullmatch(column.name)
    chrom, pos = (placed[1].upper(), int(placed[2])) if placed else ("0", 0)
    numbers, dirty = to_numbers(pl.Series(column.name, [c if c in known else None for c in cells]))
    if not dirty:
        dosage = numbers.to_numpy().astype(np.float32)
        inside = np.isnan(dosage) | ((dosage >= 0) & (dosage <= 2))
        if not (counts and inside.all()):
            return None
        counted = _COUNTED.fullmatch(column.name)
        alt = counted[2].upper() if counted else placed[4] if placed and placed[4] else "N"
        ref = counted[3] if counted and counted[3] else placed[3] if placed and placed[3] else "N"
        name = counted[1] if counted else column.name
        return _Variant(name, chrom, pos, str(ref).upper(), str(alt).upper(), dosage)
    calls = [_CALL.fullmatch(cell) for cell in known]
    read = sum(call is not None for call in calls)
    if read < 0.5 * len(known):
        return None
    if read < len(known):
        odd = [cell for cell, call in zip(known, calls, strict=True) if call is None]
        raise FormatError(
            f"Genotypes of {column.name!r} that cannot be read: {shown(dict.fromkeys(odd))}. Write "
            "AG or A/G, and NA where it is unknown.",
            path=file,
        )
    return _of_pairs(column.name, (chrom, pos), cells, file)


def _of_pairs(name: str, place: tuple[str, int], cells: Sequence[str], file: Path) -> _Variant:
    pairs = [None if cell.lower() in _UNKNOWN else _CALL.fullmatch(cell) for cell in cells]
    alleles = [
        None if pair is None else (str(pair[1] or pair[3]).upper(), str(pair[2] or pair[4]).upper())
        for pair in pairs
    ]
    counts = Counter(allele for pair in alleles if pair is not None for allele in pair)
    if len(counts) > 2:
        raise FormatError(
            f"{name!r} has {len(counts)} alleles ({', '.join(sorted(counts))}); a variant has two. "
            "Split it into columns, or mend the cells.",
            path=file,
        )
    common, *others = sorted(counts, key=lambda allele: (-counts[allele], allele))
    rare = others[0] if others else "N"
    dosage = [np.nan if pair is None else float(sum(a == rare for a in pair)) for pair in alleles]
    return _Variant(name, *place, common, rare, np.array(dosage, dtype=np.float32))
