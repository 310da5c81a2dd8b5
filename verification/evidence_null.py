"""Level of the ways to combine p-values across correlated molecular layers.

Run: python verification/evidence_null.py [--genes 400] [--traits 100] [--n 100] [--cohorts 5]
Prints observed over nominal rates at 0.05, 0.01 and 0.001 of null phenotypes, and power at 0.001
with an effect through expression. Exit code 1 where the Cauchy, harmonic, joint or Stouffer
combination exceeds its level by more than four binomial standard errors and 10 %.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import polars as pl

from radgen.associate import evidence, scan
from radgen.associate.layer_evidence import METHODS
from radgen.types import Covariates, OmicsTable, PhenotypeTable

LEVELS = (0.05, 0.01, 0.001)
CORRELATION = np.array(
    [[1, 0.6, -0.5, 0.4], [0.6, 1, -0.2, 0.2], [-0.5, -0.2, 1, -0.2], [0.4, 0.2, -0.2, 1]]
)


def cohort(rng: np.random.Generator, n: int, genes: int, traits: int):  # type: ignore[no-untyped-def]
    """Return tables with null phenotypes, and the same with an effect of each gene in turn."""
    ids = [f"s{i}" for i in range(n)]
    names = [f"G{j}" for j in range(genes)]
    x = np.einsum(
        "ngk,lk->ngl", rng.standard_normal((n, genes, 4)), np.linalg.cholesky(CORRELATION)
    )
    z = rng.standard_normal((n, 2))
    rna = x[:, :, 0] + z[:, :1]
    copy = np.where(rng.random((n, genes)) < 0.05, np.nan, x[:, :, 1])
    tables = [
        OmicsTable(ids, names, rna, "expression", "log2"),
        OmicsTable(ids[10:], names, copy[10:], "copy_number", "log2"),
        OmicsTable(ids, names, x[:, :, 2], "methylation", "M"),
        OmicsTable(ids, names, (x[:, :, 3] > 1).astype(float), "mutation", "binary"),
    ]
    y = rng.standard_normal((n, traits)) + z[:, 1:]
    null = PhenotypeTable.from_frame(
        pl.DataFrame({"sample": ids} | {f"t{j}": y[:, j] for j in range(traits)})
    )
    y = y + 0.3 * x[:, np.arange(traits) % genes, 0] - 0.2 * x[:, np.arange(traits) % genes, 2]
    true = PhenotypeTable.from_frame(
        pl.DataFrame({"sample": ids} | {f"t{j}": y[:, j] for j in range(traits)})
    )
    return null, true, tables, Covariates(tuple(ids), ("a", "b"), z)


def main() -> int:
    """Run the cohorts and print the table."""
    parser = argparse.ArgumentParser()
    for name, value in (("genes", 400), ("traits", 100), ("n", 100), ("cohorts", 5), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    counts = {method: np.zeros(len(LEVELS)) for method in METHODS}
    power = dict.fromkeys(METHODS, 0)
    for k in range(args.cohorts):
        rng = np.random.default_rng([args.seed, k])
        null, true, tables, z = cohort(rng, args.n, args.genes, args.traits)
        scans = scan(null, tables, z), scan(true, tables, z)
        for method in METHODS:
            p = evidence(null, tables, z, method=method, result=scans[0]).frame["p"].to_numpy()
            counts[method] += [(p <= level).sum() for level in LEVELS]
            found = evidence(true, tables, z, method=method, result=scans[1]).frame
            own = found.filter(
                pl.col("gene").str.slice(1).cast(pl.Int64)
                == pl.col("phenotype").str.slice(1).cast(pl.Int64) % args.genes
            )
            power[method] += own.filter(pl.col("p") <= LEVELS[-1]).height
    draws = args.cohorts * args.genes * args.traits
    print(f"{draws} null pairs, n = {args.n}, four layers with correlations up to 0.6")
    print(f"{'method':<16}{''.join(f'{level:>9}' for level in LEVELS)}  power at {LEVELS[-1]}")
    bad = False
    for method in METHODS:
        rate = counts[method] / draws
        ratio = "".join(f"{r / level:>9.2f}" for r, level in zip(rate, LEVELS, strict=True))
        print(f"{method:<16}{ratio}  {power[method] / (args.cohorts * args.traits):.3f}")
        if method in ("cauchy", "harmonic", "joint", "stouffer"):
            se = np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) / draws)
            bad |= bool(np.any(rate > np.array(LEVELS) * 1.1 + 4 * se))
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
