"""Sections of the study file that say where the data lie and how ids are spelt."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from radgen.study.schema._base import Labels, Section, Texts
from radgen.study.schema.functional import FunctionalSettings

__all__ = [
    "ClinicalSettings",
    "ColumnSettings",
    "FeatureTableSettings",
    "GenotypeSettings",
    "IdRule",
    "ImageSettings",
    "OmicsSettings",
    "PatientTable",
    "SequenceSettings",
    "SpecimenSettings",
    "SurvivalSettings",
]


class IdRule(Section):
    """How the ids of one file become sample ids; applied in the order of these keys.

    Spaces around an id never count.
    """

    strip_prefix: str = Field(default="", description="Text taken away from the start.")
    strip_suffix: str = Field(default="", description="Text taken away from the end.")
    pattern: str = Field(
        default="",
        description="Regular expression; the id is its first group, or the whole match where it "
        "has none. An id that does not match is an error.",
    )
    first: int = Field(
        default=0,
        ge=0,
        description="Keep the first so many characters (12 for TCGA barcodes); 0 = all.",
    )
    case: Literal["keep", "upper", "lower"] = Field(
        default="keep", description="Change of letter case."
    )
    strip_zeros: bool = Field(default=False, description="Take away zeros at the start.")
    replace: dict[str, str] = Field(
        default_factory=dict, description='Text that becomes another: { "_" = "-" }.'
    )

    @field_validator("replace")
    @classmethod
    def _replaces(cls, value: dict[str, str]) -> dict[str, str]:
        if "" in value:
            raise ValueError("the text to replace is empty")
        return value

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from error
        return value


class SequenceSettings(Section):
    """One image of each patient (T1c, ADC, CT …)."""

    image: str = Field(
        description="Column of the scan table that holds the file, or a file pattern with {id}."
    )
    mask: str | None = Field(
        default=None, description="The same for the mask; default: the mask of [images]."
    )
    modality: Literal["CT", "MR", "PT", "US", "MG", ""] | None = Field(
        default=None, description="DICOM modality; default: the modality of [images]."
    )
    regions: Labels | None = Field(
        default=None, description="Names of labels; default: the regions of [images]."
    )


class ImageSettings(Section):
    """Scans and their masks."""

    table: str | None = Field(
        default=None,
        description="Table with a row a scan; without it, image and mask are file patterns.",
    )
    id: str = Field(
        default="sample", description="Column of the scan table that holds the patient's id."
    )
    id_rule: IdRule = Field(default_factory=IdRule, description="How ids become sample ids.")
    image: str | None = Field(
        default=None,
        description="Column of the table that holds the scan's file or DICOM folder, or a pattern "
        'such as "images/{id}.nii.gz". Use sequences where a patient has several images.',
    )
    mask: str | None = Field(
        default=None,
        description="The same for the mask: label map, DICOM SEG or RTSTRUCT.",
    )
    modality: Literal["CT", "MR", "PT", "US", "MG", ""] = Field(
        default="", description="DICOM modality."
    )
    modality_column: str | None = Field(
        default=None,
        description="Column of the scan table with each scan's modality, where they differ.",
    )
    regions: Labels | None = Field(
        default=None,
        description="Names of the mask's labels: {tumour = [1, 4], oedema = 2}. Without it every "
        "label is a region of its own.",
    )
    sequences: dict[str, SequenceSettings] = Field(
        default_factory=dict, description="Several named images a patient: [images.sequences.T1c]."
    )
    functional: dict[str, FunctionalSettings] = Field(
        default_factory=dict,
        description="Maps made of series and measured: [images.functional.dce].",
    )
    where: dict[str, Texts] = Field(
        default_factory=dict,
        description='Use only rows of the scan table with these values: {visit = ["1"]}.',
    )
    date: str | None = Field(
        default=None, description="Column with the date of the scan (YYYY-MM-DD)."
    )
    lesion: str | None = Field(default=None, description="Column that names the lesion.")
    carry: Texts = Field(
        default_factory=list,
        description="Columns of the scan table to use as categories (site, scanner).",
    )

    @model_validator(mode="after")
    def _complete(self) -> ImageSettings:
        if self.image is None and not self.sequences and not self.functional:
            raise ValueError(
                "say where the scans are: set image, [images.sequences.<name>] or "
                "[images.functional.<name>]"
            )
        if self.image is not None and self.sequences:
            raise ValueError("set image or sequences, not both")
        for name, item in self.all_sequences().items():
            if item.mask is None:
                raise ValueError(f"no mask is named for {name or 'the scans'}: set mask")
            for text in (item.image, item.mask):
                if self.table is None and "{id}" not in text:
                    raise ValueError(
                        f'without a table, {text!r} is a file pattern and needs the part "{{id}}"'
                    )
        for name, step in self.functional.items():
            if step.mask is None and self.mask is None:
                raise ValueError(f"no mask is named for the maps {name}: set mask")
            if self.table is None and not all("{id}" in text for text in step.series):
                raise ValueError(
                    f'without a table, the series of {name} is a file pattern and needs "{{id}}"'
                )
        columns = (self.date, self.lesion, self.where, self.carry, self.modality_column)
        if self.table is None and any(columns):
            raise ValueError(
                "date, lesion, where, carry and modality_column name columns: they need a table"
            )
        return self

    def all_sequences(self) -> dict[str, SequenceSettings]:
        """Return the images of a patient, defaults filled in; the key "" is an only image."""
        alone = {} if self.image is None else {"": SequenceSettings(image=self.image)}
        given = self.sequences or alone
        return {
            name: SequenceSettings(
                image=item.image,
                mask=item.mask if item.mask is not None else self.mask,
                modality=item.modality if item.modality is not None else self.modality,
                regions=item.regions if item.regions is not None else self.regions,
            )
            for name, item in given.items()
        }


class FeatureTableSettings(Section):
    """Features that were extracted before, by radgen, PyRadiomics, CaPTk, MIRP or by hand."""

    path: str = Field(description="The table: CSV, TSV, Parquet or Excel.")
    id: str | None = Field(
        default=None, description="Id column; default: the one that is recognised."
    )
    id_rule: IdRule = Field(default_factory=IdRule, description="How ids become sample ids.")
    drop: Texts = Field(
        default_factory=list, description="Columns that are no features (* stands for any text)."
    )
    region: str | None = Field(
        default=None,
        description="Column that names the region, where a patient has a row for each.",
    )
    where: dict[str, str | int | float] = Field(
        default_factory=dict,
        description='Rows to use, where a patient has several: { visit = "1" }.',
    )


class ColumnSettings(Section):
    """One column of the clinical table."""

    column: str | None = Field(
        default=None, description="Header in the file; default: the key itself."
    )
    type: Literal["number", "category", "binary", "ordinal", "date"] = Field(
        default="category", description="What the column holds."
    )
    spellings: dict[str, Texts] = Field(
        default_factory=dict,
        description='Value = its spellings in the file: {"mutant" = ["mutated (NOS)", "R132H"]}. '
        "A value counts as a spelling of itself.",
    )
    levels: Texts = Field(
        default_factory=list,
        description="Allowed values in order; of a binary column the second is the positive one.",
    )
    missing: Texts = Field(
        default_factory=list, description="Texts that mean not known, besides the empty cell."
    )
    unit: str = Field(default="", description="Unit, as it is printed.")
    format: str = Field(default="%Y-%m-%d", description="How a date is written (strftime codes).")

    @model_validator(mode="after")
    def _fits(self) -> ColumnSettings:
        if self.type == "binary" and len(self.levels) not in (0, 2):
            raise ValueError("a binary column has two levels: levels = [negative, positive]")
        if self.type == "ordinal" and len(self.levels) < 2:
            raise ValueError("an ordinal column needs its levels in order")
        if self.type in ("number", "date") and (self.spellings or self.levels):
            raise ValueError(f"a {self.type} has neither spellings nor levels")
        known = set(self.levels)
        foreign = [name for name in self.spellings if known and name not in known]
        if foreign:
            raise ValueError(f"spellings names {foreign[0]!r}, which is not among the levels")
        return self


def _column(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


Column = Annotated[ColumnSettings, BeforeValidator(_column)]


class SurvivalSettings(Section):
    """A time to an event."""

    time: str | None = Field(
        default=None, description="Column with the time until event or censoring."
    )
    start: str | None = Field(
        default=None, description="Instead of time: column with the date from which time counts."
    )
    end: Texts = Field(
        default_factory=list,
        description="Columns with the date of the end; the first that is not empty counts.",
    )
    event: str = Field(description="Column that says whether the event happened.")
    event_values: Texts = Field(
        default_factory=lambda: ["1", "1.0", "true", "True", "TRUE"],
        description="Values of that column that mean it happened; every other known value means "
        "censored.",
    )
    censored_values: Texts = Field(
        default_factory=lambda: ["0", "0.0", "false", "False", "FALSE"],
        description="Values that mean censored; a value in neither list is reported.",
    )
    unit: str = Field(default="days", description="Unit of the time.")
    format: str = Field(default="%Y-%m-%d", description="How dates are written (strftime codes).")

    @model_validator(mode="after")
    def _one_clock(self) -> SurvivalSettings:
        if (self.time is None) == (self.start is None):
            raise ValueError("set either time, or start and end")
        if self.start is not None and not self.end:
            raise ValueError("start needs end: the columns with the last date")
        return self


class PatientTable(Section):
    """A table with a row a patient."""

    path: str = Field(description="CSV, TSV, Parquet or Excel, a row a patient.")
    sheet: str | None = Field(default=None, description="Sheet of an Excel file.")
    id: str = Field(default="sample", description="Id column.")
    id_rule: IdRule = Field(default_factory=IdRule, description="How ids become sample ids.")
    columns: dict[str, Column] = Field(
        default_factory=dict,
        description='Columns to use, by the name the study gives them: age = "number", or a table '
        "with column, type, spellings, levels, missing.",
    )
    survival: dict[str, SurvivalSettings] = Field(
        default_factory=dict, description="Times to events: [clinical.survival.overall]."
    )


class ClinicalSettings(PatientTable):
    """The table of patients: who they are and what became of them."""

    more: dict[str, PatientTable] = Field(
        default_factory=dict,
        description="Further tables with a row a patient: [clinical.more.acquisition].",
    )

    @model_validator(mode="after")
    def _names(self) -> ClinicalSettings:
        seen: set[str] = set()
        for table in (self, *self.more.values()):
            for name in (*table.columns, *table.survival):
                if name in seen:
                    raise ValueError(f"two columns or survival times are named {name!r}")
                if name == "sample":
                    raise ValueError("no column may be named 'sample': that is the id")
                seen.add(name)
        return self

    def declares(self, name: str) -> bool:
        """Return whether a column or survival time of this name stands in any of the tables."""
        return any(name in t.columns or name in t.survival for t in (self, *self.more.values()))

    def survival_names(self) -> list[str]:
        """Return the names of the survival times of all tables."""
        return [name for table in (self, *self.more.values()) for name in table.survival]


class SpecimenSettings(Section):
    """A table that says from which patient, lesion and day each specimen comes."""

    table: str = Field(description="The table, a row a specimen.")
    specimen: str = Field(description="Column with the specimen's id as the molecular file has it.")
    patient: str = Field(description="Column with the patient's id.")
    id_rule: IdRule = Field(
        default_factory=IdRule, description="How patient ids become sample ids."
    )
    date: str | None = Field(default=None, description="Column with the date of the specimen.")
    lesion: str | None = Field(default=None, description="Column that names the lesion.")


class OmicsSettings(Section):
    """One molecular layer: [omics.<name>]."""

    path: str = Field(
        description="Matrix (TSV, CSV, Parquet, GCT, Excel, GEO series matrix), mutation list "
        "(MAF, annotated VCF) or folder of a cBioPortal study."
    )
    layer: Literal[
        "expression",
        "mutation",
        "copy_number",
        "methylation",
        "protein",
        "pathway",
        "other",
        "markers",
    ] = Field(
        description="What was measured; markers: columns such as IDH status, MGMT or 1p/19q of a "
        "clinical table, in the words of reports."
    )
    scale: str = Field(
        default="",
        description='"counts", "log2", "TPM", "zscore", "beta", "binary" …; said by you.',
    )
    samples_in: Literal["auto", "rows", "columns"] = Field(
        default="auto", description="Where samples stand; auto looks where known ids are."
    )
    id_rule: IdRule = Field(default_factory=IdRule, description="How ids become sample ids.")
    specimens: SpecimenSettings | None = Field(
        default=None, description="Where ids name specimens, the table that knows their patients."
    )
    features: Texts = Field(
        default_factory=list, description="Keep these genes or probes alone (* = any text)."
    )
    assayed: str | None = Field(
        default=None,
        description="Of a MAF: text file with the ids that were sequenced, one a line. A sample "
        "that is listed and has no mutation is wild-type; one that is not listed is not tested.",
    )
    panel: str | None = Field(
        default=None,
        description="Of a MAF: text file with the genes that the assay covers, one a line. Other "
        "genes are not tested, never wild-type.",
    )
    missing: Texts = Field(
        default_factory=list, description="Of markers: cells to take for missing."
    )
    tcga: bool = Field(
        default=False,
        description="Ids are TCGA barcodes: keep one tumour a patient, under 12 characters.",
    )
    min_carriers: int = Field(
        default=0, ge=0, description="Leave out genes mutated in fewer samples (mutation layers)."
    )
    gene_map: str | None = Field(
        default=None,
        description="GTF, GFF3 or table of ids and symbols: renames Ensembl or Entrez ids.",
    )
    gene_sets: str | None = Field(
        default=None,
        description="GMT file: test scores of these gene sets instead of single genes.",
    )


class GenotypeSettings(Section):
    """Germline genotypes."""

    path: str = Field(description="PLINK .bed or .pgen, VCF, BCF or BGEN.")
    build: Literal["GRCh37", "GRCh38", ""] = Field(default="", description="Genome build.")
    id_rule: IdRule = Field(default_factory=IdRule, description="How ids become sample ids.")
    maf: float = Field(default=0.01, ge=0, lt=0.5, description="Smallest minor-allele frequency.")
    sample_call_rate: float = Field(
        default=0.95, ge=0, le=1, description="Smallest share of called variants of a sample."
    )
    variant_call_rate: float = Field(
        default=0.95, ge=0, le=1, description="Smallest share of called samples of a variant."
    )
    hwe_p: float = Field(
        default=1e-6, ge=0, lt=1, description="Smallest p of the exact Hardy-Weinberg test."
    )
    heterozygosity_sd: float | None = Field(
        default=5.0, gt=0, description="Largest distance of a sample's heterozygosity in SD."
    )
    max_kinship: float | None = Field(
        default=0.177, gt=0, le=0.5, description="Largest kinship of two samples (KING-robust)."
    )
