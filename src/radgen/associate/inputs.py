"""Tables of files as a scan takes them: phenotypes, layers, covariates, strata, patients."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radgen._core.naming import did_you_mean, require_choice
from radgen.errors import InputError, shown
from radgen.io.feature_tables import read_feature_table
from radgen.io.ids import IdRule
from radgen.io.layers import read_layer
from radgen.io.omics import read_gmt
from radgen.io.plain import read_plain
from radgen.io.tables import read_table
from radgen.omics.normalise import normalise
from radgen.types import Covariates, OmicsTable, PhenotypeTable
from radgen.types.omics import LAYERS

__all__ = [
    "LayerFile",
    "ScanInputs",
    "adjust_for",
    "read_covariates",
    "read_layer_file",
    "read_scan_inputs",
]


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A molecular file and what it holds.

    Attributes
    ----------
    path : Path
        The file.
    layer : str
        One of the molecular layers, or "markers" (IDH, MGMT … of a clinical table).
    scale : str
        What the numbers are; "" = not said.
    """

    path: Path
    layer: str
    scale: str = ""

    @classmethod
    def parse(cls, text: str) -> LayerFile:
        """Return what ``layer=path`` or ``layer:scale=path`` says.

        Parameters
        ----------
        text : str
            ``expression:log2=rna.tsv``, ``mutation=calls.maf``.

        Returns
        -------
        LayerFile
            The parts.

        Raises
        ------
        InputError
            If a part is missing or the layer unknown.

        Examples
        --------
        >>> LayerFile.parse("expression:counts=rna.tsv").scale
        'counts'
        """
        kind, mark, path = text.partition("=")
        if not mark or not path:
            raise InputError(
                f"{text!r} does not say what it holds. Write layer=file or layer:scale=file, as in "
                f"expression:log2=rna.tsv; layers are {', '.join(LAYERS)}."
            )
        layer, _, scale = kind.partition(":")
        require_choice(layer, (*LAYERS, "markers"), what="molecular layer")
        return cls(Path(path), layer, scale)


@dataclass(frozen=True, eq=False)
class ScanInputs:
    """What a scan or a replication takes.

    Attributes
    ----------
    phenotypes : PhenotypeTable
        Image phenotypes.
    layers : tuple of OmicsTable
        Molecular layers.
    covariates : Covariates or None
        Categories are expanded.
    by, clusters : mapping of sample to stratum or patient, or None
        As `radgen.associate.scan` takes them.
    types : mapping of str to str
        Declared types of phenotypes.
    notes : tuple of str
        Cells that could not be read, and the like.
    """

    phenotypes: PhenotypeTable
    layers: tuple[OmicsTable, ...]
    covariates: Covariates | None = None
    by: Mapping[str, str | None] | None = None
    clusters: Mapping[str, str] | None = None
    types: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()


def read_scan_inputs(
    phenotypes: str | Path,
    omics: Sequence[LayerFile],
    *,
    clinical: str | Path | None = None,
    adjust: Sequence[str] = (),
    adjust_phenotypes: Sequence[str] = (),
    by: str | None = None,
    clusters: str | None = None,
    traits: Sequence[str] = (),
    features: Sequence[str] = (),
    ordinal: Sequence[str] = (),
    id_name: str | None = None,
    id_rule: IdRule | None = None,
    sequenced: str | Path | None = None,
    panel: str | Path | None = None,
    gene_map: str | Path | None = None,
    gene_sets: str | Path | None = None,
    counts: str = "tmm",
    tcga: bool = False,
    missing: Sequence[str] = (),
) -> ScanInputs:
    """Return the tables of a scan from files.

    Parameters
    ----------
    phenotypes : str or Path
        Table of image features, a row a sample (a lesion, with `clusters`).
    omics : sequence of LayerFile
        Molecular files; at least one.
    clinical : str, Path or None
        Table with covariates, strata and patients, a row a sample or patient.
    adjust : sequence of str
        Its columns to adjust for; text is expanded.
    adjust_phenotypes : sequence of str
        Phenotypes to adjust for instead of testing them (volume, say).
    by : str or None
        Column of the clinical table with the strata.
    clusters : str or None
        Column with the patient of each sample, in the clinical table or that of the phenotypes.
    traits : sequence of str
        Phenotypes to test; ``*`` stands for any text; none = all.
    features : sequence of str
        Molecular features to test, likewise.
    ordinal : sequence of str
        Phenotypes that are scores in order.
    id_name : str or None
        Column of sample ids in tables that have it.
    id_rule : IdRule or None
        Applied to the ids of all tables.
    sequenced : str, Path or None
        Text file of the samples behind a mutation list, an id a line.
    panel : str, Path or None
        Text file of the genes that its assay covers, a gene a line.
    gene_map : str, Path or None
        File of gene symbols of Ensembl or Entrez ids or probes (`radgen.io.read_gene_map`).
    gene_sets : str, Path or None
        GMT file: scores of its sets take the place of the genes of expression layers.
    counts : {"tmm", "median_ratio", "cpm", "none"}, default "tmm"
        How raw counts of expression are made comparable; "none" keeps them for test="negbinom".
    tcga : bool, default False
        Molecular ids are TCGA barcodes: one tumour a patient is kept, under 12 characters.
    missing : sequence of str
        Cells of markers to take for missing.

    Returns
    -------
    ScanInputs
        Matched by id later, in `radgen.associate.scan`.

    Raises
    ------
    InputError
        If a column or name does not exist, or an option needs a file that is not given.
    FormatError, AlignmentError
        If a table cannot be read, or ids repeat.
    """
    require_choice(counts, ("tmm", "median_ratio", "cpm", "none"), what="normalisation of counts")
    if not omics:
        raise InputError("No molecular file was given.")
    frame, notes = None, []
    if clinical is not None:
        frame, notes = read_plain(clinical, id_name=_id_of(clinical, id_name), id_rule=id_rule)
    wanted = [*adjust, *([by] if by else [])]
    if wanted and frame is None:
        raise InputError(f"{shown(wanted)} are columns of a clinical table, which is not given.")
    patients = (
        None if clusters is None else _patients(phenotypes, clusters, frame, id_name, id_rule)
    )
    table = read_feature_table(
        phenotypes,
        id_column=_id_of(phenotypes, id_name),
        id_rule=id_rule,
        exclude=() if clusters is None else (clusters,),
    )
    covariates = _covariates(frame, adjust, str(clinical))
    if adjust_phenotypes:
        places = _fit(adjust_phenotypes, table.names, "phenotype")
        table, covariates = adjust_for(table, covariates, places)
    table = table.take(columns=_fit(traits, table.names, "phenotype"))
    known = {*table.samples, *(() if patients is None else patients.values())}
    layers = []
    for item in omics:
        layer = _layer(
            item, known, id_rule, sequenced, panel, gene_map=gene_map, tcga=tcga, missing=missing
        )
        layers.append(_ready(layer, gene_sets, counts))
    chosen = tuple(_chosen(layers, features))
    strata = None if by is None else _strata(frame, by, str(clinical))
    for name in ordinal:
        require_choice(name, table.names, what="phenotype")
    types = dict.fromkeys(ordinal, "ordinal") or None
    return ScanInputs(table, chosen, covariates, strata, patients, types, tuple(notes))


