"""Matrices of the UCSC Xena hubs and of the Genomic Data Commons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from radgen._core.naming import require_choice
from radgen.errors import FormatError, InputError, shown
from radgen.io.barcodes import one_tumour_each
from radgen.io.omics import Duplicates, merge_features, read_omics
from radgen.io.tables import numeric_columns, read_table
from radgen.types import OmicsTable

__all__ = ["gene_names", "read_gdc_counts", "read_xena", "tumours_only"]

_COUNTS = ("unstranded", "stranded_first", "stranded_second", "tpm_unstranded",
           "fpkm_unstranded", "fpkm_uq_unstranded")  # fmt: skip
_SCALES = {"tpm_unstranded": "TPM", "fpkm_unstranded": "FPKM", "fpkm_uq_unstranded": "FPKM"}


def tumours_only(table: OmicsTable) -> OmicsTable:
    """Return a TCGA layer with one tumour a patient, under 12-character barcodes.

    Parameters
    ----------
    table : OmicsTable
        Samples are barcodes with a sample type.

    Returns
    -------
    OmicsTable
        Normal tissue and further aliquots are left out, as `one_tumour_each` says.

    Raises
    ------
    InputError
        If an id is no such barcode.
    """
    chosen = one_tumour_each(table.samples)
    rows = sorted(chosen)
    part = table.take(rows=rows)
    samples = tuple(chosen[row] for row in rows)
    return OmicsTable(samples, part.features, part.values, part.layer, part.scale)


def gene_names(
    table: OmicsTable, names: Mapping[str, str], *, duplicates: Duplicates = "maximum"
) -> OmicsTable:
    """Return a layer with features renamed by a map, the version of Ensembl ids aside.

    Parameters
    ----------
    table : OmicsTable
        Features are probes or Ensembl ids, with (``ENSG….5``) or without version.
    names : mapping of str to str
        Gene symbol of each feature.
    duplicates : {"error", "mean", "maximum", "first"}, default "maximum"
        What is done with several features of one gene.

    Returns
    -------
    OmicsTable
        Features without a symbol are left out.

    Raises
    ------
    InputError
        If no feature has a symbol.
    """
    bare = {key.partition(".")[0] if key.startswith("ENS") else key: v for key, v in names.items()}
    found = [
        names.get(item) or bare.get(item.partition(".")[0] if item.startswith("ENS") else item)
        for item in table.features
    ]
    kept = [place for place, name in enumerate(found) if name]
    if not kept:
        raise InputError(
            f"No feature has a symbol in the map; features look like {shown(table.features, 3)}, "
            f"the map's keys like {shown(list(names), 3)}."
        )
    symbols = [str(found[place]) for place in kept]
    merged, values = merge_features(symbols, table.values[:, kept], duplicates, "the layer")
    return OmicsTable(table.samples, tuple(merged), values, table.layer, table.scale)


def read_xena(
    path: str | Path,
    *,
    layer: str,
    scale: str,
    probe_map: str | Path | None = None,
    tumours: bool = False,
    duplicates: Duplicates = "maximum",
) -> OmicsTable:
    """Return a matrix of a UCSC Xena hub.

    Parameters
    ----------
    path : str or Path
        TSV, plain or gzipped: features in rows, samples in columns.
    layer, scale : str
        As `OmicsTable` has them; the hub's page says the unit ("log2(count+1)" is "log2").
    probe_map : str, Path or None
        The hub's ``.probeMap``: columns ``id`` and ``gene``. Of several genes of a probe the
        first counts.
    tumours : bool, default False
        Keep one tumour a patient, under 12-character TCGA barcodes.
    duplicates : {"error", "mean", "maximum", "first"}, default "maximum"
        What is done with several features of one gene.

    Returns
    -------
    OmicsTable
        NaN = blank.

    Raises
    ------
    FormatError
        If a file breaks its format.
    InputError
        If no feature is in the probe map, or ids are no TCGA barcodes (with `tumours`).
    """
    table = read_omics(
        path, layer=layer, scale=scale, samples_in="columns",
        duplicates="error" if probe_map is None and duplicates == "error" else duplicates,
    )  # fmt: skip
    if probe_map is not None:
        frame = read_table(probe_map)
        frame = frame.rename({name: name.lstrip("#") for name in frame.columns})
        if not {"id", "gene"} <= set(frame.columns):
            raise FormatError("A probe map has the columns id and gene.", path=probe_map)
        pairs = frame.select("id", "gene").drop_nulls().iter_rows()
        names = {str(a): str(b).split(",")[0].strip() for a, b in pairs if str(b).strip(" .")}
        table = gene_names(table, names, duplicates=duplicates)
    return tumours_only(table) if tumours else table


def read_gdc_counts(
    sample_sheet: str | Path,
    *,
    folder: str | Path | None = None,
    column: Literal[
        "unstranded",
        "stranded_first",
        "stranded_second",
        "tpm_unstranded",
        "fpkm_unstranded",
        "fpkm_uq_unstranded",
    ] = "unstranded",
    tumours: bool = True,
    duplicates: Duplicates = "maximum",
) -> OmicsTable:
    """Return the expression of gene count files of the Genomic Data Commons.

    Parameters
    ----------
    sample_sheet : str or Path
        ``gdc_sample_sheet….tsv`` with columns File ID, File Name and Sample ID.
    folder : str, Path or None
        Where the files lie, as ``File ID/File Name`` or ``File Name``; the sheet's folder where
        None.
    column : str, default "unstranded"
        Column of the STAR count files; "tpm_unstranded" and "fpkm_…" give that scale.
    tumours : bool, default True
        Keep one tumour a patient, under 12-character TCGA barcodes.
    duplicates : {"error", "mean", "maximum", "first"}, default "maximum"
        What is done with several Ensembl genes of one symbol.

    Returns
    -------
    OmicsTable
        Gene symbols in columns; scale "counts", "TPM" or "FPKM".

    Raises
    ------
    FormatError
        If sheet or a file breaks its format, or files have other genes.
    InputError
        If the column is unknown.
    """
    require_choice(column, _COUNTS, what="column")
    sheet_path = Path(sample_sheet)
    sheet = read_table(sheet_path)
    missing = [name for name in ("File ID", "File Name", "Sample ID") if name not in sheet.columns]
    if missing:
        raise FormatError(f"A GDC sample sheet has {shown(missing)} too.", path=sheet_path)
    root = sheet_path.parent if folder is None else Path(folder)
    samples, rows, genes = [], [], None
    for file_id, name, sample in sheet.select("File ID", "File Name", "Sample ID").iter_rows():
        path = root / str(file_id) / str(name)
        path = path if path.is_file() else root / str(name)
        symbols, values = _star_counts(path, column)
        if genes is not None and symbols != genes:
            raise FormatError("This file has other genes than the first one.", path=path)
        genes = symbols
        # A sheet may name several samples of a pooled file; the first counts.
        samples.append(str(sample).split(",")[0].strip())
        rows.append(values)
    if genes is None:
        raise FormatError("The sheet names no file.", path=sheet_path)
    twice = [item for item in dict.fromkeys(samples) if samples.count(item) > 1]
    if twice and not tumours:
        raise FormatError(f"Samples with several files: {shown(twice)}.", path=sheet_path)
    merged, values = merge_features(genes, np.array(rows), duplicates, sheet_path)
    scale = _SCALES.get(column, "counts")
    if not tumours:
        return OmicsTable(tuple(samples), tuple(merged), values, "expression", scale)
    chosen = one_tumour_each(samples)
    order = sorted(chosen)
    ids = tuple(chosen[row] for row in order)
    return OmicsTable(ids, tuple(merged), values[order], "expression", scale)


def _star_counts(path: Path, column: str) -> tuple[list[str], np.ndarray]:  # type: ignore[type-arg]
    frame = read_table(path, comment="#")
    for name in ("gene_id", "gene_name", column):
        if name not in frame.columns:
            raise FormatError(f"A STAR count file of the GDC has a column {name!r}.", path=path)
    # Rows such as N_unmapped count reads, not genes.
    frame = frame.filter(~pl.col("gene_id").str.starts_with("N_"))
    numbers, dirty = numeric_columns(frame, [column])
    if dirty:
        row, _, text = dirty[0]
        raise FormatError(f"Row {row}: {text!r} is no number.", path=path)
    symbols = [str(name) for name in frame["gene_name"].to_list()]
    return symbols, numbers[column].to_numpy().astype(np.float64)
