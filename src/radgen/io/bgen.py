"""BGEN 1.2 and 1.3 files, with the sample ids inside or in a .sample file."""

from __future__ import annotations

import threading
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FormatError
from radgen.io._variants import variant_frame

__all__ = ["BgenReader", "open_bgen", "read_sample_file"]


class BgenReader:
    """Blocks of dosages of a .bgen file; each thread opens it for itself.

    Parameters
    ----------
    path : str
        The .bgen file.
    n_samples : int
        Number of samples of the file.
    records : ndarray of int64 (n_variants,)
        Record of the file behind each variant (multiallelic records are split).
    alleles : ndarray of int64 (n_variants,)
        Which allele of the record is counted, from 0.
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
        return BgenReader, (self.path, self.n_samples, self.records, self.alleles)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return ALT dosages float32 (stop - start, n_samples), NaN = missing.

        Raises
        ------
        FormatError
            If the file is damaged.
        """
        if not hasattr(self._local, "file"):
            self._local.file = _bgen(self.path)
        file = self._local.file
        out = np.empty((stop - start, self.n_samples), np.float32)
        for row in range(start, stop):
            try:
                out[row - start] = _dosage(file[int(self.records[row])], int(self.alleles[row]))
            except (RuntimeError, ValueError, IndexError, OSError) as error:
                raise FormatError(
                    f"variant {row + 1} cannot be decoded: {error}", path=self.path
                ) from error
        return out


def _dosage(variant: Any, allele: int) -> NDArray[np.float64]:
    probabilities = np.asarray(variant.probabilities, np.float64)
    n_alleles = len(variant.alleles)
    ploidy = np.asarray(variant.ploidy)
    if variant.is_phased:
        each = probabilities[:, allele::n_alleles]
        total = np.nansum(each, axis=1)
        total[np.isnan(probabilities[:, 0])] = np.nan
    else:
        total = np.empty(len(probabilities))
        for copies in np.unique(ploidy):
            rows = ploidy == copies
            genotypes = _genotypes(n_alleles, int(copies))
            count = np.array([genotype.count(allele) for genotype in genotypes], float)
            total[rows] = probabilities[rows][:, : len(count)] @ count
    return np.asarray(total * (2.0 / np.maximum(ploidy, 1)))


def _genotypes(n_alleles: int, ploidy: int) -> list[tuple[int, ...]]:
    """Return the genotypes in the order of the format: by the highest allele first."""
    found = combinations_with_replacement(range(n_alleles), ploidy)
    return sorted(found, key=lambda genotype: genotype[::-1])


def _bgen(path: str) -> Any:
    import bgen

    try:
        return bgen.BgenReader(path)
    except (RuntimeError, ValueError, OSError) as error:
        raise FormatError(f"is no readable .bgen file: {error}", path=path) from error


def read_sample_file(path: Path) -> pl.DataFrame:
    """Return the people of an Oxford .sample file: fid (ID_1), iid (ID_2), sex.

    Raises
    ------
    FormatError
        If the two header lines are missing or a line is too short.
    """
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot be read: {error}", path=path) from error
    if len(lines) < 2 or lines[0][0] != "ID_1" or lines[1][0] != "0":
        raise FormatError("is no .sample file: line 1 names ID_1 ID_2 …, line 2 types.", path=path)
    width = len(lines[0])
    for number, line in enumerate(lines[2:], 3):
        if len(line) != width:
            raise FormatError(f"has {len(line)} fields, not {width}.", path=path, line=number)
    header = [name.lower() for name in lines[0]]
    sexes = {"1": "male", "2": "female", "M": "male", "F": "female"}
    sex_at = header.index("sex") if "sex" in header else None
    iid_at = 1 if width > 1 else 0
    return pl.DataFrame(
        {
            "fid": [line[0] for line in lines[2:]],
            "iid": [line[iid_at] for line in lines[2:]],
            "sex": [None if sex_at is None else sexes.get(line[sex_at]) for line in lines[2:]],
        },
        schema=dict.fromkeys(("fid", "iid", "sex"), pl.String),
    )


def open_bgen(
    path: Path,
    *,
    reference: Literal["first", "last"] = "first",
    sample_file: Path | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame, BgenReader]:
    """Return people, variants and the reader of a .bgen file.

    Raises
    ------
    FormatError
        If the file is damaged, no sample ids are at hand, or their number is wrong.
    """
    if not path.exists():
        raise FormatError("does not exist.", path=path)
    file = _bgen(str(path))
    n_samples = int(file.header.nsamples)
    if sample_file is None and path.with_suffix(".sample").exists():
        sample_file = path.with_suffix(".sample")
    if sample_file is not None:
        people = read_sample_file(sample_file)
    elif file.header.has_sample_ids:
        ids = [str(item) for item in file.samples]
        people = pl.DataFrame({"fid": ids, "iid": ids}).with_columns(
            pl.lit(None, pl.String).alias("sex")
        )
    else:
        raise FormatError("holds no sample ids and has no .sample file beside it.", path=path)
    if people.height != n_samples:
        raise FormatError(f"holds {n_samples} samples; {people.height} ids are named.", path=path)
    variants, records, alleles = _variants(file, path, reference)
    return people, variants, BgenReader(str(path), n_samples, records, alleles)


def _variants(
    file: Any, path: Path, reference: str
) -> tuple[pl.DataFrame, NDArray[np.int64], NDArray[np.int64]]:
    rows: list[tuple[str, int, str, str, str]] = []
    records: list[int] = []
    counted: list[int] = []
    try:
        for record, variant in enumerate(file):
            alleles = list(variant.alleles)
            ref = 0 if reference == "first" else len(alleles) - 1
            name = variant.rsid or variant.varid or "."
            for at, allele in enumerate(alleles):
                if at != ref:
                    rows.append((variant.chrom, variant.pos, name, alleles[ref], allele))
                    records.append(record)
                    counted.append(at)
    except (RuntimeError, ValueError, OSError) as error:
        raise FormatError(f"is damaged after {len(rows)} variants: {error}", path=path) from error
    if len(set(records)) != int(file.header.nvariants):
        raise FormatError(
            f"is cut short: {len(set(records))} of {file.header.nvariants} variants are there.",
            path=path,
        )
    schema = {"c": pl.String, "p": pl.Int64, "i": pl.String, "r": pl.String, "a": pl.String}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    frame = variant_frame(table["c"], table["p"], table["i"], table["r"], table["a"])
    return frame, np.array(records, np.int64), np.array(counted, np.int64)
