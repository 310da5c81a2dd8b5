"""Read study folders of cBioPortal: clinical data, profiles, and what was sequenced."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from radgen.errors import FormatError, InputError, shown
from radgen.io._delimited import decode
from radgen.io.maf import PROTEIN_CHANGING, call_genes, read_mutations
from radgen.io.omics import read_omics
from radgen.io.tables import read_table, text_of, to_numbers
from radgen.types import OmicsTable

__all__ = ["CbioportalStudy", "Profile", "read_cbioportal"]

_LAYER_OF = {
    "MUTATION_EXTENDED": "mutation",
    "COPY_NUMBER_ALTERATION": "copy_number",
    "MRNA_EXPRESSION": "expression",
    "METHYLATION": "methylation",
    "PROTEIN_LEVEL": "protein",
    "GENESET_SCORE": "pathway",
}
_SCALE_OF = {"Z-SCORE": "zscore", "DISCRETE": "ordinal", "LOG2-VALUE": "log2 ratio"}
_EVERY_GENE = ("", "WES", "WXS", "WGS")
_BLANK = ("", "NA", "NP")


@dataclass(frozen=True, slots=True)
class Profile:
    """One molecular data file of a study.

    Attributes
    ----------
    name : str
        Its stable id ("mutations", "rna_seq_v2_mrna").
    path : Path
        The data file.
    layer, scale : str
        As `OmicsTable` has them; layer "" = segments, structural variants and the like.
    title : str
        Name for readers.
    """

    name: str
    path: Path
    layer: str
    scale: str
    title: str


@dataclass(frozen=True, eq=False)
class CbioportalStudy:
    """A study folder.

    Attributes
    ----------
    name, title : str
        Identifier and name of the study.
    patients, samples : polars.DataFrame
        Clinical data under the headers of the files (``PATIENT_ID``, ``SAMPLE_ID``, …); columns
        that the file declares as numbers, and that are, are Float64.
    profiles : mapping of str to Profile
        Molecular data files by name.
    sequenced : tuple of str or None
        Samples that were sequenced (the case list); None = the folder has no such list.
    panels : mapping of str to (tuple of str or None)
        Genes covered in each sequenced sample, None = every gene; empty = no panel was used.
    """

    name: str
    title: str
    patients: pl.DataFrame
    samples: pl.DataFrame
    profiles: Mapping[str, Profile]
    sequenced: tuple[str, ...] | None
    panels: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)

    def profile(self, name_or_layer: str) -> Profile:
        """Return a profile by name, or the only one of a layer.

        Raises
        ------
        InputError
            If there is none, or a layer has several.
        """
        if name_or_layer in self.profiles:
            return self.profiles[name_or_layer]
        fitting = [item for item in self.profiles.values() if item.layer == name_or_layer]
        if len(fitting) == 1:
            return fitting[0]
        names = [item.name for item in fitting] or list(self.profiles)
        what = "has several profiles" if fitting else "has no profile"
        raise InputError(
            f"The study {self.name} {what} {name_or_layer!r}; name one of {shown(names, 20)}."
        )

    def mutations(self, *, classes: Collection[str] = PROTEIN_CHANGING) -> pl.DataFrame:
        """Return one row a mutation, as `radgen.io.read_mutations` does."""
        return read_mutations(self.profile("mutation").path, classes=classes)

    def layer(self, name: str, *, classes: Collection[str] = PROTEIN_CHANGING) -> OmicsTable:
        """Return a molecular layer by sample id.

        Parameters
        ----------
        name : str
            Name of a profile, or a layer of which the study has one profile.
        classes : collection of str
            Variant classes that count as mutant.

        Returns
        -------
        OmicsTable
            Mutations as gene-level calls: NaN = the sample's panel does not cover the gene.

        Raises
        ------
        InputError
            If there is no such profile, or it is no matrix of samples.
        FormatError
            If its file breaks the format, or mutations come without a list of who was sequenced.
        """
        profile = self.profile(name)
        if profile.layer == "mutation":
            return self._calls(profile, classes)
        if not profile.layer:
            raise InputError(f"{profile.name} is no matrix of genes and samples: {profile.path}.")
        return read_omics(
            profile.path, layer=profile.layer, scale=profile.scale, samples_in="columns",
            duplicates="maximum",
        )  # fmt: skip

    def _calls(self, profile: Profile, classes: Collection[str]) -> OmicsTable:
        if self.sequenced is None:
            raise FormatError(
                "The folder says for no sample that it was sequenced (case_lists/cases_sequenced"
                ".txt or data_gene_panel_matrix.txt), so nobody can be called wild-type.",
                path=profile.path,
            )
        mutations = read_mutations(profile.path, classes=classes)
        panel = self.panels or None
        return call_genes(mutations, self.sequenced, panel=panel, classes=classes)

    def of_patients(self, table: OmicsTable) -> OmicsTable:
        """Return a layer with one sample a patient, under the patient's id.

        Parameters
        ----------
        table : OmicsTable
            By sample id.

        Returns
        -------
        OmicsTable
            Of several samples of a patient that of type primary counts before others, then the
            first of the clinical file.

        Raises
        ------
        InputError
            If a sample is in no row of the clinical data.
        """
        row = {name: place for place, name in enumerate(table.samples)}
        names, patients = (self.samples[k].to_list() for k in ("SAMPLE_ID", "PATIENT_ID"))
        strangers = sorted(set(table.samples) - set(names))
        if strangers:
            raise InputError(f"Samples without clinical data: {shown(strangers)}.")
        kinds = [""] * len(names)
        if "SAMPLE_TYPE" in self.samples.columns:
            kinds = [str(kind or "").lower() for kind in self.samples["SAMPLE_TYPE"].to_list()]
        chosen: dict[str, tuple[bool, int]] = {}
        for name, patient, kind in zip(names, patients, kinds, strict=True):
            if name not in row:
                continue
            rank = ("primary" not in kind, row[name])
            if patient not in chosen or rank[0] < chosen[patient][0]:
                chosen[patient] = rank
        rows = [place for _, place in chosen.values()]
        part = table.take(rows=rows)
        return OmicsTable(tuple(chosen), part.features, part.values, part.layer, part.scale)


def read_cbioportal(
    folder: str | Path, *, panels: Mapping[str, Collection[str]] | None = None
) -> CbioportalStudy:
    """Return a study folder of cBioPortal.

    Parameters
    ----------
    folder : str or Path
        Holds ``meta_study.txt``, ``meta_*.txt`` with their data files, ``case_lists`` and
        clinical data.
    panels : mapping of str to collection of str or None
        Genes of gene panels that the folder names and does not define.

    Returns
    -------
    CbioportalStudy
        Layers are read when asked for.

    Raises
    ------
    FormatError
        If a file is missing or breaks its format.
    InputError
        If a gene panel is defined nowhere.
    """
    root = Path(folder)
    study = root / "meta_study.txt"
    if not study.is_file():
        raise FormatError("A study folder of cBioPortal holds meta_study.txt.", path=root)
    meta = _meta(study)
    patients = _clinical(root, "PATIENT_ATTRIBUTES", "data_clinical_patient.txt", "PATIENT_ID")
    samples = _clinical(root, "SAMPLE_ATTRIBUTES", "data_clinical_sample.txt", "SAMPLE_ID")
    if samples is None or "PATIENT_ID" not in samples.columns:
        raise FormatError("The study has no table of samples and their patients.", path=root)
    if patients is None:
        patients = samples.select(pl.col("PATIENT_ID").unique(maintain_order=True))
    found = [_profile(root, meta) for meta in _metas(root)]
    profiles = {item.name: item for item in found if item is not None}
    sequenced, covered = _coverage(root, panels or {})
    return CbioportalStudy(
        meta.get("cancer_study_identifier", root.name), meta.get("name", root.name),
        patients, samples, profiles, sequenced, covered,
    )  # fmt: skip


def _meta(path: Path) -> dict[str, str]:
    text = decode(path.read_bytes(), path)
    lines = [line.partition(":") for line in text.splitlines() if ":" in line]
    return {key.strip(): value.strip() for key, _, value in lines}


def _metas(root: Path) -> list[dict[str, str]]:
    return [_meta(path) for path in sorted(root.glob("meta_*.txt")) if path.is_file()]


def _profile(root: Path, meta: Mapping[str, str]) -> Profile | None:
    kind, name = meta.get("genetic_alteration_type", ""), meta.get("stable_id", "")
    file = meta.get("data_filename", "")
    if not file or kind in ("CLINICAL", "", "GENE_PANEL_MATRIX"):
        return None
    path = root / file
    if not path.is_file():
        return None
    datatype = meta.get("datatype", "").upper()
    layer = _LAYER_OF.get(kind, "")
    if datatype == "SEG":
        layer = ""
    scale = "binary" if layer == "mutation" else _SCALE_OF.get(datatype, "continuous")
    if layer == "methylation":
        scale = "beta"
    name = name or path.stem.removeprefix("data_")
    return Profile(name, path, layer, scale, meta.get("profile_name", name))


def _clinical(root: Path, kind: str, usual: str, key: str) -> pl.DataFrame | None:
    named = [meta.get("data_filename", "") for meta in _metas(root) if meta.get("datatype") == kind]
    path = root / (named[0] if named and named[0] else usual)
    if not path.is_file():
        return None
    frame = read_table(path, comment="#")
    if key not in frame.columns:
        raise FormatError(f"Clinical data of this kind have a column {key}.", path=path)
    text_of(frame[key], path=path)
    heads = [line[1:].split("\t") for line in decode(path.read_bytes(), path).splitlines()[:4]
             if line.startswith("#")]  # fmt: skip
    types = heads[2] if len(heads) >= 3 and len(heads[2]) == frame.width else []
    for name, declared in zip(frame.columns, types, strict=False):
        if declared.strip().upper() != "NUMBER":
            continue
        cells, dirty = to_numbers(frame[name])
        # A cell such as [Unknown] is missing; ">90" keeps its column text.
        if all(cell.startswith("[") for _, _, cell in dirty):
            frame = frame.with_columns(cells)
    return frame


def _coverage(
    root: Path, given: Mapping[str, Collection[str]]
) -> tuple[tuple[str, ...] | None, dict[str, tuple[str, ...] | None]]:
    listed = _case_list(root)
    place = root / "data_gene_panel_matrix.txt"
    if not place.is_file():
        return listed, {}
    frame = read_table(place)
    column = next((name for name in frame.columns if name.lower() == "mutations"), None)
    if "SAMPLE_ID" not in frame.columns or column is None:
        raise FormatError("A gene panel matrix has columns SAMPLE_ID and mutations.", path=place)
    panel_of = {
        str(sample): str(panel or "NA").strip()
        for sample, panel in frame.select("SAMPLE_ID", column).iter_rows()
    }
    samples = listed or tuple(name for name, panel in panel_of.items() if panel not in _BLANK)
    genes = _panel_genes(root) | {name: tuple(own) for name, own in given.items()}
    wanted = {panel_of.get(name, "") for name in samples} - set(_EVERY_GENE) - set(_BLANK)
    unknown = sorted(wanted - set(genes))
    if unknown:
        raise InputError(
            f"{place}: the genes of the panels {shown(unknown)} are defined nowhere in the folder. "
            "Give them: panels={'name': genes}."
        )
    covered: dict[str, tuple[str, ...] | None] = {}
    for name in samples:
        panel = panel_of.get(name, "")
        covered[name] = () if panel in ("NA", "NP") else genes.get(panel)
    return samples, covered


def _case_list(root: Path) -> tuple[str, ...] | None:
    for path in sorted((root / "case_lists").glob("*.txt")):
        meta = _meta(path)
        if meta.get("stable_id", "").endswith("_sequenced"):
            ids = [item.strip() for item in meta.get("case_list_ids", "").split("\t")]
            return tuple(dict.fromkeys(item for item in ids if item))
    return None


def _panel_genes(root: Path) -> dict[str, tuple[str, ...]]:
    found = {}
    for path in sorted(root.glob("data_gene_panel_*.txt")):
        meta = _meta(path)
        if "gene_list" in meta and "stable_id" in meta:
            found[meta["stable_id"]] = tuple(meta["gene_list"].split())
    return found
