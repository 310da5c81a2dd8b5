"""VCF and BCF files: dosages (DS), genotype probabilities (GP) or hard calls (GT)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FormatError
from radgen.io._variants import variant_frame

__all__ = ["VcfReader", "open_vcf", "stated_build"]

Field = Literal["auto", "GT", "DS", "GP"]
_LENGTHS = {
    "1": {249250621: "GRCh37", 248956422: "GRCh38"},
    "2": {243199373: "GRCh37", 242193529: "GRCh38"},
    "22": {51304566: "GRCh37", 50818468: "GRCh38"},
    "X": {155270560: "GRCh37", 156040895: "GRCh38"},
}
"""Lengths of a few chromosomes in both builds (Genome Reference Consortium)."""


class VcfReader:
    """Blocks of a VCF or BCF, read from the front; going back opens the file again.

    Parameters
    ----------
    path : str
        The .vcf, .vcf.gz or .bcf file.
    n_samples : int
        Number of samples of the file.
    records : ndarray of int64 (n_variants,)
        Record of the file behind each variant (multiallelic records are split).
    alleles : ndarray of int64 (n_variants,)
        Which alternate allele of the record is counted, from 1.
    field : {"auto", "GT", "DS", "GP"}
        Where dosages come from; "auto" takes DS where a record has it, else GP, else GT.
    """

    sequential = True

    def __init__(
        self,
        path: str,
        n_samples: int,
        records: NDArray[np.int64],
        alleles: NDArray[np.int64],
        field: Field = "auto",
    ) -> None:
        self.path = path
        self.n_samples = n_samples
        self.records = records
        self.alleles = alleles
        self.field = field
        self._lock = threading.Lock()
        self._file: Any = None
        self._next = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return VcfReader, (self.path, self.n_samples, self.records, self.alleles, self.field)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return ALT dosages float32 (stop - start, n_samples), NaN = missing.

        Raises
        ------
        FormatError
            If the file ends early, is damaged, or a record lacks the field.

        Notes
        -----
        A haploid call counts as two copies or none, as PLINK does; a half call ("./1") is
        missing.
        """
        out = np.empty((stop - start, self.n_samples), np.float32)
        with self._lock:
            last, variant = -1, None
            for row in range(start, stop):
                record = int(self.records[row])
                if record != last:
                    variant, last = self._record(record), record
                out[row - start] = self._dosage(variant, int(self.alleles[row]))
        return out

    def _record(self, record: int) -> Any:
        if self._file is None or record < self._next:
            self._file, self._next = _records(self.path, _vcf(self.path)), 0
        variant = None
        while self._next <= record:
            variant = next(self._file, None)
            if variant is None:
                raise FormatError(
                    f"ends at record {self._next}; needed is {record + 1}.", path=self.path
                )
            self._next += 1
        if variant is None:
            self._file = None
            return self._record(record)
        return variant

    def _dosage(self, variant: Any, allele: int) -> NDArray[np.float32]:
        fields = variant.FORMAT or []
        if self.field in ("auto", "DS") and "DS" in fields:
            dosages = np.array(variant.format("DS"), np.float32)
            if dosages.shape[1] < allele:
                raise FormatError(
                    f"{variant.CHROM}:{variant.POS} has no DS of allele {allele}.", path=self.path
                )
            return np.asarray(dosages[:, allele - 1])
        if self.field == "DS":
            raise FormatError(f"{variant.CHROM}:{variant.POS} has no DS.", path=self.path)
        if self.field in ("auto", "GP") and "GP" in fields:
            return self._expected(variant, allele)
        if self.field == "GP":
            raise FormatError(f"{variant.CHROM}:{variant.POS} has no GP.", path=self.path)
        if "GT" not in fields:
            raise FormatError(f"{variant.CHROM}:{variant.POS} has no GT.", path=self.path)
        calls = variant.genotype.array()[:, :-1]
        absent = calls == -2
        copies = (~absent).sum(axis=1)
        count = (calls == allele).sum(axis=1) * (2.0 / np.maximum(copies, 1))
        count[(calls == -1).any(axis=1) | (copies == 0)] = np.nan
        return count.astype(np.float32)

    def _expected(self, variant: Any, allele: int) -> NDArray[np.float32]:
        """Return the expected copies of an allele from genotype probabilities."""
        chances = np.array(variant.format("GP"), np.float64)
        alleles = len(variant.ALT) + 1
        low, high = np.tril_indices(alleles)[::-1]
        if chances.shape[1] not in (len(low), alleles):
            raise FormatError(
                f"{variant.CHROM}:{variant.POS} has {chances.shape[1]} probabilities a sample for "
                f"{alleles} alleles.",
                path=self.path,
            )
        # Order of the VCF specification: 00, 01, 11, 02, 12, 22; haploid samples end early.
        diploid = (low == allele).astype(float) + (high == allele)
        haploid = 2.0 * (np.arange(alleles) == allele)
        if chances.shape[1] == alleles:
            short = np.ones(len(chances), bool)
        else:
            short = ~np.isfinite(chances[:, alleles:]).any(axis=1)
        out = np.empty(len(chances))
        out[short] = chances[short][:, :alleles] @ haploid
        out[~short] = chances[~short] @ diploid if (~short).any() else 0.0
        total = np.where(short, chances[:, :alleles].sum(axis=1), np.nansum(chances, axis=1))
        return np.where(np.abs(total - 1.0) < 0.05, out / total, np.nan).astype(np.float32)


