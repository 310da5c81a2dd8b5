"""Open any genotype file as one `GenotypeMatrix`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from radgen.errors import FormatError, InputError
from radgen.io.plink import look_bed, open_bed
from radgen.types.genotype import DosageReader, GenotypeMatrix

__all__ = ["is_genotype_table", "open_genotypes", "read_people"]

_SUFFIXES = (".bed", ".pgen", ".vcf", ".vcf.gz", ".vcf.bgz", ".bcf", ".bgen")
_TABLES = (".csv", ".tsv", ".txt", ".raw", ".xlsx", ".csv.gz", ".tsv.gz", ".txt.gz")
_BUILDS = {"GRCh37": "GRCh37", "hg19": "GRCh37", "b37": "GRCh37"} | {
    "GRCh38": "GRCh38",
    "hg38": "GRCh38",
    "b38": "GRCh38",
    "": "",
}


def open_genotypes(
    path: str | Path,
    *,
    build: str = "",
    ids: Literal["iid", "fid_iid"] = "iid",
    reference: Literal["first", "last"] | None = None,
    sample_file: str | Path | None = None,
    field: Literal["auto", "GT", "DS", "GP"] = "auto",
) -> GenotypeMatrix:
    """Return the genotypes of a file; dosages are read block by block when asked for.

    Parameters
    ----------
    path : str or Path
        ``.bed`` (PLINK 1), ``.pgen`` (PLINK 2), ``.vcf``, ``.vcf.gz``, ``.bcf`` or ``.bgen``; or
        a table of a few variants (`radgen.io.read_genotype_table`).
        A name without suffix stands for the .pgen or .bed of that name.
    build : str, default ""
        Genome build of the positions, "GRCh37" or "GRCh38" (hg19, hg38, b37, b38 are
        understood); "" = unknown, or what the contig lengths of a VCF header tell.
    ids : {"iid", "fid_iid"}
        What names a sample: the individual id, or family and individual id joined by "_".
    reference : {"first", "last"} or None
        Which of the alleles listed in a .bed's .bim or in a .bgen is the reference. None =
        the format's habit: the last of a .bim (A2; PLINK 2 reads it so), the first of a .bgen.
    sample_file : str, Path or None
        Oxford .sample file of a .bgen; by default the one of the same name, if there is one.
    field : {"auto", "GT", "DS", "GP"}
        Of a VCF: dosages (DS), genotype probabilities (GP), hard calls (GT), or the first of
        DS, GP and GT that a record has.

    Returns
    -------
    GenotypeMatrix
        ALT dosages in [0, 2], NaN = missing; multiallelic records are split, one row an
        alternate allele; chromosome names bear no "chr"; positions are 1-based.

    Raises
    ------
    FormatError
        If a file is missing, damaged, cut short, or its companions do not fit.
    InputError
        If the suffix or an option is unknown, the option has no meaning for this format, or
        `build` is not that of a VCF's header.
    AlignmentError
        If a sample id is repeated; with ``ids="fid_iid"`` it may become unique.
    """
    file = _resolve(Path(path))
    if build not in _BUILDS:
        raise InputError(f"Unknown genome build {build!r}; known: GRCh37, GRCh38.")
    if ids not in ("iid", "fid_iid"):
        raise InputError(f"ids is {ids!r}; needed is 'iid' or 'fid_iid'.")
    if is_genotype_table(file):
        from radgen.io.genotype_tables import read_genotype_table

        return read_genotype_table(file, build=_BUILDS[build], ids=ids)
    _check(file, reference, sample_file, field)
    if file.suffix.lower() == ".bed":
        names, variants, reader = look_bed(file, reference=_bed_reference(reference), ids=ids)
        return GenotypeMatrix(tuple(names), variants, reader, _BUILDS[build])  # type: ignore[arg-type]
    if file.suffix.lower() == ".pgen":
        from radgen.io.pgen import look_pgen

        names, variants, decoder = look_pgen(file, ids)
        return GenotypeMatrix(tuple(names), variants, decoder, _BUILDS[build])  # type: ignore[arg-type]
    people, table, source = _open(file, reference, sample_file, field)
    samples = people["iid"] if ids == "iid" else people["fid"] + "_" + people["iid"]
    told = _BUILDS[build]
    if file.suffix.lower() in (".vcf", ".gz", ".bgz", ".bcf"):
        from radgen.io.vcf import stated_build

        own = stated_build(file)
        if told and own and told != own:
            raise InputError(
                f"{file} is on {own} by the contig lengths of its header, not on {told}: leave "
                "build out or give the right one."
            )
        told = told or own
    return GenotypeMatrix(tuple(samples.to_list()), table, source, told)


def read_people(path: str | Path, *, ids: Literal["iid", "fid_iid"] = "iid") -> pl.DataFrame:
    """Return what a genotype file says of its samples, in file order.

    Parameters
    ----------
    path : str or Path
        As for `open_genotypes`.
    ids : {"iid", "fid_iid"}
        What names a sample.

    Returns
    -------
    polars.DataFrame
        Columns sample, fid, iid, sex ("male", "female" or null) and, of PLINK files, father,
        mother, phenotype.

    Raises
    ------
    FormatError
        If a file is missing or damaged.
    """
    file = _resolve(Path(path))
    if is_genotype_table(file):
        samples = open_genotypes(file, ids=ids).samples
        blank = pl.lit(None, pl.String)
        return pl.DataFrame({"sample": samples, "iid": samples}).select(
            "sample", pl.col("iid").alias("fid"), "iid", blank.alias("sex")
        )
    _check(file, None, None, "auto")
    people, _, _ = _open(file, None, None, "auto")
    name = pl.col("iid") if ids == "iid" else pl.col("fid") + "_" + pl.col("iid")
    return people.select(name.alias("sample"), pl.all())


def _resolve(path: Path) -> Path:
    if path.name.lower().endswith(_SUFFIXES) or is_genotype_table(path):
        return path
    for end in (".pgen", ".bed"):
        candidate = path.with_name(path.name + end)
        if candidate.exists():
            return candidate
    raise InputError(
        f"{path} is no genotype file that radgen reads; known suffixes: "
        f"{', '.join(_SUFFIXES)}, and tables (.csv, .tsv, .xlsx, .raw)."
    )


def is_genotype_table(path: str | Path) -> bool:
    """Return whether a file is read as a plain table of genotypes, by its suffix."""
    return Path(path).name.lower().endswith(_TABLES)


def _bed_reference(reference: str | None) -> Literal["first", "last"]:
    return "first" if reference == "first" else "last"


def _check(path: Path, reference: str | None, sample_file: str | Path | None, field: str) -> None:
    """Refuse what has no meaning for a format."""
    kind = path.suffix.lower()
    if not path.exists():
        raise FormatError("does not exist.", path=path)
    if reference not in (None, "first", "last"):
        raise InputError(f"reference is {reference!r}; needed is 'first', 'last' or None.")
    if field not in ("auto", "GT", "DS", "GP"):
        raise InputError(f"field is {field!r}; needed is 'auto', 'GT', 'DS' or 'GP'.")
    if sample_file is not None and kind != ".bgen":
        raise InputError(f"sample_file belongs to a .bgen, not to a {kind} file.")
    if reference is not None and kind not in (".bed", ".bgen"):
        raise InputError(f"A {kind} file names its reference allele; leave reference None.")
    if field != "auto" and kind in (".bed", ".pgen", ".bgen"):
        raise InputError(f"field belongs to a VCF, not to a {kind} file.")


def _open(
    path: Path, reference: str | None, sample_file: str | Path | None, field: str
) -> tuple[pl.DataFrame, pl.DataFrame, DosageReader]:
    kind = path.suffix.lower()
    if kind == ".bed":
        return open_bed(path, reference=_bed_reference(reference))
    if kind == ".pgen":
        from radgen.io.pgen import open_pgen

        return open_pgen(path)
    if kind == ".bgen":
        from radgen.io.bgen import open_bgen

        side = None if sample_file is None else Path(sample_file)
        return open_bgen(
            path, reference="last" if reference == "last" else "first", sample_file=side
        )
    from radgen.io.vcf import open_vcf

    return open_vcf(path, field=field)  # type: ignore[arg-type]
