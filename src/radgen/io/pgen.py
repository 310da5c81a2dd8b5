"""PLINK 2 filesets: .pgen with its .pvar (or .bim) and .psam (or .fam)."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FormatError
from radgen.io._later_variants import LaterVariants, left_in_file
from radgen.io._variants import numbers, read_bytes, variant_frame
from radgen.io.plink import fam_names, look_bim, read_bim, read_fam

__all__ = ["PgenReader", "look_pgen", "open_pgen", "read_psam", "read_pvar"]

Array = NDArray[np.int64]
_PVAR = ("#CHROM", "POS", "ID", "REF", "ALT")


class PgenReader:
    """Blocks of dosages of a .pgen file; each thread opens it for itself.

    Parameters
    ----------
    path : str
        The .pgen file.
    n_samples : int
        Number of samples of the file.
    records : ndarray of int64 (n_variants,)
        Record of the file behind each variant (multiallelic records are split).
    alleles : ndarray of int64 (n_variants,)
        Which alternate allele of the record it is, from 1.
    """

    def __init__(
        self, path: str, n_samples: int, records: NDArray[np.int64], alleles: NDArray[np.int64]
    ) -> None:
        self.path = path
        self.n_samples = n_samples
        self.records = records
        self.alleles = alleles
        self._local = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return PgenReader, (self.path, self.n_samples, self.records, self.alleles)

    def _open(self) -> Any:
        if not hasattr(self._local, "reader"):
            self._local.reader = _pgen(self.path, self.n_samples, self.records)
        return self._local.reader

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return ALT dosages float32 (stop - start, n_samples), NaN = missing.

        Raises
        ------
        FormatError
            If the file is damaged.
        """
        out = np.empty((stop - start, self.n_samples), np.float32)
        if stop <= start:
            return out
        reader = self._open()
        records, alleles = self.records[start:stop], self.alleles[start:stop]
        plain = (alleles == 1).all() and records[-1] - records[0] == stop - start - 1
        try:
            if plain:
                reader.read_dosages_range(int(records[0]), int(records[-1]) + 1, out)
            else:
                for row, (record, allele) in enumerate(zip(records, alleles, strict=True)):
                    reader.read_dosages(int(record), out[row], int(allele))
        except (RuntimeError, ValueError) as error:
            raise FormatError(f"cannot be decoded: {error}", path=self.path) from error
        out[out < 0] = np.nan
        return out