def stated_build(path: Path) -> str:
    """Return the genome build that the contig lengths of the header tell; "" = none.

    Raises
    ------
    FormatError
        If the file is no VCF or BCF.
    """
    file = _vcf(str(path))
    try:
        names, lengths = list(file.seqnames), list(file.seqlens)
    except (AttributeError, KeyError):
        return ""
    found = {
        _LENGTHS[name.removeprefix("chr")].get(int(length), "")
        for name, length in zip(names, lengths, strict=False)
        if name.removeprefix("chr") in _LENGTHS
    } - {""}
    return found.pop() if len(found) == 1 else ""


def _vcf(path: str) -> Any:
    import cyvcf2

    try:
        return cyvcf2.VCF(path, gts012=False, strict_gt=True)
    except Exception as error:
        if not _tells_damage(error):
            raise
        raise FormatError(f"is no readable VCF or BCF file: {error}", path=path) from error


def _tells_damage(error: Exception) -> bool:
    """Return whether cyvcf2 means a damaged file: it raises bare exceptions for that."""
    return type(error) is Exception or isinstance(error, (OSError, ValueError))


def _records(path: str, file: Any) -> Iterator[Any]:
    """Yield the records of an open file.

    Raises
    ------
    FormatError
        If the file is cut short or damaged.
    """
    number = 0
    while True:
        try:
            record = next(file)
        except StopIteration:
            return
        except Exception as error:
            if not _tells_damage(error):
                raise
            raise FormatError(
                f"is cut short or damaged after record {number}: {error}", path=path
            ) from error
        number += 1
        yield record


def open_vcf(path: Path, *, field: Field = "auto") -> tuple[pl.DataFrame, pl.DataFrame, VcfReader]:
    """Return people, variants and the reader of a VCF or BCF.

    Raises
    ------
    FormatError
        If the file is missing, damaged, or holds no samples or no variants.
    """
    if not path.exists():
        raise FormatError("does not exist.", path=path)
    file = _vcf(str(path))
    ids = [str(item) for item in file.samples]
    rows: list[tuple[str, int, str, str, str]] = []
    records: list[int] = []
    alleles: list[int] = []
    for record, variant in enumerate(_records(str(path), file)):
        name = variant.ID or "."
        for allele, alt in enumerate(variant.ALT or ["."], 1):
            rows.append((variant.CHROM, variant.POS, name, variant.REF, alt))
            records.append(record)
            alleles.append(allele)
    if not ids or not rows:
        raise FormatError("holds no samples or no variants.", path=path)
    schema = {"c": pl.String, "p": pl.Int64, "i": pl.String, "r": pl.String, "a": pl.String}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    variants = variant_frame(table["c"], table["p"], table["i"], table["r"], table["a"])
    people = pl.DataFrame({"fid": ids, "iid": ids}).with_columns(
        pl.lit(None, pl.String).alias("sex")
    )
    reader = VcfReader(
        str(path), len(ids), np.array(records, np.int64), np.array(alleles, np.int64), field
    )
    return people, variants, reader
