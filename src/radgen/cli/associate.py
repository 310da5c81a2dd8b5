"""``radgen associate``: every image phenotype against every molecular feature, from tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import FIRST, GENE_MAP

__all__ = ["OPTIONS", "associate"]

OPTIONS = {
    "epilog": """Examples:

  radgen associate --phenotypes radiomics.csv --omics expression:log2=rna.tsv
  --omics mutation=calls.maf --sequenced ids.txt --clinical clinical.csv --adjust age,sex
  --out associations

  radgen associate --phenotypes lesions.csv --patient patient --omics mutation=genes.csv
  --out associations

  radgen associate --phenotypes radiomics.csv --omics protein:ordinal=ihc.csv --by histology
  --clinical clinical.csv --out associations

The test fits the types: linear for numbers, Firth's logistic regression for 0/1 on 0/1,
proportional odds for scores, mixed models with --patient. OUT/pairs.parquet holds all pairs,
never only the significant ones; OUT/hypotheses.json what was found, for `radgen replicate`;
OUT/report.html both in words and pictures. Nulls come with the effect that would have been found.

Exit codes: 0 done, 2 input must be mended."""
}

_OMICS = "layer=file or layer:scale=file (matrix, MAF, VCF, cBioPortal folder …), several times."
_ADJUST = "Columns of the clinical table to adjust for, parted by commas."
_VOLUME = "Phenotypes to adjust for instead of testing them."
_TRAITS = "Phenotypes to test; * stands for any text; default: all."
_FEATURES = "Genes to test, likewise."
_BY = "Column of the clinical table: each stratum is tested by itself."
_MODIFIER = "One of the covariates: does the association change with it?"
_PATIENT = "Column with the patient, where rows are lesions."
_TEST = "auto, linear, linear_hc3, spearman, firth, ordinal, negbinom, moderated, kruskal …"
_RANK = "rank: phenotypes as normal scores, so that no outlier rules."
_SEQUENCED = "Of a MAF: text file of all sequenced ids; without it nobody is wild-type."
_PANEL = "Of a MAF: text file of the genes that the assay covers."
_SETS = "GMT file: score gene sets instead of genes."
_COUNTS = "Raw counts: tmm, median_ratio, cpm, or none (for negbinom)."
_COMBINE = "Combine layers of a gene: cauchy, joint, brown, stouffer, harmonic …"
_MISSING = "Of markers: cells to take for missing, parted by commas."
_TCGA = "Molecular ids are TCGA barcodes: keep one tumour a patient."
_PLACES = "GTF, GFF3 or BED: chromosomes in the circle of links."
_PERMUTED = "Max-T permutations (linear, spearman)."
_LOCK = "Adjusted value that decides what is locked: q_bh, p_bonferroni, p_maxt …"


def associate(
    *,
    phenotypes: Annotated[Path, typer.Option(help="Table of image features, a row a sample.")],
    omics: Annotated[list[str], typer.Option(help=_OMICS)],
    out: Annotated[Path, typer.Option(help="Folder for pairs, hypotheses and report.")],
    clinical: Annotated[Path | None, typer.Option(help="Table of covariates and strata.")] = None,
    adjust: Annotated[str, typer.Option(help=_ADJUST)] = "",
    adjust_phenotypes: Annotated[str, typer.Option(help=_VOLUME)] = "",
    traits: Annotated[str, typer.Option(help=_TRAITS)] = "",
    features: Annotated[str, typer.Option(help=_FEATURES)] = "",
    ordinal: Annotated[str, typer.Option(help="Phenotypes that are scores in order.")] = "",
    test: Annotated[str, typer.Option(help=_TEST)] = "auto",
    by: Annotated[str | None, typer.Option(help=_BY)] = None,
    modifier: Annotated[str | None, typer.Option(help=_MODIFIER)] = None,
    patient: Annotated[str | None, typer.Option(help=_PATIENT)] = None,
    transform: Annotated[str, typer.Option(help=_RANK)] = "none",
    standardise: Annotated[bool, typer.Option(help="Effects in standard deviations.")] = False,
    sequenced: Annotated[Path | None, typer.Option(help=_SEQUENCED)] = None,
    panel: Annotated[Path | None, typer.Option(help=_PANEL)] = None,
    gene_map: Annotated[Path | None, typer.Option(help=GENE_MAP)] = None,
    gene_sets: Annotated[Path | None, typer.Option(help=_SETS)] = None,
    counts: Annotated[str, typer.Option(help=_COUNTS)] = "tmm",
    missing: Annotated[str, typer.Option(help=_MISSING)] = "",
    genes: Annotated[Path | None, typer.Option(help=_PLACES)] = None,
    tcga: Annotated[bool, typer.Option(help=_TCGA)] = False,
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
    permutations: Annotated[int, typer.Option(min=0, help=_PERMUTED)] = 0,
    min_n: Annotated[int, typer.Option(help="Fewest samples of a tested pair.")] = 10,
    min_group: Annotated[int, typer.Option(help="Fewest samples of either 0/1 group.")] = 3,
    lock_by: Annotated[str, typer.Option(help=_LOCK)] = "q_bh",
    level: Annotated[float, typer.Option(help="Its largest value.")] = 0.05,
    at_most: Annotated[int | None, typer.Option(help="Lock at most so many.")] = None,
    combine: Annotated[str, typer.Option(help=_COMBINE)] = "",
    jobs: Annotated[int | None, typer.Option(help="Threads; default: all processors.")] = None,
    seed: Annotated[int, typer.Option(help="Of the permutations.")] = 0,
) -> None:
    """Test image phenotypes against genes, publish all pairs, lock what was found."""
    from radgen.cli import _associations

    _associations.associate(locals())
