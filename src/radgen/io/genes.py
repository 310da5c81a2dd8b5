"""Positions of genes from GTF, GFF3 and BED files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from radgen.errors import FormatError
from radgen.io._guard import existing, inflate

__all__ = ["read_genes"]

_ORDER = ("gene_name", "Name", "gene_id", "gene", "ID")


def read_genes(path: str | Path) -> pl.DataFrame:
    """Return the genes of an annotation file.

    Parameters
    ----------
    path : str or Path
        GTF or GFF3 (features called ``gene``), or BED with a name in its fourth column; plain or
        gzip.

    Returns
    -------
    polars.DataFrame
        chrom (without "chr"), start, end (base pairs, 1-based, both inside), name, strand.

    Raises
    ------
    FormatError
        If the file is broken, or holds no gene.
    """
    file = existing(path, what="gene annotation")
    try:
        text = inflate(file, what="gene annotation").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"is no text: {error}", path=file) from error
    name = file.name.lower().removesuffix(".gz")
    bed = name.endswith(".bed")
    rows: list[tuple[str, int, int, str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        try:
            found = _bed(fields) if bed else _gtf(fields)
        except (ValueError, IndexError) as error:
            raise FormatError(
                "is no line of a BED file." if bed else "is no line of a GTF or GFF3 file.",
                path=file, line=number,
            ) from error  # fmt: skip
        if found is not None:
            rows.append(found)
    if not rows:
        raise FormatError("holds no gene.", path=file)
    schema = {
        "chrom": pl.String, "start": pl.Int64, "end": pl.Int64, "name": pl.String,
        "strand": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").sort("chrom", "start")


def _bed(fields: list[str]) -> tuple[str, int, int, str, str]:
    strand = fields[5] if len(fields) > 5 else "."
    return fields[0].removeprefix("chr"), int(fields[1]) + 1, int(fields[2]), fields[3], strand


def _gtf(fields: list[str]) -> tuple[str, int, int, str, str] | None:
    start, end, attributes = int(fields[3]), int(fields[4]), fields[8]
    if fields[2] != "gene":
        return None
    known = {}
    for item in attributes.replace("=", " ").split(";"):
        key, _, value = item.strip().partition(" ")
        known[key] = value.strip().strip('"')
    name = next((known[key] for key in _ORDER if known.get(key)), "")
    return fields[0].removeprefix("chr"), start, end, name, fields[6]
