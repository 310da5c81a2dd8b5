"""Alzheimer genes and the left hemisphere: 486 SNPs of 33 genes, 15 regions, 632 people.

Run: python examples/brain_regions_genes/study.py [--data FOLDER] [--out FOLDER]
FOLDER holds snp_data.csv, snp_groups.csv and brain_measures.csv of the R package bgsmtr (default:
genetics/bgsmtr_imaging_genetics under $RADGEN_DATA; simulated after ADNI). The output is
report.html, tables and pictures: quality control, components, scan, all regions together (MANOVA,
MOSTest, max-T, hierarchical discoveries), genes as sets, and the strongest variant in each region.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import polars as pl

from radgen.associate import (
    burden,
    gwas,
    hierarchical_hits,
    max_t_scan,
    mostest,
    omnibus,
)
from radgen.genome import GenotypePCA, genotype_qc, prune
from radgen.report import ReportInput, Section, write_report
from radgen.stats.effective import METHODS, effective_columns, sidak_level
from radgen.types import ArrayDosages, Covariates, GenotypeMatrix

# Chromosome and approximate place (Mb, GRCh37), for pictures: the data name genes only.
PLACES = {
    "ACE": ("17", 61.55), "ADAM10": ("15", 58.9), "APOE": ("19", 45.41), "BIN1": ("2", 127.8),
    "CALHM1": ("10", 105.2), "CH25H": ("10", 90.96), "CHRNB2": ("1", 154.54), "CLU": ("8", 27.45),
    "CR1": ("1", 207.7), "CST3": ("20", 23.6), "DAPK1": ("9", 90.1), "ECE1": ("1", 21.55),
    "ENTPD7": ("10", 101.4), "EXOC3L2": ("19", 45.72), "GAB2": ("11", 77.95),
    "GAPDHS": ("19", 36.02), "GRN": ("17", 42.42), "IL1A": ("2", 113.53), "IL1B": ("2", 113.59),
    "IL33": ("9", 6.2), "LDLR": ("19", 11.2), "MTHFR": ("1", 11.85), "NEDD9": ("6", 11.2),
    "PGBD1": ("6", 28.25), "PICALM": ("11", 85.7), "PRNP": ("20", 4.67), "SORCS1": ("10", 108.4),
    "SORL1": ("11", 121.4), "TF": ("3", 133.47), "TFAM": ("10", 60.15), "THRA": ("17", 38.22),
    "TNF": ("6", 31.54), "TNK1": ("17", 7.29),
}  # fmt: skip


def read(folder: Path) -> tuple[GenotypeMatrix, pl.DataFrame, dict[str, list[str]], pl.DataFrame]:
    """Return genotypes, regions, SNPs by gene, and the genes' places."""
    calls = pl.read_csv(folder / "snp_data.csv")
    gene = dict(pl.read_csv(folder / "snp_groups.csv").select("snp", "gene").rows())
    brain = pl.read_csv(folder / "brain_measures.csv", infer_schema=False)
    brain = brain.select(
        pl.col(name).str.strip_chars().cast(pl.Float64).alias(name.strip().removesuffix(".adj"))
        for name in brain.columns
    )
    # The files have no ids: their rows are the same people, as the package states. From here on
    # people are matched by these ids.
    people = [f"P{row + 1:03d}" for row in range(calls.height)]
    members: dict[str, list[str]] = {}
    for name in calls.columns:
        members.setdefault(gene[name], []).append(name)
    rows = [
        (PLACES[own][0], int(1e6 * PLACES[own][1]) + 2_000 * at, snp, "A", "B")
        for own, snps in members.items()
        for at, snp in enumerate(snps)
    ]
    variants = pl.DataFrame(rows, schema=["chrom", "pos", "id", "ref", "alt"], orient="row")
    variants = variants.with_columns(pl.col("chrom").cast(pl.Int64).alias("number"))
    variants = variants.sort("number", "pos").drop("number")
    dosage = calls.select(variants["id"].to_list()).to_numpy().T.astype(np.float32)
    genotypes = GenotypeMatrix(tuple(people), variants, ArrayDosages(dosage), "GRCh37")
    spans = []
    for own, snps in members.items():
        start = int(1e6 * PLACES[own][1])
        spans.append((PLACES[own][0], start, start + 2_000 * len(snps), own, "+"))
    columns = ["chrom", "start", "end", "name", "strand"]
    genes = pl.DataFrame(spans, schema=columns, orient="row")
    return genotypes, brain.insert_column(0, pl.Series("sample", people)), members, genes


