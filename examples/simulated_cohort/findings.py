"""What drives the image features of the simulated cohort, in one table.

Run: python examples/simulated_cohort/findings.py [--data FOLDER] [--out FILE]
FOLDER holds the cohort's tables (default: simulated_cohort under $RADGEN_DATA). The table has a row
a finding: a mutation or module that drives a feature (with sign and path), a mutation that drives
a module, an unstable feature, a mutation that changes the effect of treatment. The false discovery
rate is 5 %.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from radgen.associate import drivers, score_groups, screen
from radgen.io import read_feature_table, read_gmt, read_omics, read_plain
from radgen.omics.coherence import set_coherence
from radgen.omics.gene_sets import GeneSetScorer
from radgen.phenotype import measure_repeatability
from radgen.phenotype.harmonise import ComBat
from radgen.types import Covariates, OmicsTable, Outcome, PhenotypeTable

LEVEL = 0.05


def expanded(frame: pl.DataFrame, names: list[str]) -> Covariates:
    """Return clinical columns as numbers, text against its first value."""
    columns, labels = [], []
    for name in names:
        column = frame[name]
        if column.dtype.is_numeric():
            columns.append(column.to_numpy())
            labels.append(name)
            continue
        for level in column.unique().sort().to_list()[1:]:
            columns.append((column == level).to_numpy().astype(float))
            labels.append(f"{name}={level}")
    return Covariates(tuple(frame["sample"]), tuple(labels), np.column_stack(columns))


def harmonised(
    images: PhenotypeTable, again: PhenotypeTable, clinic: pl.DataFrame
) -> tuple[PhenotypeTable, PhenotypeTable]:
    """Return both scans without shift and scale of the sites, which the first scans teach."""
    row = {sample: place for place, sample in enumerate(clinic["sample"])}
    site, kept = clinic["site"].to_list(), clinic.select("age", "sex").to_numpy()

    def sides(table: PhenotypeTable) -> tuple[list[str], np.ndarray]:
        rows = [row[sample] for sample in table.samples]
        return [site[place] for place in rows], kept[rows]

    middle = np.nanmedian(images.values, axis=0)
    spread = 1.0
    batch, covariates = sides(images)
    filled = np.where(np.isfinite(images.values), images.values, middle)
    model = ComBat().fit(filled, batch=batch, covariates=covariates)
    moved = []
    for table in (images, again):
        batch, covariates = sides(table)
        filled = np.where(np.isfinite(table.values), table.values, middle)
        values = np.array(model.transform(filled, batch=batch, covariates=covariates))
        values[~np.isfinite(table.values)] = np.nan
        if not moved:
            spread = np.nanstd(values, axis=0, ddof=1)
        moved.append(replace(table, values=values / spread))
    return moved[0], moved[1]


def modules(expression: OmicsTable, path: Path) -> OmicsTable:
    """Return scores of the gene sets whose genes go together."""
    sets = read_gmt(path)
    held = set_coherence(expression, sets).filter(pl.col("q") <= LEVEL)["set"].to_list()
    return GeneSetScorer({name: sets[name] for name in held}).fit(expression).transform(expression)


def treatment_rows(
    mutations: OmicsTable, clinic: pl.DataFrame, covariates: Covariates
) -> list[dict[str, object]]:
    """Return mutations that change what treatment does, for either outcome."""
    samples = tuple(clinic["sample"])
    outcomes = [
        Outcome("response", "binary", samples, clinic["response"].to_numpy()),
        Outcome(
            "survival", "censored", samples, clinic["time_days"].to_numpy(),
            clinic["event"].to_numpy() == 1,
        ),
    ]  # fmt: skip
    rows: list[dict[str, object]] = []
    for outcome in outcomes:
        result = screen(mutations, outcome, covariates, modifier="treatment", filter_level=LEVEL)
        for row in result.significant(LEVEL).iter_rows(named=True):
            rows.append(
                {
                    "finding": "changes the effect of treatment",
                    "driver": row["phenotype"],
                    "kind": "mutation",
                    "target": outcome.name,
                    "sign": int(np.sign(row["effect"])),
                    "effect": row["effect"],
                    "p": row["p"],
                    "q": row["q_bh"],
                    "n": row["n"],
                }
            )
    return rows


def beside(first: Covariates, second: Covariates) -> Covariates:
    """Return covariates of the same samples side by side."""
    row = {sample: place for place, sample in enumerate(second.samples)}
    values = second.values[[row[sample] for sample in first.samples]]
    names = (*first.names, *second.names)
    return Covariates(first.samples, names, np.column_stack([first.values, values]))


def findings(folder: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the table of findings, and the same in words."""
    clinic, _ = read_plain(folder / "clinical_outcome.csv", id_name="subject")
    images = read_feature_table(folder / "imaging_features.csv.gz", id_column="subject")
    again = read_feature_table(folder / "imaging_features_retest60.csv.gz", id_column="subject")
    mutations = read_omics(
        folder / "mutations.csv", layer="mutation", scale="binary", samples_in="rows"
    )
    expression = read_omics(
        folder / "expression.csv.gz", layer="expression", scale="log2", samples_in="rows"
    )
    first, second = harmonised(images, again, clinic)
    repeats = measure_repeatability({"scan": first, "retest": second}, form="2,1")
    lower = dict(repeats.frame.select("phenotype", "icc_low").iter_rows())
    covariates = expanded(clinic, ["age", "sex", "treatment", "site"])
    sets = modules(expression, folder / "gene_sets.gmt")
    result = drivers(first, mutations, sets, covariates, reliability=lower, level=LEVEL)
    driven = result.frame.filter("driven").select(
        pl.lit("drives").alias("finding"), "driver", "kind", target="phenotype", sign="sign",
        effect="effect", p="p", q=pl.min_horizontal("q", "q_indirect"), n="n", path="path",
        mediator="mediator", stable="stable",
    )  # fmt: skip
    loose = repeats.frame.filter(pl.col("icc_low") < result.params["least_reliability"])
    unstable = loose.select(
        pl.lit("unstable feature").alias("finding"), target="phenotype", effect="icc",
        n="n_subjects", stable=pl.lit(False),
    )  # fmt: skip
    scores = score_groups(first, result.group_of)
    changed = pl.DataFrame(treatment_rows(mutations, clinic, beside(covariates, scores)))
    links = result.links.filter(pl.col("q") <= LEVEL).select(
        pl.lit("drives module").alias("finding"), pl.lit("mutation").alias("kind"), "effect", "p",
        "q", driver="mutation", target="module", sign=pl.col("effect").sign().cast(pl.Int64),
    )  # fmt: skip
    table = pl.concat([driven, links, unstable, changed], how="diagonal_relaxed")
    words = (*result.statements(), *(f"{r['driver']} changes the effect of treatment on "
             f"{r['target']}." for r in changed.iter_rows(named=True)))  # fmt: skip
    return table, words


def main() -> None:
    """Write the table and print what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(os.environ.get("RADGEN_DATA", "."))
    parser.add_argument("--data", type=Path, default=root / "simulated_cohort")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("findings.csv"))
    args = parser.parse_args()
    table, words = findings(args.data)
    table.with_columns(pl.col(pl.Float64).round_sig_figs(4)).write_csv(args.out)
    print(*words, sep="\n")
    print(f"{table.height} findings: {args.out}")


if __name__ == "__main__":
    main()
