"""``radgen replicate``: locked findings, and no others, in another cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radgen.cli._ids import FIRST, GENE_MAP

__all__ = ["OPTIONS", "replicate"]

OPTIONS = {
    "epilog": """Example:

  radgen replicate associations/hypotheses.json --phenotypes radiomics2.csv
  --omics expression:log2=rna2.tsv --clinical clinical2.csv --out replication

Names of phenotypes, genes and covariates are those of the first cohort; the models are taken from
the file. P-values are one-sided in the locked direction and corrected by Holm's method. The number
of replications is compared with what the first cohort lets expect, selection taken into account.

Exit codes: 0 done, 2 input must be mended."""
}

_OMICS = "layer=file or layer:scale=file; may be given several times."
_ADJUST = "Columns to adjust for where they cannot be those of the first cohort; none = nothing."
_MISSING = "Of markers: cells to take for missing, parted by commas."
_TCGA = "Molecular ids are TCGA barcodes: keep one tumour a patient."
_META = "How the cohorts are pooled: fixed, DL, HE, PM, ML, REML."


def replicate(
    hypotheses: Annotated[Path, typer.Argument(help="hypotheses.json of radgen associate.")],
    *,
    phenotypes: Annotated[Path, typer.Option(help="Table of image features, a row a sample.")],
    omics: Annotated[list[str], typer.Option(help=_OMICS)],
    out: Annotated[Path, typer.Option(help="Folder for table and report.")],
    clinical: Annotated[Path | None, typer.Option(help="Table of covariates and strata.")] = None,
    adjust: Annotated[str, typer.Option(help=_ADJUST)] = "",
    adjust_phenotypes: Annotated[str, typer.Option(help="Phenotypes to adjust for.")] = "",
    by: Annotated[str | None, typer.Option(help="Column of the strata.")] = None,
    patient: Annotated[str | None, typer.Option(help="Column with the patient.")] = None,
    sequenced: Annotated[Path | None, typer.Option(help="Of a MAF: sequenced ids.")] = None,
    panel: Annotated[Path | None, typer.Option(help="Of a MAF: covered genes.")] = None,
    gene_map: Annotated[Path | None, typer.Option(help=GENE_MAP)] = None,
    gene_sets: Annotated[Path | None, typer.Option(help="GMT file, as in the first.")] = None,
    counts: Annotated[str, typer.Option(help="tmm, median_ratio, cpm, none.")] = "tmm",
    missing: Annotated[str, typer.Option(help=_MISSING)] = "",
    tcga: Annotated[bool, typer.Option(help=_TCGA)] = False,
    id_: Annotated[str | None, typer.Option("--id", help="Column of sample ids.")] = None,
    id_first: Annotated[int, typer.Option(help=FIRST)] = 0,
    meta: Annotated[str, typer.Option(help=_META)] = "fixed",
) -> None:
    """Test locked hypotheses in another cohort: direction, effect, rate, pooled effect."""
    from radgen.cli import _associations

    _associations.replicate(locals())