def read_layer_file(
    item: LayerFile,
    known: Iterable[str] = (),
    *,
    id_rule: IdRule | None = None,
    counts: str = "tmm",
    tcga: bool = False,
) -> OmicsTable:
    """Return one molecular layer, raw counts made comparable.

    Parameters
    ----------
    item : LayerFile
        The file and what it holds.
    known : iterable of str
        Ids of samples that are wanted, by which a matrix's orientation is told.
    id_rule : IdRule or None
        How ids are cut.
    counts : {"tmm", "median_ratio", "cpm", "none"}, default "tmm"
        What is done to raw counts.
    tcga : bool, default False
        Ids are TCGA barcodes: one tumour a patient.

    Returns
    -------
    OmicsTable
        The layer.

    Raises
    ------
    FormatError, InputError
        If it cannot be read.
    """
    layer = _layer(item, set(known), id_rule, None, None, gene_map=None, tcga=tcga, missing=())
    return _ready(layer, None, counts)


def read_covariates(
    path: str | Path,
    names: Sequence[str],
    *,
    id_name: str | None = None,
    id_rule: IdRule | None = None,
) -> Covariates | None:
    """Return columns of a table as covariates, text expanded; None where none is named.

    Parameters
    ----------
    path : str or Path
        Table with a row a sample.
    names : sequence of str
        Columns.
    id_name : str or None
        Column of sample ids.
    id_rule : IdRule or None
        How ids are cut.

    Returns
    -------
    Covariates or None
        In the order of `names`.

    Raises
    ------
    InputError
        If a column does not exist or has one value only.
    """
    frame, _ = read_plain(path, id_name=_id_of(path, id_name), id_rule=id_rule)
    return _covariates(frame, names, str(path))


def _id_of(path: str | Path, name: str | None) -> str | None:
    """Return the id column where this table has it; another table may name its ids otherwise."""
    return name if name is not None and name in read_table(path).columns else None


def _layer(
    item: LayerFile,
    known: set[str],
    id_rule: IdRule | None,
    sequenced: str | Path | None,
    panel: str | Path | None,
    *,
    gene_map: str | Path | None,
    tcga: bool,
    missing: Sequence[str],
) -> OmicsTable:
    is_list = item.path.name.lower().removesuffix(".gz").endswith((".maf", ".vcf"))
    return read_layer(
        item.path,
        layer=item.layer,
        scale=item.scale,
        known_samples=known,
        id_rule=id_rule,
        sequenced=_lines(sequenced) if is_list else None,
        panel=_lines(panel) if is_list else None,
        tumours=tcga,
        missing=missing if item.layer == "markers" else (),
        gene_map=None if item.layer in ("markers", "pathway") else gene_map,
    )


def _lines(path: str | Path | None) -> list[str] | None:
    if path is None:
        return None
    file = Path(path)
    if not file.is_file():
        raise InputError(f"There is no file {file}.")
    found = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    if not found:
        raise InputError(f"{file} is empty; needed is a name a line.")
    return found