def controlled(genotypes: GenotypeMatrix) -> tuple[GenotypeMatrix, Covariates, pl.DataFrame]:
    """Return what passes quality control, three components, and the counts of each step."""
    quality = genotype_qc(genotypes, max_kinship=None, heterozygosity_sd=None)
    passed = quality.apply(genotypes)
    independent = passed.take_variants(prune(passed, r2=0.2))
    scores = GenotypePCA(3).fit(independent).scores_
    components = Covariates(passed.samples, ("PC1", "PC2", "PC3"), scores)
    steps = [
        ("read", genotypes.n_samples, 0, f"{genotypes.n_variants} variants"),
        ("quality control", passed.n_samples, genotypes.n_samples - passed.n_samples,
         f"{passed.n_variants} variants are left, {independent.n_variants} of them nearly "
         "independent"),
    ]  # fmt: skip
    return (
        passed,
        components,
        pl.DataFrame(steps, schema=["step", "n", "dropped", "reason"], orient="row"),
    )


def main(
    folder: Path, out: Path, *, n_regions: int | None = None, permutations: int = 1_000
) -> dict[str, object]:
    """Run the study, write report, tables and pictures, and return the results by name."""
    genotypes, regions, genes, places = read(folder)
    regions = regions.select(regions.columns[: None if n_regions is None else n_regions + 1])
    passed, components, flow = controlled(genotypes)
    scan = gwas(passed, regions, components)
    traits = regions.drop("sample").to_numpy()
    count = {method: effective_columns(traits, method) for method in METHODS}
    level = sidak_level(count["li_ji"])
    together = omnibus(passed, regions, components)
    shuffled = mostest(passed, regions, components, seed=1)
    permuted = max_t_scan(
        passed, regions, components, seed=1, n_permutations=permutations, threshold=1e-3
    )
    tree = hierarchical_hits(scan)
    sets = burden(passed, regions, genes, components, max_maf=0.5, beta=(1.0, 1.0))
    lead = permuted.frame.sort("p_all", "log10p").row(0, named=True)["id"]

    out.mkdir(parents=True, exist_ok=True)
    scan.table.write_parquet(out / "scan.parquet")
    sets.table.write_csv(out / "genes.csv")
    pictures = {
        "manhattan": scan.plot("manhattan", threshold=0.05 / passed.n_variants, genes=places),
        "qq": scan.plot("qq"),
        "heatmap": scan.plot("heatmap", threshold=0.05 / passed.n_variants, genes=places),
        "phewas": scan.plot("phewas", lead=lead),
        "regional": scan.plot(
            "regional",
            lead=lead,
            genotypes=passed,
            genes=places,
            threshold=0.05 / passed.n_variants,
        ),
        "all_regions": together.plot("manhattan", threshold=0.05 / passed.n_variants, genes=places),
    }
    for name, axes in pictures.items():
        axes.figure.patch.set_alpha(1.0)
        axes.figure.savefig(out / f"{name}.png", dpi=150)
    words = (
        f"The {traits.shape[1]} regions behave like {count['li_ji']:.0f} independent ones (Li-Ji; "
        f"Galwey {count['galwey']:.1f}), so that a single region is judged at {level:.4f}."
    )
    write_report(
        ReportInput(
            "Alzheimer genes and the left hemisphere",
            "Which of 33 genes go with volumes and thicknesses of 15 regions?",
            (
                Section("One region at a time", (scan,), words),
                Section("All regions together", (together, shuffled)),
                Section("Adjusted for everything that was tested", (permuted, tree)),
                Section("Genes as sets", (sets,)),
            ),
            flow=flow,
            limitations=(
                "Values were simulated after ADNI by the authors of the package; no finding here "
                "says anything about patients.",
                "Positions within genes are not in the data: pictures show their order only.",
            ),
        ),
        out / "report.html",
    )
    return {
        "scan": scan, "omnibus": together, "mostest": shuffled, "max_t": permuted, "tree": tree,
        "sets": sets, "effective": count, "lead": lead,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    home = Path(os.environ.get("RADGEN_DATA", ".")) / "genetics" / "bgsmtr_imaging_genetics"
    parser.add_argument("--data", type=Path, default=home)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    for name, result in main(options.data, options.out).items():
        if hasattr(result, "statements"):
            print(f"\n{name}")
            print("\n".join(f"  {line}" for line in result.statements()))
    print(f"\nReport: {options.out / 'report.html'}")
