"""Somatic mutations: MAF files, with wild-type kept apart from not tested."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from radgen.errors import FormatError, InputError, RadgenWarning, shown
from radgen.io._delimited import decode, parse_delimited
from radgen.io._guard import existing, inflate
from radgen.io.ids import IdRule
from radgen.types import OmicsTable

__all__ = ["PROTEIN_ALTERING", "read_maf"]

_LOG = logging.getLogger(__name__)

PROTEIN_ALTERING = (
    "Missense_Mutation",
    "Nonsense_Mutation",
    "Nonstop_Mutation",
    "Frame_Shift_Del",
    "Frame_Shift_Ins",
    "In_Frame_Del",
    "In_Frame_Ins",
    "Splice_Site",
    "Translation_Start_Site",
)
"""Variant classes that count as a mutation unless others are named."""

_KNOWN_CLASSES = (
    *PROTEIN_ALTERING,
    "Silent",
    "Splice_Region",
    "Intron",
    "RNA",
    "3'UTR",
    "5'UTR",
    "3'Flank",
    "5'Flank",
    "IGR",
    "Targeted_Region",
    "De_novo_Start_InFrame",
    "De_novo_Start_OutOfFrame",
    "Start_Codon_SNP",
    "Start_Codon_Ins",
    "Start_Codon_Del",
    "Stop_Codon_Ins",
    "Stop_Codon_Del",
    "lincRNA",
    "Unknown",
    "Fusion",
)
_NEEDED = ("Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode")
_LONG = {
    "Hugo_Symbol": "gene",
    "Chromosome": "chrom",
    "Start_Position": "pos",
    "Reference_Allele": "ref",
    "Tumor_Seq_Allele2": "alt",
    "Variant_Classification": "consequence",
    "HGVSp_Short": "protein_change",
    "NCBI_Build": "build",
}


def read_maf(
    path: str | Path,
    *,
    samples: Iterable[str] | None = None,
    panel: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
    classes: Iterable[str] = PROTEIN_ALTERING,
    id_rule: IdRule | None = None,
) -> tuple[OmicsTable, pl.DataFrame]:
    """Return gene-level mutation status and the mutations of a MAF file.

    Parameters
    ----------
    path : str or Path
        The MAF, plain or gzipped.
    samples : iterable of str or None
        All samples that were sequenced, after the id rule: those without a line in the file
        are wild-type. None = the samples that the file names; a tumour without any mutation
        is then absent, and a warning says so.
    panel : iterable of str, mapping of sample to iterable of str, or None
        Genes that the assay covers, for all samples or for each. A gene outside is NaN for the
        sample. None = every gene of the file is covered in every sample.
    classes : iterable of str
        Values of ``Variant_Classification`` that count as a mutation.
    id_rule : IdRule or None
        How barcodes become sample ids. Several barcodes may become one sample (aliquots of
        one patient): their mutations are united.

    Returns
    -------
    table : OmicsTable
        Layer "mutation", scale "binary": 1 = mutant, 0 = wild-type and covered, NaN = not
        tested. Genes sorted by name.
    long : polars.DataFrame
        One row a mutation that counts: ``sample``, ``gene``, ``consequence`` and, where the
        file has them, ``chrom``, ``pos`` (1-based), ``ref``, ``alt``, ``protein_change``,
        ``build``.

    Warns
    -----
    RadgenWarning
        If samples are not declared.

    Raises
    ------
    FormatError
        If the file is broken or lacks a column.
    InputError
        If a class is unknown, `samples` leaves out a mutated sample, or a mutation lies in a
        gene that the panel of its sample does not cover.
    """
    where = existing(path, what="MAF file")
    raw = _raw(where)
    wanted = _classes(classes, raw)
    rule = id_rule or IdRule()
    spelled = raw["Tumor_Sample_Barcode"].unique(maintain_order=True).to_list()
    new = {old: rule.apply(old) for old in spelled}
    raw = raw.with_columns(pl.col("Tumor_Sample_Barcode").replace_strict(new).alias("sample"))
    seen = list(dict.fromkeys(new.values()))
    covered = _covered(seen, samples, where)
    counted = raw.filter(pl.col("Variant_Classification").is_in(wanted))
    kept = {old: name for old, name in _LONG.items() if old in raw.columns}
    long = counted.select("sample", *(pl.col(old).alias(name) for old, name in kept.items()))
    if "pos" in long.columns:
        long = long.with_columns(_positions(long["pos"], where))
    table = _status(long, covered, panel, raw["Hugo_Symbol"].unique().to_list())
    _LOG.info("%s: %d samples, %d mutations", where.name, table.n_samples, long.height)
    return table, long


def _raw(path: Path) -> pl.DataFrame:
    text = decode(inflate(path, what="MAF file"), path).replace("\r\n", "\n")
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    raw = parse_delimited("\n".join(lines[start:]).encode(), path)
    missing = [name for name in _NEEDED if name not in raw.columns]
    if missing:
        raise FormatError(
            f"A MAF has the columns {shown(_NEEDED)}; missing: {shown(missing)}.", path=path
        )
    for name in _NEEDED:
        empty = raw[name].is_null().arg_true().to_list()
        if empty:
            raise FormatError(
                f"{name} is empty in {len(empty)} rows.", path=path, line=start + empty[0] + 2
            )
    return raw


def _classes(classes: Iterable[str], raw: pl.DataFrame) -> list[str]:
    wanted = [classes] if isinstance(classes, str) else list(classes)
    known = {*_KNOWN_CLASSES, *raw["Variant_Classification"].to_list()}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        present = raw["Variant_Classification"].unique().sort().to_list()
        raise InputError(
            f"Unknown variant class {shown(unknown)}. The file holds: {shown(present, 20)}."
        )
    return wanted


def _covered(seen: list[str], samples: Iterable[str] | None, path: Path) -> list[str]:
    if samples is None:
        warnings.warn(
            f"{path.name}: the sequenced samples are not declared. The {len(seen)} samples that "
            "the file names are taken; a tumour without a mutation is not among them. Pass "
            "samples=.",
            RadgenWarning,
            stacklevel=3,
        )
        return seen
    covered = list(dict.fromkeys(str(item) for item in samples))
    outside = sorted(set(seen) - set(covered))
    if outside:
        raise InputError(
            f"{path.name} has mutations of {len(outside)} samples that samples= does not list: "
            f"{shown(outside)}. List every sequenced sample, or correct the id rule."
        )
    return covered


def _positions(column: pl.Series, path: Path) -> pl.Series:
    try:
        return column.cast(pl.Int64)
    except pl.exceptions.PolarsError as error:
        raise FormatError(
            "Start_Position holds something else than whole numbers.", path=path
        ) from error


def _status(
    long: pl.DataFrame,
    samples: list[str],
    panel: Iterable[str] | Mapping[str, Iterable[str]] | None,
    all_genes: list[str],
) -> OmicsTable:
    shared: set[str] | None = None
    by_sample: dict[str, set[str]] = {}
    if isinstance(panel, Mapping):
        by_sample = {str(key): set(genes) for key, genes in panel.items()}
        lacking = [name for name in samples if name not in by_sample]
        if lacking:
            raise InputError(f"The panel names no genes for the samples {shown(lacking)}.")
        genes = sorted(set().union(*(by_sample[name] for name in samples)))
    elif panel is not None:
        shared = set(panel)
        genes = sorted(shared)
    else:
        genes = sorted(all_genes)
    column = {gene: j for j, gene in enumerate(genes)}
    values = np.zeros((len(samples), len(genes)))
    for i, name in enumerate(samples):
        if by_sample:
            values[i] = [0.0 if gene in by_sample[name] else np.nan for gene in genes]
    row = {name: i for i, name in enumerate(samples)}
    outside = []
    for sample, gene in long.select("sample", "gene").iter_rows():
        j = column.get(gene)
        if j is None or np.isnan(values[row[sample], j]):
            outside.append(f"{gene} in {sample}")
        else:
            values[row[sample], j] = 1.0
    if outside:
        raise InputError(
            f"{len(outside)} mutations lie outside the panel: {shown(outside)}. Correct the "
            "panel, or filter the file."
        )
    return OmicsTable(tuple(samples), tuple(genes), values, "mutation", "binary")