def _ready(layer: OmicsTable, gene_sets: str | Path | None, counts: str) -> OmicsTable:
    """Make counts comparable, and genes to scores of sets where asked for."""
    if layer.layer != "expression":
        return layer
    if layer.scale == "counts" and counts != "none":
        layer = normalise(layer, method=counts)  # type: ignore[arg-type]
    if gene_sets is None:
        return layer
    from radgen.omics.gene_sets import GeneSetScorer

    return GeneSetScorer(read_gmt(gene_sets)).fit(layer).transform(layer)


def _fit(patterns: Sequence[str], names: Sequence[str], what: str) -> list[int]:
    """Return the places of names that fit any pattern; all where there is none."""
    if not patterns:
        return list(range(len(names)))
    chosen: set[int] = set()
    for pattern in patterns:
        hits = {place for place, name in enumerate(names) if fnmatch.fnmatchcase(name, pattern)}
        if not hits:
            raise InputError(f"No {what} is named {pattern!r}. {did_you_mean(pattern, names)}")
        chosen |= hits
    return sorted(chosen)


def _chosen(layers: Sequence[OmicsTable], features: Sequence[str]) -> Iterable[OmicsTable]:
    everything = [name for layer in layers for name in layer.features]
    wanted = {everything[place] for place in _fit(features, everything, "molecular feature")}
    for layer in layers:
        columns = [place for place, name in enumerate(layer.features) if name in wanted]
        if columns:
            yield layer if len(columns) == layer.n_features else layer.take(columns=columns)


def _column(frame: pl.DataFrame | None, name: str, where: str) -> pl.Series:
    assert frame is not None
    if name not in frame.columns:
        raise InputError(f"{where}: no column {name!r}. {did_you_mean(name, frame.columns[1:])}")
    return frame[name]


def _covariates(frame: pl.DataFrame | None, names: Sequence[str], where: str) -> Covariates | None:
    """Return columns as numbers, text expanded against its first level."""
    if not names or frame is None:
        return None
    parts: list[Any] = []
    labels: list[str] = []
    for name in names:
        column = _column(frame, name, where)
        if column.dtype.is_numeric():
            parts.append(column.cast(pl.Float64).fill_null(np.nan).to_numpy())
            labels.append(name)
            continue
        levels = column.drop_nulls().unique().sort().to_list()
        for level in levels[1:]:
            hits = (column == level).cast(pl.Float64)
            parts.append(hits.fill_null(np.nan).to_numpy())
            labels.append(f"{name}={level}")
    if not labels:
        raise InputError(f"{where}: {shown(names)} have one value only.")
    return Covariates(tuple(frame["sample"]), tuple(labels), np.column_stack(parts))


def adjust_for(
    table: PhenotypeTable, covariates: Covariates | None, places: Sequence[int]
) -> tuple[PhenotypeTable, Covariates]:
    """Take phenotypes out of the table and put them beside the covariates.

    Parameters
    ----------
    table : PhenotypeTable
        All phenotypes.
    covariates : Covariates or None
        Those there are already.
    places : sequence of int
        Numbers of the phenotypes to adjust for.

    Returns
    -------
    table : PhenotypeTable
        The other phenotypes.
    covariates : Covariates
        Of the samples of the table; NaN where a sample has none.
    """
    values, labels = table.values[:, places], tuple(table.names[place] for place in places)
    if covariates is not None:
        row = {item: place for place, item in enumerate(covariates.samples)}
        own = np.full((table.n_samples, len(covariates.names)), np.nan)
        for place, item in enumerate(table.samples):
            if item in row:
                own[place] = covariates.values[row[item]]
        values, labels = np.column_stack([own, values]), (*covariates.names, *labels)
    rest = [place for place in range(table.n_phenotypes) if place not in set(places)]
    return table.take(columns=rest), Covariates(table.samples, labels, values)


def _strata(frame: pl.DataFrame | None, name: str, where: str) -> dict[str, str | None]:
    column = _column(frame, name, where)
    assert frame is not None
    values = [None if cell is None else _text(cell) for cell in column.to_list()]
    return dict(zip(frame["sample"].to_list(), values, strict=True))


def _patients(
    phenotypes: str | Path,
    name: str,
    frame: pl.DataFrame | None,
    id_name: str | None,
    id_rule: IdRule | None,
) -> dict[str, str]:
    """Return the patient of each sample from the table that has the column."""
    own, _ = read_plain(phenotypes, id_name=_id_of(phenotypes, id_name), id_rule=id_rule)
    home = own if name in own.columns else frame
    if home is None or name not in home.columns:
        columns = [*own.columns[1:], *([] if frame is None else frame.columns[1:])]
        raise InputError(f"No table has a column {name!r}. {did_you_mean(name, columns)}")
    pairs = zip(home["sample"].to_list(), home[name].to_list(), strict=True)
    rule = id_rule or IdRule()
    return {str(item): rule.clean(_text(value)) for item, value in pairs if value is not None}


def _text(cell: object) -> str:
    return f"{cell:g}" if isinstance(cell, float) else str(cell)
