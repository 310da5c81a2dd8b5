"""What association scans say of public cohorts, beside what is known of them.

Run: RADGEN_DATA=... python verification/public_associations.py
Prints a table in Markdown: pairs tested, pairs at a false discovery rate of 5 %, the strongest pair
with its interval, and for nulls the effect that one test would have found with 80 % power. Exit
code 1 where a known finding is missed, or a known null is found.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from radgen.associate import AssociationResult, scan
from radgen.io import (
    read_feature_table,
    read_markers,
    read_omics,
    read_plain,
    read_traits,
)
from radgen.types import Covariates, OmicsTable, PhenotypeTable

Row = tuple[str, str, AssociationResult, bool | None]
"""Cohort, question, scan, whether something is known to be there (None: too few to know)."""


def _only(layer: OmicsTable, name: str) -> OmicsTable:
    return layer.take(columns=[layer.features.index(name)])


def lungs(root: Path) -> Iterator[Row]:
    """Yield EGFR, KRAS and squamous histology of NSCLC-Radiogenomics."""
    folder = root / "nsclc_radiogenomics"
    genes = read_markers(folder / "clinical.csv")
    read = read_traits(folder / "semantic_aim.csv", "lung")
    images = read_feature_table(folder / "features_captk.csv")
    for gene, known in (("EGFR=mutant", True), ("KRAS=mutant", False)):
        layer = _only(genes, next(n for n in genes.features if n.startswith(gene[:4])))
        found = scan(read.phenotypes, layer, phenotype_types=read.types)
        yield "NSCLC-Radiogenomics", f"reader's terms and {gene[:4]}", found, known
        found = scan(images, layer, transform="rank", standardise=True)
        yield "NSCLC-Radiogenomics", f"CaPTk features and {gene[:4]}", found, known
    clinic, _ = read_plain(folder / "clinical.csv")
    code = {"Squamous cell carcinoma": 1.0, "Adenocarcinoma": 0.0}
    column = next(name for name in clinic.columns if name.strip() == "Histology")
    histology = [code.get((cell or "").strip(), np.nan) for cell in clinic[column]]
    trait = PhenotypeTable.from_frame({"sample": clinic["sample"], "squamous": histology})
    rna = read_omics(
        folder / "rnaseq_zscore_1000genes.csv.gz", layer="expression", scale="zscore",
        known_samples=clinic["sample"].to_list(),
    )  # fmt: skip
    yield "NSCLC-Radiogenomics", "squamous histology and RNA", scan(trait, rna), True


def gliomas(root: Path) -> Iterator[Row]:
    """Yield IDH and 1p/19q of TCGA lower-grade gliomas."""
    folder = root / "tcga_glioma"
    images = read_feature_table(folder / "lgg_mri_density_pc_scores.csv")
    genes = read_markers(folder / "molecular_ceccarelli.csv", missing=["glioblastoma"])
    for start, known in (("IDH", None), ("1p", None)):
        name = next(n for n in genes.features if n.startswith(start))
        found = scan(images, _only(genes, name), transform="rank", standardise=True)
        yield "TCGA LGG", f"MRI densities and {name.partition('=')[0]}", found, known


def large(root: Path) -> Iterator[Row]:
    """Yield IDH, adjusted for age, and MGMT of UCSF-PDGM."""
    folder = root / "ucsf_pdgm"
    path = folder / "features_t1gd_wholetumour_pyradiomics.csv"
    images = read_feature_table(path, id_column="ID")
    shape = [k for k, n in enumerate(images.names) if n.startswith("original_")]
    images = images.take(columns=shape)
    clinic, _ = read_plain(folder / "clinical_molecular.csv", id_name="ID")
    ids = clinic["sample"].to_list()
    age = Covariates(tuple(ids), ("age",), clinic["Age at MRI"].to_numpy()[:, None])
    idh = (clinic["IDH"] != "wildtype").cast(float).to_numpy()
    code = {"positive": 1.0, "negative": 0.0}
    mgmt = np.array([code.get(cell or "", np.nan) for cell in clinic["MGMT status"]])
    for name, values, known in (("IDH", idh, True), ("MGMT", mgmt, False)):
        layer = OmicsTable(ids, [name], values[:, None], "mutation", "binary")
        found = scan(images, layer, age, transform="rank", standardise=True)
        yield "UCSF-PDGM", f"T1c features and {name}, adjusted for age", found, known


def benchmarks(root: Path) -> Iterator[Row]:
    """Yield the five genotype tables."""
    for name, known in (
        ("Arita2018__IDH_mutant", True), ("LGG1p19q__codeleted", True),
        ("Wang2024__EGFR_mutant", True), ("Sasaki2019__MGMT_methylated", False),
        ("Ahn2021__MGMT_methylated", False),
    ):  # fmt: skip
        path = root / "genotype_benchmarks" / f"{name}.csv.gz"
        images = read_feature_table(path, exclude=("Target",))
        frame, _ = read_plain(path)
        target = frame["Target"].cast(pl.String).is_in(["1", "1.0", "True"])
        layer = OmicsTable(
            frame["sample"].to_list(), ["target"], target.to_numpy().astype(float)[:, None],
            "mutation", "binary",
        )  # fmt: skip
        cohort, _, gene = name.partition("__")
        found = scan(images, layer, transform="rank", standardise=True)
        yield cohort, f"MRI or CT features and {gene.replace('_', ' ')}", found, known


def line(row: Row) -> tuple[str, bool]:
    """Return a row of the table, and whether it is as known."""
    cohort, question, result, known = row
    tested = result.table.filter(pl.col("p").is_not_null()).sort("p")
    hits = tested.filter(pl.col("q_bh") <= 0.05).height
    top = tested.row(0, named=True)
    most = tested["n"].max()
    strongest = (
        f"{top['phenotype']} with {top['omics']}: {top['effect']:.2f} ({top['ci_low']:.2f} to "
        f"{top['ci_high']:.2f}), q = {top['q_bh']:.1g}"
    )
    least = tested["detectable"].median()
    said = strongest if hits else f"none; one test would find {least:.2f} with 80 % power"
    good = known is None or (hits > 0) == known
    mark = "" if good else " **not as known**"
    return f"| {cohort} | {question} | {most} | {tested.height:,} | {hits:,} | {said}{mark} |", good


def main() -> int:
    """Print the table and return the exit status."""
    warnings.simplefilter("ignore")
    root = Path(os.environ["RADGEN_DATA"])
    failed = 0
    print("| cohort | question | n | pairs | at q ≤ 0.05 | strongest, or what would be found |")
    print("|---|---|---:|---:|---:|---|")
    for cohort in (lungs, gliomas, large, benchmarks):
        for row in cohort(root):
            text, good = line(row)
            print(text, flush=True)
            failed += not good
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
