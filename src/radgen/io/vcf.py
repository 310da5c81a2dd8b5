"""VCF and BCF files: hard calls (GT) or dosages (DS)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FormatError
from radgen.io._variants import variant_frame

__all__ = ["VcfReader", "open_vcf"]


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
    field : {"auto", "GT", "DS"}
        Where dosages come from; "auto" takes DS where a record has it, GT elsewhere.
    """

    sequential = True

    def __init__(
        self,
        path: str,
        n_samples: int,
        records: NDArray[np.int64],
        alleles: NDArray[np.int64],
        field: Literal["auto", "GT", "DS"] = "auto",
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
            self._file, self._next = iter(_vcf(self.path)), 0
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
        if self.field != "GT" and "DS" in fields:
            dosages = np.array(variant.format("DS"), np.float32)
            if dosages.shape[1] < allele:
                raise FormatError(
                    f"{variant.CHROM}:{variant.POS} has no DS of allele {allele}.", path=self.path
                )
            return np.asarray(dosages[:, allele - 1])
        if self.field == "DS":
            raise FormatError(f"{variant.CHROM}:{variant.POS} has no DS.", path=self.path)
        if "GT" not in fields:
            raise FormatError(f"{variant.CHROM}:{variant.POS} has no GT.", path=self.path)
        calls = variant.genotype.array()[:, :-1]
        absent = calls == -2
        copies = (~absent).sum(axis=1)
        count = (calls == allele).sum(axis=1) * (2.0 / np.maximum(copies, 1))
        count[(calls == -1).any(axis=1) | (copies == 0)] = np.nan
        return count.astype(np.float32)


def _vcf(path: str) -> Any:
    import cyvcf2

    try:
        return cyvcf2.VCF(path, gts012=False, strict_gt=True)
    except (OSError, ValueError) as error:
        raise FormatError(f"is no readable VCF or BCF file: {error}", path=path) from error


def open_vcf(
    path: Path, *, field: Literal["auto", "GT", "DS"] = "auto"
) -> tuple[pl.DataFrame, pl.DataFrame, VcfReader]:
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
    for record, variant in enumerate(file):
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
