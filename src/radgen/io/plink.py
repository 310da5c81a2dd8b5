"""PLINK 1 filesets: .bed with its .bim and .fam."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen._native import _genotype
from radgen.errors import FormatError
from radgen.io._later_variants import LaterVariants, left_in_file
from radgen.io._variants import numbers, read_bytes, read_fields, variant_frame

__all__ = [
    "BedReader",
    "fam_names",
    "look_bed",
    "look_bim",
    "open_bed",
    "read_bim",
    "read_fam",
]

_BIM = ("chrom", "id", "cm", "pos", "a1", "a2")
_FAM = ("fid", "iid", "father", "mother", "sex", "phenotype")
_MAGIC = b"\x6c\x1b"
_ALT_FIRST = np.array([2.0, np.nan, 1.0, 0.0], np.float32)
_ALT_LAST = np.array([0.0, np.nan, 1.0, 2.0], np.float32)


@dataclass(frozen=True, slots=True)
class BedReader:
    """Blocks of a variant-major .bed file; safe to share between threads and to pickle.

    Attributes
    ----------
    path : str
        The .bed file.
    n_samples, n_variants : int
        Rows of the .fam and of the .bim.
    alt_last : bool
        False: ALT is the first allele of the .bim (column 5, "A1"), as PLINK 2 reads it;
        True: ALT is the second one.
    """

    path: str
    n_samples: int
    n_variants: int
    alt_last: bool = False

    @property
    def stride(self) -> int:
        """Bytes a variant."""
        return (self.n_samples + 3) // 4

    def packed(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return the two-bit codes, uint8 (stop - start, ceil(n_samples / 4)).

        Raises
        ------
        FormatError
            If the file has become shorter than it was when it was opened.
        """
        out = np.empty((stop - start, self.stride), np.uint8)
        with Path(self.path).open("rb", buffering=0) as stream:
            stream.seek(3 + start * self.stride)
            view = memoryview(out).cast("B") if out.size else memoryview(b"")
            at = 0
            while at < out.size:
                got = stream.readinto(view[at:])
                if not got:
                    raise FormatError("ends before the variants asked for.", path=self.path)
                at += got
        return out

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return ALT dosages float32 (stop - start, n_samples), NaN = missing."""
        out = np.empty((stop - start, self.n_samples), np.float32)
        lut = _ALT_LAST if self.alt_last else _ALT_FIRST
        _genotype.bed_dosage(self.packed(start, stop), self.n_samples, None, lut, out)
        return out


def read_bim(path: Path, *, reference: Literal["first", "last"] = "last") -> pl.DataFrame:
    """Return the variants of a .bim file: chrom, pos, id, ref, alt.

    Parameters
    ----------
    path : Path
        The .bim file: chromosome, id, cM, position, allele 1, allele 2.
    reference : {"first", "last"}
        Which of the two listed alleles is the reference. PLINK 2 takes the last (A2).

    Returns
    -------
    polars.DataFrame
        Columns chrom, pos (1-based), id, ref, alt.

    Raises
    ------
    FormatError
        If a line has not six fields or its position is no whole number.
    """
    table = read_fields(path, _BIM)
    ref, alt = ("a1", "a2") if reference == "first" else ("a2", "a1")
    pos = numbers(table["pos"], path=path)
    return variant_frame(table["chrom"], pos, table["id"], table[ref], table[alt])


def read_fam(path: Path) -> pl.DataFrame:
    """Return the people of a .fam file.

    Returns
    -------
    polars.DataFrame
        Columns fid, iid, father, mother, sex ("male", "female" or null), phenotype (text).

    Raises
    ------
    FormatError
        If a line has fewer than six fields. Further ones (GEMMA keeps more traits there) are
        left aside.
    """
    table = read_fields(path, _FAM, more=True)
    sex = table["sex"].replace_strict(
        ["1", "2"], ["male", "female"], default=None, return_dtype=pl.String
    )
    return table.with_columns(sex.alias("sex"))


def open_bed(
    path: Path, *, reference: Literal["first", "last"] = "last"
) -> tuple[pl.DataFrame, pl.DataFrame, BedReader]:
    """Return people, variants and the reader of a PLINK 1 fileset.

    Raises
    ------
    FormatError
        If .bim or .fam is missing, or the .bed is no variant-major .bed of the right size.
    """
    people = read_fam(path.with_suffix(".fam"))
    variants = read_bim(path.with_suffix(".bim"), reference=reference)
    reader = BedReader(str(path), people.height, variants.height, reference == "first")
    _check_bed(path, reader)
    return people, variants, reader


def look_bed(
    path: Path, *, reference: Literal["first", "last"], ids: Literal["iid", "fid_iid"]
) -> tuple[list[str], LaterVariants | pl.DataFrame, BedReader]:
    """Return sample names, variants and the reader of a PLINK 1 fileset.

    Variants are left in their file where its lines are plain, so that no data frame library
    is needed before they are.

    Raises
    ------
    FormatError
        As `open_bed`.
    """
    names = fam_names(path.with_suffix(".fam"), ids)
    bim = path.with_suffix(".bim")
    variants = look_bim(bim, reference)
    count = variants.n_variants if isinstance(variants, LaterVariants) else variants.height
    reader = BedReader(str(path), len(names), count, reference == "first")
    _check_bed(path, reader)
    return names, variants, reader


def fam_names(path: Path, ids: Literal["iid", "fid_iid"]) -> list[str]:
    """Return the sample names of a .fam file.

    Raises
    ------
    FormatError
        As `read_fam`.
    """
    lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    people = [line.split() for line in lines if line.strip()]
    if any(len(fields) < len(_FAM) for fields in people):
        read_fam(path)  # says which line
    return [f[1] if ids == "iid" else f"{f[0]}_{f[1]}" for f in people]


def look_bim(path: Path, reference: Literal["first", "last"]) -> LaterVariants | pl.DataFrame:
    """Return the variants of a .bim file, left there where its lines are plain.

    Raises
    ------
    FormatError
        As `read_bim`, where they are not left.
    """
    raw = read_bytes(path)
    read = partial(read_bim, path, reference=reference)
    return left_in_file(path, raw, len(_BIM), read, mark=f":{reference}") or read()


def _check_bed(path: Path, reader: BedReader) -> None:
    try:
        with path.open("rb") as stream:
            head = stream.read(3)
        size = path.stat().st_size
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}.", path=path) from error
    if head[:2] != _MAGIC or len(head) < 3:
        raise FormatError("is no PLINK 1 .bed file: the first bytes are not 6c 1b.", path=path)
    if head[2] != 1:
        raise FormatError(
            "stores samples first (or is damaged); needed is a variant-major .bed. "
            "Rewrite it with: plink2 --bfile NAME --make-bed",
            path=path,
        )
    if not reader.n_samples or not reader.n_variants:
        raise FormatError("has no samples or no variants.", path=path)
    expected = 3 + reader.n_variants * reader.stride
    if size != expected:
        state = "cut short" if size < expected else "too long"
        raise FormatError(
            f"is {state}: {size} bytes, and {reader.n_variants} variants x {reader.n_samples} "
            f"samples take {expected}. Do .bed, .bim and .fam belong together?",
            path=path,
        )
