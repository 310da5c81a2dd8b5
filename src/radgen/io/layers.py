"""Open one molecular layer, whatever program wrote its file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from radgen.errors import InputError
from radgen.io.cbioportal import read_cbioportal
from radgen.io.gene_maps import read_gene_map
from radgen.io.geo import read_series_matrix
from radgen.io.ids import IdRule
from radgen.io.maf import Panel, call_genes, read_maf
from radgen.io.markers import read_markers
from radgen.io.omics import Duplicates, read_omics
from radgen.io.portals import gene_names, tumours_only
from radgen.io.somatic_vcf import read_somatic_vcf
from radgen.types import OmicsTable

__all__ = ["read_layer"]


def read_layer(
    path: str | Path,
    *,
    layer: str,
    scale: str = "",
    samples_in: Literal["auto", "rows", "columns"] = "auto",
    known_samples: Collection[str] = (),
    id_rule: IdRule | None = None,
    duplicates: Duplicates = "error",
    sequenced: Collection[str] | None = None,
    panel: Panel = None,
    tumours: bool = False,
    missing: Collection[str] = (),
    gene_map: str | Path | None = None,
) -> OmicsTable:
    """Return a molecular layer of a mutation list, a matrix or a portal's folder.

    Parameters
    ----------
    path : str or Path
        ``.maf``, or a ``.vcf`` annotated by VEP or SnpEff: a list of somatic mutations.
        ``…_series_matrix.txt``: of GEO. A folder: a study of cBioPortal, whose only profile of
        the layer is read. Anything else: a matrix, as `read_omics` takes it.
    layer : str
        One of `radgen.types.omics.LAYERS`, or "markers": columns such as IDH status or MGMT of a
        clinical table, as `radgen.io.read_markers` reads them.
    scale : str, default ""
        What the numbers are ("counts", "log2", …); "" = "binary" for mutations, else "unknown".
    samples_in : {"auto", "rows", "columns"}, default "auto"
        Where samples stand in a matrix.
    known_samples : collection of str
        Ids of the study, for "auto", and for a cBioPortal study to tell patients from samples.
    id_rule : IdRule or None
        Applied to sample ids.
    duplicates : {"error", "mean", "maximum", "first"}, default "error"
        What is done with features of the same name in a matrix.
    sequenced : collection of str or None
        Of a mutation list: ids of all samples that were sequenced.
    panel : collection of str, mapping or None
        Of a mutation list: genes that the assay covers.
    tumours : bool, default False
        Samples are TCGA barcodes: keep one tumour a patient, under 12 characters.
    missing : collection of str
        Of markers: cells to take for missing.
    gene_map : str, Path or None
        File of gene symbols (`radgen.io.read_gene_map`): features are renamed, those without a
        symbol left out; of several of one gene that of highest mean is kept.

    Returns
    -------
    OmicsTable
        NaN = not measured.

    Raises
    ------
    InputError
        If an option does not fit the kind of file.
    FormatError
        If the file breaks its format.
    """
    place = Path(path)
    name = place.name.lower().removesuffix(".gz")
    mutations = name.endswith((".maf", ".vcf"))
    if mutations and layer != "mutation":
        raise InputError(f"{path}: this file holds mutations, not a layer {layer!r}.")
    if not mutations and (sequenced is not None or panel is not None):
        raise InputError(
            f"{path}: lists of sequenced samples and of a panel are for mutation lists (MAF, VCF); "
            "in a matrix an empty cell is what was not tested."
        )
    if missing and layer != "markers":
        raise InputError(f"{path}: cells to take for missing are named for markers alone.")
    rule = IdRule() if tumours else id_rule
    if layer == "markers":
        table = read_markers(path, id_rule=rule, missing=missing)
        return tumours_only(table) if tumours else table
    if name.endswith(".maf"):
        table = read_maf(path, sequenced=sequenced, panel=panel, id_rule=rule)
    elif name.endswith(".vcf"):
        table = call_genes(read_somatic_vcf(path, id_rule=rule), sequenced, panel=panel)
    elif place.is_dir():
        table = _portal(place, layer, known_samples)
    elif name.endswith("_series_matrix.txt"):
        table = read_series_matrix(path, layer=layer, scale=scale or "unknown").table
    else:
        table = read_omics(
            path,
            layer=layer,
            scale=scale or ("binary" if layer == "mutation" else "unknown"),
            samples_in=samples_in,
            known_samples=known_samples,
            id_rule=rule,
            duplicates=duplicates,
        )
    if gene_map is not None:
        table = gene_names(table, read_gene_map(gene_map))
    return tumours_only(table) if tumours else table


def _portal(folder: Path, layer: str, known_samples: Collection[str]) -> OmicsTable:
    study = read_cbioportal(folder)
    table = study.layer(layer)
    known = set(known_samples)
    of_patients = set(study.samples["PATIENT_ID"].to_list())
    by_sample = len(known & set(table.samples))
    return study.of_patients(table) if len(known & of_patients) > by_sample else table
