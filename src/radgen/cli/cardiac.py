"""``radgen cardiac``: the trait table of the heart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["OPTIONS", "cardiac"]

OPTIONS = {
    "epilog": """
\b
Examples:
  radgen cardiac heart.tsv --out traits.tsv
  radgen cardiac ukb.tab.gz --index bsa,height2.7 --body body.tsv --out traits.parquet
  radgen cardiac frames.tsv --masks --labels lv=1,myocardium=2,rv=3 --out traits.tsv
  radgen cardiac heart.tsv --scale-by height_cm --out traits.tsv
  radgen gwas --genotypes cohort.bed --phenotypes traits.tsv --covariates age.tsv --out a.parquet

With --masks the table has the columns ed and es, label maps of the end-diastolic and the
end-systolic frame (paths beside the table), and whatever else is known: height_cm, weight_kg,
heart_rate_bpm. --scale-by fits powers on all rows, which suits associations; a prediction learns
them in its folds (radgen.phenotype.AllometricScaler).

Exit codes: 0 good, 2 a mistake to mend, 3 some samples could not be measured."""
}


def cardiac(
    table: Annotated[Path, typer.Argument(help="A row a sample: traits, or frames (--masks).")],
    *,
    out: Annotated[Path, typer.Option(help="Traits: .tsv, .csv or .parquet.")],
    masks: Annotated[bool, typer.Option("--masks", help="Measure the masks of ed and es.")] = False,
    labels: Annotated[
        str, typer.Option(help="Regions of the masks: lv, myocardium, rv, la, ra.")
    ] = "lv=1,myocardium=2,rv=3",
    density: Annotated[float, typer.Option(help="Of myocardium, g/mL.")] = 1.05,
    index: Annotated[
        str, typer.Option(help="Also divide by bsa, height, height1.7 or height2.7.")
    ] = "",
    formula: Annotated[str, typer.Option(help="Body surface: dubois or mosteller.")] = "dubois",
    scale_by: Annotated[
        str, typer.Option(help="Also free of height_cm, weight_kg or bsa_m2 by fitted powers.")
    ] = "",
    instance: Annotated[int, typer.Option(help="Visit of UK Biobank.")] = 2,
    body: Annotated[Path | None, typer.Option(help="Also write body sizes here.")] = None,
) -> None:
    """Bring heart measures into one trait table: volumes, mass, ejection, strain, indices."""
    from radgen.cli import _cardiac

    _cardiac.measure(locals())
