"""PLINK 2 filesets: .pgen with its .pvar (or .bim) and .psam (or .fam)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FormatError
from radgen.io._variants import numbers, variant_frame
from radgen.io.plink import read_bim, read_fam

__all__ = ["PgenReader", "open_pgen", "read_psam", "read_pvar"]


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
    needed = ("#CHROM", "POS", "ID", "REF", "ALT")
    missing = [name for name in needed if name not in table.columns]
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


def read_psam(path: Path) -> pl.DataFrame:
    """Return the people of a .psam file: fid, iid, father, mother, sex, phenotype.

    Raises
    ------
    FormatError
        If there is no IID column.
    """
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot be read: {error}", path=path) from error
    lines = [line for line in lines if not line[0].startswith("##")]
    if not lines or not lines[0][0].startswith("#"):
        return read_fam(path)
    header = [name.lstrip("#") for name in lines[0]]
    if "IID" not in header:
        raise FormatError("has no IID column in its #FID or #IID header line.", path=path)
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            raise FormatError(
                f"has {len(line)} fields; the header names {len(header)}.", path=path, line=number
            )
    column = {name: [line[i] for line in lines[1:]] for i, name in enumerate(header)}
    n = len(lines) - 1
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


def open_pgen(path: Path) -> tuple[pl.DataFrame, pl.DataFrame, PgenReader]:
    """Return people, variants and the reader of a PLINK 2 fileset.

    Raises
    ------
    FormatError
        If a companion file is missing, or the .pgen is damaged or of another size.
    """
    psam, fam = path.with_suffix(".psam"), path.with_suffix(".fam")
    people = read_psam(psam) if psam.exists() or not fam.exists() else read_fam(fam)
    places = [path.with_suffix(end) for end in (".pvar", ".pvar.zst")]
    found = next((place for place in places if place.exists()), None)
    bim = path.with_suffix(".bim")
    if found is not None:
        variants, records, alleles = read_pvar(found)
    elif bim.exists():
        variants = read_bim(bim)
        records, alleles = np.arange(variants.height), np.ones(variants.height, np.int64)
    else:
        raise FormatError("has no .pvar, .pvar.zst or .bim beside it.", path=path)
    if not people.height or not variants.height:
        raise FormatError("has no samples or no variants.", path=path)
    reader = PgenReader(str(path), people.height, records, alleles)
    reader.read(0, 1)
    return people, variants, reader
