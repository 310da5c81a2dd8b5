"""Read somatic mutations (MAF): mutant, wild-type and not tested are three things."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radgen.errors import FormatError, InputError, shown
from radgen.io.ids import IdRule, normalise_ids
from radgen.io.tables import read_table, text_of
from radgen.types import OmicsTable

__all__ = [
    "MUTATION_SCHEMA",
    "PROTEIN_CHANGING",
    "Panel",
    "blank_untested",
    "call_genes",
    "read_maf",
    "read_mutations",
]

Panel: TypeAlias = Collection[str] | Mapping[str, Collection[str] | None] | None
"""Genes that an assay covers: of all samples, of each, or (None) every gene."""

PROTEIN_CHANGING = (
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
"""Variant classes of a MAF that change the protein; what counts as mutant unless told."""


MUTATION_SCHEMA = {
    "sample": pl.String,
    "gene": pl.String,
    "consequence": pl.String,
    "chrom": pl.String,
    "pos": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "protein_change": pl.String,
    "build": pl.String,
}
"""Columns of a table of mutations."""


def read_maf(
    path: str | Path,
    *,
    sequenced: Collection[str] | None,
    panel: Panel = None,
    genes: Collection[str] | None = None,
    classes: Collection[str] = PROTEIN_CHANGING,
    id_rule: IdRule | None = None,
) -> OmicsTable:
    """Return gene-level somatic mutation calls of a MAF file.

    Parameters
    ----------
    path : str or Path
        Mutation Annotation Format (``#`` lines are comments).
    sequenced : collection of str or None
        Ids of all samples that were sequenced. A MAF names only mutated ones, so without this
        list nobody can be called wild-type: None takes the samples of the MAF alone.
    panel : collection of str, mapping or None
        Genes that the assay covers. A gene outside it is "not tested" (NaN), never wild-type.
        None: every gene is covered (exome, genome). A mapping gives each sample its own genes, or
        None for every gene.
    genes : collection of str or None
        Genes to return; None = all that carry a counted mutation.
    classes : collection of str
        Variant classes that count as mutant.
    id_rule : IdRule or None
        Applied to the tumour barcodes and to `sequenced`. Several barcodes of one person may
        become one id: their mutations are united.

    Returns
    -------
    OmicsTable
        1 = mutant, 0 = covered and not mutant, NaN = not tested.

    Raises
    ------
    FormatError
        If columns of the format are missing.
    InputError
        If mutated samples are not among those sequenced.
    """
    place = Path(path)
    frame = _maf_frame(place)
    rule = id_rule or IdRule()
    tumours = [rule.clean(item) for item in text_of(frame["Tumor_Sample_Barcode"], path=place)]
    long = pl.DataFrame(
        {
            "sample": tumours,
            "gene": frame["Hugo_Symbol"],
            "consequence": frame["Variant_Classification"],
        }
    )
    listed = None
    if sequenced is not None:
        listed = normalise_ids(list(sequenced), rule, what="sequenced samples")
    try:
        return call_genes(long, listed, panel=panel, genes=genes, classes=classes)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def call_genes(
    mutations: pl.DataFrame,
    sequenced: Collection[str] | None,
    *,
    panel: Panel = None,
    genes: Collection[str] | None = None,
    classes: Collection[str] = PROTEIN_CHANGING,
) -> OmicsTable:
    """Return gene-level calls of a table of mutations.

    Parameters
    ----------
    mutations : polars.DataFrame
        ``sample, gene, consequence``, a row a mutation, as `read_mutations` and
        `radgen.io.read_somatic_vcf` give it (with all classes, or those that count).
    sequenced : collection of str or None
        All samples that were sequenced, as in `read_maf`.
    panel : collection of str, mapping or None
        Genes that the assay covers, as in `read_maf`.
    genes : collection of str or None
        Genes to return; None = all that carry a counted mutation.
    classes : collection of str
        Variant classes that count as mutant.

    Returns
    -------
    OmicsTable
        1 = mutant, 0 = covered and not mutant, NaN = not tested.

    Raises
    ------
    InputError
        If mutated samples are not among those sequenced, or the panel lacks a sample.
    """
    tumours = mutations["sample"].to_list()
    samples = list(dict.fromkeys(tumours if sequenced is None else sequenced))
    unknown = sorted(set(tumours) - set(samples))
    if unknown:
        raise InputError(
            f"{len(unknown)} mutated samples are not in the list of sequenced ones: "
            f"{shown(unknown)}. Complete the list, or give an id rule."
        )
    counted = mutations.filter(pl.col("consequence").is_in(list(classes)))
    names = sorted(set(counted["gene"].to_list())) if genes is None else list(genes)
    values = np.zeros((len(samples), len(names)))
    blank_untested(values, samples, names, panel)
    row = {sample: i for i, sample in enumerate(samples)}
    column = {name: j for j, name in enumerate(names)}
    for sample, gene in counted.select("sample", "gene").unique().iter_rows():
        if gene in column:
            values[row[sample], column[gene]] = 1.0
    return OmicsTable(tuple(samples), tuple(names), values, "mutation", "binary")


def read_mutations(
    path: str | Path,
    *,
    classes: Collection[str] = PROTEIN_CHANGING,
    id_rule: IdRule | None = None,
) -> pl.DataFrame:
    """Return one row a somatic mutation of a MAF file.

    Parameters
    ----------
    path : str or Path
        Mutation Annotation Format.
    classes : collection of str
        Variant classes to keep.
    id_rule : IdRule or None
        Applied to the tumour barcodes.

    Returns
    -------
    polars.DataFrame
        ``sample``, ``gene``, ``consequence`` and, where the file has them, ``chrom``, ``pos``
        (Int64, 1-based), ``ref``, ``alt``, ``protein_change``, ``build``.

    Raises
    ------
    FormatError
        If columns of the format are missing, or a position is no whole number.
    """
    place = Path(path)
    frame = _maf_frame(place)
    rule = id_rule or IdRule()
    tumours = [rule.clean(item) for item in text_of(frame["Tumor_Sample_Barcode"], path=place)]
    kept = {old: new for old, new in _MUTATION_COLUMNS.items() if old in frame.columns}
    long = frame.select(pl.col(old).alias(new) for old, new in kept.items())
    long = long.insert_column(0, pl.Series("sample", tumours, dtype=pl.String))
    long = long.filter(pl.col("consequence").is_in(list(classes)))
    if "pos" in long.columns:
        try:
            long = long.with_columns(pl.col("pos").cast(pl.Int64))
        except pl.exceptions.PolarsError as error:
            raise FormatError("Start_Position holds no whole number.", path=place) from error
    return long


_MUTATION_COLUMNS = {
    "Hugo_Symbol": "gene",
    "Chromosome": "chrom",
    "Start_Position": "pos",
    "Reference_Allele": "ref",
    "Tumor_Seq_Allele2": "alt",
    "Variant_Classification": "consequence",
    "HGVSp_Short": "protein_change",
    "NCBI_Build": "build",
}


def blank_untested(
    values: NDArray[np.float64],
    samples: Sequence[str],
    names: Sequence[str],
    panel: Panel,
) -> None:
    """Set what the assay does not cover to NaN, in place.

    Parameters
    ----------
    values : ndarray of float64 (n_samples, n_genes)
        Changed.
    samples, names : sequence of str
        Its rows and columns.
    panel : collection of str, mapping or None
        As `read_maf` takes it.

    Raises
    ------
    InputError
        If a mapping lacks a sample.
    """
    if panel is None:
        return
    if not isinstance(panel, Mapping):
        values[:, [name not in set(panel) for name in names]] = np.nan
        return
    lacking = [sample for sample in samples if sample not in panel]
    if lacking:
        raise InputError(f"The panel names no genes for the samples {shown(lacking)}.")
    for row, sample in enumerate(samples):
        own = panel[sample]
        if own is not None:
            covered = set(own)
            values[row, [name not in covered for name in names]] = np.nan


def _maf_frame(path: Path) -> pl.DataFrame:
    needed = ("Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode")
    frame = read_table(path, comment="#")
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise FormatError(
            f"A MAF file has the columns {shown(needed)}; missing: {shown(missing)}.", path=path
        )
    for name in needed:
        text_of(frame[name], path=path)
    return frame