def _pgen(path: str, n_samples: int, records: NDArray[np.int64]) -> Any:
    import pgenlib

    per_record = np.bincount(records) + 1
    offsets = np.concatenate([[0], np.cumsum(per_record)]).astype(np.uintp)
    many = bool((per_record > 2).any())
    try:
        return pgenlib.PgenReader(
            path.encode(),
            raw_sample_ct=n_samples,
            variant_ct=len(per_record),
            allele_idx_offsets=offsets if many else None,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise FormatError(f"is no readable .pgen file: {error}", path=path) from error


def read_pvar(path: Path) -> tuple[pl.DataFrame, NDArray[np.int64], NDArray[np.int64]]:
    """Return the variants of a .pvar (or .pvar.zst), one row an alternate allele.

    Returns
    -------
    variants : polars.DataFrame
        Columns chrom, pos, id, ref, alt.
    records, alleles : ndarray of int64 (n_variants,)
        Record of the file, and number of the alternate allele in it, from 1.

    Raises
    ------
    FormatError
        If a column is missing or a position is no whole number.
    """
    try:
        table = pl.read_csv(
            path, separator="\t", comment_prefix="##", infer_schema=False, quote_char=None
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FormatError(f"cannot be read: {error}", path=path) from error
    missing = [name for name in _PVAR if name not in table.columns]
    if missing:
        raise FormatError(f"lacks the columns {', '.join(missing)}.", path=path)
    pos = numbers(table["POS"], path=path)
    variants = variant_frame(table["#CHROM"], pos, table["ID"], table["REF"], table["ALT"])
    if not variants["alt"].str.contains(",", literal=True).any():
        rows = np.arange(variants.height)
        return variants, rows, np.ones(len(rows), np.int64)
    split = (
        variants.with_row_index("record")
        .with_columns(pl.col("alt").str.split(","))
        .with_columns(pl.int_ranges(1, pl.col("alt").list.len() + 1).alias("allele"))
        .explode("alt", "allele")
    )
    records = split["record"].to_numpy().astype(np.int64)
    alleles = split["allele"].to_numpy().astype(np.int64)
    return split.drop("record", "allele"), records, alleles


def _pvar_variants(path: Path) -> pl.DataFrame:
    return read_pvar(path)[0]


def _look_pvar(path: Path) -> LaterVariants | None:
    """Return the variants of a .pvar of plain lines with one alternate allele; None of another."""
    if path.suffix != ".pvar":
        return None
    raw = read_bytes(path)
    head = 0
    while raw.startswith(b"##", head):
        head = raw.find(b"\n", head) + 1
        if not head:
            return None
    end = raw.find(b"\n", head) + 1
    names = raw[head:end].decode("utf-8", "replace").rstrip("\n").split("\t")
    if not end or names[0] != "#CHROM" or not set(_PVAR) <= set(names):
        return None
    reader, lone = partial(_pvar_variants, path), names.index("ALT")
    return left_in_file(path, raw, len(names), reader, head=end, lone=lone)


def read_psam(path: Path) -> pl.DataFrame:
    """Return the people of a .psam file: fid, iid, father, mother, sex, phenotype.

    Raises
    ------
    FormatError
        If there is no IID column.
    """
    column = _psam_columns(path)
    if column is None:
        return read_fam(path)
    n = len(column["IID"])
    sexes = {"1": "male", "2": "female", "M": "male", "F": "female"}
    return pl.DataFrame(
        {
            "fid": column.get("FID", ["0"] * n),
            "iid": column["IID"],
            "father": column.get("PAT", ["0"] * n),
            "mother": column.get("MAT", ["0"] * n),
            "sex": [sexes.get(item.upper()) for item in column.get("SEX", [""] * n)],
            "phenotype": column.get("PHENO1", [""] * n),
        },
        schema=dict.fromkeys(("fid", "iid", "father", "mother", "sex", "phenotype"), pl.String),
    )


def _psam_columns(path: Path) -> dict[str, list[str]] | None:
    """Return the columns of a .psam file by their names; None where it has no header."""
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot be read: {error}", path=path) from error
    lines = [line for line in lines if not line[0].startswith("##")]
    if not lines or not lines[0][0].startswith("#"):
        return None
    header = [name.lstrip("#") for name in lines[0]]
    if "IID" not in header:
        raise FormatError("has no IID column in its #FID or #IID header line.", path=path)
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            raise FormatError(
                f"has {len(line)} fields; the header names {len(header)}.", path=path, line=number
            )
    return {name: [line[i] for line in lines[1:]] for i, name in enumerate(header)}


def _psam_names(path: Path, ids: Literal["iid", "fid_iid"]) -> list[str]:
    """Return the sample names of a .psam file."""
    column = _psam_columns(path)
    if column is None:
        return fam_names(path, ids)
    if ids == "iid":
        return column["IID"]
    families = column.get("FID", ["0"] * len(column["IID"]))
    return [f"{fid}_{iid}" for fid, iid in zip(families, column["IID"], strict=True)]


def _companions(path: Path) -> tuple[Path, Path]:
    """Return the files of the people and of the variants of a .pgen.

    Raises
    ------
    FormatError
        If there is no file of variants.
    """
    psam, fam = path.with_suffix(".psam"), path.with_suffix(".fam")
    ends = (".pvar", ".pvar.zst", ".bim")
    variants = next((at for end in ends if (at := path.with_suffix(end)).exists()), None)
    if variants is None:
        raise FormatError("has no .pvar, .pvar.zst or .bim beside it.", path=path)
    return psam if psam.exists() or not fam.exists() else fam, variants


def _checked(path: Path, n_samples: int, records: Array, alleles: Array) -> PgenReader:
    """Return the reader of a .pgen that has been looked into."""
    if not n_samples or not len(records):
        raise FormatError("has no samples or no variants.", path=path)
    reader = PgenReader(str(path), n_samples, records, alleles)
    reader.read(0, 1)
    return reader


def look_pgen(
    path: Path, ids: Literal["iid", "fid_iid"]
) -> tuple[list[str], LaterVariants | pl.DataFrame, PgenReader]:
    """Return sample names, variants and the reader of a PLINK 2 fileset.

    Variants are left in their file where its lines are plain, so that no data frame library
    is needed before they are.

    Raises
    ------
    FormatError
        As `open_pgen`.
    """
    who, what = _companions(path)
    names = _psam_names(who, ids) if who.suffix == ".psam" else fam_names(who, ids)
    found = look_bim(what, "last") if what.suffix == ".bim" else _look_pvar(what)
    if found is None:
        found, records, alleles = read_pvar(what)
    else:
        later = isinstance(found, LaterVariants)
        records = np.arange(found.n_variants if later else found.height)
        alleles = np.ones(len(records), np.int64)
    return names, found, _checked(path, len(names), records, alleles)


def open_pgen(path: Path) -> tuple[pl.DataFrame, pl.DataFrame, PgenReader]:
    """Return people, variants and the reader of a PLINK 2 fileset.

    Raises
    ------
    FormatError
        If a companion file is missing, or the .pgen is damaged or of another size.
    """
    who, what = _companions(path)
    people = read_psam(who) if who.suffix == ".psam" else read_fam(who)
    if what.suffix == ".bim":
        variants = read_bim(what)
        records, alleles = np.arange(variants.height), np.ones(variants.height, np.int64)
    else:
        variants, records, alleles = read_pvar(what)
    return people, variants, _checked(path, people.height, records, alleles)
